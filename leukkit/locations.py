"""Where leukkit looks for data and keeps what it can make again."""

import os
import pathlib

import platformdirs


def cache_dir():
    """Return the folder for drawn samples, file hashes and features (``LEUKKIT_CACHE_DIR``)."""
    configured = os.environ.get("LEUKKIT_CACHE_DIR")
    return pathlib.Path(configured or platformdirs.user_cache_dir("leukkit", appauthor=False))


def data_dir():
    """Return the folder that holds the data sets (``LEUKKIT_DATA_DIR``), or None if unset."""
    configured = os.environ.get("LEUKKIT_DATA_DIR")
    return pathlib.Path(configured) if configured else None


def results_dir():
    """Return the folder of results (``LEUKKIT_RESULTS_DIR``), else ``results`` of the project."""
    configured = os.environ.get("LEUKKIT_RESULTS_DIR")
    return pathlib.Path(configured) if configured else project_dir() / "results"


def project_dir():
    """Return the checkout that leukkit is installed from, else the current folder."""
    checkout = pathlib.Path(__file__).resolve().parent.parent
    return checkout if (checkout / "notebooks").is_dir() else pathlib.Path.cwd()
