"""Segmentation of a 257x257 image, LAB to mask, against scikit-learn's KMeans(3, n_init=10).

Both with one thread: on a busy machine KMeans is many times slower with several than with one.
"""

import statistics

import cv2
import numpy as np

from benchmarks import seconds
from leukkit import datasets, images, segmentation

TARGET = 100
SIDE, K, THRESHOLD, IMAGES = 257, 3, 141, 10


def objective(channel, centers, labels):
    return ((channel - centers[labels]) ** 2).sum()


def main():
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    ratios, mine, theirs, excess = [], [], [], []
    for path in datasets.load("sample-idb")["path"].iloc[:IMAGES]:
        lab = segmentation.rgb_to_lab(images.resize(images.read(path), SIDE))

        def ours(lab=lab):
            centers, labels = segmentation.kmeans_channel(lab[..., 1], K)
            chosen = np.resize(centers > THRESHOLD, 256).astype(np.uint8)
            return cv2.LUT(labels, chosen).astype(bool)

        def scikit_learn(lab=lab):
            model = KMeans(K, n_init=10, random_state=0).fit(lab[..., 1].reshape(-1, 1))
            above = model.cluster_centers_[:, 0] > THRESHOLD
            return model, above[model.labels_].reshape(SIDE, SIDE)

        fast, mask = seconds(ours, 50)
        with threadpool_limits(1):
            slow, (model, their_mask) = seconds(scikit_learn, 5)
        assert np.mean(mask != their_mask) < 0.01
        channel = lab[..., 1].astype(float)
        found = objective(channel, *segmentation.kmeans_channel(lab[..., 1], K))
        reached = objective(
            channel, model.cluster_centers_[:, 0], model.labels_.reshape(SIDE, SIDE)
        )
        ratios.append(slow / fast)
        mine.append(fast)
        theirs.append(slow)
        excess.append(found / reached - 1)
    print(
        f"segmentation of a {SIDE}x{SIDE} image, LAB to mask | leukkit "
        f"{1000 * statistics.median(mine):.2f} ms | scikit-learn KMeans({K}, n_init=10) "
        f"{1000 * statistics.median(theirs):.1f} ms | {statistics.median(ratios):.0f}x | target "
        f"{TARGET}x | our objective over theirs, minus 1: {min(excess):.1e} to {max(excess):.1e}",
        flush=True,
    )
