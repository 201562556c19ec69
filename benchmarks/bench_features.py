"""The feature stage of notebook 03 on the built-in sample: a second time against the first.

TensorFlow is imported before the clock starts; the first run would be slower with its import.
"""

import tempfile

import numpy as np

from benchmarks import seconds
from leukkit import augmentation, datasets, features

TARGET = 20
BACKBONE, IMAGE_SIZE, COUNTS = "densenet201", 64, {"healthy": 320, "ALL": 320}
DISTORTION = {"angles": [0, 45], "mirror": True, "scale": 0.2, "light": [0.2, 1.0]}


def main():
    import keras  # noqa: F401

    cells = augmentation.expand(datasets.load("sample-cells"), COUNTS)
    with tempfile.TemporaryDirectory() as cache:

        def extract():
            return features.extract(cells, BACKBONE, IMAGE_SIZE, None, cache, distortion=DISTORTION)

        first, computed = seconds(extract)
        second, found = seconds(extract)
    assert np.array_equal(computed, found)
    print(
        f"feature stage, {len(cells)} images of {IMAGE_SIZE} pixels, {BACKBONE}: second run "
        f"{second:.3f} s, first run {first:.1f} s, ratio {first / second:.0f}x, "
        f"target {TARGET}x"
    )
