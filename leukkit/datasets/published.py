"""The published data sets, wherever they lie below a folder, known by the names of their files.

C-NMC 2019: single lymphocytes and lymphoblasts, cut out and stain-normalized. Three phases, met in
many layouts (TCIA, Kaggle, with wrapping or doubled folders), as the official BMP or re-encoded as
PNG; a file is known by the folders right above it and by its own name:

- training: ``fold_{0,1,2}/{all,hem}/UID_57_29_1_all.bmp``, named patient, image, cell;
- preliminary: ``C-NMC_test_prelim_phase_data/1.bmp``, patient and label in a CSV file;
- final: ``C-NMC_test_final_phase_data/1.bmp``, patient and label withheld, 600x600 pixels.

A patient number with H in front is a healthy subject, and another subject than the bare number.
``image_id`` is the official name without its ending: ``UID_57_29_1_all`` in the training phase,
``preliminary-UID_57_29_1_all`` in the preliminary one, ``final-1`` in the final one.

ALL-IDB2: single cells cut from blood smears, 130 lymphoblasts and 130 healthy cells.
``Im001_1.tif``: 1 is a lymphoblast, 0 a healthy cell. 24-bit TIFF, officially 257x257 pixels;
copies in circulation hold other sizes too, which `leukkit.datasets.check` reports. No patient ids.

The ALL image data set of 2021: smears of 89 patients, four classes, 224x224 JPEG. ``Original/`` and
``Segmented/`` hold the same images, ``Early/WBC-Malignant-Early-001.jpg``, as taken and with the
nucleus alone. Where both are there, ``Original`` is loaded; a root that is, or lies in,
``Segmented`` loads that. The names say no patient. Neighboring numbers look alike, because they
come from the same smear: blocks of consecutive numbers serve as ``subject``, named
``proxy:pro-3``. They are a proxy, no more: a patient may lie in two blocks, and a block may hold
two patients. ``sequence`` and ``number`` let a split leave out the images next to a border.
"""

import importlib.resources
import itertools
import os
import pathlib
import re
import tomllib
from collections.abc import Callable, Collection
from typing import NamedTuple

import pandas as pd

from leukkit.datasets import cells
from leukkit.datasets.cells import PROXY, DatasetError, natural_order
from leukkit.datasets.decode import SUFFIXES
from leukkit.files import data_dir, read_table

FACTS = tomllib.loads(
    importlib.resources.files("leukkit.datasets")
    .joinpath("official.toml")
    .read_text(encoding="utf-8")
)
"""Data set name -> title, citation, license, kaggle handle, classes, side, counts, known files."""

SIDE = FACTS["cnmc-2019"]["side"]  # pixels, by phase
FINAL_PHASE_CROP = 450  # the center of a final-phase image is what the other phases show
CELL_NAME = re.compile(r"UID_(H?\d+)_(\d+)_\d+_(all|hem)", re.I)  # patient, source image, kind
FOLD_FOLDER = re.compile(r"fold_([012])")
PHASE_OF_FOLDER = {
    "c-nmc_test_prelim_phase_data": "preliminary",
    "c-nmc_test_final_phase_data": "final",
}
LABEL_OF_KIND = {"all": "ALL", "hem": "healthy"}
KIND_OF_NUMBER = {"1": "all", "0": "hem"}
CSV_NAME = re.compile(r".*prelim.*labels.*\.csv", re.I)
CSV_COLUMNS = ["Patient_ID", "new_names", "labels"]
ALL_IDB_NAME = re.compile(r"Im\d+_([01])", re.I)
ALL_2021_NAME = re.compile(r"WBC-(?:(Benign)|Malignant-(Early|Pre|Pro))-(\d+)", re.I)
LITTER = ("thumbs.db", "desktop.ini", "__macosx", "lost+found", "system volume information")
IMAGES_PER_BLOCK = 37  # 3,256 images of 89 patients: 36.6 each


def load(name: str, root: str | os.PathLike | None = None, damaged: str = "error") -> pd.DataFrame:
    """Return the cells of a published data set; see `leukkit.datasets.load`."""
    root = _existing_folder(name, root)
    files = files_below(root)
    records = find(name, files)
    if not records:
        raise DatasetError(_what_is_there_instead(name, root, files))
    if name == "all-2021":
        records = _one_variant(records, root)
    for record in records:
        if (kind := SUFFIXES[record["path"].suffix.lower()]) not in PUBLISHED[name].formats:
            raise DatasetError(
                f"{record['path']}: a {kind}; a {' or '.join(PUBLISHED[name].formats)} was "
                f"expected. {PUBLISHED[name].advice}"
            )
    if name == "cnmc-2019":
        _complete_cnmc(records, files)
    classes = FACTS[name]["classes"]
    refuse_one_class(
        root,
        len(records),
        {record["label"] for record in records if "label" in record},
        f"{name} has {', '.join(classes)}: point root at the folder that holds all of them",
    )
    return cells.build(records, name, root, classes, damaged)


