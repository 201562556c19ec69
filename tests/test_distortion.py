import json
import math

import cv2
import numpy as np
import pytest

from leukkit import distortion
from leukkit.distortion import distort, draw

RANGES = {
    "zoom": 0.2,
    "rotation": 15,
    "shear": 5,
    "shift": 0.1,
    "crop": 0.2,
    "brightness": 0.2,
    "contrast": 0.3,
    "saturation": 0.4,
    "flip_horizontal": True,
    "flip_vertical": True,
    "quarter_turns": True,
    "elastic": {"alpha": 2.0, "sigma": 0.1},
    "fill": "nearest",
}


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def spot(x, y, side=101, radius=3.0):
    """Return a picture that is black but for a soft white spot at (x, y)."""
    rows, columns = np.mgrid[:side, :side]
    gray = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat(gray.round().astype(np.uint8)[..., None], 3, axis=2)


def place(rgb):
    """Return where the spot is, to a fraction of a pixel."""
    gray = rgb[..., 0].astype(float)
    rows, columns = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    return np.array([(gray * columns).sum(), (gray * rows).sum()]) / gray.sum()


def draws(ranges, number=400):
    return [draw(ranges, 0, "cell", copy) for copy in range(1, number + 1)]


def test_draws_fill_their_ranges_evenly():
    found = draws(RANGES)
    for key, low, high in [
        ("zoom", 0.8, 1.2),
        ("rotation", -15, 15),
        ("shear", -5, 5),
        ("brightness", 0.8, 1.2),
        ("contrast", 0.7, 1.3),
        ("saturation", 0.6, 1.4),
    ]:
        values = np.array([drawn[key] for drawn in found])
        assert low <= values.min() and values.max() <= high
        quarters = np.histogram(values, bins=4, range=(low, high))[0]
        assert quarters.min() > 70  # 100 expected; standard deviation 9
    shifts = np.array([drawn["shift"] for drawn in found])
    assert np.abs(shifts).max() <= 0.1
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.15
    cuts = np.array([drawn["crop"] for drawn in found])
    assert cuts[:, 0].max() <= 0.2 and (cuts[:, 1:] <= cuts[:, :1]).all()
    assert np.bincount([drawn["quarter_turns"] for drawn in found], minlength=4).min() > 70
    for key in ("flip_horizontal", "flip_vertical"):
        assert 160 < sum(drawn[key] for drawn in found) < 240
    assert {drawn["fill"] for drawn in found} == {"nearest"}


def test_draws_depend_on_seed_image_and_copy_alone():
    drawn = draw(RANGES, 3, "cell-7", 2)
    assert draw(RANGES, 3, "cell-7", 2) == drawn
    for other in [(4, "cell-7", 2), (3, "cell-8", 2), (3, "cell-7", 3)]:
        assert draw(RANGES, *other)["rotation"] != drawn["rotation"]
    # A description of the pixels is a JSON text, in cache keys too.
    assert json.loads(json.dumps(drawn)) == drawn


def test_one_more_operation_does_not_move_the_draws_of_the_others():
    together = draw(RANGES, 0, "cell", 1)
    for key, value in RANGES.items():
        assert draw({key: value}, 0, "cell", 1) == {key: together[key]}


def test_copy_zero_is_refused():
    with pytest.raises(ValueError, match="copy is 0, expected 1 or more"):
        draw(RANGES, 0, "cell", 0)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ({"zom": 0.1}, "unknown augmentation 'zom'; known are zoom, rotation, .*elastic, fill"),
        ({"zoom": 1}, "zoom is 1, expected a number from 0 to below 1"),
        ({"rotation": -15}, "rotation is -15, expected a number from 0 to 180"),
        ({"brightness": True}, "brightness is True, expected a number from 0 to 1"),
        ({"rotation": float("nan")}, "rotation is nan, expected a number"),
        ({"flip_vertical": 0.5}, "flip_vertical is 0.5, expected true or false"),
        ({"fill": "white"}, "fill is 'white', expected 'black' or 'nearest' or 'reflect'"),
        ({"elastic": {"alpha": 3}}, "elastic is .*, expected a table with alpha"),
        ({"elastic": {"alpha": 3, "sigma": 0}}, "sigma, above 0"),
    ],
)
def test_impossible_ranges_are_refused(ranges, expected):
    with pytest.raises(ValueError, match=expected):
        draw(ranges, 0, "cell", 1)


