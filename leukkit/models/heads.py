"""What stands on a backbone: from its last feature map to class probabilities."""

import keras
from keras import layers

ATTENTION_HEADS = 4  # neither number is stated by samhitha: its card's choices
ATTENTION_KEY_SIZE = 64


def build_head(kind, feature_shape, classes):
    """Build the network that follows the feature map.

    Args:
        kind: A name in ``HEADS``.
        feature_shape: (h, w, channels) of the feature map.
        classes: Number of classes.

    Returns:
        A ``keras.Model`` named "head" from (n, h, w, channels) to float32 probabilities
        (n, classes), float32 also under mixed precision; its last layer is "predictions".
    """
    features = keras.Input(feature_shape, name="feature_map")
    values = HEADS[kind](features)
    probabilities = layers.Dense(
        classes, activation="softmax", dtype="float32", name="predictions"
    )(values)
    return keras.Model(features, probabilities, name="head")


def _pooled(features):
    """Global average pooling: the comparators, whose heads the papers do not describe further."""
    return layers.GlobalAveragePooling2D(name="global_average")(features)


def _vgg19(features):
    """VGG-19's own two hidden layers (Simonyan & Zisserman 2015, Table 1).

    patel2025 replaces what follows them (Transfer Learning and Fine-Tuning Strategy).
    """
    values = layers.Flatten(name="flatten")(features)
    for name in ("fc1", "fc2"):
        values = layers.Dense(4096, activation="relu", name=name)(values)
        values = layers.Dropout(0.5, name=f"{name}_dropout")(values)
    return values


def _convolutions(features):
    """Custom layers of mishra: three convolutions with pooling, two dense layers of 512.

    All with "same" padding. The numbers of filters are not stated: the card's choices.
    """
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


def _attention(features):
    """Classifier of samhitha (IV.F): self-attention over the positions, then two dense layers.

    The attended map takes the place of the feature map: IV.F.1 and derivation 7 name no residual
    sum and no position code. Batch normalization follows each dense layer, before its LeakyReLU.
    """
    height, width, channels = features.shape[1:]
    positions = layers.Reshape((height * width, channels), name="positions")(features)
    attention = layers.MultiHeadAttention(ATTENTION_HEADS, ATTENTION_KEY_SIZE, name="attention")
    values = attention(positions, positions)
    values = layers.GlobalAveragePooling1D(name="global_average")(values)
    for number, (units, rate) in enumerate(((256, 0.5), (128, 0.3)), start=1):
        values = layers.Dense(units, name=f"dense{number}")(values)
        values = layers.BatchNormalization(name=f"dense{number}_bn")(values)
        values = layers.LeakyReLU(negative_slope=0.1, name=f"dense{number}_leaky_relu")(values)
        values = layers.Dropout(rate, name=f"dense{number}_dropout")(values)
    return values


HEADS = {
    "pooled": _pooled,
    "vgg19": _vgg19,
    "convolutions": _convolutions,
    "attention": _attention,
}
