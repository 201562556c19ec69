"""Peak memory of the paper's largest run: features and grid search at 16,000 x 1,920.

In a process of its own, with everything that sets the peak and not what only repeats it:

- features: 16,000 images of 224 pixels asked for, of which 600 are different (the cache computes
  equal images once), through DenseNet-201 with its own chunk and batch sizes;
- grid: one of the five folds, one gamma of five, two C of five (as many fits as run side by side),
  both kernels, and the last fit to all 16,000 images. The other steps of the grid come after
  these in the same memory.
"""

import multiprocessing
import pathlib
import sys
import tempfile

import numpy as np

from benchmarks import seconds
from benchmarks.bench_features import DISTORTION
from benchmarks.bench_svm_grid import made_up_features
from leukkit import augmentation, classifiers, datasets, features

TARGET = 8.0  # gigabytes
IMAGES, FEATURES = 16_000, 1_920
DIFFERENT = {"healthy": 300, "ALL": 300}


def peak():
    """Return the largest memory this process has had so far, in gigabytes (10^9 bytes)."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def measure(results):
    """Run both stages; put (seconds, peak so far) into ``results`` after each."""
    cells = augmentation.expand(datasets.load("sample-cells"), DIFFERENT)
    cells = cells.sample(IMAGES, replace=True, random_state=0)
    with tempfile.TemporaryDirectory() as cache:
        taken, extracted = seconds(
            lambda: features.extract(cells, "densenet201", 224, None, cache, distortion=DISTORTION)
        )
    assert extracted.shape == (IMAGES, FEATURES)
    results.put((taken, peak()))

    made_up, labels = made_up_features(IMAGES, FEATURES)
    positions = np.arange(IMAGES)
    fold = (positions[positions % 5 > 0], positions[positions % 5 == 0])
    taken, _ = seconds(
        lambda: classifiers.grid_search_svm(made_up, labels, (1, 10), (0.01,), folds=[fold])
    )
    results.put((taken, peak()))


def main():
    if sys.platform != "linux":
        print("peak memory: not measured, it is read from Linux's /proc")
        return
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=measure, args=(results,))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit("the measured process failed")
    (feature_seconds, feature_peak), (grid_seconds, grid_peak) = results.get(), results.get()
    print(
        f"peak memory at {IMAGES:,} x {FEATURES:,}: features {feature_peak:.1f} GB "
        f"({feature_seconds:.0f} s), features and grid {grid_peak:.1f} GB ({grid_seconds:.0f} s "
        f"for 1 of 5 folds, 1 of 5 gamma, 2 of 5 C, both kernels, and the last fit), "
        f"target under {TARGET:.0f} GB"
    )
