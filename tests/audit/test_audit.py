"""The audit as a whole: the frame, worked examples read by hand, and changed cards."""

import copy
import dataclasses
import decimal

import pytest

from leukkit import audit, papers

COLUMNS = ["paper", "where", "claim", "recomputed", "verdict", "evidence"]
# Without chance and significance: they say "different" or "more", which a small change keeps.
CHEAPEST_FIRST = (
    *("matrices", "repeated", "comparisons", "counts", "identities", "architecture", "formulas"),
    *("leak signs", "k of n", "attainable"),
)
# A matrix whose sum and supports are inconsistent already: large counts keep its other scores.
WEAK = {("matrix", "Figure 4 (E)")}


@pytest.fixture(scope="module")
def frame():
    return audit.run()


def test_one_frame_for_five_papers(frame):
    assert list(frame.columns) == COLUMNS
    assert list(frame["paper"].unique()) == list(papers.KEYS)
    assert set(frame["verdict"]) == {"consistent", "inconsistent", "not checkable"}
    assert (frame[["where", "claim", "evidence"]] != "").all().all()
    assert not frame.duplicated().any()


def test_the_same_cards_give_the_same_frame(frame):
    assert audit.run("sultana").equals(frame[frame["paper"] == "sultana"].reset_index(drop=True))


def test_unknown_names_list_the_known_ones():
    with pytest.raises(papers.CardError, match="'nobody'; the papers are patel2025"):
        audit.run("nobody")
    with pytest.raises(ValueError, match="no such check: luck; there are attainable"):
        audit.run("mishra", ["luck"])
    with pytest.raises(ValueError, match="no such verdict: 'wrong'; there are consistent"):
        audit.as_text(audit.run("mishra", ["formulas"]), "wrong")


# paper, part of where, part of the claim, part of recomputed or evidence, verdict
WORKED = [
    ("patel2025", "Data", "15114 images, cnmc", "10661 + 1867 + 2586 = 15114", "consistent"),
    ("patel2025", "Data", "118 patients", "47 + 26 + 13 + 15 + 17 = 118", "consistent"),
    ("patel2025", "Data", "3389 images", "2373 + 508 + 508 = 3389", "consistent"),
    ("patel2025", "Data", "7272 images", "5090 + 1091 + 1091 = 7272", "consistent"),
    ("patel2025", "7-fold", "72 healthy", "72.57", "inconsistent"),
    ("patel2025", "7-fold", "156 ALL", "155.86", "inconsistent"),
    ("patel2025", "Table 2", "resnet18", "TP1078 FN13 TN501 FP7", "consistent"),
    ("patel2025", "Table 2", "shufflenet", "TP1062 FN29 TN493 FP15", "consistent"),
    ("patel2025", "Table 2", "googlenet", "TP1072 FN19 TN504 FP4", "consistent"),
    ("patel2025", "Table 2", "vgg19", "no integer matrix", "inconsistent"),
    ("patel2025", "Table 2", "vgg19, cnmc-2019, as a mean", "to 99.47", "inconsistent"),
    ("patel2025", "Table 2", "F1 99.23", "99.32", "inconsistent"),
    ("patel2025", "Table 2", "accuracy 98.87", "0.333", "inconsistent"),
    ("patel2025", "Table 2", "precision 99.68", "99.45", "inconsistent"),
    ("patel2025", "Table 2", "98.87 ahead of resnet18", "1581 vs 1579 of 1599", "not checkable"),
    ("patel2025", "Fig. 8", "99.82", "1596/1599 = 99.812", "inconsistent"),
    ("patel2025", "Resizing", "input size", "224 x 244 x 3", "inconsistent"),
    ("patel2025", "Eq. 8", "loss", "without a minus", "inconsistent"),
    ("samhitha", "Figure 5", "accuracy", "900/1600 = 56.25%", "inconsistent"),
    ("samhitha", "Figure 5", "tells", "chi-square 0.653, df 1, p 0.419", "inconsistent"),
    ("samhitha", "Table IV", "inceptionv3, cnmc-2019 tells", "J -0.028 to -0.019", "inconsistent"),
    ("samhitha", "Figure 5", "precision 68/30", "67.57, 30.39", "consistent"),
    ("samhitha", "Figure 5", "recall 69/29", "68.93, 29.08", "consistent"),
    ("samhitha", "Figure 5", "f1 68/30", "68.24, 29.72", "consistent"),
    ("samhitha", "Abstract", "98.22", "56.25", "inconsistent"),
    ("samhitha", "Table II", "94.06", "1504 of 1599", "consistent"),
    ("samhitha", "Table III", "epoch 60: 97.9", "98.22", "inconsistent"),
    ("samhitha", "Table III", "epoch 60: 93.5", "94.06", "inconsistent"),
    ("samhitha", "Table I", "5090 healthy", "2372 originals left, 2718 (53.4%)", "not checkable"),
    ("samhitha", "IV.A", "15,135", "15114", "inconsistent"),
    ("samhitha", "Index", "meaning", "healthy cells", "inconsistent"),
]


