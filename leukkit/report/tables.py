"""The tables of the page: cells of text, and what they are sorted and filtered by."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from leukkit import metrics
from leukkit.audit import VERDICTS
from leukkit.report import overview
from leukkit.report.comparison import SIDES, UNITS

COLUMNS = ("reproduced", "leak-free")  # the sides that have a column of their own
OTHERS = tuple(side for side in SIDES.values() if side not in COLUMNS)
QUANTITIES = {"f1": "F1", "auc": "AUC"}  # others are words
SIGNS = {"percent": " %"}  # written behind a printed number; other units speak for themselves
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
    options: list[tuple[str, str]]
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


def comparison(cells: pd.DataFrame, run_ids: Mapping[str, str], names: Mapping[str, str]) -> Table:
    """Put every printed cell beside what came out here.

    Args:
        cells: The frame of `overview.cells`.
        run_ids: Folder of a run (relative to the results) -> its id on the page.
        names: A paper's key -> its name.
    """
    rows = []
    for cell in cells.to_dict("records"):
        ran = [side for side in COLUMNS if cell[f"{side} status"] == "run"]
        status = ["both", *ran] if len(ran) == len(COLUMNS) else ran or ["none"]
        reproduced, leak_free = (_side(cell, side, run_ids) for side in COLUMNS)
        others = [
            other._replace(text=f"{side}: {other.text}", notes=())
            for side in OTHERS
            if cell[f"{side} status"] == "run" and (other := _side(cell, side, run_ids))
        ]
        shown = [
            Cell(names[cell["paper"]], link=f"#{cell['paper']}"),
            Cell(cell["table"]),
            Cell(cell["what"]),
            Cell(QUANTITIES.get(cell["quantity"], cell["quantity"])),
            _number(
                cell["printed"] + SIGNS.get(cell["unit"], ""), _percent(cell["value"], cell["unit"])
            ),
            reproduced._replace(notes=(*reproduced.notes, *others)),
            leak_free,
            Cell(cell["profile"] or "not run"),
        ]
        data = {"paper": cell["paper"], "profile": cell["profile"] or "none"}
        rows.append(Row(shown, _data(**data, status="|".join(status))))
    profiles = [(name or "none", name or "not run") for name in cells["profile"].unique()]
    statuses = [*((name, name) for name in (*COLUMNS, "both")), ("none", "not run")]
    filters = (
        Filter("Paper", "paper", list(names.items())),
        Filter("Protocol", "status", statuses),
        Filter("Profile", "profile", profiles),
    )
    columns = [
        "Paper",
        "Table",
        "What",
        "Quantity",
        "Printed",
        "Reproduced",
        "Leak-free",
        "Profile",
    ]
    caption = "Every printed score of a paper's own results, beside what came out here"
    return Table(caption, columns, rows, "cells", "cards sortable", "cells", filters)


def counts(cells: pd.DataFrame, names: Mapping[str, str]) -> Table:
    """Count the cells that were run, per profile and paper."""
    rows = []
    for row in overview.counts(cells).to_dict("records"):
        paper, others = Cell("all"), []
        if row["paper"] in names:
            paper = Cell(names[row["paper"]], link=f"#{row['paper']}")
            others = [f"{side}: {row[side]}" for side in OTHERS if pd.notna(row[side])]
        numbers = [Cell(str(row[name]), kind="number") for name in ("printed", *COLUMNS)]
        numbers[1] = numbers[1]._replace(notes=tuple(others))
        rows.append(Row([Cell(row["profile"] or "not run"), paper, *numbers]))
    columns = ["Profile", "Paper", "Printed", "Reproduced", "Leak-free"]
    return Table("Cells reproduced of cells printed, per profile and paper", columns, rows)


def runs(known: pd.DataFrame, run_ids: Mapping[str, str], names: Mapping[str, str]) -> Table:
    """List every run.

    Args:
        known: The frame of `facts.runs`.
        run_ids: As in `comparison`.
        names: As in `comparison`.
    """
    rows = []
    for run in known.to_dict("records"):
        place = [names.get(run["paper"], run["paper"]), run["profile"], run["split"], run["run"]]
        shown = [*map(Cell, place), _number(str(run["folds"]), run["folds"])]
        attributes = {"id": run_ids[run["folder"]], "tabindex": "-1"}
        if pd.notna(run["problem"]):
            attributes["class"] = "problem"
            rows.append(Row([*shown, Cell(f"Not used: {run['problem']}", span=12)], attributes))
            continue
        shown.append(_number(f"{run['images']:,}", run["images"]))
        shown.append(Cell(f"{run['subjects']:,} {run['groups_are']}", str(run["subjects"])))
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


def own(found: pd.DataFrame, run_ids: Mapping[str, str], names: Mapping[str, str]) -> Table:
    """List the runs that no profile plans: the frame of `overview.own`."""
    rows = []
    for run in found.to_dict("records"):
        texts = [names.get(run["paper"], run["paper"]), run["profile"], run["split"]]
        scores = []
        for name in overview.OF_OWN_RUNS:
            point, _, interval = run[name].partition(" ")
            sort = point if point.replace(".", "").isdigit() else ""
            scores.append(Cell(point, sort, "number", after=interval))
        place = Cell(run["run"], link=f"#{run_ids[run['folder']]}")
        changed = Cell("; ".join(run["changed"]) or "no profile plans a run of this name")
        rows.append(Row([place, *map(Cell, texts), changed, *scores]))
    columns = ["Run", "Paper", "Profile", "Split", "Differs from the planned run"]
    columns += overview.OF_OWN_RUNS.values()
    caption = "Scores (0 to 1) with 95% intervals over subjects, or what the run's row names"
    return Table(caption, columns, rows, "own-runs", "sortable")


def claims(found: pd.DataFrame, key: str, name: str) -> Table:
    """Show the audit of one paper, its inconsistent claims first.

    Args:
        found: Its rows of `leukkit.audit.run`.
        key: Of the paper.
        name: Of the paper.
    """
    columns = ["Verdict", "Where", "Claim", "Recomputed", "Evidence"]
    rows = []
    for row in found.to_dict("records"):
        shown = [Cell(row[column.lower()]) for column in columns]
        shown[0] = shown[0]._replace(kind=f"verdict-{row['verdict'].replace(' ', '-')}")
        rows.append(Row(shown, _data(verdict=row["verdict"])))
    options = [(verdict, verdict) for verdict in VERDICTS]
    filters = (Filter("Verdict", "verdict", options, "inconsistent"),)
    caption = f"What {name} print, and what the same paper's other numbers make of it"
    return Table(caption, columns, rows, f"{key}-claims", "cards sortable", "claims", filters)


def of_frame(frame: pd.DataFrame, caption: str, kind: str = "wide sortable") -> Table:
    """Show any frame of texts and numbers; a named index is put in front."""
    if frame.index.names != [None]:
        frame = frame.reset_index()
    is_number = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    rows = [
        Row(
            [
                _number(_in_digits(value), value) if number else Cell(_text(value))
                for value, number in zip(values, is_number, strict=True)
            ]
        )
        for values in frame.itertuples(index=False)
    ]
    return Table(caption, [str(name) for name in frame], rows, kind=kind)


def said(profile: str) -> str:
    """Return the name of a profile, with what a reader of a figure alone must know."""
    sample = "sample: synthetic images, no statement about the method"
    return sample if profile == "sample" else profile


def _side(cell: Mapping[str, Any], side: str, run_ids: Mapping[str, str]) -> Cell:
    """Return one side of a printed cell: value, interval and facts, or why there is none."""
    status = cell[f"{side} status"]
    if status != "run":
        reason = _text(status).removeprefix("not run").removeprefix(":").strip()
        return Cell("not run", "", "number not-run", notes=(reason,) if reason else ())
    value, unit = cell[side], cell["unit"]
    ends = cell[f"{side} low"], cell[f"{side} high"]
    point, _, interval = metrics.with_interval(value, *ends, UNITS[unit][1]).partition(" ")
    return Cell(
        point,
        _percent(value, unit),
        "number",
        link=f"#{run_ids[cell[f'{side} folder']]}",
        after=interval,
        notes=(_rests_on(cell, side),),
    )


def _rests_on(cell: Mapping[str, Any], side: str) -> str:
    """Say on what a number rests, and which network was used where it is not the paper's."""
    parts = []
    if pd.notna(cell[f"{side} images"]):
        parts.append(f"{cell[f'{side} images']:,} images")
        parts.append(f"{cell[f'{side} groups']:,} {cell[f'{side} groups_are']}")
    parts.append(cell[f"{side} data"])
    network = cell[f"{side} network"]
    if not network.startswith("mean of") and network not in cell["what"]:
        parts.append(f"{network} in its place")
    return ", ".join(parts)


def _percent(value: float, unit: str) -> str:
    """Return what to sort by: fractions as percent, so that columns of both can be sorted."""
    return _sort(value * 100 if unit == "fraction" else value)


def _sort(value: Any) -> str:
    return "" if pd.isna(value) else f"{float(value):.6g}"


def _number(text: str, value: Any) -> Cell:
    return Cell(text, value if isinstance(value, str) else _sort(value), "number")


def _share(run: Mapping[str, Any], leak: str) -> str:
    if pd.isna(run[leak]):
        return "no copies" if leak == "original" else "unknown"
    return f"{run[leak]:.1%}"


def _data(**values: str) -> dict[str, str]:
    return {f"data-{name}": value for name, value in values.items()}


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _in_digits(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:,}" if float(value).is_integer() else f"{value:.3g}"
