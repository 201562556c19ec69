"""The network of a fold: built, its layers frozen or not, compiled with the papers' optimizers."""

from typing import Any

from leukkit.schemas import Phase, Recipe


def build(recipe: Recipe, classes: int, statistics: tuple | None, seed: int) -> Any:
    """Build the network of a recipe (uncompiled), in the precision that the recipe asks for.

    Args:
        recipe: A `Recipe`.
        classes: Number of classes.
        statistics: ``(mean, standard deviation)`` per channel for ``"z-score"``, else None.
        seed: Of random weights.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if recipe.mixed_precision else "float32")
    try:
        network = recipe.build(classes, statistics, seed)
    finally:
        keras.config.set_dtype_policy(before)
    for layer in _layers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = recipe.synchronized
    return network


def compile_phase(network: Any, recipe: Recipe, phase: Phase, eager: bool = False) -> None:
    """Freeze and unfreeze layers for a phase and compile with a new optimizer.

    ``network`` is what `build` gave, or its ``head`` alone; ``eager`` runs each operation by
    itself, not all of them as a graph.
    """
    if network.name != "head":
        _set_trainable(network, phase.trainable)
    network.compile(
        optimizer=make_optimizer(recipe, phase.learning_rate, network),
        loss=cross_entropy(recipe.batch_size),
        metrics=["accuracy"],
        jit_compile=False,  # fails under MirroredStrategy, and one fold must equal the other
        run_eagerly=eager,
    )
    network.optimizer.build(network.trainable_variables)  # or the first step is traced twice


def cross_entropy(batch_size: int) -> Any:
    """Return categorical cross-entropy, averaged over the whole batch.

    Keras averages over the images of each device, then over the devices: with 17 images on two
    devices an image would count more on one than on the other. The sum over all devices, divided
    by the batch, weighs each image alike.
    """
    import keras

    class CrossEntropy(keras.losses.Loss):
        """Categorical cross-entropy of soft-max outputs, mean over the images of all devices."""

        def call(self, y_true, y_pred):
            return keras.losses.categorical_crossentropy(y_true, y_pred) / batch_size

    return CrossEntropy(reduction="sum", name="cross_entropy")  # devices are summed, too


def make_optimizer(recipe: Recipe, learning_rate: float, network: Any) -> Any:
    """Return the optimizer of a phase: Adam, or SGD with momentum.

    Adam has Keras' defaults (beta 0.9 and 0.999, epsilon 1e-7: sultana, 3.2.c). ``network`` has
    the layer ``predictions`` in its ``head``, or is the head.
    """
    import keras

    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate)
    head = network if network.name == "head" else network.get_layer("head")
    new = {variable.path for variable in head.get_layer("predictions").weights}

    class LayerwiseSGD(keras.optimizers.SGD):
        """SGD with momentum, L2 on the kernels, and a faster rate for the new layer (patel2025).

        v <- momentum * v - factor * rate * (gradient + decay * w); w <- w + v. The factor is that
        of MATLAB's WeightLearnRateFactor and BiasLearnRateFactor; biases do not decay.
        """

        def update_step(self, gradient, variable, learning_rate):
            # TensorFlow hands over its own variable, which has no path.
            path = self._trainable_variables[self._get_variable_index(variable)].path
            if recipe.weight_decay and path.endswith("kernel"):
                decay = recipe.weight_decay * keras.ops.cast(variable, gradient.dtype)
                gradient = gradient + decay
            if path in new:
                learning_rate = learning_rate * recipe.new_layer_factor
            super().update_step(gradient, variable, learning_rate)

    return LayerwiseSGD(learning_rate, momentum=recipe.momentum)


def _set_trainable(network, trainable):
    import keras

    backbone = [layer for layer in network.layers if layer.name not in ("features", "head")]
    if isinstance(trainable, int) and trainable > len(backbone):
        raise ValueError(f"trainable = {trainable}, but there are {len(backbone)} layers")
    count = {"all": len(backbone), "head": 0}.get(trainable, trainable)
    for number, layer in enumerate(backbone, start=1):
        keeps = isinstance(trainable, int) and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number > len(backbone) - count and not keeps


def _layers(network):
    for layer in network.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)
