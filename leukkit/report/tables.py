"""The tables of the page: cells of text, and what they are sorted and filtered by."""

import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from leukkit import papers
from leukkit.audit import VERDICTS
from leukkit.papers import PERCENT
from leukkit.report import facts, overview
from leukkit.report.comparison import heading, mean_of_folds, measured_text
from leukkit.report.facts import SIDES
from leukkit.report.overview import COLUMNS
from leukkit.splits import LEAKS

OTHERS = tuple(side for side in SIDES.values() if side not in COLUMNS)
QUANTITIES = {"f1": "F1", "auc": "AUC"}  # others are words
SHOWN = [name for name in LEAKS if name != "patient"]  # patients of one person are one subject
TEXTS = ("finished", "commit", "weights", "versions", "hardware")  # of a run


class Cell(NamedTuple):
    """One cell that is more than a text."""

    text: str = ""
    sort: str | None = None  # the number it is sorted by, as text; None where the text itself is
    kind: str = ""  # CSS classes
    link: str = ""  # where the text leads
    after: str = ""  # written softly behind the text
    notes: tuple = ()  # lines below, texts or cells
    share: float | None = None  # drawn as a bar in front, 0..1
    span: int | None = None  # columns that it takes


class Row(NamedTuple):
    """A row: column -> cell, and HTML attributes, among them the data that filters compare with."""

    cells: dict[str, Cell | None]  # None below the span of another
    attributes: Mapping[str, str]


class Filter(NamedTuple):
    """A choice above a table: by the data attribute ``name``, whose values are joined by "|"."""

    label: str
    name: str
    options: dict[str, str]


class Table(NamedTuple):
    """A table as the templates write it."""

    caption: str
    rows: list[Row]  # all have the same columns
    id: str = ""
    kind: str = "wide"  # scrolls sideways; "cards": rows are cards on a phone; "sortable"
    noun: str = "rows"  # what a row is, in the plural
    filters: tuple[Filter, ...] = ()  # above the table, besides the search for a text


def comparison(cells: pd.DataFrame) -> Table:
    """Put every printed cell beside what came out here: the frame of `overview.cells`."""
    rows = []
    apart, own = heading("kept apart", cells)
    for cell, name in zip(cells.to_dict("records"), own, strict=True):
        reproduced, kept = (_side(cell, side) for side in COLUMNS)
        names = [cell[f"{side} name"] for side in COLUMNS if pd.notna(cell[f"{side} name"])]
        others: list[Cell | str] = [cell["variants"]] if cell["variants"] else []
        for side in OTHERS:
            if pd.notna(cell[f"{side} name"]):
                other = _side(cell, side)
                others.insert(0, other._replace(text=f"{side}: {other.text}", notes=()))
        printed = cell["printed"] + " %" * (cell["unit"] == "percent")
        shown = {
            "Paper": _paper(cell["paper"]),
            "Table": cell["table"],
            "What": cell["what"],
            "Quantity": QUANTITIES.get(cell["quantity"], cell["quantity"]),
            "Printed": _number(printed, _percent(cell, "value")),
            "Reproduced": reproduced._replace(notes=(*reproduced.notes, *others)),
            apart.capitalize(): kept._replace(after=(kept.after + name).removeprefix(", ")),
            "Profile": cell["profile"] or "not run",
        }
        attributes = {
            "data-paper": cell["paper"],
            "data-profile": cell["profile"] or "none",
            "data-status": "|".join(["both"] * (len(names) > 1) + names) or "none",
        }
        rows.append(_row(shown, attributes))
    called = [name for side in COLUMNS for name in cells[f"{side} name"].dropna().unique()]
    statuses = {name: name for name in (*called, "both")} | {"none": "not run"}
    profiles = {name or "none": name or "not run" for name in cells["profile"]}
    filters = (
        Filter("Paper", "paper", {key: facts.name_paper(key) for key in papers.KEYS}),
        Filter("Protocol", "status", statuses),
        Filter("Profile", "profile", profiles),
    )
    caption = (
        "Scores that the papers' tables print of their own classifiers, and what came out here"
    )
    return Table(caption, rows, "cells", "cards sortable", "cells", filters)


