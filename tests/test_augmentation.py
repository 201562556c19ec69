import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import augmentation

IDENTITY = {
    "rotation": 0,
    "flip_horizontal": False,
    "flip_vertical": False,
    "scale": 1.0,
    "brightness": 1.0,
}


def make_cells(labels):
    text = pd.StringDtype("python")
    cells = pd.DataFrame(
        {
            "image_id": pd.array([f"cell-{i}" for i in range(len(labels))], dtype=text),
            "label": pd.array(labels, dtype=text),
            "patient": pd.array([str(i // 3) for i in range(len(labels))], dtype=text),
            "fold": pd.array([pd.NA] * len(labels), dtype="Int64"),
        }
    )
    cells.attrs = {"dataset": "test", "classes": ("healthy", "ALL")}
    return cells


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**64), image_id=st.text(), copy=st.integers(1, 50))
def test_parameters_lie_in_the_paper_s_ranges(seed, image_id, copy):
    drawn = augmentation.parameters(seed, image_id, copy)
    assert drawn["rotation"] in (0, 45)
    assert 0.8 <= drawn["scale"] <= 1.2
    assert 0.2 <= drawn["brightness"] <= 1.0
    assert drawn == augmentation.parameters(seed, image_id, copy)
    assert json.loads(json.dumps(drawn)) == drawn


def test_parameters_cover_their_ranges_evenly():
    drawn = pd.DataFrame([augmentation.parameters(0, f"{i}", 1) for i in range(2000)])
    means = drawn.astype(float).mean()
    assert means["rotation"] / 45 == pytest.approx(0.5, abs=0.05)
    assert means["flip_horizontal"] == pytest.approx(0.5, abs=0.05)
    assert means["flip_vertical"] == pytest.approx(0.5, abs=0.05)
    assert means["scale"] == pytest.approx(1.0, abs=0.01)
    assert means["brightness"] == pytest.approx(0.6, abs=0.02)
    assert drawn.astype(float).corr().abs().where(~np.eye(5, dtype=bool)).max().max() < 0.1


def test_parameters_are_the_same_on_every_machine():
    """The value pins the draw: features in a cache and published figures depend on it."""
    drawn = augmentation.parameters(0, "UID_57_29_1_all", 1)
    assert (drawn["rotation"], drawn["flip_horizontal"], drawn["flip_vertical"]) == (45, True, True)
    assert drawn["scale"] == pytest.approx(1.1775861021298055, rel=1e-12)
    assert drawn["brightness"] == pytest.approx(0.21989435320473627, rel=1e-12)


def test_parameters_differ_between_copies_images_and_seeds():
    drawn = [
        json.dumps(augmentation.parameters(seed, image_id, copy))
        for seed in range(3)
        for image_id in ("1", "2", "11")
        for copy in (1, 2, 11)
    ]
    assert len(set(drawn)) == 27


def test_copy_zero_is_the_image_itself():
    with pytest.raises(ValueError, match="copy is 0, expected 1 or more"):
        augmentation.parameters(0, "cell", 0)


def test_no_change(rgb):
    np.testing.assert_array_equal(augmentation.augment(rgb, IDENTITY), rgb)


def test_flips(rgb):
    found = augmentation.augment(rgb, IDENTITY | {"flip_horizontal": True})
    np.testing.assert_array_equal(found, rgb[:, ::-1])
    found = augmentation.augment(rgb, IDENTITY | {"flip_vertical": True})
    np.testing.assert_array_equal(found, rgb[::-1])


def test_brightness(rgb):
    found = augmentation.augment(rgb, IDENTITY | {"brightness": 0.4})
    np.testing.assert_array_equal(found, np.rint(rgb * 0.4))


def test_rotation_is_45_degrees_about_the_center():
    bar = np.zeros((41, 41, 3), np.uint8)
    bar[20, 8:33] = 200
    found = augmentation.augment(bar, IDENTITY | {"rotation": 45})[..., 0]
    assert found[20, 20] == 200
    rising = np.fliplr(np.eye(41, dtype=bool))  # counterclockwise: from lower left to upper right
    assert found[rising][14:27].min() > 100
    assert found[np.eye(41, dtype=bool)][[10, 30]].max() == 0


@pytest.mark.parametrize("scale", [0.8, 1.2])
def test_scale_zooms_about_the_center(scale):
    square = np.zeros((101, 101, 3), np.uint8)
    square[30:71, 30:71] = 255
    found = augmentation.augment(square, IDENTITY | {"scale": scale})[..., 0]
    assert (found > 127).sum() == pytest.approx((41 * scale) ** 2, rel=0.05)
    np.testing.assert_allclose(np.argwhere(found > 127).mean(axis=0), [50, 50], atol=0.5)


def test_beyond_the_image_it_is_black():
    white = np.full((40, 40, 3), 255, np.uint8)
    found = augmentation.augment(white, IDENTITY | {"rotation": 45, "scale": 0.8})
    assert not found[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_original_is_untouched_and_copies_differ(rgb):
    before = rgb.copy()
    copies = [
        augmentation.augment(rgb, augmentation.parameters(0, "cell", copy)) for copy in range(1, 21)
    ]
    np.testing.assert_array_equal(rgb, before)
    assert len({copy.tobytes() for copy in [rgb, *copies]}) == 21
    assert all(copy.shape == rgb.shape and copy.dtype == np.uint8 for copy in copies)


@settings(max_examples=30)
@given(data=st.data())
def test_expand_meets_the_targets_and_spreads_evenly(data):
    labels = data.draw(st.lists(st.sampled_from(["healthy", "ALL"]), min_size=1, max_size=12))
    cells = make_cells(labels)
    counts = {name: labels.count(name) + data.draw(st.integers(0, 30)) for name in set(labels)}
    expanded = augmentation.expand(cells, counts, seed=data.draw(st.integers(0, 5)))

    assert expanded["label"].value_counts().to_dict() == counts
    assert expanded["image_id"].is_unique
    columns = list(cells.columns)
    pd.testing.assert_frame_equal(expanded.iloc[: len(cells)][columns], cells)
    assert (expanded["copy"].iloc[: len(cells)] == 0).all()
    assert (expanded["copy"].iloc[len(cells) :] > 0).all()
    for _, group in expanded.groupby("original"):
        assert sorted(group["copy"]) == list(range(len(group)))
        assert len(set(group["patient"])) == 1
    for name, group in expanded.groupby("label"):
        sizes = group["original"].value_counts()
        assert sizes.max() - sizes.min() <= 1, name


@settings(max_examples=20)
@given(order=st.permutations(range(9)), seed=st.integers(0, 5))
def test_expand_does_not_depend_on_the_order(order, seed):
    cells = make_cells(["healthy"] * 4 + ["ALL"] * 5)
    counts = {"healthy": 11, "ALL": 13}
    shuffled = cells.iloc[list(order)].reset_index(drop=True)
    found = augmentation.expand(shuffled, counts, seed)
    assert set(found["image_id"]) == set(augmentation.expand(cells, counts, seed)["image_id"])


def test_expand_by_hand():
    expanded = augmentation.expand(make_cells(["ALL", "healthy", "ALL"]), {"ALL": 6, "healthy": 3})
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
    chosen = {
        tuple(augmentation.expand(cells, {"ALL": 25}, seed)["image_id"].iloc[20:])
        for seed in range(5)
    }
    assert len(chosen) == 5


def test_expand_refuses_what_it_cannot_do():
    cells = make_cells(["healthy", "ALL", "ALL"])
    with pytest.raises(ValueError, match="ALL has 2 images, more than its target of 1"):
        augmentation.expand(cells, {"healthy": 1, "ALL": 1})
    with pytest.raises(ValueError, match=r"classes \['ALL'\], the cells have \['ALL', 'healthy'\]"):
        augmentation.expand(cells, {"ALL": 9})
    with pytest.raises(ValueError, match="classes"):
        augmentation.expand(cells, {"ALL": 9, "healthy": 9, "pro": 9})
    counts = {"healthy": 2, "ALL": 2}
    with pytest.raises(ValueError, match="already holds augmented copies"):
        augmentation.expand(augmentation.expand(cells, counts), counts)
    cells["label"] = cells["label"].mask([False, False, True])
    with pytest.raises(ValueError, match="<NA>"):
        augmentation.expand(cells, {"healthy": 9, "ALL": 9})
