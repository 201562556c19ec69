"""Reading and resizing the official BMPs, against keras.utils.image_dataset_from_directory.

The files are made here: 450x450, 24 bits, 608,454 bytes, a cell on black, as in C-NMC 2019.
"""

import os
import pathlib
import statistics
import tempfile

import cv2
import numpy as np

from benchmarks import seconds
from leukkit.datasets import decode

TARGET = 1.7
FILES, SIDE, SIZE, ROUNDS = 400, 450, 224, 7


def write_cells(folder):
    generator = np.random.default_rng(0)
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    cell = (rows**2 + columns**2 < 110**2)[..., None]  # the other 81% is black
    for number in range(FILES):
        texture = generator.integers(60, 220, (SIDE, SIDE, 3), dtype=np.uint8)
        path = folder / f"{number:03}.bmp"
        cv2.imwrite(str(path), texture * cell)
        assert path.stat().st_size == 608_454


def main():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_cells(folder)
        paths = sorted(folder.glob("*.bmp"))
        dataset = keras.utils.image_dataset_from_directory(
            folder, labels=None, image_size=(SIZE, SIZE), shuffle=False, verbose=0
        )

        def ours():
            return len(decode.read_all(paths, SIZE))

        def theirs():
            return sum(len(batch) for batch in dataset)

        times = {ours: [], theirs: []}
        for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets both
            for run in (ours, theirs):
                taken, read = seconds(run)
                assert read == FILES
                times[run].append(taken)
    mine, keras_ = (statistics.median(times[run]) for run in (ours, theirs))
    print(
        f"reading and resizing {FILES} official-size BMPs to {SIZE} | leukkit {FILES / mine:,.0f} "
        f"images/s | image_dataset_from_directory {FILES / keras_:,.0f} images/s | "
        f"{keras_ / mine:.1f}x | target {TARGET}x",
        flush=True,
    )
