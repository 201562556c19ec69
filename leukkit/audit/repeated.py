"""The same quantity printed more than once, and statements that compare numbers of the tables."""

from collections.abc import Iterator

from leukkit.audit.printed import Finding, Printed, percent, places
from leukkit.audit.sources import SCORES, Paper, name

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# quantity -> the sign of "with transfer learning minus without"
DIFFERENCES = {
    "largest accuracy gain over original networks": 1,
    "accuracy loss against the original network": -1,
}
BASE_VARIANT = "full-training"


def check(paper: Paper) -> Iterator[Finding]:
    """Yield the findings on everything that is printed more than once."""
    groups: dict = {}
    for number in paper.numbers:
        groups.setdefault(_quantity(number), []).append(number)
    for numbers in groups.values():
        if len(numbers) > 1:
            yield from _prints(numbers)
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
    ignored = {"rank"} | ({"part"} if number.keys.get("part") == "total" else set())
    return {key: value for key, value in number.keys.items() if key not in ignored}


def _quantity(number):
    return number.quantity, tuple(sorted(_keys(number).items(), key=str))


def _named(quantity, keys):
    return quantity + (f" of {name(keys)}" if name(keys) else "")


def _prints(numbers):
    """Compare prints of one quantity with those that most agree on, if there are such.

    One consistent finding for the largest group that agrees and an inconsistent one for every
    other; or a single inconsistent one, where no group is larger than the others.
    """
    groups = sorted(_agreeing(numbers), key=len, reverse=True)
    quantity = _named(numbers[0].quantity, _keys(numbers[0]))
    first, *others = groups
    if others and len(first) == len(others[0]):
        claim = f"{quantity}: {' or '.join(group[0].text for group in groups)}"
        yield _disagreement(claim, f"{len(groups)} different values", numbers, groups)
        return
    claim = f"{quantity}: {first[0].text}"
    yield Finding.on(first, claim, f"printed {len(first)} times", True, _texts(first))
    for group in others:
        claim = f"{quantity}: {group[0].text}"
        yield _disagreement(claim, f"elsewhere {first[0].text}", group, [first, group])


def _agreeing(numbers):
    """Numbers in groups that agree with their first, which has the most digits."""
    groups = []
    longest_first = numbers
    if numbers[0].is_number:
        longest_first = sorted(numbers, key=_digits, reverse=True)
    for number in longest_first:
        fitting = [group for group in groups if agree(group[0], number)]
        if fitting:
            max(fitting, key=len).append(number)
        else:
            groups.append([number])
    return groups


def _disagreement(claim, recomputed, numbers, groups):
    evidence = _texts(number for group in groups for number in group)
    if len(groups) == 2 and _may_be_one(groups[0][0], groups[1][0]):
        evidence += "; rounding in one place and truncating in the other would explain it"
    return Finding.on(numbers, claim, recomputed, False, evidence)


def _texts(numbers):
    by_text = {}
    for number in numbers:
        by_text.setdefault(number.text, []).append(number.where)
    return "; ".join(f"{text}: {', '.join(where)}" for text, where in by_text.items())


def _may_be_one(one, other):
    if not {one.unit, other.unit} <= {"percent", "fraction"}:
        return False
    (low, high), (below, above) = one.window(), other.window()
    return low < above and below < high


def _without_all_keys(paper):
    """Claims of the text that leave out the part, the data set or the role."""
    cells = [number for number in paper.cells if "epoch" not in number.keys]
    in_tables = {_quantity(number) for number in cells}
    groups = {}
    for claim in paper.numbers:
        if not claim.is_cell and _quantity(claim) not in in_tables and _keys(claim):
            groups.setdefault((_quantity(claim), claim.text), []).append(claim)
    for claims in groups.values():
        fitting = [number for number in cells if _is_more_exact(number, claims[0])]
        matrices = [
            matrix
            for matrix in paper.matrices
            if claims[0].quantity == "accuracy" and _keys(claims[0]).items() <= matrix.keys.items()
        ]
        if fitting or matrices:
            yield _best_match(paper, claims, fitting, matrices)


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
    trained = [n for n in cells if is_score and n.keys.get("part") == "training"]
    held_out = [n for n in cells if n not in trained]
    meeting = [number for number in held_out if agree(claim, number)]
    texts = [f"{n.text} ({_origin(n, claim)})" for n in held_out]
    for matrix in matrices:
        meeting += matrix.numbers if claim.is_met(matrix.right, matrix.total) else []
        share = percent(matrix.right / matrix.total)
        texts.append(f"{share} ({matrix.where}: {matrix.right}/{matrix.total})")
    evidence = f'text: "{claim.quote}"'
    if not meeting and (same := [n for n in trained if agree(claim, n)]):
        evidence += f"; {claim.text} is the training value ({_origin(same[0], claim)})"
    elif not meeting and (other := _other_quantity(paper, claim)):
        evidence += f"; {claim.text} stands in {other.where} as {other.quantity}"
    stated = f"{_named(claim.quantity, claim.keys)}: {claim.text}"
    uses = meeting or held_out
    return Finding.on(claims, stated, ", ".join(texts) or "none", bool(meeting), evidence, uses)


