import hashlib
import shutil

import pandas as pd
import pytest
from PIL import Image

from leukkit import datasets
from tests.datasets.trees import LABELS_CSV, write, write_cnmc

pytestmark = pytest.mark.usefixtures("own_cache")

ALL_0 = "C-NMC_training_data/fold_0/all"
FINAL = "C-NMC_test_final_phase_data"
HEADER = "Patient_ID,new_names,labels\n"
KAGGLE, WRAPPED = "C-NMC_Leukemia", "PKG - C-NMC 2019"
LAYOUTS = {
    "publisher": {},
    "publisher, labels beside the images": {"labels": f"C-NMC_test_prelim_phase_data/{LABELS_CSV}"},
    "kaggle": {
        "training": f"{KAGGLE}/training_data",
        "preliminary": f"{KAGGLE}/validation_data/C-NMC_test_prelim_phase_data",
        "final": f"{KAGGLE}/testing_data/C-NMC_test_final_phase_data",
        "labels": f"{KAGGLE}/validation_data/{LABELS_CSV}",
    },
    "wrapped": {
        "training": f"{WRAPPED}/C-NMC_training_data",
        "preliminary": f"{WRAPPED}/C-NMC_test_prelim_phase_data",
        "final": f"{WRAPPED}/C-NMC_test_final_phase_data",
        "labels": f"{WRAPPED}/{LABELS_CSV}",
    },
    "doubled": {
        "training": "C-NMC_training_data/C-NMC_training_data",
        "preliminary": "C-NMC_test_prelim_phase_data/C-NMC_test_prelim_phase_data",
        "final": "C-NMC_test_final_phase_data/C-NMC_test_final_phase_data",
        "labels": f"C-NMC_test_prelim_phase_data/{LABELS_CSV}",
    },
}


def assert_same_cells(one, other):
    pd.testing.assert_frame_equal(one.drop(columns="path"), other.drop(columns="path"))


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
    assert publisher["crop"].fillna(0).tolist() == [0] * 9 + [450] * 3


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ending", ["BMP", "png"])
def test_every_layout_gives_the_same_cells(tmp_path, publisher, layout, ending):
    above = tmp_path / "downloads"
    write_cnmc(above / "some folder", ending, **LAYOUTS[layout])
    assert_same_cells(datasets.load("cnmc-2019", above), publisher)


def test_root_may_point_at_one_phase(tmp_path):
    write_cnmc(tmp_path)
    cells = datasets.load("cnmc-2019", tmp_path / "C-NMC_test_prelim_phase_data")
    assert cells["patient"].tolist() == ["57", "H30"]
    cells = datasets.load("cnmc-2019", tmp_path / "C-NMC_test_final_phase_data")
    assert cells["label"].isna().all()


@pytest.mark.parametrize(
    ("name", "side", "format", "said"),
    [
        (f"{ALL_0}/UID_51_1_3_all.tif", 450, "TIFF", r"3_all\.tif: a TIFF; a BMP or PNG was"),
        (f"{ALL_0}/UID_51_1_1_all.bmp", 450, "TIFF", r"1_all\.bmp: holds a TIFF image"),
        (f"{ALL_0}/UID_51_1_2_all.bmp", 449, "BMP", "449x449 pixels, 450x450 was expected"),
        (f"{FINAL}/2.bmp", 450, "BMP", "450x450 pixels, 600x600 was expected"),
        (f"{ALL_0}/UID_H9_1_1_hem.bmp", 450, "BMP", "UID_H9_1_1_hem says hem, but its folder"),
    ],
)
def test_an_image_that_is_not_what_its_place_says(tmp_path, name, side, format, said):
    write(write_cnmc(tmp_path) / name, 1, side, format=format)
    with pytest.raises(datasets.DatasetError, match=said):
        datasets.load("cnmc-2019", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, f"the labels file {LABELS_CSV} is missing"),
        ("Patient_ID,labels\nUID_57_29_1_all.bmp,1\n", "found was 'Patient_ID,labels'"),
        (f"{HEADER}UID_57_29_1_all.bmp,1.bmp,1\n", "no row for 1 .*2.bmp"),
        (
            f"{HEADER}UID_57_29_1_all.bmp,1.bmp,yes\n",
            "line 2: .*all.bmp,1.bmp,yes cannot be read",
        ),
        (
            f"{HEADER}UID_57_29_1_all.bmp,1.bmp,0\nUID_H30_4_2_hem.bmp,2.bmp,0\n",
            "UID_57_29_1_all says all, but .* says hem",
        ),
        (
            f"{HEADER}UID_57_29_1_all.bmp,1.bmp,1\nUID_58_1_1_all.bmp,1.bmp,1\n",
            "line 3: the image 1.bmp has another row",
        ),
    ],
)
def test_broken_labels_file(tmp_path, text, message):
    path = write_cnmc(tmp_path) / LABELS_CSV
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        datasets.load("cnmc-2019", tmp_path)


def test_a_labels_file_as_spreadsheets_write_it(tmp_path, publisher):
    path = write_cnmc(tmp_path) / LABELS_CSV
    text = path.read_text().replace(",", ", ").replace("\n", "\r\n")
    path.write_text(text + "\r\n", encoding="utf-8-sig", newline="")
    (tmp_path / "a prelim labels copy.csv").write_bytes(path.read_bytes())
    assert_same_cells(datasets.load("cnmc-2019", tmp_path), publisher)


@pytest.fixture(scope="module")
def real_cells(own_cache, real_cells_folder):
    return datasets.load("cnmc-2019", real_cells_folder)


def test_real_cells_patients_and_subjects(real_cells):
    assert len(real_cells) == 2204
    patients = real_cells.groupby("label")["patient"].nunique()
    assert patients.to_dict() == {"ALL": 32, "healthy": 19}
    assert set(real_cells["split"]) == {"training"}
    assert set(real_cells["fold"]) == {0, 1, 2}
    linked = real_cells[real_cells["subject"] != real_cells["patient"]]
    by_files = {"20+21", "51+75+78", "H3+H10"}
    assert set(linked["subject"]) == {*by_files, "H2+H4+H5+H6+H7", "H14+H24"}
    assert real_cells["subject"].nunique() == 32 + 19 - 1 - 2 - 4 - 1 - 1


def test_real_duplicates_and_merges(real_cells):
    problems = datasets.check(real_cells)
    assert (problems["kind"] == "duplicate").sum() == 104
    duplicates = problems["detail"][problems["kind"] == "duplicate"]
    assert duplicates.str.contains("; patients ").sum() == 99
    merges = problems["detail"][problems["kind"] == "subject-merge"]
    stated = ["20 = 21 (71)", "51 = 78 (11)", "51 = 75 (10)", "H2 = H4 (3)", "H2 = H5 (2)"]
    for link in [*stated, "H2 = H6 (1)", "H3 = H10 (1)"]:
        assert merges.str.contains(link, regex=False).sum() == 1
    assert set(problems["kind"]) == {"duplicate", "subject-merge", "count"}


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
