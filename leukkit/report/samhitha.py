"""What the notebook of samhitha shows besides the tables that all papers have."""

import numpy as np
import pandas as pd

from leukkit.report.networks import compare
from leukkit.report.shuffling import (
    counts_of,
    one_decimal,
    orders,
    scores,
    scores_by_chance,
    with_range,
)

ONCE = "rescaled-once"  # the variant without the paper's division by 255


def compare_both(card, measured):
    """Put the proposed network as printed, and rescaled once, beside the printed cells.

    Args:
        card: The `papers.Card` of samhitha.
        measured: The frame of `networks.measure`.

    Returns:
        Frame of `networks.compare`, whose last rows hold the printed cells of the proposed network
        again, beside the run that is rescaled once; ``model`` then says so.
    """
    once = measured[measured["variant"] == ONCE].assign(variant="")
    again = compare(card, once)
    again = again[again["model"].isin(once["model"])]
    again = again.assign(model=again["model"] + ", rescaled once")
    return pd.concat([compare(card, measured), again], ignore_index=True)


def layers(network):
    """List the layers of a network.

    Args:
        network: A ``keras.Model``.

    Returns:
        Frame, one row per layer: ``kind``, ``output`` (its shape without the batch), ``parameters``
        and ``learns``, whether any of them is trained.
    """
    rows = {
        layer.name: {
            "kind": type(layer).__name__,
            "output": " x ".join(map(str, layer.output.shape[1:])),
            "parameters": f"{layer.count_params():,}",
            "learns": bool(layer.trainable_weights),
        }
        for layer in network.layers
    }
    return pd.DataFrame(rows).T.astype({"learns": bool}).rename_axis("layer")


def value_range(network, image):
    """Say which values reach an EfficientNet, and what is left of them at its end.

    Args:
        network: A network of `leukkit.models.build` whose backbone is an EfficientNet.
        image: uint8 RGB (side, side, 3).

    Returns:
        Series: the largest value after the paper's normalization and after the network's own
        rescaling, and the mean size of the values of the last feature map.
    """
    import keras

    rescaling = [one for one in network.layers if isinstance(one, keras.layers.Rescaling)]
    outputs = {
        "largest pixel value": network.get_layer("normalize").output,
        "after the network's own rescaling": rescaling[0].output,
        "last feature map, mean size": network.get_layer("features").output,
    }
    batch = np.asarray(image, dtype=np.float32)[None]
    values = keras.Model(network.input, list(outputs.values()))(batch, training=False)
    first, second, last = (keras.ops.convert_to_numpy(value) for value in values)
    found = (first.max(), second.max(), np.abs(last).mean())
    return pd.Series([f"{value:.2g}" for value in found], index=list(outputs))


def reread_table_four(card):
    """Recover the matrix behind each row of Table IV, and put chance beside its accuracy.

    The recalls of Table IV and the images of the testing set in Table I fix the matrix up to the
    rounding of the print.

    Args:
        card: The `papers.Card` of samhitha.

    Returns:
        Frame of text in percent, one row per network: the accuracy that Table IV implies, the mean
        and the range (95%) of the accuracy over all orders of the labels, the best accuracy that
        predictions with these totals can have, and the validation accuracy of Table II.
    """
    cells = card.cells().reindex(columns=["table", "model", "part", "label", "quantity", "value"])
    images = cells[(cells["table"] == "Table I") & (cells["part"] == "test")]
    images = images.set_index("label")["value"].astype(int)
    recalls = cells[(cells["table"] == "Table IV") & (cells["quantity"] == "recall")]
    validation = cells[(cells["table"] == "Table II") & (cells["part"] == "validation")]
    validation = validation.set_index("model")["value"]
    rows = {}
    for model, same in recalls.groupby("model", sort=False):
        counts = _implied(same.set_index("label")["value"] / 100, images)
        chance = scores_by_chance(counts)
        rows[model] = {
            "accuracy by Table IV": one_decimal(100 * scores(counts)["accuracy"]),
            "over all orders of the labels": with_range(*chance.loc["accuracy"]),
            "best possible with these totals": one_decimal(100 * orders(counts)["accuracy"].max()),
            "validation accuracy, Table II": f"{validation[model]:.2f}",
        }
    return pd.DataFrame(rows).T.rename_axis("network")


def printed_scores(card, model):
    """Return a row of Table IV as `score_twice` takes it: texts in percent."""
    cells = card.cells()
    cells = cells[(cells["table"] == "Table IV") & (cells["model"] == model)]
    return pd.Series({f"{row.quantity}, {row.label}": row.printed for row in cells.itertuples()})


def _implied(recalls, images):
    """Return the matrix that has these recalls (fractions) and images per class."""
    first, second = images.index
    right = {label: round(recalls[label] * images[label]) for label in images.index}
    return counts_of(
        [
            [right[first], images[first] - right[first]],
            [images[second] - right[second], right[second]],
        ],
        [first, second],
    )
