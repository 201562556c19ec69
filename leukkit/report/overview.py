"""The scores that the papers' tables print of their own classifiers, beside what came out here.

One row per printed cell and profile, from the results folder (``base``; ``known`` is the frame of
`facts.runs`) and the paper cards alone: no image and no profile's file is read. Where a cell has no
number, it says why.
"""

import functools
import pathlib
import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd

from leukkit import metrics, papers, results
from leukkit.papers import PERCENT, Card
from leukkit.records import Configuration
from leukkit.report import comparison, facts
from leukkit.report.facts import APART, SIDES
from leukkit.schemas import SplitTable, check

SCORES = ("accuracy", "precision", "recall", "sensitivity", "specificity", "f1", "auc", "loss")
COLUMNS = ("reproduced", "kept apart")  # the sides that have a column of their own
ENDS = ("", " low", " high")  # a value and its interval
MOST = 6  # rows for a terminal
PLACE = ["table", "row", "column"]
OF_THE_CELL = ["paper", *PLACE, "what", "part", "quantity", "unit", "printed", "value", "profile"]
OF_THE_RUN = ("folds", "minutes", "finished", "data", "network", "versions", "hardware", "commit")
OF_A_SIDE = {  # what is told of a value -> its type
    **dict.fromkeys((*ENDS, " mean", " sd", *(f" originals{end}" for end in ENDS)), "float64"),
    **dict.fromkeys((" images", " groups"), "Int64"),
    **dict.fromkeys((" name", " keeps_apart", " groups_are", " folder"), "string"),
    **{f" {name}": facts.TYPES[name] for name in OF_THE_RUN},
    " changes": "string",
}
OF_OWN_RUNS = {"accuracy": "Accuracy", "weighted_f1": "Weighted F1", "auc": "AUC"}


def cells(known: pd.DataFrame, base: pathlib.Path) -> pd.DataFrame:
    """Put every own-result cell of every card beside what came out here.

    A cell counts as an own result if it prints one of `SCORES` of a classifier of the paper, or how
    many images of one class it took for another: in a table, a matrix, a figure or a sentence.
    Numbers that a paper only counts, chooses or quotes do not.

    Returns:
        Frame, for each profile of a paper in the results one row per cell (one row with the
        profile ``""`` where no planned run of a paper is there):

        * ``paper, table, row, column`` (positions from 0), ``what`` (in words), ``part, quantity,
          unit, printed`` (text), ``value`` (number, in ``unit``), ``profile``;
        * for each side (``reproduced``; ``70/15/15 split``, of patel2025 alone; ``kept apart``):
          what `comparison.compare` gives, in the unit of the print; NaN where not run, or not
          defined by the predictions (status ``run``). Training scores and those of single epochs
          have no interval, and the latter no ``images, groups``;
        * ``<side> folds`` to ``commit`` (`OF_THE_RUN`) and ``folder``, as in `facts.runs`;
        * ``<side> status``: ``run``, or ``not run: `` and the reason; ``<side> changes``: in what
          the run differs from that of its name in the profile ``paper``, the protocol as stated;
        * ``variants``: what the published protocol gives in other ways (`comparison.variants`);
          ``deviations``: names of what the paper states and the kit does otherwise (its card).
    """
    planned = known[~known["run"].str.contains("~")]
    frames = []
    for key in papers.KEYS:
        here = planned[planned["paper"] == key]
        for profile in sorted(here["profile"].unique()) or [""]:
            same = here[here["profile"] == profile]
            frames.append(_compare(papers.load(key), profile, same, base))
    return pd.concat(frames, ignore_index=True)


