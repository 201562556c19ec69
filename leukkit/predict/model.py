"""A saved model, ready for other images: calibrated probabilities, a warning for strange ones.

`load` reads a fold's folder without running code from it (Keras's safe mode; arrays, not pickle),
`predict` gives one row per image. Research software, not for clinical use.
"""

import contextlib
import dataclasses
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
from leukkit.records import BACKBONES, SavedRecord
from leukkit.saved import ModelFileError, classifier_files, outliers, packed
from leukkit.schemas import Recipe

AT_ONCE = 16  # images in a figure
OUT_OF_DISTRIBUTION = "out of distribution: do not rely on the answer"
SEEN = "was in this model's training or validation part: the answer comes out too good"


@dataclasses.dataclass
class Predictor:
    """A model that was saved.

    Attributes:
        folder: Where it lies: a fold's folder, or a packed file.
        record: Its `schemas.SavedRecord`.
        recipe: What the model is.
        reference: `outliers.Reference`, or None where no images were set aside for a threshold.
        seen: `saved.marks` of the images that it was trained on, or tuned with.
        preparation: How images become pixels, as in training.
        answer: What the model makes of uint8 pixels (n, side, side, 3), before calibration: a
            function that returns float32 embeddings (n, features) and float64 probabilities
            (n, classes).
        network: The ``keras.Model``, for Grad-CAM; None for a classifier on features.
    """

    folder: pathlib.Path
    record: SavedRecord
    recipe: Recipe
    reference: outliers.Reference | None
    seen: np.ndarray
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
        folder, record, recipe, reference, seen = saved.read(where)
        preparation = images.Preparation(recipe.image_size, recipe.segmentation, stain=record.stain)
        is_network = record.model == saved.NETWORK
        if is_network != (recipe.classifier is None):
            raise ModelFileError(
                f"{folder / saved.RECORD}: model {record.model} and classifier "
                f"{recipe.classifier!r} of the recipe contradict each other"
            )
        environment.start_tensorflow()
        environment.check_keras()
        file, network = folder / record.model, None
        if is_network:
            network, answer = _network(file, record, recipe)
        else:
            answer = _answers_of_classifier(classifier_files.load(file), folder, record, recipe)
        made = Predictor(folder, record, recipe, reference, seen, preparation, answer, network)
        side = recipe.image_size
        with _refused(file):  # what does not fit together shows in the first answer
            answers(made, np.zeros((1, side, side, 3), np.uint8))
    return made if folder.exists() else dataclasses.replace(made, folder=pathlib.Path(path))


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
    limit = limits[place] if limits else None
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
        done = frame["error"].isna()
        found = frame.loc[done, probabilities]
        frame.loc[done, "set"] = conformal.sets(
            found, np.inf if limit is None else limit, predictor.classes
        )
    return frame


def look(
    predictor: Predictor, paths: Sequence[pathlib.Path | str]
) -> tuple[np.ndarray, np.ndarray]:
    """Show where a network looks for the class that it predicts (`explain.grad_cam`).

    Returns:
        What the network saw, uint8 (n, side, side, 3), and the maps, float32 (n, side, side).

    Raises:
        ValueError: The model is a classifier on features.
        images.ImageError: As `leukkit.images.prepare`.
    """
    check_explainable(predictor)
    pixels = np.concatenate([_pixels(predictor, path) for path in paths])
    return pixels, explain.grad_cam(predictor.network, pixels)


def check_maps(predictor: Predictor, frame: pd.DataFrame) -> pd.DataFrame:
    """Check the Grad-CAM of each image: what `explain.checks` finds, in columns ``map_…``.

    Args:
        predictor: A network.
        frame: From `predict`. Rows with an error get NA.
    """
    done = frame.index[frame["error"].isna()]
    found = []
    for start in progress(range(0, len(done), AT_ONCE), "checking Grad-CAM", unit="batch"):
        rows = done[start : start + AT_ONCE]
        checked = explain.checks(predictor.network, *look(predictor, list(frame["image"][rows])))
        found.append(checked.set_index(rows).add_prefix("map_"))
    if not found:
        return frame
    return frame.join(pd.concat(found).astype({"map_passes": "boolean"}))


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

    Folders behind links count, hidden files do not: `leukkit.datasets.published.files_below`.

    Raises:
        FileNotFoundError: A folder holds no image.
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
            prepared, unusual, row["seen"] = _prepare(predictor, row["image"])
        except (images.ImageError, segmentation.SegmentationError, OSError) as error:
            row["error"] = str(error).removesuffix(decode.FETCH_AGAIN).strip()
        else:
            pixels.append(prepared)
            readable.append((row, unusual))
    if not readable:
        return rows
    probabilities, distances = answers(predictor, np.concatenate(pixels))
    temperature, threshold = predictor.record.temperature, predictor.record.threshold
    for (row, unusual), values, distance in zip(readable, probabilities, distances, strict=True):
        row |= {f"prob_{name}": p for name, p in zip(predictor.classes, values, strict=True)}
        row["predicted"] = predictor.classes[int(values.argmax())]
        row["confidence"] = values.max()
        row["calibrated"] = temperature is not None
        warnings = [unusual] * bool(unusual) + [SEEN] * row["seen"]
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


