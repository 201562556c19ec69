import cv2
import imagehash
import numpy as np
import pandas as pd
import PIL.Image
import pytest

from leukkit import datasets
from leukkit.datasets import decode, near_duplicates
from leukkit.plots import image_pairs

SAMPLES = ("sample-cells", "sample-idb", "sample-smears")


def jpeg(bgr, quality=50):
    return cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


def smaller(bgr):
    return cv2.resize(bgr, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)


COPIES = {
    "stored as JPEG": jpeg,
    "smaller": smaller,
    "darker": lambda bgr: cv2.convertScaleAbs(bgr, alpha=0.7),
    "brighter": lambda bgr: cv2.convertScaleAbs(bgr, alpha=1.2),
    "darker by a constant": lambda bgr: np.maximum(bgr, 20) - 20,
    "turned": lambda bgr: np.rot90(bgr),
    "mirrored": lambda bgr: bgr[:, ::-1],
    "upside down": lambda bgr: bgr[::-1],
    "mirrored and turned": lambda bgr: np.rot90(bgr[:, ::-1], 3),
    "all at once": lambda bgr: jpeg(smaller(np.rot90(cv2.convertScaleAbs(bgr, alpha=0.8), 2))),
}


@pytest.fixture(scope="module")
def samples():
    return {name: datasets.load(name) for name in (*SAMPLES, "sample-phases")}


def with_copies(cells, folder, change, every=12):
    """Add changed copies of some distinct images, each under a patient of its own."""
    chosen = cells.drop_duplicates("sha256").iloc[::every]
    names = [f"copy-of-{name}" for name in chosen["image_id"]]
    paths = [str(folder / f"{name}.png") for name in names]
    patients = [f"X{name}" for name in names]
    for path, target in zip(chosen["path"], paths, strict=True):
        cv2.imwrite(target, np.ascontiguousarray(change(decode.read(path)[..., ::-1])))
    copies = chosen.assign(
        image_id=names, path=paths, sha256=names, patient=patients, subject=patients
    )
    return pd.concat([cells, copies], ignore_index=True), len(copies)


@pytest.mark.parametrize("change", COPIES)
@pytest.mark.parametrize("name", SAMPLES)
def test_changed_copies_are_found_and_nothing_else(samples, tmp_path, name, change):
    cells, number = with_copies(samples[name].iloc[::3], tmp_path, COPIES[change])
    pairs = near_duplicates.find(cells)
    assert set(pairs["image_id"]) == {f"copy-of-{first}" for first in pairs["image_id_first"]}
    assert len(pairs) == number
    assert (pairs["relation"] == "two subjects").all()


@pytest.mark.parametrize("name", SAMPLES)
def test_different_images_are_not_alike(samples, name):
    assert near_duplicates.find(samples[name]).empty


def test_the_hash_alone_would_report_different_cells(samples):
    """Round cells on black share their low frequencies: the pixels have to confirm."""
    assert len(near_duplicates.find(samples["sample-cells"], distance=40, correlation=-1)) > 0


@pytest.mark.parametrize(
    ("change", "turned", "mirrored"), [("turned", 90, False), ("mirrored", 0, True)]
)
def test_what_the_pair_was_turned_by(samples, tmp_path, change, turned, mirrored):
    cells, _ = with_copies(samples["sample-cells"].iloc[::6], tmp_path, COPIES[change])
    pairs = near_duplicates.find(cells)
    assert set(pairs["turned"]) == {turned}
    assert set(pairs["mirrored"]) == {mirrored}


def test_candidates_are_those_of_comparing_every_pair():
    """Against the definition, on random bits, over the borders of blocks and tiles."""
    generator = np.random.default_rng(0)
    signs = generator.choice([-1, 1], (1100, 8, near_duplicates.BITS)).astype(np.int8)
    signs[600, 0] = signs[3, 5]
    signs[600, 0, :7] *= -1
    signs[20, 0] = signs[10, 2]
    signs[20, 0, :3] *= -1
    signs[10, 6] = signs[20, 0]  # likest of two orientations
    signs[1090, 0] = signs[1030, 7]
    starts = range(0, 1100, near_duplicates.BLOCK)
    found = [near_duplicates._candidates(signs, start, 36) for start in starts]
    pairs = np.concatenate([part for parts in found for part in parts], axis=1)
    assert pairs.T.tolist() == [[10, 20, 6, 0], [3, 600, 5, 7], [1030, 1090, 7, 0]]


