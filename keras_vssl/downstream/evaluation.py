"""One call from a model to a table: protocols, baselines, floors, seeds."""

import keras
import numpy as np

from keras_vssl.downstream import floors, retrieval
from keras_vssl.downstream.classifier import VideoClassifier
from keras_vssl.downstream.embedding import embed
from keras_vssl.downstream.knn import knn_accuracy
from keras_vssl.downstream.probe import LinearProbe
from keras_vssl.downstream.results import Evaluation, describe, plane
from keras_vssl.metrics import confusion_matrix

PROTOCOLS = ("retrieval", "knn", "linear", "finetune")
_SHOWN = 5  # neighbours kept for the report


def evaluate(
    model,
    train,
    test=None,
    protocols=PROTOCOLS,
    seeds=(0,),
    baselines=True,
    method="model",
    dataset=None,
    backbone_name=None,
    finetune_epochs=30,
    finetune_batch_size=8,
    learning_rate=None,
    clips=10,
    k=10,
    batch_size=8,
    workers=2,
    cache_bytes=2**30,
    progress=True,
    out=None,
):
    """Says how good a representation is, beside what needs no pre-training.

    Protocols: "retrieval" (VCOP's: max-pooled features, cosine, share of test videos with a
    train video of their class among the k nearest), "knn" (weighted k-NN on average features),
    "linear" (`LinearProbe` on average features, one a video), "finetune" (`VideoClassifier`,
    everything trained, 10-clip test). With `baselines`, the same for random weights of the
    same architecture ("random"), for fine-tuning from random weights ("supervised"), and
    nearest neighbours that learn nothing ("floor_thumbnail", "floor_difference").

    The model given is not changed: fine-tuning works on copies.

    Args:
        model: a `Task` or a `VideoBackbone`.
        train: `Videos`; with `test=None` its own train and test splits are used, or a split by
            groups is drawn when it has none.
        test: `Videos` or None.
        protocols: names, see above.
        seeds: ints, for random weights, fine-tuning order and heads. Rows that depend on no seed
            have seed None.
        baselines: bool, or "only": the baselines of the model's architecture, without the model.
        method: str, the model's name in the rows ("vcop").
        dataset, backbone_name: str or None, names in the rows.
        finetune_epochs, finetune_batch_size: int.
        learning_rate: float or None, of fine-tuning; the same for "supervised".
        clips: int, clips a video of all protocols. k: int, neighbours of "knn".
        batch_size: int, clips per forward pass at test time.
        workers: int, decoding threads.
        cache_bytes: int, memory for decoded videos during fine-tuning.
        progress: bool, one line a step on stderr.
        out: str or None, a folder to save to after every step.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: unknown protocols or no readable videos. A folder without labels raises
            nothing: its map and neighbours are made, and `notes` says so.

    Example:

    ```python
    evaluation = kv.downstream.evaluate(task, videos.train, videos.test, method="vcop")
    print(evaluation.table())
    ```
    """
    protocols = tuple(protocols)
    unknown = sorted(set(protocols) - set(PROTOCOLS))
    if unknown or not protocols:
        raise ValueError(f"Expected protocols among {PROTOCOLS}, received {unknown or 'none'}.")
    if not len(seeds):
        raise ValueError("Expected at least one seed, received none.")
    backbone = getattr(model, "backbone", model)
    evaluation = Evaluation(progress=progress, out=out)
    bench = _Bench(evaluation, backbone, train, test)
    bench.common = {
        "backbone": backbone_name or type(backbone).__name__,
        "dataset": dataset or train.name,
        **describe(backbone.clip, clips),
    }
    bench.options = {"clips": clips, "batch_size": batch_size, "workers": workers}
    bench.protocols, bench.k = protocols, k
    bench.fit_options = {
        "epochs": finetune_epochs,
        "batch_size": finetune_batch_size,
        "workers": workers,
        "cache_bytes": cache_bytes,
    }
    bench.learning_rate = learning_rate

    if baselines != "only":
        bench.frozen(backbone, method, None, keep=True)
    if not bench.labelled:
        return evaluation
    if baselines:
        if {"retrieval", "knn"} & set(protocols):
            bench.floors()
        for seed in seeds:
            if set(protocols) != {"finetune"}:
                bench.frozen(fresh(backbone, seed), "random", seed)
    if "finetune" in protocols:
        for seed in seeds:
            if baselines != "only":
                bench.finetune(copy(backbone), method, seed, keep=seed == seeds[0])
            if baselines:
                bench.finetune(fresh(backbone, seed), "supervised", seed)
    return evaluation


