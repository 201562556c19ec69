"""Where files lie, how they are written whole or not at all, and how long work shows itself."""

from leukkit.locations import cache_dir, data_dir, project_dir, results_dir
from leukkit.progress import bar, progress
from leukkit.writing import replace_when_done

__all__ = [
    "bar",
    "cache_dir",
    "data_dir",
    "progress",
    "project_dir",
    "replace_when_done",
    "results_dir",
]
