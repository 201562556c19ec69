import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import intervals, metrics


def frame(labels, probabilities, classes, subjects=None):
    """Return predictions; ``probabilities`` (images, classes)."""
    names = [f"image-{number}" for number in range(len(labels))]
    data = {
        "image_id": names,
        "subject": names if subjects is None else subjects,
        "label": labels,
    }
    probabilities = np.asarray(probabilities, dtype=float)
    data |= {f"prob_{name}": probabilities[:, k] for k, name in enumerate(classes)}
    return pd.DataFrame(data)


def binary(labels, positives, subjects=None):
    """Return predictions of healthy and ALL from the probability of ALL."""
    positives = np.asarray(positives, dtype=float)
    names = np.where(np.asarray(labels, dtype=bool), "ALL", "healthy")
    return frame(names, np.c_[1 - positives, positives], ["healthy", "ALL"], subjects)


@st.composite
def predictions_of(draw, classes):
    count = draw(st.integers(len(classes) * 2, 60))
    labels = [*classes, *draw(st.lists(st.sampled_from(classes), min_size=count, max_size=count))]
    # few distinct values, so that equal scores are common
    weights = draw(
        st.lists(
            st.lists(st.integers(1, 6), min_size=len(classes), max_size=len(classes)),
            min_size=len(labels),
            max_size=len(labels),
        )
    )
    weights = np.array(weights, dtype=float)
    subjects = draw(
        st.lists(st.sampled_from("pqrstuv"), min_size=len(labels), max_size=len(labels))
    )
    return frame(labels, weights / weights.sum(axis=1, keepdims=True), classes, subjects)


def predicted(predictions):
    columns = [name for name in predictions if name.startswith("prob_")]
    best = predictions[columns].to_numpy().argmax(axis=1)
    return np.array([name.removeprefix("prob_") for name in columns])[best]


@settings(max_examples=60)
@given(predictions_of(["healthy", "ALL"]), st.sampled_from([None, "healthy", "ALL"]))
def test_two_class_scores_equal_scikit_learns(predictions, positive):
    actual, guess = predictions["label"].to_numpy(), predicted(predictions)
    found = metrics.scores(predictions, positive)
    positive = positive or "ALL"
    negative = "healthy" if positive == "ALL" else "ALL"
    options = {"pos_label": positive, "zero_division": np.nan}
    expected = {
        "accuracy": reference.accuracy_score(actual, guess),
        "sensitivity": reference.recall_score(actual, guess, **options),
        "specificity": reference.recall_score(actual, guess, pos_label=negative),
        "precision": reference.precision_score(actual, guess, **options),
        "f1": reference.f1_score(actual, guess, **options),
        "auc": reference.roc_auc_score(actual == positive, predictions[f"prob_{positive}"]),
        "weighted_f1": reference.f1_score(actual, guess, average="weighted"),
        "balanced_accuracy": reference.balanced_accuracy_score(actual, guess),
    }
    assert list(found.index) == list(expected)
    np.testing.assert_allclose(found.to_numpy(), list(expected.values()), rtol=1e-12)


STAGES = ["benign", "early", "pre", "pro"]


@settings(max_examples=20)
@given(predictions_of(STAGES))
def test_four_class_scores_are_macro_averages(predictions):
    actual, guess = predictions["label"].to_numpy(), predicted(predictions)
    found = metrics.scores(predictions)
    each = {"average": None, "zero_division": np.nan, "labels": STAGES}
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(actual, guess))
    for name, function in {
        "sensitivity": reference.recall_score,
        "precision": reference.precision_score,
        "f1": reference.f1_score,
    }.items():
        per_class = function(actual, guess, **each)
        assert found[name] == pytest.approx(per_class.mean(), nan_ok=True)
        for stage, value in zip(STAGES, per_class, strict=True):
            assert metrics.scores(predictions, stage)[name] == pytest.approx(value, nan_ok=True)
    specificity = [
        reference.recall_score(actual != stage, guess != stage, zero_division=np.nan)
        for stage in STAGES
    ]
    assert found["specificity"] == pytest.approx(np.mean(specificity))
    assert found["weighted_f1"] == pytest.approx(
        reference.f1_score(actual, guess, average="weighted", zero_division=0)
    )
    assert found["auc"] == pytest.approx(
        reference.roc_auc_score(
            actual,
            predictions[[f"prob_{stage}" for stage in STAGES]],
            labels=STAGES,
            multi_class="ovr",
            average="macro",
        )
    )


