"""Printed cells beside made-up predictions, whose scores are counted by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics, papers, report, results
from leukkit.report import networks

TWO = ("healthy", "ALL")
FOUR = ("benign", "early", "pre", "pro")


def predictions(outcomes, classes=TWO, share=0.9):
    """Return one image per (label, predicted class); the predicted class gets ``share``."""
    rows = []
    for number, (label, predicted) in enumerate(outcomes):
        row = {"image_id": f"image-{number}", "subject": f"subject-{number // 2}", "label": label}
        rest = (1 - share) / (len(classes) - 1)
        rows.append(
            row | {f"prob_{name}": share if name == predicted else rest for name in classes}
        )
    return pd.DataFrame(rows)


def history(accuracies, validation):
    epochs = len(accuracies)
    return pd.DataFrame(
        {
            "epoch": range(1, epochs + 1),
            "phase": 0,
            "learning_rate": 1e-3,
            "loss": np.linspace(1, 0.5, epochs),
            "accuracy": accuracies,
            "validation_loss": np.linspace(1, 0.7, epochs),
            "validation_accuracy": validation,
            "seconds": 1.0,
        }
    )


@pytest.fixture
def write(tmp_path):
    """Write one finished fold of a run; the other tables come by name."""

    def write_fold(
        key, protocol, model, test, fold=0, variant="", weights="ImageNet", folds=1, **tables
    ):
        dataset = next(iter(papers.load(key).datasets))
        folder = "_".join(name for name in (dataset, model, variant) if name)
        results.write_fold(
            results.fold_dir(tmp_path, key, "sample", protocol, folder, fold),
            {"run": {"dataset": dataset, "model": model, "variant": variant}},
            test,
            folds=folds,
            tables=tables,
            seed=0,
            seconds=1,
            weights_used=weights,
        )
        return tmp_path

    return write_fold


def cell(frame, **keys):
    """Return the one row that has these keys; None stands for a missing value."""
    for name, value in keys.items():
        same = frame[name].isna() if value is None else (frame[name] == value).fillna(False)
        frame = frame[same.astype(bool)]
    assert len(frame) == 1
    return frame.iloc[0]


# True and false, positive and negative: 2 1 0 1 in the first fold, 1 0 1 4 in the second.
FIRST = predictions([("ALL", "ALL")] * 2 + [("ALL", "healthy"), ("healthy", "healthy")])
SECOND = predictions([("ALL", "ALL"), ("healthy", "ALL")] + [("healthy", "healthy")] * 4)


@pytest.fixture
def patel(write):
    write("patel2025", "published", "vgg19", FIRST, fold=0, folds=2, training_predictions=SECOND)
    write("patel2025", "published", "vgg19", SECOND, fold=1, folds=2, training_predictions=FIRST)
    write("patel2025", "published-split", "vgg19", SECOND)
    write("patel2025", "published-split", "googlenet", FIRST, weights="random, seed 0")
    folder = write("patel2025", "leak-free", "vgg19", FIRST)
    return networks.measure(papers.load("patel2025"), "sample", folder, draws=200)


def test_pooled_values_and_means_over_folds_are_those_counted_by_hand(patel):
    test = patel[(patel["part"] == "test") & (patel["protocol"] == "published")]
    pooled = {
        "accuracy": 8 / 10,
        "sensitivity": 3 / 4,
        "recall": 3 / 4,
        "specificity": 5 / 6,
        "precision": 3 / 4,
        "loss": -(8 * np.log(0.9) + 2 * np.log(0.1)) / 10,
        "support": 10,
    }
    for quantity, value in pooled.items():
        assert cell(test, quantity=quantity, label=None)["value"] == pytest.approx(value)
    accuracy = cell(test, quantity="accuracy", label=None)
    assert accuracy["mean"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert accuracy["sd"] == pytest.approx(np.std([3 / 4, 5 / 6], ddof=1))
    assert (accuracy["folds"], accuracy["images"]) == (2, 10)
    precision = cell(test, quantity="precision", label=None)
    assert precision["mean"] == pytest.approx((1 + 1 / 2) / 2)


def test_each_class_counts_as_positive_once(patel):
    test = patel[(patel["part"] == "test") & (patel["protocol"] == "published")]
    assert cell(test, quantity="recall", label="healthy")["value"] == pytest.approx(5 / 6)
    assert cell(test, quantity="specificity", label="healthy")["value"] == pytest.approx(3 / 4)
    assert cell(test, quantity="support", label="ALL")["value"] == 4
    overall, of_all = (cell(test, quantity="f1", label=label) for label in (None, "ALL"))
    assert (overall[["value", "low", "high"]] == of_all[["value", "low", "high"]]).all()


def test_intervals_are_those_of_the_bootstrap_over_subjects(patel):
    both = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)])
    expected = metrics.bootstrap(both, draws=200, positive="healthy").loc["precision"]
    found = cell(patel, part="test", protocol="published", label="healthy", quantity="precision")
    assert (found["low"], found["high"]) == (expected["low"], expected["high"])
    assert (found["groups"], found["groups_are"]) == (3, "subjects")
    training = patel[patel["part"] == "training"]
    assert len(training) and training[["low", "high"]].isna().all(axis=None)


def test_patel_table_2_has_folds_pooled_split_and_leak_free_side_by_side(patel):
    compared = networks.compare(papers.load("patel2025"), patel)
    row = cell(compared, table="Table 2", model="vgg19", quantity="accuracy")
    assert row["printed"] == "98.87"
    assert row["reproduced"] == pytest.approx(80)
    assert row["reproduced mean"] == pytest.approx(100 * (3 / 4 + 5 / 6) / 2)
    assert row["70/15/15 split"] == pytest.approx(100 * 5 / 6)
    assert row["leak-free"] == pytest.approx(75)
    assert row["reproduced low"] <= row["reproduced"] <= row["reproduced high"]
    text = networks.table(compared, "Table 2")
    assert list(text) == [
        "published",
        "reproduced",
        "reproduced, mean of folds",
        "70/15/15 split",
        "leak-free",
        "weights",
    ]
    vgg = text.loc[("vgg19", "accuracy")]
    assert vgg["reproduced"].startswith("80.0 (")
    assert vgg["reproduced, mean of folds"] == "79.2 ± 5.9"
    other = text.loc[("googlenet", "accuracy")]
    assert (other["reproduced"], other["leak-free"]) == ("not run", "not run")
    assert other["weights"] == "random, seed 0"
    assert text.loc[("resnet18", "accuracy"), "weights"] == ""


def test_what_mishra_calls_validation_is_the_scored_part(write):
    outcomes = [(name, name) for name in FOUR for _ in range(3)] + [("pre", "pro")]
    scored = predictions(outcomes, FOUR)
    watched = predictions([(name, name) for name in FOUR], FOUR)
    curve = history([0.5, 0.6], [0.4, 0.7])
    write("mishra", "published", "vgg16-cnn", scored, training_predictions=watched, history=curve)
    folder = write(
        "mishra", "leak-free", "vgg16-cnn", scored, validation_predictions=watched, history=curve
    )
    card = papers.load("mishra")
    compared = networks.compare(card, networks.measure(card, "sample", folder, draws=50))
    recall = cell(compared, table="Table 4", label="pre", quantity="recall")
    assert (recall["part"], recall["printed"]) == ("validation", "0.99")
    assert recall["reproduced"] == recall["leak-free"] == pytest.approx(3 / 4)
    precision = cell(compared, table="Table 4", label="pro", quantity="precision")
    assert precision["reproduced"] == pytest.approx(3 / 4)
    loss = cell(compared, table="Table 3", part="training", quantity="loss")
    assert loss["reproduced"] == pytest.approx(-np.log(0.9))
    assert cell(compared, table="Table 3", quantity="epochs")["reproduced"] == 2
    assert cell(compared, table="Table 5")["reproduced"] == pytest.approx(100 * 12 / 13)
    text = networks.table(compared, "Table 4")
    assert text.loc[("pre", "recall"), "reproduced"].startswith("0.750 (")
    assert text.loc[("all", "accuracy"), "published"] == "1.00"


def test_samhitha_epochs_come_from_the_histories_and_table_iv_from_the_test_part(write):
    proposed = "efficientnetb0-attention"
    tables = {"training_predictions": FIRST, "validation_predictions": SECOND}
    first, second = history([0.5, 0.6], [0.4, 0.5]), history([0.5, 0.8], [0.4, 0.7])
    write("samhitha", "published", proposed, FIRST, **tables, history=first)
    write("samhitha", "leak-free", proposed, FIRST, folds=2, **tables, history=first)
    tables["history"] = second
    folder = write("samhitha", "leak-free", proposed, SECOND, fold=1, folds=2, **tables)
    write("samhitha", "published", proposed, SECOND, variant="rescaled-once", history=second)
    card = papers.load("samhitha")
    measured = networks.measure(card, "sample", folder, draws=50)
    compared = networks.compare(card, measured)
    epoch = compared[compared["table"] == "Table III"]
    row = cell(epoch, epoch=2, part="training")
    assert (row["printed"], row["reproduced"]) == ("87.2", pytest.approx(60))
    assert row["leak-free"] == pytest.approx(70)
    assert cell(epoch, epoch=2, part="validation")["leak-free"] == pytest.approx(60)
    assert epoch.loc[epoch["epoch"] > 2, "reproduced"].isna().all()
    proposed_rows = compared[compared["model"] == proposed]
    table_ii = proposed_rows[proposed_rows["table"] == "Table II"]
    assert cell(table_ii, part="validation")["reproduced"] == pytest.approx(100 * 5 / 6)
    table_iv = proposed_rows[proposed_rows["table"] == "Table IV"]
    recall = cell(table_iv, quantity="recall", label="ALL")
    assert (recall["printed"], recall["reproduced"]) == ("69", pytest.approx(100 * 2 / 3))
    scores = networks.score_table(measured, ["accuracy"])
    here = ("cnmc-2019", proposed, "rescaled-once", "published")
    assert scores.loc[here, "accuracy"].startswith("0.833")


def test_sultana_variants_stay_apart_and_the_weighted_ensemble_is_named(write):
    right = predictions([(name, name) for name in FOUR for _ in range(2)], FOUR)
    wrong = predictions([(name, "early") for name in FOUR for _ in range(2)], FOUR)
    write("sultana", "published", "vgg19", right, variant="full-training", weights="random, seed 0")
    write("sultana", "published", "vgg19", wrong, variant="frozen-features")
    folder = write(
        "sultana", "published", "dex", wrong, variant="ensemble", weighted_predictions=right
    )
    card = papers.load("sultana")
    measured = networks.measure(card, "sample", folder, draws=50)
    compared = networks.compare(card, measured)
    vgg = compared[(compared["model"] == "vgg19") & (compared["part"] == "test")]
    full = cell(vgg, table="Table 3")
    assert (full["printed"], full["reproduced"], full["weights"]) == ("89", 100, "random, seed 0")
    frozen = cell(vgg, table="Table 5")
    assert (frozen["reproduced"], frozen["weights"]) == (25, "ImageNet")
    support = cell(vgg, table="Table 6", label="benign", quantity="support")
    assert (support["printed"], support["reproduced"]) == ("140", 2)
    assert cell(compared, table="Table 7", label="early", quantity="recall")["reproduced"] == 100
    weighted = measured[measured["variant"] == "ensemble-weighted"]
    assert cell(weighted, quantity="accuracy", label=None)["value"] == 1


def test_a_score_without_a_value_is_not_a_run_that_was_not_made(write):
    never = predictions([("ALL", "healthy"), ("healthy", "healthy")] * 2)
    folder = write("patel2025", "published", "vgg19", never)
    card = papers.load("patel2025")
    measured = networks.measure(card, "sample", folder, draws=50)
    text = networks.table(networks.compare(card, measured), "Table 2")
    assert text.loc[("vgg19", "precision"), "reproduced"] == "undefined"
    assert text.loc[("vgg19", "precision"), "leak-free"] == "not run"
    assert text.loc[("vgg19", "sensitivity"), "reproduced"].startswith("0.0 (")
    scores = networks.score_table(measured, ["accuracy", "precision"])
    assert scores["precision"].tolist() == ["undefined"]


def test_a_number_measured_twice_is_refused(patel):
    with pytest.raises(ValueError, match="measured twice"):
        networks.compare(papers.load("patel2025"), pd.concat([patel, patel]))


def test_without_patients_intervals_are_over_original_images(write):
    copies = FIRST.assign(subject=pd.NA, image_id=["a", "a#1", "b", "c"])
    folder = write("patel2025", "published", "vgg19", copies)
    measured = networks.measure(papers.load("patel2025"), "sample", folder, draws=50)
    assert set(measured["groups_are"].dropna()) == {"original images"}
    assert set(measured["groups"].dropna()) == {3}


def test_shuffled_labels_make_a_perfect_network_guess():
    outcomes = [
        (name, name) for name, count in (("ALL", 1091), ("healthy", 509)) for _ in range(count)
    ]
    perfect = predictions(outcomes)
    shuffled = networks.shuffle_labels(perfect, seed=1)
    assert shuffled["label"].value_counts().to_dict() == {"ALL": 1091, "healthy": 509}
    counts = metrics.confusion(shuffled)
    guessing = 1091 * 1091 / 1600
    deviation = np.sqrt(guessing * (509 / 1600) ** 2)  # of a hypergeometric count, about
    assert abs(counts.loc["ALL", "ALL"] - guessing) < 4 * deviation


def test_samhitha_printed_matrix_is_what_shuffling_leaves():
    matrix = np.array(papers.load("samhitha").matrices[0]["printed"])
    guessing = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()
    chi_squared = ((matrix - guessing) ** 2 / guessing).sum()
    assert chi_squared < 3.84  # no association at the 5% level, one degree of freedom


def test_images_per_part_beside_the_printed_counts():
    for key, part, label, expected in (
        ("mishra", "validation", "pre", "12"),
        ("mishra", "total", "early", "190"),
        ("mishra", "training", "pro", "142"),
        ("sultana", "training", "all", "103"),
        ("sultana", "total", "all", "148"),
        ("sultana", "validation", "all", "45"),
    ):
        card = papers.load(key)
        text = report.networks.compare_images(card, card.profile("sample"))
        row = text.loc[("Table 2", "all-2021", part, label)]
        assert row["reproduced"] == expected


def test_samhitha_balances_training_only():
    card = papers.load("samhitha")
    text = networks.compare_images(card, card.profile("sample")).loc[("Table I", "cnmc-2019")]
    training = text.loc["training"]["reproduced"]
    assert training["healthy"] == training["ALL"]
    assert text.loc[("test", "healthy"), "reproduced"] != text.loc[("test", "ALL"), "reproduced"]
    assert text.loc[("training", "ALL"), "published"] == "5090"


def test_printing_names_stand_ins_weights_and_leaks(write, capsys):
    write("patel2025", "published", "vgg19", FIRST, weights="random, seed 0")
    folder = write("patel2025", "leak-free", "vgg19", SECOND, weights="random, seed 0")
    card = papers.load("patel2025")
    small = {**card.profile("sample"), "bootstrap_draws": 50}
    card = dataclasses.replace(card, profiles={**card.profiles, "sample": small})
    report.print_comparison(card, "sample", folder)
    text = capsys.readouterr().out
    assert "sample-cells" in text and "weights: random, seed 0" in text
    assert "Table 2 (percent; 95% intervals)" in text and "98.87" in text
    assert "6 of 21 printed cells were run again" in text
    assert "subject" in text and "weights: not run" in text


def test_nothing_run_yet_says_so(tmp_path, capsys):
    report.print_comparison(papers.load("mishra"), "sample", tmp_path)
    assert "nothing was run yet" in capsys.readouterr().out
