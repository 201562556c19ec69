"""Load a published data set from wherever it lies below a folder."""

import os
import pathlib

from leukkit.datasets import all_2021, all_idb, cells, cnmc
from leukkit.datasets.cells import DatasetError
from leukkit.datasets.official import FACTS
from leukkit.files import data_dir

FINDERS = {"cnmc-2019": cnmc.find, "all-idb2": all_idb.find, "all-2021": all_2021.find}
"""Data set name -> function from paths to those that are its images."""


def load_published(name, root=None, damaged="error"):
    """Return the cells of ``cnmc-2019``, ``all-idb2`` or ``all-2021``.

    Args:
        name: One of `FINDERS`.
        root: Its folder or any folder above it; by default ``LEUKKIT_DATA_DIR/<name>``.
        damaged: What to do with damaged images, see `leukkit.datasets.cells.build`.

    Raises:
        FileNotFoundError: The folder does not exist.
        DatasetError: It is empty, holds another data set, or images of one class only.
        DamagedImagesError: It holds damaged images and ``damaged`` is ``"error"``.
    """
    root = _existing_folder(name, root)
    files = files_below(root)
    _refuse_other_data_sets(name, root, files)
    if name == "cnmc-2019":
        records = cnmc.records(files)
    elif name == "all-idb2":
        records = all_idb.records(files)
    else:
        records = all_2021.records(files, root)
    _refuse_one_class(name, root, records)
    return cells.build(records, name, root, FACTS[name]["classes"], damaged)


def files_below(root):
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


def _existing_folder(name, root):
    if root is None:
        if data_dir() is None:
            raise FileNotFoundError(
                f"where is {name}? Set LEUKKIT_DATA_DIR to the folder that holds the data sets "
                f"(one folder each, here {name}/), or pass root=. To get it: leukkit data fetch "
                f"{name}"
            )
        root = data_dir() / name
    root = pathlib.Path(root).expanduser().absolute()
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder. Get the data set with: leukkit data fetch {name}. Or put it "
            "there, set LEUKKIT_DATA_DIR to the folder above it, or pass root="
        )
    return root


def _refuse_other_data_sets(name, root, files):
    if not files:
        raise DatasetError(
            f"{root}: the folder is empty. Get the data set with: leukkit data fetch {name}"
        )
    if FINDERS[name](files):
        return
    others = [other for other, find in FINDERS.items() if other != name and find(files)]
    if others:
        raise DatasetError(
            f"{root}: this is {others[0]}, not {name}. Load it by that name, or pass another root="
        )
    raise DatasetError(
        f"{root}: none of the {len(files)} files here is an image of {name}. The folders and file "
        "names it must have are in data/README.md; archives must be unpacked first"
    )


def _refuse_one_class(name, root, records):
    labels = {record["label"] for record in records if "label" in record}
    if len(labels) == 1:
        raise DatasetError(
            f"{root}: all {len(records)} images are of one class, {labels.pop()}; nothing can be "
            f"learned from one class. {name} has {', '.join(FACTS[name]['classes'])}: point root "
            "at the folder that holds all of them"
        )