def counts(cells: pd.DataFrame) -> pd.DataFrame:
    """Count the printed cells (rows of `cells`), and those that were run.

    Returns:
        Frame with ``profile, paper, printed`` and a column for each name of a side (`SIDES`,
        `APART`) that occurs: one row per profile and paper, and last one with ``all`` in both, of
        cells that were run in any profile.
    """
    place = ["paper", *PLACE]
    names = cells[[f"{side} name" for side in SIDES.values()]]
    found = {"reproduced", "leak-free", *names.melt()["value"]}
    shown = [name for name in dict.fromkeys((*SIDES.values(), *APART.values())) if name in found]
    numbers = ["printed", *shown]
    ran = cells[[*place, "profile"]].assign(printed=1)
    ran = ran.assign(**{name: (names == name).any(axis=1).astype(int) for name in shown})
    by_paper = ran.groupby(["profile", "paper"], sort=False)[numbers].sum()
    total = ran.groupby(place)[numbers].max().sum().to_frame().T
    total.index = pd.MultiIndex.from_tuples([("all", "all")], names=["profile", "paper"])
    return pd.concat([by_paper, total]).reset_index()


def kept_apart(count: pd.Series) -> str:
    """Say of a row of `counts` how many cells were run leak-free, by block, …."""
    return ", ".join(f"{count[name]} {name}" for name in count.index if name in APART.values())


