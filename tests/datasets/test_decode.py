import io
import os
import struct
import zlib

import cv2
import numpy as np
import pandas as pd
import PIL.ExifTags
import PIL.Image
import pytest

from leukkit.datasets import decode
from leukkit.datasets.decode import ImageError
from tests.datasets.trees import draw, write

pytestmark = pytest.mark.usefixtures("own_cache")


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def rgb():
    return noise(31, 22)


def bmp_bytes(rgb, form="bottom up"):
    """Write the format by hand: header, BGR rows padded to four bytes."""
    height, width = rgb.shape[:2]
    rows = rgb[:, :, ::-1] if form == "top down" else rgb[::-1, :, ::-1]
    padding = b"\xaa" * (-3 * width % 4)
    body = b"".join(row.tobytes() + padding for row in rows)
    rest = struct.pack("<IHHHH", 12, width, height, 1, 24)
    if form != "OS/2":
        height = -height if form == "top down" else height
        rest = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(body), 0, 0, 0, 0)
    offset = 14 + len(rest)
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + rest + body


def save(path, rgb, mode="RGB", **options):
    PIL.Image.fromarray(rgb).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["bmp", "png", "tif", "TIFF"])
def test_lossless_formats_give_the_pixels_that_were_written(tmp_path, rgb, suffix):
    path = save(tmp_path / f"image.{suffix}", rgb)
    found = decode.read(path)
    np.testing.assert_array_equal(found, rgb)
    assert found.dtype == np.uint8
    assert decode.verify(path) == (decode.pixel_hash(rgb), 31, 22, None)


def test_webp_is_read_whole_and_still_alone(tmp_path, rgb):
    path = save(tmp_path / "image.webp", rgb, lossless=True)
    np.testing.assert_array_equal(decode.read(path), rgb)
    path.write_bytes(path.read_bytes()[:-9])
    assert "damaged or cut short" in str(decode.verify(path).damage)
    moving = [PIL.Image.fromarray(one) for one in (rgb, rgb[::-1].copy())]
    moving[0].save(path, save_all=True, append_images=moving[1:])
    assert "holds 2 pictures" in str(decode.verify(path).damage)


def test_jpeg_gives_rgb_in_the_right_order(tmp_path):
    orange = np.full((16, 16, 3), (250, 120, 10), np.uint8)
    found = decode.read(save(tmp_path / "orange.jpg", orange, quality=95))
    assert np.abs(found.astype(int) - orange).max() < 6


@pytest.mark.parametrize("form", ["bottom up", "top down", "OS/2"])
@pytest.mark.parametrize("width", [20, 21, 22, 23])  # every length of row padding
def test_bmp_rows_padding_and_channel_order(width, form):
    rgb = noise(7, width, seed=width)
    data = bmp_bytes(rgb, form)
    np.testing.assert_array_equal(decode.decode(data, ".bmp"), rgb)
    np.testing.assert_array_equal(PIL.Image.open(io.BytesIO(data)), rgb)
    with pytest.raises(ImageError, match=f"{len(data) - 1} bytes found, {len(data)} expected"):
        decode.decode(data[:-1], ".bmp")


def test_the_hash_is_of_shape_and_pixels():
    """By hand: printf 'rgb8 1x2\\n\\1\\2\\3\\4\\5\\6' | sha256sum."""
    pixels = np.arange(1, 7, dtype=np.uint8)
    hashed = "8a81abdc98a2481ee13b19ef1ab46a9a7a2fa72e702d2ebc04036a4f8b0967e6"
    assert decode.pixel_hash(pixels.reshape(1, 2, 3)) == hashed
    assert decode.pixel_hash(pixels.reshape(2, 1, 3)) != hashed


def test_a_bmp_whose_header_reaches_into_its_pixels_is_damaged():
    data = bytearray(bmp_bytes(np.zeros((9, 9, 3), np.uint8)))
    data[15] = 0x6D  # of the header's size: 27,944 bytes in place of 40
    with pytest.raises(ImageError, match="damaged"):
        decode.decode(bytes(data), ".bmp")


@pytest.mark.parametrize("suffix", ["bmp", "png"])
@pytest.mark.parametrize("crop", [22, 21, 16, 5])
def test_crop_is_the_center_whatever_the_format(tmp_path, rgb, suffix, crop):
    found = decode.read(save(tmp_path / f"image.{suffix}", rgb), crop)
    top, left = (31 - crop) // 2, (22 - crop) // 2
    np.testing.assert_array_equal(found, rgb[top : top + crop, left : left + crop])


