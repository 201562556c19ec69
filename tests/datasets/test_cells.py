import pathlib

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukkit import classifiers, datasets, papers, splits
from leukkit.check import shortcuts
from leukkit.datasets import links
from leukkit.datasets.cells import (
    DamagedImagesError,
    DatasetError,
    build,
    crops,
    link_subjects,
    natural_order,
    wrong_sizes,
)
from leukkit.files import read_table
from leukkit.report import cards
from tests.datasets.trees import write, write_all_idb2

pytestmark = pytest.mark.usefixtures("own_cache")

CLASSES = ("healthy", "ALL")


def build_from(paths, damaged="error", **extra):
    records = [
        {"image_id": path.name, "path": path, "label": "ALL", "patient": str(number), **extra}
        for number, path in enumerate(paths)
    ]
    return build(records, "some-set", "root", CLASSES, damaged)


@pytest.fixture
def one_of_four_empty(tmp_path):
    paths = [write(tmp_path / f"{seed}.png", seed, 20) for seed in range(3)]
    paths.insert(1, tmp_path / "empty.png")
    paths[1].write_bytes(b"")
    return paths


def test_the_frame_has_the_documented_columns_types_and_attributes(tmp_path, monkeypatch):
    write(tmp_path / "a.png", 1, 20)
    monkeypatch.chdir(tmp_path)
    record = {"image_id": "a", "path": pathlib.Path("a.png"), "label": "ALL", "fold": 2}
    optional = {"crop": 12, "mask": "m.png", "sequence": "pro", "number": 7, "subject": "proxy"}
    cells = build([record | optional], "some-set", tmp_path, ["healthy", "ALL"])
    text = pd.StringDtype("python")
    names = ["image_id", "path", "label", "patient", "source_image", "split", "fold", "sha256"]
    expected = dict.fromkeys([*names, "subject"], text) | {"fold": "Int64"}
    assert cells.dtypes.to_dict() == expected | {
        "crop": "Int64",
        "mask": text,
        "sequence": text,
        "number": "Int64",
    }
    assert list(cells.columns) == [*names, "subject", "crop", "mask", "sequence", "number"]
    row = cells.loc[0].drop("sha256")
    assert row[["patient", "source_image", "split"]].isna().all()
    assert row.dropna().to_dict() == record | optional | {"path": str(tmp_path / "a.png")}
    assert cells.attrs == {
        "dataset": "some-set",
        "root": str(tmp_path),
        "classes": CLASSES,
        "dropped": (),
    }
    assert list(build([record], "x", tmp_path, CLASSES).columns) == [*names, "subject"]


def test_equal_pixels_link_patients_but_for_a_subject_that_is_given(tmp_path):
    paths = [write(tmp_path / f"{name}", 1, 20) for name in ("a.png", "b.bmp", "c.tif")]
    cells = build_from([*paths, write(tmp_path / "d.png", 2, 20)])
    assert cells["sha256"].nunique() == 2
    assert cells["subject"].tolist() == ["0+1+2", "0+1+2", "0+1+2", "3"]
    assert build_from(paths, subject="proxy")["subject"].tolist() == ["proxy"] * 3


def test_damaged_images_are_refused_by_name(one_of_four_empty):
    with pytest.raises(DamagedImagesError) as error:
        build_from(one_of_four_empty)
    assert str(error.value) == (
        f"1 unusable images:\n  {one_of_four_empty[1]}: is empty (0 bytes), expected an image\n"
        'Download these files again, or leave them out with damaged="drop"; damaged="keep" loads '
        "everything, for leukkit.datasets.check"
    )


