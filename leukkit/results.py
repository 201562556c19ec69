"""The results folder: one run, one folder; one fold, one folder in it, written whole or not at all.

``results/<paper or own>/<profile>/<split>/<run>/fold-<k>/`` holds ``predictions.csv`` and, last and
by rename, ``fold.json``. A fold whose ``fold.json`` carries the same configuration is done and is
never made again; a folder without one was interrupted and is.
"""

import collections
import dataclasses
import datetime
import functools
import glob
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import filelock
import pandas as pd

from leukkit import environment, papers, splits
from leukkit.datasets.cells import check_attrs, label_codes
from leukkit.files import printable, replace_when_done, results_dir
from leukkit.papers.profiles import Run
from leukkit.records import FOLD_FORMAT, Configuration, FoldRecord
from leukkit.schemas import Recipe, SchemaError, SplitTable, check, digest
from leukkit.splits import Split

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "xgboost", "opencv-python-headless")
PLACE = ("paper", "profile", "split", "run")  # the levels of the folder
_KEEP = (
    "It is kept. Choose another results folder (--results-dir or LEUKKIT_RESULTS_DIR), or move "
    "this run's folder away"
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
        DatasetError: A label is missing, or none of the classes; or the frame lost its ``attrs``.
    """
    table, cells = split.table, split.cells
    check_attrs(cells, "dataset", "classes")
    label_codes(cells, cells.attrs["classes"], cells.attrs["dataset"])
    planned = planned or _planned_like(split, recipe, name, seed)
    common = {
        "paper": table.paper,
        "profile": pathlib.Path(table.profile).stem,
        "split": table.name,
        "keys": planned.keys if planned else {},
        "table": table.record(),
        "draw": split.seed - seed,
        "recipe": None if recipe is None else recipe.record(),
        "seed": seed,
        "dataset": cells.attrs["dataset"],
        "classes": list(cells.attrs["classes"]),
        "weights": _weights_id(recipe, seed) if recipe else "",
    }
    if planned is None:
        same = ("table", "draw", "recipe", "seed", "dataset", "classes", "weights")
        name = f"{name}~{digest({key: common[key] for key in same})[:8]}"
    folder = run_folder(base, table.paper, table.profile, table.name, name)
    folds, missing = [], []
    for number, fold in enumerate(split.folds):
        images = {part: cells_digest(cells, where) for part, where in fold._asdict().items()}
        hashes = list(members[number]) if members else []
        folds.append(Configuration(**common, run=name, images=images, members=hashes))
        if not is_done(folder / f"fold-{number}", folds[-1]):
            missing.append(number)
    return Place(folder, folds, missing, planned.models_kept if planned else [0])


def run_folder(
    base: pathlib.Path | str | None, paper: str, profile: str, split: str, run: str
) -> pathlib.Path:
    """Return the folder of a run (not created); ``profile`` may be the path of its file.

    Raises:
        ResultsError: One of the names would lead out of the results.
    """
    levels = (paper, pathlib.Path(profile).stem, split, run)
    for kind, level in zip(PLACE, levels, strict=True):
        if level in ("", ".", "..") or set(level) & set("/\\\0"):
            raise ResultsError(
                f"the {kind} {level!r} cannot be a folder of the results: expected a name without "
                "/ and \\; give it another one"
            )
    return pathlib.Path(base or results_dir()).resolve().joinpath(*levels)


def cells_digest(cells: pd.DataFrame, positions: Any) -> str:
    """Return the SHA-256 (hex) of what a fold sees of the cells at ``positions``."""
    seen = ("image_id", "label", "sha256", "subject", "copy")
    rows = cells.iloc[positions][[name for name in seen if name in cells]]
    rows = rows.astype("string").fillna("")
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def _planned_like(split: Split, recipe: Recipe | None, name: str, seed: int) -> Run | None:
    """Return the planned run of this name and place, if it is the same in all that matters."""
    table, attrs = split.table, split.cells.attrs
    dataset, root = attrs["dataset"], pathlib.Path(attrs.get("root", ""))
    if table.paper not in papers.KEYS:
        return None
    for run in papers.load(table.paper).plan(table.profile, table.name):
        same_method = (run.name, run.recipe, run.seed) == (name, recipe, seed)
        same_images = run.seed + run.draw == split.seed and (
            run.data == dataset or pathlib.Path(run.data).expanduser().absolute() == root
        )
        if same_method and same_images and check(SplitTable, run.table) == table:
            return run
    return None


def _weights_id(recipe: Recipe, seed: int) -> str:
    from leukkit import models

    return models.weights_id(recipe.network, recipe.weights_source, seed, recipe.width)


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
    changed = found.configuration.differences(configuration)
    raise ConfigurationError(
        f"{folder} holds a finished fold of another configuration (different: "
        f"{', '.join(changed) or 'its hash'}). {_KEEP}"
    )


def once(make: Callable[..., None]) -> Callable[..., None]:
    """Decorate what makes a fold, given its folder and its `Configuration` first.

    Of two processes that make the same fold one waits, and a finished fold is skipped.
    """

    @functools.wraps(make)
    def make_once(
        folder: pathlib.Path, configuration: Configuration, *arguments: Any, **options: Any
    ) -> None:
        environment.end_with_parent()
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
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
        facts: Further fields of `FoldRecord`.
    """
    hashes = {}
    for name, table in tables.items():
        content = table.to_csv(index=False).encode()
        hashes[f"{name}.csv"] = hashlib.sha256(content).hexdigest()
        with replace_when_done(folder / f"{name}.csv") as path:
            path.write_bytes(content)
    versions = {name: importlib.metadata.version(name) for name in VERSIONED}
    record = FoldRecord(
        configuration_hash=configuration.hash,
        configuration=configuration,
        folds=len(split.folds),
        seconds=round(seconds, 3),
        finished=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        commit=environment.commit(),
        hardware=environment.hardware(),
        versions={"python": platform.python_version(), **versions},
        tables=hashes,
        leakage=leaks(split, number),
        links=split.cells.attrs.get("links", ""),
        images={part: len(positions) for part, positions in split.folds[number]._asdict().items()},
        **facts,
    )
    with replace_when_done(folder / "fold.json") as path:
        path.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")


def leaks(split: splits.Split, number: int) -> dict[str, float | None]:
    """Return the shares of `splits.leakage` of one fold; None where unknown."""
    found = splits.leakage(dataclasses.replace(split, folds=[split.folds[number]])).astype(object)
    return found.where(found.notna(), None)[list(splits.LEAKS)].iloc[0].to_dict()


def read_record(folder: pathlib.Path | str) -> FoldRecord:
    """Return ``fold.json`` of one finished fold.

    Raises:
        ResultsError: It is damaged, or was written by another version of the kit.
        OSError: It cannot be read, or the fold is not finished.
    """
    path = pathlib.Path(folder) / "fold.json"
    again = f"Move {folder} away, and the fold is made again"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also of bytes that are no UTF-8
        raise ResultsError(f"{path} is no JSON that can be read ({error}). {again}") from None
    found = content.get("format", 1) if isinstance(content, dict) else None
    if found is not None and found != FOLD_FORMAT:
        raise ResultsError(
            f"{path} was written in format {found}, and this version of leukkit reads "
            f"{FOLD_FORMAT}, whose splits and copies do not depend on names. {_KEEP}"
        )
    try:
        return check(FoldRecord, content, str(path))
    except SchemaError as error:
        raise ResultsError(f"{error}. {again}") from None


def read_fold(
    folder: pathlib.Path | str, name: str = "predictions", record: FoldRecord | None = None
) -> pd.DataFrame:
    """Return one table of one finished fold; ``record`` is its `read_record`, if at hand.

    Raises:
        ResultsError: The table is gone, or `FoldRecord.read_table` refuses it; names the file.
    """
    path = pathlib.Path(folder) / f"{name}.csv"
    record = record or read_record(folder)
    try:
        return record.read_table(path.name, path.read_bytes())
    except (ValueError, OSError) as error:
        problem = f"{path}: {getattr(error, 'strerror', error)}"
        raise ResultsError(f"{problem}. Move {folder} away, and the fold is made again") from None


def check_arithmetic(folder: pathlib.Path, arithmetic: str) -> None:
    """Refuse to make a fold on other devices or threads than the finished folds of its run.

    Raises:
        ConfigurationError: The last digits would differ; names both.
    """
    for number in _finished(folder.parent):
        found = read_record(folder.with_name(f"fold-{number}")).arithmetic
        if found != arithmetic:
            raise ConfigurationError(
                f"{folder} would be made on {arithmetic}, but fold-{number} was made on {found}: "
                "their last digits differ. Go on as the run was begun (the same jobs, "
                "TF_NUM_INTRAOP_THREADS and OMP_NUM_THREADS), or choose another results folder"
            )


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
    folder = pathlib.Path(folder)
    tables = {
        number: read_fold(folder / f"fold-{number}", name, record)
        for number, record in _checked(folder).items()
    }
    if not tables:
        raise FileNotFoundError(
            f"{folder} has no finished fold: run `leukkit reproduce` for this paper first"
        )
    return pd.concat(tables, names=["fold"]).reset_index("fold").reset_index(drop=True)


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
    folds = collections.Counter(path.parent.parent for path in finished)
    for folder in sorted(folds):
        names = map(printable, folder.relative_to(top).parts)
        row: dict[str, Any] = dict(zip(PLACE, names, strict=True))
        row |= {"folds": folds[folder], "folder": printable(folder), "problem": pd.NA}
        try:
            if row["folder"] != str(folder):
                raise ResultsError(f"{row['folder']}: a name with such signs cannot be shown")
            row = read_records(folder)[0].configuration.keys | row
        except (ResultsError, OSError) as error:
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


def _checked(folder: pathlib.Path | str) -> dict[int, FoldRecord]:
    """Return the record of each fold by its number, once they are known to be all of one run."""
    numbers = _finished(folder)
    if not numbers:
        return {}
    records = {number: read_record(pathlib.Path(folder) / f"fold-{number}") for number in numbers}
    first = records[numbers[0]]
    for number, record in records.items():
        if changed := first.differences(record):
            raise ResultsError(
                f"{folder} holds folds of two runs: fold-{numbers[0]} and fold-{number} differ in "
                f"{', '.join(changed)}. Their numbers must not be pooled. Keep the folds of one "
                "run here, and move the others away"
            )
    if missing := [f"fold-{number}" for number in range(first.folds) if number not in records]:
        raise ResultsError(
            f"{folder} has {len(records)} of {first.folds} folds; missing: {', '.join(missing)}. "
            "The same command as before makes what is missing"
        )
    if len(records) > first.folds:
        raise ResultsError(
            f"{folder} holds fold-{numbers[-1]}, but its run has {first.folds} folds, counted "
            "from 0: two runs are mixed. Move the folds of one of them away"
        )
    seen = {record.configuration_hash: number for number, record in records.items()}
    if copies := [n for n, record in records.items() if seen[record.configuration_hash] != n]:
        raise ResultsError(
            f"{folder}: another fold has the images of fold-{copies[0]}, so one is a copy. Move it "
            "away; the same command as before makes what is then missing"
        )
    return records


def _finished(folder: pathlib.Path | str) -> list[int]:
    """Return the numbers of the finished folds of a run; refuse a folder like ``fold-0.bak``."""
    found = [path.parent for path in pathlib.Path(folder).glob("fold-*/fold.json")]
    if odd := [one for one in found if not re.fullmatch(r"fold-(0|[1-9][0-9]{0,8})", one.name)]:
        raise ResultsError(
            f"{odd[0]} is no fold of a run, which are called fold-0, fold-1, and so on. If it is a "
            "copy, move it out of the results; if not, give it its name back"
        )
    return sorted(int(one.name.removeprefix("fold-")) for one in found)