def test_crop_larger_than_the_image(tmp_path, rgb):
    with pytest.raises(ImageError, match=r"image\.png: is 22x31 .* crop of 23x23"):
        decode.read(save(tmp_path / "image.png", rgb), 23)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".bmp", {}),
        (".png", {}),
        (".jpg", {}),
        (".jpg", {"progressive": True}),
        (".tif", {}),
        (".tif", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_every_cut_of_a_file_is_noticed(suffix, options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(draw(1, 17)).save(buffer, decode.SUFFIXES[suffix], **options)
    whole = buffer.getvalue()
    assert decode.decode(whole, suffix).shape == (17, 17, 3)
    for length in range(len(whole)):
        with pytest.raises(ImageError):
            decode.decode(whole[:length], suffix)
            pytest.fail(f"{length} of {len(whole)} bytes")


def test_every_changed_byte_of_png_pixel_data_is_noticed(tmp_path):
    whole = write(tmp_path / "a.png", 1, 23).read_bytes()
    for position in range(whole.index(b"IDAT"), len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 0x10
        with pytest.raises(ImageError):
            decode.decode(bytes(changed), ".png")
            pytest.fail(f"byte {position}")


def save_16_bit(path):
    assert cv2.imwrite(str(path), np.full((20, 20, 3), 40_000, np.uint16))


def save_float(path):
    assert cv2.imwrite(str(path), np.full((20, 20, 3), 0.5, np.float32))


def save_as(mode, **options):
    return lambda path: save(path, draw(1, 20), mode, **options)


def save_several(path, **options):
    save(
        path,
        draw(1, 20),
        save_all=True,
        append_images=[PIL.Image.fromarray(draw(0, 20))],
        **options,
    )


def save_turned(path):
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.Base.Orientation] = 6
    save(path, draw(1, 20), exif=exif)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.png", lambda path: path.write_bytes(b""), "is empty"),
        ("a.bmp", lambda path: path.write_text("<html>"), "is not an image .*b'<html>'"),
        ("a.bmp", save_as("RGB", format="TIFF"), r"holds a TIFF.*expected BMP.*end in \.tif"),
        ("a.tif", save_as("RGB", format="BMP"), "holds a BMP image, expected TIFF"),
        ("a.jpg", save_as("RGB", format="PNG"), "holds a PNG image, expected JPEG"),
        ("a.bmp", save_as("P"), "palette"),
        ("a.png", save_as("P"), "palette"),
        ("a.tif", save_as("1"), "black and white"),
        ("a.png", save_as("RGBA"), "RGB with transparency"),
        ("a.bmp", save_as("RGBA"), "RGB"),
        ("a.jpg", save_as("CMYK"), "CMYK"),
        ("a.png", save_several, "holds 2 pictures"),  # animated
        ("a.tif", save_several, "holds 2 pictures"),  # pages
        ("a.jpg", lambda path: save_several(path, format="MPO"), "holds 2 pictures"),
        ("a.jpg", save_turned, r"holds one to turn \(EXIF 6\), expected one upright"),
        ("a.png", save_turned, "EXIF 6"),
        ("a.tif", save_turned, "EXIF 6"),
        ("a.gif", save_several, "is not an image of a format that is read"),
        ("a.png", save_as("RGB", format="JPEG2000"), "not an image of a format"),
        (
            "a.png",
            lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"),
            "damaged in its first bytes",
        ),
        ("a.tif", save_float, "a kind of pixels that is not read"),
        ("a.png", save_16_bit, "16-bit RGB"),
        ("a.tif", save_16_bit, "16-bit RGB"),
    ],
)
def test_unusable_files_are_told_by_what_they_are(tmp_path, name, make, reason):
    make(tmp_path / name)
    with pytest.raises(ImageError, match=rf"{name}: .*{reason}.*\. Fetch the file again"):
        decode.read(tmp_path / name)
    assert decode.verify(tmp_path / name)[:3] == (None, None, None)


