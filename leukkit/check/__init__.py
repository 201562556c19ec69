"""Is a data set, and its division into parts, fit to measure a classifier by? Without TensorFlow.

`run` looks for what lies in two parts at once, for shortcuts, unequal parts and damage; each
finding has a code (`leukkit.check.findings.CODES`), explained in docs/findings.md.
"""

from leukkit.check.findings import CODES, Finding, parts, run
from leukkit.check.output import as_json, as_sarif, as_text

__all__ = ["CODES", "Finding", "as_json", "as_sarif", "as_text", "parts", "run"]
