"""Profiles of runs that belong to no single paper: an honest leaderboard, and what leaks are worth.

`leukkit.benchmark.leaderboard` runs the methods of all papers under one leak-free split,
`leukkit.benchmark.gap` one classifier under split after split: the two tables of the benchmark, of
C-NMC 2019 or of any other data set.
"""

import functools
import pathlib
import re
import tomllib
import warnings
from typing import Any

import pandas as pd

from leukkit import metrics, papers, runs, splits
from leukkit.papers import profiles
from leukkit.papers.profiles import Profile, Run
from leukkit.splits import Split

_FOLDER = pathlib.Path(__file__).parent
# What intervals are over -> the split that keeps it on one side, and what that means.
KEPT = {
    "subjects": ("subject", "whole subjects are kept on one side"),
    "block proxies": (
        "block",
        "no patients are named: whole blocks of neighboring images are kept on one side, and a "
        "patient may lie in two",
    ),
    "original images": (
        "image",
        "no patients are named: single images are divided, cells of one patient may be on both "
        "sides, and scores may be too high for those of a new patient",
    ),
}
FEWEST = 3  # subjects of a class: one to test on, one to choose on, one to train on
EMBARGO = 5  # neighbors of a tested image, as in the leak-free splits of mishra and sultana


def load(key: str, name: str | Profile, data: str | None = None, methods: str = "") -> Profile:
    """Return the numbers of a profile of ``gap`` or ``honest``.

    Args:
        key: ``"gap"`` or ``"honest"``.
        name: ``"sample"``, ``"paper"``, or the path of a TOML file (see `leukkit.papers.profiles`);
            a `Profile` is returned as it is.
        data: A data set or the folder of one's own that takes the place of the profile's
            (`datasets.load`). Then the profile is called ``<data set>-<profile>``, and this follows
            from the images: the split, by what they know (`KEPT`); at least three folds, and no
            more than the rarer class has subjects, blocks or images; an embargo where sequences and
            numbers are known (`EMBARGO`); of all classes a tenth more images than the largest has,
            where copies are counted (Table I of Farag et al.); the first fold's models are kept.
        methods: Of ``honest``: papers' keys and ``paper:method``, with commas, e.g.
            ``"farag2025:svm,mishra"``; all if empty.

    Raises:
        papers.CardError: There is no such profile, or it breaks the rules.
        ValueError: There is no such method, or the images are too few for three folds.
    """
    if isinstance(name, Profile):
        return name
    content = read_file(key)
    known = content.get("profiles", content)
    known = {**known, "paper": _with_recipes(known["paper"])}
    profile = profiles.resolve(key, known, name)
    for run, entry in profile.runs.items() if key == "honest" else ():
        if entry.paper not in papers.KEYS:  # or listing the methods fails, after hours
            raise papers.CardError(
                f"{name}: runs.{run}: paper is {entry.paper!r}; expected one of "
                f"{', '.join(papers.KEYS)}"
            )
    over = _of_methods(profile, methods) if methods else {}
    if data is not None:
        over |= _of_images(profile, data)
    return profiles.resolve(key, known, name, over=over) if over else profile


@functools.cache
def read_file(key: str) -> dict[str, Any]:
    """Return the content of ``gap.toml`` or ``honest.toml``."""
    return tomllib.loads((_FOLDER / f"{key}.toml").read_text(encoding="utf-8"))


def load_cells(numbers: Profile) -> pd.DataFrame:
    """Load the images of a profile."""
    return runs.load_cells(next(iter(numbers.datasets.values())), numbers.links)


def attempt(cells: pd.DataFrame, table: dict[str, Any], seed: int) -> Split | str:
    """Divide images; where they do not have the parts that ``"official"`` needs, say why not."""
    try:
        return splits.divide(cells, table, seed)
    except ValueError as error:
        if table["split"] != "official":
            raise
        return str(error)


