"""What stands on a backbone: from its last feature map to the values that enter the last layer.

A head is a function from the feature map (n, h, w, channels) to one vector per image (n, values).
``models.build`` takes those below by name, and any other function as it is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def pooled(features: "keras.KerasTensor") -> "keras.KerasTensor":
    """Global average pooling: for networks whose heads the papers do not describe further."""
    from keras import layers

    return layers.GlobalAveragePooling2D(name="global_average")(features)


def vgg_dense(features: "keras.KerasTensor") -> "keras.KerasTensor":
    """VGG's own two hidden layers of 4,096 (Simonyan & Zisserman 2015, Table 1).

    Patel et al. 2025 keep them, and replace the layer that follows (Transfer Learning and
    Fine-Tuning Strategy).
    """
    from keras import layers

    values = layers.Flatten(name="flatten")(features)
    for name in ("fc1", "fc2"):
        values = layers.Dense(4096, activation="relu", name=name)(values)
        values = layers.Dropout(0.5, name=f"{name}_dropout")(values)
    return values


def convolutions(features: "keras.KerasTensor") -> "keras.KerasTensor":
    """Three convolutions with pooling, then two dense layers of 512 (Mishra et al., 4.3).

    All with "same" padding. The paper does not state the numbers of filters: the card's choices.
    """
    from keras import layers

    values = features
    for number, filters in enumerate((256, 128, 64), start=1):
        values = layers.Conv2D(
            filters, 3, padding="same", activation="relu", name=f"head_conv{number}"
        )(values)
        values = layers.MaxPooling2D(2, padding="same", name=f"head_pool{number}")(values)
    values = layers.Flatten(name="flatten")(values)
    for number, rate in enumerate((0.1, 0.2), start=1):
        values = layers.Dense(512, activation="relu", name=f"dense{number}")(values)
        values = layers.BatchNormalization(name=f"dense{number}_bn")(values)
        values = layers.Dropout(rate, name=f"dense{number}_dropout")(values)
    return values


def attention(features: "keras.KerasTensor") -> "keras.KerasTensor":
    """Self-attention over all positions, then two dense layers (Samhitha et al., IV.F).

    The attended map takes the place of the feature map: IV.F.1 and derivation 7 name no residual
    sum and no position code. Batch normalization follows each dense layer, before its LeakyReLU.
    The paper states neither the number nor the size of the attention heads: the card's choices.
    """
    from keras import layers

    height, width, channels = features.shape[1:]
    positions = layers.Reshape((height * width, channels), name="positions")(features)
    attend = layers.MultiHeadAttention(num_heads=4, key_dim=64, name="attention")
    values = layers.GlobalAveragePooling1D(name="global_average")(attend(positions, positions))
    for number, (units, rate) in enumerate(((128, 0.5), (256, 0.3)), start=1):
        values = layers.Dense(units, name=f"dense{number}")(values)
        values = layers.BatchNormalization(name=f"dense{number}_bn")(values)
        values = layers.LeakyReLU(negative_slope=0.1, name=f"dense{number}_leaky_relu")(values)
        values = layers.Dropout(rate, name=f"dense{number}_dropout")(values)
    return values


Head = Callable[["keras.KerasTensor"], "keras.KerasTensor"]
HEADS: dict[str, Head] = {
    head.__name__: head for head in (pooled, vgg_dense, convolutions, attention)
}


def find_head(head: str | Head | None) -> Head:
    """Return the function that ``head`` names; None is ``pooled``, a function is itself.

    Raises:
        ValueError: No head has this name; the message lists those there are.
    """
    if callable(head):
        return head
    name = "pooled" if head is None else head
    if name not in HEADS:
        raise ValueError(
            f"unknown head {head!r}; choose one of: {', '.join(HEADS)}, or give a function from "
            "the feature map (n, h, w, channels) to one vector per image (n, values)"
        )
    return HEADS[name]


def build_head(
    head: str | Head | None, feature_shape: tuple[int, int, int], classes: int
) -> "keras.Model":
    """Build the network that follows the feature map.

    Args:
        head: As ``models.build`` takes it.
        feature_shape: (h, w, channels) of the feature map.
        classes: Number of classes.

    Returns:
        A network named "head" from (n, h, w, channels) to float32 probabilities (n, classes),
        float32 also under mixed precision; its last layer is "predictions".

    Raises:
        ValueError: Unknown name, or a function that does not give one vector per image.
    """
    import keras

    function = find_head(head)
    features = keras.Input(feature_shape, name="feature_map")
    values = function(features)
    if not isinstance(values, keras.KerasTensor) or len(values.shape) != 2:
        raise ValueError(
            f"the head {getattr(function, '__name__', function)} gives {values}; expected a Keras "
            "tensor with one vector per image (n, values): end it with layers.Flatten() or "
            "layers.GlobalAveragePooling2D()"
        )
    probabilities = keras.layers.Dense(
        classes, activation="softmax", dtype="float32", name="predictions"
    )(values)
    return keras.Model(features, probabilities, name="head")
