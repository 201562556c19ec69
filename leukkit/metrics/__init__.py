"""Scores, their intervals, calibration: all computed from a frame of predictions.

The frame is described in `leukkit.metrics.predictions`. All scores lie between 0 and 1; a score
that is not defined for the data at hand is NaN, never 0.
"""

from leukkit.metrics import calibration, ensembles
from leukkit.metrics.intervals import (
    bootstrap,
    measure,
    patient_level_accuracy,
    resample,
    with_interval,
)
from leukkit.metrics.predictions import (
    arrays,
    check_predictions,
    groups,
    prediction_frame,
)
from leukkit.metrics.scoring import NAMES, class_scores, confusion, patient_vote, roc_points, scores

__all__ = [
    "NAMES",
    "arrays",
    "bootstrap",
    "calibration",
    "check_predictions",
    "class_scores",
    "confusion",
    "ensembles",
    "groups",
    "measure",
    "patient_level_accuracy",
    "patient_vote",
    "prediction_frame",
    "resample",
    "roc_points",
    "scores",
    "with_interval",
]
