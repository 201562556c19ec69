"""How many images of each class a score was computed on, as far as the paper says."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The images that a part of the data holds.

    Attributes:
        counts: Class -> images; empty where only the whole is known.
        totals: What the whole can be: one number, or two where a share does not come out even.
        how: Where this comes from, for the reader.
        uses: The printed numbers it was taken from.
    """

    counts: dict
    totals: tuple
    how: str
    uses: tuple


def sizes(paper, keys):
    """Return the ``Sizes`` of the part that ``keys`` name, or None if the paper does not tell.

    Printed counts per class come first, then a printed count of the whole part, then the stated
    share of the whole data set.
    """
    part, dataset = paper.part(keys), keys.get("dataset")
    if part is None:
        return None
    printed = [number for number in _images(paper, keys) if number.keys.get("part") == part]
    counts = first_by_label(number for number in printed if "label" in number.keys)
    if len(counts) > 1:
        plain = {label: number.count for label, number in counts.items()}
        how = f"{_places(counts.values())}: {_list(plain)} in {part}"
        return Sizes(plain, (sum(plain.values()),), how, tuple(counts.values()))
    if whole := [number for number in printed if "label" not in number.keys]:
        how = f"{whole[0].where}: {whole[0].text} images in {part}"
        return Sizes({}, (whole[0].count,), how, (whole[0],))
    return _by_share(paper, keys, part, dataset)


def first_by_label(numbers):
    """Return label -> the first of ``numbers`` that has this label."""
    firsts = {}
    for number in numbers:
        firsts.setdefault(number.keys["label"], number)
    return firsts


def whole_counts(paper, keys):
    """Return label -> printed images of the undivided data set that ``keys`` name."""
    numbers = [
        number
        for number in _images(paper, keys)
        if number.keys.get("part") in (None, "total") and "label" in number.keys
    ]
    return first_by_label(numbers)


def _by_share(paper, keys, part, dataset):
    shares = [
        number
        for number in paper.find("share", part=part)
        if number.keys.get("dataset") in (None, dataset)
    ]
    counts = whole_counts(paper, keys)
    if not shares or len(counts) < 2:
        return None
    share = shares[0].exact
    plain = {label: round(share * number.count) for label, number in counts.items()}
    whole = share * sum(number.count for number in counts.values())
    totals = tuple(sorted({math.floor(whole), math.ceil(whole)}))
    how = f"{shares[0].text}% ({shares[0].where}) of {_places(counts.values())}: {_list(plain)}"
    return Sizes(plain, totals, how, (shares[0], *counts.values()))


def _images(paper, keys):
    """Counts of images that may belong to the same form of the data set as ``keys``."""
    form = keys.get("augmentation")
    return [
        number
        for number in paper.find("images", dataset=keys.get("dataset"), phase=None)
        if form is None or number.keys.get("augmentation") in (None, form)
    ]


def _places(numbers):
    return ", ".join(dict.fromkeys(number.where for number in numbers))


def _list(counts):
    return " + ".join(f"{count} {label}" for label, count in counts.items())
