import hashlib
import pathlib

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from leukkit.datasets import decode, sample
from leukkit.datasets.cells import DamagedImagesError

SIDES = {"sample-cells": 112, "sample-idb": 257, "sample-smears": 224}
PIXELS = "af754215f36dcc25ce6d139c704c7d9edfbbd981fcff7d0f937f62a1f6458456"


@pytest.fixture(scope="module")
def frames(cache_dir):
    return {name: sample.load(name) for name in SIDES}


@pytest.fixture(scope="module")
def pictures(frames):
    return {name: [decode.read(path) for path in cells["path"]] for name, cells in frames.items()}


@pytest.fixture(scope="module")
def masks(frames):
    return [decode.read_mask(path) for path in frames["sample-idb"]["mask"]]


def test_same_seed_same_pixels(pictures, masks):
    digest = hashlib.sha256()
    for name, of_the_set in pictures.items():
        for i, picture in enumerate(of_the_set):
            digest.update(picture.tobytes())
            if name == "sample-idb":
                digest.update(np.where(masks[i], 255, 0).astype(np.uint8).tobytes())
    assert digest.hexdigest() == PIXELS, (
        "The drawing changed. If that was meant, look at the pictures, then raise "
        "leukkit.datasets.sample.VERSION and put the new hash here"
    )


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("sample-cells", {"healthy": 173, "ALL": 276}),
        ("sample-idb", {"healthy": 56, "ALL": 56}),
        ("sample-smears", {"benign": 59, "early": 91, "pre": 88, "pro": 72}),
    ],
)
def test_every_set_has_classes_patients_and_pictures(name, counts, frames, pictures):
    cells = frames[name]
    assert cells.attrs["dataset"] == name
    assert cells.attrs["classes"] == tuple(counts)
    assert cells["label"].value_counts().to_dict() == counts
    assert cells["patient"].nunique() == (38 if name == "sample-smears" else 24)
    assert cells.groupby("patient")["label"].nunique().max() == 1
    assert cells.groupby("patient").size().nunique() > 3  # unequal numbers
    assert cells.groupby("source_image").size().max() > 1
    assert all(p.shape == (SIDES[name], SIDES[name], 3) for p in pictures[name])


def test_the_phases_are_the_cells_and_other_subjects(frames):
    cells, phases = frames["sample-cells"], sample.load("sample-phases")
    training = phases[phases["split"] == "training"]
    same = ["image_id", "label", "patient", "source_image", "fold", "sha256", "subject"]
    pd.testing.assert_frame_equal(training[same], cells[same], check_dtype=False)
    preliminary = phases[phases["split"] == "preliminary"]
    assert len(training) + len(preliminary) == len(phases) == 580
    assert preliminary["label"].value_counts().to_dict() == {"ALL": 73, "healthy": 58}
    assert preliminary.groupby("label")["subject"].nunique().to_dict() == {"ALL": 5, "healthy": 5}
    assert preliminary["fold"].isna().all()
    for column in ("patient", "subject", "source_image", "sha256"):
        assert not set(preliminary[column]) & set(training[column])
    assert preliminary["sha256"].is_unique
    assert cells["split"].isna().all()  # the sample has no phases of its own
    records = pd.DataFrame(sample.records("sample-phases", pathlib.Path()))
    subjects = records["streams"].str[0].groupby(records["split"]).agg(set)
    assert not subjects["training"] & subjects["preliminary"]  # streams are their own, too


def test_two_subjects_go_by_several_names(frames):
    cells = frames["sample-cells"]
    linked = {subject for subject in cells["subject"] if "+" in subject}
    assert linked == {"P02+P05+P09", "P15+P20"}
    copies = cells[cells["sha256"].duplicated(keep=False)]
    assert cells["sha256"].duplicated().sum() == 8
    for _, same in copies.groupby("sha256"):
        assert same["patient"].is_unique
        assert len(set(same["label"])) == 1
        assert len({pathlib.Path(path).read_bytes() for path in same["path"]}) == 1
    for name in ("sample-idb", "sample-smears"):
        assert frames[name]["sha256"].is_unique


def test_official_folds_hold_whole_patients_but_cut_through_subjects(frames):
    cells = frames["sample-cells"]
    assert set(cells["fold"]) == {0, 1, 2}
    assert cells.groupby("patient")["fold"].nunique().max() == 1
    assert set(cells[cells.groupby("subject")["fold"].transform("nunique") > 1]["subject"]) == {
        "P02+P05+P09",
        "P15+P20",
    }
    assert cells.groupby("fold")["label"].nunique().min() == 2
    assert frames["sample-idb"]["fold"].isna().all()


