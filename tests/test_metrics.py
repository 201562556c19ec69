import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from leukkit import metrics
from leukkit.metrics import calibration, intervals
from tests.predicted import STAGES, binary, frame

TWO = ("healthy", "ALL")


@st.composite
def predictions_of(draw, classes):
    """Draw predictions in which every class occurs and equal probabilities are common."""
    labels = [*classes, *draw(st.lists(st.sampled_from(classes), min_size=4, max_size=40))]
    size = len(labels) * len(classes)
    weights = draw(st.lists(st.integers(1, 6), min_size=size, max_size=size))
    weights = np.reshape(weights, (len(labels), -1))
    return frame(labels, weights / weights.sum(axis=1, keepdims=True), classes)


def scikit_learns(predictions, classes, positive):
    actual = predictions["label"].to_numpy()
    guess = predictions.filter(like="prob_").idxmax(axis=1).str.removeprefix("prob_").to_numpy()

    def one_vs_rest(label):
        is_actual, is_guess, options = actual == label, guess == label, {"zero_division": np.nan}
        return {
            "sensitivity": reference.recall_score(is_actual, is_guess),
            "specificity": reference.recall_score(~is_actual, ~is_guess),
            "precision": reference.precision_score(is_actual, is_guess, **options),
            "f1": reference.f1_score(is_actual, is_guess, **options),
            "auc": reference.roc_auc_score(is_actual, predictions[f"prob_{label}"]),
        }

    labels = [positive] if positive else classes[-1:] if len(classes) == 2 else classes
    return {
        "accuracy": reference.accuracy_score(actual, guess),
        **pd.DataFrame(map(one_vs_rest, labels)).mean(skipna=False),
        "weighted_f1": reference.f1_score(actual, guess, average="weighted", zero_division=0),
        "balanced_accuracy": reference.balanced_accuracy_score(actual, guess),
    }


@pytest.mark.parametrize("classes", [TWO, STAGES])
@settings(max_examples=20)
@given(st.data())
def test_scores_equal_scikit_learns(classes, data):
    predictions = data.draw(predictions_of(classes))
    counts = metrics.confusion(predictions).to_numpy()
    for positive in (None, *classes):
        found, expected = (
            metrics.scores(predictions, positive),
            scikit_learns(predictions, classes, positive),
        )
        assert tuple(found.index) == metrics.NAMES == tuple(expected)
        np.testing.assert_allclose(found.to_numpy(), list(expected.values()), rtol=1e-12)
        if positive:
            of_counts = metrics.class_scores(counts)
            for name, of_class in of_counts.items():
                place = name.replace("recall", "sensitivity")
                np.testing.assert_allclose(of_class[classes.index(positive)], expected[place])


def test_a_confusion_matrix_has_a_row_per_actual_class():
    chances = [0.9, 0.8, 0.6, 0.2, 0.85, 0.6, 0.4, 0.3, 0.3, 0.1]
    table = metrics.confusion(binary([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], chances))
    assert table.to_dict("split")["data"] == [[4, 2], [1, 3]]
    assert (table.index.name, table.columns.name) == ("actual", "predicted")
    assert tuple(table.index) == tuple(table.columns) == TWO
    only_healthy = metrics.confusion(binary([0, 0], [0.1, 0.7]))
    assert only_healthy.to_dict("split")["data"] == [[1, 1], [0, 0]]


@pytest.mark.filterwarnings("error")
def test_undefined_scores_are_missing_not_zero():
    nothing_found = metrics.scores(binary([1, 0, 0], [0.1, 0.2, 0.3]))
    assert np.isnan(nothing_found["precision"])
    assert nothing_found["sensitivity"] == 0
    assert nothing_found["f1"] == 0  # by 2 TP / (2 TP + FP + FN)
    only_healthy = metrics.scores(binary([0, 0], [0.1, 0.7]))
    assert only_healthy[["sensitivity", "auc", "balanced_accuracy"]].isna().all()
    assert only_healthy["accuracy"] == 0.5
    assert only_healthy["weighted_f1"] == pytest.approx(2 / 3)
    assert np.isnan(metrics.scores(binary([1, 1], [0.1, 0.7]))["specificity"])
    assert metrics.scores(binary([0, 0], [0.1, 0.2]))["weighted_f1"] == 1  # no ALL at all


def measured(predictions, draws=0, label=None, **options):
    rows = metrics.measure(predictions, draws, **options)
    rows = rows[rows["label"].isna() if label is None else rows["label"] == label]
    return rows.set_index("quantity")


