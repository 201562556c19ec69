"""leukkit: what a leukemia image classifier is really worth.

Submodules are imported when first used (``leukkit.datasets``, ``leukkit.metrics``, …), so that
``import leukkit`` and ``leukkit --help`` stay quick. Research software, not for clinical use.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
NOT_FOR_CLINICAL_USE = "Research software, not for clinical use."

__all__ = [
    "audit",
    "augmentation",
    "benchmark",
    "classifiers",
    "datasets",
    "environment",
    "explain",
    "features",
    "images",
    "metrics",
    "models",
    "papers",
    "plots",
    "predict",
    "records",
    "report",
    "results",
    "runs",
    "saved",
    "schemas",
    "segmentation",
    "splits",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"leukkit.{name}")
    raise AttributeError(f"module 'leukkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