def look_at(picture):
    """Describe a picture by what a simple program sees: colors, nuclear area, texture, outline."""
    a = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2LAB)[..., 1]
    nucleus = (a > 141).astype(np.uint8)
    inner = cv2.erode(nucleus, np.ones((7, 7))) > 0
    values = picture[inner].astype(float)
    sharpness = cv2.Laplacian(picture[..., 1].astype(float), cv2.CV_64F)[inner]
    outlines, _ = cv2.findContours(nucleus, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    return np.concatenate(
        [
            np.percentile(picture.reshape(-1, 3), [2, 10, 25, 50, 75, 90, 98], axis=0).ravel(),
            np.histogram(a, bins=np.linspace(125, 180, 12), density=True)[0],
            values.mean(0),
            values.std(0),
            [
                sharpness.std(),
                nucleus.mean(),
                nucleus.sum() / max(1, (picture.max(-1) > 20).sum()),
                cv2.contourArea(outline) / cv2.contourArea(cv2.convexHull(outline)),
            ],
        ]
    )


@pytest.mark.parametrize("name", SIDES)
def test_classes_can_be_told_but_not_without_error(name, frames, pictures):
    cells = frames[name]
    features = np.array([look_at(picture) for picture in pictures[name]])
    labels, subjects = (cells[column].to_numpy(str) for column in ("label", "subject"))
    model = make_pipeline(StandardScaler(), SVC(C=10, gamma=0.01, class_weight="balanced"))

    def accuracy(splitter, groups):
        scores = []
        for seed in range(3):
            folds = splitter(5, shuffle=True, random_state=seed)
            found = cross_val_predict(model, features, labels, groups=groups, cv=folds)
            scores.append(accuracy_score(labels, found))
        return np.mean(scores)

    by_image = accuracy(StratifiedKFold, None)
    by_subject = accuracy(StratifiedGroupKFold, subjects)
    assert by_subject >= cells["label"].value_counts(normalize=True).max() + 0.05
    assert by_image < 0.99


@pytest.fixture
def tiny_set(monkeypatch, tmp_path):
    monkeypatch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path))
    few = sample.CELLS._replace(patients={"healthy": (2,), "ALL": (2,)}, same_subject={})
    monkeypatch.setitem(sample.PLANS, "sample-cells", few)
    return tmp_path / "samples"


def test_another_seed_has_other_pictures_in_a_folder_of_its_own(tiny_set):
    usual, other = sample.load("sample-cells"), sample.load("sample-cells", seed=sample.SEED + 1)
    assert not set(usual["sha256"]) & set(other["sha256"])
    assert list(usual["image_id"]) == list(other["image_id"])
    assert len(list(tiny_set.iterdir())) == 2


def test_a_set_is_made_once(tiny_set, monkeypatch):
    first = sample.load("sample-cells")
    monkeypatch.setattr(sample, "draw", None)
    pd.testing.assert_frame_equal(sample.load("sample-cells"), first)
    assert [folder.name for folder in tiny_set.iterdir()] == [
        f"sample-cells-{sample.VERSION}-{sample.SEED}"
    ]


def test_a_run_that_dies_while_drawing_leaves_nothing(tiny_set, monkeypatch):
    calls = []

    def die_at_the_third(name, picture, seed):
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return np.zeros((112, 112, 3), np.uint8), None

    with monkeypatch.context() as patch:
        patch.setattr(sample, "draw", die_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            sample.load("sample-cells")
    assert list(tiny_set.iterdir()) == []
    assert len(sample.load("sample-cells")) == 4


def test_of_two_processes_that_draw_the_same_set_the_slower_one_yields(tiny_set, monkeypatch):
    draw = sample.draw
    overtaken = []

    def be_overtaken(name, picture, seed):
        if not overtaken:
            overtaken.append(True)
            sample.load(name)  # what another process does meanwhile
        return draw(name, picture, seed)

    monkeypatch.setattr(sample, "draw", be_overtaken)
    assert len(sample.load("sample-cells")) == 4
    assert [folder.name for folder in tiny_set.iterdir()] == [
        f"sample-cells-{sample.VERSION}-{sample.SEED}"
    ]


def test_a_damaged_drawing_says_what_to_delete(tiny_set):
    path = pathlib.Path(sample.load("sample-cells")["path"][0])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DamagedImagesError) as caught:
        sample.load("sample-cells")
    assert str(path) in str(caught.value)
    assert f"delete {path.parents[1]} to have it make them again" in caught.value.__notes__[0]


def test_an_unwritable_cache_is_named(monkeypatch, tmp_path):
    (tmp_path / "samples").write_text("a file where a folder must be")
    monkeypatch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path))
    with pytest.raises(OSError, match="LEUKKIT_CACHE_DIR"):
        sample.load("sample-idb")
