"""The motion world: small labelled videos whose classes only motion tells apart.

Every video shows one shape whose state is four numbers that wrap around: horizontal place,
vertical place, angle and size. They start uniformly at random, and a class is a displacement added
to them over time that does not depend on where they start. A uniform start plus any such
displacement is uniform again, so at every frame time the single frame has the same distribution in
every class: appearance cannot give a class away, by construction. What leaves on the right enters
on the left, and a size that passes its largest value starts again from its smallest.

All classes share one more displacement, which changes over the video (see `motion.py`) and gives time
a direction: the order of clips is to be seen in every class, by which way things go.

The sound is a hum made from the same state, plus a click where a bounce hits.
"""

from keras_vssl.data.synthetic.motion import CLASSES
from keras_vssl.data.synthetic.scene import LEVELS
from keras_vssl.data.synthetic.world import render, write

__all__ = ["CLASSES", "LEVELS", "render", "write"]
