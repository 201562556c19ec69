"""Images that are nearly the same: another crop, format, size, brightness or orientation of one.

Two steps. A perceptual hash (pHash of the library imagehash, 256 bits: which low frequencies of the
gray image are above their median) finds candidates; the second image is tried in all eight
orientations. Cells on black are round blobs whose low frequencies are alike, so each candidate is
then confirmed by the correlation of the pixels, without those that are black in both.

What is found is reported and never joined into a subject by itself: likeness is a matter of degree,
and a wrong link would move a score as a missing one does. Pairs that were looked at are listed in
`leukkit.datasets.links`.
"""

import os
import pathlib
from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd

from leukkit.datasets import decode
from leukkit.datasets.cells import PROXY, crops

SIDE = 64  # pixels of the small gray image that is hashed and compared
BITS = 256
DISTANCE = 36  # bits that may differ
CORRELATION = 0.85
BLACK = 8  # gray values up to this one count as black
TURNS = (0, 90, 180, 270)  # degrees, counterclockwise
BLOCK = 128  # images compared with all others at once

SAME_PATIENT = "same patient"
SAME_SUBJECT = "two patients of one subject"
ACROSS = "two subjects"
SAME_BLOCK, BLOCKS = "one block", "two blocks"  # of neighboring images: no patient is known
UNKNOWN = "subjects not known"
RELATIONS = (ACROSS, SAME_SUBJECT, SAME_PATIENT, BLOCKS, SAME_BLOCK, UNKNOWN)


def find(
    cells: pd.DataFrame, distance: int = DISTANCE, correlation: float = CORRELATION
) -> pd.DataFrame:
    """Find the pairs of images that are nearly, but not exactly, the same.

    The defaults are from copies made on purpose (tests/datasets/test_near_duplicates.py): stored as
    JPEG, made smaller, darker or brighter, mirrored and turned by quarters, all are found. Copies
    turned by other angles, or moved by more than about 1% of the side, mostly are not.

    Args:
        cells: The cells frame. Of identical images the first stands for all.
        distance: Largest number of differing bits of a candidate, 0 to 256.
        correlation: Smallest correlation of a confirmed pair, -1 to 1.

    Returns:
        Frame, one row per pair, those of two subjects first: ``image_id, patient, subject,
        label, fold`` of the later image in ``cells`` and the same names with ``_first`` of the
        earlier; ``relation`` (one of `RELATIONS`), ``distance`` (bits), ``correlation``, and
        ``turned`` (degrees) and ``mirrored``: what the first was turned by and whether it was then
        mirrored to look like the later.

    Raises:
        leukkit.datasets.decode.ImageError: A file cannot be read.
    """
    distinct = cells.dropna(subset="sha256").drop_duplicates("sha256").reset_index(drop=True)
    small = decode.read_all(distinct["path"], SIDE, crops(distinct))
    pictures = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in small]
    first, second, orientations, bits = _candidates(_hashes(pictures), distance)
    columns = ["image_id", "patient", "subject", "label", "fold"]
    later = distinct.loc[second, columns].reset_index(drop=True)
    earlier = distinct.loc[first, columns].reset_index(drop=True)
    pairs = pd.concat([later, earlier.add_suffix("_first")], axis=1)
    pairs["relation"] = _relations(pairs)
    pairs["distance"] = bits
    pairs["correlation"] = np.array(
        [
            _correlation(_orientations(pictures[one])[orientation], pictures[other])
            for one, other, orientation in zip(first, second, orientations, strict=True)
        ],
        float,
    )
    pairs["turned"] = np.take(TURNS, orientations % 4)
    pairs["mirrored"] = orientations >= 4
    order = pairs["relation"].map(RELATIONS.index).to_numpy()
    order = np.lexsort((-pairs["correlation"], pairs["distance"], order))
    pairs = pairs.iloc[order]
    return pairs[pairs["correlation"] >= correlation].reset_index(drop=True)


