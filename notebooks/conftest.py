"""How pytest compares these notebooks, with ``--nbval`` and with ``--nbval-lax``.

Compared is the text of the outputs: words and numbers. Pictures, HTML (the same tables again), log
lines, times, and the versions and devices in the first cell are not.

Digits depend on the processor and the packages (see `leukkit.environment`). Where this machine's
arithmetic is not that of the committed outputs, numbers have a tolerance, and rows that are sorted
by them may stand in another order: see `alike`. A warning says so.
"""

import bisect
import collections
import os
import re

from leukkit import environment

WORDS, NUMBERS = 0.9, 0.75  # shares of a cell's that must be found again
TOLERANCE = 0.15  # of a number: so much, or this share of it, whichever is more
PERCENT = 15.0  # of a percentage: a number from 15 to 100 with decimals
# Of the numbers of a cell that has one of these words: percentages that were subtracted; fitted to
# a few images; between percentages of a few folds.
OTHERS = {"points": 2.0, "temperature": 2.0, "deviation": 10.0}
# And of the percentages of a cell with this word: scores of single classes, where one gets what the
# other loses as soon as a threshold tips.
POINTS = {"recall": 60.0}
FIGURE = re.compile(r"<Figure size .*?>")  # as large as it has panels, some of which may be empty
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")

os.environ["TQDM_DISABLE"] = "1"  # for the kernels: a bar is an output, too
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    environment.keep_to_share(int(worker[2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def pytest_collectstart(collector):
    """Tell nbval what is not compared."""
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "text/html", "image/png")
        collector.sanitize_patterns |= {
            r"\b\d+(\.\d+)? s\b": "SECONDS",
            r" at 0x[0-9a-f]+": "",
            r"leukkit \S+, Python .*\nGPUs: .*": "VERSIONS",  # other ones may compute the same
        }


def pytest_itemcollected(item):
    """Give the numbers that other arithmetic has made a tolerance, and warn of it."""
    about = getattr(item.parent, "nb", {}).get("metadata", {})
    if not about or about.get("leukkit", {}).get("numerics") == environment.fingerprint():
        return
    compare = item.compare_outputs
    item.compare_outputs = lambda made, committed: (
        compare(made, committed) or alike(_text(item, made), _text(item, committed))
    )
    if item.cell_num == 0:
        item.warn(
            UserWarning(
                f"{item.path.name} is compared roughly: its outputs were made by other arithmetic "
                "(processor, number of cores, or packages) than this process's. "
                f"{WORDS:.0%} of each cell's words and {NUMBERS:.0%} of its numbers are found "
                f"again: within {TOLERANCE} or {TOLERANCE:.0%}, percentages within "
                f"{PERCENT:.0f} points, {POINTS['recall']:.0f} beside a recall. "
                "`make notebooks` makes them here"
            )
        )


def alike(made, committed):
    """Return whether two texts have nearly the same words and numbers, in whatever order.

    Networks and trees that other arithmetic has trained give somewhat other tables: a percentage a
    few points away, a verdict that tips, two rows that change places.
    """
    least = max([TOLERANCE, *(OTHERS[word] for word in OTHERS if word in committed)])
    points = max([PERCENT, *(POINTS[word] for word in POINTS if word in committed)])
    numbers = [
        [_with_reach(it, least, points) for it in NUMBER.findall(text)]
        for text in (made, committed)
    ]
    words = [NUMBER.sub(" ", text).replace("-", " ").split() for text in (made, committed)]
    same_words = (collections.Counter(words[0]) & collections.Counter(words[1])).total()
    return all(
        same >= share * max(map(len, both))
        for share, same, both in (
            (NUMBERS, _pairs(*map(sorted, numbers)), numbers),
            (WORDS, same_words, words),
        )
    )


def _with_reach(text, least, points):
    """Return a number, and how far from it another may be."""
    number = float(text)
    is_percentage = "." in text and PERCENT <= number <= 100
    return number, points if is_percentage else max(least, TOLERANCE * abs(number))


def _pairs(made, committed):
    """Count the pairs of numbers within the tolerance; both lists are sorted."""
    left, pairs = [number for number, _ in made], 0
    for number, reach in committed:
        at = bisect.bisect_left(left, number - reach)
        if at < len(left) and left[at] <= number + reach:
            del left[at]
            pairs += 1
    return pairs


def _text(item, outputs):
    """Return what a cell has printed and shown as text."""
    parts = [output.get("data", {}).get("text/plain", "") for output in outputs]
    parts += [output["text"] for output in outputs if output.get("name") == "stdout"]
    return item.sanitize(FIGURE.sub("<Figure>", "\n".join(parts)))