def refuse_one_class(
    root: pathlib.Path, images: int, classes: Collection[str], advice: str
) -> None:
    """Raise `DatasetError` where all images of a folder are of one class."""
    if len(classes) == 1:
        raise DatasetError(
            f"{root}: all {images} images are of one class, {min(classes)}; nothing can be learned "
            f"from one class. {advice}"
        )


def overview() -> pd.DataFrame:
    """Return the published data sets at a glance: images, classes, patients, license, where."""
    rows = {}
    for name, facts in FACTS.items():
        patients = sum(count.get("patients", 0) for count in facts["counts"])
        rows[name] = {
            "images": sum(count.get("images", 0) for count in facts["counts"]),
            "classes": ", ".join(facts["classes"]),
            "patients": patients or "not given",
            "license": facts["license"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("data set")


def files_below(root: str | pathlib.Path) -> list[pathlib.Path]:
    """Return the paths of all files below a folder, through links, each folder once.

    Hidden files and what operating systems leave behind (`LITTER`) are no part of a data set.

    Raises:
        OSError: A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    def without_litter(names: list[str]) -> list[str]:
        return sorted(one for one in names if not (one[0] == "." or one.lower() in LITTER))

    found, seen = [], set()
    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()  # a link in a circle, or to a folder that was already listed
            continue
        seen.add(real)
        subfolders[:] = without_litter(subfolders)
        found += [pathlib.Path(folder, name) for name in without_litter(names)]
    return found


def find(name: str, files: list[pathlib.Path]) -> list[dict]:
    """Describe the files that are images of a data set, by their paths alone.

    Returns:
        Records for `leukkit.datasets.cells.build`, in the order of the cells.
    """
    records = [
        {"path": path, **said}
        for path in files
        if path.suffix.lower() in SUFFIXES and (said := PUBLISHED[name].read(path))
    ]

    def order(record: dict) -> tuple:
        phase = [*SIDE].index(record.get("split", "training"))
        return phase, record.get("fold", 0), natural_order(record["path"].name.lower())

    return sorted(records, key=order)


def _read_cnmc(path: pathlib.Path) -> dict | None:
    folders = [name for name, _ in itertools.groupby(part.lower() for part in path.parts[:-1])]
    above, folder = ["", "", *folders][-2:]
    fold = FOLD_FOLDER.fullmatch(above)
    if fold and folder in LABEL_OF_KIND and CELL_NAME.fullmatch(path.stem):
        return {"split": "training", "fold": int(fold[1]), "side": SIDE["training"]}
    if folder in PHASE_OF_FOLDER and re.fullmatch(r"\d+", path.stem):
        phase = PHASE_OF_FOLDER[folder]
        return {"split": phase, "side": SIDE[phase]}
    return None


def _read_all_idb(path: pathlib.Path) -> dict | None:
    if not (name := ALL_IDB_NAME.fullmatch(path.stem)):
        return None
    return {"image_id": path.stem, "label": LABEL_OF_KIND[KIND_OF_NUMBER[name[1]]]}


def _read_all_2021(path: pathlib.Path) -> dict | None:
    if not (name := ALL_2021_NAME.fullmatch(path.stem)):
        return None
    label, number = (name[1] or name[2]).lower(), int(name[3])
    return {
        "image_id": path.stem,
        "label": label,
        "sequence": label,
        "number": number,
        "subject": f"{PROXY}{label}-{(number - 1) // IMAGES_PER_BLOCK + 1}",
    }


class Published(NamedTuple):
    """What the images of one data set are known by.

    Attributes:
        read: From a path to what it says of the image, part of a record for `cells.build`; None for
            any other file.
        formats: That the images may have.
        advice: What to do where an image has another one.
    """

    read: Callable[[pathlib.Path], dict | None]
    formats: tuple[str, ...]
    advice: str


PUBLISHED = {
    "cnmc-2019": Published(
        _read_cnmc,
        ("BMP", "PNG"),
        "C-NMC 2019 is published as BMP; download the original, or convert losslessly to PNG",
    ),
    "all-idb2": Published(
        _read_all_idb,
        ("TIFF",),
        "ALL-IDB2 is published as TIFF; the JPEG files named alike are ALL-IDB1, whole smears. "
        "Point root at the ALL-IDB2 images alone",
    ),
    "all-2021": Published(
        _read_all_2021,
        ("JPEG",),
        "The data set is published as JPEG, and converted copies have other pixels; download the "
        "original",
    ),
}


def _existing_folder(name: str, root: str | os.PathLike | None) -> pathlib.Path:
    if root is None:
        above = data_dir()
        if above is None:
            raise FileNotFoundError(
                f"where is {name}? Set LEUKKIT_DATA_DIR to the folder that holds the data sets "
                f"(one folder each, here {name}/), or pass root=. To get it: leukkit data fetch "
                f"{name}"
            )
        root = above / name
    root = pathlib.Path(root).expanduser().absolute()
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder. Get the data set with: leukkit data fetch {name}. Or put it "
            "there, set LEUKKIT_DATA_DIR to the folder above it, or pass root="
        )
    return root


def _what_is_there_instead(name: str, root: pathlib.Path, files: list[pathlib.Path]) -> str:
    if not files:
        return f"{root}: the folder is empty. Get the data set with: leukkit data fetch {name}"
    if others := [other for other in PUBLISHED if find(other, files)]:
        return (
            f"{root}: this is {others[0]}, not {name}. Load it by that name, or pass another root="
        )
    return (
        f"{root}: none of the {len(files)} files here is an image of {name}. The folders and file "
        "names it must have are in data/README.md; archives must be unpacked first"
    )


def _one_variant(records: list[dict], root: pathlib.Path) -> list[dict]:
    """Return the images of ALL 2021 of the variant that root chooses, in the folders of classes."""

    def is_segmented(path: pathlib.Path) -> bool:
        return "segmented" in [part.lower() for part in path.parts]

    chosen = [one for one in records if is_segmented(root) or not is_segmented(one["path"])]
    if not chosen:
        raise DatasetError(
            f"{root}: only the Segmented images are here. Point root at that folder to load "
            f"them ({records[0]['path'].parents[1]}), or add the folder Original"
        )
    for record in chosen:
        path, label = record["path"], record["label"]
        folder = path.parent.name.lower()
        if folder != label and folder in FACTS["all-2021"]["classes"]:
            raise DatasetError(
                f"{path}: the name says {label}, the folder {folder}. Download the data set again"
            )
    return chosen


def _complete_cnmc(records: list[dict], files: list[pathlib.Path]) -> None:
    """Add to the records of C-NMC what their names, or those in the labels file, say."""
    preliminary = [record["path"] for record in records if record["split"] == "preliminary"]
    names = _read_labels(files, preliminary) if preliminary else {}
    for record in records:
        path, phase = record["path"], record["split"]
        if phase == "final":
            record |= {"image_id": f"final-{path.stem}", "crop": FINAL_PHASE_CROP}
            continue
        name, kind = path.stem, path.parent.name.lower()
        if phase == "preliminary":
            name, kind = names[path.stem]
        patient, image, stated = CELL_NAME.fullmatch(name).groups()  # type: ignore[union-attr]
        if stated.lower() != kind:
            raise DatasetError(
                f"{path}: the name {name} says {stated}, but its folder or its row in the labels "
                f"file says {kind}. Compare with the official data set and correct one of them"
            )
        patient = patient.upper()  # subject H3 is spelled h3 in 36 files
        record |= {
            "image_id": f"preliminary-{name}" if phase == "preliminary" else name,
            "label": LABEL_OF_KIND[kind],
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
        for line, name, number, label in read_table(path, CSV_COLUMNS)[CSV_COLUMNS].itertuples():
            stem = name.rsplit(".", 1)[0]
            if not CELL_NAME.fullmatch(stem) or label not in KIND_OF_NUMBER:
                raise DatasetError(
                    f"{path}: line {line}: {name},{number},{label} cannot be read; expected is "
                    "e.g. UID_57_29_1_all.bmp,1.bmp,1 with label 1 (ALL) or 0 (healthy)"
                )
            found = stem, KIND_OF_NUMBER[label]
            if names.setdefault(number.rsplit(".", 1)[0], found) != found:
                raise DatasetError(f"{path}: line {line}: the image {number} has another row")
    unnamed = [path.name for path in preliminary if path.stem not in names]
    if unnamed:
        raise DatasetError(
            f"{candidates[0]}: no row for {len(unnamed)} preliminary images, e.g. {unnamed[0]}. "
            "Download the labels file again"
        )
    return names
