"""Examine image files: does each decode in full, and what are its pixels' size and hash.

Each file is read once. What was found is kept in ``files.sqlite`` in the cache folder, by path,
size and time of modification, so that a second look at 10,000 files takes seconds.
"""

import collections
import concurrent.futures
import contextlib
import hashlib
import io
import pathlib
import sqlite3

import pandas as pd
from PIL import Image, UnidentifiedImageError

from leukkit.files import cache_dir, progress

FORMAT_OF_SUFFIX = {
    ".bmp": "BMP",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""The image formats of the data sets. A file must hold what its name says."""

RGB_LAYOUTS = {"RGB", "BGR", "R", "G", "B"}  # as stored, interleaved or in planes
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # length, name, no data, checksum
FILES_PER_COMMIT = 256

Finding = collections.namedtuple("Finding", ["sha256", "height", "width", "damage"])
Finding.__doc__ = """What was found in a file; None where unknown, damage None where all is well."""


def examine(paths, threads=2):
    """Decode every file in full and hash its pixels, or take both from the cache.

    Args:
        paths: Absolute paths of image files.
        threads: How many files to read and decode at the same time.

    Returns:
        A frame with one row per path, in their order. ``sha256``: the hash of the decoded pixels
        (see `pixel_hash`); ``height`` and ``width`` in pixels; ``damage``: why the file cannot be
        used. Hash and size are missing where the file cannot be decoded, ``damage`` where it can.

    Raises:
        OSError: A file cannot be read, or the cache cannot be written.
    """
    paths = [str(path) for path in paths]
    with contextlib.closing(_open_cache()) as cache:
        stamps = {path: _stamp(path) for path in paths}
        known = {path: _recall(cache, path, stamp) for path, stamp in stamps.items()}
        unknown = [path for path in known if known[path] is None]
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            batch = []
            for path, finding in progress(
                _in_batches(pool, unknown), "verifying images", total=len(unknown), unit="image"
            ):
                known[path] = finding
                batch.append((path, *stamps[path], *finding))
                if len(batch) == FILES_PER_COMMIT:
                    _remember(cache, batch)
                    batch = []
            _remember(cache, batch)
    findings = pd.DataFrame([known[path] for path in paths], columns=Finding._fields)
    text = pd.StringDtype("python")
    return findings.astype({"sha256": text, "height": "Int64", "width": "Int64", "damage": text})


def pixel_hash(rgb_bytes, height, width):
    """Return the SHA-256 of decoded pixels, as hexadecimal digits.

    Hashed are ``rgb8 <height>x<width>``, a line feed, and the pixels, row by row, one byte each of
    red, green and blue. The official BMP files all have the same header, so equal files and equal
    pixels are the same thing; and a data set re-encoded without loss as PNG keeps its hashes.
    """
    digest = hashlib.sha256(f"rgb8 {height}x{width}\n".encode())
    digest.update(rgb_bytes)
    return digest.hexdigest()


def look_into(path):
    """Decode one file in full and return its `Finding`."""
    path = pathlib.Path(path)
    return look_at(path.read_bytes(), path.suffix)


def look_at(data, suffix):
    """Decode the bytes of a file whose name ends in ``suffix`` and return its `Finding`."""
    if not data:
        return Finding(None, None, None, "empty file")
    try:
        with Image.open(io.BytesIO(data)) as image:
            damage = _damage_before_decoding(image, suffix, data)
            width, height = image.size
            pixels = b"" if damage else image.tobytes()
    except UnidentifiedImageError:
        return Finding(None, None, None, "not an image, or cut off within its header")
    except Exception as error:  # decoders raise almost anything on broken data
        return Finding(None, None, None, f"truncated or corrupt: {error}")
    if damage:
        return Finding(None, None, None, damage)
    return Finding(pixel_hash(pixels, height, width), height, width, None)


def _damage_before_decoding(image, suffix, data):
    """Return what is wrong with an opened image that decoding would let pass, or None."""
    expected_format = FORMAT_OF_SUFFIX[suffix.lower()]
    if image.format != expected_format:
        return f"named {suffix} but holds a {image.format}"
    if not image.tile:
        return "truncated or corrupt: no pixels"
    codec, _, offset, arguments = image.tile[0]
    layout = arguments if isinstance(arguments, str) else arguments[0]
    if image.mode != "RGB" or layout not in RGB_LAYOUTS:
        return f"wrong mode: {image.mode} stored as {layout}, 24-bit RGB was expected"
    if image.format == "BMP" and codec == "raw":
        row_bytes = arguments[1]
        if len(data) < offset + row_bytes * image.size[1]:
            return "truncated: fewer bytes than the header announces"
    if image.format == "PNG":
        with Image.open(io.BytesIO(data)) as again:
            again.verify()  # checksums, which decoding skips
        if PNG_END not in data[-64:]:
            return "truncated: the end of the PNG is missing"
    return None


def _in_batches(pool, paths):
    """Yield (path, finding) and keep few files waiting, so that an interrupt acts soon."""
    for start in range(0, len(paths), FILES_PER_COMMIT):
        part = paths[start : start + FILES_PER_COMMIT]
        yield from zip(part, pool.map(look_into, part), strict=True)


def _stamp(path):
    status = pathlib.Path(path).stat()
    return status.st_size, status.st_mtime_ns


def _open_cache():
    path = cache_dir() / "files.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        cache = sqlite3.connect(path, timeout=60)
        with cache:
            cache.execute(
                "CREATE TABLE IF NOT EXISTS findings_1 (path TEXT PRIMARY KEY, size INTEGER,"
                " mtime_ns INTEGER, sha256 TEXT, height INTEGER, width INTEGER, damage TEXT)"
            )
    except (OSError, sqlite3.Error) as error:
        raise OSError(
            f"cannot use the cache of file hashes {path}: {error}. Delete that file if it is "
            "broken, or set LEUKKIT_CACHE_DIR to a folder you may write to"
        ) from error
    return cache


def _recall(cache, path, stamp):
    row = cache.execute(
        "SELECT sha256, height, width, damage FROM findings_1"
        " WHERE path = ? AND size = ? AND mtime_ns = ?",
        (path, *stamp),
    ).fetchone()
    return row and Finding(*row)


def _remember(cache, rows):
    with cache:
        cache.executemany("INSERT OR REPLACE INTO findings_1 VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def images_named(files, pattern):
    """Return the paths that have an image's suffix and a stem that matches all of ``pattern``."""
    return [
        path
        for path in files
        if path.suffix.lower() in FORMAT_OF_SUFFIX and pattern.fullmatch(path.stem)
    ]
