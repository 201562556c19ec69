"""The network of a fold: built, its layers frozen or not, and the steps that train it.

Turning a deep network into a graph can take longer than training it on a few hundred images. So a
thread keeps the last network, with its graphs, and sets it back for the next fold, split or seed:
whatever differs between folds is a variable, never part of a graph.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from leukkit import environment
from leukkit.schemas import Recipe

# Of a recipe: what its layers and its training step do not depend on.
NOT_IN_THE_GRAPH = {
    *("segmentation", "stain", "distortion", "augmentation"),
    *("phases", "steps", "patience", "select"),
}
_last = threading.local()  # two threads must not train one network at once


class Compiled:
    """A network with the graphs of its steps, spread over the devices of a strategy.

    Attributes:
        whole: The network, from pixels to probabilities; never compiled by Keras.
        model: What is trained: the network, or its head alone.
        strategy: What `leukkit.training.strategy` gave.
        optimizer: Of the phase that was begun last.
    """

    def __init__(self, recipe: Recipe, classes: int, head_alone: bool, strategy: Any):
        import tensorflow as tf

        self.recipe, self.classes, self.strategy = recipe, classes, strategy
        self.whole: Any = None
        self.optimizer: Any = None
        self._head_alone = head_alone
        self._seed: int | None = None
        self._first_weights: list[np.ndarray] = []
        self._steps: dict[int | str, tuple] = {}  # by the layers that are trained
        self._predict = tf.function(self._predict_everywhere, autograph=False)

    @property
    def model(self) -> Any:  # noqa: D102  # among the attributes
        return self.whole.get_layer("head") if self._head_alone else self.whole

    def set_back(self, statistics: tuple | None, seed: int) -> None:
        """Give the network its first weights, those of ``seed``, and a fold's pixel statistics."""
        from leukkit.models.normalize import Normalize

        if seed != self._seed:
            with self.strategy.scope():
                fresh = build(self.recipe, self.classes, statistics, seed)
            self.whole = self.whole or fresh
            self._seed, self._first_weights = seed, fresh.get_weights()
        self.whole.set_weights(self._first_weights)
        if statistics is not None:
            for layer in _layers(self.whole):
                if isinstance(layer, Normalize):
                    layer.set_statistics(*statistics)

    def begin_phase(self, trainable: int | str, learning_rate: float) -> None:
        """Freeze and unfreeze layers, and forget what the optimizer of another phase remembers."""
        import tensorflow as tf

        if not self._head_alone:
            _set_trainable(self.whole, trainable)
        if trainable not in self._steps:
            with self.strategy.scope():
                optimizer = make_optimizer(self.recipe, learning_rate, self.model)
                optimizer.build(self.model.trainable_variables)
            begin = [
                variable.numpy() if variable.ndim == 0 else 0 for variable in optimizer.variables
            ]

            def everywhere(images, targets):
                made = self.strategy.run(self._train, args=(optimizer, images, targets))
                return [self.strategy.reduce("SUM", part, axis=None) for part in made]

            self._steps[trainable] = optimizer, begin, tf.function(everywhere, autograph=False)
        self.optimizer, begin, self._step = self._steps[trainable]
        for variable, value in zip(self.optimizer.variables, begin, strict=True):
            variable.assign(np.broadcast_to(value, variable.shape))
        self.optimizer.learning_rate = learning_rate

    def step(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, int]:
        """Train on one batch; return its loss and the number of images that were right before."""
        loss, hits = self._step(*self._spread(images, targets))
        return float(loss), int(hits)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 class probabilities of one batch."""
        parts = self.strategy.experimental_local_results(self._predict(*self._spread(images)))
        return np.concatenate([part.numpy() for part in parts])

    def _train(self, optimizer, images, targets):
        """Take one device's part in a step."""
        import tensorflow as tf
        from keras import ops

        model = self.model
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = cross_entropy(targets, predictions, self.recipe.batch_size)
            for penalty in model.losses:  # of a head of one's own
                loss += penalty / self.strategy.num_replicas_in_sync
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        right = ops.argmax(predictions, axis=-1) == ops.argmax(targets, axis=-1)
        return loss, ops.sum(ops.cast(right, "int32"))

    def _predict_everywhere(self, images):
        return self.strategy.run(lambda part: self.model(part, training=False), args=(images,))

    def _spread(self, *arrays):
        """Return each device's part of some arrays; they need not divide evenly."""
        import tensorflow as tf

        number = self.strategy.num_replicas_in_sync
        if number == 1:
            return [tf.convert_to_tensor(array) for array in arrays]
        parts = [np.array_split(array, number) for array in arrays]
        return self.strategy.experimental_distribute_values_from_function(
            lambda device: [tf.constant(part[device.replica_id_in_sync_group]) for part in parts]
        )


