import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
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


def measured(predictions, label=None, **options):
    rows = metrics.measure(predictions, **options)
    rows = rows[rows["label"].isna() if label is None else rows["label"] == label]
    return rows.set_index("quantity")


def clustered(classes, images=120, seed=1, subjects=5):
    """Return random predictions of some subjects per class."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, images)
    names = [f"{label}{generator.integers(subjects)}" for label in labels]
    chances = generator.dirichlet(np.ones(len(classes)), images)
    return frame(labels, chances, classes, names)


@pytest.mark.parametrize(
    ("classes", "positive", "by"),
    [(TWO, "healthy", "subject"), (STAGES[:3], None, "subject"), (TWO, None, "image_id")],
)
def test_leaving_a_subject_out_equals_scoring_the_others(classes, positive, by):
    predictions = clustered(classes)
    left_out = metrics.leave_out(predictions, by, positive)
    points = metrics.scores(predictions, positive)
    assert left_out.points[list(metrics.NAMES)].to_dict() == points.to_dict()
    assert set(left_out.changes.index) == set(predictions[by])
    for name, change in left_out.changes.iterrows():
        others = predictions[predictions[by] != name]
        expected = metrics.scores(others, positive)
        expected["calibration_error"] = calibration.expected_calibration_error(others)
        np.testing.assert_allclose(left_out.points + change, expected)
    # Some at a time where there are many images: the same.
    many = pd.concat([predictions.assign(fold=copy) for copy in range(1000)])
    again = metrics.leave_out(many, by, positive)
    pd.testing.assert_frame_equal(again.changes, left_out.changes)


def test_equal_subjects_of_one_class_have_the_t_interval_of_their_means():
    # Ten subjects of four cells each: sensitivity is the mean of the subjects' shares.
    right = [4, 3, 4, 2, 4, 3, 1, 4, 3, 2]
    chances = [0.9 if cell < some else 0.2 for some in right for cell in range(4)]
    subjects = [f"p{number}" for number in range(10) for _ in range(4)]
    predictions = binary([1] * 40, chances, subjects)
    found = metrics.jackknife(predictions).loc["sensitivity"]
    shares = np.array(right) / 4
    assert found["error"] == pytest.approx(stats.sem(shares))
    assert found["freedom"] == pytest.approx(9)
    assert (found["rests_on"], found["clusters"]) == (10, 10)
    point, half = shares.mean(), stats.t.ppf(0.975, 9) * stats.sem(shares)
    logits = logit(point) + np.array([-1, 1]) * half / (point * (1 - point))
    assert found[["low", "high"]].tolist() == pytest.approx(expit(logits))
    # The calibration error, a distance, has the plain one, cut at 0.
    distance = metrics.jackknife(predictions).loc["calibration_error"]
    half = stats.t.ppf(0.975, distance["freedom"]) * distance["error"]
    ends = np.clip(distance["point"] + np.array([-half, half]), 0, 1)
    assert distance[["low", "high"]].tolist() == pytest.approx(ends)
    # Against a score that does not vary: the farther of scipy's plain t interval and of the score's
    # own, which reaches farther down. The p value is scipy's.
    other = binary(
        [1] * 40, [0.9 if cell < 2 else 0.2 for _ in right for cell in range(4)], subjects
    )
    shuffled = other.sample(frac=1, random_state=1)
    left_out = [metrics.leave_out(one) for one in (predictions, shuffled)]
    between = metrics.difference(*left_out).loc["sensitivity"]
    test = stats.ttest_1samp(shares - 0.5, 0)
    low, high = found["low"] - 0.5, test.confidence_interval().high
    assert low < test.confidence_interval().low
    expected = (test.statistic * stats.sem(shares), low, high, test.pvalue)
    assert between[["difference", "low", "high", "p"]].tolist() == pytest.approx(expected)


def test_unequal_subjects_have_fewer_degrees_of_freedom():
    # By hand: sizes 6, 1, 1, 1, 1 of a class have 10² / 40 = 2.5 effective subjects, less one.
    subjects = [*"aaaaaabcde", *"FGHIJ"]
    chances = [0.9] * 3 + [0.1] * 4 + [0.9] * 3 + [0.1, 0.8, 0.2, 0.3, 0.4]
    found = metrics.jackknife(binary([1] * 10 + [0] * 5, chances, subjects))
    assert found.loc["sensitivity", "freedom"] == pytest.approx(1.5)
    assert found.loc["specificity", "freedom"] == pytest.approx(4)
    # Satterthwaite for both classes together lies between the smaller and the sum.
    assert 1.5 <= found.loc["accuracy", "freedom"] <= 5.5
    assert found["rests_on"].to_dict() == dict.fromkeys(found.index, 10) | {
        "sensitivity": 5,
        "specificity": 5,
        "auc": 5,
        "balanced_accuracy": 5,
    }


def test_where_no_subject_changes_a_score_the_interval_is_clopper_and_pearsons():
    # Five of five and six of six subjects right: limits from the beta distribution.
    labels, subjects = [1] * 5 + [0] * 6, [f"p{number}" for number in range(11)]
    right = binary(labels, [0.9] * 5 + [0.1] * 6, subjects)
    found = metrics.jackknife(right)
    assert (found.loc[list(metrics.NAMES), "high"] == 1).all()
    for name, number in {"accuracy": 11, "sensitivity": 5, "specificity": 6, "auc": 5}.items():
        assert found.loc[name, "low"] == pytest.approx(beta.ppf(0.025, number, 1))
    constant = binary(labels, [0.9] * 11, subjects)
    assert metrics.jackknife(constant).loc["specificity", ["low", "high"]].tolist() == (
        pytest.approx([0, beta.ppf(0.975, 1, 6)])
    )
    # An AUC of 1 against 0.5: five subjects on one side, by the sign test and the same limit.
    left_out = [metrics.leave_out(one) for one in (right, constant)]
    between = metrics.difference(*left_out).loc["auc"]
    share = beta.ppf(0.025, 5, 1)
    expected = [0.5, 0.5 * (2 * share - 1), 0.5, stats.binomtest(5, 5).pvalue]
    assert between[["difference", "low", "high", "p"]].tolist() == pytest.approx(expected)
    same = metrics.difference(left_out[0], left_out[0])
    assert (same[["difference", "low", "high"]] == 0).all(axis=None) and (same["p"] == 1).all()


def test_too_few_subjects_have_an_infinite_interval_and_a_text():
    predictions = clustered(TWO, subjects=3)
    found = metrics.jackknife(predictions)
    assert found.loc["accuracy", ["low", "high"]].between(0, 1).all()  # six subjects
    assert found.loc["auc", ["low", "high"]].tolist() == [-np.inf, np.inf]  # three of each class
    shown = metrics.with_interval(*found.loc["auc", ["point", "low", "high"]], decimals=1)
    assert shown == f"{found.loc['auc', 'point']:.1f} (too few subjects)"
    between = metrics.difference(*[metrics.leave_out(predictions)] * 2)
    assert np.isnan(between.loc["auc", "p"]) and between.loc["accuracy", "p"] == 1
    # The only subject that is predicted positive: nothing is known without it.
    one = binary([1] * 5 + [0] * 5, [0.9] + [0.1] * 9)
    assert np.isinf(metrics.jackknife(one).loc["precision", "low"])
    assert metrics.jackknife(one.assign(prob_ALL=0.1, prob_healthy=0.9))["low"].isna().sum() == 1


def test_p_values_are_corrected_as_holm_did():
    # By hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which is not below the one before.
    p = pd.Series([0.01, 0.04, np.nan, 0.03, 0.005], list("abcde"))
    expected = pd.Series([0.03, 0.06, np.nan, 0.06, 0.02], list("abcde"))
    pd.testing.assert_series_equal(metrics.holm(p), expected)
    assert metrics.holm(pd.Series([0.6, 0.7])).tolist() == [1, 1]


def test_intervals_refuse_unknown_or_single_subjects():
    predictions = binary([1, 0, 1], [0.9, 0.1, 0.4], ["a", None, "b"])
    with pytest.raises(ValueError, match=r"1 of 3 predictions have no subject.*by='image_id'"):
        metrics.jackknife(predictions)
    with pytest.raises(ValueError, match=r"all 3 .* same subject: an interval over one subject"):
        metrics.jackknife(predictions.assign(subject="a"))
    with pytest.raises(ValueError, match=r"by='person' is no column .*: \['image_id', 'subject'"):
        metrics.jackknife(predictions, by="person")
    left_out = [metrics.leave_out(clustered(TWO, seed=seed)) for seed in (1, 2)]
    fewer = left_out[0]._replace(changes=left_out[0].changes.iloc[1:])
    with pytest.raises(ValueError, match="10 and 9 subjects, which are not the same"):
        metrics.difference(left_out[1], fewer)


def test_measure_gives_all_and_each_class_with_mean_and_deviation_of_the_folds():
    predictions = binary([1, 1, 0, 0, 1, 0], [0.9, 0.4, 0.2, 0.6, 0.8, 0.0], "aabbcd")
    predictions["fold"] = [0, 0, 0, 0, 1, 1]
    found = measured(predictions, intervals=False)
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
@pytest.mark.parametrize("order", ["folds apart", "folds mixed"])
def test_the_mean_over_folds_is_that_of_each_fold_measured_alone(classes, order):
    predictions = clustered(classes)
    fold = np.arange(len(predictions)) * 3 // len(predictions)
    predictions["fold"] = (
        fold if order == "folds apart" else np.random.default_rng(0).permuted(fold)
    )
    found = metrics.measure(predictions, intervals=False)
    alone = [
        metrics.measure(part, intervals=False)["value"] for _, part in predictions.groupby("fold")
    ]
    expected = np.array(alone)
    np.testing.assert_allclose(found["mean"], expected.mean(axis=0))
    np.testing.assert_allclose(found["sd"], expected.std(axis=0, ddof=1), atol=1e-12)


@pytest.mark.parametrize("classes", [TWO, STAGES[:3]])
def test_the_intervals_of_measure_are_those_of_the_jackknife(classes):
    predictions = clustered(classes)
    for label in (None, *classes):
        expected = metrics.jackknife(predictions, positive=label)
        found = measured(predictions, label)
        names = found.index.intersection(expected.index)
        assert ("calibration_error" in names) == (label is None)
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
    called_na = predictions.assign(subject=["NA", "NA", "nan"])  # names, not missing values
    over, name = metrics.groups(called_na)
    assert (over.tolist(), name) == (["NA", "NA", "nan"], "subjects")
    found = measured(copies)
    assert set(found["groups"]) == {2}
    # who is not known, or has two classes, cannot vote
    for silent in (copies, proxies, predictions):
        assert measured(silent).loc["patient_level_accuracy", ["value", "low"]].isna().all()


@pytest.mark.parametrize(
    ("ends", "decimals", "text"),
    [
        ((0.9312, 0.9021, 0.9504), 3, "0.931 (0.902 to 0.950)"),
        ((93.12, 90.21, 95.04), 1, "93.1 (90.2 to 95.0)"),
        ((-0.25, -0.5, 0), 2, "-0.25 (-0.50 to 0.00)"),
        ((0.5, np.nan, np.nan), 2, "0.50"),
        ((0.5,), 3, "0.500"),
        ((1.0, 1.0, 1.0), 0, "1 (1 to 1)"),
        ((93.12, -np.inf, np.inf), 1, "93.1 (too few subjects)"),
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
    found = measured(predictions).loc["patient_level_accuracy", ["value", "low", "high"]]
    assert found.tolist() == pytest.approx(expected)


GOOD = binary([1, 0, 1], [0.9, 0.1, 0.4])


@pytest.mark.parametrize(
    ("message", "predictions"),
    [
        ("need the columns .* found: image_id, label", GOOD.drop(columns="subject")),
        ("at least two classes", GOOD.drop(columns="prob_ALL")),
        ("no rows", GOOD[:0]),
        (
            r"'image-0' has the label 'all', expected .*: healthy, ALL \(1 of 3 images\)",
            GOOD.assign(label=["all", "ALL", "healthy"]),
        ),
        ("'image-1' has the label (None|nan)", GOOD.assign(label=["ALL", None, "healthy"])),
        ("'image-1' has the label 1, expected", GOOD.assign(label=["ALL", 1, "healthy"])),
        (
            "'image-0' has the label 1, expected the name of a class: 0, 1",
            GOOD.set_axis([*GOOD.columns[:3], "prob_0", "prob_1"], axis=1).assign(label=[1, 0, 1]),
        ),
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
