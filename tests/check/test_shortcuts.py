"""Each shortcut sees what it should and nothing else; what reaches no class reaches chance."""

import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest

from leukkit import datasets
from leukkit.check import shortcuts


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(shortcuts, "TREES", 20)


CLASSES = {2: ("healthy", "ALL"), 4: ("benign", "early", "pre", "pro")}


def write_images(folder, classes=2, carries="border", patients=6, each=8, known=True):
    """Write images of noise in which one thing alone tells the class."""
    generator = np.random.default_rng(0)
    rows = []
    for code, label in enumerate(CLASSES[classes]):
        for patient in range(patients):
            for number in range(each):
                pixels = generator.integers(60, 190, (64, 64, 3)).astype(np.uint8)
                if carries == "border":
                    pixels[0, :, 0] = 40 + 50 * code
                    pixels[32, :, 0] = 240 - 50 * code  # the mean color stays the same
                name = f"{label}_{patient}_{number}"
                path = folder / f"{name}.png"
                cv2.imwrite(str(path), pixels)
                subject = f"{label}-{patient}" if known else pd.NA
                rows.append((name, str(path), label, subject, hashlib.sha256(pixels).hexdigest()))
    cells = pd.DataFrame(rows, columns=["image_id", "path", "label", "subject", "sha256"])
    cells = cells.assign(patient=cells["subject"]).astype("string")
    cells.attrs = {"classes": CLASSES[classes], "dataset": "noise"}
    return cells


def scores(checked, split="by subject"):
    return checked[checked["split"] == split].set_index("shortcut")


@pytest.mark.parametrize("classes", [2, 4])
def test_only_the_shortcut_that_carries_the_class_scores(tmp_path, classes):
    found = scores(shortcuts.check(write_images(tmp_path, classes), folds=3))
    assert found.loc["image border", "auc"] > 0.97
    assert found.loc["all of these", "auc"] > 0.95
    for other in ("mask area", "mean color"):
        assert found.loc[other, "auc"] == pytest.approx(0.5, abs=0.15)
    assert set(found["balanced_accuracy chance"]) == {1 / classes}


def test_what_never_changes_is_called_constant(tmp_path):
    cells = write_images(tmp_path, patients=4, each=4)
    for number, path in enumerate(cells["path"]):
        pixels = np.full((64, 64, 3), 0, np.uint8)
        pixels[20:40, 20 : 30 + number % 9] = 150
        cv2.imwrite(path.replace(".png", ".bmp"), pixels)
    cells["path"] = cells["path"].str.replace(".png", ".bmp")
    checked = shortcuts.check(cells, folds=2)
    constant = checked.groupby("shortcut")["constant"].all()
    assert constant.to_dict() == {
        "all of these": False,
        "file size": True,  # BMP, all of one size
        "image border": True,  # black
        "mask area": False,
        "mean color": True,
    }
    assert checked.loc[checked["constant"], ["auc", "balanced_accuracy low"]].isna().all(axis=None)
    text = shortcuts.table(checked)
    assert set(text.loc[("file size", "BMP: not compressed")]) == {"constant"}
    assert set(text.loc[("chance", "nothing")]) == {"0.50"}


def test_the_numbers_are_those_of_the_image(tmp_path):
    """By hand: a gray square of 10 x 10 in a black image of 64 x 64 that touches the left side."""
    cells = write_images(tmp_path, patients=1, each=1)
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:10, :10] = (50, 100, 150)  # blue, green, red for OpenCV
    for path in cells["path"]:
        cv2.imwrite(path, pixels)
    seen = shortcuts.features(cells)
    assert seen.attrs["mask"] == "what is not black"
    assert (seen["mask area", "area"] == 100 / 64**2).all()
    assert seen["mean color"].iloc[0].tolist() == [150, 100, 50]
    assert seen["image border", "top mean red"][0] == 150 * 10 / 64
    assert seen["image border", "right spread blue"][0] == 0
    assert seen["file size", "bytes"][0] == len(cv2.imencode(".png", pixels)[1])


def test_images_that_are_not_cut_out_are_segmented():
    cells = datasets.load("sample-idb")
    seen = shortcuts.features(cells)
    assert seen.attrs["mask"] == "nucleus, by segmentation"
    true = [cv2.imread(path, 0).astype(bool).mean() for path in cells["mask"]]
    assert np.corrcoef(true, seen["mask area", "area"])[0, 1] > 0.9


def test_data_without_patients_need_a_word(tmp_path):
    cells = write_images(tmp_path, known=False)
    with pytest.raises(ValueError, match="missing='image'"):
        shortcuts.check(cells, folds=3)
    checked = shortcuts.check(cells, folds=3, missing="image")
    assert set(checked["groups_are"]) == {"original images"}
    assert set(checked["groups"]) == {len(cells)}
    brief = shortcuts.check(cells, folds=3, missing="image", brief=True)
    is_asked = (checked["split"] == "by subject") & (checked["shortcut"] != "all of these")
    pd.testing.assert_frame_equal(brief, checked[is_asked].reset_index(drop=True))


def test_subjects_are_told_by_their_color_in_the_sample():
    """Each synthetic subject has a stain: by image the color tells who it is."""
    cells = datasets.load("sample-cells")
    checked = shortcuts.check(cells, folds=3)
    by_image, by_subject = scores(checked, "by image"), scores(checked)
    assert by_image.loc["mean color", "auc"] > by_subject.loc["mean color", "auc"]
    assert by_subject.loc["image border", "constant"]
    assert set(checked["groups_are"]) == {"subjects"}
