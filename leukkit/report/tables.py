"""The tables of the page: cells of text, and what they are sorted and filtered by."""

import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from leukkit import metrics, papers
from leukkit.audit import VERDICTS
from leukkit.report import facts, overview
from leukkit.report.comparison import SIDES, UNITS

COLUMNS = ("reproduced", "leak-free")  # the sides that have a column of their own
OTHERS = tuple(side for side in SIDES.values() if side not in COLUMNS)
QUANTITIES = {"f1": "F1", "auc": "AUC"}  # others are words
LEAKS = {
    "subject": "Subject",
    "source_image": "Source image",
    "bytes": "Exact bytes",
    "original": "Original of a copy",
}
TEXTS = ("finished", "commit", "weights", "versions", "hardware")  # of a run


class Cell(NamedTuple):
    """One cell: its text, and how it looks.

    Attributes:
        text: What it says.
        sort: The number it is sorted by, as text; None where the text itself is.
        kind: CSS classes.
        link: Where the text leads.
        after: Written softly behind the text.
        notes: Lines below, texts or cells.
        share: Drawn as a bar in front, 0..1.
        span: Columns that it takes.
    """

    text: str = ""
    sort: str | None = None
    kind: str = ""
    link: str = ""
    after: str = ""
    notes: tuple = ()
    share: float | None = None
    span: int | None = None


class Row(NamedTuple):
    """A row: its cells, and HTML attributes, among them the data that filters compare with."""

    cells: list[Cell]
    attributes: dict[str, str] | None = None


class Filter(NamedTuple):
    """A choice above a table: by the data attribute ``name``, whose values are joined by "|"."""

    label: str
    name: str
    options: dict[str, str]
    chosen: str = ""


class Table(NamedTuple):
    """A table as the templates write it.

    Attributes:
        caption: What it shows.
        columns: Their names.
        rows: Its rows.
        id: Of the element.
        kind: ``wide`` scrolls sideways, ``cards`` turns rows into cards on a phone; ``sortable``.
        noun: What a row is, in the plural.
        filters: Above the table, besides the search for a text.
    """

    caption: str
    columns: list[str]
    rows: list[Row]
    id: str = ""
    kind: str = "wide"
    noun: str = "rows"
    filters: tuple[Filter, ...] = ()

    @property
    def numbers(self) -> set[int]:
        """Positions of the columns that are sorted by number."""
        cells = [enumerate(row.cells) for row in self.rows]
        return {place for row in cells for place, cell in row if cell.sort is not None}


def comparison(cells: pd.DataFrame) -> Table:
    """Put every printed cell beside what came out here: the frame of `overview.cells`."""
    rows = []
    for cell in cells.to_dict("records"):
        sides = {side: _side(cell, side) for side in SIDES.values()}
        ran = [side for side in COLUMNS if cell[f"{side} status"] == "run"]
        status = ["both", *ran] if len(ran) == len(COLUMNS) else ran or ["none"]
        others = [
            sides[side]._replace(text=f"{side}: {sides[side].text}", notes=())
            for side in OTHERS
            if cell[f"{side} status"] == "run"
        ]
        reproduced, leak_free = (sides[side] for side in COLUMNS)
        shown = [
            _paper(cell["paper"]),
            Cell(cell["table"]),
            Cell(cell["what"]),
            Cell(QUANTITIES.get(cell["quantity"], cell["quantity"])),
            _number(cell["printed"] + " %" * (cell["unit"] == "percent"), _percent(cell, "value")),
            reproduced._replace(notes=(*reproduced.notes, *others)),
            leak_free,
            Cell(cell["profile"] or "not run"),
        ]
        data = {"data-paper": cell["paper"], "data-profile": cell["profile"] or "none"}
        rows.append(Row(shown, {**data, "data-status": "|".join(status)}))
    statuses = {name: name for name in (*COLUMNS, "both")}
    filters = (
        Filter("Paper", "paper", {key: facts.name_paper(key) for key in papers.KEYS}),
        Filter("Protocol", "status", {**statuses, "none": "not run"}),
        Filter(
            "Profile", "profile", {name or "none": name or "not run" for name in cells["profile"]}
        ),
    )
    columns = ["Paper", "Table", "What", "Quantity", "Printed", "Reproduced", "Leak-free"]
    caption = "Every printed score of a paper's own results, beside what came out here"
    kind = "cards sortable"
    return Table(caption, [*columns, "Profile"], rows, "cells", kind, "cells", filters)


