"""What is known of a run besides its scores: what was used, when, where, and what it leaks."""

import datetime
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from leukkit import metrics, papers, results
from leukkit.records import Configuration, FoldRecord
from leukkit.schemas import Recipe, in_words
from leukkit.splits import LEAKS, pool_leakage

NAMES = {
    "all-2021": "ALL 2021",
    "all-idb2": "ALL-IDB2",
    "cnmc-2019": "C-NMC 2019",
    "densenet121": "DenseNet-121",
    "densenet169": "DenseNet-169",
    "densenet201": "DenseNet-201",
    "dex": "DEX",
    "efficientnetb0": "EfficientNet-B0",
    "efficientnetb0-attention": "EfficientNet-B0 with attention",
    "efficientnetb7": "EfficientNet-B7",
    "googlenet": "GoogLeNet",
    "inceptionv3": "InceptionV3",
    "mobilenet-0.25": "MobileNet 0.25",
    "mobilenetv2": "MobileNetV2",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "rf": "random forest",
    "seresnet152": "SE-ResNet-152",
    "shufflenet": "ShuffleNet",
    "svm": "SVM",
    "vgg16": "VGG-16",
    "vgg16-cnn": "VGG-16 with CNN",
    "vgg19": "VGG-19",
    "xception": "Xception",
    "xgboost": "XGBoost",
}
NAMES |= {f"{it}-scaled": f"{NAMES[it]}, scaled features" for it in ("rf", "svm", "xgboost")}
HEADS = {"pooled": "", "vgg_dense": "", "convolutions": " with CNN", "attention": " with attention"}
PACKAGES = {
    "python": "Python",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "numpy": "NumPy",
    "xgboost": "XGBoost",
    "opencv-python-headless": "OpenCV",
}
SETTINGS = {  # others are named by their field
    "augmentation": "augmentation, new in every epoch",
    "distortion": "augmentation of appended copies",
    "patience": "patience in epochs (0: no early stop)",
    "select": "epoch kept",
    "steps": "batches per epoch (0: all images)",
}
# Split of a profile -> the side where it stands. patel2025 states two protocols.
SIDES = {"published": "reproduced", "published-split": "70/15/15 split", "leak-free": "kept apart"}
APART = {  # what a split keeps apart -> what the side is then called
    "subjects": "leak-free",
    "block proxies": "by block",
    "source images": "by source image",
    "original images": "by image",
    "images": "by image",
    "nothing": "nothing kept apart",
}
COLUMNS = (
    *("paper", "profile", "split", "side", "run", "folds", "problem", "folder"),
    *("minutes", "finished", "versions", "hardware", "commit", "data", "network", "weights"),
    *("images", "subjects", "groups_are", *LEAKS),
)
TYPES = {
    **dict.fromkeys(COLUMNS, "string"),
    **dict.fromkeys(("folds", "images", "subjects"), "Int64"),
    **dict.fromkeys(("minutes", *LEAKS), "Float64"),
}


def runs(base: pathlib.Path | str) -> pd.DataFrame:
    """List every run in the results: when, where and from what it came, and what it leaks.

    Returns:
        Frame, one row per run, those of no paper included: ``paper, profile, split, run, folds``;
        ``side``, see `name_side`; ``problem``, NA or why the run cannot be used (then ``side`` is
        the split, and all that follows but ``folder`` is NA);
        ``folder``, relative to ``base``; ``minutes`` (of all folds), ``finished`` (date of the last
        fold, UTC), ``versions, hardware, commit, data`` (set used), ``network`` (used), ``weights``
        (texts; different ones of the folds are joined by " / "; NA where not recorded); ``images``
        tested, their ``subjects`` (number of ``groups_are``: subjects, block proxies or original
        images); and the shares (0..1) of test images whose ``patient, subject, source_image,
        bytes`` or ``original`` is in training too, over all folds, NA where unknown.
    """
    top = pathlib.Path(base).resolve()
    rows = []
    for row in results.runs(top).to_dict("records"):
        row["side"] = row["split"]  # of a run that cannot be used
        if pd.isna(row["problem"]):
            try:
                row |= _of_run(row["folder"])
            except (ValueError, OSError) as error:  # listed with its reason, like other problems
                row["problem"] = error
        if pd.notna(row["problem"]):
            row["problem"] = relative_text(row["problem"], top)
        rows.append(row | {"folder": pathlib.Path(row["folder"]).relative_to(top).as_posix()})
    return pd.DataFrame(rows).reindex(columns=list(TYPES)).astype(TYPES)


