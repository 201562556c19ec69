"""Is a printed lead real? How likely the runner-up is in truth as good or better."""

import dataclasses
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from leukkit.audit import search
from leukkit.audit.confusion import best_reading
from leukkit.audit.printed import Matrix, Paper, Printed, first_by_label, grouped, listed, name

# Intraclass correlation within subjects, measured by `python -m benchmarks icc`: of the difference
# of two classifiers on the same features, and of the right answers of one.
ICC = (0.01, 0.32)
DRAWS = 100_000
LEVEL = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Lead:
    """A printed score that is ahead of another, the runner-up's.

    Attributes:
        paper: Key of the card; ``where``, ``score`` and ``claim`` say what is printed.
        scores: Both, 0..1.
        images: Of the test, as printed; None: not known.
        how: Where their number comes from, or what is missing for a probability.
        counts: AUC: images of either class. F1: the confusion matrix of either method. Accuracy:
            nothing more, (). None: not known.
        subjects: People in the data set, as printed; None: not known.
        is_paired: Whether both can be of the same images; else only ``alike`` 0 has a meaning.
    """

    paper: str
    where: str = ""
    score: str = ""
    claim: str = ""
    scores: tuple[float, float] = (math.nan, math.nan)
    images: int | None = None
    how: str = "no two methods are printed on the same images"
    counts: Any = None
    subjects: int | None = None
    is_paired: bool = True

    def probability(self, size: float, alike: float) -> float:
        """Return how likely the runner-up is as good or better (NaN: not known).

        Args:
            size: Number of independent images.
            alike: How far both get the same images right: 0 as by chance, 1 as far as the scores
                allow. Papers print nothing of it.
        """
        if self.counts is None or not self.images or (alike and not self.is_paired):
            return math.nan
        if self.score == "accuracy":
            return of_accuracy(*self.scores, size, alike)
        one, other = np.asarray(self.counts, dtype=float) * (size / self.images)
        if self.score == "auc":
            return of_auc(*self.scores, one, other, alike)
        return of_f1(one, other, alike)

    def effective(self, icc: float) -> float:
        """Return how many independent images those of the test are worth (NaN: not known).

        n / (1 + (m - 1) ICC) with m images per subject. All are taken to have equally many, which
        favors the paper: unevenly shared images are worth less.
        """
        if not self.images or not self.subjects:
            return math.nan
        return self.images / (1 + (max(self.images / self.subjects, 1) - 1) * icc)


def of_accuracy(best: float, second: float, size: float, alike: float) -> float:
    """Return the posterior probability that the second accuracy is in truth at least the best.

    Source: Christodoulou et al. 2025, arXiv 2505.04720: the shares of images that only the first
    gets right, only the second, and both or neither are Dirichlet(x1 + 1, x2 + 1, n - x1 - x2 + 2).
    """
    both = best * second + alike * (min(best, second) - best * second)
    return float(special.betainc(size * (best - both) + 1, size * (second - both) + 1, 0.5))


def of_auc(best: float, second: float, positives: float, negatives: float, alike: float) -> float:
    """Return the same of two AUC, normal as in Hanley & McNeil 1982; ``alike`` correlates them."""
    areas, (ill, well) = np.array([best, second]), np.maximum([positives, negatives], 1)
    spread = areas * (1 - areas) + (ill - 1) * (areas / (2 - areas) - areas**2)
    spread += (well - 1) * (2 * areas**2 / (1 + areas) - areas**2)
    one, other = np.sqrt(spread / (ill * well))
    error = math.sqrt(one**2 + other**2 - 2 * alike * one * other)
    return float(stats.norm.sf((best - second) / error)) if best != second else 0.5


