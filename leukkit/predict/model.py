"""A saved model, ready for other images: calibrated probabilities, a warning for strange ones.

`load` reads a fold's folder without running code from it (Keras's safe mode; arrays, not pickle),
`predict` gives one row per image. Research software, not for clinical use.
"""

import contextlib
import dataclasses
import operator
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image

from leukkit import (
    classifiers,
    environment,
    explain,
    features,
    images,
    models,
    saved,
    segmentation,
)
from leukkit.datasets import decode, published
from leukkit.files import progress
from leukkit.metrics import calibration, conformal
from leukkit.records import BACKBONES
from leukkit.saved import ModelFileError, classifier_files, outliers, packed

AT_ONCE = 16  # images in a figure
OUT_OF_DISTRIBUTION = "out of distribution: do not rely on the answer"
SEEN = "was in this model's training or validation part: the answer comes out too good"


@dataclasses.dataclass
class Predictor(saved.Saved):
    """A saved model that answers.

    Attributes:
        preparation: How images become pixels, as in training.
        answer: What the model makes of uint8 pixels (n, side, side, 3), before calibration: float32
            embeddings (n, features) and float64 probabilities (n, classes).
        network: The ``keras.Model``, for Grad-CAM; None for a classifier on features.
    """

    preparation: images.Preparation
    answer: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    network: Any = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the columns."""
        return tuple(self.record.classes)


def load(path: pathlib.Path | str) -> Predictor:
    """Return the model that a fold saved.

    Args:
        path: The fold's folder, the model file in it, or what `saved.packed.pack` made of it.

    Raises:
        FileNotFoundError: No model was saved there, or a file that it needs is missing.
        ModelFileError: A file is damaged, changed, of another version, or would run code.
        leukkit.models.WeightsError: The weights under a classifier cannot be read.
    """
    with packed.opened(path) as where:
        found = saved.read(where)
        record, recipe = found.record, found.recipe
        is_network = record.model == saved.NETWORK
        if is_network != (recipe.classifier is None):
            raise ModelFileError(
                f"{found.folder / saved.RECORD}: model {record.model} and classifier "
                f"{recipe.classifier!r} of the recipe contradict each other"
            )
        environment.start_tensorflow()
        environment.check_keras()
        network, answer = (_network if is_network else _classifier)(found)
        side = recipe.image_size
        preparation = images.Preparation(side, recipe.segmentation, stain=record.stain)
        made = Predictor(**vars(found), preparation=preparation, answer=answer, network=network)
        with _refused(found.folder / record.model):  # what does not fit together shows here
            answers(made, np.zeros((1, side, side, 3), np.uint8))
    return made if made.folder.exists() else dataclasses.replace(made, folder=pathlib.Path(path))


def predict(
    predictor: Predictor,
    paths: Sequence[pathlib.Path | str],
    batch_size: int = 32,
    level: float = 0.9,
) -> pd.DataFrame:
    """Predict images, each on its own: a damaged one does not stop the others.

    The paths name image files that `leukkit.images` reads, of any size; ``batch_size`` of them are
    in memory at once; ``level`` is how often the sets are to hold the true class.

    Returns:
        A frame, one row per path in their order:

        * ``image`` (the path), ``predicted`` (class), ``confidence`` (its probability) and
          ``prob_<class>``: after temperature scaling where ``calibrated`` is True;
        * ``set``: the classes that it may be, such as ``{ALL}``, ``{healthy, ALL}`` or ``none``
          (`leukkit.metrics.conformal`); NA where the model can promise nothing;
        * ``distance`` to the training images (see `leukkit.saved.outliers`), ``threshold``, and
          ``out_of_distribution``: whether it lies above; NA where the model has no threshold;
        * ``seen``: whether the model was trained or tuned on this very image, by its pixels;
        * ``warning``, ``error``: texts, NA where all is well. With an error the rest is NA.

    Raises:
        ValueError: The level is no whole percent from 0.50 to 0.99.
    """
    limits, place = predictor.record.limits, conformal.place(level)
    starts = range(0, len(paths), batch_size)
    rows = []
    for start in progress(starts, "predicting", unit="batch"):
        rows += _predict_batch(predictor, paths[start : start + batch_size])
    probabilities = [f"prob_{name}" for name in predictor.classes]
    columns = ["image", "predicted", "confidence", *probabilities, "calibrated", "set"]
    columns += ["distance", "threshold", "out_of_distribution", "seen", "warning", "error"]
    text = dict.fromkeys(("image", "predicted", "set", "warning", "error"), "string")
    truth = dict.fromkeys(("calibrated", "out_of_distribution", "seen"), "boolean")
    frame = pd.DataFrame(rows, columns=columns).astype(text | truth)
    if limits:
        done, limit = frame["error"].isna(), limits[place]
        found, limit = frame.loc[done, probabilities], np.inf if limit is None else limit
        frame.loc[done, "set"] = conformal.sets(found, limit, predictor.classes)
    return frame


def look(
    predictor: Predictor, paths: Sequence[pathlib.Path | str]
) -> tuple[np.ndarray, np.ndarray]:
    """Show where a network looks for the class that it predicts (`explain.grad_cam`).

    Returns:
        What the network saw, uint8 (n, side, side, 3), and the maps, float32 (n, side, side).

    Raises:
        ValueError: A classifier on features, or an image that cannot be used (and names it).
    """
    check_explainable(predictor)
    pixels = np.stack([_prepare(predictor, path)[0] for path in paths])
    return pixels, explain.grad_cam(predictor.network, pixels)


def looks(
    predictor: Predictor, frame: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, np.ndarray, np.ndarray]]:
    """Yield every sixteen rows of `predict` without an error, and what `look` gives for them.

    The rows have in columns ``map_…`` what `explain.checks` finds.
    """
    done = frame[frame["error"].isna()]
    for start in progress(range(0, len(done), AT_ONCE), "checking Grad-CAM", unit="batch"):
        rows = done.iloc[start : start + AT_ONCE]
        pixels, maps = look(predictor, list(rows["image"]))
        checked = explain.checks(predictor.network, pixels, maps)
        checked = checked.astype({"passes": "boolean"}).set_index(rows.index)
        yield rows.join(checked.add_prefix("map_")), pixels, maps


def check_maps(predictor: Predictor, frame: pd.DataFrame) -> pd.DataFrame:
    """Return predictions with the columns ``map_…`` of `looks`, NA in rows with an error."""
    return with_checks(frame, [rows for rows, *_ in looks(predictor, frame)])


def with_checks(frame: pd.DataFrame, checked: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return predictions with the columns ``map_…`` that some rows of them have."""
    return frame.join(pd.concat(checked).filter(regex="^map_")) if checked else frame


