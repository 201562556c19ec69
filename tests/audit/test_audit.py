"""The audit as a whole: the frame, worked examples read by hand, and changed numbers."""

import copy
import dataclasses
import decimal
import pickle

import pytest

from leukkit import audit, papers
from leukkit.audit import denominators, search
from leukkit.audit.printed import Matrix, Paper

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
    assert " ".join(frame) == "paper where claim recomputed verdict evidence premise"
    assert list(frame["paper"].unique()) == list(papers.KEYS)
    verdicts = {"consistent": 375, "inconsistent": 127, "not checkable": 54}
    assert frame["verdict"].value_counts().to_dict() == verdicts
    assert (frame[["where", "claim", "evidence"]] != "").all().all()
    assert not frame.duplicated().any()


def test_the_same_cards_give_the_same_frame(frame):
    assert audit.run("sultana").equals(frame[frame["paper"] == "sultana"].reset_index(drop=True))


def test_rows_are_selected_by_check_and_by_how_their_texts_begin(frame):
    everything = audit.select("samhitha")
    assert sorted(everything["claim"]) == sorted(frame["claim"][frame["paper"] == "samhitha"])
    rows = audit.select("samhitha", "chance", "repeated", where="Table|Abs", verdict="inc")
    assert set(rows["check"]) == {"chance", "repeated"}
    assert set(rows["where"].str[:3]) == {"Tab", "Abs"}
    assert set(rows["verdict"]) == {"inconsistent"}
    assert audit.select("samhitha", claim="tells").empty  # begins, not holds


def test_rows_are_shown_as_a_table(frame, capsys):
    columns = ["paper", "verdict"]
    audit.show(frame.iloc[:1], frame.iloc[-1:], columns=columns, caption="rests on <this>")
    html, _, text = capsys.readouterr().out.partition("text/plain")
    assert "rests on &lt;this&gt;</caption>" in html and "rests on <this>" in text
    assert text.index("patel2025    consistent") < text.index("sultana not checkable")


def test_unknown_names_list_the_known_ones():
    with pytest.raises(papers.CardError, match="'nobody'; the papers are patel2025"):
        audit.run("nobody")
    with pytest.raises(ValueError, match="no such check: luck; there are attainable"):
        audit.run("mishra", ["luck"])
    with pytest.raises(ValueError, match="no such verdict: 'wrong'; there are consistent"):
        audit.as_text(audit.run("mishra", ["formulas"]), "wrong")