def test_nothing_drawn_changes_nothing(noise):
    before = noise.copy()
    for drawn in ({}, draw({"zoom": 0, "elastic": {"alpha": 0, "sigma": 5}}, 0, "cell", 1)):
        found = distort(noise, drawn)
        np.testing.assert_array_equal(found, noise)
        assert found is not noise
    distort(noise, draw(RANGES, 0, "cell", 1))
    np.testing.assert_array_equal(noise, before)


def test_flips_and_quarter_turns_are_exact(noise):
    np.testing.assert_array_equal(distort(noise, {"flip_horizontal": True}), noise[:, ::-1])
    np.testing.assert_array_equal(distort(noise, {"flip_vertical": True}), noise[::-1])
    for turns in range(4):
        found = distort(noise, {"quarter_turns": turns})
        np.testing.assert_array_equal(found, np.rot90(noise, turns))


def test_shift_moves_right_and_down_and_fills(noise):
    drawn = {"shift": [0.1, 0.25]}  # 4 and 10 of 40 pixels
    found = distort(noise, drawn)
    np.testing.assert_array_equal(found[10:, 4:], noise[:-10, :-4])
    assert not found[:10].any() and not found[:, :4].any()
    nearest = distort(noise, drawn | {"fill": "nearest"})
    np.testing.assert_array_equal(
        nearest, np.pad(noise, [(10, 0), (4, 0), (0, 0)], "edge")[:40, :40]
    )
    reflect = distort(noise, drawn | {"fill": "reflect"})
    padded = np.pad(noise, [(10, 0), (4, 0), (0, 0)], "symmetric")
    np.testing.assert_array_equal(reflect, padded[:40, :40])


def test_crop_is_enlarged_to_the_whole_image():
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[10:30, 4:24] = 200  # the window that is left when half of the side goes, 4 left and 10 top
    found = distort(rgb, {"crop": [0.5, 0.1, 0.25]})
    assert (found[1:-1, 1:-1] == 200).all()
    half = distort(rgb, {"crop": [0.5, 0.35, 0.25]})  # 10 pixels further right
    assert (half[1:-1, :19] == 200).all() and not half[:, 21:].any()


def test_zoom_and_rotation_go_as_their_names_say():
    np.testing.assert_allclose(place(distort(spot(70, 50), {"zoom": 1.5})), (80, 50), atol=0.05)
    turned = distort(spot(80, 50), {"rotation": 30})  # counterclockwise as one sees it
    expected = 50 + 30 * np.array([math.cos(math.pi / 6), -math.sin(math.pi / 6)])
    np.testing.assert_allclose(place(turned), expected, atol=0.05)


def test_shear_moves_along_the_rows():
    found = place(distort(spot(50, 70), {"shear": 20}))
    np.testing.assert_allclose(found, (50 + 20 * math.tan(math.radians(20)), 70), atol=0.1)


@pytest.mark.parametrize("copy", range(1, 7))
def test_all_movements_together_follow_the_stated_order(copy):
    geometry = {key: RANGES[key] for key in RANGES if key not in ("elastic", "fill")}
    for key in ("brightness", "contrast", "saturation"):
        del geometry[key]
    drawn = draw(geometry, 5, "cell", copy)
    point = np.array([58.0, 44.0])

    cut, left, top = drawn["crop"]
    at = (point + 0.5 - np.array([left, top]) * 101) / (1 - cut) - 0.5 - 50  # from the center
    at = at * drawn["zoom"]
    at = np.array([at[0] + math.tan(math.radians(drawn["shear"])) * at[1], at[1]])
    for angle in (math.radians(drawn["rotation"]), math.pi / 2 * drawn["quarter_turns"]):
        cosine, sine = math.cos(angle), math.sin(angle)
        at = np.array([cosine * at[0] + sine * at[1], cosine * at[1] - sine * at[0]])
    at *= [1 - 2 * drawn["flip_horizontal"], 1 - 2 * drawn["flip_vertical"]]
    expected = at + 50 + np.array(drawn["shift"]) * 101

    np.testing.assert_allclose(place(distort(spot(*point), drawn)), expected, atol=0.15)


