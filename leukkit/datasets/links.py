"""Patients of C-NMC 2019 who are one subject, since the same cells were cut out under both numbers.

Identical files link patients wherever they occur (`leukkit.datasets.cells.link_subjects`). Beyond
them, ``cnmc_links.csv`` lists 34 pairs of cells under two patient numbers, found among 7,948 cells
by a perceptual hash and looked at one by one: image ids, how many of 256 bits of the hash differ,
correlation of the pixels. Several pairs of two patients are hard to explain by chance, and mostly
their source images pair up too (43_4 with 44_23); a single pair is weaker.
"""

import importlib.resources

import pandas as pd

from leukkit.datasets import near_duplicates
from leukkit.datasets.cells import DatasetError, check_attrs, join_subjects

LEVELS = ("identical", "several pairs", "single pairs")
LISTED = {"cnmc-2019": "cnmc_links.csv"}


def known(dataset: str) -> pd.DataFrame:
    """Return the listed pairs of a data set, those of the most frequent patients first.

    Returns:
        Frame, one row per pair: ``image_id, image_id_like, bits`` (0 to 256 that differ),
        ``correlation`` (-1 to 1), ``patient, patient_like, pairs`` (of these two patients) and
        ``level`` (one of `LEVELS`). Empty for a data set without a list.
    """
    if dataset not in LISTED:
        columns = ["image_id", "image_id_like", "bits", "correlation"]
        return pd.DataFrame(columns=[*columns, "patient", "patient_like", "pairs", "level"])
    file = importlib.resources.files("leukkit.datasets").joinpath(LISTED[dataset])
    with file.open(encoding="utf-8") as lines:
        pairs = pd.read_csv(lines)
    for name in ("", "_like"):
        pairs[f"patient{name}"] = pairs[f"image_id{name}"].str.split("_").str[1]
    # Either patient may stand first in a row.
    two = pd.Series([frozenset(pair) for pair in pairs[["patient", "patient_like"]].to_numpy()])
    pairs["pairs"] = two.map(two.value_counts())
    pairs["level"] = (pairs["pairs"] > 1).map({True: "several pairs", False: "single pairs"})
    return pairs.sort_values("pairs", ascending=False, kind="stable", ignore_index=True)


def joined_by(dataset: str, level: str) -> pd.DataFrame:
    """Return the rows of `known` that join patients at a level, one of `LEVELS`."""
    pairs = known(dataset)
    return pairs[pairs["level"].map(LEVELS.index) <= LEVELS.index(level)]


def join(cells: pd.DataFrame, level: str) -> pd.DataFrame:
    """Join the patients of a data set whom its listed pairs show to be one subject.

    Args:
        cells: The cells frame, with subjects by identical files.
        level: One of `LEVELS`, each with those before it.

    Returns:
        A copy with joined subjects; ``attrs["links"]`` is the level, ``""`` without a list.

    Raises:
        ValueError: The level is not known.
        DatasetError: Two listed images are there and are not alike.
    """
    if level not in LEVELS:
        raise ValueError(f"links={level!r}: expected one of {', '.join(LEVELS)}")
    check_attrs(cells, "dataset")
    dataset = cells.attrs["dataset"]
    pairs = joined_by(dataset, level)
    compare(cells, pairs)
    patients = pairs[["patient", "patient_like"]].drop_duplicates()
    there = patients.isin(set(cells["patient"].dropna())).all(axis=1)
    joined = join_subjects(cells, patients[there].to_numpy().tolist())
    joined.attrs = cells.attrs | {"links": level if len(known(dataset)) else ""}
    return joined


def compare(cells: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Compare the listed images that are there: a folder may hold others under their names.

    Args:
        cells: The cells frame.
        pairs: Rows of `known`.

    Returns:
        What `near_duplicates.find` gives for them, in the order of ``pairs``; without those whose
        files are identical here or were not read. Without columns if none is there.

    Raises:
        DatasetError: Two of them are not alike.
    """
    there = cells.drop_duplicates("image_id").set_index("image_id")
    found = []
    for pair in pairs.itertuples():
        two = there.reindex([pair.image_id, pair.image_id_like]).reset_index()
        if two["sha256"].dropna().nunique() < 2:
            continue
        found.append(near_duplicates.find(two, correlation=0.8))
        if found[-1].empty:
            paths = " and ".join(two["path"])
            raise DatasetError(
                f"{paths} should show one cell, cut out twice ({pair.bits} of "
                f"{near_duplicates.BITS} bits differ, correlation {pair.correlation}), and do not. "
                "Are they the images of C-NMC 2019? links='identical' joins patients by identical "
                "files alone"
            )
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
