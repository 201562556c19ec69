"""The printed matrices of sultana against its printed tables, and DEX put together again."""

import json
import zipfile

import matplotlib
import numpy as np
import pandas as pd
import pytest

from leukkit import metrics, network_runs, papers, profiles, results
from leukkit.report import dex, sultana, sultana_matrices

matplotlib.use("Agg")
CLASSES = ("benign", "early", "pre", "pro")


@pytest.fixture(scope="module")
def card():
    return papers.load("sultana")


def predictions(outcomes, share=0.7):
    rows = []
    for number, (label, said) in enumerate(outcomes):
        row = {"image_id": f"image-{number}", "subject": f"subject-{number}", "label": label}
        rest = (1 - share) / 3
        rows.append(row | {f"prob_{name}": share if name == said else rest for name in CLASSES})
    return pd.DataFrame(rows)


def write(
    folder, card, run, protocol="published", fold=0, tables=None, test=None, folds=1, **facts
):
    results.write_fold(
        network_runs.folder(card, "sample", protocol, run, folder) / f"fold-{fold}",
        {"run": run.keys, "images": fold},
        test,
        folds=folds,
        tables=tables,
        seed=0,
        seconds=1,
        weights_used="drawn",
        **facts,
    )


def runs(card, variant):
    planned = network_runs.plan(card, profiles.load(card, "sample"))
    return [run for run in planned if run.variant == variant]


def test_column_sums_are_the_printed_supports_and_row_sums_are_not(card):
    read = sultana_matrices.reread_matrices(card)
    assert len(read) == 13
    dex_row = read.loc[("Figure 6", "dex")]  # by hand: 111+30, 274+1, 1+262, 1+216
    assert dex_row["column sums"] == dex_row["support"] == "141 275 263 217"
    assert dex_row["row sums"] == "112 305 263 216"
    assert dex_row["rows off"] == 29 + 30 + 0 + 1
    assert (read["columns off"] == 0).sum() == 11
    assert (read["columns off"] < read["rows off"]).all()
    assert read.loc[("Figure 4 (E)", "inceptionv3 (in full)"), "columns off"] == 1


def test_the_matrix_of_xception_is_that_of_vgg19_but_for_one_field(card):
    printed = {matrix["name"]: np.array(matrix["printed"]) for matrix in card.matrices}
    assert (printed["Figure 4 (A)"] != printed["Figure 4 (C)"]).sum() == 1
    read = sultana_matrices.reread_matrices(card)
    assert read.loc[("Figure 4 (C)", "xception (in full)"), "columns off"] == 2 + 2 + 13 + 5 + 2


def test_the_diagonal_of_the_matrix_is_set_beside_both_printed_accuracies(card):
    read = sultana_matrices.reread_accuracies(card)
    row = read.loc[("Figure 4 (D)", "seresnet152 (in full)")]
    assert row["diagonal of the matrix"] == pytest.approx(100 * (40 + 266 + 254 + 34) / 896)
    assert (row["model accuracy"], row["training accuracy"]) == (90, 96)
    row = read.loc[("Figure 6", "dex")]
    assert row["diagonal of the matrix"] == pytest.approx(100 * 863 / 896)
    assert row["model accuracy"] == 99 and np.isnan(row["training accuracy"])


def test_sums_over_actual_classes_vary_less_than_over_predicted_ones(card):
    spread = sultana_matrices.spread_of_sums(card)
    assert spread.loc["benign"].to_dict() == {
        "sums of rows": "4 to 134",
        "sums of columns": "133 to 142",
    }


def test_printed_and_own_matrices_alternate_in_rows_of_three(card, tmp_path):
    frozen = runs(card, "frozen-features")
    outcomes = [(name, name) for name in CLASSES] + [("pre", "pro")]
    for run in frozen:
        write(tmp_path, card, run, test=predictions(outcomes))
    grid = sultana_matrices.matrices(card, "sample", "frozen-features", results_dir=tmp_path)
    titles = list(grid)
    assert len(titles) == 12
    assert titles[0] == "vgg19, Fig. 5 (A)" and titles[3] == "vgg19, reproduced"
    assert titles[6] == "seresnet152, Fig. 5 (D)"
    assert grid["vgg19, Fig. 5 (A)"][0] == [4, 0, 0, 0]
    expected = metrics.confusion(predictions(outcomes))
    pd.testing.assert_frame_equal(grid["mobilenetv2, reproduced"], expected)


