"""What the notebook of mishra shows besides the tables that all papers have.

Its Table 2 implies a leak that can be computed without an image, its Tables 2 to 4 nearly give the
matrix of Figure 6, and its data set names no patient, so that blocks of neighbors must stand in.
"""

import itertools
import math

import numpy as np
import pandas as pd

from leukkit import metrics, protocols, splits
from leukkit.datasets.official import FACTS

DATASET = "all-2021"


def implied_leakage(card):
    """Compute how many scored images have an original or copy of theirs in training (Table 2).

    Augmentation spreads the copies evenly over the originals, then images are drawn for the
    scored part, as the text of 3.2 says. A scored image is without a relative in training only if
    all other images made from the same original were drawn for the scored part, too.

    Args:
        card: The `papers.Card` of mishra.

    Returns:
        Frame, one row per class and ``all``: ``originals`` (as the data set is published),
        ``after augmentation`` and ``scored`` (Table 2), ``images per original``, ``scored
        share`` (0..1), and ``expected leak`` (0..1): the share of scored images with a relative in
        training.
    """
    originals = {count["label"]: count["images"] for count in FACTS[DATASET]["counts"]}
    totals, scored = _table_2(card, "total"), _table_2(card, "validation")
    rows = {}
    for name, count in originals.items():
        leaked = expected_leak(count, totals[name], scored[name])
        rows[name] = (count, totals[name], scored[name], leaked * scored[name])
    rows["all"] = tuple(np.sum(list(rows.values()), axis=0))
    columns = ["originals", "after augmentation", "scored", "leaked"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    counts = frame[columns[:3]].astype(int)
    return counts.assign(
        **{
            "images per original": frame["after augmentation"] / frame["originals"],
            "scored share": frame["scored"] / frame["after augmentation"],
            "expected leak": frame["leaked"] / frame["scored"],
        }
    )


def expected_leak(originals, total, scored):
    """Compute the expected share of scored images with a relative in training.

    Args:
        originals: Number of originals of a class.
        total: Its images after augmentation, spread evenly over the originals.
        scored: How many of these are drawn for the scored part, each equally likely.

    Returns:
        The share, 0..1. A scored image has none if all others of its original are drawn, too.
    """
    each, more = divmod(total, originals)
    families = {each: originals - more, each + 1: more}  # images of one original -> how many such
    alone = sum(
        size * count * math.comb(total - size, scored - size) / math.comb(total - 1, scored - 1)
        for size, count in families.items()
        if size <= scored
    )
    return 1 - alone / total


def possible_matrices(card):
    """List the confusion matrices that agree with all that is printed of the scored images.

    Figure 6 is a picture. But Table 2 says how many images of each class were scored, Table 3 how
    many of them were right, and Table 4 gives precision, recall and F1 of each class, rounded.

    Args:
        card: The `papers.Card` of mishra.

    Returns:
        List of int arrays (classes, classes), rows actual, in the order of the card's classes.
        Empty if no matrix agrees.
    """
    supports = _table_2(card, "validation")
    total = sum(supports.values())
    printed = card.cells()
    report = printed[(printed["table"] == "Table 4") & printed["label"].notna()]
    report = report.set_index(["label", "quantity"])["printed"].to_dict()
    accuracy = printed[(printed["table"] == "Table 3") & (printed["part"] == "validation")]
    accuracy = accuracy.set_index("quantity")["printed"]["accuracy"]
    decimals = len(accuracy.partition(".")[2])
    pairs = list(itertools.permutations(range(len(supports)), 2))
    found = []
    for wrong in range(total + 1):
        if f"{1 - wrong / total:.{decimals}f}" != accuracy:
            continue
        for mistakes in itertools.combinations_with_replacement(pairs, wrong):
            matrix = np.diag(list(supports.values()))
            for actual, predicted in mistakes:
                matrix[actual, actual] -= 1
                matrix[actual, predicted] += 1
            if _report(matrix, supports) == report:
                found.append(matrix)
    return found


def number_blocks(cells, images_per_block):
    """Give drawn cells what the real data set has instead of patients: an order, cut into blocks.

    Args:
        cells: The `cells` frame; images that belong together have neighboring ids.
        images_per_block: As many as a subject has on average.

    Returns:
        A copy with ``sequence`` (the class), ``number`` (from 1 within the class) and, as
        ``subject``, the block ``proxy:<class>-<n>``. Cells that have an order already are
        returned as they are: their subject is the block.
    """
    if "number" in cells:
        return cells
    number = cells.groupby("label", observed=True)["image_id"].rank(method="first").astype(int)
    block = ((number - 1) // images_per_block + 1).astype(str)
    label = cells["label"].astype(str)
    blocks = cells.assign(sequence=label, number=number, subject="proxy:" + label + "-" + block)
    blocks.attrs = dict(cells.attrs)
    return blocks


def compare_proxies(cells, images_per_block, embargo, folds=5, seed=0):
    """Measure what a split by blocks of neighbors leaks, where the subjects are known.

    Args:
        cells: The `cells` frame, originals only.
        images_per_block: See `number_blocks`; not used where the cells have an order.
        embargo: Neighbors left out on each side of a test image.
        folds: Number of folds.
        seed: Draws the splits.

    Returns:
        Frame, one row per split (by single image, by block, by block with the embargo, and by
        subject where subjects are known): ``subject``, ``source image`` and ``block``, the shares
        (0..1) of test images with another one of that in training, and ``training images``, the
        mean over the folds.
    """
    blocks = number_blocks(cells, images_per_block)
    divided = {
        "single images": splits.stratified_kfold(blocks, folds, seed=seed),
        "blocks": splits.subject_kfold(blocks, folds, seed=seed),
        f"blocks, {embargo} to either side left out": splits.subject_kfold(
            blocks, folds, seed=seed, embargo=embargo
        ),
    }
    if cells["patient"].notna().all():
        divided["subjects"] = splits.subject_kfold(cells, folds, seed=seed)
    shares = splits.leakage_shares(
        {name: protocols.Protocol(name, blocks, parts, []) for name, parts in divided.items()}
    )
    named = {"patient": "subject", "source_image": "source image", "subject": "block"}
    training = {name: np.mean([len(f.train) for f in parts]) for name, parts in divided.items()}
    shares = shares.rename(columns=named)[list(named.values())]
    return shares.rename_axis("split by").assign(**{"training images": pd.Series(training)})


def count_parameters(network):
    """Count the parameters of a built network and of its parts.

    Args:
        network: A network of `leukkit.models.build`, its layers frozen or not.

    Returns:
        Frame, rows ``backbone``, ``head`` and ``whole``: ``layers`` (those with parameters),
        ``parameters``, and of these ``trained`` and ``not trained`` (frozen, and the moving
        statistics of batch normalization).
    """
    head = network.get_layer("head")
    backbone = [layer for layer in network.layers if layer is not head]
    parts = {"backbone": backbone, "head": head.layers, "whole": [*backbone, *head.layers]}
    rows = {}
    for name, layers in parts.items():
        trained = sum(math.prod(v.shape) for layer in layers for v in layer.trainable_variables)
        total = sum(layer.count_params() for layer in layers)
        rows[name] = {
            "layers": sum(layer.count_params() > 0 for layer in layers),
            "parameters": total,
            "trained": trained,
            "not trained": total - trained,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("part")


def _table_2(card, part):
    """Return the printed images per class of a part after augmentation."""
    cells = card.cells()
    rows = cells[(cells["table"] == "Table 2") & (cells["part"] == part)]
    return {label: int(value) for label, value in zip(rows["label"], rows["value"], strict=True)}


def _report(matrix, supports):
    """Return precision, recall and F1 of each class as Table 4 prints them."""
    values = metrics.class_scores(matrix)
    return {
        (label, quantity): f"{values[quantity][position]:.2f}"
        for quantity in ("precision", "recall", "f1")
        for position, label in enumerate(supports)
    }
