"""What lies beside a saved model so that it can be used on other images.

A fold's folder holds ``model.keras`` or ``model.npz``, and with it ``predictor.json`` (how images
are prepared, the temperature, the threshold), ``predictor.npz`` (which images it was made with, and
what is kept of their embeddings, see `leukkit.saved.outliers`) and, under a classifier, the file of
its backbone's weights. No score needs them; `leukkit.predict` reads them, and nothing else.
"""

import collections
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from leukkit import results
from leukkit.datasets import decode
from leukkit.files import replace_when_done
from leukkit.images import Stain
from leukkit.metrics import calibration, conformal, prediction_frame
from leukkit.metrics.predictions import groups
from leukkit.models.weights import SYNTHETIC, sha256, weights_file
from leukkit.records import BACKBONES, SAVED_FORMAT, Configuration, SavedRecord, Sizes
from leukkit.saved import classifier_files, outliers
from leukkit.saved.classifier_files import ModelFileError
from leukkit.schemas import Recipe, SchemaError, check
from leukkit.splits import Split

__all__ = ["ModelFileError", "Saved", "marks", "read", "save_classifier", "save_network"]

NETWORK: Final = "model.keras"
CLASSIFIER: Final = "model.npz"
RECORD, ARRAYS = "predictor.json", "predictor.npz"
NOTHING_HELD_OUT = "this run set no validation images aside"
_AGAIN = "Get the folder anew, whole, or make the run again in another results folder"


@dataclasses.dataclass
class Saved:
    """What lies beside a saved model, and its folder (or packed file).

    Attributes:
        reference: Of training embeddings; None where nothing was held out.
        seen: The `marks` of the images that it was trained on, or tuned with.
    """

    folder: pathlib.Path
    record: SavedRecord
    recipe: Recipe
    reference: outliers.Reference | None
    seen: np.ndarray


def save_network(
    folder: pathlib.Path,
    network: Any,
    configuration: Configuration,
    split: Split,
    number: int,
    inputs: Any,
    held_out: pd.DataFrame | None,
    stain: Stain | None = None,
) -> None:
    """Write ``model.keras``, ``predictor.json`` and ``predictor.npz`` into a fold's folder.

    ``network`` is the whole trained one; ``inputs`` are uint8 images or float32 feature maps, rows
    as in ``split.cells``; ``held_out`` are the predictions of the validation part, None if it has
    no images; ``stain`` is that of the fold's `leukkit.images.Preparation`.
    """
    with replace_when_done(folder / NETWORK) as path:
        network.save(path)
    embed, fold = functools.partial(outliers.embed, network, inputs), split.folds[number]
    parts = fold.train, fold.validation, NOTHING_HELD_OUT if held_out is None else held_out
    _write(folder, NETWORK, configuration, split, number, embed, *parts, stain)


def save_classifier(
    folder: pathlib.Path,
    fitted: Any,
    configuration: Configuration,
    split: Split,
    number: int,
    features: np.ndarray,
    stain: Stain | None = None,
) -> None:
    """Do what `save_network` does for a classifier, in ``model.npz``.

    Such a run has no validation part. What takes its place is the held-out part of the first
    tuning fold: a classifier with the same settings, fitted on the rest of the training images,
    gives the scores for temperature and sets, and the reference embeddings are of that rest. Copies
    serve for fitting only. ``features`` are float32 (images, features), rows as in ``split.cells``.
    """
    from sklearn.base import clone
    from sklearn.model_selection import check_cv

    from leukkit import classifiers

    classifier_files.save(fitted, folder / CLASSIFIER)
    cells, classes = split.cells, configuration.classes
    labels = cells["label"].to_numpy(dtype=object).astype(str)
    fit = train = split.folds[number].train
    held, held_out = train[:0], NOTHING_HELD_OUT
    if split.tuning:
        tuning = check_cv(split.tuning[number], labels[train], classifier=True)
        fit, held = (train[part] for part in next(tuning.split(train, labels[train])))
        held = held[_are_originals(cells)[held]]
    if len(held) and set(labels[fit]) != set(classes):
        held_out = "the first tuning fold does not hold every class"
    elif len(held):
        again = clone(getattr(fitted, "best_estimator_", fitted)).fit(features[fit], labels[fit])
        scores = classifiers.class_scores(again, features[held], classes)
        held_out = prediction_frame(cells.iloc[held], scores, classes)
    embed = features.__getitem__
    _write(folder, CLASSIFIER, configuration, split, number, embed, fit, held, held_out, stain)