def fresh(backbone, seed):
    """A backbone of the same architecture with new random weights."""
    keras.utils.set_random_seed(seed)
    return type(backbone).from_config(backbone.get_config())


def copy(backbone):
    """A backbone of the same architecture and weights that shares nothing."""
    twin = type(backbone).from_config(backbone.get_config())
    twin.set_weights(backbone.get_weights())
    return twin


class _Bench:
    """The two sets and what is measured on them."""

    def __init__(self, evaluation, backbone, train, test):
        self.evaluation = evaluation
        ids = set(train.class_ids) | (set(test.class_ids) if test is not None else set())
        self.labelled = len(ids - {-1}) >= 2
        self.same = False
        if test is None and not self.labelled:
            test, self.same = train, True
        elif test is None:
            train, test = self._split(train)
        if self.labelled:
            train, test = self._with_labels(train, "train"), self._with_labels(test, "test")
        else:
            evaluation.note(
                "The videos have no labels (or one class), so only what needs none was made: the "
                "map of embeddings and the nearest neighbours."
            )
        self.train, self.test = train, test
        self.names = sorted({n for part in (train, test) for n in part.labels if n is not None})

    def _split(self, videos):
        splits = set(videos.splits)
        if {"train", "test"} <= splits:
            return videos.train, videos.test
        videos = videos.split_by_group(test=0.3, seed=0)
        self.evaluation.note(
            f"The videos have no test split; {len(videos.test)} of {len(videos)} were set apart "
            "group by group (split_by_group, seed 0)."
            + ("" if any(g is not None for g in videos.groups) else
               " No groups are given: near-duplicates may be on both sides and raise every number.")
        )  # fmt: skip
        return videos.train, videos.test

    def _with_labels(self, videos, name):
        kept = videos[np.array([label is not None for label in videos.labels], bool)]
        if not len(kept):
            raise ValueError(f"Expected labelled videos in the {name} set, received none.")
        if len(kept) < len(videos):
            self.evaluation.note(
                f"{len(videos) - len(kept)} of {len(videos)} {name} videos have no label and are "
                "left out."
            )
        return kept

    def ids(self, videos, rows):
        number = {name: i for i, name in enumerate(self.names)}
        return np.array([number[label] for label in videos.labels[rows]], np.int64)

    def add(self, method, protocol, values, seed, readable, labels_used, **extra):
        for metric, value in values.items():
            self.evaluation.add(
                {
                    "method": method,
                    "protocol": protocol,
                    "metric": metric,
                    "value": float(value),
                    "seed": seed,
                    **self.common,
                    "videos_readable": int(sum(readable)),
                    "videos_train": int(readable[0]),
                    "videos_test": int(readable[1]),
                    "labels_used": labels_used,
                    **extra,
                }
            )

    def frozen(self, backbone, method, seed, keep=False):
        """Everything that stored features can answer, from one pass over the videos."""
        self.evaluation.say(f"{_name(method, seed)}: embedding {len(self.test)} test videos")
        options = {**self.options, "pooling": ("average", "retrieval"), "return_rows": True}
        skipped = self.evaluation.skipped if keep else None
        test, asked = embed(backbone, self.test, skipped=skipped, **options)
        if self.same:
            train, known = test, asked
        else:
            self.evaluation.say(f"{_name(method, seed)}: embedding {len(self.train)} train videos")
            train, known = embed(backbone, self.train, skipped=skipped, **options)
        readable = (0 if self.same else len(known)), len(asked)
        if keep:
            self._keep(train, test, known, asked)
        if self.labelled:
            y, wanted = self.ids(self.train, known), self.ids(self.test, asked)
            if "retrieval" in self.protocols:
                scores = retrieval.retrieval_scores(
                    test["retrieval"], train["retrieval"], wanted, y
                )
                scores = {f"top{k}": value for k, value in scores.items()}
                self.add(method, "retrieval", scores, seed, readable, False)
            if "knn" in self.protocols:
                value = knn_accuracy(test["average"], train["average"], wanted, y, self.k)
                self.add(method, "knn", {"top1": value}, seed, readable, True, k=self.k)
            if "linear" in self.protocols:
                groups = self.train.groups[known]
                groups = None if all(g is None for g in groups) else _own(groups)
                probe = LinearProbe().fit(train["average"], y, groups, len(self.names))
                predicted = probe.predict(test["average"])
                value = (predicted == wanted).mean()
                self.add(
                    method, "linear", {"top1": value}, seed, readable, True, l2=probe.strength_
                )
                if keep:
                    self._predictions(wanted, predicted, "linear")
        self.evaluation.save_if_asked()

    def finetune(self, backbone, method, seed, keep=False):
        epochs = self.fit_options["epochs"]
        self.evaluation.say(f"{_name(method, seed)}: fine-tuning, {epochs} epochs")
        keras.utils.set_random_seed(seed)
        classifier = VideoClassifier(
            backbone, class_names=self.names, learning_rate=self.learning_rate
        )
        classifier.fit(self.train, seed=seed, verbose=0, **self.fit_options)
        scores, rows = classifier.predict(self.test, return_rows=True, **self.options)
        wanted, predicted = self.ids(self.test, rows), scores.argmax(axis=1)
        readable = len(self.train) - len(classifier.skipped), len(rows)
        self.add(
            method,
            "finetune",
            {"top1": (predicted == wanted).mean()},
            seed,
            readable,
            True,
            epochs=epochs,
            batch_size=self.fit_options["batch_size"],
        )
        if keep:
            self._predictions(wanted, predicted, "finetune", rows)
        self.evaluation.save_if_asked()

    def floors(self):
        self.evaluation.say("floors: nearest neighbours on tiny pictures")
        workers = self.options["workers"]
        train, known = floors.floor_features(self.train, workers)
        test, asked = floors.floor_features(self.test, workers)
        y, wanted = self.ids(self.train, known), self.ids(self.test, asked)
        whole = {"frames": "all", "stride": 1, "crop": "whole frame, 8x8", "views": "whole video"}
        for name in floors.FLOORS:
            indices = floors.nearest(test[name], train[name], max(retrieval.KS))
            hits = retrieval.hit_at_k(indices, wanted, y)
            readable = len(known), len(asked)
            scores = {f"top{k}": value for k, value in hits.items()}
            if "retrieval" in self.protocols:
                self.add(name, "retrieval", scores, None, readable, False, **whole)
            if "knn" in self.protocols:
                value = knn_accuracy(test[name], train[name], wanted, y, self.k)
                self.add(name, "knn", {"top1": value}, None, readable, True, k=self.k, **whole)
        self.evaluation.save_if_asked()

    def _keep(self, train, test, known, asked):
        features = test["average"]
        indices, values = retrieval.neighbours(
            test["retrieval"], train["retrieval"], _SHOWN + self.same
        )
        if self.same:  # a video is its own nearest neighbour
            own = indices == np.arange(len(indices))[:, None]
            own[~own.any(axis=1), -1] = True  # or one of several identical ones
            shape = len(indices), indices.shape[1] - 1
            indices, values = indices[~own].reshape(shape), values[~own].reshape(shape)
        self.evaluation.artefacts.update(
            embedding=features.astype(np.float32),
            map=plane(features),
            paths=np.array([self.test.paths[i] for i in asked]),
            labels=_text(self.test.labels[asked]),
            gallery_paths=np.array([self.train.paths[i] for i in known]),
            gallery_labels=_text(self.train.labels[known]),
            neighbours=indices,
            neighbour_similarity=values,
            class_names=np.array(self.names, dtype=str),
        )

    def _predictions(self, wanted, predicted, by, rows=None):
        names = np.array(self.names, dtype=str)
        self.evaluation.artefacts.update(
            confusion=confusion_matrix(wanted, predicted, len(names)),
            true=names[wanted],
            predicted=names[predicted],
            predicted_by=np.array(by),
        )
        if rows is not None:
            self.evaluation.artefacts["predicted_paths"] = np.array(
                [self.test.paths[i] for i in rows]
            )


def _name(method, seed):
    return method if seed is None else f"{method}, seed {seed}"


def _text(labels):
    return np.array(["" if label is None else label for label in labels], dtype=str)


def _own(groups):
    """A video without a group is its own."""
    return [f"row {i}" if g is None else f"group {g}" for i, g in enumerate(groups)]
