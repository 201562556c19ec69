"""Figures: one function, one figure. Each takes ``ax=`` and returns its Axes (grids an array)."""

from leukkit.plots.audit import explaining_totals, implied_accuracies
from leukkit.plots.colors import class_color
from leukkit.plots.curves import reliability, roc, roc_one_vs_rest
from leukkit.plots.diagrams import network_diagram
from leukkit.plots.explanations import grad_cam_grid
from leukkit.plots.gap import gap_ladder
from leukkit.plots.images import augmentation_examples, gallery, segmentation_steps
from leukkit.plots.leaderboard import leaderboard
from leukkit.plots.matrices import confusion_grid, matrix_grid
from leukkit.plots.pairs import image_pairs
from leukkit.plots.scores import bars, split_comparison
from leukkit.plots.shuffling import accuracy_over_orders
from leukkit.plots.training import training_curves

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
    "matrix_grid",
    "network_diagram",
    "reliability",
    "roc",
    "roc_one_vs_rest",
    "segmentation_steps",
    "split_comparison",
    "training_curves",
]