@pytest.mark.parametrize("example", WORKED, ids=lambda example: " | ".join(example[:3]))
def test_worked_examples(frame, example):
    paper, where, claim, result, verdict = example
    rows = frame[(frame["paper"] == paper) & (frame["verdict"] == verdict)]
    rows = rows[rows["where"].str.contains(where, regex=False)]
    rows = rows[rows["claim"].str.contains(claim, regex=False)]
    texts = rows["recomputed"] + " | " + rows["evidence"]
    assert texts.str.contains(result, regex=False).any()


def changed(card, source, text):
    """Return the card with the one printed number at ``source`` replaced."""
    kind, place = source[0], source[1]
    if kind == "claim":
        claims = card.claims.copy()
        claims.loc[place, "printed"] = text
        return dataclasses.replace(card, claims=claims)
    if kind == "cell":
        tables = copy.deepcopy(card.tables)
        table = next(table for table in tables if table["name"] == place)
        table["rows"][source[2]]["printed"][source[3]] = text
        return dataclasses.replace(card, tables=tables)
    matrices = copy.deepcopy(card.matrices)
    matrix = next(matrix for matrix in matrices if matrix["name"] == place)
    matrix["printed"][source[2]][source[3]] = int(text)
    return dataclasses.replace(card, matrices=matrices)


def moved(text, steps):
    """Return a printed number that is ``steps`` units of its last digit larger, None below 0."""
    value = decimal.Decimal(text.replace(",", ""))
    value += steps * decimal.Decimal(1).scaleb(value.as_tuple().exponent)
    return str(value) if value >= 0 else None


def unnoticed(card, steps):
    """Return the numbers of consistent rows that can be changed without a verdict changing.

    Args:
        card: A paper's card.
        steps: Changes in units of the last digit; a number counts if none of them is noticed.
    """
    before, uses = {}, {}
    for check in CHEAPEST_FIRST:
        found = audit.findings(card, [check])
        before[check] = [finding.verdict for finding in found]
        for finding in found:
            for number in finding.uses if finding.verdict == "consistent" else ():
                if number.is_number:
                    uses.setdefault(number.source, (number.text, []))[1].append(check)
    sources = []
    for source, (text, checks) in uses.items():
        others = [changed(card, source, new) for step in steps if (new := moved(text, step))]
        if not any(
            [finding.verdict for finding in audit.findings(other, [check])] != before[check]
            for other in others
            for check in dict.fromkeys(checks)
        ):
            sources.append(source)
    return sources, len(uses)


@pytest.mark.parametrize("key", papers.KEYS)
def test_every_number_of_a_consistent_row_bears_on_a_verdict(key):
    sources, all_of_them = unnoticed(papers.load(key), (2, -2, 5, -5, 10))
    assert all_of_them > 50
    assert not [source for source in sources if source[:2] not in WEAK]


@pytest.mark.parametrize("key", papers.KEYS)
def test_hardly_a_number_of_a_consistent_row_can_be_two_units_off(key):
    sources, all_of_them = unnoticed(papers.load(key), (2,))
    assert len(sources) <= 0.08 * all_of_them


def test_text_shows_counts_first_and_can_be_narrowed(frame):
    text = audit.as_text(frame[frame["paper"] == "patel2025"], "not checkable", width=80)
    first, _, *rows = text.splitlines()
    assert first.startswith("patel2025: ") and first.endswith("1 not checkable")
    assert rows[0].startswith("[not checkable] Table 2: vgg19 98.87 ahead of resnet18 98.75")
    assert rows[1] == "    -> 1581 vs 1579 of 1599, p 0.87"
    assert max(map(len, rows)) <= 80
