"""The optimizers of the papers."""


def make_optimizer(recipe, learning_rate, network):
    """Return the optimizer of a phase.

    Args:
        recipe: A `Recipe`.
        learning_rate: Of the phase.
        network: The ``keras.Model`` with its layer ``predictions`` (in ``head``, or the head).

    Returns:
        Adam with Keras' defaults (beta 0.9 and 0.999, epsilon 1e-7: sultana, 3.2.c), or SGD with
        momentum.
    """
    import keras

    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate)
    head = network if network.name == "head" else network.get_layer("head")
    new = {variable.path for variable in head.get_layer("predictions").weights}
    return _layerwise_sgd()(
        learning_rate=learning_rate,
        momentum=recipe.momentum,
        decay=recipe.weight_decay,
        factor=recipe.new_layer_factor,
        new=new,
    )


def _layerwise_sgd():
    """Return the optimizer class; made late, so that Keras is imported when it is needed."""
    import keras

    class LayerwiseSGD(keras.optimizers.SGD):
        """SGD with momentum, L2 on the kernels, and a faster rate for the new layer (patel2025).

        v <- momentum * v - factor * rate * (gradient + decay * w); w <- w + v. The factor is that
        of MATLAB's WeightLearnRateFactor and BiasLearnRateFactor; biases do not decay.
        """

        def __init__(self, *, decay, factor, new, **options):
            super().__init__(**options)
            self.decay, self.factor, self.new = decay, factor, new

        def update_step(self, gradient, variable, learning_rate):
            # TensorFlow hands over its own variable, which has no path.
            path = self._trainable_variables[self._get_variable_index(variable)].path
            if self.decay and path.endswith("kernel"):
                gradient = gradient + self.decay * keras.ops.cast(variable, gradient.dtype)
            if path in self.new:
                learning_rate = learning_rate * self.factor
            super().update_step(gradient, variable, learning_rate)

    return LayerwiseSGD
