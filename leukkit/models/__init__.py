"""Networks: ``build`` for those that are trained, ``build_backbone`` for frozen features."""

from leukkit.models.backbones import BACKBONES, WeightsError, find_backbone, prepare_input
from leukkit.models.catalog import NAMES, has_imagenet, smallest_image
from leukkit.models.networks import build, build_backbone, load, weights_used
from leukkit.models.weights import weights_id

__all__ = [
    "BACKBONES",
    "NAMES",
    "WeightsError",
    "build",
    "build_backbone",
    "find_backbone",
    "has_imagenet",
    "load",
    "prepare_input",
    "smallest_image",
    "weights_id",
    "weights_used",
]
