"""Could the predictions be independent of the truth? Chi-square, kappa, shuffled labels."""

import numpy as np
from scipy import stats

from leukkit.audit.attainable import binary_matrices
from leukkit.audit.findings import CONSISTENT, INCONSISTENT, NOT_CHECKABLE, Finding, listed
from leukkit.audit.matrices import best_orientation
from leukkit.audit.printed import percent
from leukkit.audit.sources import name

LEVEL = 0.05


def check(paper):
    """Return a finding per printed matrix and per two-class row that has matrices."""
    found = [_matrix(paper, matrix) for matrix in paper.matrices]
    for keys, numbers in paper.rows:
        searched = binary_matrices(paper, keys, numbers)
        if searched is not None and len(searched[2]):
            found.append(_row(paper, keys, numbers, *searched))
    return found


def independence(counts):
    """Return Pearson's chi-square, without a correction, of one or more tables of counts.

    Args:
        counts: int64 (..., classes, classes).

    Returns:
        chi-square and p, arrays (...), and the degrees of freedom.
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum(axis=(-2, -1), keepdims=True)
    expected = counts.sum(axis=-1, keepdims=True) * counts.sum(axis=-2, keepdims=True) / total
    safe = np.where(expected > 0, expected, 1)
    statistic = ((counts - expected) ** 2 / safe).sum(axis=(-2, -1))
    freedom = (counts.shape[-1] - 1) * (counts.shape[-2] - 1)
    return statistic, stats.chi2.sf(statistic, freedom), freedom


def agreement(counts):
    """Return Cohen's kappa and the balanced accuracy.

    Args:
        counts: int64 (classes, classes), actual classes in the rows.
    """
    total, right = counts.sum(), np.trace(counts)
    by_chance = (counts.sum(axis=0) * counts.sum(axis=1)).sum() / total**2
    kappa = (right / total - by_chance) / (1 - by_chance)
    return kappa, np.mean(np.diag(counts) / counts.sum(axis=1))


def shuffled_accuracy(counts):
    """Return mean and standard deviation of the accuracy when the labels are shuffled.

    The labels are permuted, so both sums of each class stay. The mean is the sum of the products
    of the class shares; the variance is that of a sum over a random permutation.

    Args:
        counts: int64 (classes, classes).
    """
    rows, columns, total = counts.sum(axis=1), counts.sum(axis=0), int(counts.sum())
    products = (rows * columns).astype(np.float64)
    mean = products.sum() / total
    # E[right (right - 1)]: ordered pairs of images that both fall on the diagonal.
    same = (rows * (rows - 1) * columns * (columns - 1)).sum()
    cross = products.sum() ** 2 - (products**2).sum()
    pairs = (same + cross) / (total * (total - 1))
    return mean / total, np.sqrt(max(0.0, pairs + mean - mean**2)) / total


def _matrix(paper, matrix):
    orientation, _, _ = best_orientation(paper, matrix)
    counts = matrix.actual_in_rows(orientation)
    statistic, p, freedom = independence(counts)
    kappa, balanced = agreement(counts)
    mean, deviation = shuffled_accuracy(counts)
    total = int(counts.sum())
    majority = counts.sum(axis=1).max() / total
    recomputed = (
        f"chi-square {statistic:.3f}, df {freedom}, p {_p(p)}; kappa {kappa:.3f}; "
        f"balanced accuracy {percent(balanced, 1)}%"
    )
    evidence = (
        f"{orientation}; accuracy {percent(np.trace(counts) / total)}%, always the largest class "
        f"{percent(majority)}%, shuffled labels {percent(mean)}% +- {percent(deviation)}"
    )
    if len(counts) == 2:
        determinant = counts[0, 0] * counts[1, 1] - counts[0, 1] * counts[1, 0]
        sides = np.prod([*counts.sum(axis=0), *counts.sum(axis=1)], dtype=np.float64)
        evidence += f"; MCC {determinant / np.sqrt(sides):.3f}"
    claim = f"{name(matrix.keys)} tells the classes apart"
    verdict = CONSISTENT if p < LEVEL else INCONSISTENT
    return Finding(matrix.where, claim, recomputed, verdict, evidence, tuple(matrix.numbers))


def _row(paper, keys, numbers, known, sizes, solutions):
    hits, rejects = solutions.T
    counts = np.stack(
        [np.stack([hits, sizes[0] - hits], -1), np.stack([sizes[1] - rejects, rejects], -1)], -2
    )
    _, p, _ = independence(counts)
    youden = hits / sizes[0] + rejects / sizes[1] - 1
    recomputed = (
        f"Youden's J {_span(f'{youden.min():+.3f}', f'{youden.max():+.3f}')}, "
        f"chi-square p {_span(_p(p.min()), _p(p.max()))}"
    )
    prevalence = sizes[0] / sum(sizes)
    called = (hits + sizes[1] - rejects) / sum(sizes)
    evidence = (
        f"over all matrices that give the row ({len(solutions)}; {known.how}); predictions made "
        f"without looking would have the precision {percent(prevalence, 1)} (the share of "
        f"{paper.choice('positive_class')}) and the recall "
        f"{_span(percent(called.min(), 1), percent(called.max(), 1))} (the share predicted so)"
    )
    verdict = NOT_CHECKABLE
    if p.max() < LEVEL or p.min() >= LEVEL:
        verdict = CONSISTENT if p.max() < LEVEL else INCONSISTENT
    claim = f"{name(keys, 'part')} tells the classes apart: {listed(numbers)}"
    uses = (*numbers, *known.uses)
    return Finding(numbers[0].where, claim, recomputed, verdict, evidence, uses)


def _span(low, high):
    return low if low == high else f"{low} to {high}"


def _p(value):
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"
