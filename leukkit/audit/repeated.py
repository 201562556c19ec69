"""The same quantity printed more than once, and statements that compare numbers of the tables."""

from collections.abc import Iterator

from leukkit.audit.printed import (
    NOT_TRAINED,
    SCORES,
    Finding,
    Paper,
    Printed,
    grouped,
    name,
    percent,
    places,
    without,
)

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# quantity -> the sign of "with transfer learning minus without"
DIFFERENCES = {
    "largest accuracy gain over original networks": 1,
    "accuracy loss against the original network": -1,
}
BASE_VARIANT = "full-training"


def check(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on everything that is printed more than once."""
    for numbers in grouped(paper.numbers, _quantity).values():
        if len(numbers) > 1:
            yield from _prints(paper, numbers)
    yield from _without_all_keys(paper)


def check_comparisons(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on last epochs, differences of accuracies, and metrics led."""
    yield from _last_epoch(paper)
    yield from _differences(paper)
    yield from _metrics_led(paper)


def agree(one: Printed, other: Printed) -> bool:
    """Return whether two printed numbers or words can be the same quantity.

    With the same digits they must be equal; with fewer, the shorter one must be what the longer
    rounds or truncates to.
    """
    if not one.is_number or not other.is_number:
        return _plain(one.text) == _plain(other.text)
    shorter, longer = sorted((one, other), key=_digits)
    if _digits(shorter) == _digits(longer):
        return shorter.exact == longer.exact
    return bool(shorter.is_met(*longer.exact.as_integer_ratio()))


def _digits(number):
    """Digits after the point, as a share."""
    return number.digits + (2 if number.unit == "percent" else 0)


def _plain(text):
    return "".join(text.casefold().replace("×", "x").split()).removesuffix("s")


def _keys(number):
    """What a number is of; its rank is a claim of its own, and the total is everything."""
    return without(number.keys, "rank", *(["part"] if number.get("part") == "total" else []))


def _quantity(number):
    return number.quantity, tuple(sorted(_keys(number).items(), key=str))


def _claim(quantity, keys, text):
    return f"{quantity}{f' of {name(keys)}' if name(keys) else ''}: {text}"


def _prints(paper, numbers):
    """Compare prints of one quantity with those that most agree on, if there are such.

    One consistent finding for the largest group that agrees and an inconsistent one for every
    other; or a single inconsistent one, where no group is larger than the others.
    """
    groups = []  # of numbers that agree with their first, which has the most digits
    for number in sorted(numbers, key=lambda n: -_digits(n) if n.is_number else 0):
        fitting = [group for group in groups if agree(group[0], number)]
        if fitting:
            max(fitting, key=len).append(number)
        else:
            groups.append([number])
    first, *others = sorted(groups, key=len, reverse=True)
    of = numbers[0].quantity, _keys(numbers[0])
    is_trained = any(_trained(paper, group[0]) for group in groups)
    reading = NOT_TRAINED if others and is_trained else ""
    if others and len(first) == len(others[0]):
        texts = " or ".join(group[0].text for group in (first, *others))
        values = f"{len(groups)} different values"
        yield _print(_claim(*of, texts), values, reading, numbers, first, *others)
        return
    yield _print(_claim(*of, first[0].text), f"printed {len(first)} times", "", first, first)
    for other in others:
        elsewhere = f"elsewhere {first[0].text}"
        yield _print(_claim(*of, other[0].text), elsewhere, reading, other, first, other)


def _trained(paper, number):
    """The training accuracies of tables that a score of no named part can be."""
    if number.quantity not in SCORES or "part" in number.keys:
        return []
    keys = _keys(number) | {"part": "training"}
    cells = [n for n in paper.find(number.quantity, **keys) if n.is_cell and "epoch" not in n.keys]
    return [n for n in cells if agree(number, n)]


def _print(claim, recomputed, reading, numbers, *groups):
    by_text = grouped([n for group in groups for n in group], lambda number: number.text)
    evidence = "; ".join(
        f"{text}: {', '.join(number.where for number in same)}" for text, same in by_text.items()
    )
    firsts = [group[0] for group in groups]
    is_share = {first.unit for first in firsts} <= {"percent", "fraction"}
    is_met: bool | None = len(groups) == 1
    if len(firsts) == 2 and is_share and firsts[0].overlaps(*firsts[1].window()):
        is_met = None
        evidence += "; rounding in one place and truncating in the other would explain it"
    return Finding(numbers, claim, recomputed, is_met, evidence, reading)


def _without_all_keys(paper):
    """Claims of the text that leave out the part, the data set or the role."""
    cells = [number for number in paper.cells if "epoch" not in number.keys]
    in_tables = {_quantity(number) for number in cells}
    claims = [n for n in paper.numbers if not n.is_cell and _quantity(n) not in in_tables]
    for same in grouped(claims, lambda claim: (_quantity(claim), claim.text)).values():
        claim, own = same[0], _keys(same[0])
        fitting = [number for number in cells if _is_more_exact(number, claim)]
        matrices = paper.matrices if claim.quantity == "accuracy" else []
        matrices = [matrix for matrix in matrices if own.items() <= matrix.keys.items()]
        if own and (fitting or matrices):
            yield _best_match(paper, same, fitting, matrices)


def _is_more_exact(number, claim):
    """Whether a number is of what the claim speaks of, with more keys but not of a class alone."""
    own = _keys(claim)
    more = number.keys.keys() - own.keys()
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
    trained = [n for n in cells if is_score and n.get("part") == "training"]
    held_out = [n for n in cells if n not in trained]
    meeting = [number for number in held_out if agree(claim, number)]
    texts = [f"{n.text} ({_origin(n, claim)})" for n in held_out]
    for matrix in matrices:
        meeting += matrix.numbers if claim.is_met(matrix.right, matrix.total) else []
        counts = f"{matrix.where}: {matrix.right}/{matrix.total}"
        texts.append(f"{percent(matrix.accuracy)} ({counts})")
    same_text = [n for n in paper.cells if n.text == claim.text and n.quantity != claim.quantity]
    others = [n for n in same_text if claim.keys.items() <= n.keys.items()]
    evidence = f'text: "{claim.quote}"'
    meant = [] if meeting else _trained(paper, claim)
    if meant:
        evidence += f"; {claim.text} is the training value ({_origin(meant[0], claim)})"
    elif not meeting and others:
        evidence += f"; {claim.text} stands in {others[0].where} as {others[0].quantity}"
    stated, recomputed = _claim(claim.quantity, claim.keys, claim.text), ", ".join(texts) or "none"
    reading = NOT_TRAINED if meant else ""
    return Finding(claims, stated, recomputed, bool(meeting), evidence, reading)


def _origin(number, claim):
    more = name(without(number.keys, *claim.keys))
    return number.where + (f", {more}" if more else "")


def _last_epoch(paper):
    """A table by epochs against the same accuracy printed without one, which any may have."""
    numbers = [number for number in paper.cells if "epoch" in number.keys]
    runs = grouped(numbers, lambda n: (n.where, n.quantity, str(without(n.keys, "epoch"))))
    for (where, quantity, _), same in runs.items():
        last = max(same, key=lambda number: number.keys["epoch"])
        keys = without(last.keys, "epoch")
        every = {n.keys["epoch"] for n in same} >= {*range(1, last.keys["epoch"] + 1)}
        for final in [n for n in paper.find(quantity) if n.is_cell and n.keys == keys]:
            epochs = ", ".join(f"epoch {n.keys['epoch']}" for n in same if agree(n, final))
            evidence = (
                f"{final.where} prints {final.text} without an epoch; in {where} it stands "
                f"{f'at {epochs}' if epochs else 'in no row'}"
            )
            evidence += "" if every or epochs else ", but not every epoch is printed"
            claim = f"{name(keys)}, epoch {last.keys['epoch']}: {last.text}"
            is_met = True if epochs else False if every else None
            yield Finding([last], claim, final.text, is_met, evidence)


def _differences(paper):
    """Gains and losses in test accuracy between two variants of the same networks."""
    without_transfer = paper.find("accuracy", part="test", variant=BASE_VARIANT)
    base = {number.keys["model"]: number for number in without_transfer}
    for claim in [number for number in paper.numbers if number.quantity in DIFFERENCES]:
        tests = paper.find("accuracy", **claim.keys | {"part": "test"})
        pairs = [(n, base[n.keys["model"]]) for n in tests if n.keys["model"] in base]
        changes = [(new.exact - old.exact) * DIFFERENCES[claim.quantity] for new, old in pairs]
        texts = ", ".join(
            f"{new.keys['model']} {percent(change, 0)}"
            for (new, _), change in zip(pairs, changes, strict=True)
        )
        where = places(number for pair in pairs for number in pair)
        evidence = f"test accuracies of {where}, differences in points: {texts}"
        stated, is_met = f"{claim.quantity}: {claim.text} points", max(changes) * 100 == claim.exact
        yield Finding([claim], stated, percent(max(changes), 0), is_met, evidence)


def _metrics_led(paper):
    """In how many metrics a network is ahead, against "four out of five" in words."""
    for claim in paper.find("metrics led"):
        scores = [n for n in paper.cells if n.quantity in SCORES]
        rivals = [n for n in scores if n.get("part") == claim.keys["part"]]
        metrics = grouped(rivals, lambda number: (number.where, number.quantity)).values()
        best = [max(same, key=lambda n: n.exact) for same in metrics if len(same) > 1]
        own = [number for number in best if number.keys["model"] == claim.keys["model"]]
        ahead, behind = (
            [f"{n.quantity} ({n.keys['model']} {n.text})" for n in best if (n in own) is is_own]
            for is_own in (True, False)
        )
        said = [NUMBER_WORDS.index(word) for word in claim.text.split() if word in NUMBER_WORDS]
        evidence = f"ahead in {', '.join(ahead)}; behind in {', '.join(behind)}"
        stated = f"{claim.text} metrics led by {claim.keys['model']}"
        is_met = said == [len(ahead), len(best)]
        yield Finding([claim], stated, f"{len(ahead)} of {len(best)}", is_met, evidence)