def test_scores_worked_by_hand():
    # TP 3, FN 1, FP 2, TN 4; of the 24 pairs, 0.9, 0.8 and 0.6 beat the healthy ones 6 + 5 + 4
    # times (0.6 equals one: one half), and 0.2 beats one.
    predictions = binary(
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0], [0.9, 0.8, 0.6, 0.2, 0.85, 0.6, 0.4, 0.3, 0.3, 0.1]
    )
    found = metrics.scores(predictions)
    assert found["accuracy"] == pytest.approx(7 / 10)
    assert found["sensitivity"] == pytest.approx(3 / 4)
    assert found["specificity"] == pytest.approx(4 / 6)
    assert found["precision"] == pytest.approx(3 / 5)
    assert found["f1"] == pytest.approx(2 * 0.6 * 0.75 / (0.6 + 0.75))
    assert found["auc"] == pytest.approx((6 + 5 + 4.5 + 1) / 24)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    table = metrics.confusion(predictions)
    assert table.loc["healthy"].tolist() == [4, 2]
    assert table.loc["ALL"].tolist() == [1, 3]
    assert (table.index.name, table.columns.name) == ("actual", "predicted")


def test_undefined_scores_are_missing_not_zero():
    nothing_found = metrics.scores(binary([1, 0, 0], [0.1, 0.2, 0.3]))
    assert np.isnan(nothing_found["precision"])
    assert nothing_found["sensitivity"] == 0
    assert nothing_found["f1"] == 0  # by 2 TP / (2 TP + FP + FN)
    only_healthy = metrics.scores(binary([0, 0], [0.1, 0.7]))
    assert only_healthy[["sensitivity", "auc", "balanced_accuracy"]].isna().all()
    assert only_healthy["accuracy"] == 0.5
    assert np.isnan(metrics.scores(binary([1, 1], [0.1, 0.7]))["specificity"])


def test_roc_points_trace_the_area():
    generator = np.random.default_rng(0)
    predictions = binary(generator.integers(0, 2, 200), generator.random(200).round(1))
    points = metrics.roc_points(predictions)
    area = np.trapezoid(points["true_positive_rate"], points["false_positive_rate"])
    assert area == pytest.approx(metrics.scores(predictions)["auc"])
    with pytest.raises(ValueError, match="only one kind"):
        metrics.roc_points(binary([1, 1], [0.2, 0.3]))
    with pytest.raises(ValueError, match="needs positive"):
        metrics.roc_points(frame(["a", "b", "c"], np.eye(3), "abc"))


@settings(max_examples=40)
@given(predictions_of(["healthy", "ALL"]), st.integers(0, 100))
def test_weighted_auc_equals_scikit_learns(predictions, seed):
    positive = (predictions["label"] == "ALL").to_numpy()
    weights = np.random.default_rng(seed).integers(0, 3, (5, len(predictions))).astype(float)
    found = intervals.weighted_auc(positive, predictions["prob_ALL"].to_numpy(), weights.T)
    for row, area in zip(weights, found, strict=True):
        if row[positive].sum() == 0 or row[~positive].sum() == 0:
            assert np.isnan(area)
        else:
            expected = reference.roc_auc_score(positive, predictions["prob_ALL"], sample_weight=row)
            assert area == pytest.approx(expected)


@pytest.mark.parametrize("classes", [["healthy", "ALL"], ["benign", "early", "pre"]])
def test_bootstrap_equals_drawing_the_rows_one_by_one(classes):
    generator = np.random.default_rng(1)
    labels = generator.choice(classes, 120)
    subjects = [f"{label}{generator.integers(4)}" for label in labels]
    chances = generator.dirichlet(np.ones(len(classes)), 120).round(2)
    chances[:, -1] = 1 - chances[:, :-1].sum(axis=1)
    predictions = frame(labels, np.clip(chances, 0, 1), classes, subjects)
    names = list(dict.fromkeys(subjects))
    found = metrics.bootstrap(predictions, draws=60, seed=5)
    scored = []
    for times in np.concatenate(list(intervals.cluster_draws(len(names), 60, 5, at_once=7))):
        assert times.sum() == len(names)
        drawn = pd.concat(
            [
                predictions[predictions["subject"] == name]
                for name, count in zip(names, times, strict=True)
                for _ in range(count)
            ]
        )
        scored.append(metrics.scores(drawn.assign(image_id=range(len(drawn)))))
    scored = pd.DataFrame(scored)
    pd.testing.assert_series_equal(found["point"], metrics.scores(predictions), check_names=False)
    assert found["draws"].tolist() == scored.notna().sum().tolist()
    np.testing.assert_allclose(found["low"], scored.quantile(0.025))
    np.testing.assert_allclose(found["high"], scored.quantile(0.975))
    assert (found["clusters"] == len(names)).all()


def test_bootstrap_depends_on_the_seed_only():
    generator = np.random.default_rng(2)
    predictions = binary(generator.integers(0, 2, 90), generator.random(90), list("abcdefghi") * 10)
    first = metrics.bootstrap(predictions, draws=200, seed=3)
    pd.testing.assert_frame_equal(first, metrics.bootstrap(predictions, draws=200, seed=3))
    assert not first["low"].equals(metrics.bootstrap(predictions, draws=200, seed=4)["low"])
    wide = metrics.bootstrap(predictions, draws=200, seed=3, level=0.99)
    narrow = metrics.bootstrap(predictions, draws=200, seed=3, level=0.5)
    assert (wide["high"] - wide["low"] > narrow["high"] - narrow["low"]).all()