def counts(cells: pd.DataFrame) -> dict[str, int]:
    """Return how many images, with copies, each class gets: a tenth more than the largest has."""
    largest = int(cells["label"].value_counts().max())
    return dict.fromkeys(sorted(cells["label"].unique()), -(-11 * largest // 10))


def _with_recipes(profile: dict[str, Any]) -> dict[str, Any]:
    """Fill in the recipes of runs that are taken from a paper's card."""
    filled = {}
    for name, entry in profile["runs"].items():
        entry = dict(entry)
        if of := entry.pop("of", None):
            numbers = papers.load(entry["paper"]).profile("paper")
            recipe, keys = numbers.recipe_of(of), numbers.runs[of].keys
            settings = {field: getattr(recipe, field) for field in recipe.model_fields_set}
            if recipe.network in keys.values():  # the name says it: a profile may name another
                del settings["network"]
            del keys["dataset"]
            entry = {**settings, **keys, **entry}
        filled[name] = entry
    return {**profile, "runs": filled}


def _of_methods(profile: Profile, methods: str) -> dict[str, Any]:
    """Return what leaves out all other methods; an ensemble's members are made with it."""
    planned = {run.name: run for run in profile.plan()}
    chosen: set[str] = set()
    for asked in methods.split(","):
        paper, _, method = asked.strip().partition(":")
        found = [run for run in planned.values() if _is_called(run, paper, method)]
        if not found:
            known = [f"{run.keys['paper']}:{_short(run)}" for run in planned.values()]
            raise ValueError(
                f"{asked.strip()!r} is no method of the profile {profile.name}; expected a paper's "
                f"key or one of {', '.join(known)}"
            )
        chosen.update(*([run.name, *run.members] for run in found))
    return {"leave_out": [*profile.leave_out, *(name for name in planned if name not in chosen)]}


def _is_called(run: Run, paper: str, method: str) -> bool:
    names = [run.keys.get(name) for name in ("model", "backbone", "classifier", "variant")]
    return run.keys["paper"] == paper and method in ("", _short(run), *names)


def _short(run: Run) -> str:
    return run.name.removeprefix(f"{run.keys['paper']}_")


def _of_images(profile: Profile, data: str) -> dict[str, Any]:
    """Return what a profile says of other images: see `load`."""
    dataset = next(iter(profile.datasets))
    path = data if "/" not in data else str(pathlib.Path(data).expanduser().absolute())
    cells = runs.load_cells(path, profile.links)
    used = cells[~cells["split"].isin(splits.CHALLENGE)]
    groups, what = metrics.groups(used)
    if used["subject"].notna().any() and what == "original images":
        what = "subjects"  # known of some: refused when they are divided, with what to do
    kind = KEPT[what][0]
    fewest = groups.groupby(used["label"]).nunique().sort_values()
    if fewest.iloc[0] < FEWEST:
        raise ValueError(
            f"{data}: class {fewest.index[0]!r} has {fewest.iloc[0]} {what}; expected at least "
            f"{FEWEST} of each class, to test, to choose and to train on. Add some, or divide the "
            "images yourself: leukkit.splits.divide"
        )
    asked = max([FEWEST, *(split.folds or 0 for split in profile.splits.values())])
    if fewest.iloc[0] < asked:
        warnings.warn(
            f"{data}: {fewest.iloc[0]} folds, not {asked}: class {fewest.index[0]!r} has no more "
            f"{what}",
            stacklevel=3,
        )
    places = used.reindex(columns=["sequence", "number"])
    tables, knows_places = {}, places.notna().all(axis=None)
    for name, split in profile.splits.items():
        table = split.record()
        if "folds" in table:
            table["folds"] = min(max(table["folds"], FEWEST), int(fewest.iloc[0]))
        if kind == "image" and table["split"] == "official":
            table["missing"] = "image"
        if profile.key == "honest" and table["split"] == "subject":
            name, table["split"] = kind, "stratified" if kind == "image" else "subject"
        if table["split"] == "subject" and knows_places:
            table["embargo"] = split.embargo if "embargo" in split.model_fields_set else EMBARGO
        tables[name] = table
    copies = {dataset: {"counts": counts(used)}}
    over: dict[str, Any] = {"datasets": {dataset: path}, "copies": copies, "splits": tables}
    name = f"{cells.attrs['dataset']}-{pathlib.Path(profile.name).stem}"
    over["name"] = re.sub(r"[^\w-]+", "_", name)
    if profile.key == "gap":
        return over
    over |= {"made_under": list(tables), "models_kept": profile.models_kept or [0]}
    possible = [t for t in tables.values() if isinstance(attempt(cells, t, profile.seed), Split)]
    untuned = [splits.divide(cells, {**t, "validation": 0.0}, profile.seed) for t in possible]
    left = max(2, min(map(_fewest_trained, untuned)))
    return over | {
        "runs": {
            name: {"table": {**run.table, "tuning": min(run.table["tuning"], left)}}
            for name, run in profile.runs.items()
            if run.table.get("tuning")
        }
    }


def _fewest_trained(split: Split) -> int:
    """Return how many subjects, blocks or images of a class a training part has at least."""
    parts = [split.cells.iloc[fold.train] for fold in split.folds]
    fewest = [metrics.groups(part)[0].groupby(part["label"]).nunique().min() for part in parts]
    return int(min(fewest))
