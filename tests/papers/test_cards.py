"""The cards and their reader. Values were read by hand in the papers, not taken from the cards."""

import numpy as np
import pandas as pd
import pytest

from leukkit import papers

CARD = """
key = "little"
summary = "A card with one table."
run_keys = ["model"]
paper = { title = "Little", authors = ["A. Uthor"] }
protocol = [{ step = "split", says = "80/20", where = "II" }]
choices.seed = { value = 0, reason = "Not stated." }
deviations.scale = { says = "by 255", where = "III", instead = "by 127", reason = "Signed." }
profiles.sample = { jobs = 2 }
[datasets.cnmc-2019]
stated = [{ quantity = "images", label = "ALL", value = 7272, where = "II" }]
[profiles.paper]
datasets = { cnmc-2019 = "cnmc-2019" }
seed = 0
jobs = 1
models_kept = [0]
recipe = { image_size = 224, phases = [{ epochs = 50, learning_rate = 1e-4 }] }
splits = { published = { split = "holdout", test = 0.2 } }
runs = { vgg19 = {}, resnet50 = { batch_size = 8 } }
[[tables]]
name = "Table 1"
title = "Results"
unit = "percent"
where = { part = "test" }
columns = [{ quantity = "accuracy" }, { quantity = "images", unit = "images" }]
rows = [
  { keys = { model = "vgg19", segmentation = true }, printed = ["96.0", "7,272"] },
  { keys = { model = "resnet50" }, printed = ["", "100"] },
]
[[matrices]]
name = "Figure 1"
where = { model = "vgg19" }
classes = ["healthy", "ALL"]
orientation = "rows are actual"
printed = [[5, 1], [0, 9]]
[[claims]]
where = "Abstract"
keys = { quantity = "accuracy", model = "vgg19" }
unit = "percent"
printed = "96.0"
quote = "an accuracy of 96.0%"
"""
ROW = '["96.0", "7,272"]'


@pytest.fixture
def read(tmp_path):
    """Read the little card after replacing one piece of its text."""

    def read_changed(old="", new=""):
        assert CARD.count(old) == 1 or not old
        path = tmp_path / "little.toml"
        path.write_text(CARD.replace(old, new) if old else CARD, encoding="utf-8")
        return papers.read(path)

    return read_changed


def test_cells_are_tidy(read):
    cells = read().cells()
    first = ["paper", "table", "row", "column", "quantity", "unit", "printed", "value"]
    assert list(cells.columns) == [*first, "part", "model", "segmentation"]
    assert cells["printed"].tolist() == ["96.0", "7,272", "100"]
    assert cells["value"].tolist() == [96, 7272, 100]
    assert cells["unit"].tolist() == ["percent", "images", "images"]
    assert cells[["row", "column"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 1]]
    assert cells["segmentation"].iloc[0]
    assert cells["segmentation"].iloc[2] is pd.NA
    words = read('unit = "images" }]', 'unit = "text" }]').cells()
    assert words["value"].isna().tolist() == [False, True, True]