def accuracies(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `cells` that print an accuracy and were run, in the order of the print.

    Where some have an interval, only those: they are of test images. Print, values and intervals
    are in percent.
    """
    rows = cells[_ran(cells).any(axis=1) & (cells["quantity"] == "accuracy")]
    tested = rows[[f"{side} low" for side in COLUMNS]].notna().any(axis=1)
    rows = rows[tested] if tested.any() else rows
    numbers = ["value", *(f"{side}{end}" for side in COLUMNS for end in ENDS)]
    return rows.assign(**rows[numbers].mul(rows["unit"].map(PERCENT), axis=0))


def as_text(cells: pd.DataFrame, width: int = 80) -> str:
    """Return a paper's highest printed accuracies for a terminal, beside what came out here.

    Those run on both sides come first. The rows are of one paper and profile; lines have ``width``
    characters at most.
    """
    key, profile = cells[["paper", "profile"]].iloc[0]
    ran = counts(cells).iloc[-1]
    head = f"{key}, profile {profile}: {ran['reproduced']} of {len(cells)} printed scores "
    head += f"reproduced, {kept_apart(ran)}; accuracy in percent (95% interval)"
    rows = accuracies(cells)
    if rows.empty:
        return textwrap.fill(head, width)
    rows = _foremost_first(rows)
    table = pd.DataFrame({"": rows["what"], "published": rows["value"].map("{:.2f}".format)})
    for side in COLUMNS:
        values = rows[[f"{side}{end}" for end in ENDS]].itertuples(index=False)
        name, own = comparison.heading(side, rows)
        texts = [metrics.with_interval(it, low, high, 1) for it, low, high in values] + own
        table[name] = texts.where(_ran(rows)[side], "not run")
    table = table.drop_duplicates()
    more = [f"  … and {len(table) - MOST} more"] * (len(table) > MOST)
    numbers = table.iloc[:, 1:].head(MOST).to_string(index=False).splitlines()
    room = width - len(numbers[0]) - 3
    names = ["", *(textwrap.shorten(name, room, placeholder=" …") for name in table[""])]
    lines = [f"  {name:<{room}} {row}" for name, row in zip(names, numbers, strict=False)]
    return "\n".join([*textwrap.wrap(head, width), *lines, *more])


def headlines(cells: pd.DataFrame) -> pd.DataFrame:
    """Return of each paper and profile the row of `accuracies` with the highest print.

    One that was run on both sides goes before others.
    """
    rows = pd.concat(accuracies(of_paper) for _, of_paper in cells.groupby("paper", sort=False))
    return _foremost_first(rows).drop_duplicates(["paper", "profile"]).sort_index()


def _foremost_first(rows: pd.DataFrame) -> pd.DataFrame:
    decimals = rows["printed"].str.extract(r"\.(\d+)")[0].str.len().fillna(0)
    # What the print at least says: 1.00 may be 0.995, and is no more than 99.66 percent.
    at_least = rows["value"] - rows["unit"].map(PERCENT) * 0.5 / 10.0**decimals
    order = {
        "sides": _ran(rows).sum(axis=1),
        "is test": (rows["part"] != "validation").fillna(True),
        "least": at_least,
    }
    ordered = rows.assign(**order).sort_values([*order], ascending=False, kind="stable")
    return ordered.drop(columns=[*order])


def _ran(cells: pd.DataFrame) -> pd.DataFrame:
    """Tell of each row which of the sides were run."""
    return pd.DataFrame({side: cells[f"{side} name"].notna() for side in COLUMNS})


def own(known: pd.DataFrame, base: pathlib.Path) -> pd.DataFrame:
    """Score the runs that no profile plans: changed ones (``~`` in the name) and those of no paper.

    Returns:
        Frame with ``run, paper, profile, side, folder``, the scores of `OF_OWN_RUNS` as text
        (or why there are none), and ``changed``: a list of what differs from the planned run of
        this name, if there is one.
    """
    mine = known["run"].str.contains("~") | (known["paper"] == "own")
    rows = []
    for run in known[mine & known["problem"].isna()].to_dict("records"):
        try:
            scored = metrics.measure(results.read_table(base / run["folder"]))
            overall = scored[scored["label"].isna()].set_index("quantity").loc[[*OF_OWN_RUNS]]
            texts = dict(zip(OF_OWN_RUNS, facts.texts(overall), strict=True))
        except ValueError as error:  # said in the row; the others stay
            texts = dict.fromkeys(OF_OWN_RUNS, f"not scored: {error}")
        configuration = results.read_records(base / run["folder"])[0].configuration
        place = {name: run[name] for name in ("run", "paper", "profile", "side", "folder")}
        rows.append({**place, **texts, "changed": _changed(configuration)})
    return pd.DataFrame(rows)


def _changed(ours: Configuration, profile: str = "") -> list[str]:
    """Say in what a run differs from the one of its name that a profile plans.

    Returns:
        ``<setting>: <here> (planned: <there>)``; [] where the profile, its own if none is named,
        is not at hand or plans none.
    """
    profile = profile or ours.profile
    if ours.paper not in papers.KEYS or profile not in papers.load(ours.paper).profiles:
        return []
    plan = papers.load(ours.paper).plan(profile)
    name = (ours.run.partition("~")[0], ours.split)
    run = next((run for run in plan if (run.name, run.split) == name), None)
    if run is None:
        return []
    table = check(SplitTable, run.table, "split").record()
    recipe = None if run.recipe is None else run.recipe.record()
    theirs = facts.settings(recipe, table, run.data, run.seed)
    here = facts.settings(ours.recipe, ours.table, ours.dataset, ours.seed)
    return [
        f"{key}: {here.get(key, 'none')} (planned: {theirs.get(key, 'none')})"
        for key in {**theirs, **here}
        if here.get(key) != theirs.get(key)
    ]


def _compare(card: Card, profile: str, known: pd.DataFrame, base: pathlib.Path) -> pd.DataFrame:
    """Return the rows of one paper and profile; ``known`` are its planned runs."""
    problems, frames = known.set_index("folder")["problem"].dropna().to_dict(), []
    for run in known[known["problem"].isna()].to_dict("records"):
        folder = base / run["folder"]
        try:
            changes = _changed(results.read_records(folder)[0].configuration, "paper")
            of_the_run = {name: run[name] for name in (*OF_THE_RUN, "folder")}
            scored = comparison.score(folder).assign(**of_the_run, changes="; ".join(changes))
            frames.append(scored)
        except (ValueError, OSError) as error:  # one run that cannot be scored is not all of them
            problems[run["folder"]] = facts.relative_text(error, base)
    measured = comparison.concat(frames)
    compared = comparison.compare(card, measured)
    compared = compared.assign(variants=comparison.variants(compared)).set_index(PLACE)
    printed = card.results
    printed = printed[comparison.prints(printed, SCORES)].reset_index(drop=True)
    compared = compared.reindex(pd.MultiIndex.from_frame(printed[PLACE])).reset_index(drop=True)
    texts = {"what": facts.name_cells(printed), "profile": [profile] * len(printed)}
    rows = printed.assign(**texts).astype(dict.fromkeys(texts, "string"))[OF_THE_CELL]
    for split, side in SIDES.items():
        types = {f"{side}{name}": kind for name, kind in OF_A_SIDE.items()}
        rows = rows.join(compared.reindex(columns=list(types)).astype(types))
        status = pd.Series("run", rows.index, "string").where(rows[f"{side} folder"].notna())
        if split in card.profile("paper").splits:
            here, missing = measured[measured["split"] == split], status.isna()
            status[missing] = [
                f"not run: {_not_run(cell, card, profile, split, here, problems)}"
                for cell in printed[missing].to_dict("records")
            ]
        rows[f"{side} status"] = status
    variants = compared["variants"].astype("string").fillna("")
    return rows.assign(variants=variants, deviations="; ".join(card.deviations))


def _not_run(
    cell: Mapping[str, Any],
    card: Card,
    profile: str,
    split: str,
    measured: pd.DataFrame,
    problems: Mapping[str, str],
) -> str:
    """Say in one sentence without a full stop why a printed cell has no number under a split.

    The profile is ``""`` if the paper was never run; ``measured`` is of this split, as
    `comparison.score` gives it; ``problems`` says of folders why their runs cannot be used.
    """
    if not profile:
        return "no results of this paper"
    keys = {name: cell.get(name) for name in card.run_keys}
    if "variant" in keys and pd.isna(keys["variant"]):
        keys["variant"] = ""
    if lacking := [name for name, key in keys.items() if pd.isna(key)]:
        return f"the table does not say its {', '.join(lacking)}"
    is_known = profile in card.profiles  # else its file is not at hand: named as those of the paper
    name = _names(card.key, profile if is_known else "paper").get((split, *keys.values()))
    if problem := problems.get(f"{card.key}/{profile}/{split}/{name}"):
        return f"its run cannot be used: {problem}"
    if len(same := _with(measured, keys)):
        return _lacks(same, cell)
    under = f"{facts.name_model(cell)} under the split {split}"
    why = f"no finished run of {under}"
    if name is None and is_known:
        why = f"the profile {profile} does not run {under}"
    if keys.get("variant") == "":  # the table names no variant; the profile may have one
        alike = _with(measured, {name: keys[name] for name in keys if name != "variant"})
        if len(variants := alike["variant"].unique()):
            why += f"; finished is its variant {' and '.join(map(repr, variants))}"
    return why


@functools.cache
def _names(paper: str, profile: str) -> dict[tuple, str]:
    """Return the name of each run that a profile plans, by its split and its keys."""
    card = papers.load(paper)
    plan = card.plan(profile)
    return {(run.split, *map(run.keys.get, card.run_keys)): run.name for run in plan}


def _with(measured: pd.DataFrame, keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows with these keys."""
    for name, key in keys.items():
        measured = measured[(measured[name] == key).fillna(False).astype(bool)]
    return measured


def _lacks(measured: pd.DataFrame, cell: Mapping[str, Any]) -> str:
    """Return what a finished run does not have of what a cell asks for."""
    epoch, label = cell.get("epoch"), cell.get("label")
    if pd.notna(epoch) and measured["epoch"].notna().any():
        return f"its training ended with epoch {measured['epoch'].max()}"
    if cell["quantity"] not in set(measured["quantity"]):
        return f"the kit does not compute {cell['quantity']}"
    if pd.notna(label) and label not in set(measured["label"].dropna()):
        return f"no image of the class {label} was tested"
    return f"the run kept no predictions of its {cell.get('part')} images"
