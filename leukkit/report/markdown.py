"""Markdown in which a name from anywhere stays text: no HTML, no link, no broken table."""

import re

_SPECIAL = re.compile(r"[\\`*\[\]<>|&~#]|(?<![^\W_])_|_(?![^\W_])")  # not the _ within a name


def escape(text):
    r"""Return text that Markdown shows as it is: ``<b>`` becomes ``\<b\>``; one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(str(text).split()))


def code(text):
    """Return a code span that shows the text as it is, backticks included; not for tables."""
    text = " ".join(str(text).split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def bullets(facts):
    """Return a list with one bold name and its value per line, of a dict; values are escaped."""
    return "\n".join(f"- **{escape(name)}:** {escape(value)}" for name, value in facts.items())


def table(frame):
    """Return a table of a data frame of texts, without its index."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy()]
    rows = [[cell if cell == "---" else escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
