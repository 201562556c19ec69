"""One network, one fold: epoch after epoch, each of which depends on (seed, epoch) alone.

What Keras' callbacks keep to themselves between epochs is plain data here: the history, from which
best epoch and patience follow. So a fold that was killed goes on from its last finished epoch, kept
in one file with weights, optimizer and best weights, to the same end.
"""

import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from leukkit.files import replace_when_done
from leukkit.results import ConfigurationError
from leukkit.schemas import Recipe
from leukkit.training import batches, network
from leukkit.training.batches import Images

CHECKPOINT = "checkpoint.npz"
EAGER_BATCHES = 8  # below it, making the graph takes longer than the work itself
History = list[dict[str, float]]
Begun = tuple[History, list, list, list]


class LossError(ValueError):
    """Loss or weights are no finite numbers; the message says since which batch."""


def fit(
    model: Any,
    images: Images,
    recipe: Recipe,
    seed: int,
    strategy: Any,
    *,
    begun: Begun | None,
    keep: Callable[[History, Any, list | None], None],
    report: Callable,
) -> History:
    """Train a network on a fold, from where another process has left it.

    Args:
        model: The uncompiled network, or its head where ``inputs`` are feature maps.
        images: What it is fitted on, and validated after each epoch.
        recipe: With ``phases``.
        seed: Draws the order of the images, the augmentation and the dropout of each epoch.
        strategy: What `leukkit.training.strategy` gave.
        begun: What `read_checkpoint` gave.
        keep: Writes history, model and best weights after an epoch that is not the last.
        report: Called as ``report(batches)`` and, after an epoch, ``report(0, row)``.

    Returns:
        The history, one row per epoch; the model holds the selected weights.

    Raises:
        LossError: The loss is no number.
        ValueError: More images in a batch than in the training part.
    """
    steps = recipe.steps or len(images.fold.train) // recipe.batch_size
    total = recipe.epochs * (steps + _number(images.fold.validation, recipe))
    eager = strategy.num_replicas_in_sync == 1 and total < EAGER_BATCHES
    history: History = []
    compiled: int | None = None
    best: list | None = None

    with strategy.scope():
        if begun:
            history, weights, optimizer, best = begun
            compiled = recipe.phase_of(len(history) - 1)
            network.compile_phase(model, recipe, recipe.phases[compiled], eager)
            model.set_weights(weights)
            for variable, values in zip(model.optimizer.variables, optimizer, strict=True):
                variable.assign(values)
            report(len(history) * steps)
        for epoch in range(len(history), recipe.epochs):
            started = time.monotonic()
            number = recipe.phase_of(epoch)
            if number != compiled:
                network.compile_phase(model, recipe, recipe.phases[number], eager)
                compiled = number
            _draw_alike(model, seed, epoch)
            row: dict[str, float] = {"epoch": epoch + 1, "phase": number + 1}
            row["learning_rate"] = recipe.phases[number].learning_rate
            row |= _train_epoch(model, images, recipe, steps, seed, epoch, report)
            row |= _validate(model, images, recipe)
            _check_finite(model, row, steps, validated=len(images.fold.validation) > 0)
            row["seconds"] = round(time.monotonic() - started, 3)
            history.append(row)
            if recipe.select == "best" and best_epoch(history) == len(history):
                best = model.get_weights()
            report(0, row)
            if recipe.patience and len(history) - best_epoch(history) >= recipe.patience:
                break
            if len(history) < recipe.epochs:
                keep(history, model, best)
        if recipe.select == "best":
            model.set_weights(best)
    return history


def best_epoch(history: History) -> int:
    """Return the number (from 1) of the epoch with the lowest validation loss; 0 for none."""
    losses = [row["validation_loss"] for row in history]
    return 0 if np.isnan(losses).all() else int(np.nanargmin(losses)) + 1