def test_parts_of_a_card(read):
    card = read()
    assert (card.key, card.paper.title, card.run_keys) == ("little", "Little", ["model"])
    claim = card.claims[["where", "quantity", "value", "model"]].iloc[0].tolist()
    assert claim == ["Abstract", "accuracy", 96.0, "vgg19"]
    assert card.matrices[0].printed == [[5, 1], [0, 9]]
    assert card.datasets["cnmc-2019"].stated[0].value == 7272
    assert card.choices_table().loc["seed"].tolist() == [0, "Not stated."]
    deviations = card.deviations_table()
    assert deviations.loc["scale"].to_dict() == {
        "says": "by 255",
        "where": "III",
        "instead": "by 127",
        "reason": "Signed.",
    }
    assert card.protocol_table().to_numpy().tolist() == [["II", "split", "80/20"]]
    assert card.recipe("resnet50", "sample").batch_size == 8
    assert card.split("published", "paper")["test"] == 0.2
    assert [run.name for run in card.plan("paper", "published")] == ["vgg19", "resnet50"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ROW, '["96.0"]', r"Table 1, row 1 .*1 printed values.*2 columns"),
        (ROW, '["96.0", "7,27"]', r"Table 1, row 1, column 2: '7,27'"),
        (ROW, '["rbf", "7,272"]', r"row 1, column 1: 'rbf'.*unit = \"text\""),
        (ROW, '[96.0, "7,272"]', r"row 1, column 1: printed must be a string"),
        (ROW, '["96.0%", "7,272"]', r"row 1, column 1: '96.0%' is not a number"),
        (ROW, '["nan", "7,272"]', r"'nan' is not a number"),
        ('title = "Results"', "titel = 1\ntitle = ''", r"unknown field tables.0.titel"),
        ('title = "Results"', "title = 1", r"tables.0.title: .*string, found 1"),
        ('model = "resnet50" }', 'model = "resnet50", part = "x" }', r"row 2.*part given more"),
        ('{ model = "resnet50"', "{ model = 50", r"more than one type under the key model"),
        ('model = "resnet50"', 'model = "resnet50", row = 1', r"row = 1 cannot be a key"),
        ('model = "resnet50"', 'model = ["resnet50"]', r"cannot be a key"),
        ('model = "resnet50"', 'model = "vgg19", segmentation = true', r"same keys"),
        ('unit = "percent"\nwhere', "where", r"row 1, column 1: no unit given"),
        ('{ quantity = "accuracy" }', "{}", r"row 1, column 1: no quantity given"),
        (', reason = "Not stated."', "", r"little.toml: missing field choices.seed.reason"),
        ('key = "little"', 'key = "large"', r"key is 'large', but the file is named"),
        ('{ value = 0, reason = "Not stated." }', "0", r"choices.seed: .*dictionary.*found 0"),
        ('where = "III", ', "", r"missing field deviations.scale.where"),
        ("[profiles.paper]", "[profiles.full]", r"\[profiles.paper\] is missing"),
        ("jobs = 2", "job = 2", r"\[profiles.sample\]: unknown field job; known are"),
        ("seed = 0\njobs", "jobs", r"\[profiles.paper\]: missing field seed"),
        ("[[5, 1], [0, 9]]", "[[5, 1], [0]]", r"Figure 1: 2 classes need 2 rows of 2"),
        ("[[5, 1], [0, 9]]", "[[5, 1.0], [0, 9]]", r"matrices.0.printed.0.1: .*integer, found 1.0"),
        ('"rows are actual"', '"actual"', r"orientation: .*'rows are predicted'.*found 'actual'"),
        ('printed = "96.0"\n', 'printed = "about"\n', r"\[\[claims\]\] about in Abstract: 'about'"),
        ('keys = { quantity = "accuracy", model', "keys = { model", r"no quantity given"),
        ('quote = "an accuracy of 96.0%"', "", r"missing field claims.0.quote"),
        ("paper = {", "paper = ", r"little.toml: "),
    ],
)
def test_mistakes_are_named(read, old, new, message):
    with pytest.raises(papers.CardError, match=message) as caught:
        read(old, new)
    assert str(caught.value).startswith("little.toml: ")


def test_an_unknown_paper_lists_the_papers():
    with pytest.raises(papers.CardError, match=r"no paper 'farag'.*patel2025, mishra, farag2025"):
        papers.load("farag")


@pytest.mark.parametrize("key", papers.KEYS)
def test_every_card_loads(key):
    card = papers.load(key)
    cells = card.cells()
    assert card.key == key
    assert set(cells["paper"]) == {key}
    assert cells.loc[cells["unit"] != "text", "value"].notna().all()
    assert cells.loc[cells["unit"] == "percent", "value"].between(0, 100).all()
    assert cells.loc[cells["unit"] == "fraction", "value"].between(0, 1).all()


