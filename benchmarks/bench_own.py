"""A folder of one's own with 1,000, 10,000 and 100,000 small files: time and memory, how they grow.

Loading decodes and hashes every file. Each size is measured in a process of its own.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy as np

SIZES = (1_000, 10_000, 100_000)
SIDE, CELLS_OF_A_PATIENT = 64, 50
PART = """
import json, resource, sys, time
from leukkit import check, datasets, splits
times, started = {}, time.perf_counter()
def lap(name):
    global started
    times[name], started = time.perf_counter() - started, time.perf_counter()
cells = datasets.load(sys.argv[1]); lap("load")
splits.divide(cells, {"split": "subject", "folds": 5}); lap("split")
check.run(cells); lap("check")
times["GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps(times))
"""


def write(folder, number):
    """Write clouds of random color, and a table of patients."""
    random = np.random.default_rng(0)
    lines = ["file,label,patient"]
    for image in range(number):
        patient = image // CELLS_OF_A_PATIENT
        label = ("normal", "blast")[patient % 2]
        path = folder / label / f"{image}.png"
        path.parent.mkdir(exist_ok=True)
        clouds = random.integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(clouds, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
        lines.append(f"{label}/{image}.png,{label},P{patient}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def main():
    for number in SIZES:
        with tempfile.TemporaryDirectory() as made:
            write(pathlib.Path(made), number)
            command = [sys.executable, "-c", PART, made]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            times = json.loads(done.stdout.splitlines()[-1])
        memory = times.pop("GB")
        told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
        print(f"{number:,} images of {SIDE} px: {told}; memory {memory:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
