"""Printed numbers and, beside them, what came out here under each protocol."""

import numpy as np
import pandas as pd

from leukkit import metrics

SIDES = {"published": "reproduced", "leak-free": "leak-free"}

# unit -> what a measured value is multiplied by, and the decimals it is shown with
UNITS = {
    "percent": (100.0, 1),
    "fraction": (1.0, 3),
    "value": (1.0, 3),
    "images": (1.0, 0),
    "epochs": (1.0, 0),
}


def beside(printed, measured, keys, sides, columns=("value", "low", "high"), about=()):
    """Put measured numbers beside printed ones, in the unit of the print.

    Args:
        printed: Frame of printed cells, with ``unit`` and the columns ``keys``.
        measured: Frame with ``protocol``, the columns ``keys`` and the measured ``columns``.
        keys: Names of the columns that say what a number is; missing values are equal.
        sides: Dict of a protocol to the name of its side.
        columns: The first is named after the side alone, ``low`` becomes ``<side> low``.
        about: Measured columns that are not in the unit of the print, taken over as they are.

    Returns:
        ``printed`` with these columns for each side, NaN where nothing was measured or a score is
        not defined, and ``<side> made``: whether it was measured.

    Raises:
        ValueError: Two measured numbers have the same keys.
    """
    beside = printed.copy()
    scale = printed["unit"].map({unit: scale for unit, (scale, _) in UNITS.items()}).to_numpy(float)
    wanted = _key_texts(printed, keys)
    for protocol, side in sides.items():
        here = measured[measured["protocol"] == protocol]
        found = _key_texts(here, keys)
        if found.has_duplicates:
            raise ValueError(f"measured twice: {found[found.duplicated()][0]}, under {protocol}")
        position = found.get_indexer(wanted)
        for number, column in enumerate(columns):
            values = np.append(here[column].to_numpy(float, na_value=np.nan), np.nan)
            beside[f"{side} {column}" if number else side] = values[position] * scale
        for column in about:
            values = here[column].reset_index(drop=True).convert_dtypes()
            beside[f"{side} {column}"] = values.reindex(position).array  # -1 is not there: NA
        beside[f"{side} made"] = position >= 0
    return beside


def text_table(comparison, keys, sides):
    """Format the rows of one printed table for reading, with intervals.

    Args:
        comparison: Rows of one table from `beside`.
        keys: The keys; those that differ between the rows become the index.
        sides: The sides' names.

    Returns:
        Frame of text in the unit of each row: ``published``, and one column per side.
    """
    index = [key for key in keys if len(comparison[key].unique()) > 1] or ["quantity"]
    rows = comparison.set_index(index)
    text = rows[["printed"]].rename(columns={"printed": "published"})
    for side in sides:
        values = rows[[side, f"{side} low", f"{side} high", "unit"]].itertuples(index=False)
        made = rows[f"{side} made"]
        text[side] = [
            metrics.with_interval(*ends, UNITS[unit][1]) if ran else "not run"
            for (*ends, unit), ran in zip(values, made, strict=True)
        ]
    return text


def _key_texts(frame, keys):
    """Return the keys of each row as texts: two frames may keep them in different types."""
    return pd.MultiIndex.from_frame(frame[list(keys)].astype("string").fillna("").astype(object))