@pytest.mark.parametrize("key", papers.KEYS)
def test_claims_quote_what_they_claim(key):
    claims = papers.load(key).claims
    words = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
    spelled = {str(number): word for number, word in enumerate(words, start=2)}
    notes = claims["note"].fillna("") if "note" in claims else [""] * len(claims)
    for printed, quote, note in zip(claims["printed"], claims["quote"], notes, strict=True):
        in_words = key in ("farag2025", "patel2025") or "Printed as the word" in note
        assert printed in quote or (in_words and spelled.get(printed, printed) in quote.lower())


@pytest.mark.parametrize("key", papers.KEYS)
def test_what_is_stated_and_not_done_is_no_choice(key):
    card = papers.load(key)
    assert card.deviations and not {"white_canvas", "noise"} & set(card.choices)
    for deviation in card.deviations.values():
        assert all(deviation.model_dump().values()) and deviation.says != deviation.instead


# The cells of each table, in the order of the paper, counted there.
CELLS = {
    "patel2025": [4 * 5, 1],
    "farag2025": [2 * 4, 3 * 2, 2 * 6, 6 * 6, 3 * 6, 3 * 6, 6 * 6, 2 * 6, 1, 2],
    "mishra": [3 * 4, 5, 4 * 3 + 1, 1],
    "samhitha": [3 * 2, 4 * 2, 25 * 2, 4 * 6],
    "sultana": [10, 3, 6 * 2, 6 * 4 * 4, 6 * 2, 6 * 4 * 4, 4 * 4],
}


@pytest.mark.parametrize("key", CELLS)
def test_every_table_has_all_its_cells(key):
    assert papers.load(key).cells().groupby("table", sort=False).size().tolist() == CELLS[key]


C, IDB = {"dataset": "cnmc-2019"}, {"dataset": "all-idb2"}
VGG = {"backbone": "vgg19", "classifier": "svm"}
MOBILE = {"backbone": "mobilenetv2", "classifier": "svm"}
DENSE = {"backbone": "densenet169", "classifier": "xgboost"}
ATTENTION = {"model": "efficientnetb0-attention"}
RECALL, F1, SUPPORT = {"quantity": "recall"}, {"quantity": "f1"}, {"quantity": "support"}


