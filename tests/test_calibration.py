import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import metrics
from leukkit.metrics import calibration


def predictions(labels, chances, classes=("healthy", "ALL")):
    names = [f"image-{number}" for number in range(len(labels))]
    frame = pd.DataFrame({"image_id": names, "subject": names, "label": labels})
    return frame.assign(
        **{f"prob_{name}": np.array(chances)[:, k] for k, name in enumerate(classes)}
    )


def two_classes(confidences, is_right):
    """Return predictions of ALL with these confidences, right where told."""
    confidences = np.asarray(confidences, dtype=float)
    labels = np.where(is_right, "ALL", "healthy")
    return predictions(labels, np.stack([1 - confidences, confidences], axis=1))


def drawn(seed, images=200, classes=("benign", "early", "pre", "pro"), sharpness=1.0):
    """Return predictions that are calibrated, made ``sharpness`` times sharper."""
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.ones(len(classes)), images)
    labels = [classes[generator.choice(len(classes), p=row)] for row in chances]
    sharper = chances**sharpness
    return predictions(labels, sharper / sharper.sum(axis=1, keepdims=True), classes)


def log_loss(frame):
    values = frame[[f"prob_{name}" for name in ("benign", "early", "pre", "pro")]].to_numpy()
    columns = ["benign", "early", "pre", "pro"]
    own = values[np.arange(len(frame)), [columns.index(name) for name in frame["label"]]]
    return -np.log(own).mean()


def test_reliability_and_error_by_hand():
    # five bins: (0.4, 0.6] holds two images, (0.6, 0.8] three, (0.8, 1] five
    confidences = [0.55, 0.6, 0.7, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 1.0]
    is_right = [1, 0, 1, 1, 0, 1, 1, 1, 1, 0]
    frame = two_classes(confidences, np.array(is_right) == 1)
    table = calibration.reliability(frame, bins=5)
    assert table["low"].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert table["high"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert table["images"].tolist() == [0, 0, 2, 3, 5]
    expected = [np.nan, np.nan, 0.575, 2.2 / 3, 0.92]
    np.testing.assert_allclose(table["confidence"], expected)
    np.testing.assert_allclose(table["accuracy"], [np.nan, np.nan, 1 / 2, 2 / 3, 4 / 5])
    by_hand = (2 * 0.075 + 3 * (2.2 - 2) / 3 + 5 * 0.12) / 10
    assert calibration.expected_calibration_error(frame, bins=5) == pytest.approx(by_hand)


def test_one_bin_compares_accuracy_and_mean_confidence():
    frame = drawn(3)
    confidence = frame.filter(like="prob_").max(axis=1).mean()
    error = calibration.expected_calibration_error(frame, bins=1)
    assert error == pytest.approx(abs(metrics.scores(frame)["accuracy"] - confidence))


def test_extremes_of_the_error():
    sure = np.ones(8)
    assert calibration.expected_calibration_error(two_classes(sure, sure == 1)) == 0
    assert calibration.expected_calibration_error(two_classes(sure, sure == 0)) == 1
    calibrated = two_classes(np.full(8, 0.75), np.arange(8) < 6)
    assert calibration.expected_calibration_error(calibrated) == pytest.approx(0)


def test_temperature_by_hand():
    # Confidence 0.9 is the logit ln 9; right are 3 of 4, whose logit is ln 3: a temperature of 2.
    frame = two_classes(np.full(8, 0.9), np.arange(8) < 6)
    temperature = calibration.fit_temperature(frame)
    assert temperature == pytest.approx(2)
    scaled = calibration.scale_temperature(frame, temperature)
    np.testing.assert_allclose(scaled["prob_ALL"], 0.75)
    assert calibration.expected_calibration_error(scaled) == pytest.approx(0, abs=1e-12)
    assert frame["prob_ALL"].tolist() == [0.9] * 8  # its argument stays as it was


@pytest.mark.parametrize("sharpness", [0.5, 1, 3])
def test_temperature_finds_how_much_calibrated_probabilities_were_sharpened(sharpness):
    frame = drawn(0, images=20_000, sharpness=sharpness)
    temperature = calibration.fit_temperature(frame)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    before, after = (
        calibration.expected_calibration_error(each)
        for each in (frame, calibration.scale_temperature(frame, temperature))
    )
    assert after < 0.02
    assert after < before or sharpness == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), sharpness=st.floats(0.3, 4))
