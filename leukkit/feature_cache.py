"""Computed features on disk: safe to share between runs, and to lose half of.

A folder of shards. A shard is one NumPy file of keys and feature rows, named by the SHA-256 of its
own bytes and never changed: two runs cannot write different things under one name, a reader sees
whether what it read is what was written, and a run that dies leaves its finished shards.
"""

import hashlib
import io
import warnings

import numpy as np

from leukkit.files import replace_when_done

SHARD_ROWS = 512  # what a run that dies can lose
SHARDS = "[0-9a-f]*.npy"  # the temporary files of a running write begin with a dot


def read(folder, keys, table):
    """Copy the cached rows of ``keys`` into ``table``.

    A shard whose content does not have the hash in its name is reported by a warning and deleted.

    Args:
        folder: The cache folder; it need not exist.
        keys: One 32-byte key for each row of ``table``, each only once.
        table: float32 (keys, features), written to.

    Returns:
        bool (keys,), which rows were found.
    """
    found = np.zeros(len(keys), bool)
    rows = {key: row for row, key in enumerate(keys)}
    for path in sorted(folder.glob(SHARDS)):
        shard = _read_shard(path)
        if shard is None:
            continue
        wanted = [(rows[key], i) for i, key in enumerate(_split(shard["key"])) if key in rows]
        if wanted:
            targets, sources = np.array(wanted).T
            table[targets] = shard["features"][sources]
            found[targets] = True
    return found


def write(folder, keys, features):
    """Write one shard.

    Args:
        folder: The cache folder; made if missing.
        keys: 32-byte keys, one for each row.
        features: float32 (keys, number of features).

    Raises:
        OSError: The folder cannot be written to; the message names it.
    """
    shard = np.empty(len(keys), [("key", "V32"), ("features", "<f4", features.shape[1:])])
    shard["key"] = np.frombuffer(b"".join(keys), "V32")
    shard["features"] = features
    buffer = io.BytesIO()
    np.save(buffer, shard)
    content = buffer.getvalue()
    with replace_when_done(folder / f"{hashlib.sha256(content).hexdigest()}.npy") as path:
        path.write_bytes(content)


def _read_shard(path):
    """Return the content of a shard, or None if it is damaged or another run just deleted it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() != path.stem:
        warnings.warn(
            f"the cached features in {path} are damaged; deleted, they are computed again",
            stacklevel=4,
        )
        path.unlink(missing_ok=True)
        return None
    return np.load(io.BytesIO(content), allow_pickle=False)


def _split(keys):
    """Return a V32 array as a list of bytes."""
    text = keys.tobytes()
    return [text[start : start + 32] for start in range(0, len(text), 32)]
