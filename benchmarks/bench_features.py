"""The feature stage of notebook 03 on the built-in sample: a second time against the first.

TensorFlow is imported before the clock starts; the first run would be slower with its import.
"""

import tempfile
import time

import numpy as np

from leukkit import augmentation, datasets, features

TARGET = 20
BACKBONE, IMAGE_SIZE, COUNTS = "densenet201", 64, {"healthy": 320, "ALL": 320}
DISTORTION = {"angles": [0, 45], "mirror": True, "scale": 0.2, "light": [0.2, 1.0]}


def main():
    import keras  # noqa: F401

    cells = augmentation.expand(datasets.load("sample-cells"), COUNTS)
    seconds, found = [], []
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(2):
            started = time.perf_counter()
            found.append(
                features.extract(cells, BACKBONE, IMAGE_SIZE, None, cache, distortion=DISTORTION)
            )
            seconds.append(time.perf_counter() - started)
    assert np.array_equal(*found)
    print(
        f"feature stage, {len(cells)} images of {IMAGE_SIZE} pixels, {BACKBONE}: second run "
        f"{seconds[1]:.3f} s, first run {seconds[0]:.1f} s, ratio {seconds[0] / seconds[1]:.0f}x, "
        f"target {TARGET}x"
    )


if __name__ == "__main__":
    main()
