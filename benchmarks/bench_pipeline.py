"""What the way from files to batches costs, against the same batches ready in memory.

The same network is fitted twice on the same augmented batches: once through `leukkit.images` and
`leukkit.training.batches`, once from arrays. After the first epoch the image files are deleted, so
every further one shows that none is read again.
"""

import pathlib
import shutil
import statistics
import tempfile

import numpy as np

from benchmarks import seconds
from leukkit import datasets, images, papers, training
from leukkit.splits import Fold
from leukkit.training import batches, network

IMAGE_SIZE = 224
# batch size, steps, rounds, at most this share of a step
NETWORKS = {"mobilenetv2": (16, 8, 3, 0.10), "vgg19": (8, 1, 3, 0.03)}


def main():
    ranges = papers.load("patel2025").recipe("vgg19", "paper").augmentation
    with tempfile.TemporaryDirectory() as folder:
        cells = _copy(datasets.load("sample-cells").head(128), pathlib.Path(folder) / "images")
        preparation = images.Preparation(IMAGE_SIZE)
        pixels = images.load(cells, preparation, cache_dir=pathlib.Path(folder) / "cache")
        shutil.rmtree(pathlib.Path(folder) / "images")
        for name, (batch_size, steps, rounds, limit) in NETWORKS.items():
            _compare(name, cells, pixels, ranges, batch_size, steps, rounds, limit)


def _compare(name, cells, pixels, ranges, batch_size, steps, rounds, limit):
    recipe = training.Recipe(
        network=name,
        image_size=IMAGE_SIZE,
        phases=[{"epochs": 1, "learning_rate": 1e-5}],
        batch_size=batch_size,
        augmentation=ranges,
        deterministic=False,
    )
    model = network.compiled(recipe, 2, None, 0, training.strategy())
    model.begin_phase("all", 1e-5)
    targets = np.eye(2, dtype=np.float32)[(cells["label"] == "ALL").to_numpy(int)]
    fold = Fold(np.arange(len(cells)), np.array([]), np.array([]))
    shown = batches.Images(pixels, targets, cells["image_id"].to_numpy(object), fold)

    def fit(made):
        return seconds(lambda: [model.step(*batch) for batch in made])[0]

    shares = []
    for epoch in range(rounds + 1):
        make = batches.training_batch(shown, recipe, 0, epoch)
        taken, made = seconds(lambda make=make: [make(number) for number in range(steps)])
        # There and back, so that the machine's drift cancels; the first round traces the graph.
        through = [fit(batches.ahead(make, steps))]
        memory = [fit(made) for _ in range(2)]
        through.append(fit(batches.ahead(make, steps)))
        shares.append(sum(through) / sum(memory) - 1)
    shares, step, making = shares[1:], sum(memory) / 2 / steps, taken / steps
    print(
        f"{name}, {IMAGE_SIZE} px, batches of {batch_size}: {step:.2f} s per step from memory; the "
        f"pipeline adds {100 * statistics.median(shares):.1f}% (rounds: "
        f"{', '.join(f'{100 * share:.1f}' for share in shares)}; at most {100 * limit:.0f}%). "
        f"Making a batch takes {1000 * making:.0f} ms, {100 * making / step:.1f}% of a step, if "
        "nothing of it overlapped. Image files deleted before: none was read"
    )


def _copy(cells, folder):
    """Copy the images of some cells, so that they can be deleted."""
    folder.mkdir()
    cells = cells.reset_index(drop=True)
    cells["path"] = [
        shutil.copy(path, folder / f"{number}{pathlib.Path(path).suffix}")
        for number, path in enumerate(cells["path"])
    ]
    return cells
