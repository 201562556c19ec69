"""C-NMC 2019: single lymphocytes and lymphoblasts, cut out and stain-normalized.

Three phases, met in many layouts (TCIA, Kaggle, with wrapping or doubled folders), as the official
BMP or re-encoded as PNG; a file is known by the folders right above it and by its own name:

- training: ``fold_{0,1,2}/{all,hem}/UID_57_29_1_all.bmp``, named patient, image, cell;
- preliminary: ``C-NMC_test_prelim_phase_data/1.bmp``, patient and label in a CSV file;
- final: ``C-NMC_test_final_phase_data/1.bmp``, patient and label withheld, 600x600 pixels.

A patient number with H in front is a healthy subject, and another subject than the bare number.
"""

import itertools
import re

import pandas as pd

from leukkit.datasets.cells import DatasetError, natural_order
from leukkit.datasets.files import FORMAT_OF_SUFFIX
from leukkit.datasets.official import FACTS

SIDE = FACTS["cnmc-2019"]["side"]  # pixels
FINAL_PHASE_CROP = 450  # the center of a final-phase image is what the other phases show

CELL_NAME = re.compile(r"UID_(?P<patient>H?\d+)_(?P<image>\d+)_\d+_(?P<kind>all|hem)", re.I)
NUMBER_NAME = re.compile(r"\d+")
FOLD_FOLDER = re.compile(r"fold_([012])")
FOLDER_OF_SPLIT = {
    "preliminary": "c-nmc_test_prelim_phase_data",
    "final": "c-nmc_test_final_phase_data",
}
LABEL_OF_KIND = {"all": "ALL", "hem": "healthy"}
KIND_OF_NUMBER = {"1": "all", "0": "hem"}
CSV_NAME = re.compile(r".*prelim.*labels.*\.csv", re.I)
CSV_COLUMNS = ["Patient_ID", "new_names", "labels"]


def find(files):
    """Return the files that are C-NMC images, as {path: (split, fold, kind)}.

    Args:
        files: Paths of any files. Whether they exist does not matter, only their names.

    Returns:
        Dictionary in the order of the cells frame. fold (0 to 2) and kind ("all", "hem") are None
        outside the training phase.
    """
    places = {path: _place(path) for path in files}
    found = [path for path, place in places.items() if place]
    splits = list(SIDE)

    def order(path):
        split, fold, kind = places[path]
        return splits.index(split), fold or 0, kind or "", natural_order(path.name.lower())

    return {path: places[path] for path in sorted(found, key=order)}


def records(files):
    """Describe each C-NMC image among the files.

    ``image_id`` is the official name without its ending: ``UID_57_29_1_all`` in the training phase,
    ``preliminary-UID_57_29_1_all`` in the preliminary one, ``final-1`` in the final one.

    Args:
        files: Paths of any files.

    Returns:
        Records for `leukkit.datasets.cells.build`.

    Raises:
        DatasetError: An image is neither BMP nor PNG, a name contradicts its folder or the labels
            file, or the labels file is missing, lacks columns or lacks an image.
    """
    found = find(files)
    _refuse_other_formats(found)
    preliminary = [path for path, (split, _, _) in found.items() if split == "preliminary"]
    names = _read_labels(files, preliminary) if preliminary else {}
    return [_record(path, *place, names) for path, place in found.items()]


def _place(path):
    """Return (split, fold, kind) of an image by its path, or None for any other file."""
    if path.suffix.lower() not in FORMAT_OF_SUFFIX:
        return None
    folders = [name for name, _ in itertools.groupby(part.lower() for part in path.parts[:-1])]
    above, folder = (["", "", *folders])[-2:]
    fold = FOLD_FOLDER.fullmatch(above)
    if fold and folder in LABEL_OF_KIND and CELL_NAME.fullmatch(path.stem):
        return "training", int(fold[1]), folder
    for split, folder_of_split in FOLDER_OF_SPLIT.items():
        if folder == folder_of_split and NUMBER_NAME.fullmatch(path.stem):
            return split, None, None
    return None


def _record(path, split, fold, kind, names):
    record = {"path": path, "split": split, "fold": fold, "side": SIDE[split]}
    if split == "final":
        return {**record, "image_id": f"final-{path.stem}", "crop": FINAL_PHASE_CROP}
    if split == "preliminary":
        name, kind = names[path.stem]
        image_id = f"preliminary-{name}"
    else:
        name = image_id = path.stem
    parts = CELL_NAME.fullmatch(name)
    if parts["kind"].lower() != kind:
        raise DatasetError(
            f"{path}: the name {name} says {parts['kind']}, but its folder or its row in the "
            f"labels file says {kind}. Compare with the official data set and correct one of them"
        )
    patient = parts["patient"].upper()  # subject H3 is spelled h3 in 36 files
    return {
        **record,
        "image_id": image_id,
        "label": LABEL_OF_KIND[kind],
        "patient": patient,
        "source_image": f"{patient}_{parts['image']}",
    }


def _refuse_other_formats(found):
    for path in found:
        file_format = FORMAT_OF_SUFFIX[path.suffix.lower()]
        if file_format not in ("BMP", "PNG"):
            raise DatasetError(
                f"{path}: a {file_format} where a BMP (or a PNG made from it) was expected. C-NMC "
                "2019 is published as BMP; download the original, or convert losslessly to PNG"
            )


def _read_labels(files, preliminary):
    """Return {number: (official name, kind)} of the preliminary images from the labels file."""
    beside = {path.parent.parent for path in preliminary}  # root may point at the images alone
    nearby = [path for folder in beside for path in folder.iterdir()]
    candidates = sorted({path for path in [*files, *nearby] if CSV_NAME.fullmatch(path.name)})
    if not candidates:
        raise DatasetError(
            f"{preliminary[0].parent}: the labels file C-NMC_test_prelim_phase_data_labels.csv is "
            "missing. It comes with the preliminary images: put it beside their folder"
        )
    labels = pd.concat([_read_csv(path) for path in candidates]).drop_duplicates()
    names = {}
    for name, number, label in labels.itertuples(index=False):
        stem = name.rsplit(".", 1)[0]
        if not CELL_NAME.fullmatch(stem) or label not in KIND_OF_NUMBER:
            raise DatasetError(
                f"{candidates[0]}: row {name},{number},{label} cannot be read; expected is e.g. "
                "UID_57_29_1_all.bmp,1.bmp,1 with label 1 (ALL) or 0 (healthy)"
            )
        names[number.rsplit(".", 1)[0]] = (stem, KIND_OF_NUMBER[label])
    if len(names) != len(labels):
        raise DatasetError(
            f"{', '.join(map(str, candidates))}: the same image has two different rows"
        )
    unnamed = [path.name for path in preliminary if path.stem not in names]
    if unnamed:
        raise DatasetError(
            f"{candidates[0]}: no row for {len(unnamed)} preliminary images, e.g. {unnamed[0]}. "
            "Download the labels file again"
        )
    return names


def _read_csv(path):
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
        )
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    missing = [column for column in CSV_COLUMNS if column not in table]
    if missing:
        raise DatasetError(
            f"{path}: column {', '.join(missing)} is missing. Expected are "
            f"{', '.join(CSV_COLUMNS)}; found were {', '.join(table.columns) or 'none'}"
        )
    return table[CSV_COLUMNS]
