"""How pytest compares these notebooks, with ``--nbval`` and with ``--nbval-lax``.

Compared is the text of the outputs: words and numbers. Pictures, HTML (the same tables again), log
lines, times, and the versions and devices in the first cell are not.

Digits depend on the processor and the packages (see `leukkit.environment`). Where this machine's
arithmetic is not that of the committed outputs, every cell is run and no output compared; a warning
says so.
"""

import os

from leukkit import environment

os.environ["TQDM_DISABLE"] = "1"  # for the kernels: a bar is an output, too


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
    """Compare no output that other arithmetic has made, and warn of it."""
    about = getattr(item.parent, "nb", {}).get("metadata", {})
    if not about or about.get("leukkit", {}).get("numerics") == environment.fingerprint():
        return
    item.compare_outputs = lambda *_: True
    if item.cell_num == 0:
        item.warn(
            UserWarning(
                f"{item.path.name} is run, but not compared: its outputs were made by other "
                "arithmetic (processor or packages) than this machine's. `make notebooks` makes "
                "them here"
            )
        )