def test_runs_are_named_by_network_and_variant(card):
    names = [sultana.name_run(runs(card, name)[0]) for name in ("full-training", "ensemble")]
    assert names == ["vgg19 (in full)", "dex"]
    (keys,) = (m["where"] for m in card.matrices if m["name"] == "Figure 5 (E)")
    assert sultana.name_run(keys) == "inceptionv3 (frozen)"


def test_curves_of_a_single_epoch_are_points_over_a_whole_number():
    history = pd.DataFrame({"epoch": [1], "loss": [1400.0], "accuracy": [0.2]})
    history = history.assign(validation_loss=1.4, validation_accuracy=0.3)
    axes = sultana.draw_curves({"vgg19": history})
    assert axes[1].get_yscale() == "log"
    assert [list(panel.get_xticks()) for panel in axes] == [[1], [1]]
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["vgg19"]


def test_runs_are_listed_with_all_that_cuts_them_short(card):
    frame = sultana.list_runs(card, profiles.load(card, "sample"))
    assert len(frame) == 16
    full = frame.loc["seresnet152 (in full)"]
    assert (full["steps per epoch"], full["epochs"]) == ("1", "1")
    assert full["weights at the start"] == "random, seed 0"
    assert frame.loc["xception (frozen)", "trained"] == "last layers only"
    assert frame.loc["dex", "trained"].endswith("densenet121, efficientnetb7, xception")


def test_layers_with_kernels_are_counted_in_nested_models(tmp_path):
    def layer(name, layers=None):
        return {"class_name": name, "config": {"layers": layers} if layers else {}}

    head = layer("Functional", [layer("GlobalAveragePooling2D"), layer("Dense")])
    network = layer("Functional", [layer("Conv2D"), layer("BatchNormalization"), head])
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("config.json", json.dumps(network))
    assert sultana.count_kernel_layers(tmp_path / "model.keras") == 2


def test_the_chosen_weights_are_listed_by_fold(card, tmp_path):
    (ensemble,) = runs(card, "ensemble")
    test = predictions([(name, name) for name in CLASSES])
    for fold, share in enumerate((0.25, 1.0)):
        write(
            tmp_path,
            card,
            ensemble,
            "leak-free",
            fold,
            test=test,
            folds=2,
            selected={"xception": share},
        )
    chosen = dex.weights_chosen(card, "sample", ["published", "leak-free"], tmp_path)
    assert chosen["xception"].to_dict() == {("leak-free", 0): 0.25, ("leak-free", 1): 1.0}


def test_temperatures_come_from_validation_and_leave_the_classes_alone(card, tmp_path):
    (ensemble,) = runs(card, "ensemble")
    outcomes = [("benign", "benign")] * 7 + [("early", "pre")] * 3
    sure = predictions(outcomes, share=0.97)
    tables = {"validation_predictions": sure}
    write(tmp_path, card, ensemble, test=sure, tables=tables)
    frame, after = dex.calibrate(card, "sample", "published", [ensemble], tmp_path)
    assert frame.loc["dex", "error before"] == pytest.approx(0.27)
    # seven of ten are right, so a calibrated network is 70% sure of each
    assert after["dex"]["prob_benign"][0] == pytest.approx(0.7, abs=1e-6)
    assert frame.loc["dex", "error after"] == pytest.approx(0, abs=1e-6)
    assert float(frame.loc["dex", "temperature"]) > 1
    pd.testing.assert_frame_equal(metrics.confusion(sure), metrics.confusion(after["dex"]))


def test_dex_is_put_together_from_kept_members(card, tmp_path):
    import keras

    def member(name, value):
        image = keras.Input((8, 8, 3))
        features = keras.layers.Identity(name="features")(image)
        inner = keras.Input((8, 8, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(inner)
        scores = keras.layers.Dense(4, "softmax", name="predictions")
        head = keras.Model(inner, scores(pooled), name="head")
        scores.set_weights([np.zeros((3, 4)), np.array([value, 0, 0, 0])])
        return keras.Model(image, head(features), name=name)

    for number, run in enumerate(runs(card, "member")):
        folder = network_runs.folder(card, "sample", "published", run, tmp_path) / "fold-0"
        folder.mkdir(parents=True)
        member(run.model, number).save(folder / "model.keras")
    network = dex.assemble(card, "sample", "published", results_dir=tmp_path)
    images = np.zeros((2, 8, 8, 3), np.float32)
    softmax = [np.exp(value) / (np.exp(value) + 3) for value in range(3)]
    values = network.predict(images, verbose=0)
    np.testing.assert_allclose(values[:, 0], np.mean(softmax), rtol=1e-5)
    assert {"densenet121", "efficientnetb7", "xception"} <= {one.name for one in network.layers}
