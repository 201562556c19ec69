"""The results folder: one fold, one folder, written whole or not at all.

``results/<paper>/<profile>/<protocol>/<model>/fold-<k>/`` holds ``predictions.csv`` and, last and
by rename, ``fold.json``. A fold whose ``fold.json`` carries the same configuration is done and is
never run again; a folder without one was interrupted and is.
"""

import datetime
import glob
import hashlib
import importlib.metadata
import json
import pathlib
import platform

import pandas as pd

from leukkit import environment, splits
from leukkit.metrics import check_predictions
from leukkit.writing import replace_when_done

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "xgboost", "opencv-python-headless")


FORMAT = 3  # of fold.json; up to 2 the column `subject` was called `identity`
REQUIRED = ("configuration", "configuration_hash", "folds", "seed", "seconds", "finished")
OF_ONE_FOLD = ("training", "test", "images", "members")  # where the folds of a run may differ


class ResultsError(ValueError):
    """A results folder that cannot be trusted: incomplete, mixed, too old, or damaged."""


class ConfigurationError(ResultsError):
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
    columns = [name for name in ("image_id", "label", "sha256", "subject", "copy") if name in cells]
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
        ResultsError: ``fold.json`` is of another version, or no longer JSON.
    """
    path = pathlib.Path(folder) / "fold.json"
    if not path.exists():
        return False
    found = read_record(folder)
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


def write_fold(
    folder, configuration, predictions, *, folds, seed, seconds, tables=None, leakage=None, **facts
):
    """Write one finished fold, ``fold.json`` last.

    Args:
        folder: The fold's folder; made if missing.
        configuration: As in `is_done`.
        predictions: Frame with ``image_id, subject, label, prob_<class>…`` of the test images.
        folds: Number of folds of the whole run.
        seed: The run's seed.
        seconds: Wall-clock time of the fold.
        tables: More frames to keep beside it, by file name without ``.csv``.
        leakage: Dict of the shares (0..1, None where unknown) of this fold, as `leakage_of` gives.
        facts: Whatever else a reader wants to know, JSON-serialisable.
    """
    folder = pathlib.Path(folder)
    for name, table in {**(tables or {}), "predictions": predictions}.items():
        with replace_when_done(folder / f"{name}.csv") as path:
            table.to_csv(path, index=False)
    record = {
        "format": FORMAT,
        "configuration_hash": digest(configuration),
        "configuration": configuration,
        "folds": folds,
        "seed": seed,
        "seconds": round(seconds, 3),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": environment.commit(),
        "hardware": environment.hardware(),
        "versions": versions(),
        "leakage": leakage,
        **facts,
    }
    with replace_when_done(folder / "fold.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n")


def versions():
    """Return the versions that the numbers came from, by package name."""
    found = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {"python": platform.python_version(), **found}


def leakage_of(cells, fold):
    """Return what one fold leaks, for `write_fold`.

    Returns:
        Dict of ``test_images`` and of the shares (0..1) of `splits.leakage`, None where unknown.
    """
    row = splits.leakage(cells, [fold]).iloc[0].drop("fold")
    return {
        name: None if pd.isna(value) else int(value) if name == "test_images" else float(value)
        for name, value in row.items()
    }


def read_table(model_dir, name="predictions"):
    """Return one table of all folds of a model, with the column ``fold`` in front.

    Args:
        model_dir: ``results/<paper>/<profile>/<protocol>/<model>``.
        name: ``"predictions"`` or another table that was written with the folds.

    Raises:
        FileNotFoundError: No fold is finished.
        ResultsError: As `read_records` and `read_fold`.
    """
    tables = []
    for folder in _checked(model_dir):
        table = read_fold(folder, name)
        table.insert(0, "fold", _number(folder))
        tables.append(table)
    if not tables:
        raise FileNotFoundError(
            f"{model_dir} has no finished fold: run `leukkit reproduce` for this paper first"
        )
    return pd.concat(tables, ignore_index=True)


def read_fold(folder, name="predictions"):
    """Return one table of one finished fold.

    Raises:
        ResultsError: A table of predictions holds something that is none, e.g. a probability
            outside 0..1; names the file and the image.
    """
    path = pathlib.Path(folder) / f"{name}.csv"
    text = {"image_id": "string", "subject": "string", "label": "string"}
    table = pd.read_csv(path, dtype=text)
    if name.endswith("predictions"):
        try:
            check_predictions(table)
        except ValueError as error:
            raise ResultsError(
                f"{path}: {error}. Delete {folder}, and the fold is made again"
            ) from None
    return table


def read_record(folder):
    """Return ``fold.json`` of one finished fold.

    Raises:
        ResultsError: It is no JSON, or was written by another version of the kit.
    """
    path = pathlib.Path(folder) / "fold.json"
    try:
        record = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ResultsError(
            f"{path} is no JSON ({error}): the file was changed or damaged. Delete {folder}, and "
            "the fold is made again"
        ) from None
    if not isinstance(record, dict):
        raise ResultsError(
            f"{path} holds no record of a fold. Delete {folder}, and the fold is made again"
        )
    found = record.get("format", 1)
    if found != FORMAT:
        raise ResultsError(
            f"{path} was written in format {found}, and this version of leukkit reads {FORMAT}, in "
            "which a subject is no longer called identity. It is kept. Choose another results "
            "folder (--results-dir or LEUKKIT_RESULTS_DIR), or delete this one and run again"
        )
    if lacking := sorted(set(REQUIRED) - record.keys()):
        raise ResultsError(
            f"{path} lacks {', '.join(lacking)}. Delete {folder}, and the fold is made again"
        )
    return record


def read_records(model_dir):
    """Return ``fold.json`` of each fold of a model, in the order of the folds; [] for no fold.

    Raises:
        ResultsError: A fold is missing, folds come from two runs, or a record cannot be read.
    """
    return list(_checked(model_dir).values())


def runs(results_dir, paper="*", profile="*"):
    """List every run with finished folds, usable or not.

    Args:
        results_dir: Folder of the results.
        paper: A paper's key, or a pattern of them.
        profile: A profile's name, or a pattern of them.

    Returns:
        Frame with ``paper, profile, protocol, model, folds, folder, problem`` and a column for each
        key of the run that is recorded in ``fold.json`` (dataset, backbone, classifier …).
        ``problem`` is NA, or says why the run cannot be used; ``folds`` then counts those finished.
    """
    base, rows = pathlib.Path(results_dir), []
    finished = base.glob(f"{paper}/{profile}/*/*/fold-*/fold.json")
    for folder in sorted({path.parent.parent for path in finished}):
        place = dict(zip(_LEVELS, folder.relative_to(base).parts, strict=True))
        place |= {"folds": len(_finished(folder)), "folder": str(folder), "problem": pd.NA}
        try:
            place |= read_records(folder)[0]["configuration"].get("run", {})
        except ResultsError as error:
            place["problem"] = str(error)
        rows.append(place)
    return pd.DataFrame(rows, columns=None if rows else [*_LEVELS, "folds", "folder", "problem"])


def find(results_dir, paper, profile):
    """List the runs of a paper under a profile: the rows of `runs`, without ``problem``.

    Raises:
        ResultsError: One of them cannot be used.
    """
    found = runs(results_dir, glob.escape(paper), glob.escape(profile))
    if found["problem"].notna().any():
        raise ResultsError(found["problem"].dropna().iloc[0])
    return found.drop(columns=["paper", "profile", "problem"])


_LEVELS = ("paper", "profile", "protocol", "model")


def _checked(model_dir):
    """Return each fold's folder and record, after making sure that they are all of one run."""
    folders = _finished(model_dir)
    if not folders:
        return {}
    records = {folder: read_record(folder) for folder in folders}
    first = records[folders[0]]
    for folder, record in records.items():
        changed = _difference(first, record)
        if changed:
            raise ResultsError(
                f"{model_dir} holds folds of two runs: {folders[0].name} and {folder.name} differ "
                f"in {', '.join(changed)}. Their numbers must not be pooled. Keep the folds of one "
                "run here, and move the others away"
            )
    expected, found = range(first["folds"]), [_number(folder) for folder in folders]
    if missing := sorted(set(expected) - set(found)):
        raise ResultsError(
            f"{model_dir} has {len(folders)} of {len(expected)} folds; missing: "
            f"{', '.join(f'fold-{number}' for number in missing)}. The same command as before "
            "makes what is missing"
        )
    if surplus := sorted(set(found) - set(expected)):
        raise ResultsError(
            f"{model_dir} holds fold-{surplus[0]}, but its run has {len(expected)} folds, counted "
            "from 0: two runs are mixed. Move the folds of one of them away"
        )
    return records


def _difference(record, other):
    """Return what two folds of one run must have in common but do not."""
    one, two = record["configuration"], other["configuration"]
    changed = {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)}
    return sorted(changed - set(OF_ONE_FOLD)) + ["folds"] * (record["folds"] != other["folds"])


def _finished(model_dir):
    return sorted(
        (path.parent for path in pathlib.Path(model_dir).glob("fold-*/fold.json")), key=_number
    )


def _number(folder):
    return int(folder.name.removeprefix("fold-"))
