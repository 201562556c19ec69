"""Layers with the arithmetic of PyTorch, so that weights trained there give the same numbers here.

Keras's "same" padding of a strided convolution differs on even sizes (it pads below and to the
right alone), and so do Keras's defaults for batch normalization.
"""

MOMENTUM = 0.9  # of the moving averages; PyTorch calls it 0.1


def convolve(inputs, channels, size, *, name, stride=1, groups=1, bias=False):
    """Convolve with zeros around the image, ``size // 2`` on every side.

    Args:
        inputs: KerasTensor (n, h, w, c).
        channels: Number of filters.
        size: Side of the filters, odd.
        name: Name of the layer.
        stride: Step of the filters.
        groups: Number of groups that inputs and filters are split into.
        bias: Whether each filter has a bias; batch normalization makes one superfluous.

    Returns:
        KerasTensor (n, ceil(h / stride), ceil(w / stride), channels).
    """
    import keras

    return keras.layers.Conv2D(
        channels, size, strides=stride, padding="valid", groups=groups, use_bias=bias, name=name
    )(pad(inputs, size // 2, name=name))


def convolve_depthwise(inputs, size, *, name, stride=1):
    """Convolve every channel with one filter of its own; otherwise as ``convolve``."""
    import keras

    return keras.layers.DepthwiseConv2D(
        size, strides=stride, padding="valid", use_bias=False, name=name
    )(pad(inputs, size // 2, name=name))


def pad(inputs, width, *, name):
    """Put ``width`` rows and columns of zeros on every side, for the layer called ``name``."""
    import keras

    if width == 0:
        return inputs
    return keras.layers.ZeroPadding2D(width, name=f"{name}.padding")(inputs)


def batch_normalize(inputs, *, name, epsilon=1e-5):
    """Normalize over the batch with PyTorch's momentum and its default ``epsilon``."""
    import keras

    return keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=epsilon, name=name)(inputs)


def relu(inputs, *, name):
    """Rectify; ``name`` is the name of the layer."""
    import keras

    return keras.layers.ReLU(name=name)(inputs)


def max_pool_rounding_up(inputs, size, *, name):
    """Take maxima over windows 2 apart; the last window may reach over the edge (``ceil_mode``).

    Args:
        inputs: KerasTensor (n, h, w, c), h and w known.
        size: Side of the windows: 2 or 3.
        name: Name of the layer.

    Returns:
        KerasTensor (n, ceil((h - size) / 2) + 1, ceil((w - size) / 2) + 1, c).
    """
    import keras

    # Where windows end at the edge, "same" would move them by one; where they do not, it lets
    # the last one reach over the lower and right edge alone, which is what is wanted.
    height, width = inputs.shape[1:3]
    if height != width:
        raise ValueError(f"the input of {name} is {height} x {width}; give square images")
    reaches_over = (height - size) % 2 == 1
    return keras.layers.MaxPooling2D(
        size, strides=2, padding="same" if reaches_over else "valid", name=name
    )(inputs)
