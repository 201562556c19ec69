"""Use a kept model on other images: calibrated probabilities, and a warning for strange images.

`load` reads a fold's folder without running code from it (Keras' safe mode; skops, not pickle),
`predict` gives one row per image. Research software, not for clinical use.
"""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import PIL.Image

from leukkit import (
    answers,
    explain,
    images,
    kept_models,
    outliers,
    segmentation,
)
from leukkit.datasets import decode
from leukkit.kept_models.classifier_files import ModelFileError
from leukkit.metrics import calibration
from leukkit.progress import progress

UNLIKE = "unlike the training images: do not rely on the answer"


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model that was kept, ready to be used.

    Attributes:
        folder: Where it lies.
        facts: The fields of ``predictor.json`` (`kept_models.FIELDS`).
        answer: From uint8 images (n, side, side, 3) to float32 embeddings (n, features) and
            float64 probabilities (n, classes), not calibrated.
        reference: `outliers.Reference`, or None where no images were set aside for a threshold.
        network: The ``keras.Model``, for Grad-CAM; None for a classifier on features.
    """

    folder: pathlib.Path
    facts: dict
    answer: Callable
    reference: outliers.Reference | None
    network: object = None

    @property
    def classes(self):
        """The class names, in the order of the columns."""
        return tuple(self.facts["classes"])

    @property
    def preparation(self):
        """How images become pixels, as in training."""
        return images.Preparation(self.facts["image_size"], self.facts["segmentation"])


def load(path):
    """Return the model that a fold kept.

    Args:
        path: The fold's folder, or the model file in it.

    Returns:
        A `Predictor`.

    Raises:
        FileNotFoundError: No model was kept there, or a file that it needs is missing.
        ModelFileError: A file is damaged, changed, of another version, or would run code.
        leukkit.models.WeightsError: The weights under a classifier cannot be read.
    """
    folder, facts, reference = kept_models.read(path)
    try:
        images.Preparation(facts["image_size"], facts["segmentation"])
    except TypeError as error:
        raise ModelFileError(f"{folder / kept_models.RECORD}: segmentation: {error}") from error
    if facts["model"] == kept_models.NETWORK:
        network = answers.load_network(folder / kept_models.NETWORK, facts)
        return Predictor(folder, facts, answers.of_network(network), reference, network)
    answer = answers.of_classifier(folder / kept_models.CLASSIFIER, facts)
    return Predictor(folder, facts, answer, reference)


def predict(predictor, paths, batch_size=32):
    """Predict images, each on its own: a damaged one does not stop the others.

    Args:
        predictor: A `Predictor`.
        paths: Image files that `leukkit.images` reads, of any size.
        batch_size: Images in memory at once.

    Returns:
        A frame, one row per path in their order:

        * ``image`` (the path), ``predicted`` (class), ``confidence`` (its probability) and
          ``prob_<class>``: after temperature scaling where ``calibrated`` is True;
        * ``distance`` to the training images (see `leukkit.outliers`), ``threshold``, and
          ``unlike_training``: whether it lies above; NA where the model has no threshold;
        * ``warning``, ``error``: texts, NA where all is well. With an error the rest is NA.
    """
    starts = range(0, len(paths), batch_size)
    rows = []
    for start in progress(starts, "predicting", unit="batch"):
        rows += _predict_batch(predictor, list(paths[start : start + batch_size]))
    text = dict.fromkeys(("image", "predicted", "warning", "error"), "string")
    types = {**text, "calibrated": "boolean", "unlike_training": "boolean"}
    return pd.DataFrame(rows, columns=_columns(predictor)).astype(types)


def look(predictor, paths):
    """Show where a network looks for the class that it predicts (`explain.grad_cam`).

    Args:
        predictor: A `Predictor` of a network.
        paths: n image files that can be read.

    Returns:
        What the network saw, uint8 (n, side, side, 3), and the maps, float32 (n, side, side).

    Raises:
        ValueError: The model is a classifier on features.
        images.ImageError: As `leukkit.images.prepare`.
    """
    check_explainable(predictor)
    pixels = np.concatenate([_prepare(predictor, path)[0] for path in paths])
    return pixels, explain.grad_cam(predictor.network, pixels)


def check_explainable(predictor):
    """Raise ValueError if Grad-CAM is not defined for the model: see `look`."""
    if predictor.network is None:
        run = predictor.facts["run"].get("classifier", "classifier")
        raise ValueError(
            f"Grad-CAM is not defined for this model, a {run} on features of "
            f"{predictor.facts['backbone']}: it follows gradients through one network from the "
            "class to the feature map. Use a model.keras, or leave Grad-CAM out"
        )


def find_images(paths):
    """Return image files in the order given; in place of a folder those below it, sorted.

    Raises:
        FileNotFoundError: A folder holds no image.
    """
    endings = tuple(ending for several in decode.SUFFIXES.values() for ending in several)
    found = []
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        below = sorted(one for one in path.rglob("*") if one.suffix.lower() in endings)
        if not below:
            raise FileNotFoundError(
                f"{path}: no image in this folder; looked for {', '.join(endings)}"
            )
        found += below
    return found


def _columns(predictor):
    probabilities = [f"prob_{name}" for name in predictor.classes]
    first = ["image", "predicted", "confidence", *probabilities, "calibrated"]
    return [*first, "distance", "threshold", "unlike_training", "warning", "error"]


def _predict_batch(predictor, paths):
    """Return a dict for each path; what could not be read has an ``error``."""
    rows = [{"image": str(path)} for path in paths]
    pixels, readable = [], []
    for row, path in zip(rows, paths, strict=True):
        try:
            prepared, row["warning"] = _prepare(predictor, path)
        except (images.ImageError, segmentation.SegmentationError, OSError) as error:
            row["error"] = str(error).removesuffix(decode.FETCH_AGAIN).strip()
        else:
            pixels.append(prepared)
            readable.append(row)
    if not readable:
        return rows
    vectors, probabilities = predictor.answer(np.concatenate(pixels))
    if not (np.isfinite(vectors).all() and np.isfinite(probabilities).all()):
        raise ModelFileError(
            f"{predictor.folder}: the model gives values that are not finite; its weights are "
            "damaged. Make the run again"
        )
    temperature = predictor.facts["temperature"]
    if temperature is not None:
        probabilities = calibration.scale_probabilities(probabilities, temperature)
    for row, values in zip(readable, probabilities, strict=True):
        row |= {f"prob_{name}": p for name, p in zip(predictor.classes, values, strict=True)}
        row["predicted"] = predictor.classes[int(values.argmax())]
        row["confidence"] = values.max()
        row["calibrated"] = temperature is not None
    if predictor.reference is not None:
        limit = predictor.facts["threshold"]
        distances = outliers.distances(predictor.reference, vectors)
        for row, distance in zip(readable, distances, strict=True):
            far = bool(distance > limit)
            row |= {"distance": distance, "threshold": limit, "unlike_training": far}
            row["warning"] = "; ".join(filter(None, [UNLIKE if far else "", row["warning"]]))
    for row in readable:
        row["warning"] = row["warning"] or pd.NA
    return rows


def _prepare(predictor, path):
    """Return the pixels of one image (1, side, side, 3), and what is unusual about its size."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise images.ImageError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    crop = predictor.facts["crop"]
    row = pd.DataFrame({"image_id": [path.name], "path": [str(path)], "crop": [crop]})
    pixels = images.prepare(row, predictor.preparation, threads=1)
    sizes = predictor.facts["sizes"]
    if sizes is None:
        return pixels, ""
    with PIL.Image.open(path) as image:  # reads the header only
        size = image.size
    within = zip(sizes["smallest"], size, sizes["largest"], strict=True)
    if all(low <= side <= high for low, side, high in within):
        return pixels, ""
    width, height = sizes["usual"]
    return pixels, f"{size[0]} x {size[1]} pixels, training images are {width} x {height}"
