"""C-NMC 2019: single lymphocytes and lymphoblasts, cut out and stain-normalized.

Three phases, met in many layouts (TCIA, Kaggle, with wrapping or doubled folders), as the official
BMP or re-encoded as PNG; a file is known by the folders right above it and by its own name:

- training: ``fold_{0,1,2}/{all,hem}/UID_57_29_1_all.bmp``, named patient, image, cell;
- preliminary: ``C-NMC_test_prelim_phase_data/1.bmp``, patient and label in a CSV file;
- final: ``C-NMC_test_final_phase_data/1.bmp``, patient and label withheld, 600x600 pixels.

A patient number with H in front is a healthy subject, and another subject than the bare number.
"""

import csv
import itertools
import pathlib
import re
from typing import NamedTuple

from leukkit.datasets.cells import DatasetError, natural_order
from leukkit.datasets.decode import SUFFIXES
from leukkit.datasets.official import FACTS

SIDE = FACTS["cnmc-2019"]["side"]  # pixels, by phase
FINAL_PHASE_CROP = 450  # the center of a final-phase image is what the other phases show

# patient, source image, kind
CELL_NAME = re.compile(r"UID_(H?\d+)_(\d+)_\d+_(all|hem)", re.I)
FOLD_FOLDER = re.compile(r"fold_([012])")
SPLIT_OF_FOLDER = {
    "c-nmc_test_prelim_phase_data": "preliminary",
    "c-nmc_test_final_phase_data": "final",
}
LABEL_OF_KIND = {"all": "ALL", "hem": "healthy"}
KIND_OF_NUMBER = {"1": "all", "0": "hem"}
CSV_NAME = re.compile(r".*prelim.*labels.*\.csv", re.I)
CSV_COLUMNS = ["Patient_ID", "new_names", "labels"]


class Place(NamedTuple):
    """What the folders say of an image; fold and kind are known in the training phase only."""

    split: str
    fold: int | None = None  # 0 to 2
    kind: str | None = None  # "all" or "hem"


def find(files: list[pathlib.Path]) -> dict[pathlib.Path, Place]:
    """Return the files that are C-NMC images, by their names alone, in the order of the cells."""
    found = {path: place for path in files if (place := _place(path))}
    splits = list(SIDE)

    def order(path: pathlib.Path) -> tuple:
        split, fold, kind = found[path]
        return splits.index(split), fold or 0, kind or "", natural_order(path.name.lower())

    return {path: found[path] for path in sorted(found, key=order)}


def describe(files: list[pathlib.Path], root: pathlib.Path) -> list[dict]:
    """Describe each C-NMC image among the files.

    ``image_id`` is the official name without its ending: ``UID_57_29_1_all`` in the training phase,
    ``preliminary-UID_57_29_1_all`` in the preliminary one, ``final-1`` in the final one.

    Returns:
        Records for `leukkit.datasets.cells.build`.

    Raises:
        DatasetError: An image is neither BMP nor PNG, a name contradicts its folder or the labels
            file, or the labels file is missing, lacks columns or lacks an image.
    """
    found = find(files)
    for path in found:
        if (kind := SUFFIXES[path.suffix.lower()]) not in ("BMP", "PNG"):
            raise DatasetError(
                f"{path}: a {kind} where a BMP (or a PNG made from it) was expected. C-NMC 2019 is "
                "published as BMP; download the original, or convert losslessly to PNG"
            )
    preliminary = [path for path, place in found.items() if place.split == "preliminary"]
    names = _read_labels(files, preliminary) if preliminary else {}
    return [_record(path, place, names) for path, place in found.items()]


def _place(path: pathlib.Path) -> Place | None:
    if path.suffix.lower() not in SUFFIXES:
        return None
    folders = [name for name, _ in itertools.groupby(part.lower() for part in path.parts[:-1])]
    above, folder = ["", "", *folders][-2:]
    fold = FOLD_FOLDER.fullmatch(above)
    if fold and folder in LABEL_OF_KIND and CELL_NAME.fullmatch(path.stem):
        return Place("training", int(fold[1]), folder)
    if folder in SPLIT_OF_FOLDER and re.fullmatch(r"\d+", path.stem):
        return Place(SPLIT_OF_FOLDER[folder])
    return None


def _record(path: pathlib.Path, place: Place, names: dict[str, tuple[str, str]]) -> dict:
    record = {"path": path, "split": place.split, "fold": place.fold, "side": SIDE[place.split]}
    if place.split == "final":
        return record | {"image_id": f"final-{path.stem}", "crop": FINAL_PHASE_CROP}
    name, kind = names.get(path.stem) or (path.stem, place.kind)
    patient, image, stated = CELL_NAME.fullmatch(name).groups()  # type: ignore[union-attr]
    if stated.lower() != kind:
        raise DatasetError(
            f"{path}: the name {name} says {stated}, but its folder or its row in the labels file "
            f"says {kind}. Compare with the official data set and correct one of them"
        )
    patient = patient.upper()  # subject H3 is spelled h3 in 36 files
    return record | {
        "image_id": f"preliminary-{name}" if place.split == "preliminary" else name,
        "label": LABEL_OF_KIND[stated.lower()],
        "patient": patient,
        "source_image": f"{patient}_{image}",
    }


def _read_labels(
    files: list[pathlib.Path], preliminary: list[pathlib.Path]
) -> dict[str, tuple[str, str]]:
    """Return {number: (official name, kind)} of the preliminary images from the labels file."""
    beside = {path.parent.parent for path in preliminary}  # root may point at the images alone
    nearby = [path for folder in beside for path in folder.iterdir()]
    candidates = sorted({path for path in [*files, *nearby] if CSV_NAME.fullmatch(path.name)})
    if not candidates:
        raise DatasetError(
            f"{preliminary[0].parent}: the labels file C-NMC_test_prelim_phase_data_labels.csv is "
            "missing. It comes with the preliminary images: put it beside their folder"
        )
    names: dict[str, tuple[str, str]] = {}
    for path in candidates:
        for name, number, label in _read_csv(path):
            stem = name.rsplit(".", 1)[0]
            if not CELL_NAME.fullmatch(stem) or label not in KIND_OF_NUMBER:
                raise DatasetError(
                    f"{path}: row {name},{number},{label} cannot be read; expected is e.g. "
                    "UID_57_29_1_all.bmp,1.bmp,1 with label 1 (ALL) or 0 (healthy)"
                )
            found = stem, KIND_OF_NUMBER[label]
            if names.setdefault(number.rsplit(".", 1)[0], found) != found:
                raise DatasetError(f"{path}: the image {number} has two different rows")
    unnamed = [path.name for path in preliminary if path.stem not in names]
    if unnamed:
        raise DatasetError(
            f"{candidates[0]}: no row for {len(unnamed)} preliminary images, e.g. {unnamed[0]}. "
            "Download the labels file again"
        )
    return names


def _read_csv(path: pathlib.Path) -> list[tuple[str, ...]]:
    """Return the columns of `CSV_COLUMNS`, row by row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, restval="", skipinitialspace=True)
        columns = table.fieldnames or []
        if missing := [column for column in CSV_COLUMNS if column not in columns]:
            raise DatasetError(
                f"{path}: column {', '.join(missing)} is missing. Expected are "
                f"{', '.join(CSV_COLUMNS)}; found were {', '.join(columns) or 'none'}"
            )
        return [tuple(row[column] for column in CSV_COLUMNS) for row in table]
