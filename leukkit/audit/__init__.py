"""Which of a paper's printed numbers can be true together.

Every verdict is computed from the numbers in the paper cards; nothing is looked up or typed in but
the publishers' counts of the data sets and the sizes of the networks that leukkit builds. A printed
value is met by a recomputed one that rounds or truncates to it. An ``inconsistent`` number is one
that cannot be, as it stands, together with the others: a slip of the pen is the usual reason.
"""

import pathlib
import shutil
import textwrap
from collections.abc import Iterable
from html import escape

import pandas as pd

from leukkit import papers
from leukkit.audit import (
    architecture,
    attainable,
    chance,
    confusion,
    counts,
    denominators,
    identities,
    lead,
    repeated,
)
from leukkit.audit.attainable import implied_accuracies, possible_matrices
from leukkit.audit.chance import shuffled_accuracies
from leukkit.audit.confusion import matrices
from leukkit.audit.denominators import explaining_totals
from leukkit.audit.identities import rates
from leukkit.audit.lead import ICC, Lead
from leukkit.audit.lead import table as lead_table
from leukkit.audit.printed import VERDICTS, Finding, Paper
from leukkit.audit.sheet import TEMPLATE, from_csv

__all__ = [
    "CHECKS",
    "COLUMNS",
    "ICC",
    "TEMPLATE",
    "VERDICTS",
    "Lead",
    "as_text",
    "conclusions",
    "explaining_totals",
    "findings",
    "from_csv",
    "implied_accuracies",
    "lead_table",
    "leads",
    "matrices",
    "possible_matrices",
    "rates",
    "run",
    "select",
    "show",
    "shuffled_accuracies",
]

CHECKS = {
    "attainable": attainable.check,
    "identities": identities.check,
    "counts": counts.check,
    "k of n": denominators.check,
    "matrices": confusion.check,
    "repeated": repeated.check,
    "comparisons": repeated.check_comparisons,
    "chance": chance.check,
    "leak signs": counts.check_leaks,
    "significance": chance.check_leads,
    "architecture": architecture.check,
    "formulas": identities.check_formulas,
}
"""Kind of check -> function from a ``Paper`` to its ``Finding``s."""

COLUMNS = ("paper", "where", "claim", "recomputed", "verdict", "evidence", "premise")


def run(key: str | papers.Card | None = None, checks: Iterable[str] | None = None) -> pd.DataFrame:
    """Audit one paper, or all five.

    Args:
        key: A paper's key, the path of any other paper's card (``.toml``), or a card; None: all of
            ``leukkit.papers.KEYS``.
        checks: The kinds of check to make, of ``CHECKS``; None: all.

    Returns:
        A frame with one row per claim: ``paper``, ``where`` (table, section or figure), ``claim``
        (what is printed), ``recomputed``, ``verdict`` (``consistent``, ``inconsistent``, ``not
        checkable``), ``evidence`` (arithmetic that can be redone by hand) and ``premise`` (what the
        verdict rests on: the size, part or order that is taken for granted, else the printed row
        or sentence itself); all text.

    Raises:
        papers.CardError: No such paper, or its file breaks the rules of a card; says where.
        FileNotFoundError: No such file.
        ValueError: No such kind of check.
    """
    rows = [
        [card.key, *(getattr(found, column) for column in COLUMNS[1:])]
        for card in _cards(key)
        for found in findings(card, checks)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="string")


def leads(key: str | papers.Card | None = None) -> list[Lead]:
    """Return the printed leads of one paper, or of all five: see `lead_table`; ``key`` as `run`."""
    return [one for card in _cards(key) for one in lead.find(Paper(card))]


def _cards(key: str | papers.Card | None) -> list[papers.Card]:
    if isinstance(key, papers.Card):
        return [key]
    if key and key.endswith(".toml"):
        return [papers.read(pathlib.Path(key).expanduser())]
    return [papers.load(one) for one in ([key] if key else papers.KEYS)]


