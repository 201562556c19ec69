"""Progress of long work: a bar in a terminal or a notebook, plain lines in a log."""

import os
import sys
import time

import tqdm.auto
import tqdm.autonotebook
import tqdm.std


def progress(iterable, description, total=None, unit="it", seconds_between_lines=10.0):
    """Yield from ``iterable`` and show how far the work is, on standard error.

    Args:
        iterable: What to go through.
        description: A few words, e.g. ``"hashing"``.
        total: Number of items; taken from ``len(iterable)`` if not given.
        unit: What one item is, e.g. ``"image"``.
        seconds_between_lines: In a log (no terminal), at most one line in this many seconds.

    ``TQDM_DISABLE=1`` in the environment silences both forms.
    """
    if _is_quiet():
        yield from iterable
        return
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    if _is_live():
        yield from tqdm.auto.tqdm(iterable, description, total, unit=unit, leave=False)
        return
    last = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        yield item
        if time.monotonic() - last >= seconds_between_lines:
            last = time.monotonic()
            print(f"{description}: {done} of {total or '?'} {unit}s", file=sys.stderr, flush=True)


def bar(total, description, unit="it", seconds_between_lines=10.0):
    """Return a tqdm bar to move by hand: one line that changes in a terminal or a notebook.

    In a log it writes at most one line in ``seconds_between_lines`` seconds; ``TQDM_DISABLE=1``
    silences it.

    Args:
        total: Number of items.
        description: A few words.
        unit: What one item is.
        seconds_between_lines: See above.
    """
    live = _is_live()
    return tqdm.auto.tqdm(
        desc=description,
        total=total,
        unit=unit,
        leave=False,
        disable=_is_quiet(),
        mininterval=0.1 if live else seconds_between_lines,
        ascii=None if live else True,
    )


def _is_quiet():
    """Tell whether progress is switched off; tqdm's notebook bar overlooks the variable."""
    return os.environ.get("TQDM_DISABLE", "0") not in ("", "0")


def _is_live():
    """Tell whether a line can change: in a terminal or a notebook."""
    return sys.stderr.isatty() or tqdm.autonotebook.tqdm is not tqdm.std.tqdm