# paper, part of where, part of the claim, parts of recomputed | evidence, verdict
WORKED = [
    # attainable, identities
    ("patel2025", "Table 2", "resnet18", "TP1078 FN13 TN501 FP7", "consistent"),
    ("patel2025", "Table 2", "vgg19, cnmc-2019: ", "(508 + 1091) none", "inconsistent"),
    ("patel2025", "Table 2", "vgg19", "whole data set (7272 + 3389) none", "inconsistent"),
    ("patel2025", "Table 2", "as a mean", "precision 0.00 to 99.47", "inconsistent"),
    ("patel2025", "Table 2", "as a mean", "7272 + 3389 images in 7 folds", "inconsistent"),
    (
        "patel2025",
        "Table 2",
        "F1 99.23",
        "99.32 | ... mean of folds 99.29 to 99.33",
        "inconsistent",
    ),
    ("patel2025", "Table 2", "accuracy 98.87", "0.333, ... 0.233 to 0.433", "inconsistent"),
    ("patel2025", "Table 2", "98.97, spec", "(98.87 - 98.82) / (98.97 - 98.82) =", "inconsistent"),
    ("patel2025", "Table 2", "precision 99.68", "= 5.99, ... need 3.47", "inconsistent"),
    ("sultana", "Table", "F1 50", "(100 + 28) = 43.75 ... 43.09 to 45.06", "inconsistent"),
    ("samhitha", "Table II", "accuracy of resnet50", "59.31 to 60.19 |", "not checkable"),
    ("sultana", "Table 3", "accuracy of densenet201", "99.33 to 99.78 |", "inconsistent"),
    # counts, k of n, leaks
    ("patel2025", "Data", "15114 images, cnmc", "10661 + 1867 + 2586 = 15114", "consistent"),
    ("patel2025", "Data", "118 patients", "47 + 26 + 13 + 15 + 17 = 118", "consistent"),
    ("patel2025", "Data", "7272 images", "5090 + 1091 + 1091 = 7272", "consistent"),
    ("patel2025", "7-fold", "72 healthy", "508 images of test: 72.57", "inconsistent"),
    ("samhitha", "IV.A", "15,135", "at Kaggle) | ... 15114 (all)", "consistent"),
    ("mishra", "Abstract", "% for validation", "6.29% | ... 876 of 13932 images", "inconsistent"),
    ("sultana", "", "7 networks", "accuracies are printed of vgg19", "inconsistent"),
    ("patel2025", "Fig. 8", "99.82", "1596/1599 = 99.812, 1597/1599 = 99.875", "not checkable"),
    ("samhitha", "Table II", "94.06", "1504 of 1599", "consistent"),
    ("farag2025", "", "idb2: tested on", "k/52, 19 are k/298 | 20%", "inconsistent"),
    ("farag2025", "", "2019: tested on", "17 are k/3200 | 20%", "inconsistent"),
    ("mishra", "", "for validation", "benign 204/504 = 40.48%", "not checkable"),
    ("patel2025", "", "images for test", "one share, 15.00 to 15.02%", "consistent"),
    (
        "mishra",
        "Table 2",
        "for training",
        "to 4.00995 ... 2021/300 = 6.7367",
        "inconsistent",
    ),
    ("mishra", "Abstract", "% for validation", "3256 originals 876 would be 26.9", "inconsistent"),
    ("samhitha", "Table I", "for training", "healthy 5090/3389 = 1.5019", "not checkable"),
    ("farag2025", "Table V", "97.65", "20% (IV.A) of Table I: 300 of 1500 ", "inconsistent"),
    ("farag2025", "", "accuracies on 300", "298 of 1500 are 19.87%, rounded 20%", "inconsistent"),
    ("farag2025", "Table VIII", "87.40", "the last zero", "not checkable"),
    # matrices, chance, significance
    ("samhitha", "Figure 5", "accuracy", "900/1600 = 56.25%", "not checkable"),
    ("samhitha", "Figure 5", "precision 68/30", "67.57, 30.39", "consistent"),
    ("samhitha", "", "true positives", "752 | Figure 5 with rows are actual", "consistent"),
    ("samhitha", "", "false positives", "361 |", "inconsistent"),  # named the wrong way
    ("sultana", "Figure 4 (A), Figure 4 (C)", "", "15 of 16 counts are the same", "inconsistent"),
    ("sultana", "Figure 4", "matrices of", "row 4, column 3: 0 and 2", "inconsistent"),
    ("sultana", "Table 4", "equal sums", "the same sums: 896", "consistent"),
    ("sultana", "Table 4", "equal class", "6 different class counts", "inconsistent"),
    ("sultana", "Figure 6", "test: 979 images", "896", "inconsistent"),
    ("samhitha", "Figure 5", "tells", "chi-square 0.653, df 1, p 0.419", "inconsistent"),
    ("samhitha", "Figure 5", "tells", "kappa -0.020; balanced accuracy 49.0%", "inconsistent"),
    ("samhitha", "Figure 5", "tells", "class 68.19%, ... 57.12% +- 1.07", "inconsistent"),
    ("samhitha", "Figure 5", "tells", "; MCC -0.020", "inconsistent"),
    ("samhitha", "Table IV", "inceptionv3, cnmc-2019 tells", "J -0.028 to -0.019", "inconsistent"),
    ("samhitha", "Table IV", "resnet50, cnmc-2019 tells", "p 0.296 to 0.733", "inconsistent"),
    ("samhitha", "Table IV", "resnet50", "precision 68.2 (the share of ALL)", "inconsistent"),
    ("samhitha", "Table IV", "resnet50", "the recall 74.2 to 75.5", "inconsistent"),
    ("patel2025", "Table 2", "98.87 ahead", "1581 vs 1579 of 1599, p 0.87", "not checkable"),
    ("patel2025", "Table 2", "98.87 ahead", "98.2 to 99.3 and 98.1 to 99.2", "not checkable"),
    ("samhitha", "Table II", "ahead of resnet50", "1599, p 1.4e-10 | 105 images", "consistent"),
    ("sultana", "", "dex, ensemble has the highest", "893/896 = 99.67", "inconsistent"),
    # repeated, comparisons, architecture, formulas
    ("samhitha", "Abstract, IV.F, VI", "98.22", "printed 3 times", "consistent"),
    ("samhitha", "Abstract", "98.22", "94.06 (Table II, validation), 56.25", "inconsistent"),
    ("samhitha", "Abstract", "98.22", "98.22 is the training value", "inconsistent"),
    ("samhitha", "Index", "meaning", "healthy cells", "inconsistent"),
    ("patel2025", "Resizing", "input size", "224 x 244 x 3: Model Training, Mod", "inconsistent"),
    ("sultana", "Abstract", "accuracy of dex", "96.32 (Figure 6: 863/896)", "inconsistent"),
    ("samhitha", "Table III", "epoch 60: 97.9", "not every epoch is printed", "not checkable"),
    ("patel2025", "", "metrics led", "4 of 5 | ahead in", "consistent"),
    ("sultana", "", "accuracy gain", "0 | test accuracies of Table 5,", "inconsistent"),
    ("sultana", "", "accuracy loss", "21 |", "consistent"),
    ("sultana", "", "inceptionv3: 23.6 million", "23.63 million counted by", "consistent"),
    ("sultana", "", "vgg19: 138 million", "it would be met by vgg16", "inconsistent"),
    ("sultana", "", "densenet121: 8 million", "8.06 million for 1,000 classes", "consistent"),
    ("mishra", "", "16 added layers", "14 of any kind", "inconsistent"),
    ("samhitha", "", "resnet50: 50 layers", "50 with weights on the longest way", "consistent"),
    ("patel2025", "Eq. 8", "loss", "without a minus", "inconsistent"),
]


