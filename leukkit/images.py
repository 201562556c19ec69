"""Reading image files strictly, and resizing them: see `leukkit.datasets.decode`."""

from leukkit.datasets.decode import (
    ImageError,
    read,
    read_all,
    read_mask,
    read_resized,
    resize,
)

__all__ = ["ImageError", "read", "read_all", "read_mask", "read_resized", "resize"]
