"""The same quantity printed more than once: table against table, text against table."""

import numpy as np

from leukkit.audit.findings import Finding, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.sources import SCORES, name


def check(paper):
    """Return the findings on everything that is printed more than once."""
    return [*_same_keys(paper), *_without_all_keys(paper)]


def agree(one, other):
    """Return whether two printed numbers or words can be the same quantity.

    With the same digits they must be equal; with fewer, the shorter one must be what the longer
    rounds or truncates to.
    """
    if not one.is_number or not other.is_number:
        return _plain(one.text) == _plain(other.text)
    shorter, longer = sorted((one, other), key=_places)
    if _places(shorter) == _places(longer):
        return shorter.exact == longer.exact
    return shorter.is_met_by(longer.exact)


def _places(number):
    return number.digits + (2 if number.unit == "percent" else 0)


def _plain(text):
    return "".join(text.casefold().replace("×", "x").split()).removesuffix("s")


def _keys(number):
    ignored = {"rank"} | ({"part"} if number.keys.get("part") == "total" else set())
    return {key: value for key, value in number.keys.items() if key not in ignored}


def _same_keys(paper):
    groups = {}
    for number in paper.numbers:
        groups.setdefault(_identity(number), []).append(number)
    found = []
    for numbers in groups.values():
        if len(numbers) > 1:
            found += _prints(numbers)
    return found


def _prints(numbers):
    """Compare prints of one quantity: with those that most agree on, if there are such.

    Returns:
        One consistent finding for the largest group that agrees and an inconsistent one for every
        other; or a single inconsistent one, where no group is larger than the others.
    """
    groups = sorted(_agreeing(numbers), key=len, reverse=True)
    of = name(_keys(numbers[0]))
    subject = f"{numbers[0].quantity}{f' of {of}' if of else ''}"
    first, *others = groups
    if others and len(first) == len(others[0]):
        claim = f"{subject}: {' or '.join(group[0].text for group in groups)}"
        recomputed = f"{len(groups)} different values"
        return [_print_finding(claim, recomputed, numbers, groups)]
    found = [
        _print_finding(f"{subject}: {first[0].text}", f"printed {len(first)} times", first, [])
    ]
    for group in others:
        claim = f"{subject}: {group[0].text}"
        found.append(_print_finding(claim, f"elsewhere {first[0].text}", group, [first, group]))
    return found


def _agreeing(numbers):
    """Numbers in groups that agree with their first, which has the most digits."""
    groups = []
    longest_first = numbers
    if numbers[0].is_number:
        longest_first = sorted(numbers, key=lambda number: -_places(number))
    for number in longest_first:
        fitting = [group for group in groups if agree(group[0], number)]
        if fitting:
            max(fitting, key=len).append(number)
        else:
            groups.append([number])
    return groups


def _print_finding(claim, recomputed, numbers, different):
    places = {}
    for number in [number for group in different for number in group] or numbers:
        places.setdefault(number.text, []).append(number.where)
    evidence = "; ".join(f"{text}: {', '.join(where)}" for text, where in places.items())
    if len(different) == 2 and _may_be_one(different[0][0], different[1][0]):
        evidence += "; rounding in one place and truncating in the other would explain it"
    where = ", ".join(dict.fromkeys(number.where for number in numbers))
    verdict = verdict_of(not different)
    return Finding(where, claim, recomputed, verdict, evidence, tuple(numbers))


def _may_be_one(one, other):
    if not {one.unit, other.unit} <= {"percent", "fraction"}:
        return False
    (low, high), (below, above) = one.window(), other.window()
    return low < above and below < high


def _without_all_keys(paper):
    """Claims of the text that leave out the part, the data set or the role."""
    cells = [number for number in paper.cells if "epoch" not in number.keys]
    known = {_identity(number) for number in cells}
    groups = {}
    for claim in paper.numbers:
        if claim.source[0] == "claim" and _identity(claim) not in known:
            groups.setdefault((_identity(claim), claim.text), []).append(claim)
    found = []
    for claims in groups.values():
        claim = claims[0]
        fitting = [number for number in cells if _is_more_exact(number, claim)]
        matrices = [
            matrix
            for matrix in paper.matrices
            if claim.quantity == "accuracy" and _keys(claim).items() <= matrix.keys.items()
        ]
        if (fitting or matrices) and _keys(claim):
            found.append(_best_match(paper, claims, fitting, matrices))
    return found


def _identity(number):
    return number.quantity, tuple(sorted(_keys(number).items(), key=str))


def _is_more_exact(number, claim):
    """Whether a number is of what the claim speaks of, with more keys but not of a class alone."""
    own = _keys(claim)
    more = set(number.keys) - set(own)
    return (
        number.quantity == claim.quantity
        and number.is_number == claim.is_number
        and own.items() <= number.keys.items()
        and "epoch" not in own
        and "label" not in more
        and ("part" not in more or number.quantity in SCORES or number.keys["part"] == "total")
    )


def _best_match(paper, claims, cells, matrices):
    """A claim is met by what was not trained on; a training value alone does not meet it."""
    claim = claims[0]
    is_score = claim.quantity in SCORES and "part" not in claim.keys
    held_out = [n for n in cells if not is_score or n.keys.get("part") != "training"]
    trained = [n for n in cells if n not in held_out]
    meeting = [number for number in held_out if agree(claim, number)]
    texts = [f"{n.text} ({_origin(n, claim)})" for n in held_out]
    for matrix in matrices:
        right, total = int(np.trace(matrix.counts)), int(matrix.counts.sum())
        meeting += matrix.numbers if claim.is_met(right, total) else []
        texts.append(f"{percent(right / total)} ({matrix.where}: {right}/{total})")
    evidence = f'text: "{_quote(paper, claim)}"'
    if not meeting and (only := [n for n in trained if agree(claim, n)]):
        evidence += f"; {claim.text} is the training value ({_origin(only[0], claim)})"
    elif not meeting:
        same = [
            n
            for n in paper.cells
            if n.quantity != claim.quantity and n.text == claim.text
            and claim.keys.items() <= n.keys.items()
        ]  # fmt: skip
        evidence += "".join(f"; {n.text} stands in {n.where} as {n.quantity}" for n in same[:1])
    of = name(claim.keys)
    stated = f"{claim.quantity}{f' of {of}' if of else ''}: {claim.text}"
    uses = (*claims, *(meeting or held_out))
    verdict = verdict_of(bool(meeting))
    where = ", ".join(dict.fromkeys(claim.where for claim in claims))
    return Finding(where, stated, ", ".join(texts) or "none", verdict, evidence, uses)


def _origin(number, claim):
    more = {k: v for k, v in number.keys.items() if k not in claim.keys}
    return f"{number.where}{f', {name(more)}' if name(more) else ''}"


def _quote(paper, claim):
    return paper.card.claims["quote"].iloc[claim.source[1]]
