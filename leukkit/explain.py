"""Where a network looks: Grad-CAM, and the cells that are worth looking at.

Grad-CAM is Selvaraju et al. 2017, "Grad-CAM: Visual explanations from deep networks via
gradient-based localization", section 3, equations 1 and 2. It shows which places of the image the
score of a class rests on. It does not show that the score is right, and it may not even show the
former: `checks` finds out.

This module needs TensorFlow: `keras.ops` has no gradients, so they are taken by TensorFlow's
``GradientTape``. Networks themselves stay independent of it.
"""

import contextlib
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from leukkit import environment, models, results, saved, segmentation
from leukkit.images import Preparation, prepare
from leukkit.metrics import arrays
from leukkit.saved.outliers import members

STEPS = 8  # in which an image is deleted, fewer where the feature map has fewer places
TIMES = 20  # random orders, and networks with shuffled weights
BETTER_THAN = 0.95  # of either: without any information 2 times in 21, about one in ten
EFFECT = 0.05  # of probability; below it the order hardly matters, as to random weights near 50%
CORRELATION = 0.5  # with the map of shuffled weights: above it a quarter of the ranks is the same
FLAT, RANDOM, SHUFFLED = "same everywhere", "random is as good", "shuffled is as good"

_BATCH = 16  # images at once; the gradient is taken of the head alone, so this is little memory


