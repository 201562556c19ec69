"""The results folder: one run, one folder; one fold, one folder in it, written whole or not at all.

``results/<paper or own>/<profile>/<split>/<run>/fold-<k>/`` holds ``predictions.csv`` and, last and
by rename, ``fold.json``. A fold whose ``fold.json`` carries the same configuration is done and is
never made again; a folder without one was interrupted and is.
"""

import contextlib
import datetime
import functools
import glob
import hashlib
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from leukkit import environment, papers, splits
from leukkit.files import replace_when_done, results_dir
from leukkit.metrics import check_predictions
from leukkit.papers.profiles import Run
from leukkit.records import FOLD_FORMAT, Configuration, FoldRecord
from leukkit.schemas import Recipe, SchemaError, SplitTable, check, digest
from leukkit.splits import Fold, Split

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "xgboost", "opencv-python-headless")
PLACE = ("paper", "profile", "split", "run")  # the levels of the folder
_KEEP = (
    "It is kept. Choose another results folder (--results-dir or LEUKKIT_RESULTS_DIR), or delete "
    "this one if you no longer need it"
)


class ResultsError(ValueError):
    """A results folder that cannot be trusted: incomplete, mixed, too old, or damaged."""


class ConfigurationError(ResultsError):
    """A results folder holds a finished fold of another configuration."""


# ------------------------------------------------------------------------------- where a run lies


class Place(NamedTuple):
    """A run's folder and, for each fold, its configuration.

    Attributes:
        folder: Of the run; made when the first fold is written.
        folds: A `Configuration` for each fold.
        missing: Numbers of the folds that are not finished.
        models_kept: Numbers of the folds whose model is saved: those that are planned, the first
            of a run that is not planned.
    """

    folder: pathlib.Path
    folds: list[Configuration]
    missing: list[int]
    models_kept: list[int]

    def fold(self, number: int) -> pathlib.Path:
        """Return the folder of one fold."""
        return self.folder / f"fold-{number}"


def place(
    split: Split,
    recipe: Recipe | None,
    name: str,
    seed: int,
    *,
    planned: Run | None = None,
    members: Sequence[Sequence[str]] = (),
    base: pathlib.Path | str | None = None,
) -> Place:
    """Say where a run lies, and which of its folds are still to be made.

    A run that equals one that its split's paper and profile plan has its plain name; any other has
    the name and ``~`` with eight digits of its hash.

    Args:
        split: What is trained on what.
        recipe: None for an ensemble.
        name: Of the run.
        seed: Of the run.
        planned: The `Run`, where it is known to be planned; None to find out.
        members: Of an ensemble: for each fold the hashes of its members' folds.
        base: Folder of the results; None for `files.results_dir`.

    Raises:
        ConfigurationError: A finished fold was made with another configuration.
    """
    table, cells = split.table, split.cells
    if planned is None:
        planned = _planned_like(split, recipe, name, seed)
    weights = "" if recipe is None else _weights_id(recipe, seed)
    common = {
        "paper": table.paper,
        "profile": pathlib.Path(table.profile).stem,
        "split": table.name,
        "keys": planned.keys if planned else {},
        "table": table.record(),
        "draw": planned.draw if planned else split.seed - seed,
        "recipe": None if recipe is None else recipe.record(),
        "seed": seed,
        "dataset": cells.attrs["dataset"],
        "classes": list(cells.attrs["classes"]),
        "weights": weights,
    }
    if planned is None:
        same = ("table", "draw", "recipe", "seed", "dataset", "classes", "weights")
        name = f"{name}~{digest({key: common[key] for key in same})[:8]}"
    folder = run_folder(base, table.paper, table.profile, table.name, name)
    folds = []
    for number, fold in enumerate(split.folds):
        images = {part: cells_digest(cells, where) for part, where in fold._asdict().items()}
        hashes = list(members[number]) if members else []
        folds.append(Configuration(**common, run=name, images=images, members=hashes))
    missing = [
        number
        for number, configuration in enumerate(folds)
        if not is_done(folder / f"fold-{number}", configuration)
    ]
    return Place(folder, folds, missing, planned.models_kept if planned else [0])