def counts(cells: pd.DataFrame) -> Table:
    """Count the cells that were run, per profile and paper."""
    rows = []
    for row in overview.counts(cells).to_dict("records"):
        numbers = [Cell(str(row[name]), kind="number") for name in ("printed", *COLUMNS)]
        if row["paper"] in papers.KEYS:
            others = [f"{side}: {row[side]}" for side in OTHERS if pd.notna(row[side])]
            numbers[1] = numbers[1]._replace(notes=tuple(others))
        rows.append(Row([Cell(row["profile"] or "not run"), _paper(row["paper"]), *numbers]))
    columns = ["Profile", "Paper", "Printed", "Reproduced", "Leak-free"]
    return Table("Cells reproduced of cells printed, per profile and paper", columns, rows)


def runs(known: pd.DataFrame) -> Table:
    """List every run: the frame of `facts.runs`."""
    rows = []
    for run in known.to_dict("records"):
        place = [facts.name_paper(run["paper"]), run["profile"], run["split"], run["run"]]
        shown = [*map(Cell, place), _number(str(run["folds"]), run["folds"])]
        attributes = {"id": run["folder"], "tabindex": "-1"}
        if pd.notna(run["problem"]):
            attributes["class"] = "problem"
            rows.append(Row([*shown, Cell(f"Not used: {run['problem']}", span=12)], attributes))
            continue
        shown.append(_number(f"{run['images']:,}", run["images"]))
        shown.append(_number(f"{run['subjects']:,} {run['groups_are']}", run["subjects"]))
        shown += [_number(_share(run, leak), run[leak]) for leak in LEAKS]
        shown.append(_number(f"{run['minutes']:.2f}", run["minutes"]))
        rows.append(Row(shown + [Cell(_text(run[name])) for name in TEXTS], attributes))
    columns = ["Paper", "Profile", "Split", "Run", "Folds", "Test images", "Groups"]
    columns += ["Subject leaked", "Source leaked", "Bytes leaked", "Original leaked", "Minutes"]
    columns += [name.capitalize() for name in TEXTS]
    caption = "All runs: leakage is the share of test images that training has seen"
    return Table(caption, columns, rows, "all-runs", "wide sortable")


def leakage(known: pd.DataFrame, name: str) -> Table:
    """Show what leaks in the runs of a paper; runs that leak alike share a row."""
    rows = []
    usable = known[known["problem"].isna()]
    for values, same in usable.groupby(["profile", "split", *LEAKS], sort=False, dropna=False):
        shares = dict(zip(LEAKS, values[2:], strict=True))
        made = f"{len(same)} runs" if len(same) > 2 else ", ".join(same["run"])
        shown = [Cell(values[0]), Cell(values[1]), Cell(made)]
        for leak, share in shares.items():
            bar = None if pd.isna(share) else float(share)
            shown.append(Cell(_share(shares, leak), kind="number share-of", share=bar))
        rows.append(Row(shown))
    caption = f"{name}: share of the test images whose subject, source image, exact bytes or "
    caption += "original image is also in training"
    return Table(caption, ["Profile", "Split", "Runs", *LEAKS.values()], rows, kind="")


