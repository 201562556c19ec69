"""The arithmetic of the bootstrap over clusters: draws, scores of weighted images, percentiles."""

import numpy as np


def cluster_draws(clusters, draws, seed, at_once):
    """Yield how often each cluster is drawn, some draws at a time.

    Args:
        clusters: Number of clusters; each draw takes as many, with replacement.
        draws: Number of draws.
        seed: What the draws depend on.
        at_once: How many draws to make at a time (limits the memory).

    Yields:
        int64 arrays (draws of this chunk, clusters); each row sums to ``clusters``.
    """
    generator = np.random.default_rng(seed)
    for first in range(0, draws, at_once):
        rows = min(at_once, draws - first)
        picks = generator.integers(0, clusters, (rows, clusters))
        picks += np.arange(rows)[:, None] * clusters
        yield np.bincount(picks.ravel(), minlength=rows * clusters).reshape(rows, clusters)


def weighted_auc(positive, scores, weights):
    """Area under the ROC curve for many weightings of the same images.

    The share of pairs of a positive and a negative image, each counted by the product of the
    weights, in which the positive one has the higher score; equal scores count one half.

    Args:
        positive: bool (images,): which images are of the positive class.
        scores: float (images,): higher means more likely positive.
        weights: (images, weightings), not negative.

    Returns:
        float64 (weightings,), NaN where the positive or the negative images weigh nothing.
    """
    order = np.argsort(scores[~positive])
    negative_scores = scores[~positive][order]
    below = np.zeros((len(order) + 1, weights.shape[1]))  # weight of the first 0, 1, 2, … negatives
    np.cumsum(weights[~positive][order], axis=0, out=below[1:])
    lower = np.searchsorted(negative_scores, scores[positive], side="left")
    not_higher = np.searchsorted(negative_scores, scores[positive], side="right")
    beaten = (below[lower] + below[not_higher]) / 2
    won = np.einsum("ij,ij->j", weights[positive], beaten)
    pairs = weights[positive].sum(axis=0) * below[-1]
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def percentile_interval(values, level):
    """Return low, high and the number of values that are not NaN; NaN, NaN, 0 if there is none."""
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return np.nan, np.nan, 0
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return low, high, len(defined)


def drawn_scores(codes, probabilities, clusters, times, positive=None):
    """Compute the scores of the same images for many draws of their clusters.

    Args:
        codes: (actual, predicted), each int (images,): classes as columns of ``probabilities``.
        probabilities: float (images, classes).
        clusters: int (images,): the cluster of each image.
        times: (draws, clusters): how often each cluster is drawn, as `cluster_draws` gives it.
        positive: Code of the positive class; None for the mean over classes.

    Returns:
        Dict of a score's name (all of `leukkit.metrics.NAMES`) to float64 (draws,), NaN where it
        is not defined.
    """
    actual, predicted = codes
    size = probabilities.shape[1]
    counts = np.zeros((times.shape[1], size * size))
    np.add.at(counts, (clusters, actual * size + predicted), 1)
    times = times.astype(float)
    values = count_scores((times @ counts).reshape(-1, size, size), positive)
    weights = times.T[clusters]
    values["auc"] = np.mean(
        [
            weighted_auc(actual == code, probabilities[:, code], weights)
            for code in auc_codes(size, positive)
        ],
        axis=0,
    )
    return values


def bootstrap_scores(codes, probabilities, clusters, number, draws, seed, positive=None):
    """Compute the scores in all draws of a bootstrap; the same draws for the same seed and number.

    Args:
        codes: As `drawn_scores`.
        probabilities: As `drawn_scores`.
        clusters: As `drawn_scores`.
        number: Number of clusters.
        draws: Number of draws.
        seed: What the draws depend on.
        positive: As `drawn_scores`.

    Returns:
        As `drawn_scores`.
    """
    at_once = max(1, 500_000 // len(clusters))  # keeps the weights of all images small
    parts = [
        drawn_scores(codes, probabilities, clusters, times, positive)
        for times in cluster_draws(number, draws, seed, at_once)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def auc_codes(classes, positive):
    """Return the classes whose AUC counts: all, or the positive one."""
    return range(classes) if positive is None else [positive]


def count_scores(counts, positive):
    """Compute all scores but the AUC from confusion matrices (..., actual, predicted)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    actual, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    total = actual.sum(axis=-1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: undefined
        others = total[..., None] - actual
        per_class = {
            "sensitivity": hits / actual,
            "specificity": (others - predicted + hits) / others,
            "precision": hits / predicted,
            "f1": 2 * hits / (actual + predicted),
        }
    values = {
        name: value.mean(axis=-1) if positive is None else value[..., positive]
        for name, value in per_class.items()
    }
    values["accuracy"] = hits.sum(axis=-1) / total
    weighted = np.where(actual > 0, actual * per_class["f1"], 0)
    values["weighted_f1"] = weighted.sum(axis=-1) / total
    values["balanced_accuracy"] = per_class["sensitivity"].mean(axis=-1)
    return values
