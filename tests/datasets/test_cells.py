import io
import pathlib

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from leukkit import datasets
from leukkit.datasets import files
from leukkit.datasets.cells import DamagedImagesError, DatasetError, build, link_subjects
from tests.datasets.trees import draw, write

pytestmark = pytest.mark.usefixtures("own_cache")


def records_of(paths, **extra):
    return [
        {"image_id": path.name, "path": path, "label": "ALL", "patient": str(number), **extra}
        for number, path in enumerate(paths)
    ]


def three_sound_and_one_empty(folder):
    paths = [write(folder / f"{seed}.png", seed, 20) for seed in range(3)]
    empty = folder / "3.png"
    empty.write_bytes(b"")
    return [*paths, empty]


def test_frame_has_the_documented_columns_and_types(tmp_path):
    path = write(tmp_path / "a.png", 1, 20)
    cells = build(
        [{"image_id": "a", "path": path, "label": "ALL", "fold": 2, "crop": 12}],
        "some-set",
        tmp_path,
        ("healthy", "ALL"),
    )
    text = pd.StringDtype("python")
    assert cells.dtypes.to_dict() == {
        "image_id": text,
        "path": text,
        "label": text,
        "patient": text,
        "source_image": text,
        "split": text,
        "fold": "Int64",
        "sha256": text,
        "subject": text,
        "crop": "Int64",
    }
    assert cells.loc[0, ["patient", "source_image", "split", "subject"]].isna().all()
    assert cells.attrs == {
        "dataset": "some-set",
        "root": str(tmp_path),
        "classes": ("healthy", "ALL"),
        "dropped": (),
    }


def test_hash_is_of_the_pixels_whatever_the_lossless_format(tmp_path):
    paths = [write(tmp_path / f"same.{ending}", 1, 30) for ending in ("bmp", "png", "tif")]
    changed = draw(1, 30)
    changed[0, 0, 0] += 1
    Image.fromarray(changed).save(tmp_path / "changed.png")
    hashes = build(
        records_of([*paths, tmp_path / "changed.png"]), "x", tmp_path, ("healthy", "ALL")
    )["sha256"]
    assert hashes[0] == hashes[1] == hashes[2]
    assert hashes[3] != hashes[0]


def test_hash_tells_apart_equal_bytes_of_different_shape():
    assert files.pixel_hash(bytes(36), 2, 6) != files.pixel_hash(bytes(36), 6, 2)


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("bmp", {}),
        ("png", {}),
        ("jpg", {}),
        ("jpg", {"progressive": True}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_every_cut_of_a_file_is_noticed(ending, options):
    suffix = f".{ending}"
    buffer = io.BytesIO()
    Image.fromarray(draw(1, 17)).save(buffer, files.FORMAT_OF_SUFFIX[suffix], **options)
    whole = buffer.getvalue()
    assert files.look_at(whole, suffix).damage is None
    for length in range(len(whole)):
        assert files.look_at(whole[:length], suffix).damage, f"{length} of {len(whole)} bytes"


def test_every_changed_byte_of_png_pixel_data_is_noticed(tmp_path):
    whole = write(tmp_path / "a.png", 1, 23).read_bytes()
    for position in range(whole.index(b"IDAT"), len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 0x10
        assert files.look_at(bytes(changed), ".png").damage, f"byte {position}"


def save_16_bit(path):
    cv2.imwrite(str(path), np.full((20, 20, 3), 40_000, np.uint16))


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.png", lambda path: path.write_bytes(b""), "empty"),
        ("a.bmp", lambda path: path.write_text("<html>not found</html>"), "not an image"),
        ("a.bmp", lambda path: Image.fromarray(draw(1, 20)).quantize(8).save(path), "mode: P"),
        ("a.bmp", lambda path: Image.fromarray(draw(1, 20)).convert("L").save(path), "mode: L"),
        ("a.png", lambda path: Image.fromarray(draw(1, 20)).convert("RGBA").save(path), "RGBA"),
        ("a.jpg", lambda path: Image.fromarray(draw(1, 20)).convert("CMYK").save(path), "CMYK"),
        ("a.png", save_16_bit, "16"),
        ("a.tif", save_16_bit, "16"),
        ("a.bmp", lambda path: Image.fromarray(draw(1, 20)).save(path, "TIFF"), "holds a TIFF"),
    ],
)
def test_unusable_files_are_told_by_what_they_are(tmp_path, name, make, reason):
    make(tmp_path / name)
    assert reason in files.look_into(tmp_path / name).damage


def test_damaged_images_are_refused_by_name(tmp_path):
    paths = three_sound_and_one_empty(tmp_path)
    with pytest.raises(DamagedImagesError, match=r"1 damaged images:\n.*3\.png: empty") as error:
        build(records_of(paths), "x", tmp_path, ("healthy", "ALL"))
    assert 'damaged="drop"' in str(error.value)


def test_a_long_list_of_damaged_images_is_cut(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(14)]
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DamagedImagesError, match="14 damaged images") as error:
        build(records_of(paths), "x", tmp_path, ("healthy", "ALL"))
    assert str(error.value).count("empty file") == 10
    assert "and 4 more" in str(error.value)


