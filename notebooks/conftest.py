"""How pytest compares these notebooks, with ``--nbval`` and with ``--nbval-lax``.

Compared is the text of the outputs: words and numbers. Pictures, HTML (the same tables again), log
lines and times are not.

Digits depend on the processor and the packages (see `leukkit.environment`). Where this machine's
arithmetic is not that of the committed outputs, a cell must show the same words and as many
numbers, the n-th smallest beside the n-th smallest within a fifth or 0.1; the summary says so.
"""

import math
import os
import re

from leukkit import environment

OF_VALUE, OF_ONE = 0.2, 0.1
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")

os.environ["TQDM_DISABLE"] = "1"  # for the kernels: a bar is an output, too
_with_tolerance = set()


def pytest_collectstart(collector):
    """Tell nbval what is not compared."""
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "text/html", "image/png")
        collector.sanitize_patterns |= {r"\b\d+(\.\d+)? s\b": "SECONDS", r" at 0x[0-9a-f]+": ""}


def pytest_itemcollected(item):
    """Compare with a tolerance what other arithmetic has made."""
    about = getattr(item.parent, "nb", {}).get("metadata", {})
    if not about or about.get("leukkit", {}).get("numerics") == environment.fingerprint():
        return
    _with_tolerance.add(item.path.name)
    exact = item.compare_outputs
    item.compare_outputs = lambda new, committed: (
        are_alike(_text(new), _text(committed)) or exact(new, committed)
    )


def pytest_terminal_summary(terminalreporter):
    """Say which notebooks were compared with a tolerance."""
    if _with_tolerance:
        terminalreporter.section("compared with a tolerance")
        terminalreporter.write_line(
            f"The outputs of {', '.join(sorted(_with_tolerance))} were made by other arithmetic "
            f"(processor or packages) than this machine's: numbers may differ by {OF_VALUE:.0%} or "
            f"by {OF_ONE}. `make notebooks` makes them here."
        )


def are_alike(one, two):
    """Tell whether two texts hold the same words, and numbers that are near each other.

    In any order: a table that is sorted by a score has its rows in another order when it moves.
    """
    words = [sorted(NUMBER.sub(" ", text).split()) for text in (one, two)]
    numbers = [sorted(map(float, NUMBER.findall(text))) for text in (one, two)]
    return (
        words[0] == words[1]
        and len(numbers[0]) == len(numbers[1])
        and all(
            math.isclose(a, b, rel_tol=OF_VALUE, abs_tol=OF_ONE)
            for a, b in zip(*numbers, strict=True)
        )
    )


def _text(outputs):
    shown = [output for output in outputs if output.get("name") != "stderr"]
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in shown]
    return "\n".join(parts)
