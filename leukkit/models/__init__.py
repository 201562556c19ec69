"""Networks: ``build`` for those that are trained, ``build_backbone`` for frozen features."""

from leukkit.models import heads
from leukkit.models.backbones import (
    BACKBONES,
    WeightsError,
    feature_count,
    find_backbone,
    prepare_input,
)
from leukkit.models.networks import NAMES, build, build_backbone, can_be_saved, load
from leukkit.models.weights import weights_id, weights_used

__all__ = [
    "BACKBONES",
    "NAMES",
    "WeightsError",
    "build",
    "build_backbone",
    "can_be_saved",
    "feature_count",
    "find_backbone",
    "heads",
    "load",
    "prepare_input",
    "weights_id",
    "weights_used",
]
