"""The results folder: one fold, one folder, written whole or not at all.

``results/<paper>/<profile>/<protocol>/<model>/fold-<k>/`` holds ``predictions.csv`` and, last and
by rename, ``fold.json``. A fold whose ``fold.json`` carries the same configuration is done and is
never run again; a folder without one was interrupted and is.
"""

import hashlib
import importlib.metadata
import json
import pathlib
import platform

import pandas as pd

from leukkit.writing import replace_when_done

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "xgboost", "opencv-python-headless")


class ConfigurationError(ValueError):
    """A results folder holds a finished fold of another configuration."""


def fold_dir(results_dir, paper, profile, protocol, model, fold):
    """Return the folder of one fold (not created)."""
    return pathlib.Path(results_dir) / paper / profile / protocol / model / f"fold-{fold}"


def run_name(run):
    """Return the name of a run's folder: the values of its keys that are not empty."""
    return "_".join(str(value) for value in run.values() if value not in ("", None))


def digest(value):
    """Return the SHA-256 (hex) of a JSON-serialisable value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def cells_digest(cells, positions):
    """Return the SHA-256 (hex) of what a fold sees of the cells at ``positions``."""
    columns = [
        name for name in ("image_id", "label", "sha256", "identity", "copy") if name in cells
    ]
    rows = cells.iloc[positions][columns].astype("string").fillna("")
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def is_done(folder, configuration):
    """Tell whether a fold is finished for this configuration.

    Args:
        folder: The fold's folder.
        configuration: JSON-serialisable dict of all that the predictions depend on.

    Returns:
        True if ``fold.json`` is there and matches, False if the fold was never finished.

    Raises:
        ConfigurationError: A finished fold of another configuration is there; it is kept.
    """
    path = pathlib.Path(folder) / "fold.json"
    if not path.exists():
        return False
    found = json.loads(path.read_text())
    if found["configuration_hash"] == digest(configuration):
        return True
    changed = sorted(
        key
        for key in configuration.keys() | found["configuration"].keys()
        if configuration.get(key) != found["configuration"].get(key)
    )
    raise ConfigurationError(
        f"{path.parent} holds a finished fold of another configuration "
        f"(different: {', '.join(changed)}). It is kept. Choose another results folder "
        "(--results-dir or LEUKKIT_RESULTS_DIR), or delete this one if you no longer need it."
    )


def write_fold(folder, configuration, predictions, *, tables=None, seed, seconds, **facts):
    """Write one finished fold, ``fold.json`` last.

    Args:
        folder: The fold's folder; made if missing.
        configuration: As in `is_done`.
        predictions: Frame with ``image_id, identity, label, prob_<class>…`` of the test images.
        tables: More frames to keep beside it, by file name without ``.csv``.
        seed: The run's seed.
        seconds: Wall-clock time of the fold.
        facts: Whatever else a reader wants to know, JSON-serialisable.
    """
    folder = pathlib.Path(folder)
    for name, table in {**(tables or {}), "predictions": predictions}.items():
        with replace_when_done(folder / f"{name}.csv") as path:
            table.to_csv(path, index=False)
    record = {
        "configuration_hash": digest(configuration),
        "configuration": configuration,
        "seed": seed,
        "seconds": round(seconds, 3),
        "versions": versions(),
        **facts,
    }
    with replace_when_done(folder / "fold.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n")


def versions():
    """Return the versions that the numbers came from, by package name."""
    found = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {"python": platform.python_version(), **found}


def read_table(model_dir, name="predictions"):
    """Return one table of all finished folds of a model, with the column ``fold`` in front.

    Args:
        model_dir: ``results/<paper>/<profile>/<protocol>/<model>``.
        name: ``"predictions"`` or another table that was written with the folds.

    Raises:
        FileNotFoundError: No fold is finished.
    """
    model_dir = pathlib.Path(model_dir)
    folds = _finished(model_dir)
    if not folds:
        raise FileNotFoundError(
            f"{model_dir} has no finished fold: run `leukkit reproduce` for this paper first"
        )
    tables = []
    for folder in folds:
        table = read_fold(folder, name)
        table.insert(0, "fold", int(folder.name.removeprefix("fold-")))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def read_fold(folder, name="predictions"):
    """Return one table of one finished fold."""
    text = {"image_id": "string", "identity": "string", "label": "string"}
    return pd.read_csv(pathlib.Path(folder) / f"{name}.csv", dtype=text)


def read_record(folder):
    """Return ``fold.json`` of one finished fold."""
    return json.loads((pathlib.Path(folder) / "fold.json").read_text())


def read_records(model_dir):
    """Return ``fold.json`` of each finished fold of a model, in the order of the folds."""
    return [read_record(folder) for folder in _finished(model_dir)]


def find(results_dir, paper, profile):
    """List the models with finished folds.

    Returns:
        Frame with ``protocol, model, folds, folder`` and a column for each key of the run that is
        recorded in ``fold.json`` (dataset, backbone, classifier, segmentation, augmentation …).
    """
    base = pathlib.Path(results_dir) / paper / profile
    rows = []
    for folder in sorted(base.glob("*/*")):
        records = read_records(folder)
        if records:
            run = records[0]["configuration"]["run"]
            place = {"protocol": folder.parent.name, "model": folder.name, "folds": len(records)}
            rows.append({**place, "folder": str(folder), **run})
    return pd.DataFrame(rows, columns=None if rows else ["protocol", "model", "folds", "folder"])


def _finished(model_dir):
    folders = [path.parent for path in pathlib.Path(model_dir).glob("fold-*/fold.json")]
    return sorted(folders, key=lambda folder: int(folder.name.removeprefix("fold-")))
