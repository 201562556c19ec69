"""Right and wrong cells of each class, and where a network looked: ready for a figure."""

from typing import NamedTuple

import numpy as np

from leukkit import explain, images, models, network_runs, profiles, results


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
        results_dir: Folder of the results; None for `files.results_dir`.

    Returns:
        An `Explained`.
    """
    folder = network_runs.folder(card, profile_name, protocol, this, results_dir) / f"fold-{fold}"
    network = models.load(folder / "model.keras")
    profile = profiles.load(card, profile_name)
    return explain_network(network, folder, profile, protocol, this.dataset, per_kind)


def explain_network(network, folder, profile, protocol, dataset, per_kind=1):
    """Explain test cells of a fold by a network that is at hand: see `explain_run`.

    Args:
        network: A ``keras.Model`` as `leukkit.explain.grad_cam` takes it.
        folder: The folder of the fold that it predicted.
        profile: The profile's numbers.
        protocol: The protocol.
        dataset: The paper's name of the data set.
        per_kind: As `explain_run`.
    """
    cells = network_runs.divide(profile, dataset, protocol).cells
    chosen = explain.examples(results.read_fold(folder), cells.attrs["classes"], per_kind)
    preparation = images.Preparation(
        network.input_shape[1],
        seed=profile["seed"],
        distortion=profile["preparation"].get("augmentation"),
    )
    shown = cells.set_index("image_id", drop=False).loc[chosen["image_id"]]
    pixels = images.prepare(shown, preparation)
    titles = [
        f"{row.label}, right\n{row.confidence:.0%}"
        if row.correct
        else f"{row.label}, taken for\n{row.predicted}, {row.confidence:.0%}"
        for row in chosen.itertuples()
    ]
    return Explained(pixels, explain.grad_cam(network, pixels), titles)
