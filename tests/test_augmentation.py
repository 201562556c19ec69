import json
import math

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import augmentation
from leukkit.augmentation import apply, draw, expand

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
FARAG = {"angles": [0, 45], "mirror": True, "scale": 0.2, "light": [0.2, 1.0]}


def make_cells(labels):
    text = pd.StringDtype("python")
    cells = pd.DataFrame(
        {
            "image_id": pd.array([f"cell-{i}" for i in range(len(labels))], dtype=text),
            "label": pd.array(labels, dtype=text),
            "sha256": pd.array([f"{i:064x}" for i in range(len(labels))], dtype=text),
        }
    )
    cells.attrs = {"dataset": "test", "classes": ("healthy", "ALL")}
    return cells


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


@pytest.fixture(scope="module")
def draws():
    """Return 400 draws from all ranges there are, as a frame."""
    return pd.DataFrame([draw(RANGES | FARAG, 0, "cell", copy) for copy in range(1, 401)])


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("zoom", 0.8, 1.2),
        ("rotation", -15, 15),
        ("shear", -5, 5),
        ("brightness", 0.8, 1.2),
        ("contrast", 0.7, 1.3),
        ("saturation", 0.6, 1.4),
        ("scale", 0.8, 1.2),
        ("light", 0.2, 1.0),
    ],
)
def test_draws_fill_their_ranges_evenly(draws, key, low, high):
    assert low <= draws[key].min() and draws[key].max() <= high
    quarters = np.histogram(draws[key], bins=4, range=(low, high))[0]
    assert quarters.min() > 70  # 100 expected; standard deviation 9


def test_draws_of_choices_are_even(draws):
    shifts, cuts = np.array([*draws["shift"]]), np.array([*draws["crop"]])
    assert 0.09 < np.abs(shifts).max(axis=0).min() <= np.abs(shifts).max() <= 0.1
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.15
    assert 0.19 < cuts[:, 0].max() <= 0.2 and (cuts[:, 1:] <= cuts[:, :1]).all()
    assert (cuts[:, 1:].mean(axis=0) / cuts[:, 0].mean()).round(1).tolist() == [0.5, 0.5]
    assert np.bincount(draws["quarter_turns"], minlength=4).min() > 70
    for chance in [
        *(draws[key] for key in ("flip_horizontal", "flip_vertical")),
        *np.array([*draws["mirror"]]).T,
        draws["angles"].map({0: False, 45: True}),
    ]:
        assert 160 < sum(chance) < 240
    numbers = draws[["zoom", "rotation", "scale", "light", "angles", "flip_horizontal"]]
    assert numbers.astype(float).corr().where(~np.eye(6, dtype=bool)).abs().max().max() < 0.2
    three = [draw({"angles": [0, 30, 60]}, 0, "cell", copy)["angles"] for copy in range(1, 301)]
    assert np.unique(three, return_counts=True)[1].min() > 70


@given(seed=st.integers(0, 2**64), image_id=st.text(), copy=st.integers(1, 50))
def test_each_operation_draws_for_itself(seed, image_id, copy):
    together = draw(RANGES | FARAG, seed, image_id, copy)
    assert json.loads(json.dumps(together)) == together  # a part of cache keys
    for key, value in (RANGES | FARAG).items():
        assert draw({key: value}, seed, image_id, copy) == {key: together[key]}


def test_draws_differ_between_copies_images_and_seeds():
    for ranges in (FARAG, {"rotation": 15}):
        drawn = [
            json.dumps(draw(ranges, seed, image_id, copy))
            for seed in range(3)
            for image_id in ("1", "2", "11")
            for copy in (1, 2, 11)
        ]
        assert len(set(drawn)) == 27


def test_draws_are_the_same_on_every_machine():
    """The values pin the draw: results and published figures depend on it."""
    drawn = draw(RANGES | FARAG, 0, "UID_57_29_1_all", 1)
    assert drawn.pop("elastic") == {**RANGES["elastic"], "seed": 6988562932124907127}
    assert drawn.pop("fill") == "nearest"
    expected = {
        "zoom": 1.12374113377,
        "rotation": -14.142054279,
        "shear": -1.45389851919,
        "shift": [-0.0162659615959, -0.0767589041981],
        "crop": [0.138700302933, 0.0271957998936, 0.0821547003592],
        "brightness": 0.978794764686,
        "contrast": 0.949512634009,
        "saturation": 1.07173431496,
        "flip_horizontal": True,
        "flip_vertical": False,
        "quarter_turns": 1,
        "angles": 45,
        "mirror": [True, True],
        "scale": 1.17758610213,
        "light": 0.219894353205,
    }
    assert list(drawn) == list(expected)
    for key, value in expected.items():
        assert drawn[key] == pytest.approx(value, rel=1e-11), key


