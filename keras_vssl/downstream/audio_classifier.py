"""A sound classifier on a spectrogram transformer."""

import keras

from keras_vssl.layers.tokens import visible_crossings
from keras_vssl.tasks.task import Task


@keras.saving.register_keras_serializable(package="keras_vssl")
class AudioClassifier(Task):
    """Classifies sounds with layer normalisation and a linear layer on an `AudioViT`'s features.

    The features are the backbone's `pooled`: AST's mean of the class and distillation tokens,
    AudioMAE's mean of the patches. In training, whole times and whole bands of patches may be
    hidden from the backbone, drawn for each sample.

    **Objective**: binary cross-entropy of each class with `multi_label` (AudioSet), softmax
    cross-entropy of class numbers otherwise.

    Args:
        backbone: `AudioViT`.
        num_classes: int.
        multi_label: bool, targets `[B, num_classes]`; else class numbers `[B]`.
        hide: `(time, frequency)`, shares of the patches' times and bands that are hidden in
            training. AudioMAE's fine-tuning: (0.2, 0.2).
        epsilon: float, of the layer normalisation.
        learning_rate, weight_decay: floats, of AdamW. The rate's default is AudioMAE's 1e-3 for
            256 samples at its batch of 32; the decay is this project's choice.

    Call arguments:
        inputs: waveforms `[B, n]` or spectrograms `[B, T, F]`.

    Returns:
        Logits, float32 `[B, num_classes]`.

    Example:

    ```python
    classifier = keras_vssl.convert.convert("audioset_10_10_0.4593.pth").model
    classifier.predict(waveforms)                         # AudioSet's 527 classes
    backbone = keras_vssl.backbones.AudioViT.from_preset("audio_vit_base")
    classifier = AudioClassifier(backbone, 50, multi_label=False, hide=(0.2, 0.2))
    classifier.fit(waveforms, labels, epochs=60)
    ```

    Reference:
        - [Gong et al. Interspeech 2021](https://arxiv.org/abs/2104.01778), Sec. 2
        - [Huang et al. NeurIPS 2022](https://arxiv.org/abs/2207.06405), Sec. 3 and 4
    """

    def __init__(
        self,
        backbone,
        num_classes,
        multi_label=True,
        hide=(0.0, 0.0),
        epsilon=1e-6,
        learning_rate=1.25e-4,
        weight_decay=0.05,
        **kwargs,
    ):
        super().__init__(backbone, sampler=None, target="label", **kwargs)
        self.num_classes = int(num_classes)
        self.multi_label = bool(multi_label)
        self.hide = tuple(float(share) for share in hide)
        self.epsilon = float(epsilon)
        self.learning_rate, self.weight_decay = float(learning_rate), float(weight_decay)
        self.generator = keras.random.SeedGenerator()
        self.norm = keras.layers.LayerNormalization(
            epsilon=epsilon, name="head_norm", dtype="float32"
        )
        self.head = keras.layers.Dense(
            self.num_classes,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="head",
            dtype="float32",
        )
        for layer in (self.norm, self.head):
            layer.build((None, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        backbone = self.backbone
        keep = self.visible(keras.ops.shape(inputs)[0]) if training and any(self.hide) else None
        tokens = backbone.embed_tokens(inputs, keep)
        features = backbone.pool(backbone.encode_tokens(tokens, training=training))
        return self.head(self.norm(features))

    def visible(self, batch):
        """The patches that stay visible in a training step, int32 `[batch, K]`."""
        turn = -1 if self.backbone.frequency_major else 1
        grid, hide = self.backbone.grid[::turn], self.hide[::turn]
        return visible_crossings(batch, grid, hide, self.generator)

    def prepare(self, videos):
        raise ValueError(
            f"Expected arrays of sound and targets, because {type(self).__name__} reads no videos, "
            f"received a {type(videos).__name__}."
        )

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        if optimizer is None:
            optimizer = keras.optimizers.AdamW(self.learning_rate, weight_decay=self.weight_decay)
        if self.multi_label:
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            self.compile(optimizer, loss)
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            self.compile(optimizer, loss, metrics=["accuracy"])

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "multi_label": self.multi_label,
            "hide": list(self.hide),
            "epsilon": self.epsilon,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
        }

    @classmethod
    def load_backbone(cls, preset, **options):
        from keras_vssl.backbones.audio_vit import AudioViT

        return AudioViT.from_preset(preset, **options)

    @classmethod
    def heads_match(cls, saved, changed):
        return "num_classes" not in changed
