"""Could it be luck? Predictions against shuffled labels, the best against the runner-up."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics

from leukkit.audit import denominators
from leukkit.audit.attainable import row_matrices
from leukkit.audit.confusion import best_reading
from leukkit.audit.printed import Finding, listed, percent
from leukkit.audit.search import ratios
from leukkit.audit.sources import Paper, name

LEVEL = 0.05


def check(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per printed matrix and per two-class row that has matrices."""
    for matrix in paper.matrices:
        yield _matrix(paper, matrix)
    for row in paper.rows:
        if len(found := row_matrices(row)):
            yield _row(row, found)


def check_leads(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on the best against the runner-up, and on claimed ranks."""
    yield from _runner_up(paper)
    yield from _ranks(paper)


def independence(counts: np.ndarray) -> tuple[float, float, int]:
    """Return Pearson's chi-square, without a correction, its p and the degrees of freedom.

    Args:
        counts: int64 (classes, classes). A class that is never predicted, or never there, tells
            nothing: with it left out the rest is tested.
    """
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    result = stats.chi2_contingency(counts, correction=False)
    return float(result.statistic), float(result.pvalue), int(result.dof)


def shuffled_accuracy(counts: np.ndarray) -> tuple[float, float]:
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


def _labels(counts):
    """The actual and the predicted class of every image of a matrix."""
    return np.repeat(np.indices(counts.shape).reshape(2, -1), counts.ravel(), axis=1)


def _matrix(paper, matrix):
    reading, counts, _ = best_reading(paper, matrix)
    statistic, p, freedom = independence(counts)
    labels = _labels(counts)
    mean, deviation = shuffled_accuracy(counts)
    recomputed = (
        f"chi-square {statistic:.3f}, df {freedom}, p {_p(p)}; kappa "
        f"{metrics.cohen_kappa_score(*labels):.3f}; balanced accuracy "
        f"{percent(metrics.balanced_accuracy_score(*labels), 1)}%"
    )
    evidence = (
        f"{reading}; accuracy {percent(matrix.right / matrix.total)}%, always the largest "
        f"class {percent(counts.sum(axis=1).max() / matrix.total)}%, shuffled labels "
        f"{percent(mean)}% +- {percent(deviation)}"
    )
    if len(counts) == 2:
        evidence += f"; MCC {metrics.matthews_corrcoef(*labels):.3f}"
    claim = f"{name(matrix.keys)} tells the classes apart"
    return Finding.on(matrix.numbers, claim, recomputed, p < LEVEL, evidence)


def _row(row, found):
    p = np.array([independence(counts)[1] for counts in found])
    ends = p.min(), p.max()
    of = ratios(found)
    rates = [of[quantity][0] / of[quantity][1] for quantity in ("sensitivity", "specificity")]
    youden = sum(rates) - 1
    called = found[:, :, 0].sum(axis=1) / found[0].sum()
    recomputed = (
        f"Youden's J {_span(f'{youden.min():+.3f}', f'{youden.max():+.3f}')}, "
        f"chi-square p {_span(*map(_p, ends))}"
    )
    evidence = (
        f"over all matrices that give the row ({len(found)}; {row.sizes.how}); predictions made "
        f"without looking would have the precision {percent(row.sides[0] / sum(row.sides), 1)} "
        f"(the share of {row.positive}) and the recall "
        f"{_span(percent(called.min(), 1), percent(called.max(), 1))} (the share predicted so)"
    )
    claim = f"{name(row.keys, 'part')} tells the classes apart: {listed(row.numbers)}"
    is_met = ends[1] < LEVEL if (ends[0] < LEVEL) == (ends[1] < LEVEL) else None
    return Finding.on(row.numbers, claim, recomputed, is_met, evidence, row.sizes.uses)


def _span(low, high):
    return low if low == high else f"{low} to {high}"


def _p(value):
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def _runner_up(paper):
    by_table = {}
    for numbers, sizes in denominators.groups(paper):
        for number in numbers:
            if number.keys.get("part") != "training" and "epoch" not in number.keys:
                by_table.setdefault((number.where, sizes.how), ([], sizes))[0].append(number)
    for numbers, sizes in by_table.values():
        ranked = sorted(numbers, key=lambda number: -number.exact)
        if len(ranked) > 1 and ranked[0].exact > ranked[1].exact:
            yield _advantage(ranked[:2], sizes)


def _advantage(pair, sizes):
    """Fisher's exact test, also for the smallest lead that the printed digits allow."""
    total = sizes.totals[0]
    first, second = (min(total, round(number.exact * total)) for number in pair)
    smallest = min(_counts(pair[0], total)[0], first), max(_counts(pair[1], total)[1], second)
    p = max(_fisher(*right, total) for right in ((first, second), smallest))
    spans = " and ".join(
        " to ".join(percent(end, 1) for end in _wilson(right, total)) for right in (first, second)
    )
    lead = first - second
    evidence = (
        f"{lead} image{'s' if lead != 1 else ''} of {total} ({sizes.how}); Fisher's exact test, "
        f"unpaired; 95% intervals (Wilson) {spans}; whether both missed the same is not printed"
    )
    names = [f"{name(n.keys, 'part', 'dataset', 'augmentation')} {n.text}" for n in pair]
    recomputed = f"{first} vs {second} of {total}, p {p:.2g}"
    is_met = True if p < LEVEL else None
    return Finding.on(pair, " ahead of ".join(names), recomputed, is_met, evidence, sizes.uses)


def _counts(number, total):
    """The smallest and largest whole number of images that give the printed share."""
    met = np.flatnonzero(number.is_met(np.arange(total + 1), total))
    return (met[0], met[-1]) if len(met) else (total, 0)


def _fisher(first, second, total):
    table = [[count, total - count] for count in (first, second)]
    return float(stats.fisher_exact(table).pvalue)


def _wilson(right, total):
    return stats.binomtest(right, total).proportion_ci(method="wilson")


def _ranks(paper):
    """Networks that are said to have the highest or lowest accuracy, by their printed matrices."""
    for claim in paper.numbers:
        rank, variant = claim.keys.get("rank"), claim.keys.get("variant")
        rivals = [matrix for matrix in paper.matrices if matrix.keys.get("variant") == variant]
        own = [matrix for matrix in rivals if matrix.keys["model"] == claim.keys.get("model")]
        if rank is None or not own:
            continue
        if len(rivals) == 1:  # the only one of its kind is compared with all
            rivals = paper.matrices
        best = (max if rank == "highest" else min)(rivals, key=_accuracy)
        share = percent(_accuracy(best))
        evidence = "; ".join(
            f"{one.where}: {one.right}/{one.total} = {percent(_accuracy(one))}"
            for one in (own[0], best)
        )
        numbers = [number for matrix in rivals for number in matrix.numbers]
        yield Finding.on(
            [claim],
            f"{name(claim.keys, 'dataset')} has the {rank} accuracy",
            f"{rank}: {name(best.keys, 'part', 'dataset')} {share}",
            _accuracy(own[0]) == _accuracy(best),
            evidence,
            numbers,
        )


def _accuracy(matrix):
    return matrix.right / matrix.total
