"""One network, one fold: epoch after epoch, each of which depends on (seed, epoch) alone.

What Keras' callbacks keep to themselves between epochs (best epoch, patience, history) is plain
data here, so a fold that was killed goes on from its last finished epoch to the same end.
"""

import functools
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leukkit import splits
from leukkit.schemas import Recipe
from leukkit.training import batches, checkpoint, network


class LossError(ValueError):
    """Loss or weights are no finite numbers; the message says since which batch."""


class Images(NamedTuple):
    """What a network is fitted and tested on.

    Attributes:
        inputs: uint8 images (n, side, side, 3), or float32 feature maps (n, height, width, c).
        targets: float32 (n, classes), 1 at the class of the image.
        image_ids: n names.
        fold: A `splits.Fold` of positions.
    """

    inputs: Any
    targets: np.ndarray
    image_ids: np.ndarray
    fold: splits.Fold


def fit(
    model: Any,
    images: Images,
    recipe: Recipe,
    seed: int,
    strategy: Any,
    folder: pathlib.Path,
    configuration_hash: str,
    report: Callable,
) -> checkpoint.State:
    """Train a network on a fold, from its checkpoint if there is one.

    Args:
        model: The uncompiled network, or its head where ``inputs`` are feature maps.
        images: `Images`.
        recipe: A `Recipe`.
        seed: Draws the order of the images, the augmentation and the dropout of each epoch.
        strategy: What `leukkit.training.strategy` gave.
        folder: The fold's folder, for the checkpoint.
        configuration_hash: What the checkpoint belongs to.
        report: Called as ``report(batches)`` and, after an epoch, ``report(0, row)``.

    Returns:
        The `checkpoint.State`; the model holds the selected weights.

    Raises:
        LossError: The loss is no number.
        ValueError: More images in a batch than in the training part.
    """
    steps = recipe.steps or len(images.fold.train) // recipe.batch_size
    replicas = strategy.num_replicas_in_sync
    total = recipe.epochs * (steps + -(-len(images.fold.validation) // recipe.batch_size))
    state, best, compiled = checkpoint.State(), None, None
    found = checkpoint.read(folder, configuration_hash)
    seeds = network.seed_variables(model)
    with strategy.scope():
        if found:
            state, weights, optimizer, best = found
            state.seconds = sum(row["seconds"] for row in state.history)
            compiled = recipe.phase_of(state.epoch - 1)
            network.compile_phase(model, recipe, recipe.phases[compiled], replicas, total)
            model.set_weights(weights)
            for variable, values in zip(model.optimizer.variables, optimizer, strict=True):
                variable.assign(values)
            report(state.epoch * steps)
        while state.epoch < recipe.epochs and not state.stopped:
            started = time.monotonic()
            number = recipe.phase_of(state.epoch)
            if number != compiled:
                network.compile_phase(model, recipe, recipe.phases[number], replicas, total)
                compiled = number
            _draw_alike(seeds, seed, state.epoch)
            row: dict[str, float] = {"epoch": state.epoch + 1, "phase": number + 1}
            row["learning_rate"] = recipe.phases[number].learning_rate
            row |= _train_epoch(model, images, recipe, steps, seed, state.epoch, report)
            row |= _validate(model, images, recipe)
            _check_finite(model, row, steps, validated=len(images.fold.validation) > 0)
            row["seconds"] = round(time.monotonic() - started, 3)
            best = _note(state, row, model, recipe, best)
            report(0, row)
            if state.epoch < recipe.epochs and not state.stopped:
                checkpoint.write(folder, configuration_hash, state, model, best)
        if recipe.select == "best":
            model.set_weights(best)
    return state


def predict(
    model: Any, inputs: Any, positions: np.ndarray, recipe: Recipe, strategy: Any
) -> np.ndarray:
    """Return the class probabilities of some images, float64 (positions, classes).

    Every batch is full, so that no device is left without images; the padding is cut off. Rows
    sum to 1 in float64, which soft-max in float32 reaches only nearly.
    """
    if len(positions) == 0:
        return np.empty((0, model.output_shape[-1]))
    with strategy.scope():
        values = _predict(model, inputs, positions, recipe)
    return values / values.sum(axis=1, keepdims=True)


def _train_epoch(model, images, recipe, steps, seed, epoch, report):
    make = functools.partial(  # Keras looks at the first batch, then asks for all of them anew
        batches.training_batches,
        images.inputs,
        images.targets,
        images.fold.train,
        images.image_ids,
        recipe.batch_size,
        seed=seed,
        epoch=epoch,
        ranges=recipe.augmentation,
    )
    data = training_data(make, images, recipe.batch_size, steps)
    watch = _watch(epoch, report)
    logs = model.fit(data, shuffle=False, verbose=0, callbacks=[watch]).history
    return {"loss": float(logs["loss"][0]), "accuracy": float(logs["accuracy"][0])}


def _validate(model, images, recipe):
    """Return loss and accuracy on the validation images, from predictions of this epoch."""
    positions = images.fold.validation
    if len(positions) == 0:
        return {"validation_loss": np.nan, "validation_accuracy": np.nan}
    values, targets = _predict(model, images.inputs, positions, recipe), images.targets[positions]
    hits = values.argmax(axis=1) == targets.argmax(axis=1)
    likelihood = np.clip((values * targets).sum(axis=1), 1e-7, 1)  # Keras' epsilon
    return {
        "validation_loss": float(-np.log(likelihood).mean()),
        "validation_accuracy": float(hits.mean()),
    }


def _check_finite(model, row, batches, validated):
    """Refuse an epoch whose last step has spoiled the weights, before they are kept."""
    whole = all(np.isfinite(values).all() for values in model.get_weights())
    if not whole or (validated and not np.isfinite(row["validation_loss"])):
        raise LossError(
            f"weights or validation loss are no finite numbers after epoch {row['epoch']}, "
            f"batch {batches}"
        )


def _note(state, row, model, recipe, best):
    """Enter a finished epoch into the state; return the best weights so far."""
    state.epoch += 1
    state.history.append(row)
    state.waited += 1
    if row["validation_loss"] < state.best_loss:
        state.best_epoch, state.best_loss, state.waited = state.epoch, row["validation_loss"], 0
        if recipe.select == "best":
            best = model.get_weights()
    state.stopped = bool(recipe.patience) and state.waited >= recipe.patience
    return best


def _draw_alike(seeds, seed, epoch):
    """Set the random layers so that what they draw depends on (seed, epoch) alone."""
    for number, variable in enumerate(seeds):
        variable.assign(np.array([seed * 1009 + number, epoch << 20], np.uint32))


def _watch(epoch, report):
    import keras

    class Watch(keras.callbacks.Callback):
        """Reports each batch, and stops at a loss that is no number."""

        def on_train_batch_end(self, batch, logs=None):
            if not np.isfinite(logs["loss"]):
                raise LossError(
                    f"the loss is {logs['loss']} after epoch {epoch + 1}, batch {batch + 1}"
                )
            report(1)

    return Watch()


def training_data(make: Callable, images: Images, batch_size: int, steps: int) -> Any:
    """Return one epoch as ``tf.data``: float32 images and targets, some batches made ahead.

    Args:
        make: Gives a fresh iterator of batches each time it is called.
        images: `Images`, for shapes and types.
        batch_size: Images in a batch.
        steps: Batches to take.
    """
    import tensorflow as tf

    signature = (
        tf.TensorSpec((batch_size, *images.inputs.shape[1:]), images.inputs.dtype),
        tf.TensorSpec((batch_size, images.targets.shape[1]), tf.float32),
    )
    data = tf.data.Dataset.from_generator(make, output_signature=signature)
    data = data.take(steps).apply(tf.data.experimental.assert_cardinality(steps))
    data = data.map(lambda image, target: (tf.cast(image, tf.float32), target))
    return data.prefetch(2)


def _predict(model, inputs, positions, recipe):
    """Return what the model gives for some images, float64; batches are padded, see below."""
    values = model.predict(_padded(inputs, positions, recipe.batch_size), verbose=0)
    return values[: len(positions)].astype(np.float64)


def _padded(inputs, positions, batch_size):
    import tensorflow as tf

    signature = tf.TensorSpec((batch_size, *inputs.shape[1:]), inputs.dtype)
    data = tf.data.Dataset.from_generator(
        lambda: batches.padded_batches(inputs, positions, batch_size), output_signature=signature
    )
    number = -(-len(positions) // batch_size)
    data = data.map(lambda image: tf.cast(image, tf.float32)).prefetch(2)
    return data.apply(tf.data.experimental.assert_cardinality(number))
