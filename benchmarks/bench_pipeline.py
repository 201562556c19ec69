"""What the way from files to batches costs, against the same batches ready in memory.

The same network is fitted twice on the same augmented batches: once through `leukkit.images` and
`leukkit.training.batches`, once from arrays. After the first epoch the image files are deleted, so
every further one shows that none is read again.
"""

import functools
import itertools
import pathlib
import shutil
import statistics
import tempfile
import time

import numpy as np

from leukkit import datasets, images, papers, profiles, training
from leukkit.training import batches, fitting, network

IMAGE_SIZE = 224
# batch size, steps, rounds, at most this share of a step
NETWORKS = {"mobilenetv2": (16, 8, 3, 0.10), "vgg19": (8, 1, 3, 0.03)}


def main():
    ranges = profiles.load(papers.load("patel2025"), "paper")["training"]["augmentation"]
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
    model = network.build(recipe, 2, None, seed=0)
    network.compile_phase(model, recipe, recipe.phases[0], 1, 1000)
    targets = np.eye(2, dtype=np.float32)[(cells["label"] == "ALL").to_numpy(int)]
    positions, names = np.arange(len(cells)), cells["image_id"].to_numpy(object)
    fold = fitting.Images(pixels, targets, names, None)

    def stream(epoch):
        return functools.partial(
            batches.training_batches,
            pixels,
            targets,
            positions,
            names,
            batch_size,
            seed=0,
            epoch=epoch,
            ranges=ranges,
        )

    def through_pipeline(epoch):
        started = time.perf_counter()
        data = fitting.training_data(stream(epoch), fold, batch_size, steps)
        model.fit(data, shuffle=False, verbose=0)
        return time.perf_counter() - started

    def from_memory(ready):
        started = time.perf_counter()
        model.fit(*ready, batch_size=batch_size, shuffle=False, verbose=0)
        return time.perf_counter() - started

    shares = []
    for epoch in range(rounds + 1):
        started = time.perf_counter()
        made = list(itertools.islice(stream(epoch)(), steps))
        making = (time.perf_counter() - started) / steps
        image, target = (np.concatenate(part) for part in zip(*made, strict=True))
        ready = image.astype(np.float32), target
        # There and back, so that the machine's drift cancels; the first round traces the graph.
        pair = [through_pipeline(epoch), from_memory(ready), from_memory(ready)]
        pair.append(through_pipeline(epoch))
        shares.append((pair[0] + pair[3]) / (pair[1] + pair[2]) - 1)
    shares, step = shares[1:], (pair[1] + pair[2]) / 2 / steps
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


if __name__ == "__main__":
    main()