def own(found: pd.DataFrame) -> Table:
    """List the runs that no profile plans: the frame of `overview.own`."""
    rows = []
    for run in found.to_dict("records"):
        place = [facts.name_paper(run["paper"]), run["profile"], run["split"]]
        place.append("; ".join(run["changed"]) or "no profile plans a run of this name")
        scores = [run[name].partition(" ") for name in overview.OF_OWN_RUNS]
        shown = [Cell(point, kind="number", after=interval) for point, _, interval in scores]
        rows.append(Row([Cell(run["run"], link=_link(run)), *map(Cell, place), *shown]))
    columns = ["Run", "Paper", "Profile", "Split", "Differs from the planned run"]
    columns += overview.OF_OWN_RUNS.values()
    caption = "Scores (0 to 1) with 95% intervals over subjects, or what the run's row names"
    return Table(caption, columns, rows, "own-runs", "sortable")


def claims(found: pd.DataFrame, key: str) -> Table:
    """Show the audit of one paper, rows of `leukkit.audit.run`; the inconsistent claims first."""
    columns = ["Verdict", "Where", "Claim", "Recomputed", "Evidence"]
    rows = []
    for row in found.to_dict("records"):
        shown = [Cell(row[column.lower()]) for column in columns]
        shown[0] = shown[0]._replace(kind=f"verdict-{row['verdict'].replace(' ', '-')}")
        rows.append(Row(shown, {"data-verdict": row["verdict"]}))
    options = {verdict: verdict for verdict in VERDICTS}
    filters = (Filter("Verdict", "verdict", options, "inconsistent"),)
    name = facts.name_paper(key)
    caption = f"What {name} print, and what the same paper's other numbers make of it"
    return Table(caption, columns, rows, f"{key}-claims", "cards sortable", "claims", filters)


def of_frame(frame: pd.DataFrame, caption: str, kind: str = "wide sortable") -> Table:
    """Show a frame of texts, its index in front."""
    frame = frame.reset_index()
    rows = [Row([Cell(_text(value)) for value in row]) for row in frame.itertuples(index=False)]
    return Table(caption, list(frame), rows, kind=kind)


def said(profile: str) -> str:
    """Return the name of a profile, with what a reader of a figure alone must know."""
    sample = "sample: synthetic images, no statement about the method"
    return sample if profile == "sample" else profile


def _side(cell: Mapping[str, Any], side: str) -> Cell:
    """Return one side of a printed cell: value, interval and facts, or why there is none."""
    about = {name.removeprefix(f"{side} "): cell[name] for name in cell if name.startswith(side)}
    if about["status"] != "run":
        reason = _text(about["status"]).removeprefix("not run").removeprefix(":").strip()
        return Cell("not run", "", "number not-run", notes=(reason,) if reason else ())
    values = cell[side], about["low"], about["high"]
    point, _, interval = metrics.with_interval(*values, UNITS[cell["unit"]][1]).partition(" ")
    notes = [about["data"]]
    if pd.notna(about["images"]):
        groups = f"{about['groups']:,} {about['groups_are']}"
        notes = [f"{about['images']:,} images", groups, about["data"]]
    if not about["network"].startswith("mean of") and about["network"] not in cell["what"]:
        notes.append(f"{about['network']} in its place")
    number = _number(point, _percent(cell, side))
    return number._replace(link=_link(about), after=interval, notes=(", ".join(notes),))


def _paper(key: str) -> Cell:
    link = f"#{key}" if key in papers.KEYS else ""
    return Cell(facts.name_paper(key), link=link)


def _link(run: Mapping[str, Any]) -> str:
    """Return the address of a run among all runs, whose rows are named by their folder."""
    return f"#{urllib.parse.quote(run['folder'])}"


def _percent(cell: Mapping[str, Any], column: str) -> float:
    """Return what to sort by: fractions as percent, so that columns of both can be sorted."""
    return cell[column] * (100 if cell["unit"] == "fraction" else 1)


def _number(text: str, value: Any) -> Cell:
    return Cell(text, "" if pd.isna(value) else f"{float(value):.6g}", "number")


def _share(run: Mapping[str, Any], leak: str) -> str:
    if pd.isna(run[leak]):
        return "no copies" if leak == "original" else "unknown"
    return f"{run[leak]:.1%}"


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
