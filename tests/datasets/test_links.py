"""The listed pairs of cells that two patient numbers share, and the subjects they make."""

import pandas as pd
import pytest

from leukkit import datasets
from leukkit.datasets import DatasetError, links, near_duplicates

# Two patients of C-NMC 2019 and how many cells they share, as counted by eye.
COUNTED = {
    ("H2", "H7"): 11,
    ("43", "44"): 10,
    ("H14", "H24"): 6,
    ("17", "20"): 3,
    ("16", "20"): 1,
    ("17", "18"): 1,
    ("1", "17"): 1,
    ("1", "15"): 1,
}


def cells_of(*patients):
    """Return a frame of one image per patient, none of them listed."""
    names = pd.Series(patients, dtype="string")
    frame = pd.DataFrame({"image_id": names + "-cell", "patient": names, "subject": names})
    frame.attrs = {"dataset": "cnmc-2019", "classes": ("healthy", "ALL")}
    return frame.assign(sha256=names, path=names)


def test_the_list_has_the_pairs_that_were_counted_by_eye():
    pairs = links.known("cnmc-2019")
    found = pairs.groupby(["patient", "patient_like"]).size()
    assert {tuple(sorted(key)): n for key, n in found.items()} == {
        tuple(sorted(key)): n for key, n in COUNTED.items()
    }
    assert len(pairs) == 34
    assert (pairs["bits"] <= near_duplicates.DISTANCE).all()
    assert (pairs["correlation"] >= near_duplicates.CORRELATION).all()
    assert links.known("all-idb2").empty


@pytest.mark.parametrize(
    ("level", "subjects"),
    [
        ("identical", {"1", "15", "16", "17", "18", "20", "43", "44", "H2", "H7", "H3"}),
        ("several pairs", {"1", "15", "16", "17+20", "18", "43+44", "H2+H7", "H3"}),
        ("single pairs", {"1+15+16+17+18+20", "43+44", "H2+H7", "H3"}),
    ],
)
def test_each_level_joins_those_before_it(level, subjects):
    cells = cells_of("1", "15", "16", "17", "18", "20", "43", "44", "H2", "H7", "H3")
    joined = links.join(cells, level)
    assert set(joined["subject"]) == subjects
    assert joined.attrs["links"] == level
    assert list(cells["subject"]) == list(cells["patient"])


def test_a_patient_who_is_not_there_links_nobody():
    assert list(links.join(cells_of("17", "44", "H7"), "single pairs")["subject"]) == [
        "17",
        "44",
        "H7",
    ]


def test_an_unknown_level_is_named():
    with pytest.raises(ValueError, match="links='all': expected one of identical, several pairs"):
        datasets.load("sample-cells", links="all")


def test_other_images_under_listed_names_are_refused():
    cells = datasets.load("sample-cells").iloc[[0, -1]].reset_index(drop=True)
    first = links.known("cnmc-2019").iloc[0]
    cells["image_id"] = [first["image_id"], first["image_id_like"]]
    cells["patient"] = [first["patient"], first["patient_like"]]
    cells.attrs["dataset"] = "cnmc-2019"
    with pytest.raises(DatasetError, match=r"should show one cell.*links='identical'"):
        links.join(cells, "several pairs")
    assert links.join(cells, "identical").attrs["links"] == "identical"


def test_a_data_set_without_a_list_keeps_its_subjects():
    assert datasets.load("sample-cells").attrs["links"] == ""


def test_real_cells_are_the_ones_that_are_listed(real_cells_folder):
    before, after = (
        datasets.load("cnmc-2019", real_cells_folder, links=level)
        for level in ("identical", "several pairs")
    )
    moved = after["subject"].ne(before["subject"])
    assert set(after["patient"][moved]) >= {"H2", "H7"}
    here = links.known("cnmc-2019")[["image_id", "image_id_like"]]
    there = here.isin(set(after["image_id"])).all(axis=1)
    assert there.sum() >= 11
    for one, other in here[there].itertuples(index=False):
        two = after.set_index("image_id").loc[[one, other]]
        if two["patient"].isin(["H2", "H7"]).all():
            assert len(set(two["subject"])) == 1