def findings(card: papers.Card, checks: Iterable[str] | None = None) -> list[Finding]:
    """Return what the checks find in a card."""
    names = tuple(CHECKS) if checks is None else tuple(checks)
    if unknown := [name for name in names if name not in CHECKS]:
        raise ValueError(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    paper = Paper(card)
    return [found for name in names for found in CHECKS[name](paper)]


def conclusions(frame: pd.DataFrame) -> pd.DataFrame:
    """Count what cannot be: inconsistent claims that rest on one premise are one conclusion.

    Returns:
        Frame, one row per paper and premise: ``paper``, ``premise``, ``claims``, how many rest on
        it, and ``claim`` and ``recomputed`` of the first.
    """
    found = frame[frame["verdict"] == "inconsistent"].groupby(["paper", "premise"], sort=False)
    firsts = found[["claim", "recomputed"]].first()
    return firsts.assign(claims=found.size())[["claims", "claim", "recomputed"]].reset_index()


def select(
    key: str | None = None, *checks: str, where: str = "", claim: str = "", verdict: str = ""
) -> pd.DataFrame:
    """Audit by some kinds of check (none named: all) and pick rows.

    ``where``, ``claim`` and ``verdict`` are regular expressions with which these columns begin.

    Returns:
        Rows as ``run`` gives them, with the column ``check``; it raises what ``run`` does.
    """
    names = checks or tuple(CHECKS)
    rows = pd.concat([run(key, [name]).assign(check=name) for name in names], ignore_index=True)
    for column, pattern in {"where": where, "claim": claim, "verdict": verdict}.items():
        rows = rows[rows[column].str.match(pattern)]
    return rows


def show(*frames: pd.DataFrame, columns: Iterable[str] = COLUMNS[1:-1], caption: str = "") -> None:
    """Show the rows of frames in a notebook as one table with wrapped text, under a caption."""
    from IPython.display import display

    rows = pd.concat(frames, ignore_index=True)[list(columns)]
    left = "text-align: left; vertical-align: top"
    styles = [("td, th, caption", left), ("td:first-child", "min-width: 6em")]
    table = rows.style.hide(axis="index").format(escape="html").set_uuid("audit")
    table.set_table_styles([{"selector": where, "props": props} for where, props in styles])
    html = table.set_caption(escape(caption)).to_html()
    text = "\n".join(filter(None, (caption, rows.to_string(index=False))))
    display({"text/html": html, "text/plain": text}, raw=True)


def as_text(frame: pd.DataFrame, verdict: str | None = None, width: int | None = None) -> str:
    """Return an audit as text for a terminal: paper by paper, counts first, then the rows.

    Args:
        frame: What ``run`` returns.
        verdict: Show the rows with this verdict only; None: all.
        width: Characters in a line; None: those of the terminal.

    Raises:
        ValueError: No such verdict.
    """
    if verdict is not None and verdict not in VERDICTS:
        raise ValueError(f"no such verdict: {verdict!r}; there are {', '.join(VERDICTS)}")
    width = width or min(shutil.get_terminal_size().columns, 120)
    lines = []
    for paper, rows in frame.groupby("paper", sort=False):
        counts = rows["verdict"].value_counts()
        summary = ", ".join(f"{counts.get(name, 0)} {name}" for name in VERDICTS)
        concluded = conclusions(rows)
        lines += [f"{paper}: {len(rows)} claims; {summary}", f"{len(concluded)} conclusions:"]
        for claims, premise in concluded[["claims", "premise"]].itertuples(index=False):
            lines += textwrap.wrap(f"{claims:4} {premise}", width, subsequent_indent="     ")
        lines.append("")
        shown = rows if verdict is None else rows[rows["verdict"] == verdict]
        for row in shown.to_dict("records"):
            lines += textwrap.wrap(f"[{row['verdict']}] {row['where']}: {row['claim']}", width)
            for text in (f"-> {row['recomputed']}" if row["recomputed"] else "", row["evidence"]):
                lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
            lines.append("")
    return "\n".join(lines).rstrip()
