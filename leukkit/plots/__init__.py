"""Figures: one function, one figure. Each takes ``ax=`` and returns its Axes (grids an array)."""

from leukkit.plots.colors import class_color
from leukkit.plots.images import augmentation_examples, gallery, segmentation_steps
from leukkit.plots.scores import bars, confusion_grid, roc, split_comparison

__all__ = [
    "augmentation_examples",
    "bars",
    "class_color",
    "confusion_grid",
    "gallery",
    "roc",
    "segmentation_steps",
    "split_comparison",
]