def read(path: pathlib.Path | str) -> Saved:
    """Return what lies beside a saved model, given the fold's folder or a file in it.

    Raises:
        FileNotFoundError: There is no such folder, or no saved model in it.
        ModelFileError: ``predictor.json`` is missing, damaged or of another version, or a file is
            not the one that it was written for.
    """
    path = pathlib.Path(path)
    folder = path.parent if path.is_file() else path
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: no such folder or model file")
    if not (folder / RECORD).is_file():
        raise _nothing_to_read(folder)
    record, recipe = _read_record(folder / RECORD)
    for name, expected in record.sha256.items():
        if not (folder / name).is_file():
            raise ModelFileError(f"{folder / name} is gone. {_AGAIN}")
        if sha256(folder / name) != expected:
            raise ModelFileError(
                f"{folder / name} is not the file that {RECORD} was written for: it was changed, "
                f"damaged, or exchanged (its sha256 is another). {_AGAIN}"
            )
    has_fold = (folder / "fold.json").is_file()
    if has_fold and results.read_record(folder).configuration_hash != record.configuration_hash:
        raise ModelFileError(f"{folder} holds the files of two runs: {RECORD} and fold.json")
    return Saved(folder, record, recipe, *_arrays(folder / ARRAYS, record))


def marks(hashes: Iterable[str]) -> np.ndarray:
    """Return the first 8 bytes of each SHA-256 of decoded pixels, int64, ascending, each once.

    Enough to know an image again, where a thousand million others are asked about.
    """
    first = bytes.fromhex("".join(one[:16] for one in hashes))
    return np.unique(np.frombuffer(first, "<i8"))