def _pixels(predictor, path):
    """Return the pixels of one image as in training (1, side, side, 3)."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise images.ImageError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    crop = predictor.record.crop
    row = pd.DataFrame({"image_id": [path.name], "path": [str(path)], "crop": [crop]})
    pixels = images.prepare(row, predictor.preparation, threads=1)
    with PIL.Image.open(path) as image:  # reads the header only
        is_gray = image.mode == "L"
    if is_gray and not predictor.record.gray:
        raise images.ImageError(
            f"{path}: is gray, and the model was trained on images in color. Use a model of a data "
            "set with gray = true in its leukkit.toml"
        )
    return pixels


def _prepare(predictor, path):
    """Return the pixels of one image (1, side, side, 3), what is unusual, and if it was seen."""
    pixels = _pixels(predictor, path)
    found, sizes = decode.verify(path, gray=True), predictor.record.sizes
    seen = bool(np.isin(saved.marks([found.sha256]), predictor.seen)[0])
    if sizes is None:
        return pixels, "", seen
    size = (found.width, found.height)
    within = zip(sizes.smallest, size, sizes.largest, strict=True)
    if all(low <= side <= high for low, side, high in within):
        return pixels, "", seen
    width, height = sizes.usual
    return pixels, f"{size[0]} x {size[1]} pixels, training images are {width} x {height}", seen


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


def _network(path: pathlib.Path, record: SavedRecord, recipe: Recipe) -> tuple[Any, Callable]:
    """Return the ``keras.Model`` of a file, and its answers, without running code from it."""
    classifier_files.check_archive(path)  # Keras would go by the content, and read older formats
    with _refused(path):
        network = models.load(path)
        answer = _answers_of_network(network)
    side, classes = recipe.image_size, len(record.classes)
    if (network.input_shape, network.output_shape) != ((None, side, side, 3), (None, classes)):
        raise ModelFileError(
            f"{path} goes from {network.input_shape} to {network.output_shape}; its "
            f"{saved.RECORD} says {side} pixels and {classes} classes"
        )
    return network, answer


def _answers_of_network(network: Any) -> Callable:
    """Return what `Predictor.answer` is for a network."""
    from keras import ops

    with_embeddings = outliers.with_embeddings(network)

    def answer(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = with_embeddings(pixels.astype(np.float32), training=False)
        vectors, values = (ops.convert_to_numpy(one) for one in outputs)
        values = values.astype(np.float64)
        return vectors, values / values.sum(axis=1, keepdims=True)

    return answer


def _answers_of_classifier(
    classifier: Any, folder: pathlib.Path, record: SavedRecord, recipe: Recipe
) -> Callable:
    """Return what `Predictor.answer` is for a classifier, if the weights below it are the same."""
    from keras import ops

    name, kept = recipe.network, [one for one in record.sha256 if one in BACKBONES]
    weights = folder / kept[0] if kept else recipe.weights_source
    found = models.weights_id(name, weights, record.seed, recipe.width)
    if found != record.weights:
        raise ModelFileError(
            f"the weights {recipe.weights} of {name} are other ones than the model was made with "
            f"({found[:20]} in place of {record.weights[:20]}); use the version of leukkit that "
            "made it"
        )
    backbone = models.build_backbone(name, recipe.image_size, weights, record.seed, recipe.width)

    def answer(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs = features.network_input(pixels, name, recipe.normalization)
        vectors = ops.convert_to_numpy(backbone(inputs, training=False))
        return vectors, classifiers.class_scores(classifier, vectors, record.classes)

    return answer