@pytest.mark.parametrize("example", WORKED, ids=lambda example: " | ".join(example[:3]))
def test_worked_examples(frame, example):
    paper, where, claim, result, verdict = example
    rows = frame[(frame["paper"] == paper) & (frame["verdict"] == verdict)]
    rows = rows[rows["where"].str.contains(where, regex=False)]
    rows = rows[rows["claim"].str.contains(claim, regex=False)]
    texts = rows["recomputed"] + " | " + rows["evidence"]
    assert any(all(part in text for part in result.split(" ... ")) for text in texts)


def changed(paper, source, text):
    """Return the paper with the one printed number at ``source`` replaced."""
    other = copy.copy(paper)
    other.__dict__.pop("rows", None)  # made anew from the numbers
    other.numbers = [
        dataclasses.replace(n, text=text) if n.source == source else n for n in paper.numbers
    ]
    other.matrices = []
    for printed in paper.card.matrices:
        counts = copy.deepcopy(printed.printed)
        if source[:2] == ("matrix", printed.name):
            counts[source[2]][source[3]] = int(text)
        other.matrices.append(Matrix(other, printed.model_copy(update={"printed": counts})))
    return other


def moved(text, steps):
    """Return a printed number that is ``steps`` units of its last digit larger, None below 0."""
    value = decimal.Decimal(text.replace(",", ""))
    value += steps * decimal.Decimal(1).scaleb(value.as_tuple().exponent)
    return str(value) if value >= 0 else None


def verdicts(paper, check):
    return [finding.verdict for finding in audit.CHECKS[check](paper)]


