"""The built-in sample: small synthetic data sets from one seed, with the traps of the real ones.

What they share with real collections: class shows in nucleus-to-cytoplasm ratio, outline and
chromatin, but the distributions overlap; every subject has a stain and a cell size of its own, as
far apart as `tools/measure_spread.py` finds the subjects of C-NMC 2019; subjects have unequal
numbers of images, several from one source image. In ``sample-cells`` two subjects have several
patient names, which only a few identical images give away, and the official folds cut right through
them, as in C-NMC 2019.
``sample-phases`` is ``sample-cells`` as the training phase of a challenge, and a preliminary phase
of other subjects.

Random numbers come from ``numpy.random.RandomState``, whose streams NumPy has frozen (NEP 19);
those of ``default_rng`` may change between versions. Every subject, source image and picture has a
stream of its own, so that no pixel depends on the order of drawing.
"""

import os
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.random import RandomState

from leukkit.datasets import cells
from leukkit.datasets.sample import drawing
from leukkit.files import cache_dir, progress, replace_when_done

# Scores under a subject split vary a lot from seed to seed, as with any 21 subjects. This seed was
# named before any score of its sample was seen, and the settings were chosen on other seeds (1 to 6
# and 8): whatever gap it shows, nobody picked it. Only the radius of sample-cells was cut later,
# because one cell touched the border.
SEED = 7
VERSION = 4  # part of the folder's name: raise it whenever a pixel changes


class Plan(NamedTuple):
    """What makes one sample set."""

    number: int  # its place in the random streams
    side: int  # of a picture in pixels
    radius: float  # of a usual white cell in pixels
    images_per_source: int
    patients: Mapping[str, tuple[int, ...]]  # {class: images of each}, skewed as in C-NMC
    immaturity: Mapping[str, float]  # {class: its mean}, see `drawing`
    spread_of_stains: float  # of the subjects, in the unit of `drawing.stain_at`
    # {patient: (the first patient name of that subject, identical images)}
    same_subject: Mapping[str, tuple[str, int]] = MappingProxyType({})
    # Other subjects, numbered after those of ``patients``.
    preliminary: Mapping[str, tuple[int, ...]] = MappingProxyType({})


CELLS = Plan(
    number=1,
    side=112,
    radius=32.0,
    images_per_source=4,
    patients={
        "healthy": (14, 26, 9, 20, 12, 7, 34, 10, 16, 8, 11, 6),
        "ALL": (24, 12, 48, 20, 10, 30, 16, 22, 36, 14, 26, 18),
    },
    immaturity={"healthy": 0.15, "ALL": 0.85},
    spread_of_stains=0.85,
    same_subject={"P05": ("P02", 2), "P09": ("P02", 2), "P20": ("P15", 4)},
)
PLANS = {
    "sample-cells": CELLS,
    # The same number, so the same streams and pixels; the others have streams of their own.
    "sample-phases": CELLS._replace(
        preliminary={"healthy": (16, 9, 12, 7, 14), "ALL": (22, 10, 18, 8, 15)}
    ),
    "sample-idb": Plan(
        number=2,
        side=257,
        radius=47.0,
        images_per_source=2,
        patients={
            "healthy": (5, 3, 7, 4, 6, 4, 3, 8, 4, 3, 5, 4),
            "ALL": (4, 7, 3, 5, 4, 6, 3, 4, 8, 5, 3, 4),
        },
        immaturity={"healthy": 0.15, "ALL": 0.85},
        spread_of_stains=0.64,
    ),
    "sample-smears": Plan(
        number=3,
        side=224,
        radius=20.0,
        images_per_source=2,
        patients={
            "benign": (6, 4, 8, 5, 4, 12, 7, 3, 10),
            "early": (8, 5, 14, 6, 9, 4, 16, 7, 12, 10),
            "pre": (7, 5, 9, 16, 6, 8, 11, 4, 14, 8),
            "pro": (6, 8, 5, 12, 4, 6, 15, 9, 7),
        },
        immaturity={"benign": -0.15, "early": 0.28, "pre": 0.72, "pro": 1.15},
        spread_of_stains=0.53,
    ),
}

SPREAD_OF_SUBJECTS = 0.12  # of mean immaturity, around that of the class
SPREAD_OF_CELLS = 0.16  # of immaturity, around that of the subject
# Those of size and stain, here and in `drawing`, are set so that `tools/measure_spread.py` finds in
# sample-cells, over several seeds, what it finds in 2,204 cells of 44 subjects of C-NMC 2019. The
# other sets have no such reference; their stains keep their share of the spread of sample-cells.
SPREAD_OF_SIZES = 0.065  # of the subjects' radius, relative
SPREAD_OF_SOURCES = 0.7  # of the stain around that of the subject, which has 1
SPREAD_OF_IMAGES = 0.6  # of the stain around that of the source image