def clustered(classes, images=120, seed=1):
    """Return random predictions of two subjects per class: some resamples lack a class."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, images)
    subjects = [f"{label}{generator.integers(2)}" for label in labels]
    chances = generator.dirichlet(np.ones(len(classes)), images)
    return frame(labels, chances, classes, subjects)


@pytest.mark.parametrize(
    ("classes", "positive", "by"),
    [(TWO, "healthy", "subject"), (STAGES[:3], None, "subject"), (TWO, None, "image_id")],
)
def test_bootstrap_equals_scoring_the_resampled_rows_one_by_one(classes, positive, by):
    predictions = clustered(classes)
    names = predictions[by].unique()
    picks = np.random.default_rng(5).integers(0, len(names), (60, len(names)))
    scored, errors = [], []
    for some in picks:
        rows = pd.concat([predictions[predictions[by] == names[pick]] for pick in some])
        rows = rows.assign(image_id=range(len(rows)))
        scored.append(metrics.scores(rows, positive))
        errors.append(calibration.expected_calibration_error(rows))
    scored = pd.DataFrame(scored)
    found = metrics.bootstrap(predictions, by, 60, 5, positive)
    assert found.index.name == "metric"
    assert found["point"].to_dict() == metrics.scores(predictions, positive).to_dict()
    assert found["draws"].tolist() == scored.notna().sum().tolist()  # undefined ones are left out
    np.testing.assert_allclose(found["low"], scored.quantile(0.025))
    np.testing.assert_allclose(found["high"], scored.quantile(0.975))
    assert (found["clusters"] == len(names)).all()
    assert list(found.columns) == ["point", "low", "high", "draws", "clusters"]
    of_groups = measured(predictions.assign(subject=predictions[by]), 60, seed=5)
    ends = of_groups.loc["calibration_error", ["low", "high"]]
    np.testing.assert_allclose(ends.astype(float), np.quantile(errors, [0.025, 0.975]))


def test_resamples_depend_on_seed_and_order_and_not_on_how_many_are_made_at_once():
    predictions = clustered(TWO)
    first = metrics.resample(predictions, draws=50, seed=3)
    assert first.shape == (50, len(metrics.NAMES))
    pd.testing.assert_frame_equal(first, metrics.resample(predictions, draws=50, seed=3))
    assert not first.equals(metrics.resample(predictions, draws=50, seed=4))
    usual = metrics.resample(predictions, draws=2000, seed=0)
    pd.testing.assert_frame_equal(usual, metrics.resample(predictions))
    np.testing.assert_allclose(metrics.bootstrap(predictions)["low"], usual.quantile(0.025))
    # 50 copies of each subject: the same scores, some resamples at a time
    many = pd.concat([predictions.assign(fold=copy) for copy in range(200)])
    pd.testing.assert_frame_equal(metrics.resample(many, draws=50, seed=3), first)
    # shuffled rows number the subjects otherwise, unless their order is given
    names, shuffled = predictions["subject"].unique(), predictions.sample(frac=1, random_state=1)
    assert not first.equals(metrics.resample(shuffled, draws=50, seed=3))
    paired = metrics.resample(shuffled, order=names, draws=50, seed=3)
    pd.testing.assert_frame_equal(paired, first)
    with pytest.raises(ValueError, match="subject 'ALL1' of the predictions is not in the order"):
        metrics.resample(predictions, order=[name for name in names if name != "ALL1"])


def test_bootstrap_refuses_unknown_or_single_subjects():
    predictions = binary([1, 0, 1], [0.9, 0.1, 0.4], ["a", None, "b"])
    with pytest.raises(ValueError, match=r"1 of 3 predictions have no subject.*by='image_id'"):
        metrics.bootstrap(predictions)
    with pytest.raises(ValueError, match=r"all 3 .* same subject: a bootstrap over one subject"):
        metrics.bootstrap(predictions.assign(subject="a"))
    with pytest.raises(ValueError, match=r"by='person' is no column .*: \['image_id', 'subject'"):
        metrics.bootstrap(predictions, by="person")


def test_measure_gives_all_and_each_class_with_mean_and_deviation_of_the_folds():
    predictions = binary([1, 1, 0, 0, 1, 0], [0.9, 0.4, 0.2, 0.6, 0.8, 0.0], "aabbcd")
    predictions["fold"] = [0, 0, 0, 0, 1, 1]
    found = measured(predictions)
    assert tuple(found.index) == (
        *(*metrics.NAMES, "recall", "support", "loss"),
        *("calibration_error", "patient_level_accuracy"),
    )
    likelihoods = [0.9, 0.4, 0.8, 0.4, 0.8, 1.0]
    assert found.loc["loss", "value"] == pytest.approx(-np.log(likelihoods).mean())
    assert found.loc["accuracy", ["value", "mean", "sd"]].tolist() == pytest.approx(
        [4 / 6, (2 / 4 + 1) / 2, np.std([2 / 4, 1], ddof=1)]
    )
    error = calibration.expected_calibration_error(predictions)
    assert found.loc["calibration_error", "value"] == error
    # a's cells vote 0.9 and 0.4, b's 0.2 and 0.6: a tie, decided by the means 0.65 and 0.4
    assert found.loc["patient_level_accuracy", "value"] == 1
    assert found.loc["support", ["value", "mean"]].tolist() == [6, 3]
    assert found[["low", "high"]].isna().all(axis=None)
    assert set(found["images"]) == {6} and set(found["groups"]) == {4}
    assert set(found["groups_are"]) == {"subjects"}
    of_healthy = measured(predictions, label="healthy")
    assert set(of_healthy.index) == set(intervals.OF_A_CLASS)
    assert of_healthy.loc["recall", "value"] == of_healthy.loc["sensitivity", "value"] == 2 / 3
    assert of_healthy.loc["support", "value"] == 3
    for single in (predictions.drop(columns="fold"), predictions.assign(fold=0)):
        assert measured(single)[["mean", "sd"]].isna().all(axis=None)
        pd.testing.assert_series_equal(measured(single)["value"], found["value"])


@pytest.mark.parametrize("classes", [TWO, STAGES[:3]])
def test_the_intervals_of_measure_are_those_of_the_bootstrap(classes):
    predictions = clustered(classes)
    for label in (None, *classes):
        expected = metrics.bootstrap(predictions, draws=80, seed=2, positive=label)
        found = measured(predictions, 80, label, seed=2)
        names = found.index.intersection(metrics.NAMES)
        pd.testing.assert_frame_equal(
            *(frame.loc[names, ["low", "high"]] for frame in (found, expected)), check_names=False
        )
        ends = found.loc["sensitivity", ["low", "high"]].tolist()
        assert found.loc["recall", ["low", "high"]].tolist() == ends
        assert found.loc["support", ["low", "high"]].isna().all()


def test_groups_are_subjects_proxies_or_original_images():
    predictions = binary([1, 0, 1], [0.9, 0.1, 0.4], "aab")
    assert metrics.groups(predictions)[1] == "subjects"
    proxies = predictions.assign(subject=["proxy:1", "proxy:1", "proxy:2"])
    assert metrics.groups(proxies)[1] == "block proxies"
    copies = predictions.assign(subject=["a", pd.NA, "b"], image_id=["x", "x#1", "y#2"])
    over, name = metrics.groups(copies)
    assert (over.tolist(), name) == (["x", "x", "y"], "original images")
    found = measured(copies, 20)
    assert set(found["groups"]) == {2}
    # who is not known, or has two classes, cannot vote
    for silent in (copies, proxies, predictions):
        assert measured(silent, 20).loc["patient_level_accuracy", ["value", "low"]].isna().all()


@pytest.mark.parametrize(
    ("ends", "decimals", "text"),
    [
        ((0.9312, 0.9021, 0.9504), 3, "0.931 (0.902 to 0.950)"),
        ((93.12, 90.21, 95.04), 1, "93.1 (90.2 to 95.0)"),
        ((-0.25, -0.5, 0), 2, "-0.25 (-0.50 to 0.00)"),
        ((0.5, np.nan, np.nan), 2, "0.50"),
        ((0.5,), 3, "0.500"),
        ((1.0, 1.0, 1.0), 0, "1 (1 to 1)"),
        ((np.nan, 0.1, 0.2), 3, "undefined"),
        ((pd.NA,), 3, "undefined"),
    ],
)
def test_a_number_is_written_with_its_interval(ends, decimals, text):
    assert metrics.with_interval(*ends, decimals=decimals) == text
    if decimals == 3:
        assert metrics.with_interval(*ends) == text


def test_patients_vote_with_shares_and_equal_shares_are_decided_by_the_mean():
    predictions = binary(
        [1, 1, 1, 1, 1, 0, 0, 0],
        [0.9, 0.6, 0.2, 0.7, 0.4, 0.51, 0.2, 0.3],
        ["p", "p", "p", "q", "q", "h", "h", "g"],
    )
    votes = metrics.patient_vote(predictions)
    assert list(votes.columns) == [
        *("image_id", "subject", "label", "cells", "prob_healthy", "prob_ALL")
    ]
    votes = votes.set_index("subject")
    assert votes["image_id"].tolist() == list(votes.index) == ["p", "q", "h", "g"]
    assert votes["cells"].tolist() == [3, 2, 2, 1]
    assert votes["label"].tolist() == ["ALL", "ALL", "healthy", "healthy"]
    assert votes["prob_ALL"].round(6).tolist() == [0.666667, 0.5, 0.5, 0.0]
    np.testing.assert_allclose(votes["prob_ALL"], 1 - votes["prob_healthy"])
    # by hand: the mean is mixed in with 1e-9
    assert votes.loc["q", "prob_ALL"] - 0.5 == pytest.approx(1e-9 * (0.55 - 0.5), rel=1e-6)
    assert votes.loc["h", "prob_ALL"] < 0.5  # mean 0.355
    assert metrics.scores(votes.reset_index())["accuracy"] == 1.0


def test_a_subject_all_of_whose_cells_are_sure_has_a_vote_of_at_most_one():
    votes = metrics.patient_vote(binary([0, 1] * 60, [0.0, 1.0] * 60, [*"ab"] * 60))
    assert votes[["prob_healthy", "prob_ALL"]].to_numpy().max() <= 1
    assert metrics.scores(votes)["accuracy"] == 1


def test_a_subject_of_two_classes_or_of_no_name_cannot_vote():
    with pytest.raises(ValueError, match="subject 'p' has cells of 2 classes"):
        metrics.patient_vote(binary([0, 1, 0, 1], [0.1, 0.9, 0.1, 0.8], "oppq"))
    with pytest.raises(ValueError, match="1 of 2 predictions have no subject"):
        metrics.patient_vote(binary([1, 0], [0.9, 0.1], ["p", None]))


def test_the_interval_of_the_patient_level_accuracy_is_clopper_and_pearsons():
    # 26 of 28: Prellberg & Kramer's subjects. Limits from the beta distribution.
    predictions = binary([1] * 28, [0.9] * 26 + [0.1] * 2)
    expected = (26 / 28, beta.ppf(0.025, 26, 3), beta.ppf(0.975, 27, 2))
    assert metrics.patient_level_accuracy(predictions) == pytest.approx(expected)
    found = measured(predictions, 10).loc["patient_level_accuracy", ["value", "low", "high"]]
    assert found.tolist() == pytest.approx(expected)


GOOD = binary([1, 0, 1], [0.9, 0.1, 0.4])


@pytest.mark.parametrize(
    ("message", "predictions"),
    [
        ("need the columns .* found: image_id, label", GOOD.drop(columns="subject")),
        ("at least two classes", GOOD.drop(columns="prob_ALL")),
        ("no rows", GOOD[:0]),
        (
            r"'image-0' has a label that is none of healthy, ALL \(1 of 3 rows\)",
            GOOD.assign(label=["all", "ALL", "healthy"]),
        ),
        ("'image-1' has a label", GOOD.assign(label=["ALL", None, "healthy"])),
        (r"'image-2' has a probability outside 0\.\.1", GOOD.assign(prob_ALL=[0.9, 0.1, 1.5])),
        ("'image-1' has a probability outside", GOOD.assign(prob_ALL=[0.9, np.nan, 0.4])),
        ("'image-0' has a probability outside", GOOD.assign(prob_ALL=[-0.1, 0.1, 0.4])),
        ("'image-1' has probabilities that do not sum", GOOD.assign(prob_ALL=[0.9, 0.2, 0.4])),
        ("'x' occurs twice .* column 'fold'", GOOD.assign(image_id=["x", "y", "x"])),
        ("'x' occurs twice", GOOD.assign(image_id=["x", "y", "x"], fold=1)),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(message, predictions):
    with pytest.raises(ValueError, match=message):
        metrics.scores(predictions)


def test_predictions_that_can_be_scored_are_not():
    assert metrics.check_predictions(GOOD) == TWO
    metrics.check_predictions(GOOD.assign(image_id=["x", "y", "x"], fold=[0, 0, 1]))
    metrics.check_predictions(GOOD.assign(prob_ALL=GOOD["prob_ALL"] + 9e-7))  # float32
    with pytest.raises(ValueError, match="positive='all' is none of the classes healthy, ALL"):
        metrics.scores(GOOD, positive="all")


def test_a_frame_of_predictions_is_made_from_cells_and_probabilities():
    cells = GOOD[["image_id", "subject", "label"]].assign(path="x").set_index(pd.Index([7, 8, 9]))
    chances = GOOD[["prob_healthy", "prob_ALL"]].to_numpy()
    pd.testing.assert_frame_equal(metrics.prediction_frame(cells, chances, TWO), GOOD)
    with pytest.raises(ValueError, match="zip"):
        metrics.prediction_frame(cells, chances, STAGES)
    answers = metrics.arrays(GOOD)
    assert answers.is_right.tolist() == [True, True, False]
    assert answers.likelihoods.tolist() == pytest.approx([0.9, 0.9, 0.4])
