"""What a check hands back: a claim, what it comes to when recomputed, a verdict, the evidence."""

import dataclasses

CONSISTENT = "consistent"
INCONSISTENT = "inconsistent"
NOT_CHECKABLE = "not checkable"
VERDICTS = (CONSISTENT, INCONSISTENT, NOT_CHECKABLE)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One row of the audit.

    Attributes:
        where: Table, section or figure of the paper.
        claim: The printed numbers and what they are of.
        recomputed: What the same numbers come to.
        verdict: ``consistent``, ``inconsistent`` or ``not checkable``.
        evidence: The arithmetic, short enough to be redone by hand.
        uses: The ``Printed`` numbers that the verdict depends on.
    """

    where: str
    claim: str
    recomputed: str
    verdict: str
    evidence: str
    uses: tuple = ()


def verdict_of(is_met):
    """Return ``consistent`` or ``inconsistent``."""
    return CONSISTENT if is_met else INCONSISTENT


def listed(numbers):
    """Return printed numbers as text: "accuracy 98.75, recall 29/98 (benign/early)"."""
    by_quantity = {}
    for number in numbers:
        by_quantity.setdefault(number.quantity, []).append(number)
    words = []
    for quantity, same in by_quantity.items():
        labels = [number.keys["label"] for number in same if "label" in number.keys]
        texts = "/".join(number.text for number in same)
        classes = "/".join(labels)
        words.append(f"{quantity} {texts}" + (f" ({classes})" if labels else ""))
    shared = {word.partition("(")[2] for word in words}
    if len(words) > 1 and len(shared) == 1 and "" not in shared:  # the same classes throughout
        words = [word.partition(" (")[0] for word in words[:-1]] + words[-1:]
    return ", ".join(words)