@pytest.mark.parametrize(
    ("count", "listed", "more"), [(10, 10, ""), (23, 10, "\n  … and 13 more\n")]
)
def test_a_long_list_of_damaged_images_is_cut(tmp_path, count, listed, more):
    paths = [tmp_path / f"{number}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DamagedImagesError, match=f"{count} unusable images") as error:
        build_from(paths)
    assert str(error.value).count(": is empty") == listed
    assert (more or "\nDownload") in str(error.value)
    assert ("more" in str(error.value)) == bool(more)


def test_damaged_images_are_dropped_with_a_warning(one_of_four_empty):
    with pytest.warns(UserWarning, match=r"^some-set: 1 unusable images left out$"):
        cells = build_from(one_of_four_empty, "drop")
    assert cells["image_id"].tolist() == ["0.png", "1.png", "2.png"]
    assert cells["subject"].tolist() == ["0", "2", "3"]
    assert list(cells.index) == [0, 1, 2]
    assert cells.columns.equals(build_from(one_of_four_empty[:1]).columns)
    reason = "is empty (0 bytes), expected an image"
    assert cells.attrs["dropped"] == (("empty.png", str(one_of_four_empty[1]), reason),)


def test_the_warning_names_the_line_that_loads(tmp_path):
    (write_all_idb2(tmp_path) / "ALL_IDB2/img/Im001_1.tif").write_bytes(b"")
    with pytest.warns(UserWarning, match="all-idb2: 1 unusable images left out") as caught:
        datasets.load("all-idb2", tmp_path, damaged="drop")
    assert caught[0].filename == __file__


def test_damaged_images_are_kept_with_the_reason(one_of_four_empty):
    cells = build_from(one_of_four_empty, "keep")
    assert cells["damage"].fillna("").str.slice(0, 8).tolist() == ["", "is empty", "", ""]
    assert cells["sha256"].isna().tolist() == [False, True, False, False]
    assert cells["subject"].tolist() == ["0", "1", "2", "3"]
    assert cells.attrs["dropped"] == ()
    sound = [one_of_four_empty[0]]
    assert build_from(sound, "keep")["damage"].isna().all()
    assert "damage" not in build_from(sound)


def test_wrong_sizes_are_those_of_height_or_width():
    findings = pd.DataFrame({"height": [4, 5, 4, 5, None], "width": [4, 4, 5, 4, None]})
    texts = wrong_sizes(findings.astype("Int64").set_axis(list("abcde")), [4, 4, 4, 5, 4])
    assert list(texts.index) == list("abcde")
    assert texts.dropna().to_dict() == {
        "b": "wrong size: 5x4 pixels, 4x4 was expected",
        "c": "wrong size: 4x5 pixels, 4x4 was expected",
        "d": "wrong size: 5x4 pixels, 5x5 was expected",
    }


def test_bad_calls_are_refused(tmp_path):
    path = write(tmp_path / "a.png", 1, 20)
    with pytest.raises(ValueError, match=r"^damaged='ignore': expected one of error, drop, keep$"):
        build_from([path], "ignore")
    with pytest.raises(DatasetError, match=r"^root: no images of some-set in this folder$"):
        build_from([])


def test_one_name_for_two_files_is_refused(tmp_path):
    names = ["1/b", "1/a", "1/c", "2/b", "3/b", "2/a", "2/c", "1/d"]
    paths = [write(tmp_path / f"{name}.png", seed, 20) for seed, name in enumerate(names)]
    with pytest.raises(DatasetError, match=r"^3 images are there more than once") as error:
        build_from(paths)
    assert f"e.g. b.png as {paths[0]} and {paths[3]}. Point root" in str(error.value)


def test_linked_patients_become_one_subject_named_in_natural_order():
    patients = ["H10", "H3", "51", "78", "51", "75", "57", pd.NA]
    hashes = ["a", "a", "b", "b", "c", "c", "d", "d"]
    assert link_subjects(patients, hashes) == [*["H3+H10"] * 2, *["51+75+78"] * 4, "57", pd.NA]
    assert link_subjects(["1", "2"], [pd.NA, pd.NA]) == ["1", "2"]
    assert link_subjects([], []) == []


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40))
def test_subjects_are_what_sharing_images_connects(pairs):
    """Against the definition: grow each patient's set until no shared image adds another."""
    found = link_subjects([f"{patient}" for patient, _ in pairs], [f"i{i}" for _, i in pairs])
    for (patient, _), subject in zip(pairs, found, strict=True):
        connected, before = {patient}, set()
        while connected != before:
            before = connected
            images = {image for one, image in pairs if one in connected}
            connected = {one for one, image in pairs if image in images}
        assert subject == "+".join(map(str, sorted(connected)))


def test_crops_are_sides_or_none():
    cells = pd.DataFrame({"crop": pd.array([450, None], "Int64")})
    assert crops(cells) == [450, None]
    assert crops(cells[[]]) == [None, None]


