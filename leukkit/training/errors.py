"""What can go wrong in training."""

import contextlib


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says where, and what to do."""


@contextlib.contextmanager
def writing(folder):
    """Turn a failure to write into a message that says what is lost (nothing) and what to do."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{folder}: the fold could not be written ({error}). Free some space, or choose "
            "another results folder; finished folds are untouched, and the same command tries "
            "this one again"
        ) from error
