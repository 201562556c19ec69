"""One file that holds an unfinished fold: weights, optimizer, best weights, history, counters."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from leukkit.files import replace_when_done
from leukkit.results import ConfigurationError

FILE = "checkpoint.npz"


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says where, and what to do."""


@contextlib.contextmanager
def writing(folder: pathlib.Path) -> Iterator[None]:
    """Turn a failure to write into a message that says what is lost (nothing) and what to do."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{folder}: the fold could not be written ({error}). Free some space, or choose "
            "another results folder; finished folds are untouched, and the same command tries "
            "this one again"
        ) from error


@dataclasses.dataclass
class State:
    """How far a fold is.

    Attributes:
        epoch: Number of finished epochs.
        history: List of dicts, one per finished epoch.
        best_epoch: Number (from 1) of the epoch with the lowest validation loss so far; 0 for none.
        best_loss: Its validation loss.
        waited: Epochs since then.
        stopped: Whether patience has run out.
        seconds: Time spent on epochs in earlier processes.
    """

    epoch: int = 0
    history: list = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = float("inf")
    waited: int = 0
    stopped: bool = False
    seconds: float = 0.0


def write(
    folder: pathlib.Path, configuration_hash: str, state: State, network: Any, best: list | None
) -> None:
    """Write the checkpoint, whole or not at all.

    Args:
        folder: The fold's folder.
        configuration_hash: Of the fold's configuration.
        state: A `State`.
        network: The compiled network.
        best: Weights of the best epoch (list of arrays), or None.
    """
    arrays = {
        "weights": network.get_weights(),
        "optimizer": [variable.numpy() for variable in network.optimizer.variables],
        "best": best or [],
    }
    record = {"configuration_hash": configuration_hash, "state": dataclasses.asdict(state)}
    named = {
        f"{kind}-{number}": values
        for kind, several in arrays.items()
        for number, values in enumerate(several)
    }
    with writing(folder), replace_when_done(pathlib.Path(folder) / FILE) as path:
        np.savez(path, record=np.array(json.dumps(record)), **named)


def read(folder: pathlib.Path, configuration_hash: str) -> tuple[State, list, list, list] | None:
    """Return state, weights, optimizer and best weights of an unfinished fold, or None.

    Raises:
        ConfigurationError: The checkpoint belongs to another configuration.
    """
    path = pathlib.Path(folder) / FILE
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
        arrays = {
            kind: [file[f"{kind}-{number}"] for number in range(_count(file, kind))]
            for kind in ("weights", "optimizer", "best")
        }
    return State(**record["state"]), arrays["weights"], arrays["optimizer"], arrays["best"]


def remove(folder: pathlib.Path) -> None:
    """Delete the checkpoint of a fold that is finished."""
    (pathlib.Path(folder) / FILE).unlink(missing_ok=True)


def _count(file, kind):
    return sum(name.startswith(f"{kind}-") for name in file.files)