def explain_fold(
    folder: pathlib.Path | str, cells: pd.DataFrame, per_kind: int = 1, network: Any = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[str]]:
    """Explain test cells of a finished fold: of each class right and wrong ones (`examples`).

    Args:
        folder: Of the fold, such as ``run / "fold-0"``.
        cells: The frame that its split points into.
        per_kind: As in `examples`.
        network: What predicted the fold; None for the network that was saved with it.

    Returns:
        What `plots.grad_cam_grid` takes: images as the network saw them, RGB (n, side, side, 3);
        maps for the predicted classes (n, side, side), 0..1; titles, which also say where a map
        fails its `checks`.

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
    maps = grad_cam(network, pixels)
    chosen["fails"] = checks(network, pixels, maps)["fails"].to_numpy()
    titles = []
    for row in chosen.itertuples():
        told = "right\n" if row.correct else f"taken for\n{row.predicted}, "
        titles.append(f"{row.label}, {told}{row.confidence:.0%}{caption(row.fails)}")
    return pixels, maps, titles


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
        model: As for `outliers.with_embeddings`; the last Dense layer of "head" is "predictions".
        images: RGB, 0..255, float or uint8 (n, height, width, 3), of the model's image size.
        classes: For each image the position of the class to explain, ints (n,). None explains the
            class that the model predicts.

    Returns:
        float32 (n, height, width), 0..1, 1 at the place that speaks most for the class, all 0 where
        nothing does. As coarse as the feature map: a single place (VGG-19 at 32 pixels) gives 1.

    Raises:
        ValueError: Keras does not run on TensorFlow, ``model`` is not built as above, images or
            classes do not fit it, or its values are not finite.
    """
    import keras

    environment.check_keras(backend="tensorflow")
    images = np.asarray(images)
    _check(model, images, classes)
    parts = [_parts(member) for member in members(model)]
    maps = np.zeros(images.shape[:3], dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        here = slice(start, start + _BATCH)
        batch, explained = images[here].astype(np.float32), classes
        if explained is None:
            explained = keras.ops.convert_to_numpy(model(batch, training=False)).argmax(axis=1)
        else:
            explained = np.asarray(explained[here])
        maps[here] = _mean_map(parts, _features(parts, batch), explained, maps.shape[1:])
    return maps


def checks(
    model: Any,
    images: NDArray,
    maps: NDArray,
    classes: Sequence[int] | NDArray | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Check whether maps show what a network's answers rest on.

    Deletion (Petsiuk et al. 2018, "RISE", section 4.2): the places of the feature map are taken out
    of the image, those of most heat first, and filled with the image's mean color; the faster the
    probability of the class falls, the better is the map. It must fall faster than with 95% of 20
    random orders of the same places, and on average over steps and orders by 0.05 at least.

    Shuffled weights (after Adebayo et al. 2018, "Sanity checks for saliency maps", section 3): the
    weights of the head are exchanged for each other, within each array, 20 times. They are not
    made anew, so that they keep their sizes: a head of random weights cannot be told from its
    shuffled ones, whatever their distribution, and so passes by chance only, about one in ten. It
    is the head alone, because the map's weights are its gradients; with other features below, any
    map would change. The map must change, to a median rank correlation below 0.5; and the
    probability must fall more by the map's deletion than with 95% of the shuffled networks by that
    of theirs. Else the map shows what any head makes of these features, trained or not.

    A map that passes may still be of a network that is wrong. With 8 steps it takes 308 answers of
    the network per image, and 20 gradients of its head.

    Args:
        model: As for `grad_cam`; its weights are the same again afterwards.
        images: As for `grad_cam`.
        maps: (n, height, width), of the network for these images and classes.
        classes: As for `grad_cam`; with None each shuffled network explains what it predicts.
        seed: Of random orders and of shuffling.

    Returns:
        A frame, one row per image: ``passes``; ``fails``, what does not hold (``FLAT``, ``RANDOM``
        or ``SHUFFLED``), NA where it passes; ``deletion`` and ``random``, mean probability of the
        class over the steps, by the map and by random orders; ``better_than_random`` and
        ``better_than_shuffled``, shares (0..1); ``correlation``, with the maps of shuffled weights;
        ``heat_in_nucleus``, the share of the map's sum, ``nucleus_area``, that of the image, and
        ``nucleus_ratio`` of both, NaN without a nucleus (`segmentation.segment_nucleus`, highest
        cluster). That does not count for passing: a class may show in the cytoplasm.

    Raises:
        ValueError: As `grad_cam`, or maps of another shape than the images.
    """
    environment.check_keras(backend="tensorflow")
    images, maps = np.asarray(images), np.asarray(maps)
    _check(model, images, classes)
    if maps.shape != images.shape[:3]:
        raise ValueError(
            f"maps have shape {maps.shape}, but the images {images.shape}: expected what grad_cam "
            "gives for these images"
        )
    parts = [_parts(member) for member in members(model)]
    columns = ["deletion", "random", "better_than_random", "better_than_shuffled", "correlation"]
    columns += ["heat_in_nucleus", "nucleus_area", "nucleus_ratio"]
    rows = []
    for number, (image, one_map) in enumerate(zip(images, maps, strict=True)):
        given = None if classes is None else int(classes[number])
        found = _numbers(model, parts, image.astype(np.float32), one_map, given, seed)
        rows.append((*found, *_nucleus(image, one_map)))
    frame = pd.DataFrame(rows, columns=columns, dtype=float)
    small = frame["random"] - frame["deletion"] < EFFECT
    alike = frame["correlation"] >= CORRELATION
    told = [
        np.ptp(maps, axis=(1, 2)) == 0,
        small | (frame["better_than_random"] < BETTER_THAN),
        alike | (frame["better_than_shuffled"] < BETTER_THAN),
    ]
    fails = pd.Series(np.select(told, [FLAT, RANDOM, SHUFFLED], ""), dtype="string")
    fails = fails.replace("", pd.NA)
    return pd.DataFrame({"passes": fails.isna(), "fails": fails}).join(frame)


def caption(fails: Any) -> str:
    """Return what the title of a figure says of a map, nothing where ``fails`` is NA."""
    return "" if pd.isna(fails) else f"\nmap fails:\n{fails}"


def examples(predictions: pd.DataFrame, classes: Sequence[str], per_kind: int = 1) -> pd.DataFrame:
    """Choose right and wrong cells of each class, those the model is surest of first.

    Args:
        predictions: See `leukkit.metrics.predictions`.
        classes: Actual classes, in the order wanted.
        per_kind: How many right and how many wrong cells of each class, at most.

    Returns:
        The rows chosen, under their own index, for each class first the right ones, with the
        columns ``predicted``, ``confidence`` (probability of the predicted class), ``correct``.

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
    kinds = itertools.product(classes, (True, False))
    chosen = [frame[(frame["label"] == name) & (frame["correct"] == one)] for name, one in kinds]
    return pd.concat([part.head(per_kind) for part in chosen])


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


def _features(parts, images):
    """Return the last feature map of each member."""
    return [to_features(images, training=False) for to_features, *_ in parts]


def _mean_map(parts, features, classes, shape):
    """Return the mean of the members' maps, scaled."""
    found = [_maps(*one, classes, shape) for one in zip(parts, features, strict=True)]
    return _scaled(np.mean([_scaled(maps) for maps in found], axis=0))


def _maps(part, features, classes, shape):
    """Compute equations 1 and 2, enlarged to image size: float32 (n, height, width)."""
    import tensorflow
    from keras import ops

    _, to_last, last = part
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
    maps = ops.convert_to_numpy(ops.image.resize(maps, shape)[..., 0])
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


def _numbers(model, parts, image, one_map, given, seed):
    """Return the first five columns of `checks` for one image, float32 (height, width, 3)."""
    generator = np.random.default_rng(seed)
    places = _places(parts, one_map.shape)
    orders = [_order(one_map, places, generator)]
    orders += [generator.permutation(places.max() + 1) for _ in range(TIMES)]
    whole, features = _answers(model, image[None])[0], _features(parts, image[None])
    code = whole.argmax() if given is None else given
    deleted = _deleted(image, places, orders)
    areas = _answers(model, deleted)[:, code].reshape(len(orders), -1).mean(axis=1)
    fall, falls, same = whole[code] - areas[0], [], []
    with _head_kept(model, generator) as shuffle:
        for _ in range(TIMES):
            shuffle()
            whole = _answers(model, image[None])[0]
            code = whole.argmax() if given is None else given
            other = _mean_map(parts, features, np.array([code]), one_map.shape)[0]
            same.append(_rank_correlation(one_map, other))
            deleted = _deleted(image, places, [_order(other, places, generator)])
            falls.append(whole[code] - _answers(model, deleted)[:, code].mean())
    better = np.mean(areas[0] < areas[1:]), np.mean(fall > np.array(falls))
    return areas[0], areas[1:].mean(), *better, np.median(same)


def _places(parts, shape):
    """Return for each pixel the number of its place on the feature map, ints of that shape."""
    rows, columns = parts[0][0].output_shape[1:3]
    down, across = np.arange(shape[0]) * rows // shape[0], np.arange(shape[1]) * columns // shape[1]
    return down[:, None] * columns + across


def _order(one_map, places, generator):
    """Return the places, those of most heat first; of equal ones chance decides."""
    heat = np.bincount(places.ravel(), one_map.ravel()) / np.bincount(places.ravel())
    return np.lexsort((generator.random(len(heat)), -heat))


def _deleted(image, places, orders):
    """Delete ever more places in each order: float32 (orders * steps, height, width, 3)."""
    number = places.max() + 1
    steps = min(STEPS, number)
    # The last step, nothing left, is the same in every order.
    gone = [round(number * step / steps) for step in range(1, steps)] or [number]
    ranks = [np.argsort(order)[places] for order in orders]
    masks = np.stack([rank < count for rank in ranks for count in gone])
    return np.where(masks[..., None], image.mean(axis=(0, 1)), image).astype(np.float32)


def _answers(model, images):
    """Return probabilities, float64 (n, classes); compiled, because these are many images."""
    starts = range(0, len(images), _BATCH)
    found = [model.predict_on_batch(images[start : start + _BATCH]) for start in starts]
    return np.concatenate(found).astype(np.float64)


@contextlib.contextmanager
def _head_kept(model: Any, generator: np.random.Generator) -> Iterator[Callable[[], None]]:
    """Yield what shuffles the weights of the heads; at the end put them back, come what may."""
    heads = [member.get_layer("head") for member in members(model)]
    kept = [head.get_weights() for head in heads]

    def shuffle():
        for head, arrays in zip(heads, kept, strict=True):
            head.set_weights([generator.permuted(array) for array in arrays])

    try:
        yield shuffle
    finally:
        for head, arrays in zip(heads, kept, strict=True):
            head.set_weights(arrays)


def _rank_correlation(one, other):
    """Return Spearman's coefficient; 0 where a map is the same everywhere."""
    if not (np.ptp(one) and np.ptp(other)):
        return 0.0
    return scipy.stats.spearmanr(one.ravel(), other.ravel()).statistic


def _nucleus(image, one_map):
    """Return the shares of heat and of area in the nucleus, and their ratio."""
    try:
        pixels = np.clip(image, 0, 255).round().astype(np.uint8)
        mask = segmentation.segment_nucleus(pixels, rule="highest cluster")
    except segmentation.SegmentationError:  # a blank image has none
        return np.nan, np.nan, np.nan
    total, area = one_map.sum(), mask.mean()
    heat = one_map[mask].sum() / total if total else np.nan
    return heat, area, heat / area
