"""GoogLeNet (Szegedy et al. 2015, Table 1), one of patel2025's comparators.

In the form in which trained weights can be had outside of MATLAB, torchvision's: batch
normalization after every convolution in place of local response normalization, and, as there, the
branch that the paper gives 5 x 5 filters has 3 x 3 ones. Without the auxiliary classifiers, which
only help training from scratch. Layers are named as in torchvision. 6,624,904 trainable parameters
with a 1,000-class head.
"""

from leukkit.models.torch_layers import batch_normalize, convolve, max_pool_rounding_up, relu

NORMALIZATION = "tf"  # RGB in -1..1: torchvision's weights come from TensorFlow
EPSILON = 1e-3

# Table 1 of the paper: filters of the four branches, "reduce" before the convolution it feeds.
#         1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
INCEPTIONS = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
POOLS = {"inception3b": ("maxpool3", 3), "inception4e": ("maxpool4", 2)}  # after which, how wide
BRANCH_CONVOLUTIONS = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")


def feature_map(image):
    """Return the last feature map of GoogLeNet.

    Args:
        image: KerasTensor (n, s, s, 3), normalized as ``NORMALIZATION`` says; s known.

    Returns:
        KerasTensor (n, about s / 32, about s / 32, 1024), at least 0.
    """
    outputs = _convolve(image, 64, 7, "conv1", stride=2)
    outputs = max_pool_rounding_up(outputs, 3, name="maxpool1")
    outputs = _convolve(outputs, 64, 1, "conv2")
    outputs = _convolve(outputs, 192, 3, "conv3")
    outputs = max_pool_rounding_up(outputs, 3, name="maxpool2")
    for name, channels in INCEPTIONS.items():
        outputs = _inception(outputs, channels, name)
        if name in POOLS:
            pool, size = POOLS[name]
            outputs = max_pool_rounding_up(outputs, size, name=pool)
    return outputs


def torch_names():
    """Return the name in torchvision of every layer with weights: {layer: module}."""
    convolutions = ["conv1", "conv2", "conv3"]
    convolutions += [f"{name}.{branch}" for name in INCEPTIONS for branch in BRANCH_CONVOLUTIONS]
    layers = [f"{name}.{part}" for name in convolutions for part in ("conv", "bn")]
    return {layer: layer for layer in layers}


def _inception(inputs, channels, name):
    """Return four branches side by side (Fig. 2b): each sees the same map at another scale."""
    import keras

    one, three_reduce, three, five_reduce, five, projection = channels
    pooled = keras.layers.MaxPooling2D(3, 1, padding="same", name=f"{name}.branch4.0")(inputs)
    reduced_for_three = _convolve(inputs, three_reduce, 1, f"{name}.branch2.0")
    reduced_for_five = _convolve(inputs, five_reduce, 1, f"{name}.branch3.0")
    branches = [
        _convolve(inputs, one, 1, f"{name}.branch1"),
        _convolve(reduced_for_three, three, 3, f"{name}.branch2.1"),
        _convolve(reduced_for_five, five, 3, f"{name}.branch3.1"),
        _convolve(pooled, projection, 1, f"{name}.branch4.1"),
    ]
    return keras.layers.Concatenate(name=f"{name}.concatenate")(branches)


def _convolve(inputs, channels, size, name, stride=1):
    """Convolve, normalize over the batch and rectify."""
    outputs = convolve(inputs, channels, size, stride=stride, name=f"{name}.conv")
    outputs = batch_normalize(outputs, epsilon=EPSILON, name=f"{name}.bn")
    return relu(outputs, name=f"{name}.relu")
