"""The network of a fold: built, its layers frozen or not, compiled."""

import contextlib

# Until cards and profiles name backbone and head: the networks that are called otherwise there.
_HEADS = {
    "vgg19": ("vgg19", "vgg_dense"),
    "vgg16-cnn": ("vgg16", "convolutions"),
    "efficientnetb0-attention": ("efficientnetb0", "attention"),
}
EAGER_BATCHES = 8  # below it, making the graph takes longer than the work itself


def backbone_and_head(name):
    """Return the backbone and the head of the network that cards and profiles call ``name``."""
    return _HEADS.get(name, (name, None))


def build(recipe, classes, statistics, seed):
    """Build the network of a recipe (uncompiled), in the precision that the recipe asks for.

    Args:
        recipe: A `Recipe`.
        classes: Number of classes.
        statistics: ``(mean, standard deviation)`` per channel for ``"z-score"``, else None.
        seed: Of the random weights.
    """
    import keras

    from leukkit import models, profiles

    backbone, head = backbone_and_head(recipe.network)
    with _precision("mixed_float16" if recipe.mixed_precision else "float32"):
        network = models.build(
            backbone,
            classes,
            recipe.image_size,
            profiles.find_weights(recipe.weights),
            head,
            normalization=recipe.normalization,
            statistics=statistics,
            seed=seed,
        )
    for layer in _layers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = recipe.synchronized
    return network


def weights_used(recipe, seed):
    """Return in a few words what the network of a recipe starts from."""
    from leukkit import models, profiles

    backbone, head = backbone_and_head(recipe.network)
    weights = profiles.find_weights(recipe.weights)
    return models.weights_used(backbone, weights, recipe.image_size, seed, head)


def compile_phase(network, recipe, phase, replicas, batches):
    """Freeze and unfreeze layers for a phase and compile with a new optimizer.

    Args:
        network: What `build` gave, or its ``head`` alone.
        recipe: A `Recipe`.
        phase: A `Phase`.
        replicas: Number of devices.
        batches: Batches of the whole run.
    """
    from leukkit.training.losses import cross_entropy
    from leukkit.training.optimizers import make_optimizer

    if network.name != "head":
        _set_trainable(network, phase.trainable)
    network.compile(
        optimizer=make_optimizer(recipe, phase.learning_rate, network),
        loss=cross_entropy(recipe.batch_size),
        metrics=["accuracy"],
        jit_compile=False,  # fails under MirroredStrategy, and one fold must equal the other
        run_eagerly=replicas == 1 and batches < EAGER_BATCHES,
    )
    network.optimizer.build(network.trainable_variables)  # or the first step is traced twice


def seed_variables(network):
    """Return the states of the network's random layers (dropout)."""
    return [variable for variable in network.variables if "seed_generator_state" in variable.path]


def _set_trainable(network, trainable):
    import keras

    backbone = [layer for layer in network.layers if layer.name not in ("features", "head")]
    if isinstance(trainable, int):
        if trainable > len(backbone):
            raise ValueError(f"trainable = {trainable}, but there are {len(backbone)} layers")
        learning = [
            layer
            for layer in backbone[-trainable:]
            if not isinstance(layer, keras.layers.BatchNormalization)
        ]
    else:
        learning = backbone if trainable == "all" else []
    for layer in backbone:
        layer.trainable = any(layer is this for this in learning)


def _layers(network):
    for layer in network.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


@contextlib.contextmanager
def _precision(policy):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
