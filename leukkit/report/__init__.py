"""Published | reproduced | kept apart, in tables, on a page, and on cards of models and data."""

from leukkit.report.comparison import (
    compare,
    compare_images,
    concat,
    score,
    score_table,
    substitutions,
    table,
)

__all__ = [
    "compare",
    "compare_images",
    "concat",
    "score",
    "score_table",
    "substitutions",
    "table",
]