def run_folder(
    base: pathlib.Path | str | None, paper: str, profile: str, split: str, run: str
) -> pathlib.Path:
    """Return the folder of a run (not created); ``profile`` may be the path of its file."""
    return (
        pathlib.Path(base or results_dir()).resolve()
        / paper
        / pathlib.Path(profile).stem
        / split
        / run
    )


def cells_digest(cells: pd.DataFrame, positions: Any) -> str:
    """Return the SHA-256 (hex) of what a fold sees of the cells at ``positions``."""
    seen = ("image_id", "label", "sha256", "subject", "copy")
    rows = cells.iloc[positions][[name for name in seen if name in cells]]
    rows = rows.astype("string").fillna("")
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def _planned_like(split: Split, recipe: Recipe | None, name: str, seed: int) -> Run | None:
    """Return the planned run of this name and place, if it is the same in all that matters."""
    table = split.table
    if table.paper not in papers.KEYS:
        return None
    for run in papers.load(table.paper).plan(table.profile, table.name):
        if run.name == name:
            ours = (recipe and recipe.record(), table.record(), seed, split.seed)
            there = check(SplitTable, run.table, "split table").record()
            theirs = (run.recipe and run.recipe.record(), there, run.seed, run.seed + run.draw)
            same_data = run.data == split.cells.attrs["dataset"]
            return run if ours == theirs and same_data else None
    return None


def _weights_id(recipe: Recipe, seed: int) -> str:
    from leukkit import models

    return models.weights_id(recipe.network, recipe.weights_source, seed)


# ------------------------------------------------------------------------------------ one fold


def is_done(folder: pathlib.Path, configuration: Configuration) -> bool:
    """Tell whether a fold is finished for this configuration.

    Raises:
        ConfigurationError: A finished fold of another configuration is there; it is kept.
        ResultsError: ``fold.json`` is of another version, or damaged.
    """
    if not (folder / "fold.json").exists():
        return False
    found = read_record(folder)
    if found.configuration_hash == configuration.hash:
        return True
    changed = _differences(found.configuration, configuration)
    raise ConfigurationError(
        f"{folder} holds a finished fold of another configuration (different: "
        f"{', '.join(changed) or 'its hash'}). {_KEEP}"
    )


@contextlib.contextmanager
def lock(folder: pathlib.Path) -> Iterator[None]:
    """Hold a fold's folder alone: of two processes that make the same fold, one waits."""
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        yield


def once(make: Callable[..., None]) -> Callable[..., None]:
    """Decorate what makes a fold: it holds the folder meanwhile, and a finished fold is skipped.

    Args:
        make: Takes the fold's folder and its `Configuration` first.
    """

    @functools.wraps(make)
    def make_once(
        folder: pathlib.Path, configuration: Configuration, *arguments: Any, **options: Any
    ) -> None:
        with lock(folder):
            if not is_done(folder, configuration):
                make(folder, configuration, *arguments, **options)

    return make_once