def test_copy_zero_is_the_image_itself():
    with pytest.raises(ValueError, match="copy is 0, expected 1 or more"):
        draw(RANGES, 0, "cell", 0)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ({"zom": 0.1}, "unknown augmentation 'zom'; known are zoom, rotation, .*elastic, fill"),
        ({"zoom": 1}, "zoom is 1, expected a number from 0 to below 1"),
        ({"scale": 1.0}, "scale is 1.0, expected a number from 0 to below 1"),
        ({"rotation": -15}, "rotation is -15, expected a number from 0 to 180"),
        ({"rotation": 181}, "rotation is 181, expected a number from 0 to 180"),
        ({"brightness": True}, "brightness is True, expected a number from 0 to 1"),
        ({"brightness": "0.1"}, "brightness is '0.1', expected a number from 0 to 1"),
        ({"rotation": float("nan")}, "rotation is nan, expected a number"),
        ({"flip_vertical": 0.5}, "flip_vertical is 0.5, expected true or false"),
        ({"mirror": 1}, "mirror is 1, expected true or false"),
        ({"fill": "white"}, "fill is 'white', expected 'black' or 'nearest' or 'reflect'"),
        ({"elastic": {"alpha": 3}}, "elastic is .*, expected a table with alpha"),
        ({"elastic": {"alpha": 3, "sigma": 0}}, "sigma, above 0"),
        ({"elastic": {"alpha": 3, "sigma": -1}}, "sigma, above 0"),
        ({"elastic": {"alpha": -1, "sigma": 1}}, "alpha, 0 or more"),
        ({"elastic": {"alpha": 1, "sigma": 1, "seed": 1}}, "a table with alpha"),
        ({"zoom": -0.1}, "zoom is -0.1, expected a number from 0"),
        ({"angles": []}, r"angles is \[\], expected a list of degrees from -180 to 180"),
        ({"angles": 45}, "angles is 45, expected a list"),
        ({"angles": [0, 181]}, r"angles is \[0, 181\], expected a list"),
        ({"light": [1.0, 0.2]}, "light is .*, expected a list of the lowest and the highest"),
        ({"light": [0.2]}, "light is .*, expected a list of the lowest and the highest"),
        ({"light": [-0.1, 1]}, "light is .*, expected a list of the lowest and the highest"),
        ({"light": [0, 10.1]}, "from 0 to 10"),
    ],
)
def test_impossible_ranges_are_refused(ranges, expected):
    with pytest.raises(ValueError, match=expected):
        draw(ranges, 0, "cell", 1)


def test_the_ends_of_what_is_possible_are_allowed():
    shares = dict.fromkeys(augmentation.LARGEST, 1) | dict.fromkeys(augmentation.BELOW, 0.99)
    degrees = {"rotation": 180, "shear": 89, "angles": (-180, 180)}
    augmentation.check(shares | degrees | {"light": [0, 10]})
    for key, value in (shares | {"rotation": 180, "shear": 89}).items():
        with pytest.raises(ValueError, match=f"augmentation {key} is"):
            augmentation.check({key: value + 0.02})
    augmentation.check(dict.fromkeys(augmentation.LARGEST, 0) | {"light": [np.float64(1), 1]})
    assert set(RANGES | FARAG) == set(augmentation.KEYS)


def test_extremes_are_each_operation_alone_as_far_as_it_goes(noise):
    everything = augmentation.extremes(RANGES | FARAG)
    assert len(everything) == len(RANGES | FARAG) - 1  # all but the fill
    for name, one in everything.items():
        assert one.pop("fill") == "nearest" and len(one) == 1
        assert not np.array_equal(apply(noise, one), noise), name
    ranges = {"zoom": 0.1, "flip_vertical": True, "flip_horizontal": False, "rotation": 15}
    assert augmentation.extremes(ranges | {"light": [0.5, 1.2], "shear": 0, "crop": 0.2}) == {
        "zoom ×1.10": {"zoom": 1.1, "fill": "black"},
        "flip vertical": {"flip_vertical": 1, "fill": "black"},
        "rotation 15°": {"rotation": 15, "fill": "black"},
        "light ×0.50": {"light": 0.5, "fill": "black"},
        "crop 20%": {"crop": [0.2, 0.1, 0.1], "fill": "black"},
    }


def test_nothing_drawn_changes_nothing(noise):
    before = noise.copy()
    off = dict.fromkeys(augmentation.LARGEST, 0) | dict.fromkeys(augmentation.SWITCHES, False)
    off |= {"elastic": {"alpha": 0, "sigma": 5}, "angles": [0], "light": [1, 1]}
    for drawn in ({}, draw(off, 0, "cell", 1)):
        found = apply(noise, drawn)
        np.testing.assert_array_equal(found, noise)
        assert found is not noise
    for copy in (1, 2, 3):
        apply(noise, draw(RANGES | FARAG, 0, "cell", copy))
    np.testing.assert_array_equal(noise, before)


