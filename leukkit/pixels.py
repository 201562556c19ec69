"""The pixels of a data set, decoded, resized and augmented once, then read from one file."""

import errno
import hashlib
import io
import os
import pathlib
import shutil
import warnings

import numpy as np

from leukkit import files
from leukkit.files import progress, replace_when_done
from leukkit.preprocessing import prepare

CHUNK_BYTES = 64 * 2**20  # prepared at once


class Pixels:
    """The images of a cells frame, as an array that stays on disk.

    The file is mapped into memory, not read: the operating system keeps what fits and fetches the
    rest again, so one code path serves data sets smaller and larger than the memory, and folds
    that run side by side share one copy of the pages. Pickled by its path, not by its content.

    Indexed like an array by a position, a slice or an array of positions; the result is an
    ordinary uint8 array.

    Attributes:
        path: The file, an array of the distinct images.
        rows: int (n,), which of them each row of the cells frame is.
        shape: (n, image_size, image_size, 3).
        dtype: uint8.
    """

    def __init__(self, path, rows):
        self.path = path
        self.rows = rows
        self._distinct = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        self.shape = (len(rows), *self._distinct.shape[1:])
        self.dtype = self._distinct.dtype

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, positions):
        return np.take(self._distinct, self.rows[positions], axis=0)  # always a copy

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("the pixels lie in a file; they cannot become an array uncopied")
        return np.asarray(self[:], dtype)

    def __reduce__(self):
        return Pixels, (self.path, self.rows)


def load(cells, preparation, cache_dir=None):
    """Return the pixels of every row, from the cache where they are there.

    The cached file belongs to the set of distinct images and to all that is done to them:
    identical images are stored once, and neither the order of the rows nor the paths matter. With
    the file in the cache no image is read.

    Args:
        cells: The cells frame (with ``original`` and ``copy`` if it was expanded).
        preparation: A :class:`leukkit.preprocessing.Preparation`.
        cache_dir: Folder of the cache; None for ``pixels`` in ``leukkit``'s own cache.

    Returns:
        :class:`Pixels` of shape (len(cells), image_size, image_size, 3), uint8 RGB.

    Raises:
        ValueError: No rows, or a row without hash.
        leukkit.images.ImageError: An image cannot be read, or is gone; nothing is written then.
        leukkit.segmentation.SegmentationError: As :func:`leukkit.preprocessing.prepare`.
        OSError: The cache folder cannot be written to, or has too little space.
    """
    if not len(cells):
        raise ValueError("no images to load: the cells frame has no rows")
    if cells["sha256"].isna().any():
        raise ValueError(
            f"{cells['sha256'].isna().sum()} images have no hash in the column sha256; "
            "load the cells with leukkit.datasets.load"
        )
    keys = np.array(
        [
            hashlib.sha256(f"{file_hash}\n{steps}".encode()).hexdigest()
            for file_hash, steps in zip(
                cells["sha256"], preparation.descriptions(cells), strict=True
            )
        ]
    )
    distinct, first, rows = np.unique(keys, return_index=True, return_inverse=True)
    folder = pathlib.Path(cache_dir) if cache_dir else files.cache_dir() / "pixels"
    digest = hashlib.sha256("".join(distinct).encode()).hexdigest()[:16]
    path = folder / f"{len(distinct)}x{preparation.image_size}-{digest}.npy"
    if not _is_whole(path, len(distinct), preparation.image_size):
        _write(path, cells.iloc[first], preparation)
    return Pixels(path, rows)


def channel_statistics(pixels, positions):
    """Return the mean and standard deviation of each color channel, over all pixels.

    For the z-score of Patel et al. 2025, Equation 1; fitted on training images only.

    Args:
        pixels: uint8 (n, height, width, 3), a :class:`Pixels` or an array.
        positions: Of the images to use.

    Returns:
        Two float64 arrays of shape (3,), in units of 0-255.
    """
    values = np.arange(256.0)
    counts = np.zeros((3, 256), np.int64)  # exact, whatever the chunks
    for chunk in _chunks(np.asarray(positions), pixels.shape[1]):
        images = pixels[chunk]
        counts += [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    total = counts.sum(axis=1)
    mean = counts @ values / total
    squares = np.sum(counts * (values - mean[:, None]) ** 2, axis=1)
    return mean, np.sqrt(squares / total)


def _is_whole(path, images, size):
    """Return whether the file is there; warn if it is there but not what was written."""
    if not path.exists():
        return False
    expected = len(_header(images, size)) + images * size * size * 3
    found = path.stat().st_size
    if found != expected:
        warnings.warn(
            f"the cached pixels in {path} are damaged ({found} bytes, expected {expected}); "
            "they are made again",
            stacklevel=3,
        )
    return found == expected


def _header(images, size):
    """Return the bytes that a NumPy file of uint8 (images, size, size, 3) starts with."""
    buffer = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (images, size, size, 3)}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()


def _write(path, cells, preparation):
    """Prepare the images and write them, whole or not at all.

    By ordinary writing, not through a memory map: there a full disk would kill the process.
    """
    size = preparation.image_size
    header = _header(len(cells), size)
    chunks = _chunks(np.arange(len(cells)), size)
    with replace_when_done(path) as temporary:
        _check_space(path, len(header) + len(cells) * size * size * 3)
        try:
            with temporary.open("wb") as file:
                file.write(header)
                for chunk in progress(chunks, "reading images", unit="chunk"):
                    file.write(prepare(cells.iloc[chunk], preparation).data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _no_space(path, error.strerror) from error


def _check_space(path, needed):
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise _no_space(path, f"{free / 1e6:.0f} MB are free, {needed / 1e6:.0f} MB needed")


def _no_space(path, found):
    return OSError(
        errno.ENOSPC,
        f"not enough space for the prepared images: {found}. Nothing was kept; free some space, "
        "or set LEUKKIT_CACHE_DIR to a folder on a larger disk",
        os.fspath(path),
    )


def _chunks(positions, size):
    """Return the positions in pieces whose images fill ``CHUNK_BYTES`` at most."""
    at_once = max(1, CHUNK_BYTES // (size * size * 3))
    return [positions[start : start + at_once] for start in range(0, len(positions), at_once)]