def _of_run(folder: pathlib.Path | str) -> dict[str, Any]:
    """Gather the facts of one finished run, named as in `runs`."""
    records, predictions = results.read_records(folder), results.read_table(folder)
    over, groups_are = metrics.groups(predictions)
    return {
        "minutes": sum(record.seconds for record in records) / 60,
        "finished": finished(records),
        "versions": _joined(map(versions, records)),
        "hardware": _joined(record.hardware for record in records),
        "commit": _joined(record.commit for record in records),
        "data": records[0].configuration.dataset,
        "network": _network(folder, records[0].configuration),
        "weights": _joined(record.weights_used for record in records),
        "side": name_side(records, groups_are),
        "images": len(predictions),
        "subjects": over.nunique(),
        "groups_are": groups_are,
        **leakage(records),
    }


def leakage(records: Iterable[FoldRecord]) -> dict[str, Any]:
    """Return the shares (0..1) of test images that leak over some folds, NA where unknown."""
    rows = [{"test_images": record.images["test"], **record.leakage} for record in records]
    found = pd.DataFrame(rows).reindex(columns=["test_images", *LEAKS])
    return pool_leakage(found.astype("Float64")).to_dict()


def keeps_apart(records: Iterable[FoldRecord], groups_are: str) -> str:
    """Return the largest unit that is nowhere in training and test at once, by what was measured.

    ``groups_are`` is what stands for a run's subjects, as `metrics.groups` says.

    Returns:
        ``subjects``; ``block proxies`` where blocks of neighbors stand for them; ``source images``,
        ``images``; or ``nothing``, where copies of a tested image were trained on.
    """
    leaks = leakage(records)
    if leaks["subject"] == 0:
        return groups_are
    if leaks["source_image"] == 0:
        return "source images"
    return "images" if pd.isna(leaks["original"]) or leaks["original"] == 0 else "nothing"


def name_side(records: Sequence[FoldRecord], groups_are: str) -> str:
    """Return what a run is called beside others: its side of a comparison, or its split.

    What a profile calls leak-free is so where it keeps subjects apart; elsewhere it is called after
    what it keeps apart, as in `APART`. Arguments as of `keeps_apart`.
    """
    split = records[0].configuration.split
    return SIDES.get(split, split).replace("kept apart", APART[keeps_apart(records, groups_are)])


def _network(folder: pathlib.Path | str, configuration: Configuration) -> str:
    """Return the network that a run used, or those of the members of an ensemble."""
    if configuration.recipe is not None:
        return name_network(configuration.recipe)
    beside = sorted(pathlib.Path(folder).parent.glob("*/fold-0/fold.json"))
    members = [
        name_network(record.configuration.recipe)
        for record in (results.read_record(path.parent) for path in beside)
        if record.configuration_hash in configuration.members and record.configuration.recipe
    ]
    return f"mean of {_joined(members)}" if members else "mean of networks that are gone"


def name_paper(key: str) -> str:
    """Return a paper as it is cited, e.g. ``Patel et al. 2025``; the key of what is no paper."""
    if key not in papers.KEYS:
        return key
    paper = papers.load(key).paper
    return f"{paper.authors[0].split()[-1]} et al. {paper.year or ''}".rstrip()


def name_network(recipe: Mapping[str, Any]) -> str:
    """Return the network of a recorded recipe with its head in words."""
    head = recipe["head"]
    own = "" if isinstance(head, str) else f" with {head['function'].rpartition('.')[2]}"
    return NAMES.get(recipe["network"], recipe["network"]) + (own or HEADS.get(head, f", {head}"))


