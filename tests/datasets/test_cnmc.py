import hashlib
import shutil

import pandas as pd
import pytest
from PIL import Image

from leukkit import datasets
from tests.datasets.trees import LABELS_CSV, draw, write, write_all_2021, write_all_idb2, write_cnmc

pytestmark = pytest.mark.usefixtures("own_cache")

HEADER = "Patient_ID,new_names,labels\n"
DOUBLED = {
    part: f"C-NMC_{part_folder}/C-NMC_{part_folder}"
    for part, part_folder in {
        "training": "training_data",
        "preliminary": "test_prelim_phase_data",
        "final": "test_final_phase_data",
    }.items()
}
LAYOUTS = {
    "publisher": {},
    "publisher, labels beside the images": {"labels": f"C-NMC_test_prelim_phase_data/{LABELS_CSV}"},
    "kaggle": {
        "training": "C-NMC_Leukemia/training_data",
        "preliminary": "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data",
        "final": "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data",
        "labels": f"C-NMC_Leukemia/validation_data/{LABELS_CSV}",
    },
    "wrapped": {
        "training": "PKG - C-NMC 2019/C-NMC_training_data",
        "preliminary": "PKG - C-NMC 2019/C-NMC_test_prelim_phase_data",
        "final": "PKG - C-NMC 2019/C-NMC_test_final_phase_data",
        "labels": f"PKG - C-NMC 2019/{LABELS_CSV}",
    },
    "doubled": {**DOUBLED, "labels": f"C-NMC_test_prelim_phase_data/{LABELS_CSV}"},
}


def without_path(cells):
    return cells.drop(columns="path")


def assert_same_cells(one, other):
    pd.testing.assert_frame_equal(without_path(one), without_path(other))


@pytest.fixture(scope="module")
def publisher(own_cache, tmp_path_factory):
    root = write_cnmc(tmp_path_factory.mktemp("publisher"))
    return datasets.load("cnmc-2019", root)


def test_every_phase_is_read(publisher):
    expected = [
        # image_id, label, patient, source_image, split, fold, subject
        ("UID_51_1_1_all", "ALL", "51", "51_1", "training", 0, "51+78"),
        ("UID_51_1_2_all", "ALL", "51", "51_1", "training", 0, "51+78"),
        ("UID_H10_1_1_hem", "healthy", "H10", "H10_1", "training", 0, "H3+H10"),
        ("UID_3_2_1_all", "ALL", "3", "3_2", "training", 1, "3"),
        ("UID_h3_2_1_hem", "healthy", "H3", "H3_2", "training", 1, "H3+H10"),
        ("UID_78_10_1_all", "ALL", "78", "78_10", "training", 2, "51+78"),
        ("UID_H2_1_1_hem", "healthy", "H2", "H2_1", "training", 2, "H2"),
        ("preliminary-UID_57_29_1_all", "ALL", "57", "57_29", "preliminary", None, "57"),
        ("preliminary-UID_H30_4_2_hem", "healthy", "H30", "H30_4", "preliminary", None, "H30"),
        ("final-1", None, None, None, "final", None, None),
        ("final-2", None, None, None, "final", None, None),
        ("final-10", None, None, None, "final", None, None),
    ]
    columns = ["image_id", "label", "patient", "source_image", "split", "fold", "subject"]
    expected = pd.DataFrame(expected, columns=columns).astype(publisher.dtypes[columns])
    pd.testing.assert_frame_equal(publisher[columns], expected)
    assert publisher.attrs["classes"] == ("healthy", "ALL")


def test_only_the_final_phase_is_cropped(publisher):
    final = publisher["split"] == "final"
    assert (publisher["crop"][final] == 450).all()
    assert publisher["crop"][~final].isna().all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ending", ["bmp", "png"])
def test_every_layout_gives_the_same_cells(tmp_path, publisher, layout, ending):
    above = tmp_path / "downloads"
    write_cnmc(above / "some folder", ending, **LAYOUTS[layout])
    assert_same_cells(datasets.load("cnmc-2019", above), publisher)


def test_upper_case_endings_are_read(tmp_path, publisher):
    write_cnmc(tmp_path, "BMP")
    assert_same_cells(datasets.load("cnmc-2019", tmp_path), publisher)