@pytest.mark.parametrize(
    ("key", "table", "keys", "values"),
    [
        ("farag2025", "Table I", C | {"label": "ALL", "augmentation": False}, ["7,272"]),
        ("farag2025", "Table I", IDB | {"label": "healthy", "augmentation": True}, ["750"]),
        ("farag2025", "Table II", {"quantity": "gamma", "role": "best"}, ["0.01"]),
        ("farag2025", "Table II", {"quantity": "kernel", "role": "best"}, ["rbf"]),
        ("farag2025", "Table III", C | {"classifier": "xgboost", "part": "test"}, ["98.0"]),
        ("farag2025", "Table III", IDB | {"classifier": "rf", "part": "training"}, ["100"]),
        ("farag2025", "Table IV", IDB | MOBILE, ["71.90"]),
        ("farag2025", "Table IV", C | MOBILE, ["98.6"]),
        ("farag2025", "Table IV", IDB | VGG, ["96"]),
        ("farag2025", "Table IV", C | {"backbone": "densenet169", "classifier": "svm"}, ["99.00"]),
        ("farag2025", "Table V", {"classifier": "rf", "quantity": "precision"}, ["95.36"]),
        ("farag2025", "Table VI", {"classifier": "rf", "quantity": "sensitivity"}, ["99.48"]),
        ("farag2025", "Table VII", DENSE | {"segmentation": True}, ["90.38"]),
        ("farag2025", "Table VII", DENSE | {"segmentation": False}, ["92.30"]),
        ("farag2025", "Table VII", VGG | {"segmentation": False}, ["92.3"]),
        ("farag2025", "Table VIII", C | {"classifier": "rf", "augmentation": False}, ["87.40"]),
        ("farag2025", "Table X", F1, ["99.10"]),
        ("patel2025", "Table 2", {"model": "resnet18", "quantity": "accuracy"}, ["98.75"]),
        ("patel2025", "Table 2", {"model": "shufflenet", "quantity": "specificity"}, ["97.05"]),
        ("patel2025", "Table 2", {"model": "googlenet", "quantity": "precision"}, ["99.62"]),
        ("patel2025", "Table 2", F1 | {"model": "vgg19"}, ["99.23"]),
        ("patel2025", "Table 3", {"model": "vgg19"}, ["98.87"]),
        ("mishra", "Table 2", {"part": "validation"}, ["204", "216", "240", "216"]),
        ("mishra", "Table 2", {"label": "pro"}, ["3223", "216", "3439"]),
        ("mishra", "Table 2", {"label": "pre", "part": "training"}, ["3862"]),
        ("mishra", "Table 3", {"quantity": "loss"}, ["0.0195", "0.0112"]),
        ("mishra", "Table 3", {"quantity": "accuracy"}, ["0.9932", "0.9966"]),
        ("mishra", "Table 4", {"label": "pre"}, ["1.00", "0.99", "0.99"]),
        ("mishra", "Table 4", {"label": "pro", "quantity": "precision"}, ["0.99"]),
        ("mishra", "Table 4", {"quantity": "accuracy"}, ["1.00"]),
        ("samhitha", "Table I", {"label": "healthy"}, ["5090", "508", "509"]),
        ("samhitha", "Table II", ATTENTION, ["98.22", "94.06"]),
        ("samhitha", "Table II", {"model": "inceptionv3"}, ["81.06", "81.86"]),
        ("samhitha", "Table III", {"epoch": 18}, ["94.0", "89.2"]),
        ("samhitha", "Table III", ATTENTION | {"epoch": 35, "part": "training"}, ["96.5"]),
        ("samhitha", "Table III", {"epoch": 60}, ["97.9", "93.5"]),
        ("samhitha", "Table IV", RECALL | {"label": "ALL"}, ["75", "74", "77", "69"]),
        ("samhitha", "Table IV", RECALL | {"label": "healthy", "model": "inceptionv3"}, ["21"]),
        ("samhitha", "Table IV", F1 | {"label": "healthy"}, ["29", "27", "24", "30"]),
        ("sultana", "Table 1", {"model": "efficientnetb7"}, ["66", "~40"]),
        ("sultana", "Table 2", {}, ["3256", "2277", "979"]),
        ("sultana", "Table 3", {"model": "densenet201"}, ["99", "91"]),
        ("sultana", "Table 4", RECALL | {"model": "seresnet152"}, ["29", "98", "95", "15"]),
        ("sultana", "Table 4", SUPPORT | {"model": "inceptionv3"}, ["135", "274", "266", "221"]),
        ("sultana", "Table 5", {"model": "vgg19"}, ["78", "68"]),
        ("sultana", "Table 6", RECALL | {"model": "seresnet152"}, ["45", "98", "97", "99"]),
        ("sultana", "Table 6", {"model": "vgg19", "label": "benign"}, ["100", "28", "50", "140"]),
        ("sultana", "Table 7", F1, ["87", "94", "99", "99"]),
        ("sultana", "Table 7", {"label": "early", "quantity": "precision"}, ["89"]),
    ],
)
def test_values_read_by_hand(key, table, keys, values):
    cells = papers.load(key).cells()
    cells = cells[cells["table"] == table]
    for name, value in keys.items():
        cells = cells[(cells[name] == value).fillna(False).astype(bool)]
    assert cells["printed"].tolist() == values