def of_f1(best: np.ndarray, second: np.ndarray, alike: float) -> float:
    """Return the same of two F1, from their confusion matrices (2, 2), the positive class first.

    As for accuracy, with the images of either class that both, one, the other or neither gets
    right: a Dirichlet of these eight shares, one image more than counted each, is drawn from.
    """
    shares: list[float] = []
    for place in (0, 1):
        images, one, other = best[place].sum(), best[place, place], second[place, place]
        both = one * other / images + alike * (min(one, other) - one * other / images)
        shares += [both, one - both, other - both, images - one - other + both]
    drawn = np.random.default_rng(0).dirichlet(np.maximum(shares, 0) + 1, DRAWS).T
    actual, found = drawn[:4].sum(axis=0), drawn[0] + drawn[1:3]
    f1 = 2 * found / (actual + found + drawn[[6, 5]] + drawn[7])
    return float(np.mean(f1[0] <= f1[1]))


def find(paper: Paper) -> list[Lead]:
    """Return a paper's leads: in tables the best of each score, and by matrices claimed ranks."""
    return [*_in_tables(paper), *_said(paper)] or [Lead(paper.card.key)]


def ahead(numbers: Iterable[Printed], key: Callable) -> Iterator[list[Printed]]:
    """Yield the best and the runner-up among those with one ``key``, not of training or epochs."""
    compared = [n for n in numbers if n.get("part") != "training" and "epoch" not in n.keys]
    for same in grouped(compared, key).values():
        pair = sorted(same, key=lambda number: -number.exact)[:2]
        if len(pair) == 2 and pair[0].exact > pair[1].exact:
            yield pair


def ranked(paper: Paper) -> Iterator[tuple[Printed, Matrix, list[Matrix]]]:
    """Yield each claim of a rank, the matrix of its network, and those it is compared with."""
    for claim in [number for number in paper.numbers if "rank" in number.keys]:
        rivals = [one for one in paper.matrices if one.keys.get("variant") == claim.get("variant")]
        own = [matrix for matrix in rivals if matrix.keys["model"] == claim.get("model")]
        if own:  # the only one of its kind is compared with all
            yield claim, own[0], rivals if len(rivals) > 1 else paper.matrices


def table(leads: list[Lead], icc: tuple[float, float] = ICC) -> pd.DataFrame:
    """Return leads as a frame, one row each.

    Returns:
        ``paper, where, score, claim, images, subjects``; the probability that the runner-up is as
        good or better, if both get the same images right as far as possible (``nested``) and as by
        chance (``independent``); the ``effective`` images and both again with them, each with its
        end of ``icc``, since methods that fail alike differ little from subject to subject (NaN:
        not known); ``conclusion``; ``evidence``: where the images come from, or what is missing.
    """
    rows = []
    for one in leads:
        row = {key: getattr(one, key) for key in ("paper", "where", "score", "claim", "images")}
        row["subjects"], found = one.subjects, []
        for alike, text, correlation in zip((1, 0), ("nested", "independent"), icc, strict=True):
            size = one.effective(correlation)
            found += [one.probability(n, alike) for n in (one.images or 0, size)]
            row |= {text: found[-2], f"effective, {text}": size, f"{text}, effective": found[-1]}
        known = [chance for chance in found if not math.isnan(chance)]
        rows.append(row | {"conclusion": _conclusion(known, one.subjects), "evidence": one.how})
    return pd.DataFrame(rows).astype({"images": "Int64", "subjects": "Int64"})


def as_text(frame: pd.DataFrame) -> str:
    """Return what `table` gives as text: a sentence for each lead, and what it rests on."""
    lines = []
    for row in frame.to_dict("records"):
        what = " ".join(filter(None, (row["paper"], row["where"], row["score"])))
        text = f"[{row['conclusion']}] {what}: {row['claim'] or 'no lead'}."
        if chances := _range(row["nested"], row["independent"]):
            text += f" The runner-up is as good or better with probability {chances} on "
            text += f"{row['images']} images"
        if chances := _range(row["nested, effective"], row["independent, effective"]):
            sizes = _range(row["effective, independent"], row["effective, nested"], digits=".0f")
            text += f", {chances} if those of {row['subjects']} subjects are worth {sizes}"
        lines.append(textwrap.fill(f"{text} ({row['evidence']}).", 110, subsequent_indent="    "))
    return "\n".join(lines)