def check_explainable(predictor: Predictor) -> None:
    """Raise ValueError if Grad-CAM is not defined for the model: see `look`."""
    if predictor.network is None:
        raise ValueError(
            f"Grad-CAM is not defined for this model, {predictor.recipe.classifier} on features of "
            f"{predictor.recipe.network}: it follows gradients through one network from the "
            "class to the feature map. Use a model.keras, or leave Grad-CAM out"
        )


def find_images(paths: Iterable[pathlib.Path | str]) -> list[pathlib.Path]:
    """Return image files in the order given; in place of a folder those below it, sorted.

    As `leukkit.datasets.published.files_below`; FileNotFoundError where a folder holds no image.
    """
    found = []
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        files = published.files_below(path)
        below = sorted(one for one in files if one.suffix.lower() in decode.SUFFIXES)
        if not below:
            raise FileNotFoundError(
                f"{path}: no image in this folder; looked for {', '.join(decode.SUFFIXES)}"
            )
        found += below
    return found


def _predict_batch(predictor, paths):
    """Return a dict for each path; what could not be read has an ``error``."""
    rows = [{"image": str(path)} for path in paths]
    pixels, readable = [], []
    for row in rows:
        try:
            prepared, whole = _prepare(predictor, row["image"])
        except (images.ImageError, segmentation.SegmentationError, OSError) as error:
            row["error"] = str(error).removesuffix(decode.FETCH_AGAIN).strip()
        else:
            mark = saved.marks([decode.pixel_hash(whole)])
            row["seen"] = bool(np.isin(mark, predictor.seen)[0])
            unusual = _unusual(predictor.record.sizes, whole.shape[1::-1])
            pixels.append(prepared)
            readable.append((row, [*unusual, *[SEEN] * row["seen"]]))
    if not readable:
        return rows
    probabilities, distances = answers(predictor, np.stack(pixels))
    temperature, threshold = predictor.record.temperature, predictor.record.threshold
    for (row, warnings), values, distance in zip(readable, probabilities, distances, strict=True):
        row |= {f"prob_{name}": p for name, p in zip(predictor.classes, values, strict=True)}
        row["predicted"] = predictor.classes[int(values.argmax())]
        row["confidence"] = values.max()
        row["calibrated"] = temperature is not None
        if distance is not None:
            far = bool(distance > threshold)
            row |= {"distance": distance, "threshold": threshold, "out_of_distribution": far}
            warnings = [OUT_OF_DISTRIBUTION] * far + warnings
        row["warning"] = "; ".join(warnings) or pd.NA
    return rows


