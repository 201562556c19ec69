"""Printed formulas that can be held against printed numbers: so far, the sign of a loss."""

import re

from leukkit.audit.findings import Finding, verdict_of


def check(paper):
    """Return the findings on printed loss formulas."""
    return [_loss(paper, formula) for formula in paper.find("loss formula")]


def _loss(paper, formula):
    """A sum of y log(p) with shares p is never above 0, so a loss needs a minus before it."""
    right = formula.text.partition("=")[2].strip()
    is_sum_of_logarithms = bool(re.fullmatch(r"[-−]?\s*(\S*\s*)?Σ.*log.*", right))
    has_minus = right.startswith(("-", "−"))
    losses = [n for n in paper.find("loss") if n.is_number]
    positive = [number for number in losses if number.exact > 0]
    is_met = has_minus or not is_sum_of_logarithms
    printed = ", ".join(f"{number.text} ({number.where})" for number in positive)
    evidence = (
        "y is 0 or 1 and log of a probability is 0 or less, so without a minus no such sum is "
        f"above 0; printed losses: {printed or 'none'}"
    )
    recomputed = "0 or above" if is_met else "0 or below"
    claim = f"loss {formula.text}"
    uses = (formula, *positive)
    return Finding(formula.where, claim, recomputed, verdict_of(is_met), evidence, uses)
