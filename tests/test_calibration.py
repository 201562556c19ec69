import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import metrics, saved
from leukkit.metrics import calibration
from tests.predicted import STAGES, binary, calibrated


def log_loss(predictions):
    return -np.log(metrics.arrays(predictions).likelihoods).mean()


def test_reliability_and_error_by_hand():
    # five bins: (0.4, 0.6] holds two images, (0.6, 0.8] three, (0.8, 1] five
    confidences = [0.55, 0.6, 0.7, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 1.0]
    frame = binary([1, 0, 1, 1, 0, 1, 1, 1, 1, 0], confidences)  # of ALL, as all below
    table = calibration.reliability(frame, bins=5)
    np.testing.assert_allclose(table["low"], [0, 0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(table["high"], [0.2, 0.4, 0.6, 0.8, 1])
    assert table["images"].tolist() == [0, 0, 2, 3, 5]
    np.testing.assert_allclose(table["confidence"], [np.nan, np.nan, 0.575, 2.2 / 3, 0.92])
    np.testing.assert_allclose(table["accuracy"], [np.nan, np.nan, 1 / 2, 2 / 3, 4 / 5])
    by_hand = (2 * 0.075 + 3 * (2.2 - 2) / 3 + 5 * 0.12) / 10
    assert calibration.expected_calibration_error(frame, bins=5) == pytest.approx(by_hand)
    error = calibration.expected_calibration_error(frame, bins=1)
    assert error == pytest.approx(np.mean(confidences) - 7 / 10)


def test_temperature_by_hand():
    # Confidence 0.9 is the logit ln 9; right are 3 of 4, whose logit is ln 3: a temperature of 2.
    frame = binary(np.arange(8) < 6, np.full(8, 0.9))
    temperature = calibration.fit_temperature(frame)
    assert temperature == pytest.approx(2)
    scaled = calibration.scale_temperature(frame, temperature)
    np.testing.assert_allclose(scaled["prob_ALL"], 0.75)
    assert frame["prob_ALL"].tolist() == [0.9] * 8  # its argument stays as it was


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), sharpness=st.floats(0.3, 4))
def test_no_other_temperature_is_likelier(seed, sharpness):
    frame = calibrated(STAGES, seed=seed, sharpness=sharpness)
    temperature = calibration.fit_temperature(frame)
    best = log_loss(calibration.scale_temperature(frame, temperature))
    for factor in (0.5, 0.98, 1.02, 2):
        other = calibration.scale_temperature(frame, factor * temperature)
        assert best <= log_loss(other) + 1e-12


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), temperature=st.floats(0.2, 10))
def test_scaling_keeps_classes_and_can_be_undone(seed, temperature):
    frame = calibrated(STAGES, seed=seed)
    scaled = calibration.scale_temperature(frame, temperature)
    pd.testing.assert_frame_equal(metrics.confusion(scaled), metrics.confusion(frame))
    back = calibration.scale_temperature(scaled, 1 / temperature)
    pd.testing.assert_frame_equal(back, frame, rtol=1e-6, atol=1e-9)


def test_probabilities_of_exactly_0_and_1_can_be_scaled():
    frame = binary([1, 0, 0, 1], [1.0, 1.0, 0.0, 1.0])
    temperature = calibration.fit_temperature(frame)
    scaled = calibration.scale_temperature(frame, temperature)
    assert np.isfinite(scaled.filter(like="prob_").to_numpy()).all()
    assert scaled["prob_ALL"].max() < 1
    # 3 of 4 are right; a zero counts as the smallest number of float32, 2 to the power of -126.
    assert temperature == pytest.approx(126 * np.log(2) / np.log(3))


@pytest.mark.parametrize(("right", "end"), [(1, 0.01), (0, 100.0)])
def test_temperature_at_the_end_of_its_range_is_told(right, end):
    message = f"no temperature between 0.01 and 100.0 is best for these 6 images; {end} is taken"
    with pytest.warns(UserWarning, match=message):
        assert calibration.fit_temperature(binary([right] * 6, np.full(6, 0.7))) == end


def test_what_does_not_fit_is_refused():
    frame = calibrated(STAGES, 5)
    for bins in (0, 2.5):
        with pytest.raises(ValueError, match=r"at least 1; Guo et al\. take 15"):
            calibration.reliability(frame, bins)
    for temperature in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match="must be positive and finite"):
            calibration.scale_temperature(frame, temperature)
    with pytest.raises(ValueError, match="nothing to score"):
        calibration.fit_temperature(frame.head(0))


def test_each_fold_is_scaled_by_its_own_validation_images():
    first, second, *watched = (calibrated(STAGES, seed=seed, sharpness=2) for seed in range(4))
    tested = pd.concat([first.assign(fold=0), second.assign(fold=1)])
    parts = pd.concat([frame.assign(fold=fold) for fold, frame in enumerate(watched)])
    scaled, temperatures = calibration.scale_folds(tested, parts)
    assert temperatures.tolist() == [*map(calibration.fit_temperature, watched)]
    expected = calibration.scale_temperature(second, temperatures[1]).assign(fold=1)
    pd.testing.assert_frame_equal(scaled[scaled["fold"] == 1], expected)
    assert log_loss(scaled) < log_loss(tested)


def of_subjects(temperatures, images=60, seed=0):
    """Return images of subjects whose confidences are too high by a temperature of their own."""
    frames = []
    for number, temperature in enumerate(temperatures):
        frame = calibrated(STAGES, images, seed=seed + number)
        frame = calibration.scale_temperature(frame, 1 / temperature)
        ids = [f"{number}-{image}" for image in frame["image_id"]]
        frames.append(frame.assign(subject=f"S{number}", image_id=ids))
    return pd.concat(frames, ignore_index=True)


def test_a_temperature_is_kept_where_it_helps_subjects_it_was_not_fitted_to():
    frame = of_subjects([2.0] * 8)
    without, with_it = calibration.losses_of_others(frame, frame["subject"])
    assert without == pytest.approx(log_loss(frame)) and with_it < without - 0.05
    temperature, why = saved._temperature(frame)
    assert temperature == pytest.approx(calibration.fit_temperature(frame)) and why == ""


def test_a_temperature_that_does_not_help_others_is_not_kept():
    # One subject with many images is far too sure: what suits it makes the others worse.
    frame = pd.concat([of_subjects([5.0], 400), of_subjects([1.0] * 5, seed=9)])
    frame.loc[:399, "subject"] = "large"
    frame = frame.assign(image_id=range(len(frame)))
    without, with_it = calibration.losses_of_others(frame, frame["subject"])
    assert with_it > without
    temperature, why = saved._temperature(frame)
    assert temperature is None
    assert "of 6 subjects; fitted to some of these, a temperature does not help the others" in why


def test_too_few_subjects_determine_no_temperature():
    temperature, why = saved._temperature(of_subjects([2.0] * 4))
    assert temperature is None
    assert why.startswith("the 240 validation images are of 4 subjects, too few to see whether")