def name_method(configuration: Configuration) -> str:
    """Return what was trained in words: the network, and the classifier on its features."""
    recipe = configuration.recipe
    if recipe is None:
        return name_model(configuration.keys) or configuration.run
    if not recipe["classifier"]:
        return name_network(recipe)
    classifier = recipe["classifier"] + "-scaled" * recipe["scaled"]
    return f"{name_network(recipe)} with {NAMES[classifier]}"


def name_model(keys: Mapping[str, Any]) -> str:
    """Return the network and classifier that keys of a printed cell or a run name, in words."""
    keys = _known(keys)
    parts = [keys[key] for key in ("model", "backbone", "classifier") if key in keys]
    return " with ".join(NAMES.get(part, part) for part in parts)


def name_run(keys: Mapping[str, Any], told: Iterable[str]) -> str:
    """Return all keys of a printed cell or a run in words, e.g. ``VGG-19, test, healthy``.

    ``told`` are those of ``dataset, segmentation, augmentation`` that are worth saying.
    """
    parts, keys = [name_model(keys)], _known(keys)
    if "dataset" in told and "dataset" in keys:
        parts.append(NAMES.get(keys["dataset"], keys["dataset"]))
    for key, word in (("segmentation", "segmented"), ("augmentation", "augmented")):
        if key in told and key in keys:
            parts.append(word if keys[key] else f"not {word}")
    if "variant" in keys:
        parts.append(keys["variant"].replace("-", " "))
    parts += [keys[key] for key in ("part", "label") if key in keys]
    if "epoch" in keys:
        parts.append(f"epoch {keys['epoch']}")
    return ", ".join(part for part in parts if part)


def name_cells(cells: pd.DataFrame) -> list[str]:
    """Say what each printed cell of one paper is about, as `name_run` does.

    Data set, segmentation and augmentation are named where a paper has cells with and without.
    """
    told = [
        key
        for key in ("dataset", "segmentation", "augmentation")
        if key in cells and len(cells[key].dropna().unique()) > 1
    ]
    return [name_run(cell, told) for cell in cells.to_dict("records")]


def settings(
    recipe: Mapping[str, Any] | None, table: Mapping[str, Any], dataset: str, seed: int
) -> dict[str, str]:
    """Return in words what the results of a run depend on: data, split, recipe and seed.

    The recipe is as it is recorded, None for an ensemble.
    """
    found = {"images": dataset}
    for key, value in table.items():
        name = "split" if key == "split" else f"split, {key.replace('_', ' ')}"
        found[name] = in_words(value)
    if recipe is not None:
        of_recipe = Recipe.from_record(recipe, "recipe").table()["value"]
        found |= {SETTINGS.get(key, key.replace("_", " ")): it for key, it in of_recipe.items()}
    return found | {"seed": str(seed)}


def versions(record: FoldRecord) -> str:
    """Return the versions of a fold, e.g. ``Python 3.11.7, TensorFlow 2.21.0, …``."""
    return ", ".join(f"{PACKAGES.get(name, name)} {at}" for name, at in record.versions.items())


def finished(records: Iterable[FoldRecord]) -> str:
    """Return the day on which the last fold was finished, in UTC, as ``2026-11-21``."""
    last = max(record.finished for record in records)
    return last.astimezone(datetime.UTC).date().isoformat()


def texts(rows: pd.DataFrame) -> list[str]:
    """Return each value of a frame of `metrics.measure` with its interval, as text."""
    values = rows[["value", "low", "high"]].itertuples(index=False)
    return [metrics.with_interval(*value) for value in values]


def _joined(texts: Iterable[str]) -> Any:
    """Return the different ones of some texts, in order, joined by " / "; NA if all are empty."""
    return " / ".join(dict.fromkeys(text for text in texts if text)) or pd.NA


def relative_text(problem: object, base: pathlib.Path) -> str:
    """Return a problem with paths relative to the results: the same on every machine."""
    return str(problem).replace(f"{base}/", "")


def _known(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if pd.notna(value) and value != ""}
