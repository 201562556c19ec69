"""The data that travels through the kit: recipes, split tables, profiles, cards, records.

Pure data: what may stand in it is checked here, once, and nothing is computed.
"""

from leukkit.schemas.base import Model, SchemaError, check, digest
from leukkit.schemas.card import Bibliography, Choice, Claim, Dataset, Matrix, Row, Step, Table
from leukkit.schemas.plan import Profile, Run, RunEntry, SplitTable
from leukkit.schemas.recipe import Phase, Recipe
from leukkit.schemas.records import (
    FOLD_FORMAT,
    SAVED_FORMAT,
    Configuration,
    FoldRecord,
    SavedRecord,
    Sizes,
)

__all__ = [
    "FOLD_FORMAT",
    "SAVED_FORMAT",
    "Bibliography",
    "Choice",
    "Claim",
    "Configuration",
    "Dataset",
    "FoldRecord",
    "Matrix",
    "Model",
    "Phase",
    "Profile",
    "Recipe",
    "Row",
    "Run",
    "RunEntry",
    "SavedRecord",
    "SchemaError",
    "Sizes",
    "SplitTable",
    "Step",
    "Table",
    "check",
    "digest",
]