def test_flips_and_quarter_turns_are_exact(noise):
    flat = noise[:30]
    for key, value in [("flip_horizontal", True), ("mirror", [True, False])]:
        np.testing.assert_array_equal(apply(flat, {key: value}), flat[:, ::-1])
    for key, value in [("flip_vertical", True), ("mirror", [False, True])]:
        np.testing.assert_array_equal(apply(flat, {key: value}), flat[::-1])
    for turns in range(4):
        found = apply(noise, {"quarter_turns": turns})
        np.testing.assert_array_equal(found, np.rot90(noise, turns))


def test_shift_moves_right_and_down_and_fills(noise):
    drawn = {"shift": [0.1, 0.25]}  # 4 and 10 of 40 pixels
    found = apply(noise, drawn)
    np.testing.assert_array_equal(found[10:, 4:], noise[:-10, :-4])
    assert not found[:10].any() and not found[:, :4].any()
    for fill, mode in [("nearest", "edge"), ("reflect", "symmetric")]:
        padded = np.pad(noise, [(10, 0), (4, 0), (0, 0)], mode)
        np.testing.assert_array_equal(apply(noise, drawn | {"fill": fill}), padded[:40, :40])


@pytest.mark.parametrize("copy", range(1, 7))
def test_all_movements_together_follow_the_stated_order(copy):
    still = ("elastic", "fill", "brightness", "contrast", "saturation", "light")
    ranges = {key: value for key, value in (RANGES | FARAG).items() if key not in still}
    drawn = draw(ranges | {"scale": 0.1, "angles": [-10, 10]}, 5, "cell", copy)
    point = np.array([58.0, 44.0])

    at = 50 + (point - 50) * [1 - 2 * mirrored for mirrored in drawn["mirror"]]
    cut, left, top = drawn["crop"]
    at = (at + 0.5 - np.array([left, top]) * 101) / (1 - cut) - 0.5 - 50  # from the center
    at = at * drawn["zoom"] * drawn["scale"]
    at = np.array([at[0] + math.tan(math.radians(drawn["shear"])) * at[1], at[1]])
    turned = math.radians(drawn["rotation"] + drawn["angles"])
    for angle in (turned, math.pi / 2 * drawn["quarter_turns"]):
        cosine, sine = math.cos(angle), math.sin(angle)
        at = np.array([cosine * at[0] + sine * at[1], cosine * at[1] - sine * at[0]])
    at *= [1 - 2 * drawn["flip_horizontal"], 1 - 2 * drawn["flip_vertical"]]
    expected = at + 50 + np.array(drawn["shift"]) * 101

    np.testing.assert_allclose(place(apply(spot(*point), drawn)), expected, atol=0.15)


@pytest.mark.parametrize("side", [40, 41])
@pytest.mark.parametrize("copy", range(1, 9))
def test_the_list_of_farag_is_flip_then_rotation_matrix_then_brightness(side, copy):
    """To the byte, as OpenCV makes it in three steps."""
    rgb = np.random.default_rng(copy).integers(0, 256, (side, 40, 3), dtype=np.uint8)
    drawn = draw(FARAG, 0, "cell", copy)
    flipped = rgb[:: 1 - 2 * drawn["mirror"][1], :: 1 - 2 * drawn["mirror"][0]]
    matrix = cv2.getRotationMatrix2D((19.5, (side - 1) / 2), drawn["angles"], drawn["scale"])
    turned = cv2.warpAffine(np.ascontiguousarray(flipped), matrix, (40, side))
    expected = cv2.convertScaleAbs(turned, alpha=drawn["light"])
    np.testing.assert_array_equal(apply(rgb, drawn), expected)


def displacement(ranges, copy, side=128):
    """Return how far each pixel was fetched from along x and y: read from pictures of ramps."""
    ramp = np.repeat(np.arange(side, dtype=np.uint8)[None], side, axis=0)
    drawn = draw(ranges, 0, "cell", copy)
    fields = []
    for gray in (ramp, ramp.T):
        found = apply(np.repeat(2 * gray[..., None], 3, axis=2), drawn | {"fill": "nearest"})
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