def _write(
    folder: pathlib.Path,
    model: Literal["model.keras", "model.npz"],
    configuration: Configuration,
    split: Split,
    number: int,
    embed: Callable[[np.ndarray], np.ndarray],
    fit: np.ndarray,
    held: np.ndarray,
    held_out: pd.DataFrame | str,
    stain: Stain | None,
) -> None:
    """Write what lies beside a model that is already written, ``predictor.json`` last.

    ``embed`` gives the embeddings (n, features) of positions in ``split.cells``; ``fit`` are those
    the model, or one like it, was fitted to, ``held`` those of images it was not, and ``held_out``
    their predictions, or a text: why there are none.
    """
    cells, fold, seed = split.cells, split.folds[number], configuration.seed
    is_original, watched = _are_originals(cells), cells.iloc[held]
    names, counted = groups(watched) if len(held) else (watched["subject"], "")
    temperature, not_calibrated = _temperature(held_out)
    limits, no_sets = _limits(held_out, temperature, cells["subject"].iloc[fit])
    some = outliers.some_of(fit[is_original[fit]], seed)
    training, validation = embed(some), embed(held) if len(held) else np.empty((0, 1))
    labels = cells["label"].iloc[some].to_numpy(str)
    reference, threshold, no_threshold = _threshold((training, labels), validation, names)
    used = cells["sha256"].iloc[np.concatenate([fold.train, fold.validation])]
    with replace_when_done(folder / ARRAYS) as path:
        np.savez(path, seen=marks(used), **(reference._asdict() if reference else {}))
    recipe, kept = _with_weights(folder, configuration, model)
    files = [model, ARRAYS, *kept]
    same = {*SavedRecord.model_fields} & {*Configuration.model_fields} - {"recipe"}
    originals = cells.iloc[fold.train[is_original[fold.train]]]
    record = SavedRecord(
        model=model,
        sha256={name: sha256(folder / name) for name in files},
        configuration_hash=configuration.hash,
        **{name: getattr(configuration, name) for name in same},
        recipe=recipe,
        leakage=results.leaks(split, number),
        crop=_crop(originals),
        sizes=_sizes(originals, seed),
        temperature=temperature,
        not_calibrated=not_calibrated,
        subjects=names.nunique(),
        counted=counted,
        limits=limits,
        no_sets=no_sets,
        threshold=threshold,
        no_threshold=no_threshold,
        quantile=outliers.QUANTILE,
        reference_images=len(some),
        validation_images=len(held),
        gray=cells.attrs.get("gray", False),
        stain=stain,
    )
    with replace_when_done(folder / RECORD) as path:
        path.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _with_weights(
    folder: pathlib.Path, configuration: Configuration, model: str
) -> tuple[dict[str, Any], list[str]]:
    """Keep the weights under a classifier; return the recipe without paths, and their file's name.

    Weights that a seed gives or that come with the kit need no file; a network holds its own.
    """
    record, source = dict(configuration.recipe or {}), None
    recipe = Recipe.from_record(record, RECORD)
    record["weights"] = pathlib.PurePath(recipe.weights).name
    if model == CLASSIFIER:
        source = weights_file(recipe.network, recipe.weights_source, recipe.width)
    if source is None or source.parent == SYNTHETIC:
        return record, []
    name = next(name for name in BACKBONES[::-1] if str(source).endswith(name[8:]))
    with replace_when_done(folder / name) as path:
        path.unlink()
        try:  # a link, if it can be: the folds that are kept share it
            os.link(source.resolve(), path)
        except OSError:
            shutil.copyfile(source, path)
    return record, [name]


def _are_originals(cells: pd.DataFrame) -> np.ndarray:
    """Return for each image whether it is no copy."""
    return (cells["copy"] == 0).to_numpy() if "copy" in cells else np.ones(len(cells), bool)


def _crop(cells: pd.DataFrame) -> int | None:
    """Return the side of the center crop, None if not all images have the same."""
    crops = cells["crop"].unique() if "crop" in cells else []
    return int(crops[0]) if len(crops) == 1 and pd.notna(crops[0]) else None


def _sizes(cells: pd.DataFrame, seed: int) -> Sizes | None:
    """Return how large the images' files are; of many, some are looked at."""
    found = []
    for path in cells["path"].iloc[outliers.some_of(range(len(cells)), seed)]:
        if pathlib.Path(path).is_file():  # a network is trained from cached pixels, too
            found.append(decode.size(path))
    if not found:
        return None
    usual = collections.Counter(found).most_common(1)[0][0]
    low, high = np.min(found, axis=0).tolist(), np.max(found, axis=0).tolist()
    return Sizes(smallest=low, usual=list(usual), largest=high)


def _temperature(held_out: pd.DataFrame | str) -> tuple[float | None, str]:
    """Return the temperature and "", or None and why there is none."""
    if isinstance(held_out, str):
        return None, held_out
    names, counted = groups(held_out)
    of = f"the {len(held_out)} validation images are of {names.nunique()} {counted}"
    if names.nunique() < calibration.FEWEST:
        return None, f"{of}, too few to see whether a temperature helps others"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the end of the range; said below
        temperature = calibration.fit_temperature(held_out)
        without, scaled = calibration.losses_of_others(held_out, names)
    if temperature in calibration.TEMPERATURES:
        return None, f"{of}; all are right, or no better than chance"
    if scaled >= without:
        losses = f"log loss {without:.3f} without, {scaled:.3f} with it"
        why = f"{of}; fitted to some of these, a temperature does not help the others ({losses})"
        return None, why
    return float(temperature), ""


