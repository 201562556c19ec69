"""What the notebook of sultana shows besides the tables that all papers have.

How each network is trained, what it does to its pixels, and its curves. The printed matrices are in
`leukkit.report.sultana_matrices`, the ensemble is in `leukkit.report.dex`.
"""

import json
import zipfile

import pandas as pd

from leukkit import models, network_runs, plots, profiles, results
from leukkit.training.network import weights_used

VARIANTS = {"full-training": "in full", "frozen-features": "frozen", "ensemble": ""}
NORMALIZATIONS = {  # mode of leukkit.models.normalize -> in words
    "caffe": "blue, green, red; mean of ImageNet taken off",
    "tf": "scaled to -1 to 1",
    "torch": "mean and standard deviation of ImageNet",
    "none": "0 to 255 as they are; rescaled inside the network",
}
WITH_KERNELS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense")


def name_run(run):
    """Return a short name for figures, e.g. ``vgg19 (frozen)``; of a `Run` or a dict of its keys.

    The network alone where its variant goes without saying.
    """
    keys = run if isinstance(run, dict) else run.keys
    how = VARIANTS.get(keys["variant"], keys["variant"])
    return f"{keys['model']} ({how})" if how else keys["model"]


def list_runs(card, profile):
    """List how each network is trained: nothing that a profile cuts short is left unsaid.

    Returns:
        Frame of text, one row per run (`name_run`): side of the images, what is trained, epochs,
        batches (steps) per epoch, images per batch, learning rate, weights at the start, protocols.
    """
    rows = {}
    for run in network_runs.plan(card, profile):
        recipe, protocols = run.recipe, ", ".join(run.protocols)
        if recipe is None:
            text = f"nothing: the mean of {', '.join(profile['ensemble'])}"
            rows[name_run(run)] = {"trained": text, "protocols": protocols}
            continue
        trained = {phase.trainable for phase in recipe.phases}
        rows[name_run(run)] = {
            "image (px)": recipe.image_size,
            "trained": "last layers only" if trained == {"head"} else "all layers",
            "epochs": recipe.epochs,
            "steps per epoch": recipe.steps or "all images",
            "images per step": recipe.batch_size,
            "learning rate": f"{recipe.phases[0].learning_rate:g}",
            "weights at the start": weights_used(recipe, profile["seed"]),
            "protocols": protocols,
        }
    order = list(next(iter(rows.values())))
    frame = pd.DataFrame.from_dict(rows, orient="index")[order]
    return frame.convert_dtypes().astype("string").fillna("").rename_axis("run")


def read(card, profile_name, protocol, runs, table="predictions", results_dir=None):
    """Return one table of each of some runs that were made under a protocol.

    Returns:
        Dict of `name_run` to the pooled table of all folds.
    """
    return {
        name_run(run): results.read_table(
            network_runs.folder(card, profile_name, protocol, run, results_dir), table
        )
        for run in runs
        if protocol in run.protocols
    }


def draw_curves(histories):
    """Draw training curves of networks whose losses differ by orders of magnitude.

    As `plots.training_curves`, with the loss on a logarithmic axis and the names beside it.

    Returns:
        The Axes, an array (2,).
    """
    import matplotlib.pyplot as plt

    axes = plots.training_curves(
        histories, ax=plt.subplots(1, 2, figsize=(8.6, 3.1), layout="constrained")[1]
    )
    axes[1].set_yscale("log")
    axes[1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    last = max(history["epoch"].max() for history in histories.values())
    for panel in axes:
        panel.set_xlim(0.5, last + 0.5)
        if last == 1:  # around a single point the axis would count in tenths of an epoch
            panel.set_xticks([1])
    return axes


def networks_used(card, profile_name, results_dir=None):
    """Describe every trained network: preprocessing, parameters and layers beside Table 1.

    Args:
        card: The `papers.Card` of sultana.
        profile_name: The profile; its published protocol was run.
        results_dir: Folder of the results; None for `files.results_dir`.

    Returns:
        Frame of text, one row per network: the side of its input, what is done to the pixels
        (`models.BACKBONES`), the parameters in millions here (with the head for these classes at
        this size, moving statistics of batch normalization included) and as printed, and the
        layers with kernels (convolutions and dense layers) here, where a fold's network was kept,
        and as printed.
    """
    cells = card.cells()
    table_1 = cells[cells["table"] == "Table 1"].set_index(["model", "quantity"])["printed"]
    rows = {}
    for run in network_runs.plan(card, profiles.load(card, profile_name)):
        if run.recipe is None or run.model in rows:
            continue
        folder = network_runs.folder(card, profile_name, "published", run, results_dir) / "fold-0"
        mode = models.BACKBONES[run.model].normalization
        kept = sorted(folder.parent.parent.glob(f"*_{run.model}_*/fold-0/model.keras"))
        rows[run.model] = {
            "input (px)": run.recipe.image_size,
            "pixels": NORMALIZATIONS[mode],
            "parameters (M)": f"{results.read_record(folder)['parameters'] / 1e6:.1f}",
            "printed (M)": table_1.get((run.model, "parameters"), ""),
            "layers with kernels": count_kernel_layers(kept[0]) if kept else "",
            "layers, printed": table_1.get((run.model, "layers"), ""),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")


def count_kernel_layers(path):
    """Count the convolutional and dense layers of a saved network, without loading its weights.

    A separable convolution counts once. The projections of squeeze-and-excitation count too.
    """
    with zipfile.ZipFile(path) as file:
        network = json.loads(file.read("config.json"))
    return _count_kernels(network)


def _count_kernels(layer):
    inner = layer["config"].get("layers", []) if isinstance(layer["config"], dict) else []
    if inner:
        return sum(_count_kernels(one) for one in inner)
    return int(layer["class_name"] in WITH_KERNELS)
