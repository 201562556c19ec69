"""The arithmetic of the bootstrap over clusters: draws, weighted AUC, percentiles."""

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