def load(
    name: str,
    root: str | os.PathLike | None = None,
    damaged: str = "error",
    seed: int = SEED,
) -> pd.DataFrame:
    """Return the ``cells`` frame of a built-in set, making its pictures on first use.

    ``sample-cells`` has official folds; so has the training phase of ``sample-phases``, which names
    the phases in ``split``. ``sample-idb`` has a column ``mask``: PNG files, 255 where the nucleus
    is, else 0.

    Args:
        name: One of `PLANS`.
        root: None; a sample lies in the cache folder.
        damaged: As in `leukkit.datasets.load`.
        seed: Of all random numbers; every seed has subjects of its own.

    Raises:
        DamagedImagesError: A file was damaged or removed since; delete the folder that the
            message names, and it is made again.
        OSError: The cache folder cannot be written to.
        ValueError: A root is given.
    """
    if root is not None:
        raise ValueError(f"{name} is synthetic and has no root; leave root=None")
    folder = cache_dir() / "samples" / f"{name}-{VERSION}-{seed}"
    if not folder.is_dir():
        with replace_when_done(folder, is_folder=True) as temporary:
            for record in progress(records(name, temporary), f"drawing {name}", unit="image"):
                _write(record, *draw(name, record, seed))
    try:
        return cells.build(records(name, folder), name, folder, PLANS[name].patients, damaged)
    except cells.DamagedImagesError as error:
        error.add_note(
            f"leukkit made these files itself: delete {folder} to have it make them again"
        )
        raise


def records(name: str, folder: pathlib.Path) -> list[dict]:
    """Return the records of a set for `cells.build`, by patient, source image and image.

    ``streams``, not a column, are the numbers of the random streams that an image is drawn from:
    those of its subject, source image and image.
    """
    plan = PLANS[name]
    patients = [
        (phase, label, count)
        for phase, counted in (("training", plan.patients), ("preliminary", plan.preliminary))
        for label, counts in counted.items()
        for count in counts
    ]
    found = []
    for number, (phase, label, count) in enumerate(patients, start=1):
        patient = f"P{number:02}"
        first_name, identical = plan.same_subject.get(patient, (patient, 0))
        subject = int(first_name[1:])
        for i in range(count):
            source = i // plan.images_per_source + 1
            image_id = f"{patient}_{source}_{i % plan.images_per_source + 1}"
            # The same subject's other names have pictures of their own, but for the first few.
            own = 0 if i < identical or patient == first_name else 100 * number
            record = {
                "image_id": image_id,
                "path": folder / label / f"{image_id}.png",
                "label": label,
                "patient": patient,
                "source_image": f"{patient}_{source}",
                "side": plan.side,
                "streams": (subject, own + source, own + i),
            }
            if name == "sample-phases":
                record["split"] = phase
            if name in ("sample-cells", "sample-phases") and phase == "training":
                record["fold"] = (number - 1) % 3
            if name == "sample-idb":
                record["mask"] = folder / "masks" / f"{image_id}.png"
            found.append(record)
    return found


def draw(name: str, record: dict, seed: int = SEED) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw the picture of one of the `records` of a set.

    Returns:
        uint8 RGB (side, side, 3), and the nucleus, bool (side, side), or None where the set has no
        true masks.
    """
    plan = PLANS[name]
    subject, source, image = record["streams"]
    random = RandomState([seed, plan.number, subject])
    position = random.standard_normal(len(drawing.STAIN_AXES))
    radius = plan.radius * (1.0 + SPREAD_OF_SIZES * np.clip(random.standard_normal(), -2.0, 2.0))
    mean = plan.immaturity[record["label"]] + SPREAD_OF_SUBJECTS * random.standard_normal()

    random = RandomState([seed, plan.number, subject, source])
    position += SPREAD_OF_SOURCES * random.standard_normal(position.size)

    random = RandomState([seed, plan.number, subject, source, image])
    position += SPREAD_OF_IMAGES * random.standard_normal(position.size)
    stain = drawing.stain_at(plan.spread_of_stains * position)
    if name == "sample-smears":
        cell_count = random.randint(2, 6) + round(2 * max(0, mean))  # blasts crowd
        immaturities = mean + SPREAD_OF_CELLS * random.standard_normal(cell_count)
        return drawing.smear(random, stain, immaturities, radius, plan.side), None
    immaturity = mean + SPREAD_OF_CELLS * random.standard_normal()
    if name == "sample-idb":
        return drawing.cell_among_red_cells(random, stain, immaturity, radius, plan.side)
    return drawing.single_cell(random, stain, immaturity, radius, plan.side), None


def _write(record: dict, rgb: np.ndarray, nucleus: np.ndarray | None) -> None:
    files = {record["path"]: rgb[..., ::-1]}
    if nucleus is not None:
        files[record["mask"]] = np.where(nucleus, 255, 0).astype(np.uint8)
    for path, pixels in files.items():
        path.parent.mkdir(exist_ok=True)
        _, encoded = cv2.imencode(".png", pixels)
        path.write_bytes(encoded.tobytes())
