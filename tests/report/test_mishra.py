"""What is said about mishra beside its tables, against counts made by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics, models, network_runs, papers, profiles, report, results
from leukkit.report import explained, mishra, networks


@pytest.fixture(scope="module")
def card():
    return papers.load("mishra")


@pytest.mark.parametrize(("originals", "total", "scored"), [(2, 4, 2), (2, 5, 2), (3, 7, 3)])
def test_the_expected_leak_is_that_of_all_draws(originals, total, scored):
    families = [number % originals for number in range(total)]
    leaked = drawn = 0
    for draw in itertools.combinations(range(total), scored):
        left = {families[number] for number in range(total) if number not in draw}
        leaked += sum(families[number] in left for number in draw)
        drawn += scored
    assert mishra.expected_leak(originals, total, scored) == pytest.approx(leaked / drawn)


def test_table_2_leaves_almost_no_scored_image_without_a_relative(card):
    implied = mishra.implied_leakage(card)
    assert list(implied.loc["all", ["originals", "after augmentation", "scored"]]) == [
        3256,
        13932,
        876,
    ]
    assert implied.loc["all", "scored share"] == pytest.approx(876 / 13932)
    assert (implied["expected leak"] > 0.999).all()


def test_the_possible_matrices_give_the_printed_scores(card):
    matrices = mishra.possible_matrices(card)
    assert len(matrices) == 4
    cells = card.cells()
    printed = cells[(cells["table"] == "Table 4") & cells["label"].notna()]
    for matrix in matrices:
        assert list(matrix.sum(axis=1)) == [204, 216, 240, 216]
        assert np.trace(matrix) == 873
        scored = metrics_of(matrix)
        for row in printed.itertuples():
            assert f"{scored[row.label, row.quantity]:.2f}" == row.printed


def metrics_of(matrix):
    """Return the scores of a matrix by `leukkit.metrics`, from one prediction per image."""
    names = ("benign", "early", "pre", "pro")
    pairs = [(names[i], names[j]) for i in range(4) for j in range(4) for _ in range(matrix[i, j])]
    frame = pd.DataFrame(pairs, columns=["label", "predicted"])
    frame["image_id"] = frame["subject"] = frame.index.astype(str)
    for name in names:
        frame[f"prob_{name}"] = (frame["predicted"] == name).astype(float)
    values = {}
    for name in names:
        scored = metrics.scores(frame, positive=name)
        values |= {(name, key): scored[key] for key in ("precision", "f1")}
        values[name, "recall"] = scored["sensitivity"]
    return values


def smears(per_subject):
    """Return cells of four subjects of each class, two images per source image."""
    rows = [
        {
            "image_id": f"{label}-{subject}-{number:02d}",
            "label": label,
            "patient": f"{label}-{subject}",
            "subject": f"{label}-{subject}",
            "source_image": f"{label}-{subject}-{number // 2}",
            "sha256": f"{label}{subject}{number}",
        }
        for label in ("benign", "pro")
        for subject, count in enumerate(per_subject)
        for number in range(count)
    ]
    cells = pd.DataFrame(rows).astype("string")
    cells.attrs = {"dataset": "smears", "classes": ("benign", "pro")}
    return cells


def test_blocks_that_fit_the_subjects_leak_none_of_them_and_others_do():
    fitting = mishra.compare_proxies(smears([6, 6, 6, 6]), 6, embargo=1, folds=4)
    assert fitting.loc["single images", "subject"] == 1
    assert fitting.loc[["blocks", "subjects"], "subject"].eq(0).all()
    unequal = mishra.compare_proxies(smears([4, 8, 3, 9]), 6, embargo=1, folds=4)
    assert unequal.loc["blocks", "block"] == unequal.loc["subjects", "subject"] == 0
    assert unequal.loc["blocks", "subject"] > 0
    kept_away = unequal.loc["blocks, 1 to either side left out"]
    assert kept_away["subject"] <= unequal.loc["blocks", "subject"]
    assert kept_away["training images"] < unequal.loc["blocks", "training images"]


def test_an_order_that_is_there_is_kept_and_no_subject_is_invented():
    cells = mishra.number_blocks(smears([6, 6, 6, 6]), 6).assign(patient=pd.NA)
    assert mishra.number_blocks(cells, 3) is cells
    assert cells["subject"].nunique() == 8
    compared = mishra.compare_proxies(cells, 3, embargo=2, folds=4)
    assert "subjects" not in compared.index
    assert compared["subject"].isna().all()


def test_parameters_are_counted_by_part(card):
    network = models.build("vgg16", 4, 32, head="convolutions")
    for layer in network.layers:
        layer.trainable = layer.name == "head"
    counted = mishra.count_parameters(network)
    assert counted.loc["backbone", ["parameters", "trained"]].tolist() == [14_714_688, 0]
    # 3x3 convolutions 512-256-128-64, dense 64-512-512-4, two batch normalizations of 512
    trained = 9 * (512 * 256 + 256 * 128 + 128 * 64) + 448
    trained += 64 * 512 + 512 + 512 * 512 + 512 + 512 * 4 + 4 + 2 * 2 * 512
    assert counted.loc["head", "trained"] == trained
    assert counted.loc["head", "layers"] == 8
    assert counted.loc["head", "not trained"] == 2 * 2 * 512
    assert counted.loc["whole", "parameters"] == network.count_params()


def test_explained_cells_are_those_of_the_fold_and_named(card, tmp_path):
    profile = profiles.load(card, "sample")
    planned = network_runs.plan(card, profile)[0]
    (fold,) = network_runs.divide(profile, planned.dataset, "published").folds
    cells = network_runs.divide(profile, planned.dataset, "published").cells.iloc[fold.test]
    predicted = cells[["image_id", "subject", "label"]].reset_index(drop=True)
    for name in ("benign", "early", "pre", "pro"):
        predicted[f"prob_{name}"] = np.where(name == "pre", 0.7, 0.1)
    folder = results.fold_dir(tmp_path, "mishra", "sample", "published", planned.folder, 0)
    results.write_fold(folder, {"run": planned.keys}, predicted, folds=1, seed=0, seconds=1)
    network = models.build("vgg16", 4, planned.recipe.image_size, head="convolutions")
    network.save(folder / "model.keras")
    shown = explained.explain_run(card, "sample", "published", planned, results_dir=tmp_path)
    assert shown.titles == [
        "benign, taken for\npre, 70%",
        "early, taken for\npre, 70%",
        "pre, right\n70%",
        "pro, taken for\npre, 70%",
    ]
    side = planned.recipe.image_size
    assert shown.images.shape == (4, side, side, 3) and shown.images.dtype == np.uint8
    assert shown.maps.shape == (4, side, side)


def test_stand_ins_name_the_weights_before_anything_is_run(card):
    used = networks.stand_ins(card, profiles.load(card, "sample"))["used here"]
    assert used["all-2021"] == "sample-smears"
    assert used["vgg16-cnn"].endswith("weights: random, seed 0")
    paper = networks.stand_ins(card, profiles.load(card, "paper"))["used here"]
    assert paper["vgg16-cnn"] == "224 px, 25 epochs, weights: ImageNet"


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [(["P01", "P02"], "subjects"), (["proxy:pro-1", "proxy:pro-2"], "block proxies")],
)
def test_intervals_over_proxies_are_called_so(subjects, expected):
    predicted = pd.DataFrame({"image_id": ["a", "b"], "subject": subjects}, dtype="string")
    over, name = report.groups(predicted)
    assert (over.tolist(), name) == (subjects, expected)