def answers(predictor: Predictor, pixels: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return calibrated probabilities (n, classes) of pixels, and the distance of each or None."""
    vectors, probabilities = map(np.asarray, predictor.answer(pixels))
    if not (np.isfinite(vectors).all() and ((probabilities >= 0) & (probabilities <= 1)).all()):
        raise ModelFileError(
            f"{predictor.folder}: the model gives values that are not finite, or no probabilities; "
            "its weights are damaged. Make the run again"
        )
    if predictor.record.temperature is not None:
        probabilities = calibration.scale_probabilities(probabilities, predictor.record.temperature)
    if predictor.reference is None:
        return probabilities, [None] * len(pixels)
    return probabilities, outliers.distances(predictor.reference, vectors)


def _prepare(predictor, path):
    """Return the pixels of one image as in training (side, side, 3), and those of the whole file.

    A file is decoded once: whether the model knows the image, the whole pixels tell.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise images.ImageError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    whole = decode.read(path)
    with PIL.Image.open(path) as image:  # reads the header only
        is_gray = image.mode == "L"
    if is_gray and not predictor.record.gray:
        raise images.ImageError(
            f"{path}: is gray, and the model was trained on images in color. Use a model of a data "
            "set with gray = true in its leukkit.toml"
        )
    shown = decode.center(whole, predictor.record.crop, path)
    pixels, problem = images.segment_and_resize(shown, predictor.preparation)
    if problem:
        raise segmentation.SegmentationError(
            f"{path}: no nucleus found ({problem}), and the model was trained on nuclei alone. "
            "Look at the image; leave it out, or use a model without segmentation"
        )
    return pixels, whole


def _unusual(sizes, size):
    """Say in a list that an image (width, height) is larger or smaller than all of training."""
    if sizes is None or all(map(operator.le, [*sizes.smallest, *size], [*size, *sizes.largest])):
        return []
    return ["{} x {} pixels, training images are {} x {}".format(*size, *sizes.usual)]


@contextlib.contextmanager
def _refused(path: pathlib.Path) -> Iterator[None]:
    """Say of whatever goes wrong that it is the file: one from elsewhere may raise anything."""
    try:
        yield
    except ModelFileError:
        raise
    except Exception as error:
        why = str(error).strip() or type(error).__name__
        raise ModelFileError(
            f"{path} cannot be used, and no code of it was run ({why}). Make the run "
            "again, or get the file anew"
        ) from error


def _network(found: saved.Saved) -> tuple[Any, Callable]:
    """Return the ``keras.Model`` of a file, and its answers, without running code from it."""
    from keras import ops

    path, record, side = found.folder / saved.NETWORK, found.record, found.recipe.image_size
    classifier_files.check_archive(path)  # Keras would go by the content, and read older formats
    with _refused(path):
        network = models.load(path)
        with_embeddings = outliers.with_embeddings(network)
    expected = (None, side, side, 3), (None, len(record.classes))
    if (network.input_shape, network.output_shape) != expected:
        raise ModelFileError(
            f"{path} goes from {network.input_shape} to {network.output_shape}; its "
            f"{saved.RECORD} says {side} pixels and {len(record.classes)} classes"
        )

    def answer(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = with_embeddings(pixels.astype(np.float32), training=False)
        vectors, values = (ops.convert_to_numpy(one) for one in outputs)
        values = values.astype(np.float64)
        return vectors, values / values.sum(axis=1, keepdims=True)

    return network, answer


def _classifier(found: saved.Saved) -> tuple[None, Callable]:
    """Return the answers of a classifier, if the weights below it are the same."""
    from keras import ops

    record, recipe, name = found.record, found.recipe, found.recipe.network
    classifier = classifier_files.load(found.folder / saved.CLASSIFIER)
    kept = [one for one in record.sha256 if one in BACKBONES]
    weights = found.folder / kept[0] if kept else recipe.weights_source
    known = models.weights_id(name, weights, record.seed, recipe.width)
    if known != record.weights:
        raise ModelFileError(
            f"the weights {recipe.weights} of {name} are other ones than the model was made with "
            f"({known[:20]} in place of {record.weights[:20]}); use the version of leukkit that "
            "made it"
        )
    backbone = models.build_backbone(name, recipe.image_size, weights, record.seed, recipe.width)

    def answer(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs = features.network_input(pixels, name, recipe.normalization)
        vectors = ops.convert_to_numpy(backbone(inputs, training=False))
        return vectors, classifiers.class_scores(classifier, vectors, record.classes)

    return None, answer
