"""One network, one fold: epoch after epoch, each of which depends on (seed, epoch) alone.

What Keras' callbacks keep to themselves between epochs is plain data here: the history, from which
best epoch and patience follow. So a fold that was killed goes on from its last finished epoch, kept
in one file with weights, optimizer and best weights, to the same end.
"""

import json
import pathlib
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from leukkit.files import replace_when_done
from leukkit.records import FOLD_FORMAT
from leukkit.results import ConfigurationError
from leukkit.schemas import Recipe
from leukkit.training import batches
from leukkit.training.batches import Images
from leukkit.training.network import Compiled

CHECKPOINT = "checkpoint.npz"
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, RuntimeError)
History = list[dict[str, float]]
Begun = tuple[History, list, list, list]


class LossError(ValueError):
    """Loss or weights are no finite numbers; the message says since which batch."""


def fit(
    network: Compiled,
    images: Images,
    recipe: Recipe,
    seed: int,
    *,
    begun: Begun | None,
    keep: Callable[[History, Compiled, list | None], None],
    report: Callable,
) -> History:
    """Train a network on a fold, from where another process has left it.

    Args:
        network: With its first weights; of its head alone where ``inputs`` are feature maps.
        images: What it is fitted on, and validated after each epoch.
        recipe: With ``phases``.
        seed: Draws the order of the images, the augmentation and the dropout of each epoch.
        begun: What `read_checkpoint` gave.
        keep: Writes history, weights and best weights after an epoch that is not the last.
        report: Called as ``report(batches)`` and, after an epoch, ``report(0, row)``.

    Returns:
        The history, one row per epoch; the network holds the selected weights.

    Raises:
        LossError: The loss is no number.
        ValueError: More images in a batch than in the training part.
    """
    steps = recipe.steps or len(images.fold.train) // recipe.batch_size
    history: History = []
    best: list | None = None
    begun_phase: int | None = None
    model = network.model

    if begun:
        history, weights, optimizer, best = begun
        begun_phase = recipe.phase_of(len(history) - 1)
        phase = recipe.phases[begun_phase]
        network.begin_phase(phase.trainable, phase.learning_rate)
        model.set_weights(weights)
        for variable, values in zip(network.optimizer.variables, optimizer, strict=True):
            variable.assign(values)
        report(len(history) * steps)
    for epoch in range(len(history), recipe.epochs):
        started = time.monotonic()
        number = recipe.phase_of(epoch)
        phase = recipe.phases[number]
        if number != begun_phase:
            network.begin_phase(phase.trainable, phase.learning_rate)
            begun_phase = number
        _draw_alike(model, seed, epoch)
        row: dict[str, float] = {"epoch": epoch + 1, "phase": number + 1}
        row["learning_rate"] = phase.learning_rate
        row |= _train_epoch(network, images, recipe, steps, seed, epoch, report)
        row |= _validate(network, images, recipe)
        _check_finite(model, row, steps, validated=len(images.fold.validation) > 0)
        row["seconds"] = round(time.monotonic() - started, 3)
        history.append(row)
        if recipe.select == "best" and best_epoch(history) == len(history):
            best = model.get_weights()
        report(0, row)
        if recipe.patience and len(history) - best_epoch(history) >= recipe.patience:
            break
        if len(history) < recipe.epochs:
            keep(history, network, best)
    if recipe.select == "best":
        model.set_weights(best)
    return history


def best_epoch(history: History) -> int:
    """Return the number (from 1) of the epoch with the lowest validation loss; 0 for none."""
    losses = [row["validation_loss"] for row in history]
    return 0 if np.isnan(losses).all() else int(np.nanargmin(losses)) + 1


