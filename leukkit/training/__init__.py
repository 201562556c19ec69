"""Training of networks: on one device or several, fold by fold, resumable, the same twice."""

from leukkit.schemas import Phase, Recipe
from leukkit.training.devices import TrainingError, strategy
from leukkit.training.folds import cross_validate

__all__ = ["Phase", "Recipe", "TrainingError", "cross_validate", "strategy"]
