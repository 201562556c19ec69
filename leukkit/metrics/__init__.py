"""Scores, their intervals, calibration: all computed from a frame of predictions.

The frame is described in `leukkit.metrics.predictions`. All scores lie between 0 and 1; a score
that is not defined for the data at hand is NaN, never 0.
"""

from leukkit.metrics import calibration, conformal
from leukkit.metrics.intervals import (
    LeftOut,
    difference,
    holm,
    interval,
    jackknife,
    leave_out,
    measure,
    patient_level_accuracy,
    with_interval,
)
from leukkit.metrics.predictions import (
    arrays,
    average,
    check_predictions,
    fit_weights,
    groups,
    prediction_frame,
)
from leukkit.metrics.scoring import NAMES, class_scores, confusion, patient_vote, scores

__all__ = [
    "NAMES",
    "LeftOut",
    "arrays",
    "average",
    "calibration",
    "check_predictions",
    "class_scores",
    "conformal",
    "confusion",
    "difference",
    "fit_weights",
    "groups",
    "holm",
    "interval",
    "jackknife",
    "leave_out",
    "measure",
    "patient_level_accuracy",
    "patient_vote",
    "prediction_frame",
    "scores",
    "with_interval",
]
