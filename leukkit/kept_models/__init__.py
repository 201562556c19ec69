"""What lies beside a kept model so that it can be used on other images.

A fold's folder holds ``model.keras`` or ``model.skops``, and with it ``predictor.json`` (how images
are prepared, the temperature, the threshold) and ``predictor.npz`` (what is kept of the training
embeddings, see `leukkit.outliers`). Neither is needed for a score; `leukkit.predictor` reads them.
"""

import collections
import json
import pathlib
import warnings
import zipfile

import numpy as np
import PIL.Image

from leukkit import outliers, results
from leukkit.kept_models.classifier_files import ModelFileError
from leukkit.metrics import calibration
from leukkit.models.weights import sha256
from leukkit.writing import replace_when_done

FORMAT = 1  # of predictor.json
NETWORK, CLASSIFIER = "model.keras", "model.skops"
RECORD, ARRAYS = "predictor.json", "predictor.npz"
NOTHING_HELD_OUT = "this run set no validation images aside"
# Field -> the types it may have. The file may come from anywhere.
FIELDS = {
    "model": str,
    "sha256": dict,
    "configuration_hash": str,
    "paper": str,
    "protocol": str,
    "run": dict,
    "dataset": str,
    "classes": list,
    "image_size": int,
    "segmentation": (dict, type(None)),
    "crop": (int, type(None)),
    "sizes": (dict, type(None)),
    "normalization": str,
    "backbone": str,
    "weights": str,
    "weights_id": str,
    "seed": int,
    "temperature": (float, type(None)),
    "not_calibrated": str,
    "threshold": (float, type(None)),
    "no_threshold": str,
    "quantile": float,
    "reference_images": int,
    "validation_images": int,
}


def write(folder, facts, *, training, validation, held_out):
    """Write ``predictor.json`` and ``predictor.npz`` beside a model that is already written.

    Args:
        folder: The fold's folder.
        facts: The fields of ``FIELDS`` from ``model`` to ``seed``, but ``sha256``.
        training: Embeddings (n, features) and n labels of training images, originals only.
        validation: Embeddings (m, features) of images that were neither trained on nor looked at
            for the reference; m may be 0.
        held_out: Their predictions (`leukkit.metrics.predictions`), or a text: why there are none.
    """
    folder = pathlib.Path(folder)
    temperature, not_calibrated = _temperature(held_out)
    reference, threshold, no_threshold = _threshold(training, validation, held_out)
    files = [facts["model"]]
    if reference is None:
        (folder / ARRAYS).unlink(missing_ok=True)
    else:
        with replace_when_done(folder / ARRAYS) as path:
            np.savez_compressed(path, **reference._asdict())
        files.append(ARRAYS)
    record = {
        "format": FORMAT,
        **facts,
        "sha256": {name: sha256(folder / name) for name in files},
        "temperature": temperature,
        "not_calibrated": not_calibrated,
        "threshold": threshold,
        "no_threshold": no_threshold,
        "quantile": outliers.QUANTILE,
        "reference_images": len(training[0]),
        "validation_images": len(validation),
    }
    with replace_when_done(folder / RECORD) as path:
        path.write_text(json.dumps(record, indent=1) + "\n")


def read(path):
    """Return what lies beside a kept model.

    Args:
        path: The fold's folder, or a file in it.

    Returns:
        The folder, the fields of ``predictor.json`` as a dict, and the `outliers.Reference` (None
        where there is none).

    Raises:
        FileNotFoundError: There is no such folder, or no kept model in it.
        ModelFileError: ``predictor.json`` is missing, damaged or of another version, or a file is
            not the one that it was written for.
    """
    path = pathlib.Path(path)
    folder = path.parent if path.is_file() else path
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: no such folder or model file")
    if not (folder / RECORD).is_file():
        raise _nothing_to_read(folder)
    record = _checked(folder / RECORD)
    for name, expected in record["sha256"].items():
        if not (folder / name).is_file():
            raise ModelFileError(f"{folder / name} is gone. {_AGAIN}")
        if sha256(folder / name) != expected:
            raise ModelFileError(
                f"{folder / name} is not the file that {RECORD} was written for: it was changed, "
                f"damaged, or exchanged (its sha256 is another). {_AGAIN}"
            )
    fold = folder / "fold.json"
    if fold.is_file():
        found = results.read_record(folder)["configuration_hash"]
        if found != record["configuration_hash"]:
            raise ModelFileError(f"{folder} holds the files of two runs: {RECORD} and fold.json")
    return folder, record, _reference(folder) if ARRAYS in record["sha256"] else None


