import struct

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukkit.datasets import decode

FORMATS = {"BMP": "bmp", "PNG": "png", "TIFF": "tif", "JPEG": "jpg"}


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (31, 22, 3), dtype=np.uint8)


def bmp_bytes(rgb, top_down=False):
    """Write the format by hand: 54 bytes of header, BGR rows padded to four bytes."""
    height, width = rgb.shape[:2]
    rows = rgb[:, :, ::-1] if top_down else rgb[::-1, :, ::-1]
    padding = b"\xaa" * (-3 * width % 4)
    body = b"".join(row.tobytes() + padding for row in rows)
    header = struct.pack("<2sIHHI", b"BM", 54 + len(body), 0, 0, 54)
    signed_height = -height if top_down else height
    header += struct.pack("<IiiHHIIiiII", 40, width, signed_height, 1, 24, 0, len(body), 0, 0, 0, 0)
    return header + body


def save(path, rgb, mode="RGB", **options):
    PIL.Image.fromarray(rgb).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["bmp", "png", "tif", "TIFF"])
def test_lossless_formats_give_the_pixels_that_were_written(tmp_path, rgb, suffix):
    found = decode.read(save(tmp_path / f"image.{suffix}", rgb))
    np.testing.assert_array_equal(found, rgb)
    assert found.dtype == np.uint8


def test_jpeg_gives_rgb_in_the_right_order(tmp_path):
    orange = np.full((16, 16, 3), (250, 120, 10), np.uint8)
    found = decode.read(save(tmp_path / "orange.jpg", orange, quality=95))
    assert np.abs(found.astype(int) - orange).max() < 6


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("width", [20, 21, 22, 23])  # every length of row padding
def test_bmp_rows_padding_and_channel_order(tmp_path, width, top_down):
    rgb = np.random.default_rng(width).integers(0, 256, (7, width, 3), dtype=np.uint8)
    path = tmp_path / "image.bmp"
    path.write_bytes(bmp_bytes(rgb, top_down))
    np.testing.assert_array_equal(decode.read(path), rgb)
    np.testing.assert_array_equal(decode.read(path), np.array(PIL.Image.open(path)))


@pytest.mark.parametrize("suffix", ["bmp", "png"])
@pytest.mark.parametrize("crop", [21, 16, 5])
def test_crop_is_the_center_whatever_the_format(tmp_path, rgb, suffix, crop):
    found = decode.read(save(tmp_path / f"image.{suffix}", rgb), crop)
    top, left = (31 - crop) // 2, (22 - crop) // 2
    np.testing.assert_array_equal(found, rgb[top : top + crop, left : left + crop])


def test_crop_larger_than_the_image(tmp_path, rgb):
    with pytest.raises(decode.ImageError, match=r"image\.png: is 22x31 .* crop of 450x450"):
        decode.read(save(tmp_path / "image.png", rgb), 450)


@given(share=st.floats(0, 1, exclude_max=True))
@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_anywhere_is_refused(tmp_path_factory, kind, share):
    folder = tmp_path_factory.mktemp("cut")
    rgb = np.random.default_rng(0).integers(0, 256, (31, 22, 3), dtype=np.uint8)
    path = save(folder / f"image.{FORMATS[kind]}", rgb)
    pixels, whole = decode.read(path), path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    try:
        found = decode.read(path)
    except decode.ImageError as error:
        assert str(path) in str(error)
    else:  # only the mark behind the last pixel of a PNG or JPEG may be missing
        assert share > 0.97
        np.testing.assert_array_equal(found, pixels)


def test_the_last_missing_byte_of_a_bmp_is_noticed(tmp_path, rgb):
    path = tmp_path / "cell.bmp"
    path.write_bytes(bmp_bytes(rgb)[:-1])
    with pytest.raises(decode.ImageError, match="2161 bytes found, 2162 expected for 22x31"):
        decode.read(path)


def test_what_is_not_an_image(tmp_path):
    empty, text = tmp_path / "empty.bmp", tmp_path / "text.png"
    empty.write_bytes(b"")
    text.write_text("Patient_ID,new_names,labels")
    with pytest.raises(decode.ImageError, match=r"empty\.bmp: is empty"):
        decode.read(empty)
    with pytest.raises(decode.ImageError, match=r"text\.png: is not an image .*Fetch the file"):
        decode.read(text)


