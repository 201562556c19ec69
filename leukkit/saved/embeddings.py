"""What a network makes of an image before its head decides: the mean of its last feature map."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BATCH = 32  # images at once


def with_embeddings(network: Any) -> Any:
    """Return a network that gives the embedding beside the class probabilities, in one pass.

    Args:
        network: A network of `leukkit.models.build`: a layer "features" and a nested model "head";
            or one with such networks nested in it, the mean of whose probabilities is its output.

    Returns:
        A ``keras.Model`` from the network's images to float32 embeddings (n, features), the global
        average of the feature map (of each member, one after the other), and its probabilities
        (n, classes).

    Raises:
        ValueError: The network is not built so.
    """
    import keras

    image = keras.Input(network.input_shape[1:], name="image")
    vectors, answers = [], []
    for member in members(network):
        to_features = keras.Model(member.input, member.get_layer("features").output)
        features = to_features(image)
        vectors.append(keras.layers.GlobalAveragePooling2D(dtype="float32")(features))
        answers.append(member.get_layer("head")(features))
    if len(vectors) > 1:
        vectors = [keras.layers.Concatenate(dtype="float32")(vectors)]
        answers = [keras.layers.Average(dtype="float32")(answers)]
    return keras.Model(image, [*vectors, *answers])


def members(network: Any) -> list:
    """Return the network itself in a list, or the networks nested in it if it is an ensemble.

    Raises:
        ValueError: Neither has layers "features" and "head".
    """
    import keras

    def has_features(one):
        return {"features", "head"} <= {layer.name for layer in one.layers}

    if has_features(network):
        return [network]
    nested = [one for one in network.layers if isinstance(one, keras.Model) and has_features(one)]
    if not nested:
        raise ValueError(
            f"model {network.name!r} has no layers 'features' and 'head', nor nested models that "
            "have; expected a network of leukkit.models.build"
        )
    return nested


def embed(network: Any, inputs: Any, positions: ArrayLike) -> np.ndarray:
    """Return the embeddings of some images, as `with_embeddings` gives them.

    Args:
        network: As there; not used where ``inputs`` are feature maps.
        inputs: uint8 images (n, side, side, 3), or float32 feature maps (n, height, width,
            channels) of its frozen backbone.
        positions: Of the images wanted.

    Returns:
        float32 (positions, features).
    """
    positions = np.asarray(positions)
    starts = range(0, len(positions), BATCH)
    chosen = [inputs[positions[start : start + BATCH]] for start in starts]
    if inputs.dtype != np.uint8:
        return np.concatenate([np.asarray(maps).mean(axis=(1, 2)) for maps in chosen])
    from keras import ops

    # One by one, not compiled: few images, and compiling a deep network takes longer.
    model = with_embeddings(network)
    return np.concatenate(
        [
            ops.convert_to_numpy(model(images.astype(np.float32), training=False)[0])
            for images in chosen
        ]
    )