def test_natural_order():
    names = ["H10", "51", "H2", "h1", "5", "H2b"]
    assert sorted(names, key=natural_order) == ["5", "51", "H2", "H2b", "H10", "h1"]


def test_subjects_that_a_reader_joins_bring_their_linked_patients_along():
    cells = pd.DataFrame({"patient": ["H2", "H4", "H7", "H10", "1", pd.NA]}, dtype="string")
    cells["subject"] = pd.Series(["H2+H4", "H2+H4", "H7", "H10", "1", pd.NA], dtype="string")
    cells.attrs["dataset"] = "cnmc-2019"
    before = cells.copy()
    joined = datasets.join_subjects(cells, [["H7", "H2"], ["H4", "H10"]])
    assert joined["subject"].fillna("").tolist() == [*["H2+H4+H7+H10"] * 4, "1", ""]
    assert joined.attrs == cells.attrs
    pd.testing.assert_frame_equal(datasets.join_subjects(cells, []), before)
    pd.testing.assert_frame_equal(cells, before)
    unknown = r"^cnmc-2019 has no patient H8, H9: \['H9', 'H2', 'H8'\] cannot be joined"
    with pytest.raises(DatasetError, match=unknown):
        datasets.join_subjects(cells, [["H9", "H2", "H8"]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"expected a CSV file .* image_id, fold, each once; found was 'nothing'"),
        (b"image_id,other\na,1\n", r".*found was 'image_id,other'"),
        (b"image_id,fold,fold\na,1,2\n", r".*each once.*found was 'image_id,fold,fold'"),
        (b"image_id,fold\na,1\nb,1,\n", "line 3 has too many fields, expected 2"),
        (b"image_id,fold\na,1,2\n", "line 2 has too many fields"),
        (b"image_id,fold\na\n", "line 2 has too few fields"),
        (b'image_id,fold\n"' + b"a" * 200_000 + b'",1\n', "after line 1: field larger than"),
        ("image_id,fold\n\u00e4,1\n".encode("latin-1"), "line 2 is no UTF-8 .*encoding UTF-8"),
        ("image_id,fold\na,1\n".encode("utf-16"), "line 1 is no UTF-8 text"),
        ("image_id,fold\na,1\n".encode("utf-16-le"), "expected a CSV file"),
    ],
)
def test_tables_of_other_forms_are_refused_with_their_line(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"table\.csv: {message}"):
        read_table(path, ["image_id", "fold"])


def test_tables_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b'\xef\xbb\xbffold, other, image_id\r\n\r\n1, "x, y", NA\r\n,,b\r\n')
    found = read_table(path, ["image_id", "fold"])
    assert found.to_dict("index") == {
        3: {"fold": "1", "other": "x, y", "image_id": "NA"},
        4: {"fold": "", "other": "", "image_id": "b"},
    }
    path.write_bytes(b"image_id;fold\na b ; 1,5\n")  # Excel in most of Europe
    assert read_table(path, ["fold"]).to_dict("index") == {2: {"image_id": "a b", "fold": "1,5"}}
    path.write_bytes(b"image_id,fold\n")
    assert read_table(path, ["image_id", "fold"]).shape == (0, 2)


@pytest.mark.parametrize(
    "use",
    [
        datasets.check,
        lambda merged: datasets.join_subjects(merged, []),
        lambda merged: links.join(merged, "identical"),
        lambda merged: shortcuts.check(merged, folds=2),
        lambda merged: cards.data_card("all-idb2", merged),
        lambda merged: classifiers.cross_validate(
            splits.divide(merged, {"split": "stratified", "folds": 2}),
            papers.load("farag2025").recipe("all-idb2_densenet201_rf", "sample"),
            name="try",
        ),
    ],
)
def test_cells_that_lost_their_attrs_are_refused_with_how_to_keep_them(tmp_path, use):
    loaded = datasets.load("all-idb2", write_all_idb2(tmp_path))
    merged = loaded.merge(pd.DataFrame({"image_id": loaded["image_id"], "age": 3}))
    merged.attrs = {}  # as pandas before 3 leaves it
    with pytest.raises(DatasetError, match=r"no attrs .*merged\.attrs = cells\.attrs"):
        use(merged)
