"""Published | reproduced | leak-free, in tables, on a page, and on cards of models and data."""

from leukkit.report.comparison import (
    SIDES,
    compare,
    compare_images,
    concat,
    score,
    score_table,
    substitutions,
    table,
)

__all__ = [
    "SIDES",
    "compare",
    "compare_images",
    "concat",
    "score",
    "score_table",
    "substitutions",
    "table",
]