def test_draws_without_one_class_are_left_out_and_counted():
    # Three subjects: a draw of three holds no healthy one with probability (2/3)^3 = 8/27 ...
    predictions = binary([1, 1, 1, 1, 0, 0], [0.9, 0.4, 0.8, 0.3, 0.2, 0.6], list("aabbcc"))
    found = metrics.bootstrap(predictions, draws=4000)
    # ... and no ALL patient with 1/27.
    assert found.loc["auc", "draws"] / 4000 == pytest.approx(1 - 9 / 27, abs=0.03)
    assert found.loc["sensitivity", "draws"] / 4000 == pytest.approx(1 - 1 / 27, abs=0.02)
    assert found.loc["accuracy", "draws"] == 4000
    assert found["low"].notna().all()


def test_intervals_over_subjects_cover_the_truth_and_over_images_do_not():
    generator = np.random.default_rng(11)
    covered = {"subject": 0, "image_id": 0}
    repeats = 80
    for _ in range(repeats):
        skill = np.repeat(generator.beta(4, 1, 30), 20)  # mean 0.8: the true accuracy
        correct = generator.random(600) < skill
        labels = generator.integers(0, 2, 600)
        predictions = binary(
            labels, np.where(correct, labels, 1 - labels), np.repeat(np.arange(30), 20)
        )
        for by in covered:
            row = metrics.bootstrap(predictions, by=by, draws=200).loc["accuracy"]
            covered[by] += row["low"] <= 0.8 <= row["high"]
    assert covered["subject"] / repeats > 0.86
    assert covered["image_id"] / repeats < 0.7


def test_bootstrap_refuses_unknown_or_single_subjects():
    predictions = binary([1, 0, 1], [0.9, 0.1, 0.4], ["a", None, "b"])
    with pytest.raises(ValueError, match=r"1 of 3 predictions have no subject.*by='image_id'"):
        metrics.bootstrap(predictions)
    assert metrics.bootstrap(predictions, by="image_id", draws=50)["clusters"].eq(3).all()
    with pytest.raises(ValueError, match="all 3 predictions have the same subject"):
        metrics.bootstrap(predictions.assign(subject="a"))
    with pytest.raises(ValueError, match="by='person' is no column"):
        metrics.bootstrap(predictions, by="person")


def test_patients_vote_with_shares_and_equal_shares_are_decided_by_the_mean():
    predictions = binary(
        [1, 1, 1, 1, 1, 0, 0, 0],
        [0.9, 0.6, 0.2, 0.7, 0.4, 0.51, 0.2, 0.3],
        ["p", "p", "p", "q", "q", "h", "h", "g"],
    )
    votes = metrics.patient_vote(predictions).set_index("subject")
    assert votes["cells"].to_dict() == {"p": 3, "q": 2, "h": 2, "g": 1}
    assert votes["prob_ALL"].round(6).to_dict() == {"p": 0.666667, "q": 0.5, "h": 0.5, "g": 0.0}
    assert votes.loc["q", "prob_ALL"] > 0.5  # mean 0.55
    assert votes.loc["h", "prob_ALL"] < 0.5  # mean 0.355
    assert metrics.scores(votes.reset_index())["accuracy"] == 1.0


def test_a_subject_of_two_classes_or_of_no_name_cannot_vote():
    with pytest.raises(ValueError, match="subject 'p' has cells of 2 classes"):
        metrics.patient_vote(binary([1, 0, 1], [0.9, 0.1, 0.8], ["p", "p", "q"]))
    with pytest.raises(ValueError, match="1 of 2 predictions have no subject"):
        metrics.patient_vote(binary([1, 0], [0.9, 0.1], ["p", None]))


def test_predictions_that_cannot_be_scored_are_refused():
    good = binary([1, 0, 1], [0.9, 0.1, 0.4])
    assert metrics.check_predictions(good) == ("healthy", "ALL")
    cases = {
        "need the columns .* found: image_id, label": good.drop(columns="subject"),
        "at least two classes": good.drop(columns="prob_ALL"),
        "no rows": good[:0],
        r"'image-0' has a label that is none of healthy, ALL \(1 of 3 rows\)": good.assign(
            label=["all", "ALL", "healthy"]
        ),
        "'image-1' has a label": good.assign(label=["ALL", None, "healthy"]),
        r"'image-2' has a probability outside 0\.\.1": good.assign(prob_ALL=[0.9, 0.1, 1.5]),
        "'image-1' has a probability outside": good.assign(prob_ALL=[0.9, np.nan, 0.4]),
        "'image-1' has probabilities that do not sum": good.assign(prob_ALL=[0.9, 0.2, 0.4]),
        "'x' occurs twice .* column 'fold'": good.assign(image_id=["x", "y", "x"]),
    }
    for message, predictions in cases.items():
        with pytest.raises(ValueError, match=message):
            metrics.scores(predictions)
    with pytest.raises(ValueError, match="positive='all' is none of the classes healthy, ALL"):
        metrics.scores(good, positive="all")
    metrics.check_predictions(good.assign(image_id=["x", "y", "x"], fold=[0, 0, 1]))