def test_farag_scores_name_their_run():
    cells = papers.load("farag2025").cells()
    scores = cells[cells["table"].isin(["Table III", "Table IV", "Table VII", "Table VIII"])]
    run = ["dataset", "backbone", "classifier", "segmentation", "augmentation", "part", "quantity"]
    assert scores[run].notna().all().all()
    assert not cells.loc[cells["dataset"] == "cnmc-2019", "segmentation"].fillna(False).any()
    idb = scores[(scores["dataset"] == "all-idb2") & (scores["table"] != "Table VII")]
    assert idb["segmentation"].all()


def test_sultana_supports_are_images_and_the_rest_of_the_tables_percent():
    cells = papers.load("sultana").cells()
    cells = cells[cells["table"].isin(["Table 4", "Table 6", "Table 7"])]
    is_support = cells["quantity"] == "support"
    assert set(cells.loc[is_support, "unit"]) == {"images"}
    assert set(cells.loc[~is_support, "unit"]) == {"percent"}
    assert is_support.sum() == 4 * 13


def test_matrices_read_by_hand():
    (samhitha,) = papers.load("samhitha").matrices
    assert (samhitha.name, samhitha.classes) == ("Figure 5", ["ALL", "healthy"])
    assert samhitha.printed == [[752, 339], [361, 148]]
    sultana = papers.load("sultana").matrices
    expected = [f"Figure {number} ({letter})" for number in (4, 5) for letter in "ABCDEF"]
    assert [matrix.name for matrix in sultana] == [*expected, "Figure 6"]
    assert sultana[0].printed[0] == [132, 0, 0, 0]
    assert {tuple(matrix.classes) for matrix in sultana} == {("benign", "early", "pre", "pro")}
    assert len({(matrix.where["variant"], matrix.where["model"]) for matrix in sultana}) == 13
    assert {matrix.orientation for matrix in [samhitha, *sultana]} == {"not stated"}
    # Added up by hand from the figures.
    sums = {matrix.name: np.sum(matrix.printed, axis=0).tolist() for matrix in sultana}
    assert sums["Figure 4 (A)"] == [136, 270, 270, 220]
    assert sums["Figure 4 (C)"] == [136, 270, 272, 220]
    assert sums["Figure 4 (D)"] == [136, 272, 268, 220]
    assert sums["Figure 5 (A)"] == [140, 266, 269, 221]
    assert sums["Figure 5 (E)"] == [137, 271, 265, 223]
    assert sums["Figure 6"] == [141, 275, 263, 217]


NAMED = "InceptionV3, MobileNetV2, DenseNet-201, VGG19, and SecrensNet152"


@pytest.mark.parametrize(
    ("key", "place", "values"),
    [
        ("mishra", "Abstract", ["99.66", "80", "20"]),
        ("samhitha", "Abstract", ["98.22"]),
        ("samhitha", "VI", ["healthy cells", "98.22"]),
        ("sultana", "Abstract", ["99", "16", "6", NAMED, "collected in Bangladesh"]),
    ],
)
def test_claims_of_abstract_and_conclusion(key, place, values):
    claims = papers.load(key).claims
    assert claims.loc[claims["where"] == place, "printed"].tolist() == values


def test_claims_read_by_hand():
    claims = papers.load("samhitha").claims
    images = claims[(claims["quantity"] == "images") & (claims["where"] == "IV.A")]
    assert images[["printed", "value"]].to_numpy().tolist() == [["15,135", 15135.0]]
    meanings = claims.loc[claims["quantity"] == "meaning", "printed"].str.lower()
    assert set(meanings) == {"hematological malignancies", "healthy cells", "healthy cell"}
    claims = papers.load("patel2025").claims
    printed = {"224 x 244 x 3", "72", "156", "15114", "118", "99.82", "0.0163"}
    assert printed <= set(claims["printed"])
    parts = claims[(claims["split"] == "70/15/15") & claims["part"].notna()]
    images = parts[parts["quantity"] == "images"].set_index(["part", "label"])["value"]
    assert (images["training", "healthy"], images["test", "ALL"]) == (2373, 1091)
