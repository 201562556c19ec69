"""Nucleus segmentation by K-means of one channel (Farag et al. 2025, III.C and III.D)."""

import cv2
import numpy as np

RULES = ("above threshold", "highest cluster", "green multi-Otsu")  # the first is the paper's


class SegmentationError(ValueError):
    """No nucleus was found: nothing to cluster, nothing selected, or everything selected."""


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert to LAB (Farag et al. 2025, III.C.1).

    Args:
        rgb: uint8 RGB array of shape (height, width, 3).

    Returns:
        uint8 array of the same shape in OpenCV's 8-bit convention: L scaled to 0-255,
        a and b shifted by 128 (128 is neutral; a above 128 is reddish, below is greenish).
    """
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)


def kmeans_channel(channel: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the globally optimal K-means clustering of one 8-bit channel.

    Minimizes J = sum of ||x_n - t_k||^2 (Farag et al. 2025, III.D, equation 1). Clusters of numbers
    are intervals, so the best split of the at most 256 values into k intervals is found by dynamic
    programming: no random start, no iterations, and equal images give equal clusters. Of equally
    good splits the one with the lowest boundaries, from the highest boundary down, is taken.

    Args:
        channel: uint8 array of shape (height, width).
        k: Number of clusters.

    Returns:
        centers: float64 (k,), ascending; the mean of each cluster.
        labels: uint8, same shape as ``channel``: 0 for the cluster of the lowest center, ...

    Raises:
        SegmentationError: ``channel`` holds fewer than k different values.
        ValueError: ``channel`` is not uint8.
    """
    if channel.dtype != np.uint8:
        raise ValueError(f"expected a uint8 channel (0-255), found {channel.dtype}")
    histogram = np.bincount(channel.ravel(), minlength=256)
    values = np.flatnonzero(histogram)
    if not 1 <= k <= len(values):
        raise SegmentationError(
            f"cannot form k={k} clusters from {len(values)} different values; "
            f"choose k between 1 and {len(values)}, or check whether the image is blank"
        )
    counts = histogram[values].astype(float)
    sums = counts * (values - values[0])  # from the lowest value: small numbers, small rounding
    count = np.concatenate([[0], np.cumsum(counts)])
    total = np.concatenate([[0], np.cumsum(sums)])

    # J = sum of x^2 - sum over clusters of (sum of x)^2 / (number of x): maximize the last part.
    # gain[j, i] is that part for one cluster of the values i..j; no cluster has i > j.
    size = count[1:, None] - count[:-1]
    gain = np.full(size.shape, -np.inf)
    np.divide((total[1:, None] - total[:-1]) ** 2, size, out=gain, where=size > 0)
    best = gain[:, 0]  # best[j]: of the values 0..j in as many clusters as there are so far
    starts = []  # starts[c][j]: where cluster c + 1 starts if it ends at j
    for _ in range(k - 1):
        candidates = gain[:, 1:] + best[:-1]
        start = candidates.argmax(axis=1)
        best = candidates[np.arange(len(values)), start]
        starts.append(start + 1)
    ends = [len(values)]
    for start in reversed(starts):
        ends.append(start[ends[-1] - 1])
    bounds = np.array([0, *ends[:0:-1]])

    centers = values[0] + np.add.reduceat(sums, bounds) / np.add.reduceat(counts, bounds)
    label_of_value = np.searchsorted(values[bounds[1:]], np.arange(256), side="right")
    return centers, cv2.LUT(channel, label_of_value.astype(np.uint8))


def segment_nucleus(
    rgb: np.ndarray,
    k: int = 3,
    threshold: float = 141,
    minimum_area: int = 0,
    opening: int = 0,
    rule: str = RULES[0],
) -> np.ndarray:
    """Return the mask of the nucleus (Farag et al. 2025, III.C and III.D).

    *Above threshold* is the published rule. RGB to LAB; K-means of the a channel; each pixel takes
    the center of its cluster; the binary threshold "141 and 255" then makes what is above 141
    nucleus. The paper does not say whether the threshold sees the pixels or their centers; after
    the clustering, only centers give the clustering a role. The paper has no clean-up: ``opening``
    and ``minimum_area`` are off by default.

    On many stains cytoplasm and red cells are above 141, too. Of the two other rules, *highest
    cluster* takes the reddest cluster alone; *green multi-Otsu* the darkest of k classes of the
    green channel, which nuclear dye absorbs most (the best k classes after Otsu, 1979, are those of
    K-means).

    The published mask may be empty or full; this is not an error here, but
    :func:`leukkit.images.prepare` refuses such masks.

    Args:
        rgb: uint8 RGB array of shape (height, width, 3).
        k: Number of clusters; the paper prefers 3 to 7.
        threshold: On the centers, in 8-bit a units (128 is neutral); of the first rule alone.
        minimum_area: Objects (8-connected) of fewer pixels are removed; 0 keeps all.
        opening: Radius in pixels of a morphological opening before that; 0 for none.
        rule: One of ``RULES``.

    Returns:
        bool mask of shape (height, width).

    Raises:
        SegmentationError: Fewer different values than k: a blank image.
        ValueError: Unknown ``rule``.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}, expected one of {', '.join(map(repr, RULES))}")
    if rule == "green multi-Otsu":
        _, labels = kmeans_channel(cv2.extractChannel(rgb, 1), k)
        selected = np.arange(k) == 0
    else:
        centers, labels = kmeans_channel(cv2.extractChannel(rgb_to_lab(rgb), 1), k)
        selected = centers > threshold if rule == "above threshold" else np.arange(k) == k - 1
    mask = cv2.LUT(labels, np.resize(selected, 256).astype(np.uint8))
    if opening:
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * opening + 1, 2 * opening + 1))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk)
    if minimum_area:
        _, components, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        large = statistics[:, cv2.CC_STAT_AREA] >= minimum_area
        large[0] = False  # the background
        return large[components]
    return mask.astype(bool)


def apply_mask(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the RGB under the mask, black elsewhere (Farag et al. 2025, III.D and Fig. 5 d).

    Args:
        rgb: uint8 RGB array of shape (height, width, 3).
        mask: bool array of shape (height, width).

    Returns:
        uint8 RGB array of the shape of ``rgb``.
    """
    return cv2.copyTo(rgb, mask.astype(np.uint8))


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the Dice coefficient of two masks: 2 |A and B| / (|A| + |B|), 0..1.

    Both are bool (height, width). NaN if both are empty.
    """
    total = mask.sum() + truth.sum()
    return float(2 * (mask & truth).sum() / total) if total else np.nan
