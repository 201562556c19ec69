"""``leukkit audit`` on a made-up paper: 30 slips of ten kinds among numbers that are true."""

import pathlib
import tempfile

import numpy as np

from leukkit import audit, papers
from leukkit.schemas import check

SIDES = (1091, 509)
OF_A_KIND, CLEAN = 3, 20
SCORES = ("accuracy", "sensitivity", "specificity", "precision", "f1")
WHERE = {"dataset": "cells", "part": "test"}


def scores(matrix):
    """Return the five scores of ((true positives, false negatives), (false positives, …))."""
    (tp, fn), (fp, tn) = matrix
    return {
        "accuracy": (tp + tn) / sum(SIDES),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "precision": tp / (tp + fp),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }


def a_matrix(random):
    missed, alarms = random.integers(20, 200), random.integers(20, 200)
    return [[int(SIDES[0] - missed), int(missed)], [int(alarms), int(SIDES[1] - alarms)]]


def slip(kind, row, matrix, random):
    """Return the row, the matrix and the accuracy of the text, with a slip of a kind in one."""
    row, text = dict(row), row["accuracy"]
    if kind in SCORES:  # a score that is off by as little as a third of a point
        row[kind] += float(random.choice([-1, 1])) * float(random.uniform(0.3, 0.9))
        text = row["accuracy"]
    elif kind == "rates exchanged":
        row["sensitivity"], row["specificity"] = row["specificity"], row["sensitivity"]
    elif kind == "accuracy of other images":
        row["accuracy"] = text = 100 * round(row["accuracy"] * 14.87) / 1487 + 0.3
    elif kind == "matrix of more images":
        matrix = [[matrix[0][0] + 10, matrix[0][1]], matrix[1]]
    elif kind == "matrix of another run":
        matrix = [[matrix[0][0] - 5, matrix[0][1] + 5], [matrix[1][0] - 2, matrix[1][1] + 2]]
    elif kind == "text says otherwise":
        text = row["accuracy"] + 0.5
    return row, matrix, text


KINDS = (
    *SCORES,
    "rates exchanged",
    "accuracy of other images",
    "matrix of more images",
    "matrix of another run",
    "text says otherwise",
)
IN_ROWS = KINDS[:7]


def claim(where, keys, unit, printed, quote):
    return {"where": where, "keys": keys, "unit": unit, "printed": printed, "quote": quote}


def paper(random):
    """Return the card's content, and model -> kind of its slip ("" for none)."""
    kinds = random.permutation([*KINDS * OF_A_KIND, *[""] * CLEAN])
    planted = {f"net{number}": str(kind) for number, kind in enumerate(kinds)}
    rows, matrices, claims = [], [], []
    for label, count in zip(("ALL", "healthy"), SIDES, strict=True):
        keys = {"quantity": "images", "label": label, **WHERE}
        quote = f"The test set has {count} images of {label}."
        claims.append(claim("Section 3", keys, "images", str(count), quote))
    for model, kind in planted.items():
        matrix = a_matrix(random)
        true = {name: 100 * value for name, value in scores(matrix).items()}
        row, matrix, text = slip(kind, true, matrix, random)
        rows.append({"keys": {"model": model}, "printed": [f"{row[name]:.2f}" for name in SCORES]})
        matrices.append(
            {
                "name": f"Figure {model}",
                "where": {**WHERE, "model": model},
                "classes": ["ALL", "healthy"],
                "orientation": "rows are actual",
                "printed": matrix,
            }
        )
        keys = {"quantity": "accuracy", "model": model, **WHERE}
        quote = f"{model} reaches an accuracy of {text:.2f}%."
        claims.append(claim("Section 5", keys, "percent", f"{text:.2f}", quote))
    table = {"name": "Table 2", "title": "", "unit": "percent", "where": WHERE, "rows": rows}
    table["columns"] = [{"quantity": name} for name in SCORES]
    return {
        "key": "made-up",
        "paper": {"title": "A made-up paper"},
        "choices": {"positive_class": {"value": "ALL", "reason": "as is usual"}},
        "tables": [table],
        "matrices": matrices,
        "claims": claims,
    }, planted


def blamed(card):
    """Return the models of which a number is called inconsistent."""
    return {
        number.keys["model"]
        for found in audit.findings(card)
        if found.verdict == "inconsistent"
        for number in found.numbers
        if "model" in number.keys
    }


def tell(name, found, planted):
    slips = {model: kind for model, kind in planted.items() if kind}
    missed = sorted(kind for model, kind in slips.items() if model not in found)
    print(f"{name}: {len(slips) - len(missed)} of {len(slips)} slips found", end="; ")
    print(f"missed: {', '.join(missed) or 'none'}", end="; ")
    print(f"rows without a slip called inconsistent: {len(found - set(slips))} of {CLEAN}")


def main():
    for seed in range(3):
        content, planted = paper(np.random.default_rng(seed))
        tell(f"card, seed {seed}", blamed(check(papers.Card, content)), planted)
        in_rows = {m: kind for m, kind in planted.items() if kind in (*IN_ROWS, "")}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "table2.csv")
            lines = [",".join(("model", *SCORES))]
            for row in content["tables"][0]["rows"]:
                if row["keys"]["model"] in in_rows:
                    lines.append(",".join((row["keys"]["model"], *row["printed"])))
            path.write_text("\n".join(lines) + "\n")
            found = blamed(audit.from_csv(path, test=f"ALL={SIDES[0]},healthy={SIDES[1]}"))
        tell(f"table alone, seed {seed}", found, in_rows)


if __name__ == "__main__":
    main()
