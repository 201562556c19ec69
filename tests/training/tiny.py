"""A network small enough to be trained many times in the tests, in the place of the real ones.

``python -m tests.training.tiny FOLDER '{"folds": 7}'`` cross-validates it in a process of its own.
"""

import json
import sys
from unittest import mock

import numpy as np

from leukkit import datasets, models, splits, training
from leukkit.schemas import SplitTable

PHASES = ({"epochs": 3, "learning_rate": 0.05},)


def build(
    name,
    classes,
    image_size,
    weights=None,
    head=None,
    *,
    normalization,
    statistics=None,
    seed=0,
    width=1.0,
):
    """Two convolutions and a head with dropout, built as `leukkit.models.build` builds."""
    import keras

    kernel = keras.initializers.GlorotUniform(seed=seed)
    image = keras.Input((image_size, image_size, 3), name="image")
    mean, deviation = statistics or (127.5, 60.0)
    x = keras.layers.Normalization(mean=mean, variance=np.square(deviation))(image)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", kernel_initializer=kernel)(x)
    if name == "tiny-normalized":
        x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", kernel_initializer=kernel)(x)
    features = keras.layers.Identity(name="features")(x)
    inner = keras.Input(features.shape[1:])
    pooled = keras.layers.GlobalAveragePooling2D()(inner)
    pooled = keras.layers.Dropout(0.0 if name == "tiny-plain" else 0.3, seed=seed)(pooled)
    output = keras.layers.Dense(
        classes, "softmax", kernel_initializer=kernel, dtype="float32", name="predictions"
    )(pooled)
    head = keras.Model(inner, output, name="head")
    return keras.Model(image, head(features), name=name)


def installed():
    """Return a context in which the tiny network stands in the place of the real ones."""
    known = {"weights_used": lambda *_, **__: "random", "weights_id": lambda *_: "tiny"}
    return mock.patch.multiple(models, build=build, **known)


def install():
    """Put it there for the rest of this process: for the workers of a cluster."""
    installed().start()


def cells(per_class=24):
    """Return a part of the built-in cells, several subjects of each class."""
    frame = datasets.load("sample-cells")
    chosen = [
        group.groupby("subject").head(-(-per_class // 8)).head(per_class)
        for _, group in frame.groupby("label")
    ]
    positions = np.sort(np.concatenate([part.index.to_numpy() for part in chosen]))
    part = frame.loc[positions].reset_index(drop=True)
    part.attrs = frame.attrs
    return part


def split(frame, folds):
    """Return a split with given folds: only where it lies is read from its table."""
    known = {"split": "stratified", "folds": max(2, len(folds)), "name": "published"}
    return splits.Split(frame, folds, [], SplitTable(profile="sample", **known), 0)


def cross_validate(folder, network="tiny", folds=3, per_class=24, jobs=1, **settings):
    """Train the tiny network on stratified folds, with validation images."""
    frame = cells(per_class)
    divided = splits.folds(frame, {"split": "stratified", "folds": folds, "validation": 0.2})
    return run_folds(split(frame, divided), folder, network, jobs=jobs, **settings)


def run_folds(divided, folder, network="tiny", jobs=1, tensorboard=False, seed=0, **settings):
    """Train the tiny network on the folds of a split."""
    recipe = {"network": network, "image_size": 32, "phases": [*PHASES], "batch_size": 8}
    with installed():
        return training.cross_validate(
            divided,
            training.Recipe(**(recipe | settings)),
            name=network,
            seed=seed,
            results_dir=folder,
            jobs=jobs,
            tensorboard=tensorboard,
        )


def run_dir(folder, network="tiny"):
    """Return the folder of the one run of a network."""
    (found,) = folder.glob(f"own/sample/published/{network}~*")
    return found


if __name__ == "__main__":
    cross_validate(sys.argv[1], **json.loads(sys.argv[2]))
