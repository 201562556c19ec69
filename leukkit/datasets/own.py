"""A data set of one's own: a folder of images, and what a table or the folders say of them.

Either one folder per class, ``normal/a17.png``, and above these perhaps ``train/``, ``val/`` and
``test/``; or images anywhere, and ``labels.csv`` with a row for each: ``file`` (below the folder)
and ``label``, and where known ``patient``, ``source_image``, ``split``, ``fold``. Beside it
``leukkit.toml`` may say how the set and its classes are called (`Facts`).
"""

import os
import pathlib
import tomllib
import warnings

import pandas as pd

from leukkit.datasets import cells
from leukkit.datasets.cells import DatasetError, natural_order
from leukkit.datasets.decode import SUFFIXES
from leukkit.datasets.published import FACTS, files_below, refuse_one_class
from leukkit.files import read_table, read_text
from leukkit.schemas import Model, SchemaError, check

TABLE, SAID = "labels.csv", "leukkit.toml"
COLUMNS = ("file", "label", "patient", "source_image", "split", "fold")
NEEDED = COLUMNS[:2]
PARTS = {  # folders above those of the classes
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
HEALTHY = ("normal", "healthy", "benign", "hem", "negative", "control", "no", "0")


class Facts(Model):
    """``leukkit.toml``: what a folder of images does not say by itself.

    Attributes:
        name: Of the data set, for results and reports; that of the folder if empty.
        classes: In the order of every table; of two the last is the positive one.
        license: For the data card.
        gray: Whether gray images are turned into RGB (three equal channels), not refused.
        columns: What the table calls ``file, label, patient, source_image, split, fold``.
    """

    name: str = ""
    classes: list[str] = []
    license: str = ""
    gray: bool = False
    columns: dict[str, str] = {}


def load(folder: str | os.PathLike, damaged: str = "error") -> pd.DataFrame:
    """Return the cells of a folder of one's own; see `leukkit.datasets.load`.

    ``image_id`` is the path below the folder, with ``/``.

    Raises:
        FileNotFoundError: There is no such folder.
        DatasetError: The folder holds no images, or one class; its table or `SAID` is wrong: names
            file, line and value.
        DamagedImagesError: As `leukkit.datasets.load`.

    Example:
        >>> cells = datasets.load("my/cells")          # my/cells/normal/…, my/cells/blast/…
    """
    root = pathlib.Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected one of images, one per class")
    facts = _facts(root)
    images = {path: path.relative_to(root).as_posix() for path in files_below(root)}
    images = {path: name for path, name in images.items() if path.suffix.lower() in SUFFIXES}
    if not images:
        raise DatasetError(f"{root}: no image in this folder; looked for {', '.join(SUFFIXES)}")
    if (root / TABLE).is_file():
        records = _listed(root, images, facts.columns)
    else:
        records = [_in_folder(path, name) for path, name in images.items()]
    records.sort(key=_place)
    classes = _classes(root, facts.classes, [record["label"] for record in records])
    found = cells.build(records, facts.name or root.name, root, classes, damaged, facts.gray)
    found.attrs |= {"license": facts.license, "gray": facts.gray}
    return found


def _facts(root: pathlib.Path) -> Facts:
    path, content = root / SAID, {}
    try:
        if path.is_file():
            content = tomllib.loads(read_text(path))
        facts = check(Facts, content)
    except (SchemaError, tomllib.TOMLDecodeError) as error:
        raise DatasetError(f"{path}: {error}") from None
    if unknown := sorted(set(facts.columns) - set(COLUMNS)):
        raise DatasetError(
            f"{path}: columns says what {', '.join(unknown)} is called, expected some of "
            f"{', '.join(COLUMNS)}"
        )
    name = facts.name or root.name
    if name in FACTS or name.startswith("sample-"):
        raise DatasetError(
            f"{root}: a folder of your own cannot be called {name}, like a data set of the kit. "
            f"Load it by that name with root=, or write another one into {path}: name = …"
        )
    return facts


def _place(record: dict) -> tuple:
    """Order by fold and name of the file, as a published set: in other folders it stays so."""
    name = record["path"].name.lower()
    return record.get("fold") or 0, natural_order(name), natural_order(record["image_id"])


def _in_folder(path: pathlib.Path, name: str) -> dict:
    """Return the record of an image whose folder is its class."""
    *above, label, _ = ["", *name.split("/")]
    if not label:
        raise DatasetError(
            f"{path}: lies in no folder of a class, and there is no {TABLE} that names its class. "
            f"Put it into one folder per class, or write {TABLE} with the columns "
            f"{', '.join(NEEDED)}"
        )
    parts = [PARTS[folder.lower()] for folder in above if folder.lower() in PARTS]
    return {"image_id": name, "path": path, "label": label, "split": (*parts, None)[0]}


def _listed(root: pathlib.Path, images: dict[pathlib.Path, str], columns: dict) -> list[dict]:
    """Return the records of the images that the table lists."""
    table, by_name = root / TABLE, {name: path for path, name in images.items()}
    records: dict[str, dict] = {}
    called = {columns.get(name, name): name for name in COLUMNS}
    wanted = [columns.get(name, name) for name in (*NEEDED, *columns)]
    for line, row in read_table(table, wanted).rename(columns=called).iterrows():
        name, place = row["file"].replace("\\", "/").removeprefix("./"), f"{table}, line {line}"
        if not row["label"]:
            raise DatasetError(f"{place}: {name} has no label. Write one, or delete the row")
        if name not in by_name:
            what = "no image of a kind that is read" if (root / name).exists() else "not there"
            raise DatasetError(
                f"{place}: {name!r} is {what}; expected the path of an image below {root}"
            )
        if name in records:
            raise DatasetError(f"{place}: {name} has a row before. Keep one of them")
        record = {column: row[column] or None for column in COLUMNS[1:] if column in row}
        if fold := record.get("fold"):
            if not fold.isdecimal():
                raise DatasetError(f"{place}: fold is {fold!r}, expected a whole number")
            record["fold"] = int(fold)
        records[name] = {"image_id": name, "path": by_name[name], **record}
    if unlisted := [name for name in by_name if name not in records]:
        warnings.warn(
            f"{table} lists {len(records)} images and not {len(unlisted)} others that are there, "
            f"e.g. {unlisted[0]}: these are left out",
            stacklevel=4,
        )
    return list(records.values())


def _classes(root: pathlib.Path, stated: list[str], labels: list[str]) -> list[str]:
    """Return the classes in order; refuse an order that would have to be guessed."""
    found = sorted(set(labels), key=natural_order)
    say = f"write into {root / SAID}: classes = ["
    if stated and (unknown := [label for label in found if label not in stated]):
        raise DatasetError(
            f"{root}: the label {unknown[0]!r} is none of the classes {', '.join(stated)} that "
            f"{SAID} names. Correct one of the two"
        )
    advice = f"Expected one folder per class right above the images, or a {TABLE} with two labels"
    refuse_one_class(root, len(labels), stated or found, advice)
    if stated:
        return stated
    if (numeric := [name for name in found if name.isdecimal()]) and len(numeric) < len(found):
        raise DatasetError(
            f"{root}: the labels {', '.join(found)} mix numbers and words. Correct them, or, if "
            f"they are meant, {say}{', '.join(map(repr, found))}]"
        )
    healthy = [name for name in found if name.lower() in HEALTHY]
    if len(found) == 2 and len(healthy) != 1:
        raise DatasetError(
            f"{root}: which of {found[0]} and {found[1]} is the positive class cannot be told, and "
            f"sensitivity and specificity depend on it: {say}…] with the positive one last"
        )
    return sorted(found, key=lambda name: name not in healthy) if len(found) == 2 else found
