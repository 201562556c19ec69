"""Which of a paper's printed numbers can be true together.

Every verdict is computed from the numbers in the paper cards; nothing is looked up or typed in but
the publishers' counts of the data sets and the sizes of the networks that leukkit builds. A printed
value is met by a recomputed one that rounds or truncates to it. An ``inconsistent`` number is one
that cannot be, as it stands, together with the others: a slip of the pen is the usual reason.
"""

import shutil
import textwrap

import pandas as pd

from leukkit import papers
from leukkit.audit import (
    architecture,
    attainable,
    chance,
    comparisons,
    counts,
    denominators,
    formulas,
    identities,
    leaks,
    matrices,
    repeated,
    significance,
)
from leukkit.audit.findings import VERDICTS
from leukkit.audit.sources import Paper

CHECKS = {
    "attainable": attainable.check,
    "identities": identities.check,
    "counts": counts.check,
    "k of n": denominators.check,
    "matrices": matrices.check,
    "repeated": repeated.check,
    "comparisons": comparisons.check,
    "chance": chance.check,
    "leak signs": leaks.check,
    "significance": significance.check,
    "architecture": architecture.check,
    "formulas": formulas.check,
}
"""Kind of check -> function from a ``Paper`` to a list of ``Finding``."""

COLUMNS = ("paper", "where", "claim", "recomputed", "verdict", "evidence")


def run(key=None, checks=None):
    """Audit one paper, or all five.

    Args:
        key: A paper's key; None: all of ``leukkit.papers.KEYS``.
        checks: The kinds of check to make, of ``CHECKS``; None: all.

    Returns:
        A frame with one row per claim: ``paper``, ``where`` (table, section or figure), ``claim``
        (what is printed), ``recomputed``, ``verdict`` (``consistent``, ``inconsistent``, ``not
        checkable``) and ``evidence`` (arithmetic that can be redone by hand); all text.

    Raises:
        papers.CardError: No such paper.
        ValueError: No such kind of check.
    """
    keys = papers.KEYS if key is None else (key,)
    frames = [audit(papers.load(name), checks) for name in keys]
    return pd.concat(frames, ignore_index=True)


def audit(card, checks=None):
    """Audit the paper of one card; see ``run``."""
    rows = [
        [card.key, found.where, found.claim, found.recomputed, found.verdict, found.evidence]
        for found in findings(card, checks)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="string")


def findings(card, checks=None):
    """Return what the checks find in a card as a list of ``Finding``.

    Each one also names the printed numbers that it depends on (``uses``).
    """
    names = tuple(CHECKS) if checks is None else tuple(checks)
    if unknown := [name for name in names if name not in CHECKS]:
        raise ValueError(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    paper = Paper(card)
    return [found for name in names for found in CHECKS[name](paper)]


def as_text(frame, verdict=None, width=None):
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
        lines += [f"{paper}: {len(rows)} claims; {summary}", ""]
        shown = rows if verdict is None else rows[rows["verdict"] == verdict]
        for row in shown.itertuples():
            lines += textwrap.wrap(f"[{row.verdict}] {row.where}: {row.claim}", width)
            for text in (f"-> {row.recomputed}" if row.recomputed else "", row.evidence):
                lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
            lines.append("")
    return "\n".join(lines).rstrip()
