import pandas as pd
import pytest

from leukkit import datasets
from leukkit.datasets import cells
from leukkit.datasets.published import FACTS
from tests.datasets.trees import write, write_cnmc

pytestmark = pytest.mark.usefixtures("own_cache")


def problems_of(root, damaged="error", name="cnmc-2019"):
    problems = datasets.check(datasets.load(name, root, damaged=damaged))
    assert list(problems.columns) == ["kind", "image_id", "detail"]
    return problems


def of_kind(problems, kind):
    return problems[problems["kind"] == kind].reset_index(drop=True)


def test_copies_and_the_patients_whom_they_link(tmp_path):
    write_cnmc(tmp_path)
    training = tmp_path / "C-NMC_training_data"
    write(training / "fold_0/all/UID_51_9_1_all.bmp", 1, 450)
    write(training / "fold_2/hem/UID_H7_1_1_hem.bmp", 2, 450)
    write(tmp_path / "C-NMC_test_final_phase_data/3.bmp", 9, 600)  # as 2.bmp: no label, no patient
    problems = problems_of(tmp_path)
    duplicates = of_kind(problems, "duplicate")
    assert duplicates.set_index("image_id")["detail"].to_dict() == {
        "UID_51_9_1_all": "same pixels as UID_51_1_1_all",
        "UID_h3_2_1_hem": "same pixels as UID_H10_1_1_hem; patients H10 and H3; "
        "official folds 0 and 1",
        "UID_78_10_1_all": "same pixels as UID_51_1_1_all; patients 51 and 78; "
        "official folds 0 and 2",
        "UID_H7_1_1_hem": "same pixels as UID_51_1_2_all; patients 51 and H7; "
        "official folds 0 and 2",
        "final-3": "same pixels as final-2",
    }
    conflicts = of_kind(problems, "label-conflict")
    assert conflicts["image_id"].tolist() == ["UID_H7_1_1_hem"]
    assert conflicts["detail"][0] == "healthy here, ALL in UID_51_1_2_all: same pixels"
    merges = of_kind(problems, "subject-merge")
    assert merges["image_id"].isna().all()
    assert set(merges["detail"]) == {
        "patients 51, 78, H2, H7 count as one subject, 51+78+H2+H7; identical images: 51 = 78 (1), "
        "51 = H7 (1); cells cut out twice: H2 = H7 (11)",
        "patients H3, H10 count as one subject, H3+H10; identical images: H3 = H10 (1)",
    }


@pytest.mark.parametrize("damaged", ["keep", "drop"])
@pytest.mark.filterwarnings("ignore:.*unusable images left out")
def test_damage_is_listed_whether_kept_or_dropped(tmp_path, damaged):
    write_cnmc(tmp_path)
    folder = tmp_path / "C-NMC_training_data/fold_0/all"
    path = folder / "UID_51_1_2_all.bmp"
    path.write_bytes(path.read_bytes()[:1000])
    write(tmp_path / "C-NMC_test_prelim_phase_data/1.bmp", 6, 449)
    found = of_kind(problems_of(tmp_path, damaged), "damaged").set_index("image_id")["detail"]
    assert set(found.index) == {"UID_51_1_2_all", "preliminary-UID_57_29_1_all"}
    assert str(path) in found["UID_51_1_2_all"]
    assert "449x449 pixels, 450x450 was expected" in found["preliminary-UID_57_29_1_all"]


def test_counts_that_differ_say_expected_and_found(tmp_path):
    details = set(of_kind(problems_of(write_cnmc(tmp_path)), "count")["detail"])
    assert len(details) == len(FACTS["cnmc-2019"]["counts"])
    assert "split training, fold 0, label ALL: 2 images, 2397 were published" in details
    assert "split final: 3 images, 2586 were published" in details
    assert "split training, label healthy: 3 patients, 26 were published" in details


def test_files_that_do_not_belong_are_listed(tmp_path):
    write_cnmc(tmp_path)
    fold = tmp_path / "C-NMC_training_data" / "fold_0"
    for stranger in (fold / "all" / "notes.txt", fold / "all" / "copy of UID_51_1_1_all.bmp"):
        stranger.write_text("?")
    (fold / ".DS_Store").write_text("?")
    for known in ("LICENSE", "SHA256SUMS", "readme.txt"):
        (tmp_path / known).write_text("?")
    for folder in ("own", "__MACOSX"):  # the second is the operating system's
        (tmp_path / folder / "deep").mkdir(parents=True)
        for number in range(3):
            (tmp_path / folder / "deep" / f"UID_51_1_{number}_all.bmp").write_text("?")
    details = of_kind(problems_of(tmp_path), "unexpected-file")["detail"].tolist()
    assert sorted(details) == sorted(
        [
            f"{fold}/all/copy of UID_51_1_1_all.bmp: does not belong to cnmc-2019",
            f"{fold}/all/notes.txt: does not belong to cnmc-2019",
            f"{tmp_path}/own: 3 files that do not belong to cnmc-2019",
        ]
    )


def test_images_left_out_of_the_frame_are_no_strangers(tmp_path):
    loaded = datasets.load("cnmc-2019", write_cnmc(tmp_path))
    training = loaded[loaded["split"] == "training"]
    assert of_kind(datasets.check(training), "unexpected-file").empty


def test_a_sample_has_no_official_counts(tmp_path):
    records = [
        {"image_id": name, "path": write(tmp_path / f"{name}.png", 1, 20), "patient": name}
        for name in ("P1", "P2")
    ]
    built = cells.build(records, "sample-cells", tmp_path, ("healthy", "ALL"))
    assert datasets.check(built)["kind"].tolist() == ["duplicate", "subject-merge"]


def test_official_counts_add_up():
    """The sums stated by the publisher: 15,114, 260 and 3,256 images."""
    totals = {
        name: sum(entry.get("images", 0) for entry in facts["counts"])
        for name, facts in FACTS.items()
    }
    assert totals == {"cnmc-2019": 15_114, "all-idb2": 260, "all-2021": 3_256}
    training = pd.DataFrame(FACTS["cnmc-2019"]["counts"]).dropna(subset=["fold"])
    assert training.groupby("label")["images"].sum().to_dict() == {"ALL": 7272, "healthy": 3389}