def predict(network: Compiled, inputs: Any, positions: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Return the class probabilities of some images, float64 (positions, classes).

    Rows sum to 1 in float64, which soft-max in float32 reaches only nearly.
    """
    values = _predict(network, inputs, positions, recipe)
    return values / values.sum(axis=1, keepdims=True)


def _train_epoch(network, images, recipe, steps, seed, epoch, report):
    make = batches.training_batch(images, recipe, seed, epoch)
    loss = hits = 0.0
    for number, batch in enumerate(batches.ahead(make, steps), start=1):
        of_batch, right = network.step(*batch)
        if not np.isfinite(of_batch):
            raise LossError(f"the loss is {of_batch} in epoch {epoch + 1}, batch {number}")
        loss, hits = loss + of_batch, hits + right
        report(1)
    return {"loss": loss / steps, "accuracy": hits / steps / recipe.batch_size}


def _validate(network, images, recipe):
    """Return loss and accuracy on the validation images, from predictions of this epoch."""
    positions = images.fold.validation
    if len(positions) == 0:
        return {"validation_loss": np.nan, "validation_accuracy": np.nan}
    values, targets = _predict(network, images.inputs, positions, recipe), images.targets[positions]
    hits = values.argmax(axis=1) == targets.argmax(axis=1)
    likelihood = np.clip((values * targets).sum(axis=1), 1e-7, 1)  # Keras' epsilon
    return {
        "validation_loss": float(-np.log(likelihood).mean()),
        "validation_accuracy": float(hits.mean()),
    }


def _predict(network, inputs, positions, recipe):
    """Return what the network gives for some images, float64.

    Every batch is full, so that no device is left without images; the padding is cut off.
    """
    number = -(-len(positions) // recipe.batch_size)
    make = batches.padded_batch(inputs, positions, recipe.batch_size)
    values = np.concatenate([network.predict(batch) for batch in batches.ahead(make, number)])
    return values[: len(positions)].astype(np.float64)


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


def write_checkpoint(
    folder: pathlib.Path,
    configuration_hash: str,
    arithmetic: str,
    history: History,
    network: Compiled,
    best: list | None,
) -> None:
    """Write the checkpoint of an unfinished fold, whole or not at all.

    ``best`` are the weights of the best epoch so far.
    """
    parts = {
        "weights": network.model.get_weights(),
        "optimizer": [variable.numpy() for variable in network.optimizer.variables],
        "best": best or [],
    }
    belongs = _belongs(configuration_hash, arithmetic)
    arrays = {kind: len(values) for kind, values in parts.items()}
    record = {"belongs": belongs, "history": history, "arrays": arrays}
    named = {
        f"{kind}-{number}": values
        for kind, several in parts.items()
        for number, values in enumerate(several)
    }
    with replace_when_done(folder / CHECKPOINT) as path:
        np.savez(path, record=np.array(json.dumps(record)), **named)


def read_checkpoint(folder: pathlib.Path, configuration_hash: str, arithmetic: str) -> Begun | None:
    """Return history, weights, optimizer and best weights of an unfinished fold, or None.

    A damaged one is no result that could be lost: it is named in a warning, and gives None.

    Raises:
        ConfigurationError: The checkpoint is of another configuration, version or arithmetic.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with np.load(path) as file:  # each array in it has a checksum
            record = json.loads(str(file["record"]))
            history, belongs = record["history"], record["belongs"]
            weights, optimizer, best = (  # by number: nothing checks the names in the file
                [file[f"{kind}-{number}"] for number in range(record["arrays"][kind])]
                for kind in ("weights", "optimizer", "best")
            )
    except DAMAGE as error:
        warnings.warn(f"{path} is damaged ({error}): the fold is begun again", stacklevel=2)
        return None
    if belongs != _belongs(configuration_hash, arithmetic):
        raise ConfigurationError(
            f"{path} is an unfinished fold of another configuration, of an older version or of "
            f"{belongs['arithmetic']} (here: {arithmetic}). It is kept. Choose another results "
            "folder (--results-dir or LEUKKIT_RESULTS_DIR), or delete this file to begin the fold "
            "again"
        )
    return history, weights, optimizer, best


def _belongs(configuration_hash, arithmetic):
    """Return what a checkpoint has to be of to be gone on with."""
    return {"hash": configuration_hash, "arithmetic": arithmetic, "format": FOLD_FORMAT}
