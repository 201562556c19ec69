"""A folder of one's own: scores equal those of the same cells as C-NMC 2019; how time grows.

With LEUKKIT_TEST_DATA, the folder of the real cells, these are laid out as a folder of one's own,
and both are divided, fitted and tested. Then 1,000, 10,000 and 100,000 small files: loading decodes
and hashes every one. Each size is measured in a process of its own.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy as np

from leukkit import benchmark, datasets, metrics, results
from leukkit.benchmark import leaderboard

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


PROFILE = """
leave_out = ["patel2025", "mishra", "samhitha", "sultana", "*_rf", "*_xgboost", "*-scaled"]
links = "identical"
[networks.densenet201]
network = "mobilenet-0.25"
[runs.farag2025_densenet201_svm]
network = "mobilenet-0.25"
weights = "$LEUKKIT_WEIGHTS_DIR/mobilenet_2_5_224_tf_no_top.h5"
"""


def as_own(cells, folder):
    """Lay cells of C-NMC 2019 out by class, with links, and a table of patients and folds."""
    lines = ["file,label,patient,fold"]
    for cell in cells.itertuples():
        path = pathlib.Path(cell.path)
        label = path.parent.name
        link = folder / label / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
        lines.append(f"{label}/{link.name},{label},{cell.patient},{cell.fold}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def compare(cells, folder, recipe=""):
    """Run Farag et al.'s SVM on cells of C-NMC 2019 as such, and as a folder of one's own.

    Returns both tables of predictions, in one order and with the same names.
    """
    (folder / "svm.toml").write_text(PROFILE + recipe)
    for cell in cells.itertuples():
        link = folder / "cnmc-2019" / pathlib.Path(*pathlib.Path(cell.path).parts[-3:])
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(cell.path)
    as_own(cells, folder / "own")
    os.environ["LEUKKIT_DATA_DIR"] = str(folder)
    tables = []
    for data in ("cnmc-2019", f"{folder}/own"):
        numbers = benchmark.load("honest", str(folder / "svm.toml"), data, "farag2025:svm")
        (made,) = leaderboard.run(numbers, "subject", folder / "results")
        table = results.read_table(made).replace({"label": {"hem": "healthy", "all": "ALL"}})
        table["image_id"] = table["image_id"].map(lambda name: pathlib.Path(name).stem)
        table = table.rename(columns={"prob_hem": "prob_healthy", "prob_all": "prob_ALL"})
        tables.append(table.sort_values("image_id", ignore_index=True))
    return tables


def print_comparison(root):
    cells = datasets.load("cnmc-2019", root, links="identical")
    with tempfile.TemporaryDirectory() as made:
        published, own = compare(cells, pathlib.Path(made))
    columns = ["image_id", "label", "subject", "fold"]
    same = (published[columns] == own[columns]).all(axis=None)
    apart = (published["prob_ALL"] - own["prob_ALL"]).abs().max()
    print(f"{len(own):,} cells as C-NMC 2019 and as a folder: same folds {same}, {apart:.1e} apart")
    for name, table in (("C-NMC 2019", published), ("folder", own)):
        scored = metrics.scores(table)
        told = ", ".join(f"{key} {scored[key]:.4f}" for key in ("accuracy", "auc", "weighted_f1"))
        print(f"{name}: {table['subject'].nunique()} subjects, {told}", flush=True)


def main():
    if "LEUKKIT_TEST_DATA" in os.environ:
        print_comparison(pathlib.Path(os.environ["LEUKKIT_TEST_DATA"]) / "cnmc-2019-subset")
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
