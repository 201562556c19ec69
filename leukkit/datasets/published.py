"""The published data sets, wherever they lie below a folder. C-NMC has a module of its own, `cnmc`.

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

import os
import pathlib
import re
from collections.abc import Callable, Collection
from typing import NamedTuple

import pandas as pd

from leukkit.datasets import cells, cnmc
from leukkit.datasets.cells import DatasetError, natural_order
from leukkit.datasets.decode import SUFFIXES
from leukkit.datasets.official import FACTS
from leukkit.files import data_dir

ALL_IDB_NAME = re.compile(r"Im(\d+)_([01])", re.I)
LABEL_OF_NUMBER = {"1": "ALL", "0": "healthy"}
ALL_2021_NAME = re.compile(r"WBC-(?:(Benign)|Malignant-(Early|Pre|Pro))-(\d+)", re.I)
IMAGES_PER_BLOCK = 37  # 3,256 images of 89 patients: 36.6 each


class Published(NamedTuple):
    """How one data set is read.

    Attributes:
        find: From paths of any files to those that are its images, in the order of the cells. Only
            their names matter.
        describe: From paths and the root that was asked for to records for `cells.build`. Raises
            `DatasetError` where names, folders or formats contradict the publisher's.
    """

    find: Callable[[list[pathlib.Path]], Collection[pathlib.Path]]
    describe: Callable[[list[pathlib.Path], pathlib.Path], list[dict]]


def load(name: str, root: str | os.PathLike | None = None, damaged: str = "error") -> pd.DataFrame:
    """Return the cells of a published data set; see `leukkit.datasets.load`."""
    root = _existing_folder(name, root)
    files = files_below(root)
    _refuse_other_data_sets(name, root, files)
    records = PUBLISHED[name].describe(files, root)
    labels = {record["label"] for record in records if "label" in record}
    if len(labels) == 1:
        raise DatasetError(
            f"{root}: all {len(records)} images are of one class, {labels.pop()}; nothing can be "
            f"learned from one class. {name} has {', '.join(FACTS[name]['classes'])}: point root "
            "at the folder that holds all of them"
        )
    return cells.build(records, name, root, FACTS[name]["classes"], damaged)


def files_below(root: str | pathlib.Path) -> list[pathlib.Path]:
    """Return the paths of all files below a folder, through links, each folder once."""
    found, seen = [], set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()  # a link in a circle, or to a folder that was already listed
            continue
        seen.add(real)
        subfolders.sort()
        found += [pathlib.Path(folder, name) for name in sorted(names)]
    return found


def find_all_idb(files: list[pathlib.Path]) -> list[pathlib.Path]:
    """Return the files named like an ALL-IDB image, in natural order, whatever their format."""
    return sorted(_named(files, ALL_IDB_NAME), key=lambda path: natural_order(path.name))


def describe_all_idb(files: list[pathlib.Path], root: pathlib.Path) -> list[dict]:
    """Describe each ALL-IDB2 image; ``image_id`` is the name without its ending.

    Raises:
        DatasetError: An image is not a TIFF: this is ALL-IDB1, or a converted copy.
    """
    records = []
    for path in find_all_idb(files):
        if SUFFIXES[path.suffix.lower()] != "TIFF":
            raise DatasetError(
                f"{path}: a TIFF was expected. ALL-IDB2 is published as TIFF; the JPEG files named "
                "alike are ALL-IDB1, whole smears. Point root at the ALL-IDB2 images alone"
            )
        label = LABEL_OF_NUMBER[path.stem[-1]]
        records.append({"image_id": path.stem, "path": path, "label": label})
    return records


def find_all_2021(files: list[pathlib.Path]) -> list[pathlib.Path]:
    """Return the files named like an image of ALL 2021, by class and number."""
    found = _named(files, ALL_2021_NAME)
    return sorted(found, key=lambda path: (*_class_and_number(path), str(path)))


def describe_all_2021(files: list[pathlib.Path], root: pathlib.Path) -> list[dict]:
    """Describe each image of one variant, which root chooses; ``image_id`` is its stem.

    Raises:
        DatasetError: Only ``Segmented`` is there and root does not point at it, an image is not a
            JPEG, or lies in the folder of another class.
    """
    found = find_all_2021(files)
    if not _is_segmented(root):
        originals = [path for path in found if not _is_segmented(path)]
        if not originals:
            raise DatasetError(
                f"{root}: only the Segmented images are here. Point root at that folder to load "
                f"them ({found[0].parents[1]}), or add the folder Original"
            )
        found = originals
    records = []
    for path in found:
        if SUFFIXES[path.suffix.lower()] != "JPEG":
            raise DatasetError(
                f"{path}: a JPEG was expected, as the data set is published. Converted copies have "
                "other pixels; download the original"
            )
        label, number = _class_and_number(path)
        folder = path.parent.name.lower()
        if folder != label and folder in FACTS["all-2021"]["classes"]:
            raise DatasetError(
                f"{path}: the name says {label}, the folder {folder}. Download the data set again"
            )
        block = (number - 1) // IMAGES_PER_BLOCK + 1
        records.append(
            {
                "image_id": path.stem,
                "path": path,
                "label": label,
                "sequence": label,
                "number": number,
                "subject": f"proxy:{label}-{block}",
            }
        )
    return records


PUBLISHED = {
    "cnmc-2019": Published(cnmc.find, cnmc.describe),
    "all-idb2": Published(find_all_idb, describe_all_idb),
    "all-2021": Published(find_all_2021, describe_all_2021),
}


def _named(files: list[pathlib.Path], pattern: re.Pattern) -> list[pathlib.Path]:
    """Return the images whose whole stem matches."""
    return [f for f in files if f.suffix.lower() in SUFFIXES and pattern.fullmatch(f.stem)]


def _class_and_number(path: pathlib.Path) -> tuple[str, int]:
    benign, malignant, number = ALL_2021_NAME.fullmatch(path.stem).groups()  # type: ignore
    return (benign or malignant).lower(), int(number)


def _is_segmented(path: pathlib.Path) -> bool:
    return "segmented" in [part.lower() for part in path.parts]


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


def _refuse_other_data_sets(name: str, root: pathlib.Path, files: list[pathlib.Path]) -> None:
    if not files:
        raise DatasetError(
            f"{root}: the folder is empty. Get the data set with: leukkit data fetch {name}"
        )
    if PUBLISHED[name].find(files):
        return
    if others := [other for other, known in PUBLISHED.items() if known.find(files)]:
        raise DatasetError(
            f"{root}: this is {others[0]}, not {name}. Load it by that name, or pass another root="
        )
    raise DatasetError(
        f"{root}: none of the {len(files)} files here is an image of {name}. The folders and file "
        "names it must have are in data/README.md; archives must be unpacked first"
    )
