"""What the publishers state about each data set, read from ``official.toml``."""

import importlib.resources
import tomllib

import pandas as pd

FACTS = tomllib.loads(
    importlib.resources.files("leukkit.datasets")
    .joinpath("official.toml")
    .read_text(encoding="utf-8")
)
"""Data set name -> title, citation, license, kaggle handle, classes, side, counts, known files."""


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