def _origin(number, claim):
    more = name({key: value for key, value in number.keys.items() if key not in claim.keys})
    return number.where + (f", {more}" if more else "")


def _other_quantity(paper, claim):
    """The first cell that prints the same number as another quantity of the same thing, or None."""
    for n in paper.cells:
        is_same = n.text == claim.text and claim.keys.items() <= n.keys.items()
        if is_same and n.quantity != claim.quantity:
            return n
    return None


def _last_epoch(paper):
    """The last row of a table by epochs against the same accuracy printed without an epoch."""
    runs = {}
    for number in paper.cells:
        if "epoch" in number.keys:
            keys = {key: value for key, value in number.keys.items() if key != "epoch"}
            run = number.where, number.quantity, tuple(sorted(keys.items()))
            runs.setdefault(run, []).append(number)
    for (where, quantity, items), numbers in runs.items():
        keys = dict(items)
        last = max(numbers, key=lambda number: number.keys["epoch"])
        for final in paper.cells:
            if final.quantity != quantity or final.keys != keys:
                continue
            epochs = ", ".join(f"epoch {n.keys['epoch']}" for n in numbers if agree(n, final))
            evidence = (
                f"{final.where} prints {final.text} without an epoch; in {where} it stands "
                f"{f'at {epochs}' if epochs else 'in no row'}"
            )
            claim = f"{name(keys)}, epoch {last.keys['epoch']}: {last.text}"
            yield Finding.on([last], claim, final.text, agree(last, final), evidence, [final])


def _differences(paper):
    """Gains and losses in test accuracy between two variants of the same networks."""
    without = paper.find("accuracy", part="test", variant=BASE_VARIANT)
    base = {number.keys["model"]: number for number in without}
    for claim in paper.numbers:
        if claim.quantity not in DIFFERENCES:
            continue
        tests = paper.find("accuracy", part="test", variant=claim.keys["variant"])
        one = claim.keys.get("model")
        pairs = {
            model: (number, base[model])
            for number in tests
            if (model := number.keys["model"]) in base and one in (None, model)
        }
        sign = DIFFERENCES[claim.quantity]
        changes = {model: sign * (new.exact - old.exact) for model, (new, old) in pairs.items()}
        uses = [number for pair in pairs.values() for number in pair]
        texts = ", ".join(f"{model} {percent(change, 0)}" for model, change in changes.items())
        evidence = f"test accuracies of {places(uses)}, differences in points: {texts}"
        largest = max(changes.values())
        stated = f"{claim.quantity}: {claim.text} points"
        is_met = largest * 100 == claim.exact
        yield Finding.on([claim], stated, percent(largest, 0), is_met, evidence, uses)


def _metrics_led(paper):
    """In how many metrics a network is ahead, against "four out of five" in words."""
    for claim in paper.find("metrics led"):
        rivals = {}
        for number in paper.cells:
            if number.quantity in SCORES and number.keys.get("part") == claim.keys["part"]:
                rivals.setdefault((number.where, number.quantity), []).append(number)
        compared = [numbers for numbers in rivals.values() if len(numbers) > 1]
        ahead, behind = [], []
        for numbers in compared:
            best = max(numbers, key=lambda number: number.exact)
            is_ahead = best.keys["model"] == claim.keys["model"]
            text = f"{best.quantity} ({best.keys['model']} {best.text})"
            (ahead if is_ahead else behind).append(text)
        said = [NUMBER_WORDS.index(word) for word in claim.text.split() if word in NUMBER_WORDS]
        evidence = f"ahead in {', '.join(ahead)}; behind in {', '.join(behind)}"
        yield Finding.on(
            [claim],
            f"{claim.text} metrics led by {claim.keys['model']}",
            f"{len(ahead)} of {len(compared)}",
            said == [len(ahead), len(compared)],
            evidence,
            [number for numbers in compared for number in numbers],
        )