def count(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count the pairs of `find` by relation, and those that lie in two official folds.

    Returns:
        Frame indexed by relation (those of `RELATIONS` that occur): ``pairs``, ``in two official
        folds``, ``of two classes`` and ``patients`` (the pairs of patient names, most frequent
        first).
    """
    rows = {}
    for relation in RELATIONS:
        here = pairs[pairs["relation"] == relation]
        if here.empty and relation != ACROSS:
            continue
        names = here["patient_first"].str.cat(here["patient"], sep=" = ")
        links = [f"{name} ({number})" for name, number in names.value_counts().head(8).items()]
        rows[relation] = {
            "pairs": len(here),
            "in two official folds": int(here["fold"].ne(here["fold_first"]).fillna(False).sum()),
            "of two classes": int(here["label"].ne(here["label_first"]).fillna(False).sum()),
            "patients": ", ".join(links) if relation in (ACROSS, SAME_SUBJECT) else "",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("relation")


def describe(pair: Mapping) -> str:
    """Say how like a pair, a row of `find`, is: ``8 of 256 bits differ, correlation 0.93``."""
    text = f"{pair['distance']} of {BITS} bits differ, correlation {pair['correlation']:.2f}"
    if pair["turned"]:
        text += f", turned by {pair['turned']}\N{DEGREE SIGN}"
    return text + ", mirrored" * bool(pair["mirrored"])


def add_altered_copies(cells: pd.DataFrame, folder: str | os.PathLike) -> pd.DataFrame:
    """Copy three cells in another form under another patient: truth to try `find` on.

    Args:
        cells: The cells frame, of more than 300 different images.
        folder: Where the copies are written: one darker, one mirrored and turned by a quarter, one
            at half the size and stored as JPEG.

    Returns:
        ``cells`` with the three copies behind, of patient and subject ``X``.
    """
    names = ["darker.png", "mirrored-and-turned.png", "half-the-size.jpg"]
    originals = cells.drop_duplicates("sha256").iloc[[10, 150, 300]]
    pixels = [decode.read(path)[..., ::-1] for path in originals["path"]]
    pixels[0] = cv2.convertScaleAbs(pixels[0], alpha=0.7)
    pixels[1] = np.rot90(pixels[1][:, ::-1])
    pixels[2] = cv2.resize(pixels[2], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    paths = [str(pathlib.Path(folder) / name) for name in names]
    for path, picture in zip(paths, pixels, strict=True):
        cv2.imwrite(path, picture)
    copies = originals.assign(image_id=names, path=paths, sha256=names, patient="X", subject="X")
    return pd.concat([cells, copies], ignore_index=True)


def _orientations(picture: np.ndarray) -> list[np.ndarray]:
    """Return a picture in all eight orientations: four turns, then the same mirrored."""
    turned = [np.rot90(picture, quarters) for quarters in range(len(TURNS))]
    return turned + [other[:, ::-1] for other in turned]


def _hashes(pictures: list[np.ndarray]) -> np.ndarray:
    """Return bits (images, 8 orientations, BITS) as +1 and -1."""
    import imagehash
    from PIL import Image

    size = round(BITS**0.5)
    signs = np.empty((len(pictures), 8, BITS), np.float32)
    for number, picture in enumerate(pictures):
        for orientation, seen in enumerate(_orientations(picture)):
            image = Image.fromarray(np.ascontiguousarray(seen))
            found = imagehash.phash(image, hash_size=size, highfreq_factor=SIDE // size)
            signs[number, orientation] = np.where(found.hash.ravel(), 1, -1)
    return signs


def _candidates(signs: np.ndarray, distance: int) -> np.ndarray:
    """Return the pairs whose hashes differ in few bits, each once.

    The product of two rows of signs is the number of equal bits minus that of different ones.

    Returns:
        int64 (4, pairs): positions of the first and of the second image, orientation of the first,
        and bits that differ.
    """
    found = [np.empty((4, 0))]
    for start in range(0, len(signs), BLOCK):
        block = signs[start : start + BLOCK, 0]
        earlier = signs[: start + len(block)]
        every = (BITS - np.stack([block @ earlier[:, number].T for number in range(8)])) / 2
        bits, orientation = every.min(axis=0), every.argmin(axis=0)
        pair = np.nonzero(np.tril(bits <= distance, start - 1))  # of a later and an earlier image
        found.append(np.stack([pair[1], pair[0] + start, orientation[pair], bits[pair]]))
    return np.concatenate(found, axis=1).astype(np.int64)


def _correlation(picture: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two gray pictures, without the pixels that are black in both."""
    shown = (picture > BLACK) | (other > BLACK)
    one, two = picture[shown].astype(float), other[shown].astype(float)
    if len(one) == 0 or one.std() == 0 or two.std() == 0:
        return 0.0  # nothing to compare: not confirmed
    return float(np.corrcoef(one, two)[0, 1])


def _relations(pairs: pd.DataFrame) -> np.ndarray:
    """Return who the two images of each pair are of."""
    same = {
        column: pairs[column].eq(pairs[f"{column}_first"]).fillna(False).to_numpy(bool)
        for column in ("patient", "subject")
    }
    known = pairs[["subject", "subject_first"]].notna().all(axis=1)
    is_block = pairs["subject"].str.startswith(PROXY).fillna(False).to_numpy(bool)
    return np.select(
        [same["subject"] & is_block, known & is_block, same["patient"], same["subject"], known],
        [SAME_BLOCK, BLOCKS, SAME_PATIENT, SAME_SUBJECT, ACROSS],
        UNKNOWN,
    ).astype(object)
