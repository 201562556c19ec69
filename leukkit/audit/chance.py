"""Could it be luck? Predictions against shuffled labels, the best against the runner-up."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics

from leukkit.audit import denominators
from leukkit.audit.attainable import row_matrices
from leukkit.audit.confusion import best_reading
from leukkit.audit.lead import LEVEL, ahead, ranked
from leukkit.audit.printed import NOT_TRAINED, Finding, Paper, listed, name, percent
from leukkit.audit.search import ratios
from leukkit.papers import Card


def check(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per printed matrix and per two-class row that has matrices."""
    for matrix in paper.matrices:
        yield _matrix(paper, matrix)
    for row in paper.rows:
        if len(found := row_matrices(row)):
            yield _row(row, found)


def check_leads(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on the best against the runner-up, and on claimed ranks."""
    for numbers, sizes in denominators.groups(paper):
        for best, second in ahead(numbers, lambda number: number.where):
            yield _lead(best, second, sizes)
    yield from _ranks(paper)


def shuffled_accuracies(card: Card, table: str | None = None) -> pd.DataFrame:
    """Put the accuracies that a paper's scores of two classes imply beside those of chance.

    Whoever scores predictions with the labels in another order compares each image with the label
    of another. Both sums of each class stay; over all orders, the images of the positive class that
    are predicted so follow the hypergeometric distribution.

    Returns:
        Frame in percent, one row per network in ``table``, or per printed confusion matrix: ``low``
        and ``high``, the implied accuracy; ``shuffled low`` and ``shuffled high``, between which it
        lies for 95% of the orders; ``best``, the best with these sums. Where several matrices are
        possible, all of them are within these ends.
    """
    paper, rows = Paper(card), {}
    found = [(one.keys, best_reading(one)[1][None]) for one in paper.matrices if not table]
    found += [(row.keys, row_matrices(row)) for row in paper.rows if row.table == table]
    for keys, counts in found:
        if not len(counts) or counts.shape[1] != 2:
            continue
        total, actual, predicted = counts.sum((1, 2)), counts[:, 0].sum(1), counts[:, :, 0].sum(1)
        orders = stats.hypergeom(total, actual, predicted)
        none, each = 100 * (total - actual - predicted) / total, 200 / total  # of no hits, of each
        rows[name(keys, "dataset", "part")] = {
            "low": (none + each * counts[:, 0, 0]).min(),
            "high": (none + each * counts[:, 0, 0]).max(),
            "shuffled low": (none + each * orders.ppf(0.025)).min(),
            "shuffled high": (none + each * orders.ppf(0.975)).max(),
            "best": (none + each * np.minimum(actual, predicted)).max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def independence(counts: np.ndarray) -> tuple[float, float, int]:
    """Return Pearson's chi-square, without a correction, its p and the degrees of freedom.

    Rows and columns of nothing but zeros are left out of ``counts``, int64 (classes, classes).
    """
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    result = stats.chi2_contingency(counts, correction=False)
    return float(result.statistic), float(result.pvalue), int(result.dof)


def shuffled_accuracy(counts: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of the accuracy when the labels are shuffled.

    The labels are permuted, so both sums of each class in ``counts``, int64 (classes, classes),
    stay. Source: Hoeffding 1951, "A combinatorial central limit theorem": the variance of a sum
    over a random permutation is that of the terms, less the means of their row and column.
    """
    total = counts.sum()
    rows, columns = counts.sum(axis=1) / total, counts.sum(axis=0) / total
    mean = rows @ columns
    terms = np.eye(len(counts)) - columns[:, None] - rows[None, :] + mean
    variance = rows @ terms**2 @ columns / (total - 1)
    return float(mean), float(np.sqrt(variance))


def _matrix(paper, matrix):
    reading, counts, _ = best_reading(matrix)
    statistic, p, freedom = independence(counts)
    mean, deviation = shuffled_accuracy(counts)
    # The actual and the predicted class of every image.
    labels = np.repeat(np.indices(counts.shape).reshape(2, -1), counts.ravel(), axis=1)
    recomputed = (
        f"chi-square {statistic:.3f}, df {freedom}, p {_p(p)}; kappa "
        f"{metrics.cohen_kappa_score(*labels):.3f}; balanced accuracy "
        f"{percent(metrics.balanced_accuracy_score(*labels), 1)}%"
    )
    evidence = (
        f"{reading}; accuracy {percent(matrix.accuracy)}%, always the largest class "
        f"{percent(counts.sum(axis=1).max() / matrix.total)}%, shuffled labels {percent(mean)}% "
        f"+- {percent(deviation)}"
    )
    if len(counts) == 2:
        evidence += f"; MCC {metrics.matthews_corrcoef(*labels):.3f}"
    claim = f"{name(matrix.keys)} tells the classes apart"
    premise = _one_order(paper, matrix.keys)
    return Finding(matrix.numbers, claim, recomputed, p < LEVEL, evidence, premise)


def _row(row, found):
    p = [independence(counts)[1] for counts in found]
    total, actual, predicted = found.sum((1, 2)), found[:, 0].sum(1), found[:, :, 0].sum(1)
    rates = [ratios(found)[quantity] for quantity in ("sensitivity", "specificity")]
    youden = sum(right / total for right, total in rates) - 1
    recomputed = f"Youden's J {_span('{:+.3f}'.format, youden)}, chi-square p {_span(_p, p)}"
    precision, recall = (
        _span(lambda share: percent(share, 1), counts / total) for counts in (actual, predicted)
    )
    evidence = (
        f"over all matrices that give the row ({len(found)}; {row.sizes.how}); predictions made "
        f"without looking would have the precision {precision} (the share of {row.positive}) and "
        f"the recall {recall} (the share predicted so)"
    )
    claim = f"{name(row.keys, 'part')} tells the classes apart: {listed(row.numbers)}"
    verdicts = {bool(one < LEVEL) for one in p}
    is_met = verdicts.pop() if len(verdicts) == 1 else None
    premise = _one_order(row.paper, row.keys)
    return Finding(row.numbers, claim, recomputed, is_met, evidence, premise)


def _one_order(paper, keys):
    """The premise of what is scored: each prediction beside the label of its own image."""
    scored = ", ".join(filter(None, (keys.get("dataset"), paper.part(keys))))
    return f"The predictions of {scored} are scored beside the labels of their own images"


def _span(text, values):
    """The smallest and the largest value as text."""
    return " to ".join(dict.fromkeys([text(min(values)), text(max(values))]))


def _p(value):
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def _lead(best, second, sizes):
    """Fisher's exact test, also for the smallest lead that the printed digits allow."""
    total = sizes.totals[0]
    right = [min(total, round(number.exact * total)) for number in (best, second)]
    counts = np.arange(total + 1)
    fewest = min([right[0], *counts[best.is_met(counts, total)]])
    most = max([right[1], *counts[second.is_met(counts, total)]])
    tables = [[[one, total - one] for one in pair] for pair in (right, (fewest, most))]
    p = max(stats.fisher_exact(table).pvalue for table in tables)
    intervals = [stats.binomtest(one, total).proportion_ci(method="wilson") for one in right]
    spans = " and ".join(f"{percent(low, 1)} to {percent(high, 1)}" for low, high in intervals)
    lead = right[0] - right[1]
    evidence = (
        f"{lead} image{'s' if lead != 1 else ''} of {total} ({sizes.how}); Fisher's exact test, "
        f"unpaired; 95% intervals (Wilson) {spans}; whether both missed the same is not printed"
    )
    names = [f"{name(n.keys, 'part', 'dataset', 'augmentation')} {n.text}" for n in (best, second)]
    claim, recomputed = " ahead of ".join(names), f"{right[0]} vs {right[1]} of {total}, p {p:.2g}"
    is_met = True if p < LEVEL else None
    return Finding([best, second], claim, recomputed, is_met, evidence)


def _ranks(paper):
    """Networks that are said to have the highest or lowest accuracy, by their printed matrices."""
    for claim, own, rivals in ranked(paper):
        rank = claim.keys["rank"]
        extreme = max if rank == "highest" else min
        best = extreme(rivals, key=lambda matrix: matrix.accuracy)
        evidence = "; ".join(
            f"{one.where}: {one.right}/{one.total} = {percent(one.accuracy)}" for one in (own, best)
        )
        stated = f"{name(claim.keys, 'dataset')} has the {rank} accuracy"
        recomputed = f"{rank}: {name(best.keys, 'part', 'dataset')} {percent(best.accuracy)}"
        is_met, reading = own.accuracy == best.accuracy, ""
        among = paper.find("accuracy", part="training", variant=claim.get("variant"))
        edge = extreme((n.exact for n in among), default=None)
        if edge in [n.exact for n in among if n.get("model") == claim.get("model")]:
            reading = NOT_TRAINED
            evidence += f"; its training accuracy is the {rank} printed"
        yield Finding([claim], stated, recomputed, is_met, evidence, reading)
