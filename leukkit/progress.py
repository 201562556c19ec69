"""Progress of long work: a bar in a terminal or a notebook, plain lines in a log."""

import sys
import time

from tqdm.auto import tqdm


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
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    bar = tqdm(iterable, desc=description, total=total, unit=unit, leave=False)
    if bar.disable or sys.stderr.isatty() or "notebook" in type(bar).__name__:
        yield from bar
        return
    bar.disable = True  # a carriage-return bar is unreadable in a log
    last = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        yield item
        if time.monotonic() - last >= seconds_between_lines:
            last = time.monotonic()
            print(f"{description}: {done} of {total or '?'} {unit}s", file=sys.stderr, flush=True)
