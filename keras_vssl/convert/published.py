"""What is known of a published checkpoint before anyone has downloaded it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that its authors keep and a converter reads.

    Every converter lists the checkpoints of its source as `CHECKPOINTS`. Facts are those of the
    authors' pages and papers; what nobody could check is left out, never guessed.

    Attributes:
        name: str, the name that a preset made from it should have, in snake case.
        file: str, the file's name where the authors keep it.
        where: str, the page that links it, e.g. "https://github.com/owner/repository".
        backbone: str, the architecture preset that it is an instance of, or "".
        data: str, what it was trained on.
        figures: tuple of str, published results with their place, e.g. "UCF101 fine-tuned 87.9
            (Table 4)".
        options: dict, what `convert` has to be told.
        sha256: str or `None` where nobody has stated it.
        licence: str or `None` for the converter's own.
        note: str, a trap or a limit, one sentence.
    """

    name: str
    file: str
    where: str
    backbone: str = ""
    data: str = ""
    figures: tuple = ()
    options: dict = dataclasses.field(default_factory=dict)
    sha256: str | None = None
    licence: str | None = None
    note: str = ""
