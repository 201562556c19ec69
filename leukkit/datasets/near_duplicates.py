"""Images that are nearly the same: another crop, format, size, brightness or orientation of one.

Two steps. A perceptual hash (pHash, as the library imagehash makes it, 256 bits: which low
frequencies of the gray image are above their median) finds candidates; the second image is tried in
all eight orientations. Every pair is compared, as products of matrices: an index of pieces of the
hash, one of which is equal within `DISTANCE`, would have pieces of 7 bits and narrow nothing down.
Cells on black are round blobs whose low frequencies are alike, so each candidate is then confirmed
by the correlation of the pixels, without those that are black in both.

What is found is reported and never joined into a subject by itself: likeness is a matter of degree,
and a wrong link would move a score as a missing one does. Pairs that were looked at are listed in
`leukkit.datasets.links`.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import pandas as pd
import scipy.fft

from leukkit.datasets import decode
from leukkit.datasets.cells import PROXY, crops
from leukkit.files import progress

SIDE = 64  # pixels of the small gray image that is hashed and compared
BITS = 256
DISTANCE = 36  # bits that may differ
CORRELATION = 0.85
BLACK = 8  # gray values up to this one count as black
TURNS = (0, 90, 180, 270)  # degrees, counterclockwise
BLOCK, TILE = 512, 1024  # images compared at once: so many later with so many earlier ones
READ = 2048  # images at once
MOST = 2_000_000  # candidates: minutes to confirm, and some GB to list

SAME_PATIENT = "same patient"
SAME_SUBJECT = "two patients of one subject"
ACROSS = "two subjects"
SAME_BLOCK, BLOCKS = "one block", "two blocks"  # of neighboring images: no patient is known
UNKNOWN = "subjects not known"
RELATIONS = (ACROSS, SAME_SUBJECT, SAME_PATIENT, BLOCKS, SAME_BLOCK, UNKNOWN)


class TooMuchAlikeError(ValueError):
    """So many pairs look alike that they cannot be confirmed or listed; the message counts them."""


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
        TooMuchAlikeError: There are more than `MOST` candidates.
    """
    distinct = cells.dropna(subset="sha256").drop_duplicates("sha256").reset_index(drop=True)
    first, second, orientations, bits, correlations = _confirmed(
        *_pictures(distinct), distance, correlation
    )
    told = distinct[["image_id", "patient", "subject", "label", "fold"]]
    later, earlier = (told.iloc[ends].reset_index(drop=True) for ends in (second, first))
    pairs = pd.concat([later, earlier.add_suffix("_first")], axis=1)
    pairs = pairs.assign(
        relation=_relations(pairs),
        distance=bits,
        correlation=correlations,
        turned=np.take(TURNS, orientations % 4),
        mirrored=orientations >= 4,
    )
    order = pairs["relation"].map(RELATIONS.index)
    order = np.lexsort((-pairs["correlation"], pairs["distance"], order))
    return pairs.iloc[order].reset_index(drop=True)


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


def _pictures(cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Read small gray pictures, uint8 (images, SIDE, SIDE), and hash them."""
    pictures = np.empty((len(cells), SIDE, SIDE), np.uint8)
    signs = np.empty((len(cells), 8, BITS), np.int8)
    for start in progress(range(0, len(cells), READ), f"hashing {len(cells)} images", "part"):
        part = slice(start, start + READ)
        small = decode.read_all(cells["path"].iloc[part], SIDE, crops(cells.iloc[part]))
        pictures[part] = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in small]
        signs[part] = _hashes(pictures[part])
    return pictures, signs


def _hashes(pictures: np.ndarray) -> np.ndarray:
    """Return bits int8 (images, 8 orientations, BITS) as +1 and -1.

    Mirroring a picture changes the sign of each odd frequency, a quarter turn is that upside down
    and rows for columns: one cosine transform serves all orientations.
    """
    size = round(BITS**0.5)
    waves = scipy.fft.dct(np.eye(SIDE), axis=0)[:size]
    odd = (-1.0) ** np.arange(size)
    turned = [waves @ pictures.astype(float) @ waves.T]
    for _ in TURNS[1:]:
        turned.append(odd[:, None] * turned[-1].swapaxes(1, 2))
    seen = np.stack(turned + [one * odd for one in turned], axis=1).reshape(len(pictures), 8, BITS)
    return np.where(seen > np.median(seen, axis=2, keepdims=True), 1, -1).astype(np.int8)


def _confirmed(
    pictures: np.ndarray, signs: np.ndarray, distance: int, least: float
) -> tuple[np.ndarray, ...]:
    """Return the columns of `_candidates` whose pictures correlate, and the correlations."""
    found, candidates, number = [np.empty((5, 0))], 0, len(signs)
    for start in progress(range(0, number, BLOCK), f"comparing {number} images", "part"):
        for pairs in _candidates(signs, start, distance):
            candidates += pairs.shape[1]
            if candidates > MOST:
                raise TooMuchAlikeError(
                    f"{number:,} images are too much alike to list pairs: among the first "
                    f"{min(start + BLOCK, number):,}, {candidates:,} pairs differ in at most "
                    f"{distance} of {BITS} bits, and {sum(part.shape[1] for part in found):,} of "
                    "those looked at are nearly the same picture. Look at some; leave out what "
                    "shows nothing, or compare fewer"
                )
            correlations = [
                _correlation(pictures[one], pictures[two], turns) for one, two, turns in pairs[:3].T
            ]
            kept = np.array(correlations, float) >= least
            found.append(np.vstack([pairs, correlations])[:, kept])
    *columns, correlations = np.concatenate(found, axis=1)
    return (*np.array(columns, np.int64), correlations)


def _candidates(signs: np.ndarray, start: int, distance: int) -> Iterator[np.ndarray]:
    """Yield the pairs of a block's images and earlier ones whose hashes differ in few bits.

    The product of two rows of signs is the number of equal bits minus that of different ones.

    Yields:
        int64 (4, pairs): positions of the first and of the second image, orientation of the first,
        and bits that differ; each pair once.
    """
    block = signs[start : start + BLOCK, 0].astype(np.float32)
    least = BITS - 2 * distance
    for before in range(0, start + len(block), TILE):
        tile = signs[before : min(before + TILE, start + len(block))].astype(np.float32)
        equal = block @ tile.reshape(-1, BITS).T
        alike = np.flatnonzero(equal.max(axis=1) >= least)  # few: the rest is not looked at again
        likest = equal[alike]
        row, place = np.nonzero(likest >= least)
        bits = (BITS - likest[row, place].astype(np.int64)) // 2
        first, second = before + place // 8, start + alike[row]
        best = np.lexsort((place, bits, first, second))  # of a pair the likest orientation first
        pairs = np.stack([first, second, place % 8, bits])[:, best]
        new = np.diff(pairs[:2], axis=1, prepend=-1).any(axis=0)
        yield pairs[:, new & (pairs[0] < pairs[1])]


def _correlation(picture: np.ndarray, other: np.ndarray, orientation: int) -> float:
    """Return the correlation of two gray pictures, without the pixels that are black in both.

    The first is put in one of eight orientations: four turns, then the same mirrored.
    """
    picture = np.rot90(picture, orientation % 4)[:, :: -1 if orientation >= 4 else 1]
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