def test_root_may_point_at_one_phase(tmp_path):
    write_cnmc(tmp_path)
    cells = datasets.load("cnmc-2019", tmp_path / "C-NMC_test_prelim_phase_data")
    assert cells["patient"].tolist() == ["57", "H30"]
    cells = datasets.load("cnmc-2019", tmp_path / "C-NMC_test_final_phase_data")
    assert cells["label"].isna().all()


def test_data_dir_is_the_default_root(tmp_path, monkeypatch, publisher):
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path))
    write_cnmc(tmp_path / "cnmc-2019")
    assert_same_cells(datasets.load("cnmc-2019"), publisher)


def test_linked_folders_are_followed_once(tmp_path, publisher):
    elsewhere = write_cnmc(tmp_path / "big disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cnmc-2019").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(elsewhere)
    assert_same_cells(datasets.load("cnmc-2019", tmp_path / "data"), publisher)


def test_missing_folder_says_how_to_get_the_data(tmp_path, monkeypatch):
    monkeypatch.delenv("LEUKKIT_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match=r"LEUKKIT_DATA_DIR.*leukkit data fetch cnmc-2019"):
        datasets.load("cnmc-2019")
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="leukkit data fetch cnmc-2019"):
        datasets.load("cnmc-2019")


def test_empty_folder(tmp_path):
    with pytest.raises(datasets.DatasetError, match=r"empty.*leukkit data fetch cnmc-2019"):
        datasets.load("cnmc-2019", tmp_path)


@pytest.mark.parametrize(
    ("other", "write_tree"), [("all-idb2", write_all_idb2), ("all-2021", write_all_2021)]
)
def test_folder_of_another_data_set_is_recognized(tmp_path, other, write_tree):
    write_tree(tmp_path)
    with pytest.raises(datasets.DatasetError, match=f"this is {other}, not cnmc-2019"):
        datasets.load("cnmc-2019", tmp_path)


def test_folder_of_something_else(tmp_path):
    (tmp_path / "C-NMC_training_data.zip").write_bytes(b"PK")
    with pytest.raises(datasets.DatasetError, match=r"none of the 1 files.*unpacked"):
        datasets.load("cnmc-2019", tmp_path)


def test_tiff_where_a_bmp_is_expected(tmp_path):
    write_cnmc(tmp_path)
    path = write(tmp_path / "C-NMC_training_data/fold_0/all/UID_51_1_3_all.tif", 11, 450)
    with pytest.raises(datasets.DatasetError, match=f"{path}: a TIFF where a BMP"):
        datasets.load("cnmc-2019", tmp_path)


def test_tiff_named_bmp(tmp_path):
    write_cnmc(tmp_path)
    path = tmp_path / "C-NMC_training_data/fold_0/all/UID_51_1_1_all.bmp"
    Image.fromarray(draw(1, 450)).save(path, "TIFF")
    with pytest.raises(datasets.DamagedImagesError, match=r"holds a TIFF image, expected BMP"):
        datasets.load("cnmc-2019", tmp_path)


def test_wrong_size_is_damage(tmp_path):
    write_cnmc(tmp_path)
    write(tmp_path / "C-NMC_test_final_phase_data/2.bmp", 9, 450)
    with pytest.raises(datasets.DamagedImagesError, match="450x450 pixels, 600x600 was expected"):
        datasets.load("cnmc-2019", tmp_path)


def test_same_tree_twice(tmp_path):
    write_cnmc(tmp_path / "bmp")
    write_cnmc(tmp_path / "png", "png")
    with pytest.raises(datasets.DatasetError, match=r"12 images are there more than once.*copy"):
        datasets.load("cnmc-2019", tmp_path)


def test_one_class_only(tmp_path):
    write_cnmc(tmp_path)
    root = tmp_path / "C-NMC_training_data" / "fold_0" / "all"
    with pytest.raises(datasets.DatasetError, match=r"all 2 images are of one class, ALL"):
        datasets.load("cnmc-2019", root)