def _range(*ends, digits=".2g"):
    known = [one for one in ends if not math.isnan(one)]
    texts = ["<0.001" if one < 0.001 else f"{one:{digits}}" for one in known]
    return " to ".join(dict.fromkeys(texts))


def _conclusion(known, subjects):
    if not known:
        return "not known"
    if min(known) > 0.5:
        return "behind"
    if max(known) > LEVEL:
        return "may be chance"
    return "more than chance" if subjects else "more than chance if no subject twice"


def _in_tables(paper):
    for score in ("accuracy", "f1", "auc"):
        numbers = [n for n in paper.find(score) if n.is_cell and n.is_number]
        for pair in ahead(numbers, lambda number: _images(paper, number)):
            claim = " ahead of ".join(f"{name(n.keys, 'part')} {n.text}" for n in pair)
            place = (
                paper.card.key,
                pair[0].where,
                score,
                claim,
                tuple(float(n.exact) for n in pair),
            )
            yield Lead(*place, *_needed(paper, *pair), subjects=_people(paper, pair[0]))


def _images(paper, number):
    """What numbers have in common that are of the same images, as far as the paper says."""
    sizes, keys = paper.sizes(number.keys), ("label", "dataset", "augmentation")
    part = paper.part(number.keys)
    return (number.where, *map(number.get, keys), part, sizes.how if sizes else "")


def _needed(paper, *pair):
    """The number of images, where it comes from or what is missing, and what is computed with."""
    rows = [next((row for row in paper.rows if n in row.numbers), None) for n in pair]
    sizes = [row.sizes if row else paper.sizes(n.keys) for row, n in zip(rows, pair, strict=True)]
    if None in sizes:
        return None, "how many images were tested is not printed", None
    images, how = sizes[0].totals[0], sizes[0].how
    if len({(*one.totals, *one.counts.items()) for one in sizes}) > 1:
        return None, f"not the same images: {sizes[0].counts} and {sizes[1].counts}", None
    if pair[0].quantity == "accuracy":
        return images, how, ()
    label = pair[0].get("label") or paper.choice("positive_class")
    if label not in sizes[0].counts:
        return images, f"the images of each class are not printed ({how})", None
    sides = sizes[0].counts[label], images - sizes[0].counts[label]
    if pair[0].quantity == "auc":
        return images, how, sides
    scores = [row.of(pair[0].get("label")) if row else {} for row in rows]
    scores = [[n for n in one.values() if n.quantity != "support"] for one in scores]
    found = [search.matrices(one, label, *sides) for one in scores if len(one) > 2]
    if len(found) < 2 or not all(map(len, found)):
        why = f"no matrix, or too many, of {' and of '.join(map(listed, scores))} ({how})"
        return images, why, None
    return images, how, [counts.mean(axis=0) for counts in found]  # rounding leaves several open


def _said(paper):
    for claim, own, rivals in ranked(paper):
        others = [one for one in rivals if one is not own]
        if claim.keys["rank"] == "highest" and others:
            pair = own, max(others, key=lambda one: one.accuracy)
            texts = [f"{name(one.keys, 'part', 'dataset')} {one.right}/{one.total}" for one in pair]
            text, how = " said to be ahead of ".join(texts), " and ".join(m.where for m in pair)
            classes = [best_reading(one)[1].sum(axis=1).tolist() for one in pair]
            is_paired, scores = classes[0] == classes[1], (own.accuracy, pair[1].accuracy)
            how += "" if is_paired else f", not the same images: {classes[0]} and {classes[1]}"
            place = (paper.card.key, claim.where, "accuracy", text, scores, own.total, how, ())
            yield Lead(*place, _people(paper, claim), is_paired)


def _people(paper, number):
    """The people of a number's data set: as one printed number, or of all classes together."""
    whole = paper.find("patients", dataset=number.get("dataset"), phase=None, part=None)
    total = [one.count for one in whole if "label" not in one.keys]
    return total[0] if total else sum(n.count for n in first_by_label(whole).values()) or None
