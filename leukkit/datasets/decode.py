"""Image files: what a readable one is, its pixels, their hash, and resizing.

A readable image is a BMP, JPEG, PNG, TIFF or WebP file that holds what its name says, one upright
picture, is whole, and has 8 bits each of red, green and blue. Every image is uint8 RGB of shape
(height, width, 3). Whether 8 bits of gray will do as well is asked once, where files are verified;
then they are read as three equal channels.
"""

import collections
import contextlib
import hashlib
import io
import os
import pathlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import PIL.ExifTags
import PIL.Image

from leukkit.files import progress

FilePath = str | os.PathLike

SUFFIXES = {
    ".bmp": "BMP",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
BEGINNINGS = (b"BM", b"\xff\xd8", b"\x89PNG", b"II*\0", b"MM\0*", b"RIFF")  # of such files
MODES = {
    "1": "black and white",
    "L": "grayscale",
    "LA": "grayscale with transparency",
    "F": "floating-point grayscale",
    "I": "32-bit grayscale",
    "I;16": "16-bit grayscale",
    "P": "palette",
    "RGBA": "RGB with transparency",
}
RGB_LAYOUTS = {"RGB", "BGR", "R", "G", "B"}  # 8 bits each, interleaved or in planes
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # length, name, no data, checksum
# 150 MB as RGB, of which two threads hold some copies: ten times a microscope camera's picture.
LARGEST = 50_000_000  # pixels
FILES_AT_ONCE = 256  # between two steps of the progress
FILES_PER_TASK = 16  # handing a task to a thread costs a tenth of reading an image
FETCH_AGAIN = (
    "Fetch the file again, or leave unusable images out when loading the data set (damaged='drop')."
)
ASK_FOR_GRAY = ", or write gray = true into the leukkit.toml of a folder of your own"


class ImageError(ValueError):
    """A file is not the whole 8-bit RGB image it should be."""


class Finding(NamedTuple):
    """What is known of a file; hash and size are None where it is damaged."""

    sha256: str | None
    height: int | None
    width: int | None
    damage: str | None


def read(path: FilePath, crop: int | None = None) -> np.ndarray:
    """Read one file.

    Args:
        path: The file.
        crop: Side in pixels of the square to take from the center; None takes the whole image.

    Raises:
        ImageError: The file is empty, cut short, too large, not an image, of another format than
            its name says, several pictures, not upright, not 8-bit RGB or gray, or smaller than
            ``crop``.
    """
    with _naming(path) as path:
        rgb = decode(_content(path), path.suffix)
    return center(rgb, crop, path)


def center(rgb: np.ndarray, crop: int | None, path: FilePath) -> np.ndarray:
    """Return the square of side ``crop`` in the center of the pixels of a file, as `read`."""
    if crop is None:
        return rgb
    height, width = rgb.shape[:2]
    if crop > min(height, width):
        raise ImageError(
            f"{path}: is {width}x{height} pixels, too small for the center crop of {crop}x{crop}. "
            "Check that the file belongs to this data set."
        )
    top, left = (height - crop) // 2, (width - crop) // 2
    return rgb[top : top + crop, left : left + crop]


def read_all(
    paths: Iterable[FilePath], size: int, crops: list[int | None] | None = None, threads: int = 2
) -> np.ndarray:
    """Read and resize n files on some threads: uint8 (n, size, size, 3).

    Raises:
        ImageError: As `read`, for the first file that cannot be read.
    """
    paths = list(paths)
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def fill(image: np.ndarray, path: FilePath, crop: int | None) -> None:
        image[:] = resize(read(path, crop), size)

    jobs = list(zip(images, paths, crops or [None] * len(paths), strict=True))
    collections.deque(on_threads(fill, jobs, threads), maxlen=0)
    return images


def on_threads(work: Callable, jobs: Sequence[tuple], threads: int = 2) -> Iterator:
    """Yield what ``work(*job)`` gives for each job, in their order; one that fails ends all."""
    tasks = [jobs[start : start + FILES_PER_TASK] for start in range(0, len(jobs), FILES_PER_TASK)]
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map(lambda task: [work(*job) for job in task], tasks):
            yield from done


def read_mask(path: FilePath) -> np.ndarray:
    """Read a mask, a grayscale file of 0 and 255: bool (height, width).

    Raises:
        ImageError: The file is damaged, or holds other values than 0 and 255.
    """
    with _naming(path) as path:
        pixels, kind = _open(_content(path), path.suffix)
        if kind != MODES["L"] or not np.isin(pixels, (0, 255)).all():
            raise ImageError(
                f"is not a mask, expected grayscale of 0 and 255 only, found {kind}: check the "
                "column `mask` of the cells"
            )
    return pixels > 0


def decode(data: bytes, suffix: str, gray: bool = True) -> np.ndarray:
    """Return the pixels of the bytes of a file whose name ends in ``suffix``.

    ``gray`` tells whether 8 bits of gray are turned into RGB, or refused.

    Raises:
        ImageError: As `read`; names the damage, but no file.
    """
    if not data:
        raise ImageError("is empty (0 bytes), expected an image")
    rgb = _plain_bmp(data, suffix)
    if rgb is not None:
        return rgb
    rgb, kind = _open(data, suffix)
    if kind == MODES["L"] and gray:
        return cv2.cvtColor(rgb, cv2.COLOR_GRAY2RGB)
    if kind != "RGB":
        raise ImageError(
            f"holds {kind} pixels, expected 8-bit RGB: convert it to that if it belongs to this "
            "data set" + ASK_FOR_GRAY * (kind == MODES["L"])
        )
    return rgb


def pixel_hash(rgb: np.ndarray) -> str:
    """Return the SHA-256 of decoded pixels, as hexadecimal digits.

    Hashed are ``rgb8 <height>x<width>``, a line feed, and the pixels, row by row, one byte each of
    red, green and blue. The official BMP files all have the same header, so equal files and equal
    pixels are the same thing; and a data set re-encoded without loss as PNG keeps its hashes.
    """
    digest = hashlib.sha256(f"rgb8 {rgb.shape[0]}x{rgb.shape[1]}\n".encode())
    digest.update(rgb.tobytes())
    return digest.hexdigest()


def verify(path: FilePath, gray: bool = False) -> Finding:
    """Decode one file in full and hash its pixels; what cannot be read counts as damaged.

    So does gray, unless it is asked for.
    """
    path = pathlib.Path(path)
    try:
        rgb = decode(_content(path), path.suffix, gray)
    except ImageError as error:
        return Finding(None, None, None, str(error))
    except OSError as error:
        link = f", a link to {path.readlink()}" if path.is_symlink() else ""
        return Finding(None, None, None, f"cannot be read: {error.strerror}{link}")
    return Finding(pixel_hash(rgb), rgb.shape[0], rgb.shape[1], None)


def size(path: FilePath) -> tuple[int, int]:
    """Return width and height in pixels; only the header of the file is read."""
    with PIL.Image.open(path) as image:
        return image.size


def verify_all(paths: Iterable[FilePath], threads: int = 2, gray: bool = False) -> pd.DataFrame:
    """Verify files on some threads, each as `verify`.

    Returns:
        A frame with one row per path, in their order: the fields of `Finding`.
    """
    jobs = [(path, gray) for path in paths]
    found: list[Finding] = []
    starts = range(0, len(jobs), FILES_AT_ONCE)
    for start in progress(starts, f"verifying {len(jobs)} images", unit="part"):
        found += on_threads(verify, jobs[start : start + FILES_AT_ONCE], threads)
    findings = pd.DataFrame(found, columns=Finding._fields)
    text = pd.StringDtype("python")
    return findings.astype({"sha256": text, "height": "Int64", "width": "Int64", "damage": text})


def resize(rgb: np.ndarray, size: int) -> np.ndarray:
    """Resize to a square of ``size`` pixels; the aspect ratio is not kept.

    Shrinking averages over the area of each new pixel; enlarging interpolates linearly. Where a
    whole factor of 2 or more divides both sides, shrinking first averages whole blocks of pixels
    and interpolates linearly over what remains (a factor below 1.5): for the 450-pixel cells of
    C-NMC this takes a fifth of the time and leaves as little aliasing.
    """
    height, width = rgb.shape[:2]
    factor = min(height, width) // size
    interpolation = cv2.INTER_AREA if factor else cv2.INTER_LINEAR
    if factor > 1 and height % factor == 0 and width % factor == 0:
        blocks = (width // factor, height // factor)
        rgb = cv2.resize(rgb, blocks, interpolation=cv2.INTER_AREA)
        interpolation = cv2.INTER_LINEAR
    return cv2.resize(rgb, (size, size), interpolation=interpolation)


@contextlib.contextmanager
def _naming(path: FilePath) -> Iterator[pathlib.Path]:
    """Put the file's name before what an `ImageError` of the block says, and advice behind it."""
    try:
        yield pathlib.Path(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}. {FETCH_AGAIN}") from error


def _content(path: pathlib.Path) -> bytes:
    with path.open("rb", buffering=0) as file:  # a buffer costs a copy
        size, most = os.fstat(file.fileno()).st_size, 4 * LARGEST
        if size > most:
            raise ImageError(f"is too large: {size:,} bytes, at most {most:,} are read")
        return file.read()


def _check_size(width: int, height: int) -> None:
    if width * height > LARGEST:
        raise ImageError(
            f"is too large: {width:,} x {height:,} pixels, at most {LARGEST:,} are decoded. Cut "
            "out what is meant"
        )


def _plain_bmp(data: bytes, suffix: str) -> np.ndarray | None:
    """Return the pixels of an uncompressed 24-bit BMP, sooner than Pillow; None for other files."""
    if data[:2] != b"BM" or len(data) < 54:
        return None
    offset, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    if header == 12:  # the oldest form
        (width, height, _, bits), compression = struct.unpack_from("<HHHH", data, 18), 0
    elif header < 40:
        return None
    if bits != 24 or compression != 0 or width <= 0 or height == 0 or offset < 14 + header:
        return None
    _check_suffix("BMP", suffix)
    _check_size(width, abs(height))
    stride = (3 * width + 3) // 4 * 4
    expected = offset + stride * abs(height)
    if len(data) < expected:
        raise ImageError(
            f"is cut short: {len(data)} bytes found, {expected} expected for "
            f"{width}x{abs(height)} pixels"
        )
    bgr = np.ndarray((abs(height), width, 3), np.uint8, data, offset, (stride, 3, 1))
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return cv2.flip(rgb, 0, dst=rgb) if height > 0 else rgb  # mostly the last row comes first


def _open(data: bytes, suffix: str) -> tuple[np.ndarray, str]:
    """Return the pixels and their kind; Pillow refuses truncated files, OpenCV fills them up."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(*image.size)
            tiles = [*image.tile]  # emptied by load()
            turned = image.getexif().get(PIL.ExifTags.Base.Orientation)  # TIFF: gone after load()
            pictures = getattr(image, "n_frames", 1)
            image.load()
        if image.format == "PNG":
            with PIL.Image.open(io.BytesIO(data)) as again:
                again.verify()  # checksums, which decoding skips
    except PIL.UnidentifiedImageError as error:
        found = "is not an image of a format that is read"
        if data.startswith(BEGINNINGS):
            found = "is damaged in its first bytes, or has a kind of pixels that is not read"
        raise ImageError(
            f"{found} (it starts with {data[:8]!r}), expected {', '.join(FORMATS)} of 8-bit RGB"
        ) from error
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"is too large: {error}") from error
    except ImageError:
        raise
    except Exception as error:  # the decoders raise whatever the damage leads them into
        raise ImageError(f"is damaged or cut short ({error}): {len(data)} bytes found") from error
    if pictures > 1 or turned in range(2, 9):
        found = f"{pictures} pictures" if pictures > 1 else f"one to turn (EXIF {turned})"
        raise ImageError(
            f"holds {found}, expected one upright picture: save what is meant as a file of its own"
        )
    _check_suffix(image.format, suffix)
    if image.format == "PNG" and PNG_END not in data[-64:]:
        raise ImageError("is cut short: the end of the PNG is missing")
    arguments = tiles[0][3] or ("",) if tiles else "RGB"  # WebP has 8 bits and no tiles
    layout = arguments if isinstance(arguments, str) else arguments[0]
    if image.mode == "RGB" and layout not in RGB_LAYOUTS:  # which Pillow converts to 8 bits
        return np.array(image), "16-bit RGB" if ";16" in layout else f"RGB stored as {layout}"
    return np.array(image), MODES.get(image.mode, image.mode)


def _check_suffix(found: str | None, suffix: str) -> None:
    expected = SUFFIXES.get(suffix.lower(), found)
    if found != expected:
        ending = next(ending for ending, name in SUFFIXES.items() if name == found)
        raise ImageError(
            f"holds a {found} image, expected {expected} by its name: rename it to end in {ending} "
            "if it belongs to this data set"
        )
