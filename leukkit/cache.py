"""Computed rows on disk (pixels, features, feature maps): safe to share, and to lose half of.

A folder of shards. A shard is one NumPy file of keys and rows, named by the SHA-256 of its own
bytes and never changed: two runs cannot write different things under one name, a reader sees
whether what it reads is what was written, and a run that dies leaves its finished shards.

Rows of floating-point numbers are finite. A shard with other ones, of another version or a
stranger, counts as damaged.
"""

import contextlib
import errno
import hashlib
import io
import os
import pathlib
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import filelock
import numpy as np
from numpy.typing import DTypeLike

from leukkit import files

SHARD_ROWS, SHARD_BYTES = 512, 32 * 2**20  # at most; what a run that dies can lose
SHARDS = "[0-9a-f]*.npy"  # the temporary files of a running write begin with a dot
_verified: set[tuple] = set()  # the shards whose bytes this process has hashed


class Rows:
    """Rows of a cache, as an array that stays on disk.

    The shards are mapped into memory, not read: the operating system keeps what fits and fetches
    the rest again, so one code path serves data sets smaller and larger than the memory, and folds
    that run side by side share one copy of the pages. Pickled by its paths, not by its content.

    Indexed like an array by a position, a slice or an array of positions; the result is an
    ordinary array of its own.

    Attributes:
        paths: The shards.
        places: int32 (n, 2), for each row the number of its shard and its place in there.
        shape: (n, …).
        dtype: Of the rows.
    """

    def __init__(self, paths: list[pathlib.Path], places: np.ndarray, row: np.dtype):
        self.paths, self.places = paths, places
        self.shape, self.dtype = (len(places), *row.shape), row.base
        self._row, self._shards = row, [_open(path, row)["rows"][0] for path in paths]
        for path, shard in zip(paths, self._shards, strict=True):
            _verify(path, shard)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, positions) -> np.ndarray:
        chosen = self.places[positions]
        found = np.empty((*chosen.shape[:-1], *self.shape[1:]), self.dtype)
        for index in np.ndindex(chosen.shape[:-1]):
            shard, place = chosen[index]
            found[index] = self._shards[shard][place]
        return found

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if copy is False:
            raise ValueError("the rows lie in files; they cannot become an array uncopied")
        return np.asarray(self[:], dtype)

    def __reduce__(self):
        return Rows, (self.paths, self.places, self._row)


def rows(
    folder: pathlib.Path,
    keys: Sequence[bytes],
    make: Callable[[list[int]], Iterable[np.ndarray]],
    shape: Sequence[int],
    dtype: DTypeLike,
    description: str = "computing",
) -> Rows:
    """Return one row for each key, from the cache where it is there.

    Of two processes that miss rows of one folder, one waits for what the other makes.

    Args:
        folder: The cache folder; made if missing. All of its rows have one shape and type.
        keys: 32 bytes each, that tell all that the row depends on. Equal keys share one row.
        make: Given positions in ``keys`` of missing rows, at most a shard of them, gives their
            rows in this order, in pieces of one or more.
        shape: Of a row.
        dtype: Of the rows.
        description: Of the work, for its progress.

    Raises:
        OSError: The folder cannot be written to, or has too little space.
    """
    row = np.dtype((dtype, tuple(shape)))
    first = {key: position for position, key in reversed([*enumerate(keys)])}
    paths, places = _find(folder, first, row)
    if len(places) < len(first):
        with _alone(folder):
            paths, places = _find(folder, first, row)
            missing = sorted(position for key, position in first.items() if key not in places)
            _check_space(folder, len(missing) * (row.itemsize + 32))
            with files.bar(len(missing), description, unit="image") as bar:
                at_once = max(1, min(SHARD_ROWS, SHARD_BYTES // row.itemsize))
                for start in range(0, len(missing), at_once):
                    chosen = missing[start : start + at_once]
                    shard = _filled([keys[at] for at in chosen], make(chosen), row, bar)
                    places |= {keys[at]: (len(paths), i) for i, at in enumerate(chosen)}
                    paths.append(_write(folder, shard))
    return Rows(paths, np.array([places[key] for key in keys], np.int32).reshape(-1, 2), row)


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    """Make the folder if it is missing, and let no other process fill it meanwhile."""
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(filelock.FileLock(folder / ".lock"))
        except OSError as error:
            raise _unwritable(folder, error.errno, error.strerror) from error
        yield


def _find(folder, wanted, row):
    """Return the shards that hold wanted keys, and for each key found its shard and place."""
    paths, places = [], {}
    for path in sorted(folder.glob(SHARDS)):
        try:
            shard = _open(path, row)
            keys = enumerate(shard["keys"][0].tolist())
            held = {key: i for i, key in keys if key in wanted and key not in places}
            if held:  # a shard that this run does not need is not read through
                _verify(path, shard["rows"])
                places |= {key: (len(paths), i) for key, i in held.items()}
                paths.append(path)
        except FileNotFoundError:  # another run has just found it damaged
            pass
        except ValueError:
            warnings.warn(
                f"the cached rows in {path} are damaged; deleted, computed again", stacklevel=3
            )
            path.unlink(missing_ok=True)
    return paths, places


def _type(number, row):
    return np.dtype([("keys", "V32", (number,)), ("rows", row, (number,))])


def _filled(keys, pieces, row, bar):
    """Return a shard, an array of one record: all keys, then all rows."""
    shard, done = np.empty(1, _type(len(keys), row)), 0
    shard["keys"] = np.frombuffer(b"".join(keys), "V32")
    for made in pieces:
        shard["rows"][0, done : done + len(made)] = made
        done += len(made)
        bar.update(len(made))
    return shard


def _open(path, row):
    """Map a shard into memory."""
    try:
        shard = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        if shard.shape == (1,) and shard.dtype == _type(len(shard["keys"][0]), row):
            return shard
    except OSError:
        raise
    except Exception as error:  # NumPy raises whatever the damage leads it into
        raise _damaged(path) from error
    raise _damaged(path)


def _verify(path, rows):
    """Refuse a shard without the hash of its name, or with NaN; looked at once in a process."""
    status = path.stat()
    version = path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    if version not in _verified:
        with path.open("rb") as file:
            is_whole = hashlib.file_digest(file, "sha256").hexdigest() == path.stem
        if not (is_whole and np.isfinite(rows).all()):
            raise _damaged(path)
        _verified.add(version)


def _write(folder, shard):
    """Write a shard, whole or not at all, and return its path."""
    buffer = io.BytesIO()
    np.save(buffer, shard)
    path = folder / f"{hashlib.sha256(buffer.getbuffer()).hexdigest()}.npy"
    with files.replace_when_done(path) as temporary:
        try:  # by ordinary writing, not through a memory map: a full disk would kill the process
            temporary.write_bytes(buffer.getbuffer())
        except OSError as error:
            raise _unwritable(folder, error.errno, error.strerror) from error
    return path


def _check_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        found = f"{free / 1e6:.0f} MB are free, {needed / 1e6:.0f} MB needed"
        raise _unwritable(folder, errno.ENOSPC, found)


def _unwritable(folder, number, found):
    is_full = number in (errno.ENOSPC, errno.EDQUOT)
    return OSError(
        number,
        f"{'not enough space for' if is_full else 'cannot write'} the cache: {found}. What was "
        f"finished is kept; {'free some space, or ' * is_full}set LEUKKIT_CACHE_DIR to another "
        "folder that you may write to",
        os.fspath(folder),
    )


def _damaged(path):
    return ValueError(f"the cached rows in {path} are damaged; load them again")
