"""Reading image files strictly, and resizing them.

Every image is uint8 RGB of shape (height, width, 3), values 0-255.
"""

import io
import pathlib
import struct
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import PIL.Image

SUFFIXES = {
    "BMP": (".bmp",),
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
}
MODES = {
    "RGB": "8-bit RGB",
    "1": "black and white",
    "L": "8-bit grayscale",
    "LA": "grayscale with transparency",
    "I": "32-bit grayscale",
    "I;16": "16-bit grayscale",
    "I;16B": "16-bit grayscale",
    "F": "floating-point grayscale",
    "P": "palette",
    "RGBA": "RGB with transparency",
    "CMYK": "CMYK",
}
IMAGES_PER_TASK = 16  # handing a task to a thread costs a tenth of reading an image
FETCH_AGAIN = (
    "Fetch the file again, or leave damaged images out when loading the data set (damaged='drop')."
)


class ImageError(ValueError):
    """A file is not the whole 8-bit RGB image it should be."""


def read(path, crop=None):
    """Read one BMP, PNG, TIFF or JPEG file.

    Args:
        path: The file.
        crop: Side in pixels of the square to take from the center; None takes the whole image.

    Returns:
        uint8 RGB array of shape (height, width, 3).

    Raises:
        ImageError: The file is empty, cut short, not an image, of another format than its name
            says, not 8-bit RGB, or smaller than ``crop``.
    """
    bgr, upside_down = _load(path, crop)
    return cv2.cvtColor(cv2.flip(bgr, 0) if upside_down else bgr, cv2.COLOR_BGR2RGB)


def read_mask(path):
    """Read a mask: a grayscale image file of 0 and 255.

    Returns:
        bool array of shape (height, width).

    Raises:
        ImageError: The file is damaged, or holds other values than 0 and 255.
    """
    path = pathlib.Path(path)
    pixels, kind = _decode(path.read_bytes(), path)
    if kind != "L" or not np.isin(pixels, (0, 255)).all():
        raise ImageError(
            f"{path}: is not a mask, expected an 8-bit grayscale image of 0 and 255 only, "
            f"found a {MODES.get(kind, kind)} image. Check the column `mask` of the cells."
        )
    return pixels > 0


def read_resized(path, size, crop=None):
    """Return ``resize(read(path, crop), size)``, sooner: rows and channels get their order late."""
    bgr, upside_down = _load(path, crop)
    return cv2.cvtColor(_resize(bgr, size, upside_down), cv2.COLOR_BGR2RGB)


def read_all(paths, size, crops=None, threads=2):
    """Read and resize many images.

    Args:
        paths: n files.
        size: Side of the results in pixels.
        crops: None, or n values as ``crop`` in :func:`read`.
        threads: Number of threads; the result does not depend on it.

    Returns:
        uint8 RGB array of shape (n, size, size, 3).

    Raises:
        ImageError: As :func:`read`, for the first file that cannot be read.
    """
    paths = list(paths)
    crops = [None] * len(paths) if crops is None else list(crops)
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def fill(start):
        for position in range(start, min(start + IMAGES_PER_TASK, len(paths))):
            images[position] = read_resized(paths[position], size, crops[position])

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fill, range(0, len(paths), IMAGES_PER_TASK)):
            pass
    return images