def compiled(
    recipe: Recipe,
    classes: int,
    statistics: tuple | None,
    seed: int,
    strategy: Any,
    head_alone: bool = False,
) -> Compiled:
    """Return a network with its first weights: this thread's last one, if it is of the same make.

    Args:
        recipe: With ``phases``.
        classes: Number of classes.
        statistics: ``(mean, standard deviation)`` per channel for ``"z-score"``, else None.
        seed: Of random weights.
        strategy: What `leukkit.training.strategy` gave.
        head_alone: Whether the head is trained alone, on feature maps.

    Raises:
        ValueError: A device would get no image of a batch.
    """
    import keras

    from leukkit import models

    if recipe.batch_size < strategy.num_replicas_in_sync:
        raise ValueError(
            f"a batch of {recipe.batch_size} cannot be divided over "
            f"{strategy.num_replicas_in_sync} devices; set batch_size to that number or more"
        )
    weights = models.weights_used(
        recipe.network, recipe.weights_source, recipe.image_size, head=recipe.head
    )
    make = in_the_graph(recipe), weights, classes, head_alone, strategy
    if getattr(_last, "make", None) != make:
        _last.make = _last.network = None
        keras.utils.clear_session()  # lets go of the last network
        _last.network, _last.make = Compiled(recipe, classes, head_alone, strategy), make
    _last.network.set_back(statistics, seed)
    return _last.network


def in_the_graph(recipe: Recipe) -> str:
    """Return what the graphs of a recipe's network depend on: equal texts, equal graphs."""
    record = recipe.record()
    return json.dumps([record[name] for name in record if name not in NOT_IN_THE_GRAPH])


@contextlib.contextmanager
def quick_graphs() -> Iterator[None]:
    """Without a GPU, leave out TensorFlow's rewriting of graphs within the context.

    For a deep network it takes longer than all steps of a small run, and on a CPU the steps are as
    quick without it (``python -m benchmarks folds``).
    """
    import tensorflow as tf

    options = tf.config.optimizer
    before = options.get_experimental_options().get("disable_meta_optimizer", False)
    off = before or not tf.config.list_physical_devices("GPU")
    options.set_experimental_options({"disable_meta_optimizer": off})
    try:
        yield
    finally:
        options.set_experimental_options({"disable_meta_optimizer": before})


def build(recipe: Recipe, classes: int, statistics: tuple | None, seed: int) -> Any:
    """Build the network of a recipe (uncompiled), in the precision that the recipe asks for.

    Args:
        recipe: A `Recipe`.
        classes: Number of classes.
        statistics: ``(mean, standard deviation)`` per channel for ``"z-score"``, else None.
        seed: Of random weights.

    Raises:
        ValueError: As `environment.check_keras`.
    """
    import keras

    environment.check_keras(backend="tensorflow", dtype_policy="float32")
    keras.config.set_dtype_policy("mixed_float16" if recipe.mixed_precision else "float32")
    try:
        network = recipe.build(classes, statistics, seed)
    finally:
        keras.config.set_dtype_policy("float32")
    for layer in _layers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = recipe.synchronized
            if recipe.batch_norm_momentum is not None:
                layer.momentum = recipe.batch_norm_momentum
    return network


def cross_entropy(targets: Any, predictions: Any, batch_size: int) -> Any:
    """Return one device's part of the categorical cross-entropy, averaged over the whole batch.

    The mean over the images of each device, then over the devices, would count an image more on
    one than on the other: 17 images on two. The sum over all, divided by the batch, does not.
    """
    import keras

    return keras.ops.sum(keras.losses.categorical_crossentropy(targets, predictions)) / batch_size


def make_optimizer(recipe: Recipe, learning_rate: float, network: Any) -> Any:
    """Return the optimizer of a phase: Adam, or SGD with momentum.

    Adam has Keras' defaults (beta 0.9 and 0.999, epsilon 1e-7: sultana, 3.2.c). ``network`` has
    the layer ``predictions`` in its ``head``, or is the head.
    """
    import keras
    import tensorflow as tf

    class FusedAdam(keras.optimizers.Adam):
        """Keras' Adam in one operation per variable, not twenty: a quarter less to trace."""

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            step = tf.cast(self.iterations + 1, variable.dtype)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                beta1_power=tf.pow(self.beta_1, step),
                beta2_power=tf.pow(self.beta_2, step),
                lr=tf.cast(learning_rate, variable.dtype),
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=tf.cast(gradient, variable.dtype),
            )

    if recipe.optimizer == "adam":
        return _scaled(FusedAdam(learning_rate), recipe)
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

    return _scaled(LayerwiseSGD(learning_rate, momentum=recipe.momentum), recipe)


def _scaled(optimizer, recipe):
    """Let the optimizer scale the loss where float16 would lose small gradients."""
    import keras

    return keras.optimizers.LossScaleOptimizer(optimizer) if recipe.mixed_precision else optimizer


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