def test_name_and_folder_disagree(tmp_path):
    write_cnmc(tmp_path)
    write(tmp_path / "C-NMC_training_data/fold_0/all/UID_H9_1_1_hem.bmp", 12, 450)
    with pytest.raises(datasets.DatasetError, match="UID_H9_1_1_hem says hem, but its folder"):
        datasets.load("cnmc-2019", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Patient_ID,labels\nUID_57_29_1_all.bmp,1\n", "column new_names is missing"),
        ("", "column Patient_ID, new_names, labels is missing"),
        (f"{HEADER}UID_57_29_1_all.bmp,1.bmp,1\n", "no row for 1 .*2.bmp"),
        (
            f"{HEADER}UID_57_29_1_all.bmp,1.bmp,yes\n",
            "row UID_57_29_1_all.bmp,1.bmp,yes cannot be read",
        ),
        (
            f"{HEADER}UID_57_29_1_all.bmp,1.bmp,0\nUID_H30_4_2_hem.bmp,2.bmp,0\n",
            "UID_57_29_1_all says all, but .* says hem",
        ),
        (
            f"{HEADER}UID_57_29_1_all.bmp,1.bmp,1\nUID_58_1_1_all.bmp,1.bmp,1\n",
            "two different rows",
        ),
    ],
)
def test_broken_labels_file(tmp_path, text, message):
    write_cnmc(tmp_path)
    (tmp_path / LABELS_CSV).write_text(text)
    with pytest.raises(datasets.DatasetError, match=message):
        datasets.load("cnmc-2019", tmp_path)


def test_labels_file_missing(tmp_path):
    write_cnmc(tmp_path)
    (tmp_path / LABELS_CSV).unlink()
    with pytest.raises(datasets.DatasetError, match=f"{LABELS_CSV} is missing"):
        datasets.load("cnmc-2019", tmp_path)


def test_names_known_and_unknown(tmp_path):
    assert {"cnmc-2019", "all-idb2", "all-2021", "sample-cells"} <= set(datasets.NAMES)
    with pytest.raises(ValueError, match=r"unknown data set 'cnmc'. Known are: cnmc-2019"):
        datasets.load("cnmc", tmp_path)


@pytest.fixture(scope="module")
def real_cells(own_cache, real_cells_folder):
    return datasets.load("cnmc-2019", real_cells_folder)


def test_real_cells_and_patients(real_cells):
    assert len(real_cells) == 2204
    patients = real_cells.groupby("label")["patient"].nunique()
    assert patients.to_dict() == {"ALL": 32, "healthy": 19}
    assert set(real_cells["split"]) == {"training"}
    assert set(real_cells["fold"]) == {0, 1, 2}


def test_real_subjects(real_cells):
    linked = real_cells[real_cells["subject"] != real_cells["patient"]]
    assert set(linked["subject"]) == {"20+21", "51+75+78", "H2+H4+H5+H6", "H3+H10"}
    assert real_cells["subject"].nunique() == 32 + 19 - 1 - 2 - 3 - 1


def test_real_duplicates_and_merges(real_cells):
    problems = datasets.check(real_cells)
    assert (problems["kind"] == "duplicate").sum() == 104
    duplicates = problems["detail"][problems["kind"] == "duplicate"]
    assert duplicates.str.contains("; patients ").sum() == 99
    merges = problems["detail"][problems["kind"] == "subject-merge"]
    stated = ["20 = 21 (71)", "51 = 78 (11)", "51 = 75 (10)", "H2 = H4 (3)", "H2 = H5 (2)"]
    for link in [*stated, "H2 = H6 (1)", "H3 = H10 (1)"]:
        assert merges.str.contains(link, regex=False).sum() == 1
    assert "label-conflict" not in set(problems["kind"])
    assert "damaged" not in set(problems["kind"])
    assert "unexpected-file" not in set(problems["kind"])


def test_real_cells_are_the_same_as_bmp(real_cells, real_cells_folder, tmp_path):
    """The official files give the frame that the PNG files give."""
    sums = (real_cells_folder / "SHA256SUMS").read_text().splitlines()
    for digest, name in (line.split("  ", 1) for line in sums):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open((real_cells_folder / name).with_suffix(".png")) as image:
            image.save(path, dpi=(95.9866, 95.9866))  # the official header's 3,779 pixels per metre
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    cells = datasets.load("cnmc-2019", tmp_path)
    shutil.rmtree(tmp_path)  # 1.3 GB
    assert len(cells) == len(sums)
    assert cells["path"].str.endswith(".bmp").all()
    assert_same_cells(cells, real_cells)
