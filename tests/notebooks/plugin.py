"""nbval compares the text of the marked cells: numbers and tables, not pictures or log lines.

Digits depend on the processor (see `leukkit.environment`). On a machine whose arithmetic is not
that of the committed outputs, every cell is run but no output compared, and the summary says so.
"""

import nbformat

from leukkit import environment

_not_compared = []


def pytest_collectstart(collector):
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "text/html", "image/png")
        about = nbformat.read(collector.path, as_version=4).metadata.get("leukkit", {})
        if about.get("numerics") != environment.fingerprint():
            collector.skip_compare += ("text", "text/plain")
            _not_compared.append(collector.path.name)


def pytest_terminal_summary(terminalreporter):
    if _not_compared:
        terminalreporter.section("run, but not compared")
        terminalreporter.write_line(
            f"The outputs of {', '.join(_not_compared)} were made by other arithmetic (processor "
            "or packages) than this machine's: their tables cannot be compared digit by digit. "
            "`make notebooks` makes them here."
        )