def test_damaged_images_are_dropped_with_a_warning(tmp_path):
    paths = three_sound_and_one_empty(tmp_path)
    with pytest.warns(UserWarning, match="1 damaged images left out"):
        cells = build(records_of(paths), "x", tmp_path, ("healthy", "ALL"), damaged="drop")
    assert list(cells["image_id"]) == ["0.png", "1.png", "2.png"]
    assert list(cells.index) == [0, 1, 2]
    assert cells.attrs["dropped"] == (("3.png", str(paths[3]), "empty file"),)


def test_damaged_images_are_kept_with_the_reason(tmp_path):
    paths = three_sound_and_one_empty(tmp_path)
    cells = build(records_of(paths), "x", tmp_path, ("healthy", "ALL"), damaged="keep")
    assert cells["damage"].isna().tolist() == [True, True, True, False]
    assert cells["damage"][3] == "empty file"
    assert cells["sha256"].isna().tolist() == [False, False, False, True]
    assert cells["subject"].tolist() == ["0", "1", "2", "3"]


def test_wrong_size_is_damage_where_a_size_is_required(tmp_path):
    paths = [write(tmp_path / "a.png", 1, 20), write(tmp_path / "b.png", 2, 21)]
    with pytest.raises(DamagedImagesError, match=r"b\.png: wrong size: 21x21 pixels, 20x20"):
        build(records_of(paths, side=20), "x", tmp_path, ("healthy", "ALL"))
    assert len(build(records_of(paths), "x", tmp_path, ("healthy", "ALL"))) == 2


def test_bad_calls_are_refused(tmp_path):
    path = write(tmp_path / "a.png", 1, 20)
    with pytest.raises(ValueError, match="'ignore': expected one of error, drop, keep"):
        build(records_of([path]), "x", tmp_path, ("healthy", "ALL"), damaged="ignore")
    with pytest.raises(DatasetError, match="no images of x"):
        build([], "x", tmp_path, ("healthy", "ALL"))
    twice = [*records_of([path]), *records_of([path])]
    with pytest.raises(DatasetError, match="more than once"):
        build(twice, "x", tmp_path, ("healthy", "ALL"))


def test_second_look_decodes_only_what_changed(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{seed}.png", seed, 20) for seed in range(4)]
    first = files.examine(paths)
    looked = []
    original = files.look_into
    monkeypatch.setattr(files, "look_into", lambda path: looked.append(path) or original(path))
    pd.testing.assert_frame_equal(files.examine(paths), first)
    assert looked == []
    write(paths[2], 99, 21)
    second = files.examine(paths)
    assert looked == [str(paths[2])]
    assert second["height"].tolist() == [20, 20, 21, 20]
    assert second["sha256"][2] != first["sha256"][2]


def test_unusable_cache_says_which_file_to_delete(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path))
    (tmp_path / "files.sqlite").write_text("this is no database " * 100)
    with pytest.raises(OSError, match=r"files\.sqlite.*Delete that file.*LEUKKIT_CACHE_DIR"):
        files.examine([write(tmp_path / "a.png", 1, 20)])


def test_linked_patients_become_one_subject_named_in_natural_order():
    patients = ["H10", "H3", "51", "78", "51", "75", "57", pd.NA]
    hashes = ["a", "a", "b", "b", "c", "c", "d", "d"]
    assert link_subjects(patients, hashes) == [
        "H3+H10",
        "H3+H10",
        *["51+75+78"] * 4,
        "57",
        pd.NA,
    ]


def test_missing_hashes_link_nobody():
    assert link_subjects(["1", "2"], [pd.NA, pd.NA]) == ["1", "2"]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40))
def test_subjects_are_the_connected_components(pairs):
    patients = [f"{patient}" for patient, _ in pairs]
    subjects = link_subjects(patients, [f"hash {image}" for _, image in pairs])
    rows = [patient for patient, _ in pairs]
    columns = [13 + image for _, image in pairs]
    graph = coo_matrix((np.ones(len(pairs)), (rows, columns)), shape=(26, 26))
    component = connected_components(graph, directed=False)[1][rows]
    for one in range(len(pairs)):
        for other in range(len(pairs)):
            assert (subjects[one] == subjects[other]) == (component[one] == component[other])


def test_subjects_that_a_reader_joins_bring_their_linked_patients_along():
    cells = pd.DataFrame({"patient": ["H2", "H4", "H7", "H10", "1", pd.NA]}, dtype="string")
    cells["subject"] = link_subjects(cells["patient"], ["a", "a", "b", "c", "d", "e"])
    before = cells.astype("string")
    cells.attrs["dataset"] = "cnmc-2019"
    joined = datasets.join_subjects(cells, [["H7", "H2"], ["H4", "H10"]])
    assert joined["subject"].fillna("").tolist() == [*["H2+H4+H7+H10"] * 4, "1", ""]
    assert joined.attrs == cells.attrs
    assert datasets.join_subjects(cells, []).astype("string").equals(before)
    with pytest.raises(DatasetError, match=r"cnmc-2019 has no patient H9: \['H2', 'H9'\]"):
        datasets.join_subjects(cells, [["H2", "H9"]])


def test_paths_are_absolute(tmp_path, monkeypatch):
    write(tmp_path / "a.png", 1, 20)
    monkeypatch.chdir(tmp_path)
    cells = build(records_of([pathlib.Path("a.png")]), "x", ".", ("healthy", "ALL"))
    assert cells["path"][0] == str(tmp_path / "a.png")
