"""Numbers of images and people: parts against wholes, shares, folds, the published data sets."""

from leukkit.audit.findings import INCONSISTENT, NOT_CHECKABLE, Finding, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.sizes import first_by_label, whole_counts
from leukkit.audit.sources import name
from leukkit.datasets.official import FACTS

DIMENSIONS = ("phase", "part", "label")
WHOLES = ({"benign", "malignant"},)  # labels that together are everyone, beside the data set's


def check(paper):
    """Return the findings on all printed counts."""
    return [
        *_sums(paper),
        *_published(paper),
        *_shares(paper),
        *_folds(paper),
        *_networks(paper),
    ]


# ---------------------------------------------------------------- parts against wholes


def _sums(paper):
    """Every printed whole against the sum of its parts, along phase, part and label."""
    found, seen = [], []
    for quantity in ("images", "patients"):
        numbers = _first_of_each(paper.find(quantity))
        for keys, number in numbers.items():
            for dimension in DIMENSIONS:
                if dimension in dict(keys):
                    continue
                parts = _parts(numbers, dict(keys), dimension)
                if parts is not None and {number, *parts} not in seen:
                    seen.append({number, *parts})
                    found.append(_sum(number, parts, dimension))
    return found


def _sum(number, parts, dimension):
    total = sum(part.count for part in parts)
    terms = " + ".join(part.text for part in parts)
    claim = f"{number.text} {number.quantity}, {name(number.keys)}"
    places = ", ".join(dict.fromkeys(part.where for part in parts))
    evidence = f"{terms} = {total}, by {dimension} ({places})"
    verdict = verdict_of(total == number.count)
    return Finding(number.where, claim, f"{total}", verdict, evidence, (number, *parts))


def _parts(numbers, keys, dimension):
    """The printed numbers that make up the whole ``keys``, or None if some are not printed."""
    values = _values(numbers, keys, dimension)
    if len(values) < 2:
        return None
    if dimension == "label" and not _is_everyone(set(values), keys.get("dataset")):
        return None
    parts = []
    for value in values:
        inner = keys | {dimension: value}
        if _key(inner) in numbers:
            parts.append(numbers[_key(inner)])
            continue
        # Divided further, but only along what divides the whole in the same way.
        same = [
            other
            for other in DIMENSIONS
            if dimension == "phase"
            or _values(numbers, inner, other) == _values(numbers, keys, other)
        ]
        deeper = [_parts(numbers, inner, other) for other in same if other not in inner]
        deeper = [found for found in deeper if found is not None]
        if not deeper:
            return None
        parts += deeper[0]
    return parts


def _values(numbers, keys, dimension):
    """What a dimension can be among the numbers that have these keys, as a dict's keys."""
    return dict.fromkeys(
        dict(other)[dimension]
        for other in numbers
        if dimension in dict(other)
        and all(dict(other).get(name) == value for name, value in keys.items())
        and set(dict(other)) <= set(keys) | set(DIMENSIONS)
    )


def _is_everyone(labels, dataset):
    return labels in ({*FACTS.get(dataset, {}).get("classes", ())}, *WHOLES)


def _first_of_each(numbers):
    firsts = {}
    for number in numbers:
        keys = {k: v for k, v in number.keys.items() if (k, v) != ("part", "total")}
        firsts.setdefault(_key(keys), number)
    return firsts


def _key(keys):
    return tuple(sorted(keys.items(), key=str))


# ---------------------------------------------------------------- the published data sets


def official_count(quantity, dataset, **selection):
    """Return what the publishers of a data set count, or None where they do not say.

    Args:
        quantity: ``images`` or ``patients``.
        dataset: A data set's name.
        selection: ``split`` and ``label`` to count within.
    """
    rows = [
        row
        for row in FACTS[dataset]["counts"]
        if quantity in row and all(row.get(key) == value for key, value in selection.items())
    ]
    return sum(row[quantity] for row in rows) or None


def _published(paper):
    """Counts of undivided data sets against what their publishers state."""
    found = []
    for quantity in ("images", "patients"):
        for number in _first_of_each(paper.find(quantity)).values():
            keys = number.keys
            if keys.get("augmentation") or keys.get("part") not in (None, "total"):
                continue
            if keys.get("dataset") in FACTS and "split" not in keys:
                found += _against_publisher(quantity, number)
    return found