def resize(rgb, size):
    """Resize to a square; the aspect ratio is not kept.

    Shrinking averages over the area of each new pixel; enlarging interpolates linearly. Where a
    whole factor of 2 or more divides both sides, shrinking first averages whole blocks of pixels
    and interpolates linearly over what remains (a factor below 1.5): for the 450-pixel cells of
    C-NMC this takes a fifth of the time and leaves as little aliasing.

    Args:
        rgb: uint8 array of shape (height, width, 3).
        size: Side of the result in pixels.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    return _resize(rgb, size, upside_down=False)


def _resize(image, size, upside_down):
    height, width = image.shape[:2]
    factor = min(height, width) // size
    interpolation = cv2.INTER_AREA if factor else cv2.INTER_LINEAR
    if factor > 1 and height % factor == 0 and width % factor == 0:
        blocks = (width // factor, height // factor)
        image = cv2.resize(image, blocks, interpolation=cv2.INTER_AREA)
        interpolation = cv2.INTER_LINEAR
    if upside_down:  # here at last: the blocks are the same, and there are fewer of them
        image = cv2.flip(image, 0)
    return cv2.resize(image, (size, size), interpolation=interpolation)


def _load(path, crop):
    """Return the BGR and whether its last row comes first, as in most BMP files."""
    path = pathlib.Path(path)
    with path.open("rb", buffering=0) as file:
        data = file.read()
    if not data:
        raise ImageError(f"{path}: is empty (0 bytes), expected an image. {FETCH_AGAIN}")
    bgr = _plain_bmp(data, path)
    upside_down = bgr is not None
    if not upside_down:
        rgb, kind = _decode(data, path)
        if kind != "RGB":
            raise ImageError(
                f"{path}: is a {MODES.get(kind, kind)} image, expected 8-bit RGB. Check that the "
                "file belongs to this data set; if it does, convert it to 24-bit RGB."
            )
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if crop is None:
        return bgr, upside_down
    height, width = bgr.shape[:2]
    if crop > min(height, width):
        raise ImageError(
            f"{path}: is {width}x{height} pixels, too small for the center crop of {crop}x{crop}. "
            "Check that the file belongs to this data set."
        )
    top = (height - crop + upside_down) // 2  # rounded so that the same rows are taken
    left = (width - crop) // 2
    return bgr[top : top + crop, left : left + crop], upside_down


def _plain_bmp(data, path):
    """Return the pixels of an uncompressed 24-bit bottom-up BMP, or None for any other file.

    They are a view of ``data``: shape (height, width, 3), BGR, last row first.
    """
    if data[:2] != b"BM" or len(data) < 54:
        return None
    offset, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    if header < 40 or bits != 24 or compression != 0 or width <= 0 or height <= 0:
        return None
    _check_suffix("BMP", path)
    stride = (3 * width + 3) // 4 * 4
    expected = offset + stride * height
    if len(data) < expected:
        raise ImageError(
            f"{path}: is cut short: {len(data)} bytes found, {expected} expected for "
            f"{width}x{height} pixels. {FETCH_AGAIN}"
        )
    return np.ndarray((height, width, 3), np.uint8, data, offset, (stride, 3, 1))


def _decode(data, path):
    """Return the pixels and their kind; Pillow refuses truncated files, OpenCV fills them up."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=list(SUFFIXES)) as image:
            layout = str(image.tile)  # emptied by load()
            image.load()
    except PIL.UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: is not an image (it starts with {data[:8]!r}), expected "
            f"{', '.join(SUFFIXES)}. {FETCH_AGAIN}"
        ) from error
    except Exception as error:  # the decoders raise whatever the damage leads them into
        raise ImageError(
            f"{path}: is damaged or cut short ({error}); {len(data)} bytes found. {FETCH_AGAIN}"
        ) from error
    _check_suffix(image.format, path)
    # Pillow drops the lower eight bits of 16-bit RGB without a word.
    kind = "16-bit RGB" if image.mode == "RGB" and ";16" in layout else image.mode
    return np.array(image), kind


def _check_suffix(found, path):
    """Refuse a file whose name promises another of the known formats."""
    promised = next((name for name, ends in SUFFIXES.items() if path.suffix.lower() in ends), found)
    if found in SUFFIXES and promised != found:
        raise ImageError(
            f"{path}: holds a {found} image, expected {promised} by its name. Check that the file "
            f"belongs to this data set; if it does, rename it to {path.stem}{SUFFIXES[found][0]}."
        )
