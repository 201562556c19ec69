"""The cards of mishra, samhitha and sultana against values read from the papers by hand."""

import numpy as np
import pytest

from leukkit import papers

KEYS = ("mishra", "samhitha", "sultana")
SMEARS = ["benign", "early", "pre", "pro"]


def printed(key, table, **keys):
    """Return the printed strings of the cells of ``table`` that have all the given keys."""
    cells = papers.load(key).cells()
    cells = cells[cells["table"] == table]
    for name, value in keys.items():
        cells = cells[(cells[name] == value).fillna(False)]
    return cells["printed"].tolist()


def matrix(key, name):
    return next(matrix for matrix in papers.load(key).matrices if matrix["name"] == name)


@pytest.mark.parametrize(
    ("key", "cells"),
    [
        ("mishra", {"Table 2": 12, "Table 3": 5, "Table 4": 13, "Table 5": 1}),
        ("samhitha", {"Table I": 6, "Table II": 8, "Table III": 50, "Table IV": 24}),
        (
            "sultana",
            {
                "Table 1": 10,
                "Table 2": 3,
                "Table 3": 12,
                "Table 4": 96,
                "Table 5": 12,
                "Table 6": 96,
                "Table 7": 16,
            },
        ),
    ],
)
def test_every_table_has_all_its_cells(key, cells):
    assert papers.load(key).cells().groupby("table").size().to_dict() == cells


@pytest.mark.parametrize(
    ("key", "table", "keys", "values"),
    [
        ("mishra", "Table 2", {"part": "validation"}, ["204", "216", "240", "216"]),
        ("mishra", "Table 2", {"label": "pro"}, ["3223", "216", "3439"]),
        ("mishra", "Table 3", {"quantity": "loss"}, ["0.0195", "0.0112"]),
        ("mishra", "Table 3", {"quantity": "accuracy"}, ["0.9932", "0.9966"]),
        ("mishra", "Table 4", {"label": "pre"}, ["1.00", "0.99", "0.99"]),
        ("mishra", "Table 4", {"quantity": "accuracy"}, ["1.00"]),
        ("samhitha", "Table I", {"label": "healthy"}, ["5090", "508", "509"]),
        ("samhitha", "Table II", {"model": "efficientnetb0-attention"}, ["98.22", "94.06"]),
        ("samhitha", "Table II", {"model": "inceptionv3"}, ["81.06", "81.86"]),
        ("samhitha", "Table III", {"epoch": 18}, ["94.0", "89.2"]),
        ("samhitha", "Table III", {"epoch": 60}, ["97.9", "93.5"]),
        ("samhitha", "Table IV", {"quantity": "recall", "label": "ALL"}, ["75", "74", "77", "69"]),
        (
            "samhitha",
            "Table IV",
            {"quantity": "f1", "label": "healthy"},
            ["29", "27", "24", "30"],
        ),
        ("sultana", "Table 1", {"model": "efficientnetb7"}, ["66", "~40"]),
        ("sultana", "Table 2", {}, ["3256", "2277", "979"]),
        ("sultana", "Table 3", {"model": "densenet201"}, ["99", "91"]),
        (
            "sultana",
            "Table 4",
            {"model": "seresnet152", "quantity": "recall"},
            ["29", "98", "95", "15"],
        ),
        (
            "sultana",
            "Table 4",
            {"model": "inceptionv3", "quantity": "support"},
            ["135", "274", "266", "221"],
        ),
        ("sultana", "Table 5", {"model": "vgg19"}, ["78", "68"]),
        (
            "sultana",
            "Table 6",
            {"model": "seresnet152", "quantity": "recall"},
            ["45", "98", "97", "99"],
        ),
        ("sultana", "Table 6", {"model": "vgg19", "label": "benign"}, ["100", "28", "50", "140"]),
        ("sultana", "Table 7", {"quantity": "f1"}, ["87", "94", "99", "99"]),
    ],
)
def test_values_read_by_hand(key, table, keys, values):
    assert printed(key, table, **keys) == values


def test_sultana_supports_are_images_and_the_rest_of_the_tables_percent():
    cells = papers.load("sultana").cells()
    cells = cells[cells["table"].isin(["Table 4", "Table 6", "Table 7"])]
    is_support = cells["quantity"] == "support"
    assert set(cells.loc[is_support, "unit"]) == {"images"}
    assert set(cells.loc[~is_support, "unit"]) == {"percent"}
    assert is_support.sum() == 4 * 13


def test_approximate_depth_is_text_without_a_value():
    cells = papers.load("sultana").cells()
    depth = cells[(cells["model"] == "efficientnetb7") & (cells["quantity"] == "layers")]
    assert depth["unit"].tolist() == ["text"]
    assert np.isnan(depth["value"].item())


