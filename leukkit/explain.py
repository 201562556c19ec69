"""Where a network looks: Grad-CAM, and the cells that are worth looking at.

Grad-CAM is Selvaraju et al. 2017, "Grad-CAM: Visual explanations from deep networks via
gradient-based localization", section 3, equations 1 and 2. It shows which places of the image the
score of a class rests on. It does not show that the score is right.

This module needs TensorFlow: `keras.ops` has no gradients, so they are taken by TensorFlow's
``GradientTape``. Networks themselves stay independent of it.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukkit import environment, models, results, saved
from leukkit.images import Preparation, prepare
from leukkit.metrics import arrays
from leukkit.saved.outliers import members

_BATCH = 16  # images at once; the gradient is taken of the head alone, so this is little memory


def explain_fold(
    folder: pathlib.Path | str, cells: pd.DataFrame, per_kind: int = 1, network: Any = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[str]]:
    """Explain test cells of a finished fold: of each class right and wrong ones.

    Args:
        folder: Of the fold, such as ``run / "fold-0"``.
        cells: The frame that its split points into.
        per_kind: How many right and how many wrong cells of each class, at most; those the network
            is surest of.
        network: What predicted the fold; None for the network that was saved with it.

    Returns:
        What `plots.grad_cam_grid` takes: images as the network saw them, RGB (n, side, side, 3);
        maps for the predicted classes (n, side, side), 0..1; titles, such as
        ``ALL, taken for healthy, 70%``.

    Raises:
        FileNotFoundError: No network was saved with the fold.
    """
    folder = pathlib.Path(folder)
    record = results.read_record(folder)
    if network is None and not (folder / "model.keras").exists():
        why = record.not_saved or "its number is none of models_kept"
        raise FileNotFoundError(f"{folder} has no saved network: {why}")
    network = network or models.load(folder / "model.keras")
    settings = record.configuration.recipe or {}
    preparation = Preparation(
        network.input_shape[1],
        settings.get("segmentation"),
        record.configuration.seed,
        settings.get("distortion"),
        saved.read(folder).record.stain if settings.get("stain") else None,
    )
    chosen = examples(results.read_fold(folder), record.configuration.classes, per_kind)
    shown = cells.set_index("image_id", drop=False).loc[chosen["image_id"]]
    pixels = prepare(shown, preparation)
    titles = [
        f"{row.label}, right\n{row.confidence:.0%}"
        if row.correct
        else f"{row.label}, taken for\n{row.predicted}, {row.confidence:.0%}"
        for row in chosen.itertuples()
    ]
    return pixels, grad_cam(network, pixels), titles


def grad_cam(
    model: Any, images: NDArray, classes: Sequence[int] | NDArray | None = None
) -> NDArray[np.float32]:
    """Show how much each place of each image speaks for a class.

    The gradient of the class score *before* the soft-max is taken with respect to the last feature
    map; its mean over the positions weights the channels (equation 1), and of their weighted sum
    the positive part is kept (equation 2). The map is brought to image size by bilinear
    interpolation and divided by its own maximum, so maps of different images cannot be compared in
    strength. For an ensemble whose members are nested models, the members' maps are averaged.

    Args:
        model: A network of `leukkit.models.build`: a layer "features", whose output (n, rows,
            columns, channels) is the last feature map, and a nested model "head", whose last Dense
            layer is named "predictions"; or a model with such networks nested in it.
        images: RGB, 0..255, float or uint8 (n, height, width, 3), of the model's image size.
        classes: For each image the position of the class to explain, ints (n,). None explains the
            class that the model predicts.

    Returns:
        float32 (n, height, width), 0..1, 1 at the place that speaks most for the class. All 0 where
        nothing speaks for it. It is as coarse as the feature map: one of a single place (VGG-19 at
        32 pixels) gives all 1.

    Raises:
        ValueError: Keras does not run on TensorFlow, ``model`` is not built as above, images or
            classes do not fit it, or its values are not finite.
    """
    import keras

    environment.check_keras(backend="tensorflow")
    images = np.asarray(images)
    _check(model, images, classes)
    networks = [_parts(member) for member in members(model)]
    maps = np.zeros(images.shape[:3], dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        here = slice(start, start + _BATCH)
        batch = images[here].astype(np.float32)
        if classes is None:
            explained = keras.ops.convert_to_numpy(model(batch, training=False)).argmax(axis=1)
        else:
            explained = np.asarray(classes[here])
        scaled = [_scaled(_maps(parts, batch, explained)) for parts in networks]
        maps[here] = _scaled(np.mean(scaled, axis=0))
    return maps


def examples(predictions: pd.DataFrame, classes: Sequence[str], per_kind: int = 1) -> pd.DataFrame:
    """Choose right and wrong cells of each class, those the model is surest of first.

    Args:
        predictions: See `leukkit.metrics.predictions`.
        classes: Actual classes, in the order wanted.
        per_kind: How many right and how many wrong cells of each class, at most.

    Returns:
        The rows of ``predictions`` chosen, under their own index, with the columns ``predicted``,
        ``confidence`` (probability of the predicted class) and ``correct``: for each class first
        the right cells, then the wrong ones. A class without wrong cells has no such rows.

    Raises:
        ValueError: As `leukkit.metrics.check_predictions`, or a class that is none of theirs.
    """
    answers = arrays(predictions)
    known = answers.classes
    if unknown := [name for name in classes if name not in known]:
        raise ValueError(f"unknown classes {unknown}; the predictions are of {', '.join(known)}")
    frame = predictions.assign(
        predicted=np.array(known, dtype=object)[answers.predicted],
        confidence=answers.probabilities.max(axis=1),
        correct=answers.is_right,
    )
    # Equal confidences are common where a network is sure: the image's name then decides.
    frame = frame.sort_values(["confidence", "image_id"], ascending=[False, True], kind="stable")
    chosen = [
        frame[(frame["label"] == name) & (frame["correct"] == correct)].head(per_kind)
        for name in classes
        for correct in (True, False)
    ]
    return pd.concat(chosen)


def _check(model, images, classes):
    """Refuse images and classes that do not fit the model."""
    expected, number = model.input_shape[1:], model.output_shape[-1]
    if images.shape[1:] != expected:
        raise ValueError(
            f"images have shape {images.shape}, but this network takes (n, *{expected}): resize "
            "them, and pass a single image as image[None]"
        )
    if classes is None:
        return
    classes = np.asarray(classes)
    if classes.shape != images.shape[:1] or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(
            f"classes must be {len(images)} ints, the position of a class for each image; found "
            f"shape {classes.shape} of {classes.dtype}"
        )
    if not np.isin(classes, range(number)).all():
        raise ValueError(
            f"classes go from {classes.min()} to {classes.max()}, but this network has {number}: "
            f"0 to {number - 1}"
        )


def _parts(network):
    """Cut a network: image -> feature map, feature map -> input of the last layer, last layer."""
    import keras

    head = network.get_layer("head")
    last = head.get_layer("predictions")
    to_features = keras.Model(network.input, network.get_layer("features").output)
    return to_features, keras.Model(head.input, last.input), last


def _maps(parts, images, classes):
    """Compute equations 1 and 2, enlarged to image size: float32 (n, height, width)."""
    import tensorflow
    from keras import ops

    to_features, to_last, last = parts
    features = to_features(images, training=False)
    with tensorflow.GradientTape() as tape:
        tape.watch(features)
        # The last layer's own activation is the soft-max, which the paper leaves out: where a
        # network is sure, its gradient vanishes. Its bias has no gradient.
        scores = ops.matmul(ops.cast(to_last(features, training=False), "float32"), last.kernel)
        # An image's score depends on its own features only, so one gradient of the sum serves all.
        total = ops.sum(scores * ops.one_hot(classes, scores.shape[-1]))
    gradients = ops.cast(tape.gradient(total, features), "float32")
    weights = ops.mean(gradients, axis=(1, 2), keepdims=True)
    maps = ops.relu(ops.sum(weights * ops.cast(features, "float32"), axis=-1, keepdims=True))
    maps = ops.convert_to_numpy(ops.image.resize(maps, images.shape[1:3])[..., 0])
    if not np.isfinite(maps).all():
        raise ValueError(
            "the Grad-CAM of this network is not finite: its weights or feature maps hold NaN or "
            "infinity. Look at the loss in its history.csv, and train again"
        )
    return maps


def _scaled(maps):
    """Divide each map by its maximum; a map of zeros stays as it is."""
    largest = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(largest > 0, largest, 1)
