"""The ALL image data set of 2021: smears of 89 patients, four classes, 224x224 JPEG.

``Original/`` and ``Segmented/`` hold the same images, ``Early/WBC-Malignant-Early-001.jpg``, as
taken and with the nucleus alone. Where both are there, ``Original`` is loaded; a root that is, or
lies in, ``Segmented`` loads that.

The names say no patient. Neighboring numbers look alike, because they come from the same smear:
blocks of consecutive numbers serve as ``subject``, named ``proxy:pro-3``. They are a proxy, no
more: a patient may lie in two blocks, and a block may hold two patients. ``sequence`` and
``number`` let a split leave out the images next to a border.
"""

import re

from leukkit.datasets.cells import DatasetError
from leukkit.datasets.files import FORMAT_OF_SUFFIX, images_named

IMAGES_PER_BLOCK = 37  # 3,256 images of 89 patients: 36.6 each
IMAGE_NAME = re.compile(r"WBC-(?:(Benign)|Malignant-(Early|Pre|Pro))-(\d+)", re.I)
CLASSES = ("benign", "early", "pre", "pro")


def find(files):
    """Return the files named like an image of this data set, by class and number.

    Args:
        files: Paths of any files; only their names matter.
    """
    return sorted(
        images_named(files, IMAGE_NAME), key=lambda path: (*_class_and_number(path), str(path))
    )


def records(files, root):
    """Describe each image of one variant, ``Original`` or ``Segmented``.

    Args:
        files: Paths of the files below root.
        root: The folder that was asked for, absolute; it chooses the variant.

    Returns:
        Records for `leukkit.datasets.cells.build`. ``image_id`` is the name without its ending.

    Raises:
        DatasetError: Only ``Segmented`` is there and root does not point at it, an image is not a
            JPEG, or lies in the folder of another class.
    """
    found = _one_variant(find(files), root)
    described = []
    for path in found:
        if FORMAT_OF_SUFFIX[path.suffix.lower()] != "JPEG":
            raise DatasetError(
                f"{path}: a JPEG was expected, as the data set is published. Converted copies have "
                "other pixels; download the original"
            )
        label, number = _class_and_number(path)
        folder = path.parent.name.lower()
        if folder in CLASSES and folder != label:
            raise DatasetError(
                f"{path}: the name says {label}, the folder {folder}. Download the data set again"
            )
        described.append(
            {
                "image_id": path.stem,
                "path": path,
                "label": label,
                "sequence": label,
                "number": number,
                "subject": f"proxy:{label}-{(number - 1) // IMAGES_PER_BLOCK + 1}",
            }
        )
    return described


def _class_and_number(path):
    benign, malignant, number = IMAGE_NAME.fullmatch(path.stem).groups()
    return (benign or malignant).lower(), int(number)


def _one_variant(found, root):
    if "segmented" in [part.lower() for part in root.parts]:
        return found
    original = [path for path in found if not _is_segmented(path)]
    if not original:
        raise DatasetError(
            f"{root}: only the Segmented images are here. Point root at that folder to load them "
            f"({found[0].parents[1]}), or add the folder Original"
        )
    return original


def _is_segmented(path):
    return "segmented" in [part.lower() for part in path.parts]