def predict(model: Any, inputs: Any, positions: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Return the class probabilities of some images, float64 (positions, classes).

    Rows sum to 1 in float64, which soft-max in float32 reaches only nearly.
    """
    values = _predict(model, inputs, positions, recipe)
    return values / values.sum(axis=1, keepdims=True)


def _train_epoch(model, images, recipe, steps, seed, epoch, report):
    make = batches.training_batch(images, recipe, seed, epoch)
    shapes = [(recipe.batch_size, *part.shape[1:]) for part in (images.inputs, images.targets)]
    data, watch = batches.dataset(make, steps, *shapes), _watch(epoch, report)
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


def _predict(model, inputs, positions, recipe):
    """Return what the model gives for some images, float64.

    Every batch is full, so that no device is left without images; the padding is cut off.
    """
    make = batches.padded_batch(inputs, positions, recipe.batch_size)
    shape = (recipe.batch_size, *inputs.shape[1:])
    values = model.predict(batches.dataset(make, _number(positions, recipe), shape), verbose=0)
    return values[: len(positions)].astype(np.float64)


def _number(positions, recipe):
    """Return the number of batches that hold all of the positions."""
    return -(-len(positions) // recipe.batch_size)


def _check_finite(model, row, batches, validated):
    """Refuse an epoch whose last step has spoiled the weights, before they are kept."""
    whole = all(np.isfinite(values).all() for values in model.get_weights())
    if not whole or (validated and not np.isfinite(row["validation_loss"])):
        raise LossError(
            f"weights or validation loss are no finite numbers after epoch {row['epoch']}, "
            f"batch {batches}"
        )


def _draw_alike(model, seed, epoch):
    """Set the random layers (dropout) so that their draws depend on (seed, epoch) alone."""
    states = [variable for variable in model.variables if "seed_generator_state" in variable.path]
    for number, variable in enumerate(states):
        variable.assign(np.array([seed * 1009 + number, epoch << 20], np.uint32))


def _watch(epoch, report):
    """Return the callback that reports each batch, and stops at a loss that is no number."""
    import keras

    def after_batch(batch, logs):
        if not np.isfinite(logs["loss"]):
            raise LossError(
                f"the loss is {logs['loss']} after epoch {epoch + 1}, batch {batch + 1}"
            )
        report(1)

    return keras.callbacks.LambdaCallback(on_train_batch_end=after_batch)


def write_checkpoint(
    folder: pathlib.Path, configuration_hash: str, history: History, model: Any, best: list | None
) -> None:
    """Write the checkpoint of an unfinished fold, whole or not at all.

    ``model`` is compiled, ``best`` are the weights of the best epoch so far.
    """
    parts = {
        "weights": model.get_weights(),
        "optimizer": [variable.numpy() for variable in model.optimizer.variables],
        "best": best or [],
    }
    record = {"configuration_hash": configuration_hash, "state": {"history": history}}
    named = {
        f"{kind}-{number}": values
        for kind, arrays in parts.items()
        for number, values in enumerate(arrays)
    }
    with replace_when_done(folder / CHECKPOINT) as path:
        np.savez(path, record=np.array(json.dumps(record)), **named)


def read_checkpoint(folder: pathlib.Path, configuration_hash: str) -> Begun | None:
    """Return history, weights, optimizer and best weights of an unfinished fold, or None.

    Raises:
        ConfigurationError: The checkpoint belongs to another configuration.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with np.load(path) as file:
        record = json.loads(str(file["record"]))
        if record["configuration_hash"] != configuration_hash:
            raise ConfigurationError(
                f"{path} is an unfinished fold of another configuration. It is kept. Choose "
                "another results folder (--results-dir or LEUKKIT_RESULTS_DIR), or delete this "
                "file to begin the fold again"
            )
        weights, optimizer, best = (
            [file[name] for name in file.files if name.startswith(f"{kind}-")]
            for kind in ("weights", "optimizer", "best")
        )
    return record["state"]["history"], weights, optimizer, best
