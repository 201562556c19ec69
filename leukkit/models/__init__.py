"""Networks: the pretrained feature extractors (``leukkit.models.backbones``)."""

from leukkit.models.backbones import (
    BACKBONES,
    WeightsError,
    build_backbone,
    find_backbone,
    prepare_input,
    weights_id,
)

__all__ = [
    "BACKBONES",
    "WeightsError",
    "build_backbone",
    "find_backbone",
    "prepare_input",
    "weights_id",
]