def counts(counted: pd.DataFrame) -> Table:
    """Show how many cells were run, per profile and paper: the frame of `overview.counts`."""
    rows = []
    for row in counted.to_dict("records"):
        others = [f"{side}: {row[side]}" for side in OTHERS if row.get(side)]
        notes = {"reproduced": tuple(others) if row["paper"] in papers.KEYS else ()}
        numbers = {
            name.capitalize(): Cell(str(row[name]), kind="number", notes=notes.get(name, ()))
            for name in counted.columns.drop(["profile", "paper", *OTHERS], errors="ignore")
        }
        place = {"Profile": row["profile"] or "not run", "Paper": _paper(row["paper"])}
        rows.append(_row(place | numbers))
    return Table("Cells reproduced of cells printed, per profile and paper", rows)


def runs(known: pd.DataFrame) -> Table:
    """List every run: the frame of `facts.runs`."""
    rows = []
    for run in known.to_dict("records"):
        place = {
            "Paper": facts.name_paper(run["paper"]),
            "Profile": run["profile"],
            "Split": run["side"],
            "Run": run["run"],
            "Folds": _formatted("{}", run["folds"]),
        }
        about = {
            "Test images": _formatted("{:,}", run["images"]),
            "Groups": _formatted(f"{{:,}} {run['groups_are']}", run["subjects"]),
            **{
                f"{LEAKS[leak]} leaked".capitalize(): _number(_share(run, leak), run[leak])
                for leak in SHOWN
            },
            "Minutes": _formatted("{:.2f}", run["minutes"]),
            **{name.capitalize(): _text(run[name]) for name in TEXTS},
        }
        attributes = {"id": run["folder"], "tabindex": "-1"}
        if pd.notna(run["problem"]):
            problem = Cell(f"Not used: {run['problem']}", "", span=len(about))
            about = dict.fromkeys(about) | {"Test images": problem}
            attributes["class"] = "problem"
        rows.append(_row(place | about, attributes))
    caption = "All runs: leakage is the share of test images that training has seen"
    return Table(caption, rows, "all-runs", "wide sortable")


def leakage(known: pd.DataFrame, name: str) -> Table:
    """Show what leaks in the runs of a paper; runs that leak alike share a row."""
    rows = []
    usable = known[known["problem"].isna()]
    for values, same in usable.groupby(["profile", "side", *SHOWN], sort=False, dropna=False):
        run = same.iloc[0]
        made = f"{len(same)} runs" if len(same) > 2 else ", ".join(same["run"])
        shown: dict[str, Any] = {"Profile": values[0], "Split": values[1], "Runs": made}
        for leak in SHOWN:
            share = None if pd.isna(run[leak]) else run[leak]
            shown[LEAKS[leak].capitalize()] = Cell(_share(run, leak), kind="number", share=share)
        rows.append(_row(shown))
    caption = f"{name}: share of the test images whose subject, source image, file or own copy is "
    return Table(f"{caption}also in training", rows, kind="")


def own(found: pd.DataFrame) -> Table:
    """List the runs that no profile plans: the frame of `overview.own`."""
    rows = []
    for run in found.to_dict("records"):
        shown = {
            "Run": Cell(run["run"], link=_link(run)),
            "Paper": facts.name_paper(run["paper"]),
            "Profile": run["profile"],
            "Split": run["side"],
            "Differs from the planned run": "; ".join(run["changed"])
            or "no profile plans a run of this name",
        }
        for quantity, name in overview.OF_OWN_RUNS.items():
            point, _, interval = run[quantity].partition(" ")
            shown[name] = Cell(point, kind="number", after=interval)
        rows.append(_row(shown))
    caption = "Scores (0 to 1) with 95% intervals over subjects, or what the run's row names"
    return Table(caption, rows, "own-runs", "sortable")


