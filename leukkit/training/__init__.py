"""Training of networks: on one device or several, fold by fold, resumable, the same twice."""

from leukkit.training.cross_validation import cross_validate
from leukkit.training.devices import strategy
from leukkit.training.errors import TrainingError
from leukkit.training.recipe import Phase, Recipe

__all__ = ["Phase", "Recipe", "TrainingError", "cross_validate", "strategy"]
