"""Right and wrong cells of each class, and where a network looked: ready for a figure."""

from typing import NamedTuple

import numpy as np

from leukkit import explain, models, network_runs, preprocessing, profiles, results


class Explained(NamedTuple):
    """Cells and their Grad-CAM maps, as `plots.grad_cam_grid` takes them.

    Attributes:
        images: uint8 RGB (n, side, side, 3), what the network saw.
        maps: float32 (n, side, side), 0..1, for the predicted class.
        titles: One for each: the actual class; what was predicted, how surely.
    """

    images: np.ndarray
    maps: np.ndarray
    titles: list


def explain_run(card, profile_name, protocol, this, per_kind=1, fold=0, results_dir=None):
    """Explain test cells of a fold whose model was kept: of each class right and wrong ones.

    Args:
        card: A `papers.Card`.
        profile_name: The profile of the results.
        protocol: The protocol.
        this: A `network_runs.Run` that is finished.
        per_kind: How many right and how many wrong cells of each class, at most; those the network
            is surest of. A class without wrong cells shows none.
        fold: The fold; one of the profile's ``models_kept``.
        results_dir: Folder of the results; None for `locations.results_dir`.

    Returns:
        An `Explained`.
    """
    profile = profiles.load(card, profile_name)
    folder = network_runs.folder(card, profile_name, protocol, this, results_dir) / f"fold-{fold}"
    divided = network_runs.divide(profile, this.dataset, protocol)
    classes = divided.cells.attrs["classes"]
    chosen = explain.examples(results.read_fold(folder), classes, per_kind)
    cells = divided.cells.set_index("image_id", drop=False).loc[chosen["image_id"]]
    preparation = preprocessing.Preparation(
        this.recipe.image_size,
        seed=profile["seed"],
        augmentation=profile["preparation"].get("augmentation"),
    )
    images = preprocessing.prepare(cells, preparation)
    maps = explain.grad_cam(models.load(folder / "model.keras"), images)
    titles = [
        f"{row.label}, right\n{row.confidence:.0%}"
        if row.correct
        else f"{row.label}, taken for\n{row.predicted}, {row.confidence:.0%}"
        for row in chosen.itertuples()
    ]
    return Explained(images, maps, titles)