@pytest.mark.parametrize("suffix", ["bmp", "png", "jpg", "tif"])
def test_gray_is_refused_or_if_asked_for_three_equal_channels(tmp_path, rgb, suffix):
    path = save(tmp_path / f"a.{suffix}", rgb[..., 0], "L")
    refused = decode.verify(path)
    assert refused.sha256 is None
    assert "grayscale pixels, expected 8-bit RGB" in refused.damage
    assert refused.damage.endswith(
        "or write gray = true into the leukkit.toml of a folder of your own"
    )
    with PIL.Image.open(path) as image:
        expected = np.repeat(np.array(image)[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode.read(path), expected)
    assert decode.verify(path, gray=True).sha256 == decode.pixel_hash(expected)


def test_masks(tmp_path, rgb):
    mask = rgb[..., 0] > 100
    found = decode.read_mask(save(tmp_path / "mask.png", mask.astype(np.uint8) * 255, "L"))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_not_a_mask(tmp_path, rgb, mode):
    with pytest.raises(ImageError, match=r"image\.png: is not a mask, .*column `mask`"):
        decode.read_mask(save(tmp_path / "image.png", rgb, mode))


def test_resize_by_a_whole_factor_is_the_mean_of_blocks_and_by_one_nothing():
    image = noise(60, 60)
    means = image.reshape(20, 3, 20, 3, 3).mean(axis=(1, 3))
    assert np.abs(decode.resize(image, 20) - means).max() <= 0.51
    np.testing.assert_array_equal(decode.resize(image, 60), image)


@pytest.mark.parametrize(("side", "size"), [(450, 224), (450, 132), (600, 224), (257, 224)])
def test_resize_suppresses_what_the_smaller_image_cannot_hold(side, size):
    """A one-pixel checkerboard must turn gray, not into a moire pattern."""
    board = np.indices((side, side)).sum(axis=0) % 2 * 255
    small = decode.resize(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), size)
    assert small.mean() == pytest.approx(127.5, abs=2)
    assert small.std() < (20 if side // size > 1 else 0.75 * board.std())


@pytest.mark.parametrize("threads", [1, 3])
def test_read_all_is_read_crop_and_resize(tmp_path, threads):
    paths, crops = [], [None, 20, 17, None, 21, None]
    sides = [(31, 22), (30, 20), (31, 24), (31, 25), (31, 22), (40, 30)]
    for number, suffix in enumerate(["bmp", "bmp", "png", "tif", "bmp", "jpg"]):
        paths.append(save(tmp_path / f"{number}.{suffix}", noise(*sides[number], seed=number)))
    expected = [decode.resize(decode.read(p, c), 10) for p, c in zip(paths, crops, strict=True)]
    np.testing.assert_array_equal(decode.read_all(paths, 10, crops, threads), expected)
    assert decode.read_all([], 10).shape == (0, 10, 10, 3)


def test_read_all_names_the_damaged_file(tmp_path, rgb):
    paths = [save(tmp_path / f"{number}.bmp", rgb) for number in range(4)]
    paths[2].write_bytes(paths[2].read_bytes()[:1000])
    with pytest.raises(ImageError, match=r"2\.bmp: is cut short"):
        decode.read_all(paths, 16)


def test_a_second_look_sees_what_has_changed_whatever_the_times_say(tmp_path):
    """Names, sizes and times of modification do not tell what is in a file."""
    paths = [write(tmp_path / f"{seed}.bmp", seed, 20) for seed in range(3)]
    paths[2].write_bytes(b"")
    for path in paths:
        os.utime(path, (1, 1))
    first = decode.verify_all([*paths, paths[0]])
    assert first["damage"].notna().tolist() == [False, False, True, False]
    assert first.loc[0].equals(first.loc[3])
    paths[0].rename(tmp_path / "away")
    paths[1].rename(paths[0])
    (tmp_path / "away").rename(paths[1])
    second = decode.verify_all(paths)
    assert second["sha256"][[0, 1]].tolist() == first["sha256"][[1, 0]].tolist()


def test_files_that_cannot_be_opened_are_rows_too(tmp_path):
    paths = [tmp_path / "gone.png", tmp_path / "loop.png", write(tmp_path / "a.png", 1, 20)]
    paths[0].symlink_to("nowhere")
    paths[1].symlink_to("loop.png")
    found = decode.verify_all(paths)["damage"]
    assert found[0] == "cannot be read: No such file or directory, a link to nowhere"
    assert "cannot be read" in found[1] and found[2] is pd.NA


def write_large_bmp(path):
    """A header and a hole: 588 MB that take no space."""
    path.write_bytes(bmp_bytes(noise(1, 1))[:18] + struct.pack("<ii", 14_000, 14_000))
    with path.open("ab") as file:
        file.write(bmp_bytes(noise(1, 1))[26:54])
        file.truncate(54 + 3 * 14_000 * 14_000)


def write_large_png(path, side):
    """A correct header; what would follow is not needed to know the size."""
    whole = write(path, 1, 20).read_bytes()
    header = b"IHDR" + struct.pack(">II", side, side) + whole[24:29]
    path.write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.bmp", write_large_bmp),
        (
            "a.bmp",
            lambda path: path.write_bytes(
                bmp_bytes(noise(1, 1))[:18] + b"\xff\x7f\0\0" * 2 + bmp_bytes(noise(1, 1))[26:]
            ),
        ),
        ("a.png", lambda path: write_large_png(path, 7_100)),
        ("a.png", lambda path: write_large_png(path, 13_300)),
        ("a.png", lambda path: write_large_png(path, 40_000)),
        ("a.tif", write_large_bmp),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_larger_than_memory_is_called_too_large_before_it_is_decoded(tmp_path, name, make):
    make(tmp_path / name)
    with pytest.raises(ImageError, match=rf"{name}: is too large") as raised:
        decode.read(tmp_path / name)
    assert "damaged in" not in str(raised.value) and "cut short" not in str(raised.value)
    assert "is too large" in decode.verify(tmp_path / name).damage


def test_pictures_of_microscope_cameras_are_not_too_large(tmp_path):
    path = tmp_path / "smear.png"
    assert cv2.imwrite(str(path), np.zeros((5_000, 7_000, 3), np.uint8))
    assert decode.read(path).shape == (5_000, 7_000, 3)
