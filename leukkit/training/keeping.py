"""Keep a trained network with what is needed to use it on other images."""

import pandas as pd

from leukkit import embeddings, kept_models, outliers
from leukkit.writing import replace_when_done


def keep_network(folder, network, *, recipe, inputs, cells, fold, configuration, held_out):
    """Write ``model.keras``, ``predictor.json`` and ``predictor.npz`` into a fold's folder.

    Args:
        folder: The fold's folder.
        network: The whole trained network.
        recipe: Its `Recipe`.
        inputs: uint8 images or float32 feature maps, rows as in ``cells``.
        cells: The `cells` frame.
        fold: A `splits.Fold`.
        configuration: The fold's configuration, as `leukkit.results` digests it.
        held_out: Predictions of the validation part, or None if it has no images.
    """
    from leukkit import results
    from leukkit.training.network import weights_used

    with replace_when_done(folder / kept_models.NETWORK) as path:
        network.save(path)
    originals = fold.train
    if "copy" in cells:
        originals = originals[(cells["copy"].iloc[originals] == 0).to_numpy()]
    reference = outliers.draw(originals, configuration["seed"])
    watched = fold.validation
    facts = {
        "model": kept_models.NETWORK,
        "configuration_hash": results.digest(configuration),
        **{name: configuration[name] for name in ("paper", "protocol", "run", "dataset", "seed")},
        "classes": configuration["classes"],
        "image_size": recipe.image_size,
        "segmentation": None,
        **kept_models.image_facts(cells.iloc[reference], configuration["seed"]),
        "normalization": recipe.normalization,
        "backbone": recipe.network,
        "weights": recipe.weights,
        "weights_id": weights_used(recipe, configuration["seed"]),
    }
    labels = pd.Series(cells["label"].iloc[reference]).to_numpy(str)
    empty = embeddings.embed(network, inputs, reference[:1])[:0]
    kept_models.write(
        folder,
        facts,
        training=(embeddings.embed(network, inputs, reference), labels),
        validation=embeddings.embed(network, inputs, watched) if len(watched) else empty,
        held_out=kept_models.NOTHING_HELD_OUT if held_out is None else held_out,
    )