def write_fold(
    folder: pathlib.Path,
    configuration: Configuration,
    split: Split,
    number: int,
    tables: Mapping[str, pd.DataFrame],
    *,
    seconds: float,
    **facts: Any,
) -> None:
    """Write one finished fold, ``fold.json`` last.

    Args:
        folder: The fold's folder; made if missing.
        configuration: Of the fold.
        split: The run's split.
        number: Of the fold.
        tables: Frames to keep, by file name without ``.csv``; ``predictions`` of the test images.
        seconds: Wall-clock time of the fold.
        facts: Further fields of `schemas.FoldRecord`.
    """
    for name, table in tables.items():
        with replace_when_done(folder / f"{name}.csv") as path:
            table.to_csv(path, index=False)
    fold = split.folds[number]
    record = FoldRecord(
        configuration_hash=configuration.hash,
        configuration=configuration,
        folds=len(split.folds),
        seconds=round(seconds, 3),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=environment.commit(),
        hardware=environment.hardware(),
        versions=versions(),
        leakage=_leakage_of(split, fold),
        images={part: len(positions) for part, positions in fold._asdict().items()},
        **facts,
    )
    with replace_when_done(folder / "fold.json") as path:
        path.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the versions that the numbers came from, by package name."""
    found = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {"python": platform.python_version(), **found}


def _leakage_of(split: Split, fold: Fold) -> dict[str, float | int | None]:
    alone = Split(split.cells, [fold], [], split.table, split.seed)
    row = splits.leakage(alone).iloc[0].drop("fold")
    return {
        name: None if pd.isna(value) else int(value) if name == "test_images" else float(value)
        for name, value in row.items()
    }


def read_record(folder: pathlib.Path | str) -> FoldRecord:
    """Return ``fold.json`` of one finished fold.

    Raises:
        ResultsError: It is damaged, or was written by another version of the kit.
    """
    path = pathlib.Path(folder) / "fold.json"
    again = f"Delete {folder}, and the fold is made again"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ResultsError(
            f"{path} is no JSON ({error}): the file was changed or damaged. {again}"
        ) from None
    found = content.get("format", 1) if isinstance(content, dict) else None
    if found is not None and found != FOLD_FORMAT:
        raise ResultsError(
            f"{path} was written in format {found}, and this version of leukkit reads "
            f"{FOLD_FORMAT}, in which a subject is no longer called identity and a run has another "
            f"name. {_KEEP}"
        )
    try:
        return check(FoldRecord, content, str(path))
    except SchemaError as error:
        raise ResultsError(f"{error}. {again}") from None


def read_fold(folder: pathlib.Path | str, name: str = "predictions") -> pd.DataFrame:
    """Return one table of one finished fold.

    Raises:
        ResultsError: A table of predictions holds something that is none, e.g. a probability
            outside 0..1; names the file and the image.
    """
    path = pathlib.Path(folder) / f"{name}.csv"
    table = pd.read_csv(path, dtype={"image_id": "string", "subject": "string", "label": "string"})
    if name.endswith("predictions"):
        try:
            check_predictions(table)
        except ValueError as error:
            raise ResultsError(
                f"{path}: {error}. Delete {folder}, and the fold is made again"
            ) from None
    return table


# ------------------------------------------------------------------------------------- whole runs


def read_table(folder: pathlib.Path | str, name: str = "predictions") -> pd.DataFrame:
    """Return one table of all folds of a run, with the column ``fold`` in front.

    Args:
        folder: Of the run.
        name: ``"predictions"`` or another table that was written with the folds.

    Raises:
        FileNotFoundError: No fold is finished.
        ResultsError: As `read_records` and `read_fold`.
    """
    tables = []
    for fold in _checked(folder):
        table = read_fold(fold, name)
        table.insert(0, "fold", _number(fold))
        tables.append(table)
    if not tables:
        raise FileNotFoundError(
            f"{folder} has no finished fold: run `leukkit reproduce` for this paper first"
        )
    return pd.concat(tables, ignore_index=True)


def has_table(folder: pathlib.Path | str, name: str) -> bool:
    """Tell whether a run kept a table of this name."""
    return any(pathlib.Path(folder).glob(f"fold-*/{name}.csv"))


def read_records(folder: pathlib.Path | str) -> list[FoldRecord]:
    """Return ``fold.json`` of each fold of a run, in the order of the folds; [] for no fold.

    Raises:
        ResultsError: A fold is missing, folds come from two runs, or a record cannot be read.
    """
    return list(_checked(folder).values())


def runs(
    base: pathlib.Path | str | None = None, paper: str = "*", profile: str = "*"
) -> pd.DataFrame:
    """List every run with finished folds, usable or not.

    Args:
        base: Folder of the results; None for `files.results_dir`.
        paper: A paper's key, or a pattern of them.
        profile: A profile's label, or a pattern of them.

    Returns:
        Frame with ``paper, profile, split, run, folds, folder, problem`` and a column for each key
        that the printed tables know the run by (dataset, backbone, classifier …). ``problem`` is
        NA, or says why the run cannot be used; ``folds`` then counts those finished.
    """
    top, rows = pathlib.Path(base or results_dir()).resolve(), []
    finished = top.glob(f"{paper}/{profile}/*/*/fold-*/fold.json")
    for folder in sorted({path.parent.parent for path in finished}):
        row: dict[str, Any] = dict(zip(PLACE, folder.relative_to(top).parts, strict=True))
        row |= {"folds": len(_finished(folder)), "folder": str(folder), "problem": pd.NA}
        try:
            row = read_records(folder)[0].configuration.keys | row
        except ResultsError as error:
            row["problem"] = str(error)
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else [*PLACE, "folds", "folder", "problem"])


def find(base: pathlib.Path | str | None, paper: str, profile: str) -> pd.DataFrame:
    """List the planned runs of a paper under a profile: the rows of `runs`, without ``problem``.

    Raises:
        ResultsError: One of them cannot be used.
    """
    found = runs(base, glob.escape(paper), glob.escape(pathlib.Path(profile).stem))
    found = found[~found["run"].astype("string").str.contains("~")]
    if found["problem"].notna().any():
        raise ResultsError(found["problem"].dropna().iloc[0])
    return found.drop(columns=["paper", "profile", "problem"])


def _checked(folder: pathlib.Path | str) -> dict[pathlib.Path, FoldRecord]:
    """Return each fold's folder and record, after making sure that they are all of one run."""
    folders = _finished(folder)
    if not folders:
        return {}
    records = {fold: read_record(fold) for fold in folders}
    first = records[folders[0]]
    for fold, record in records.items():
        changed = _differences(first.configuration, record.configuration, of_one_run=True)
        if changed := changed + ["folds"] * (first.folds != record.folds):
            raise ResultsError(
                f"{folder} holds folds of two runs: {folders[0].name} and {fold.name} differ in "
                f"{', '.join(changed)}. Their numbers must not be pooled. Keep the folds of one "
                "run here, and move the others away"
            )
    expected, found = range(first.folds), [_number(fold) for fold in folders]
    if missing := sorted(set(expected) - set(found)):
        raise ResultsError(
            f"{folder} has {len(folders)} of {len(expected)} folds; missing: "
            f"{', '.join(f'fold-{number}' for number in missing)}. The same command as before "
            "makes what is missing"
        )
    if surplus := sorted(set(found) - set(expected)):
        raise ResultsError(
            f"{folder} holds fold-{surplus[0]}, but its run has {len(expected)} folds, counted "
            "from 0: two runs are mixed. Move the folds of one of them away"
        )
    return records


def _differences(one: Configuration, two: Configuration, of_one_run: bool = False) -> list[str]:
    """Return the fields in which two folds differ; those of one run may differ in some."""
    may = {"images", "members"} if of_one_run else set()
    first, second = one.model_dump(exclude=may), two.model_dump(exclude=may)
    found = []
    for name in first:
        if first[name] == second[name]:
            continue
        if isinstance(first[name], dict) and isinstance(second[name], dict):
            keys = first[name].keys() | second[name].keys()
            inner = [key for key in keys if first[name].get(key) != second[name].get(key)]
            found += sorted(f"{name}.{key}" for key in inner)
        else:
            found.append(name)
    return sorted(found)


def _finished(folder: pathlib.Path | str) -> list[pathlib.Path]:
    found = pathlib.Path(folder).glob("fold-*/fold.json")
    return sorted((path.parent for path in found), key=_number)


def _number(folder: pathlib.Path) -> int:
    return int(folder.name.removeprefix("fold-"))
