"""Files are written whole or not at all."""

import contextlib
import pathlib
import uuid


@contextlib.contextmanager
def replace_when_done(path):
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block ends well.

    A run that dies inside the block leaves the old file, or none, but never half a file.

    Raises:
        OSError: The folder cannot be made or written to; the message names it.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)  # with the permissions of any new file
    except OSError as error:
        raise type(error)(
            error.errno,
            f"cannot write into {path.parent}: {error.strerror}. "
            "Choose a folder you may write to (results: --results-dir; cache: LEUKKIT_CACHE_DIR)",
            str(path),
        ) from error
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