def remembering(function):
    known = {}

    def find(*arguments):
        key = pickle.dumps(arguments)
        if key not in known:
            known[key] = function(*arguments)
        return known[key]

    return find


@pytest.fixture
def no_search_twice(monkeypatch):
    """All rows but those of the one changed number are as before."""
    searches = {search: ["matrices", "shared_errors"], denominators: ["explaining_total"]}
    for module, names in searches.items():
        for name in names:
            monkeypatch.setattr(module, name, remembering(getattr(module, name)))


@pytest.mark.parametrize("key", papers.KEYS)
def test_every_number_of_a_consistent_row_bears_on_a_verdict(key, no_search_twice):
    paper = Paper(papers.load(key))
    before = {check: verdicts(paper, check) for check in CHEAPEST_FIRST}
    claimed = {}  # place of a number -> its text, and the checks that claim something of it
    for check in CHEAPEST_FIRST:
        for found in audit.CHECKS[check](paper):
            for number in found.numbers if found.verdict == "consistent" else ():
                if number.is_number:
                    claimed.setdefault(number.source, (number.text, {}))[1][check] = True

    def is_noticed(source, step, checks):
        other = (new := moved(claimed[source][0], step)) and changed(paper, source, new)
        return other and any(verdicts(other, check) != before[check] for check in checks)

    two_off = [source for source in claimed if not is_noticed(source, 2, claimed[source][1])]
    assert len(claimed) > 50
    assert len(two_off) <= 0.1 * len(claimed)
    for source in two_off:
        checks = [*CHEAPEST_FIRST[:-1], *claimed[source][1]]  # the last one takes longest
        noticed = (is_noticed(source, step, checks) for step in (2, -2, 5, -5, 10))
        assert source[:2] in WEAK or any(noticed), source


def test_text_shows_counts_first_and_can_be_narrowed(frame):
    text = audit.as_text(frame[frame["paper"] == "patel2025"], "not checkable", width=80)
    first, conclusions, of_a_row, *rows = text.splitlines()
    assert first.startswith("patel2025: ") and first.endswith("2 not checkable")
    assert conclusions.startswith("4 conclusions")
    assert of_a_row == "   5 Table 2: vgg19, cnmc-2019"
    row = rows.index("[not checkable] Table 2: vgg19 98.87 ahead of resnet18 98.75")
    assert rows[row + 1] == "    -> 1581 vs 1579 of 1599, p 0.87"
    assert max(map(len, rows)) <= 80


# paper, how its premise begins, the inconsistent claims that rest on it
CONCLUSIONS = [
    ("patel2025", "Table 2: vgg19", 5),
    ("patel2025", 'Stratified 7-fold cross-validation: "Around 72', 2),
    ("mishra", "Held-out images of all-2021 are originals", 1),
    ("farag2025", "20% (IV.A) of Table I: 300 of 1500 images in test", 14),
    ("samhitha", "The predictions of cnmc-2019, test are scored beside", 5),
    ("samhitha", "An accuracy of no named part is of images that were not", 3),
    ("sultana", "5: 979 images in test", 13),
    ("sultana", "The accuracies of Table 3", 12),
]


@pytest.mark.parametrize(("paper", "premise", "claims"), CONCLUSIONS)
def test_claims_that_rest_on_one_premise_are_one_conclusion(frame, paper, premise, claims):
    found = audit.conclusions(frame)
    (one,) = found[
        (found["paper"] == paper) & found["premise"].str.startswith(premise)
    ].itertuples()
    assert one.claims == claims


def test_every_inconsistent_claim_is_in_one_conclusion(frame):
    found = audit.conclusions(frame)
    assert found["claims"].sum() == (frame["verdict"] == "inconsistent").sum()
    assert not found.duplicated(["paper", "premise"]).any()
    counts = found["paper"].value_counts(sort=False).to_dict()
    assert counts == {"patel2025": 4, "mishra": 4, "farag2025": 17, "samhitha": 5, "sultana": 16}
