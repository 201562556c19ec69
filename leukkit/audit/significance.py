"""Is the best of a table ahead by more than a few images, and is the one called the best so?"""

import math

import numpy as np
from scipy import stats

from leukkit.audit.denominators import groups
from leukkit.audit.findings import CONSISTENT, NOT_CHECKABLE, Finding, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.sources import name

LEVEL = 0.05
WILSON = 1.96  # standard deviations of a 95% interval


def check(paper):
    """Return the findings on the best against the runner-up, and on claimed ranks."""
    return [*_runner_up(paper), *_ranks(paper)]


def counts_of(number, total):
    """Return the smallest and largest whole number of images that give the printed share."""
    low, high = number.window()
    return max(0, math.ceil(low * total)), min(total, math.ceil(high * total) - 1)


def wilson(right, total):
    """Return the 95% interval of a share (Wilson 1927)."""
    share, square = right / total, WILSON**2 / total
    center = (share + square / 2) / (1 + square)
    half = WILSON / (1 + square) * math.sqrt(share * (1 - share) / total + square / total / 4)
    return center - half, center + half


def _runner_up(paper):
    by_table = {}
    for numbers, known in groups(paper):
        for number in numbers:
            if number.keys.get("part") != "training" and "epoch" not in number.keys:
                by_table.setdefault((number.where, known.how), ([], known))[0].append(number)
    found = []
    for (where, how), (numbers, known) in by_table.items():
        ranked = sorted(numbers, key=lambda number: -number.exact)
        if len(ranked) > 1 and ranked[0].exact > ranked[1].exact:
            found.append(_advantage(where, how, ranked[:2], known))
    return found


def _advantage(where, how, pair, known):
    """Fisher's exact test, for the smallest lead that the printed digits allow."""
    total = known.totals[0]
    ranges = [counts_of(number, total) for number in pair]
    nearest = [min(total, round(number.exact * total)) for number in pair]
    smallest = [min(ranges[0][0], nearest[0]), max(ranges[1][1], nearest[1])]
    p = max(_fisher(nearest, total), _fisher(smallest, total))
    best, second = (name(number.keys, "part", "dataset", "augmentation") for number in pair)
    claim = f"{best} {pair[0].text} ahead of {second} {pair[1].text}"
    recomputed = f"{nearest[0]} vs {nearest[1]} of {total}, p {p:.2g}"
    spans = " and ".join(
        " to ".join(percent(end, 1) for end in wilson(right, total)) for right in nearest
    )
    lead = nearest[0] - nearest[1]
    evidence = (
        f"{lead} image{'s' if lead != 1 else ''} of {total} ({how}); Fisher's exact test, "
        f"unpaired; 95% intervals (Wilson) {spans}; whether both missed the same is not printed"
    )
    verdict = CONSISTENT if p < LEVEL else NOT_CHECKABLE
    uses = (*pair, *known.uses)
    return Finding(where, claim, recomputed, verdict, evidence, uses)


def _fisher(right, total):
    table = [[count, total - count] for count in right]
    return float(stats.fisher_exact(table).pvalue)


def _ranks(paper):
    """Networks that are said to have the highest or lowest accuracy, by their printed matrices."""
    found = []
    for claim in paper.numbers:
        rank, variant = claim.keys.get("rank"), claim.keys.get("variant")
        own = [m for m in paper.matrices if m.keys["model"] == claim.keys.get("model")]
        own = [m for m in own if m.keys.get("variant") == variant]
        if rank is None or not own:
            continue
        rivals = [m for m in paper.matrices if m.keys.get("variant") == variant]
        if len(rivals) == 1:  # the only one of its kind is compared with all
            rivals = paper.matrices
        shares = {matrix.where: _accuracy(matrix) for matrix in rivals}
        pick = max if rank == "highest" else min
        best = pick(rivals, key=_accuracy)
        verdict = verdict_of(_accuracy(own[0]) == shares[best.where])
        recomputed = f"{rank}: {name(best.keys, 'part', 'dataset')} {percent(shares[best.where])}"
        evidence = (
            f"{own[0].where}: {_fraction(own[0])} = {percent(_accuracy(own[0]))}; {best.where}: "
            f"{_fraction(best)} = {percent(shares[best.where])}"
        )
        text = f"{name(claim.keys, 'dataset')} has the {rank} accuracy"
        uses = tuple(number for matrix in rivals for number in matrix.numbers)
        found.append(Finding(claim.where, text, recomputed, verdict, evidence, uses))
    return found


def _accuracy(matrix):
    return float(np.trace(matrix.counts) / matrix.counts.sum())


def _fraction(matrix):
    return f"{int(np.trace(matrix.counts))}/{int(matrix.counts.sum())}"