def displacement(ranges, copy, side=128):
    """Return how far each pixel was fetched from along x and y: read from pictures of ramps."""
    ramp = np.repeat(np.arange(side, dtype=np.uint8)[None], side, axis=0)
    drawn = draw(ranges, 0, "cell", copy)
    fields = []
    for gray in (ramp, ramp.T):
        found = distort(np.repeat(2 * gray[..., None], 3, axis=2), drawn | {"fill": "nearest"})
        fields.append(found[..., 0] / 2.0 - gray)
    return np.array(fields)


def test_elastic_fields_have_the_asked_strength_and_smoothness():
    strength, sigma = 2.0, 8
    ranges = {"elastic": {"alpha": strength, "sigma": sigma}}
    fields = np.array([displacement(ranges, copy) for copy in range(1, 25)])[..., 8:-8, 8:-8]
    assert np.sqrt(np.mean(fields**2)) == pytest.approx(strength, rel=0.05)
    # Noise smoothed by a Gaussian is correlated by exp(-d^2 / 4 sigma^2) over a distance d.
    for distance in (8, 16):
        product = np.mean(fields[..., :-distance] * fields[..., distance:])
        found = product / np.mean(fields**2)
        assert found == pytest.approx(math.exp(-((distance / sigma) ** 2) / 4), abs=0.1)
    edges = np.concatenate([fields[..., :4, :], fields[..., -4:, :]], axis=-2)
    assert np.sqrt(np.mean(edges**2)) == pytest.approx(strength, rel=0.2)


def test_elastic_fields_of_the_axes_and_the_copies_are_independent():
    ranges = {"elastic": {"alpha": 2.0, "sigma": 4}}
    fields = [displacement(ranges, copy) for copy in (1, 2, 3)]
    flat = np.array([axis.ravel() for field in fields for axis in field])
    correlation = np.corrcoef(flat) - np.eye(6)
    assert np.abs(correlation).max() < 0.3  # one field for both axes would give 1


def test_elastic_smoothness_below_one_is_a_share_of_the_side():
    pixels = {"elastic": {"alpha": 2.0, "sigma": 16}}
    share = {"elastic": {"alpha": 2.0, "sigma": 0.125}}
    np.testing.assert_array_equal(displacement(pixels, 1), displacement(share, 1))


def test_brightness_contrast_and_saturation_by_hand():
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0], rgb[1] = (200, 100, 50), (50, 50, 50)
    gray = 0.299 * 200 + 0.587 * 100 + 0.114 * 50  # 124.2
    np.testing.assert_array_equal(distort(rgb, {"brightness": 1.2})[0, 0], (240, 120, 60))
    assert (distort(rgb, {"brightness": 2.0})[0, 0] == (255, 200, 100)).all()
    found = distort(rgb, {"saturation": 0.5})
    np.testing.assert_array_equal(found[0, 0], np.round((np.array([200, 100, 50]) + gray) / 2))
    np.testing.assert_array_equal(found[1], rgb[1])
    mean = (gray + 50) / 2  # 87.1
    found = distort(rgb, {"contrast": 0.5})
    np.testing.assert_array_equal(found[0, 0], np.round((np.array([200, 100, 50]) + mean) / 2))
    both = distort(rgb, {"brightness": 0.5, "contrast": 1.5, "saturation": 0.0})
    np.testing.assert_array_equal(both[0, 0], [round((gray - mean) * 0.75 + mean / 2)] * 3)
    np.testing.assert_array_equal(both[1, 0], [round((50 - mean) * 0.75 + mean / 2)] * 3)


def test_black_around_a_cell_stays_black_under_all_movements():
    rgb = np.zeros((64, 64, 3), np.uint8)
    cv2.circle(rgb, (32, 32), 12, (110, 50, 150), -1)
    colors = {"contrast", "fill"}
    ranges = {key: value for key, value in RANGES.items() if key not in colors}
    for copy in range(1, 6):
        found = distort(rgb, draw(ranges, 0, "cell", copy))
        assert found.max() > 80
        assert not found[0].any() and not found[:, -1].any()


def test_images_that_are_not_square_keep_their_shape():
    rgb = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    assert distort(rgb, draw(RANGES, 0, "cell", 1)).shape == rgb.shape
    np.testing.assert_array_equal(distort(rgb, {"flip_horizontal": True}), rgb[:, ::-1])


def test_ranges_of_the_module_are_all_known():
    assert set(RANGES) == set(distortion.KEYS)
