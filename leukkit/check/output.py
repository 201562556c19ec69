"""Findings as text for people, JSON for programs, and SARIF for a code host's list of alerts."""

import json
import os
import textwrap
import urllib.parse

import pandas as pd

from leukkit import __version__
from leukkit.check.findings import CODES, Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
HELP = "findings.md#{}"  # below docs/


def as_text(cells: pd.DataFrame, part: pd.Series, findings: list[Finding], width: int) -> str:
    """Return what was looked at, then a paragraph for each finding, errors first."""
    counts = part.value_counts()
    divided = ", ".join(f"{name} {counts[name]}" for name in sorted(counts.index))
    lines = [
        f"{cells.attrs['dataset']}: {len(cells)} images of {', '.join(cells.attrs['classes'])}, "
        f"{cells['subject'].nunique() or 'unknown'} subjects"
        + (f"; {divided}" if len(counts) > 1 else "")
    ]
    for level in ("error", "warning", "note"):
        for finding in findings:
            if finding.level == level:
                text = f"{level} {finding.code}: {CODES[finding.code].title}. {finding.message}"
                lines += ["", *textwrap.wrap(text, width, subsequent_indent="    ")]
    errors = sum(finding.level == "error" for finding in findings)
    told = f"{len(findings)} findings, {errors} of them errors"
    lines += ["", f"{told}. What they mean, and what to do: docs/findings.md"]
    return "\n".join(lines)


def as_json(cells: pd.DataFrame, part: pd.Series, findings: list[Finding]) -> str:
    """Return all findings with every pair of images."""
    record = {
        "leukkit": __version__,
        "dataset": cells.attrs["dataset"],
        "images": len(cells),
        "parts": {str(name): int(count) for name, count in part.value_counts().items()},
        "findings": [
            {
                "code": finding.code,
                "level": finding.level,
                "title": CODES[finding.code].title,
                "message": finding.message,
                "images": [
                    {key: str(value) for key, value in row.items() if pd.notna(value)}
                    for row in finding.pairs.astype(object).to_dict("records")
                ],
            }
            for finding in findings
        ],
    }
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def as_sarif(cells: pd.DataFrame, findings: list[Finding], most: int = 100) -> str:
    """Return findings as SARIF 2.1.0: one result each, with the places of the first images."""
    below = f"{cells.attrs['root']}/"
    uris = {  # a name may hold anything
        name: urllib.parse.quote(os.fsencode(path.removeprefix(below)))
        for name, path in zip(cells["image_id"], cells["path"], strict=True)
    }
    rules = [
        {"id": code, "shortDescription": {"text": kind.title}, "helpUri": HELP.format(code.lower())}
        for code, kind in CODES.items()
    ]
    results = [
        {
            "ruleId": finding.code,
            "level": finding.level,
            "message": {"text": finding.message},
            "locations": [
                {"physicalLocation": {"artifactLocation": {"uri": uris[name]}}}
                for name in finding.pairs["image_id"].dropna().drop_duplicates().head(most)
            ],
        }
        for finding in findings
    ]
    driver = {"name": "leukkit check", "version": __version__, "rules": rules}
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=1) + "\n"
