"""Figures: one function, one figure.

Each draws on ``ax``, if given, and returns it: an Axes, or where a figure has several panels an
array of as many Axes. ``predictions`` are described in `leukkit.metrics.predictions`.
"""

from leukkit.plots.audit import explaining_totals, implied_accuracies, leads
from leukkit.plots.colors import class_color
from leukkit.plots.comparisons import bars, gap_ladder, leaderboard, split_comparison, transfer
from leukkit.plots.images import (
    augmentation_examples,
    gallery,
    grad_cam_grid,
    image_pairs,
    segmentation_steps,
)
from leukkit.plots.networks import network_diagram, training_curves
from leukkit.plots.scores import (
    accuracy_over_orders,
    confusion_grid,
    matrix_grid,
    reliability,
    roc,
    roc_one_vs_rest,
)

__all__ = [
    "accuracy_over_orders",
    "augmentation_examples",
    "bars",
    "class_color",
    "confusion_grid",
    "explaining_totals",
    "gallery",
    "gap_ladder",
    "grad_cam_grid",
    "image_pairs",
    "implied_accuracies",
    "leaderboard",
    "leads",
    "matrix_grid",
    "network_diagram",
    "reliability",
    "roc",
    "roc_one_vs_rest",
    "segmentation_steps",
    "split_comparison",
    "training_curves",
    "transfer",
]