@pytest.mark.parametrize(
    ("mode", "suffix", "found"),
    [
        ("L", "png", "8-bit grayscale"),
        ("P", "bmp", "palette"),
        ("P", "png", "palette"),
        ("1", "tif", "black and white"),
        ("RGBA", "png", "RGB with transparency"),
        ("CMYK", "jpg", "CMYK"),
        ("I;16", "png", "16-bit grayscale"),
    ],
)
def test_other_modes_are_named(tmp_path, rgb, mode, suffix, found):
    if mode == "I;16":
        PIL.Image.fromarray(rgb[..., 0].astype(np.uint16) * 256).save(tmp_path / "image.png")
    else:
        save(tmp_path / f"image.{suffix}", rgb, mode)
    with pytest.raises(decode.ImageError, match=f"is a {found} image, expected 8-bit RGB"):
        decode.read(tmp_path / f"image.{suffix}")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_rgb_is_not_cut_to_eight(tmp_path, rgb, suffix):
    path = tmp_path / f"image.{suffix}"
    assert cv2.imwrite(str(path), rgb.astype(np.uint16) * 256)
    with pytest.raises(decode.ImageError, match="16-bit RGB"):
        decode.read(path)


@pytest.mark.parametrize(("kind", "suffix"), [("TIFF", "bmp"), ("BMP", "tif"), ("PNG", "jpg")])
def test_a_format_that_the_name_does_not_promise(tmp_path, rgb, kind, suffix):
    path = save(tmp_path / f"image.{suffix}", rgb, format=kind)
    with pytest.raises(decode.ImageError, match=f"holds a {kind} image, expected .* rename it"):
        decode.read(path)


def test_masks(tmp_path, rgb):
    mask = rgb[..., 0] > 100
    path = save(tmp_path / "mask.png", mask.astype(np.uint8) * 255, "L")
    found = decode.read_mask(path)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_not_a_mask(tmp_path, rgb, mode):
    with pytest.raises(decode.ImageError, match=r"image\.png: is not a mask, .*column `mask`"):
        decode.read_mask(save(tmp_path / "image.png", rgb, mode))


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("size", [10, 31, 32, 100])
def test_resize_keeps_an_even_image_even(value, size):
    even = np.full((64, 64, 3), value, np.uint8)
    np.testing.assert_array_equal(decode.resize(even, size), np.full((size, size, 3), value))


def test_resize_by_a_whole_factor_is_the_mean_of_blocks():
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    means = image.reshape(20, 3, 20, 3, 3).mean(axis=(1, 3))
    assert np.abs(decode.resize(image, 20) - means).max() <= 0.51


@pytest.mark.parametrize(("side", "size"), [(450, 224), (450, 132), (600, 224), (257, 224)])
def test_resize_suppresses_what_the_smaller_image_cannot_hold(side, size):
    """A one-pixel checkerboard must turn gray, not into a moire pattern."""
    board = np.indices((side, side)).sum(axis=0) % 2 * 255
    small = decode.resize(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), size)
    assert small.mean() == pytest.approx(127.5, abs=2)
    if side // size > 1:
        assert small.std() < 20
    else:
        assert small.std() < 0.75 * board.std()


def test_resize_identity():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode.resize(image, 20), image)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [8, 10, 15, 20, 40])
def test_read_all_is_read_crop_and_resize(tmp_path, threads, size):
    generator = np.random.default_rng(1)
    paths, crops = [], [None, 20, 17, None, 21, None]
    sides = [(31, 22), (30, 20), (31, 24), (31, 25), (31, 22), (40, 30)]
    for number, suffix in enumerate(["bmp", "bmp", "png", "tif", "bmp", "jpg"]):
        rgb = generator.integers(0, 256, (*sides[number], 3), dtype=np.uint8)
        paths.append(save(tmp_path / f"{number}.{suffix}", rgb))
    expected = [decode.resize(decode.read(p, c), size) for p, c in zip(paths, crops, strict=True)]
    found = decode.read_all(paths * 7, size, crops * 7, threads)
    np.testing.assert_array_equal(found, expected * 7)


@pytest.mark.parametrize("side", [450, 449])
@pytest.mark.parametrize("size", [224, 132, 100, 64, 75])
def test_a_bmp_and_a_png_of_the_same_cell_give_the_same_pixels(tmp_path, side, size):
    rgb = np.random.default_rng(size).integers(0, 256, (side, side, 3), dtype=np.uint8)
    paths = [save(tmp_path / f"cell.{suffix}", rgb, compress_level=1) for suffix in ("bmp", "png")]
    from_bmp, from_png = decode.read_all(paths, size)
    np.testing.assert_array_equal(from_bmp, from_png)
    np.testing.assert_array_equal(from_bmp, decode.resize(rgb, size))


def test_read_all_names_the_damaged_file(tmp_path, rgb):
    paths = [save(tmp_path / f"{number}.bmp", rgb) for number in range(40)]
    paths[22].write_bytes(paths[22].read_bytes()[:1000])
    with pytest.raises(decode.ImageError, match=r"22\.bmp: is cut short"):
        decode.read_all(paths, 16)


def test_read_all_of_nothing():
    assert decode.read_all([], 16).shape == (0, 16, 16, 3)