def image_facts(cells, seed):
    """Return how large the files of the images are, and what is cut out of them.

    Args:
        cells: The `cells` frame of the training originals.
        seed: Draws those whose size is looked at, where they are many.

    Returns:
        Dict of ``crop``: the side of the center crop, None if not all images have the same; and
        ``sizes``: dict of the ``smallest``, ``usual`` and ``largest`` width and height in pixels,
        or None where the files are gone.
    """
    crops = set(cells["crop"].fillna(0)) if "crop" in cells else {0}
    crop = int(next(iter(crops))) or None if len(crops) == 1 else None
    paths = [pathlib.Path(cells["path"].iloc[at]) for at in outliers.draw(range(len(cells)), seed)]
    found = []
    for path in paths:
        if path.is_file():  # a network is trained from cached pixels, too
            with PIL.Image.open(path) as image:  # reads the header only
                found.append(image.size)
    if not found:
        return {"crop": crop, "sizes": None}
    usual = collections.Counter(found).most_common(1)[0][0]
    low, high = np.min(found, axis=0).tolist(), np.max(found, axis=0).tolist()
    return {"crop": crop, "sizes": {"smallest": low, "usual": list(usual), "largest": high}}


_AGAIN = "Delete the folder and make the run again, or get the folder anew, whole"


def _temperature(held_out):
    """Return the temperature and "", or None and why there is none."""
    if isinstance(held_out, str):
        return None, held_out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the end of the range; said below
        temperature = calibration.fit_temperature(held_out)
    if temperature in calibration.TEMPERATURES:
        return None, (
            f"the {len(held_out)} validation images determine no temperature: they are too few, "
            "all right, or no better than chance"
        )
    return float(temperature), ""


def _threshold(training, validation, held_out):
    """Return reference, threshold and "", or None, None and why there is none."""
    embeddings, labels = training
    if not len(validation):
        return None, None, held_out if isinstance(held_out, str) else NOTHING_HELD_OUT
    try:
        reference = outliers.fit(embeddings, labels)
    except ValueError as error:  # a network that learned nothing must not stop the run
        return None, None, str(error)
    return reference, outliers.threshold(outliers.distances(reference, validation)), ""


def _checked(path):
    """Return the fields of ``predictor.json`` after looking at each."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        found = record.get("format") if isinstance(record, dict) else None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} is no JSON ({error}). {_AGAIN}") from None
    if found != FORMAT:
        raise ModelFileError(
            f"{path} was written in format {found}, and this version of leukkit reads {FORMAT}. "
            "Use the version that made it, or make the run again in another results folder"
        )
    for name, types in FIELDS.items():
        value = record.get(name)
        if name not in record or not isinstance(value, types) or isinstance(value, bool):
            raise ModelFileError(f"{path}: the field {name!r} is missing or wrong: {value!r}")
    classes = record["classes"]
    sound = (
        record["model"] in (NETWORK, CLASSIFIER)
        and record["model"] in record["sha256"]
        and set(record["sha256"]) <= {record["model"], ARRAYS}
        and len(classes) > 1
        and len(set(map(str, classes))) == len(classes)
        and all(isinstance(name, str) for name in classes)
        and (record["temperature"] is None or 0 < record["temperature"] < np.inf)
        and (record["threshold"] is None) == (ARRAYS not in record["sha256"])
    )
    if not sound:
        raise ModelFileError(f"{path}: its fields contradict each other. {_AGAIN}")
    return record


def _reference(folder):
    try:
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            kept = {name: arrays[name] for name in outliers.Reference._fields}
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{folder / ARRAYS} is damaged ({error}). {_AGAIN}") from error
    return outliers.Reference(**{**kept, "rest": float(kept["rest"])})


def _nothing_to_read(folder):
    """Return the error for a folder without ``predictor.json``, saying what to do about it."""
    if (folder / NETWORK).is_file() or (folder / CLASSIFIER).is_file():
        return ModelFileError(
            f"{folder} has a model but no {RECORD}: an older version of leukkit made it. Delete "
            "the folder and make the run again"
        )
    kept = sorted(path.parent.name for path in folder.glob(f"fold-*/{RECORD}"))
    if kept:
        return FileNotFoundError(
            f"{folder} is the folder of a whole run; give one fold with a kept model: "
            f"{', '.join(str(folder / name) for name in kept)}"
        )
    if (folder / "fold.json").is_file():
        record = results.read_record(folder)
        if record["configuration"].get("members"):
            run, chosen = record["configuration"]["run"], record.get("selected", {})
            return FileNotFoundError(
                f"{folder} is an ensemble ({run.get('model')}): its prediction is the mean of its "
                f"members', and no model of its own is kept. Give one of them: "
                f"{', '.join(chosen) or 'see the folders beside it'}"
            )
        return FileNotFoundError(
            f"{folder} keeps no model: its profile does not name this fold in models_kept. Other "
            "folds or runs may have kept theirs"
        )
    return FileNotFoundError(
        f"{folder} holds no kept model ({RECORD}). Give a fold's folder, such as "
        "results/<paper>/<profile>/<protocol>/<model>/fold-0, or the model file in it"
    )
