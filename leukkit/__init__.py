"""leukkit: what a leukemia image classifier is really worth.

Submodules are imported when first used (``leukkit.datasets``, ``leukkit.metrics``, …), so that
``import leukkit`` and ``leukkit --help`` stay quick. Research software, not for clinical use.
"""

import importlib

__version__ = "0.1.0"
NOT_FOR_CLINICAL_USE = "Research software, not for clinical use."

__all__ = [
    "audit",
    "augmentation",
    "batches",
    "classifiers",
    "datasets",
    "distortion",
    "environment",
    "explain",
    "features",
    "gap",
    "honest",
    "images",
    "metrics",
    "models",
    "network_runs",
    "papers",
    "pixels",
    "plots",
    "predictor",
    "preprocessing",
    "profiles",
    "protocols",
    "report",
    "reproduction",
    "results",
    "segmentation",
    "shortcuts",
    "splits",
    "training",
]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"leukkit.{name}")
    raise AttributeError(f"module 'leukkit' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
