"""ALL-IDB2: single cells cut from blood smears, 130 lymphoblasts and 130 healthy cells.

``Im001_1.tif``: 1 is a lymphoblast, 0 a healthy cell. 24-bit TIFF, officially 257x257 pixels;
copies in circulation hold other sizes too, which `leukkit.datasets.check` reports. No patient ids.
"""

import re

from leukkit.datasets.cells import DatasetError, natural_order
from leukkit.datasets.files import FORMAT_OF_SUFFIX, images_named

IMAGE_NAME = re.compile(r"Im(\d+)_([01])", re.I)
LABEL_OF_NUMBER = {"1": "ALL", "0": "healthy"}


def find(files):
    """Return the files named like an ALL-IDB image, in natural order, whatever their format.

    Args:
        files: Paths of any files; only their names matter.
    """
    return sorted(images_named(files, IMAGE_NAME), key=lambda path: natural_order(path.name))


def records(files):
    """Describe each ALL-IDB2 image among the files.

    Args:
        files: Paths of any files.

    Returns:
        Records for `leukkit.datasets.cells.build`. ``image_id`` is the name without its ending.

    Raises:
        DatasetError: An image is not a TIFF: this is ALL-IDB1, or a converted copy.
    """
    found = find(files)
    for path in found:
        if FORMAT_OF_SUFFIX[path.suffix.lower()] != "TIFF":
            raise DatasetError(
                f"{path}: a TIFF was expected. ALL-IDB2 is published as TIFF; the JPEG files named "
                "alike are ALL-IDB1, whole smears. Point root at the ALL-IDB2 images alone"
            )
    return [
        {
            "image_id": path.stem,
            "path": path,
            "label": LABEL_OF_NUMBER[IMAGE_NAME.fullmatch(path.stem)[2]],
        }
        for path in found
    ]