def _against_publisher(quantity, number):
    dataset, label = number.keys["dataset"], number.keys.get("label")
    selection = {} if label is None else {"label": label}
    if "phase" in number.keys:
        options = {number.keys["phase"]: number.keys["phase"]}
    else:
        phases = [row["split"] for row in FACTS[dataset]["counts"] if "split" in row]
        options = {"all": None, **{phase: phase for phase in phases}}
    values = {}
    for text, phase in options.items():
        split = {} if phase is None else {"split": phase}
        if quantity == "patients" and phase is None and len(options) > 1:
            continue  # the final phase's people are not among the published counts
        values[text] = official_count(quantity, dataset, **selection, **split)
    values = {text: value for text, value in values.items() if value is not None}
    claim = f"{number.text} {quantity}, {name(number.keys)}"
    if not values or (quantity == "patients" and label is None and len(values) > 1):
        return []
    stated = ", ".join(f"{value} ({text})" for text, value in values.items())
    evidence = f"counts of the publisher of {dataset}: {stated}"
    fitting = [text for text, value in values.items() if value == number.count]
    nearest = min(values.values(), key=lambda value: abs(value - number.count))
    recomputed = f"{nearest}" + (f" ({fitting[0]})" if fitting else "")
    verdict = verdict_of(bool(fitting))
    return [Finding(number.where, claim, recomputed, verdict, evidence, (number,))]


# ---------------------------------------------------------------- shares, folds, networks


def _shares(paper):
    """Stated shares of the parts against the printed counts of images."""
    found = []
    for share in paper.find("share"):
        part, dataset = share.keys["part"], share.keys.get("dataset")
        claim = f"{share.text}% for {part}{f' of {dataset}' if dataset else ''}"
        mine, others = (_part_counts(paper, dataset, names) for names in _sides(paper, part))
        if not mine or not others:
            reason = "the numbers of images of the parts are not printed"
            found.append(Finding(share.where, claim, "", NOT_CHECKABLE, reason, (share,)))
            continue
        images, whole = (sum(n.count for n in numbers) for numbers in (mine, mine + others))
        places = ", ".join(dict.fromkeys(number.where for number in mine))
        recomputed = f"{percent(images / whole)}%"
        evidence = f"{' + '.join(n.text for n in mine)} = {images} of {whole} images ({places})"
        verdict = verdict_of(share.is_met(images, whole))
        uses = (share, *mine, *others)
        found.append(Finding(share.where, claim, recomputed, verdict, evidence, uses))
    return found


def _sides(paper, part):
    """The stated part, and the other parts that shares are stated of."""
    return [part], [n.keys["part"] for n in paper.find("share") if n.keys["part"] != part]


def _part_counts(paper, dataset, parts):
    counts = []
    for part in parts:
        numbers = paper.find("images", part=part, dataset=dataset)
        by_label = first_by_label(n for n in numbers if "label" in n.keys)
        whole = [n for n in numbers if "label" not in n.keys]
        counts += list(by_label.values()) or whole[:1]
    return counts


def _folds(paper):
    """Printed sizes of a fold: the images that were divided, over the number of folds."""
    found = []
    for number in paper.find("images per fold"):
        folds = paper.find("folds")[0]
        label = number.keys["label"]
        whole = whole_counts(paper, number.keys)[label]
        fold = whole.count / folds.count
        is_met = number.is_met(whole.count, folds.count)
        evidence = f"{whole.text} {label} images / {folds.count} folds = {fold:.2f}"
        for other in paper.find("images", label=label):
            if not is_met and "part" in other.keys and number.is_met(other.count, folds.count):
                evidence += (
                    f"; {number.text} is one of {folds.count} parts of the {other.text} images of "
                    f"{other.keys['part']}: {other.count / folds.count:.2f}"
                )
        claim = f"around {number.text} {label} images in each of {folds.count} test folds"
        uses = (number, folds, whole)
        found.append(
            Finding(number.where, claim, f"{fold:.2f}", verdict_of(is_met), evidence, uses)
        )
    return found


def _networks(paper):
    """Stated numbers of networks against those in the tables of scores."""
    found = []
    for number in paper.find("architectures"):
        variant = number.keys.get("variant")
        scored = {
            cell.keys["model"]: cell.where
            for cell in paper.cells
            if cell.quantity == "accuracy" and "model" in cell.keys
            if variant is None or cell.keys.get("variant") == variant
        }
        verdict = verdict_of(len(scored) == number.count) if scored else INCONSISTENT
        claim = f"{number.text} networks{f', {variant}' if variant else ''}"
        evidence = f"accuracies are printed of {', '.join(scored)}"
        found.append(Finding(number.where, claim, f"{len(scored)}", verdict, evidence, (number,)))
    return found