def test_elastic_fields_are_the_same_on_every_machine():
    x, y = augmentation._displaced({"alpha": 2.0, "sigma": 7.0, "seed": 1}, 30, 44)
    found = [(x[row, column], y[row, column]) for row, column in [(0, 0), (14, 21), (29, 43)]]
    np.testing.assert_allclose(
        found, [(1.1097, 4.4681), (19.0607, 13.0047), (42.311, 30.7069)], atol=1e-3
    )


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
    np.testing.assert_array_equal(apply(rgb, {"brightness": 1.2})[0, 0], (240, 120, 60))
    np.testing.assert_array_equal(apply(rgb, {"light": 0.4})[0, 0], (80, 40, 20))
    assert (apply(rgb, {"brightness": 2.0})[0, 0] == (255, 200, 100)).all()
    found = apply(rgb, {"saturation": 0.5})
    np.testing.assert_array_equal(found[0, 0], np.round((np.array([200, 100, 50]) + gray) / 2))
    np.testing.assert_array_equal(found[1], rgb[1])
    mean = (gray + 50) / 2  # 87.1
    found = apply(rgb, {"contrast": 0.5})
    np.testing.assert_array_equal(found[0, 0], np.round((np.array([200, 100, 50]) + mean) / 2))
    stronger = apply(rgb, {"contrast": 1.5})[0, 0]
    np.testing.assert_array_equal(
        stronger, np.round(1.5 * np.array([200, 100, 50]) - mean / 2).clip(0, 255)
    )
    both = apply(rgb, {"brightness": 0.5, "contrast": 1.5, "saturation": 0.0})
    np.testing.assert_array_equal(both[0, 0], [round((gray - mean) * 0.75 + mean / 2)] * 3)
    np.testing.assert_array_equal(both[1, 0], [round((50 - mean) * 0.75 + mean / 2)] * 3)


@settings(max_examples=50)
@given(
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    more=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    seed=st.integers(0, 5),
)
def test_expand_reaches_the_counts_and_spreads_evenly(sizes, more, seed):
    cells = make_cells(["healthy"] * sizes[0] + ["ALL"] * sizes[1])
    counts = {"healthy": sizes[0] + more[0], "ALL": sizes[1] + more[1]}
    expanded = expand(cells, counts, seed)
    assert expanded["label"].value_counts().to_dict() == counts
    assert expanded["image_id"].is_unique
    pd.testing.assert_frame_equal(expanded.iloc[: len(cells)][[*cells.columns]], cells)
    for _, group in expanded.groupby("original"):
        assert list(group["copy"]) == list(range(len(group)))
    for _, group in expanded.groupby("label"):
        sizes = group["original"].value_counts()
        assert sizes.max() - sizes.min() <= 1
    shuffled = cells.sample(frac=1, random_state=seed).reset_index(drop=True)
    assert set(expand(shuffled, counts, seed)["image_id"]) == set(expanded["image_id"])
    named = expand(cells.assign(image_id=cells["image_id"].str[::-1]), counts, seed)
    assert list(named["sha256"]) == list(expanded["sha256"])  # names decide on nothing


def test_expand_by_hand():
    expanded = expand(make_cells(["ALL", "healthy", "ALL"]), {"ALL": 6, "healthy": 3})
    assert list(expanded["image_id"]) == [
        *("cell-0", "cell-1", "cell-2"),
        *("cell-0#1", "cell-0#2", "cell-1#1", "cell-1#2", "cell-2#1", "cell-2#2"),
    ]
    assert list(expanded["original"].iloc[3:5]) == ["cell-0", "cell-0"]
    assert list(expanded["label"].iloc[3:7]) == ["ALL", "ALL", "healthy", "healthy"]
    assert list(expanded.index) == list(range(9))
    assert expanded.attrs == {"dataset": "test", "classes": ("healthy", "ALL")}
    assert expanded["copy"].dtype == "Int64"
    assert expanded["original"].dtype == expanded["image_id"].dtype == pd.StringDtype("python")


def test_expand_lets_the_seed_choose_who_gets_one_more():
    cells = make_cells(["ALL"] * 20)
    chosen = {tuple(expand(cells, {"ALL": 25}, seed)["image_id"].iloc[20:]) for seed in range(5)}
    assert len(chosen) == 5
    pd.testing.assert_frame_equal(expand(cells, {"ALL": 25}), expand(cells, {"ALL": 25}, 0))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"healthy": 1, "ALL": 1}, "ALL has 2 images, more than its target of 1"),
        ({"ALL": 9}, r"classes \['ALL'\], the cells have \['ALL', 'healthy'\]"),
        ({"ALL": 9, "healthy": 9, "pro": 9}, "classes"),
    ],
)
def test_expand_refuses_counts_that_do_not_fit(counts, expected):
    with pytest.raises(ValueError, match=expected):
        expand(make_cells(["healthy", "ALL", "ALL"]), counts)


def test_expand_refuses_copies_and_missing_labels():
    cells, counts = make_cells(["healthy", "ALL", "ALL"]), {"healthy": 2, "ALL": 2}
    with pytest.raises(ValueError, match="already holds augmented copies"):
        expand(expand(cells, counts), counts)
    cells["label"] = cells["label"].mask([False, False, True])
    with pytest.raises(ValueError, match="<NA>"):
        expand(cells, counts)