def claims(found: pd.DataFrame, caption: str, key: str = "") -> Table:
    """Show rows of `leukkit.audit.run`; all of a paper's, by its key, with a filter."""
    rows = []
    for row in found[["verdict", "where", "claim", "recomputed", "evidence"]].to_dict("records"):
        verdict, shown = row["verdict"], {name.capitalize(): text for name, text in row.items()}
        shown["Verdict"] = Cell(verdict, kind=f"verdict-{verdict.replace(' ', '-')}")
        rows.append(_row(shown, {"data-verdict": verdict}))
    if not key:
        return Table(caption, rows, kind="cards")
    filters = (Filter("Verdict", "verdict", {verdict: verdict for verdict in VERDICTS}),)
    return Table(caption, rows, f"{key}-claims", "cards sortable", "claims", filters)


def conclusions(found: pd.DataFrame) -> list[Table]:
    """Show the inconsistent claims of one paper: a table for all that rest on one premise."""
    wrong = found[found["verdict"] == "inconsistent"].groupby("premise", sort=False)
    return [claims(rows, premise) for premise, rows in wrong]


def of_frame(frame: pd.DataFrame, caption: str, kind: str = "wide sortable") -> Table:
    """Show a frame of texts, its index in front."""
    rows = [_row(row) for row in frame.reset_index().map(_text).to_dict("records")]
    return Table(caption, rows, kind=kind)


def said(profile: str) -> str:
    """Return the name of a profile, with what a reader of a figure alone must know."""
    sample = "sample: synthetic images, no statement about the method"
    return sample if profile == "sample" else profile


def _row(cells: Mapping[str, Any], attributes: Mapping[str, str] | None = None) -> Row:
    """Return a row of cells, some of which are texts."""
    of_cells = {name: Cell(it) if isinstance(it, str) else it for name, it in cells.items()}
    return Row(of_cells, attributes or {})


def _side(cell: Mapping[str, Any], side: str) -> Cell:
    """Return one side of a printed cell: value, interval and facts, or why there is none."""
    about = {name.removeprefix(f"{side} "): cell[name] for name in cell if name.startswith(side)}
    if about["status"] != "run":
        reason = _text(about["status"]).removeprefix("not run: ")
        return Cell("not run", "", "number not-run", notes=(reason,) if reason else ())
    point, _, interval = measured_text(cell, side).partition(" ")
    notes = [about["data"]]
    if pd.notna(about["images"]):
        groups = f"{about['groups']:,} {about['groups_are']}"
        notes = [f"{about['images']:,} images", groups, about["data"]]
    if pd.notna(about["mean"]):
        notes.append(f"mean of folds {mean_of_folds(cell, side)}")
    if pd.notna(about["originals"]):
        notes.append(f"originals alone {measured_text(cell, side, ' originals')}")
    if not about["network"].startswith("mean of") and about["network"] not in cell["what"]:
        notes.append(f"{about['network']} in its place")
    number = _number(point, _percent(cell, side))
    return number._replace(link=_link(about), after=interval, notes=(", ".join(notes),))


def _paper(key: str) -> Cell:
    return Cell(facts.name_paper(key), link=f"#{key}" if key in papers.KEYS else "")


def _link(run: Mapping[str, Any]) -> str:
    """Return the address of a run among all runs, whose rows are named by their folder."""
    return f"#{urllib.parse.quote(run['folder'])}"


def _percent(cell: Mapping[str, Any], column: str) -> float:
    """Return what to sort by: fractions as percent, so that columns of both can be sorted."""
    return cell[column] * PERCENT.get(cell["unit"], 1)


def _number(text: str, value: Any) -> Cell:
    return Cell(text, "" if pd.isna(value) else f"{float(value):.6g}", "number")


def _formatted(form: str, value: Any) -> Cell:
    return _number("" if pd.isna(value) else form.format(value), value)


def _share(run: Mapping[str, Any], leak: str) -> str:
    if pd.isna(run[leak]):
        return "no copies" if leak == "original" else "unknown"
    return f"{run[leak]:.1%}"


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