def test_samhitha_matrix_is_the_one_listed_in_section_v():
    figure = matrix("samhitha", "Figure 5")
    assert figure["classes"] == ["ALL", "healthy"]
    assert figure["printed"] == [[752, 339], [361, 148]]
    assert np.sum(figure["printed"]) == 1600
    assert figure["orientation"] == "not stated"


def test_samhitha_prints_two_meanings_of_hem():
    claims = papers.load("samhitha").claims
    meanings = claims.loc[claims["quantity"] == "meaning", "printed"].str.lower()
    assert set(meanings) == {"hematological malignancies", "healthy cells", "healthy cell"}


def test_sultana_matrices_are_complete_and_have_no_stated_orientation():
    matrices = papers.load("sultana").matrices
    letters = "ABCDEF"
    expected = [f"Figure {number} ({letter})" for number in (4, 5) for letter in letters]
    assert [matrix["name"] for matrix in matrices] == [*expected, "Figure 6"]
    for entry in matrices:
        assert entry["classes"] == SMEARS
        assert entry["orientation"] == "not stated"
    models = {(entry["where"]["variant"], entry["where"]["model"]) for entry in matrices}
    assert len(models) == 13


# Sums added up by hand from the figures, one per printed column.
@pytest.mark.parametrize(
    ("name", "sums"),
    [
        ("Figure 4 (A)", [136, 270, 270, 220]),
        ("Figure 4 (C)", [136, 270, 272, 220]),
        ("Figure 4 (D)", [136, 272, 268, 220]),
        ("Figure 5 (A)", [140, 266, 269, 221]),
        ("Figure 5 (E)", [137, 271, 265, 223]),
        ("Figure 6", [141, 275, 263, 217]),
    ],
)
def test_sultana_matrix_column_sums(name, sums):
    assert np.sum(matrix("sultana", name)["printed"], axis=0).tolist() == sums


@pytest.mark.parametrize(
    ("key", "place", "values"),
    [
        ("mishra", "Abstract", ["99.66", "80", "20"]),
        ("samhitha", "Abstract", ["98.22"]),
        ("samhitha", "VI", ["healthy cells", "98.22"]),
        ("sultana", "Abstract", ["99", "16", "6", "5", "collected in Bangladesh"]),
    ],
)
def test_claims_of_abstract_and_conclusion(key, place, values):
    claims = papers.load(key).claims
    assert claims.loc[claims["where"] == place, "printed"].tolist() == values


def test_samhitha_image_count_keeps_its_comma_and_reads_as_a_number():
    claims = papers.load("samhitha").claims
    claim = claims[(claims["quantity"] == "images") & (claims["where"] == "IV.A")]
    assert claim["printed"].tolist() == ["15,135"]
    assert claim["value"].tolist() == [15135.0]


@pytest.mark.parametrize("key", KEYS)
def test_numbers_written_as_digits_stand_in_their_quote(key):
    claims = papers.load(key).claims
    as_words = claims["note"].fillna("").str.contains("Printed as the word|A list without")
    for claim in claims[~as_words].itertuples():
        assert claim.printed in claim.quote


@pytest.mark.parametrize(
    ("key", "dataset", "sample", "epochs", "batch_size", "image_size", "learning_rate"),
    [
        ("mishra", "all-2021", "sample-smears", 25, 32, 224, 1e-3),
        ("samhitha", "cnmc-2019", "sample-cells", 60, 32, 224, 1e-3),
        ("sultana", "all-2021", "sample-smears", 25, 17, 132, 1e-4),
    ],
)
def test_profiles(key, dataset, sample, epochs, batch_size, image_size, learning_rate):
    card = papers.load(key)
    full = card.profile("paper")
    assert full["datasets"] == {dataset: dataset}
    assert card.profile("sample")["datasets"] == {dataset: sample}
    assert set(card.datasets) == {dataset}
    assert full["preparation"]["image_size"] == image_size
    training = full["training"]
    assert (training["optimizer"], training["batch_size"]) == ("adam", batch_size)
    assert sum(phase["epochs"] for phase in training["phases"]) == epochs
    assert training["phases"][0]["learning_rate"] == learning_rate


def test_mishra_profile_carries_the_counts_of_table_2():
    published = papers.load("mishra").profile("paper")["protocols"]["published"]
    total, scored = published["copies"]["counts"], published["test_counts"]
    for part, counts in (("total", total), ("validation", scored)):
        assert list(counts) == SMEARS
        assert [str(count) for count in counts.values()] == printed("mishra", "Table 2", part=part)