def _limits(
    held_out: pd.DataFrame | str, temperature: float | None, trained_on: pd.Series
) -> tuple[list[float | None], str]:
    """Return the limits of `conformal` and "", or none and why there are none."""
    if isinstance(held_out, str):
        return [], held_out
    if groups(held_out)[1] == "original images":
        return [], "the subjects of the validation images are not known"
    shared = held_out["subject"].isin(trained_on).mean()
    if shared > 0:
        return [], f"{shared:.0%} of the validation images are of subjects also trained on"
    scaled = calibration.scale_temperature(held_out, temperature or 1)
    return [None if np.isinf(one) else one for one in conformal.limits(scaled)], ""


def _threshold(
    training: tuple[np.ndarray, np.ndarray], validation: np.ndarray, subjects: pd.Series
) -> tuple[outliers.Reference | None, float | None, str]:
    """Return reference, threshold and "", or None, None and why there is none."""
    if not len(validation):
        return None, None, NOTHING_HELD_OUT
    try:
        reference = outliers.fit(*training)
        distances = outliers.distances(reference, validation)
        return reference, outliers.threshold(distances, subjects), ""
    except ValueError as error:  # a network that learned nothing must not stop the run
        return None, None, str(error)


def _read_record(path: pathlib.Path) -> tuple[SavedRecord, Recipe]:
    """Return ``predictor.json`` after looking at each field: the file may come from anywhere."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} is no JSON ({error}). {_AGAIN}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != SAVED_FORMAT:
        raise ModelFileError(
            f"{path} was written in format {found}, and this version of leukkit reads "
            f"{SAVED_FORMAT}. Use the version that made it, or make the run again in another "
            "results folder"
        )
    try:
        record = check(SavedRecord, content, str(path))
        return record, Recipe.from_record(record.recipe, RECORD)
    except SchemaError as error:
        raise ModelFileError(f"{error}. {_AGAIN}") from None


def _arrays(
    path: pathlib.Path, record: SavedRecord
) -> tuple[outliers.Reference | None, np.ndarray]:
    form = {"seen": "i n"}
    if record.threshold is not None:
        form |= {"means": "f cf", "directions": "f df", "variances": "f d", "rest": "f "}
    kept = classifier_files.read_arrays(path, form)
    seen = kept.pop("seen")
    if record.threshold is None:
        return None, seen
    if len(kept["means"]) != len(record.classes) or min(kept["rest"], *kept["variances"]) <= 0:
        raise classifier_files.damaged(path, "a variance is not above 0, or the classes are others")
    rest = float(kept.pop("rest"))
    return outliers.Reference(**kept, rest=rest), seen


def _nothing_to_read(folder: pathlib.Path) -> Exception:
    """Return the error for a folder without ``predictor.json``, saying what to do about it."""
    if (folder / NETWORK).is_file() or (folder / CLASSIFIER).is_file():
        return ModelFileError(
            f"{folder} has a model but no {RECORD}: an older version of leukkit made it. Make the "
            "run again in another results folder"
        )
    kept = sorted(path.parent.name for path in folder.glob(f"fold-*/{RECORD}"))
    if kept:
        return FileNotFoundError(
            f"{folder} is the folder of a whole run; give one fold with a saved model: "
            f"{', '.join(str(folder / name) for name in kept)}"
        )
    if (folder / "fold.json").is_file():
        record = results.read_record(folder)
        if record.configuration.members:
            return FileNotFoundError(
                f"{folder} is an ensemble ({record.configuration.run}): its prediction is the mean "
                "of its members', and no model of its own is saved. Give one of them: "
                f"{', '.join(record.selected) or 'see the folders beside it'}"
            )
        why = record.not_saved or "its profile does not name this fold in models_kept"
        return FileNotFoundError(
            f"{folder} has no saved model: {why}. Other folds or runs may have theirs"
        )
    return FileNotFoundError(
        f"{folder} holds no saved model ({RECORD}). Give a fold's folder, such as "
        "results/<paper>/<profile>/<split>/<run>/fold-0, or the model file in it"
    )