def test_the_hash_is_that_of_the_library_in_every_orientation(samples):
    paths = samples["sample-cells"]["path"][:40]
    pictures = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in decode.read_all(paths, 64)]
    found = near_duplicates._hashes(np.array(pictures)) > 0
    for picture, of_picture in zip(pictures, found, strict=True):
        turned = [np.rot90(picture, quarters) for quarters in range(4)]
        for seen, bits in zip(turned + [one[:, ::-1] for one in turned], of_picture, strict=True):
            image = PIL.Image.fromarray(np.ascontiguousarray(seen))
            expected = imagehash.phash(image, hash_size=16, highfreq_factor=4)
            np.testing.assert_array_equal(bits, expected.hash.ravel())


def test_images_that_are_all_alike_end_in_a_sentence(samples, tmp_path, monkeypatch):
    cells, number = with_copies(samples["sample-cells"].iloc[:60], tmp_path, COPIES["darker"], 1)
    monkeypatch.setattr(near_duplicates, "MOST", number)
    assert len(near_duplicates.find(cells)) == number
    monkeypatch.setattr(near_duplicates, "MOST", number - 1)
    with pytest.raises(
        near_duplicates.TooMuchAlikeError, match=rf"{number} pairs differ in at most 36 of 256"
    ):
        near_duplicates.find(cells)


def test_pairs_are_told_apart_by_subject_and_official_fold(samples, tmp_path):
    cells, _ = with_copies(samples["sample-cells"].iloc[:40], tmp_path, COPIES["darker"])
    before = cells.copy()
    pairs = near_duplicates.find(cells)
    pd.testing.assert_frame_equal(cells, before)  # nobody is joined
    first = pairs.set_index("image_id")["image_id_first"]
    originals = cells.set_index("image_id").loc[first]
    copies = cells.set_index("image_id").loc[first.index]
    copies.iloc[0, copies.columns.get_indexer(["patient", "subject"])] = originals.iloc[0][
        ["patient", "subject"]
    ]
    copies.iloc[1, copies.columns.get_loc("subject")] = originals["subject"].iloc[1]
    copies.iloc[2, copies.columns.get_indexer(["patient", "subject"])] = pd.NA
    copies.iloc[3, copies.columns.get_loc("fold")] = 7
    changed = pd.concat([cells[~cells["image_id"].isin(first.index)], copies.reset_index()])
    counted = near_duplicates.count(near_duplicates.find(changed))
    assert counted["pairs"].to_dict() == {
        "two subjects": len(pairs) - 3,
        "two patients of one subject": 1,
        "same patient": 1,
        "subjects not known": 1,
    }
    assert counted["in two official folds"].sum() == 1


def test_blocks_of_neighbors_are_called_blocks(samples, tmp_path):
    cells, number = with_copies(samples["sample-phases"].iloc[:60], tmp_path, COPIES["darker"])
    is_copy = cells["image_id"].str.startswith("copy-of-")
    cells["patient"] = pd.Series(pd.NA, cells.index, "string")
    cells["subject"] = "proxy:pro-1"
    assert set(near_duplicates.find(cells)["relation"]) == {"one block"}
    cells.loc[is_copy, "subject"] = "proxy:pro-2"
    counted = near_duplicates.count(near_duplicates.find(cells))
    assert counted["pairs"][counted["pairs"] > 0].to_dict() == {"two blocks": number}


def test_the_figure_shows_the_pairs_side_by_side(samples, tmp_path):
    cells, number = with_copies(samples["sample-cells"].iloc[::16], tmp_path, COPIES["darker"])
    pairs = near_duplicates.find(cells)
    axes = image_pairs(cells, pairs, most=2)
    titles = [panel.get_title() for panel in axes.flat if panel.images]
    pair = pairs.iloc[0]
    assert titles[0] == f"{pair['image_id_first']}\npatient {pair['patient_first']}"
    assert titles[1] == f"{pair['image_id']}\npatient {pair['patient']}"
    assert len(titles) == 4
    assert f"2 of {number} pairs" in axes[0, 0].figure.get_suptitle()
    with pytest.raises(ValueError, match="no pair"):
        image_pairs(cells, pairs.head(0))


def test_real_cells_hold_subjects_that_identical_files_do_not_link(real_cells_folder):
    pairs = near_duplicates.find(datasets.load("cnmc-2019", real_cells_folder, links="identical"))
    across = pairs[pairs["relation"] == "two subjects"]
    links = (across["patient_first"] + " = " + across["patient"]).value_counts()
    assert links["H7 = H2"] == 11
    assert set(across["label"]) <= {"healthy", "ALL"}
    assert (across["label"] == across["label_first"]).all()