def test_no_other_temperature_is_likelier(seed, sharpness):
    frame = drawn(seed, sharpness=sharpness)
    temperature = calibration.fit_temperature(frame)
    best = log_loss(calibration.scale_temperature(frame, temperature))
    for factor in (0.5, 0.98, 1.02, 2):
        other = calibration.scale_temperature(frame, factor * temperature)
        assert best <= log_loss(other) + 1e-12


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), temperature=st.floats(0.2, 10), bins=st.integers(1, 40))
def test_scaling_keeps_classes_and_can_be_undone(seed, temperature, bins):
    frame = drawn(seed)
    scaled = calibration.scale_temperature(frame, temperature)
    pd.testing.assert_frame_equal(metrics.confusion(scaled), metrics.confusion(frame))
    back = calibration.scale_temperature(scaled, 1 / temperature)
    pd.testing.assert_frame_equal(back, frame, rtol=1e-6, atol=1e-9)
    table = calibration.reliability(scaled, bins)
    assert table["images"].sum() == len(frame)
    filled = table.dropna()
    assert (
        (filled["low"] < filled["confidence"]) & (filled["confidence"] <= filled["high"] + 1e-12)
    ).all()
    assert 0 <= calibration.expected_calibration_error(scaled, bins) <= 1


def test_probabilities_of_exactly_0_and_1_can_be_scaled():
    frame = two_classes([1.0, 1.0, 0.0, 1.0], np.array([True, False, False, True]))
    temperature = calibration.fit_temperature(frame)
    scaled = calibration.scale_temperature(frame, temperature)
    assert np.isfinite(scaled.filter(like="prob_").to_numpy()).all()
    assert scaled["prob_ALL"].max() < 1
    # 3 of 4 are right; a zero counts as the smallest number of float32, 2 to the power of -126.
    assert temperature == pytest.approx(126 * np.log(2) / np.log(3))


def test_temperature_at_the_end_of_its_range_is_told():
    lowest, highest = calibration.TEMPERATURES
    right = np.arange(6) >= 0
    with pytest.warns(
        UserWarning, match="no temperature between 0.01 and 100.0 is best for these 6"
    ):
        assert calibration.fit_temperature(two_classes(np.full(6, 0.7), right)) == lowest
    with pytest.warns(UserWarning, match="no better than chance"):
        assert calibration.fit_temperature(two_classes(np.full(6, 0.7), ~right)) == highest


def test_what_does_not_fit_is_refused():
    frame = drawn(0, images=5)
    for bins in (0, 2.5):
        with pytest.raises(ValueError, match=r"at least 1; Guo et al\. take 15"):
            calibration.reliability(frame, bins)
    for temperature in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match="must be positive and finite"):
            calibration.scale_temperature(frame, temperature)
    with pytest.raises(ValueError, match="nothing to score"):
        calibration.fit_temperature(frame.head(0))


def test_each_fold_is_scaled_by_its_own_validation_images():
    first, second = (drawn(seed, sharpness=2).assign(fold=seed) for seed in (0, 1))
    watched = [drawn(seed, sharpness=3).assign(fold=seed - 2) for seed in (2, 3)]
    scaled, temperatures = calibration.scale_folds(pd.concat([first, second]), pd.concat(watched))
    expected = [calibration.fit_temperature(frame) for frame in watched]
    assert temperatures.tolist() == expected
    pd.testing.assert_frame_equal(
        scaled[scaled["fold"] == 1], calibration.scale_temperature(second, expected[1])
    )
    assert log_loss(scaled) < log_loss(pd.concat([first, second]))
