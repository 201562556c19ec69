"""The cards and their reader. Values were read by hand in the papers, not taken from the cards."""

import pandas as pd
import pytest

from leukkit import papers

CARD = """
key = "little"
summary = "A card with one table."
[paper]
title = "Little"
authors = ["A. Uthor"]
[datasets.cnmc-2019]
stated = [{ quantity = "images", label = "ALL", value = 7272, where = "II" }]
[[protocol]]
step = "split"
says = "80/20"
where = "II"
[choices.seed]
value = 0
reason = "Not stated."
[profiles.sample]
epochs = 1
counts = { cnmc-2019 = { ALL = 10 } }
[profiles.paper]
epochs = 50
counts = { cnmc-2019 = { ALL = 8000 } }
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

# paper -> table -> number of cells counted in the paper (own results only)
CELLS = {
    "patel2025": {"Table 2": 4 * 5, "Table 3": 1},
    "farag2025": {
        "Table I": 2 * 4,
        "Table II": 3 * 2,
        "Table III": 2 * 6,
        "Table IV": 6 * 6,
        "Table V": 3 * 6,
        "Table VI": 3 * 6,
        "Table VII": 6 * 6,
        "Table VIII": 2 * 6,
        "Table IX": 1,
        "Table X": 2,
    },
    "mishra": {"Table 2": 3 * 4, "Table 3": 5, "Table 4": 4 * 3 + 1},
    "samhitha": {"Table I": 3 * 2, "Table II": 4 * 2, "Table III": 25 * 2, "Table IV": 4 * 6},
    "sultana": {
        "Table 3": 6 * 2,
        "Table 4": 6 * 4 * 4,
        "Table 5": 6 * 2,
        "Table 6": 6 * 4 * 4,
        "Table 7": 4 * 4,
    },
}


@pytest.fixture
def read(tmp_path):
    """Read the little card after replacing one piece of its text."""

    def read_changed(old="", new=""):
        assert CARD.count(old) == 1 or not old
        path = tmp_path / "little.toml"
        path.write_text(CARD.replace(old, new) if old else CARD, encoding="utf-8")
        return papers.read(path)

    return read_changed


def cell(card, table, **keys):
    """Return the printed text of the one cell that has these keys."""
    cells = card.cells()
    cells = cells[cells["table"] == table]
    for name, value in keys.items():
        cells = cells[(cells[name] == value).fillna(False).astype(bool)]
    assert len(cells) == 1
    return cells["printed"].iloc[0]


def test_cells_are_tidy(read):
    cells = read().cells()
    first = ["paper", "table", "row", "column", "quantity", "unit", "printed", "value"]
    assert list(cells.columns) == [*first, "part", "model", "segmentation"]
    assert cells["printed"].tolist() == ["96.0", "7,272", "100"]
    assert cells["value"].tolist() == [96, 7272, 100]
    assert cells["unit"].tolist() == ["percent", "images", "images"]
    assert cells["row"].tolist() == [0, 0, 1]
    assert cells["column"].tolist() == [0, 1, 1]
    assert cells["segmentation"].iloc[0]
    assert cells["segmentation"].iloc[2] is pd.NA


def test_parts_of_a_card(read):
    card = read()
    assert card.key == "little"
    assert card.claims[["quantity", "value", "model"]].to_numpy().tolist() == [
        ["accuracy", 96.0, "vgg19"]
    ]
    assert card.matrices[0]["printed"] == [[5, 1], [0, 9]]
    assert card.profile("paper")["epochs"] == 50
    assert card.choices["seed"]["value"] == 0


def test_words_are_cells_without_a_value(read):
    cells = read('unit = "images" }]', 'unit = "text" }]').cells()
    assert cells["value"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["96.0", "7,272"]', '["96.0"]', r"Table 1, row 1 .*1 printed values.*2 columns"),
        ('["96.0", "7,272"]', '["96.0", "7,27"]', r"Table 1, row 1, column 2: '7,27'"),
        ('["96.0", "7,272"]', '["rbf", "7,272"]', r"row 1, column 1: 'rbf'.*unit = \"text\""),
        ('["96.0", "7,272"]', '[96.0, "7,272"]', r"row 1, column 1: printed must be a string"),
        ('["96.0", "7,272"]', '["96.0%", "7,272"]', r"row 1, column 1: '96.0%' is not a number"),
        ('["96.0", "7,272"]', '["nan", "7,272"]', r"'nan' is not a number"),
        ('title = "Results"\n', "", r"Table 1: missing field title"),
        ('title = "Results"', "titel = 1\ntitle = ''", r"Table 1: unknown field titel; known are"),
        ('title = "Results"', "title = 1", r"Table 1: title must be a str, found 1"),
        ('model = "resnet50" }', 'model = "resnet50", part = "x" }', r"row 2.*part given more"),
        ('"resnet50"', "50", r"more than one type under the key model"),
        ('model = "resnet50"', 'model = "resnet50", row = 1', r"row = 1 cannot be a key"),
        ('model = "resnet50"', 'model = ["resnet50"]', r"cannot be a key"),
        ('model = "resnet50"', 'model = "vgg19", segmentation = true', r"same keys"),
        ('unit = "percent"\nwhere', "where", r"row 1, column 1: no unit given"),
        ('{ quantity = "accuracy" }', "{}", r"row 1, column 1: no quantity given"),
        ('summary = "A card with one table."\n', "", r"the file: missing field summary"),
        ('key = "little"', 'key = "large"', r"key is 'large', but the file is named"),
        ('reason = "Not stated."', "", r"\[choices.seed\]: missing field reason"),
        ('says = "80/20"', "", r"\[\[protocol\]\] 1: missing field says"),
        ('authors = ["A. Uthor"]', "", r"\[paper\]: missing field authors"),
        ("value = 7272", "valeu = 1, value = 2", r"statement 1: unknown field valeu"),
        ("epochs = 50", "", r"only in one: \['epochs'\]"),
        ("ALL = 8000", "healthy = 8000", r"counts.cnmc-2019.*only in one: \['ALL', 'healthy'\]"),
        ("[profiles.paper]", "[profiles.full]", r"\[profiles.paper\] is missing"),
        ("[[5, 1], [0, 9]]", "[[5, 1], [0]]", r"Figure 1.*2 classes need 2 rows of 2"),
        ("[[5, 1], [0, 9]]", "[[5, 1.0], [0, 9]]", r"Figure 1.*whole number"),
        ('"rows are actual"', '"actual"', r"Figure 1.*orientation must be one of"),
        ('printed = "96.0"\n', 'printed = "about"\n', r"\[\[claims\]\] about in Abstract: 'about'"),
        ('keys = { quantity = "accuracy", model', "keys = { model", r"no quantity given"),
        ('quote = "an accuracy of 96.0%"', "", r"96.0 in Abstract: missing field quote"),
        ("[paper]", "[paper", r"little.toml: "),
    ],
)
def test_mistakes_are_named(read, old, new, message):
    with pytest.raises(papers.CardError, match=message) as caught:
        read(old, new)
    assert str(caught.value).startswith("little.toml: ")


def test_unknown_paper_and_profile(read):
    with pytest.raises(papers.CardError, match=r"no paper 'farag'.*patel2025, mishra, farag2025"):
        papers.load("farag")
    with pytest.raises(papers.CardError, match="no profile 'fast'; it has sample, paper"):
        read().profile("fast")


@pytest.mark.parametrize("key", papers.KEYS)
def test_every_card_loads(key):
    card = papers.load(key)
    cells = card.cells()
    assert card.key == key
    assert set(cells["paper"]) == {key}
    assert cells.loc[cells["unit"] != "text", "value"].notna().all()
    percent = cells.loc[cells["unit"] == "percent", "value"]
    assert percent.between(0, 100).all()
    assert cells.loc[cells["unit"] == "fraction", "value"].between(0, 1).all()


@pytest.mark.parametrize("key", papers.KEYS)
def test_claims_quote_what_they_claim(key):
    claims = papers.load(key).claims
    words = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
    spelled = {str(number): word for number, word in enumerate(words, start=2)}
    absent = [
        (printed, quote)
        for printed, quote in zip(claims["printed"], claims["quote"], strict=True)
        if printed not in quote and spelled.get(printed, printed) not in quote.lower()
    ]
    assert absent == []


@pytest.mark.parametrize("key", CELLS)
def test_number_of_cells(key):
    counts = papers.load(key).cells()["table"].value_counts()
    assert {table: counts[table] for table in CELLS[key]} == CELLS[key]


def test_farag_values():
    card = papers.load("farag2025")
    c, idb = {"dataset": "cnmc-2019"}, {"dataset": "all-idb2"}
    assert cell(card, "Table I", **c, label="ALL", augmentation=False) == "7,272"
    assert cell(card, "Table I", **idb, label="healthy", augmentation=True) == "750"
    assert cell(card, "Table II", quantity="gamma", role="best") == "0.01"
    assert cell(card, "Table II", quantity="kernel", role="best") == "rbf"
    assert cell(card, "Table III", **c, classifier="xgboost", part="test") == "98.0"
    assert cell(card, "Table III", **idb, classifier="rf", part="training") == "100"
    mobile = {"backbone": "mobilenetv2", "classifier": "svm"}
    assert cell(card, "Table IV", **idb, **mobile) == "71.90"
    assert cell(card, "Table IV", **c, **mobile) == "98.6"
    assert cell(card, "Table IV", **idb, backbone="vgg19", classifier="svm") == "96"
    assert cell(card, "Table IV", **c, backbone="densenet169", classifier="svm") == "99.00"
    assert cell(card, "Table V", classifier="rf", quantity="precision") == "95.36"
    assert cell(card, "Table VI", classifier="rf", quantity="sensitivity") == "99.48"
    dense = {"backbone": "densenet169", "classifier": "xgboost"}
    assert cell(card, "Table VII", **dense, segmentation=True) == "90.38"
    assert cell(card, "Table VII", **dense, segmentation=False) == "92.30"
    assert cell(card, "Table VII", backbone="vgg19", classifier="svm", segmentation=False) == "92.3"
    assert cell(card, "Table VIII", **c, classifier="rf", augmentation=False) == "87.40"
    assert cell(card, "Table X", quantity="f1") == "99.10"


def test_farag_configurations():
    cells = papers.load("farag2025").cells()
    scores = cells[cells["table"].isin(["Table III", "Table IV", "Table VII", "Table VIII"])]
    run = ["dataset", "backbone", "classifier", "segmentation", "augmentation", "part", "quantity"]
    assert scores[run].notna().all().all()
    assert not cells.loc[cells["dataset"] == "cnmc-2019", "segmentation"].fillna(False).any()
    idb = scores[(scores["dataset"] == "all-idb2") & (scores["table"] != "Table VII")]
    assert idb["segmentation"].all()


def test_farag_profiles():
    card = papers.load("farag2025")
    full, sample = card.profile("paper"), card.profile("sample")
    assert full["counts"]["cnmc-2019"] == {"healthy": 8000, "ALL": 8000}
    assert full["counts"]["all-idb2"] == {"healthy": 750, "ALL": 750}
    assert full["image_size"] == 224
    for profile in (full, sample):
        assert profile["c"] == [0.1, 1, 10, 100, 1000]
        assert profile["gamma"] == [1, 0.1, 0.01, 0.001, 0.0001]
        assert profile["kernels"] == ["rbf", "poly"]
        assert profile["segmentation"] == {"k": 3, "threshold": 141}
        assert set(profile["backbones"]) == set(card.cells()["backbone"].dropna())


def test_patel_values():
    card = papers.load("patel2025")
    assert cell(card, "Table 2", model="resnet18", quantity="accuracy") == "98.75"
    assert cell(card, "Table 2", model="shufflenet", quantity="specificity") == "97.05"
    assert cell(card, "Table 2", model="googlenet", quantity="precision") == "99.62"
    assert cell(card, "Table 2", model="vgg19", quantity="f1") == "99.23"
    assert cell(card, "Table 3", model="vgg19") == "98.87"
    claims = card.claims
    parts = claims[(claims["split"] == "70/15/15") & claims["part"].notna()]
    images = parts[parts["quantity"] == "images"].set_index(["part", "label"])["value"]
    assert images["training", "healthy"] == 2373
    assert images["test", "ALL"] == 1091
    assert "224 x 244 x 3" in set(claims["printed"])
    assert {"72", "156", "15114", "118", "99.82", "0.0163"} <= set(claims["printed"])
    full = card.profile("paper")
    training = full["training"]
    assert training["phases"] == [{"epochs": 50, "learning_rate": 1e-4, "trainable": "all"}]
    assert (training["optimizer"], training["batch_size"]) == ("sgd", 32)
    assert training["new_layer_factor"] == 10
    assert full["preparation"]["image_size"] == 224
    assert full["protocols"]["published"]["folds"] == 7
    split = full["protocols"]["published-split"]
    assert (split["test"], split["validation"]) == (0.15, 0.15)


def test_values_of_the_other_papers():
    mishra, samhitha, sultana = (papers.load(key) for key in ("mishra", "samhitha", "sultana"))
    assert cell(mishra, "Table 2", label="pre", part="training") == "3862"
    assert cell(mishra, "Table 3", quantity="loss", part="validation") == "0.0112"
    assert cell(mishra, "Table 4", label="pre", quantity="recall") == "0.99"
    assert cell(mishra, "Table 4", label="pro", quantity="precision") == "0.99"
    attention = {"model": "efficientnetb0-attention"}
    assert cell(samhitha, "Table I", label="healthy", part="test") == "509"
    assert cell(samhitha, "Table II", **attention, part="validation") == "94.06"
    assert cell(samhitha, "Table III", **attention, epoch=35, part="training") == "96.5"
    recall = {"quantity": "recall", "label": "healthy"}
    assert cell(samhitha, "Table IV", model="inceptionv3", **recall) == "21"
    assert [m["printed"] for m in samhitha.matrices] == [[[752, 339], [361, 148]]]
    assert cell(sultana, "Table 3", model="densenet201", part="test") == "91"
    assert cell(sultana, "Table 5", model="vgg19", part="training") == "78"
    assert cell(sultana, "Table 6", model="vgg19", label="benign", quantity="recall") == "28"
    assert cell(sultana, "Table 7", model="dex", label="early", quantity="precision") == "89"
    assert sultana.matrices[0]["printed"][0] == [132, 0, 0, 0]
