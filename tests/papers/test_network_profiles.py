"""The profiles of the four papers that train networks: what is run, and how it is divided."""

import numpy as np
import pandas as pd
import pytest

from leukkit import (
    augmentation,
    network_runs,
    papers,
    profiles,
    protocol_tables,
    protocols,
    splits,
)

KEYS = ("patel2025", "mishra", "samhitha", "sultana")
PROFILES = [(key, name) for key in KEYS for name in ("sample", "paper")]


@pytest.fixture(params=PROFILES, ids=" ".join)
def planned(request):
    key, name = request.param
    card = papers.load(key)
    profile = profiles.load(card, name)
    return card, profile, network_runs.plan(card, profile)


def test_every_run_is_a_recipe_on_a_data_set_of_the_profile(planned):
    _, profile, runs = planned
    places = [(run.folder, protocol) for run in runs for protocol in run.protocols]
    assert len(set(places)) == len(places)
    for run in runs:
        assert run.dataset in profile["datasets"]
        if run.recipe is not None:
            augmentation.check(run.recipe.augmentation)
    augmentation.check(profile["preparation"]["augmentation"])


def test_every_protocol_can_be_divided(planned):
    _, profile, _ = planned
    assert {"published", "leak-free"} <= profile["protocols"].keys()
    for table in profile["protocols"].values():
        protocol_tables.check(table)
    leak_free = profile["protocols"]["leak-free"]
    assert leak_free["split"] == "subject"
    assert leak_free["validation"] != "test"
    assert leak_free.get("augment") != "before"


def test_every_printed_network_is_run(planned):
    card, _, runs = planned
    cells = card.cells()
    cells = cells[cells["dataset"].notna() & cells["model"].notna()]
    cells = cells.assign(variant=cells["variant"].fillna("") if "variant" in cells else "")
    printed = set(cells[["dataset", "model", "variant"]].itertuples(index=False, name=None))
    made = {tuple(run.keys.values()) for run in runs}
    published = {tuple(run.keys.values()) for run in runs if "published" in run.protocols}
    assert printed <= made
    if card.key != "patel2025":  # its comparators have one split in the sample
        assert printed <= published


@pytest.mark.parametrize("key", KEYS)
def test_the_sample_runs_what_the_paper_profile_runs(key):
    card = papers.load(key)
    quick, full = (network_runs.plan(card, card.profile(name)) for name in ("sample", "paper"))
    assert {run.folder for run in quick} == {run.folder for run in full}
    for run in full:
        assert set(run.protocols) == set(card.profile("paper")["protocols"])
    assert any("leak-free" in run.protocols for run in quick)
    assert all(run.recipe.weights == "none" for run in quick if run.recipe)


def test_samhitha_fine_tunes_the_last_20_layers_of_the_proposed_network_only():
    card = papers.load("samhitha")
    for run in network_runs.plan(card, card.profile("paper")):
        trainable = [phase.trainable for phase in run.recipe.phases]
        proposed = run.model == "efficientnetb0-attention"
        assert trainable == (["head", 20] if proposed else ["head"])
        assert run.recipe.epochs == 60
        once = run.variant == "rescaled-once"
        assert run.recipe.normalization == ("backbone" if once else "unit")


def test_sultana_starts_full_training_from_scratch_and_freezes_what_is_pretrained():
    card = papers.load("sultana")
    profile = card.profile("paper")
    for run in network_runs.plan(card, profile):
        if run.recipe is None:
            assert (run.model, run.variant) == ("dex", "ensemble")
            continue
        assert run.recipe.weights == ("none" if run.variant == "full-training" else "imagenet")
        assert run.recipe.frozen == (run.variant == "frozen-features")
        assert (run.recipe.epochs, run.recipe.patience) == (25, 10)
    members = {run.model for run in network_runs.plan(card, profile) if run.variant == "member"}
    assert members == set(profile["ensemble"])
    assert profile["protocols"]["published"]["copies"] == {"each": 10}


def test_patel_says_where_no_pretrained_weights_can_be_had():
    card = papers.load("patel2025")
    weights = {
        run.model: run.recipe.weights for run in network_runs.plan(card, card.profile("paper"))
    }
    assert weights == {
        "vgg19": "imagenet",
        "resnet18": "imagenet",
        "shufflenet": "none",
        "googlenet": "none",
    }


def whole_data_set(counts):
    """Return cells of made-up images: as many per class as the real data set has."""
    rows = [
        {
            "image_id": f"{label}-{number:04d}",
            "label": label,
            "patient": pd.NA,
            "subject": f"proxy:{label}-{number // 37}",
            "sha256": f"{label}{number}",
            "sequence": label,
        }
        for label, count in counts.items()
        for number in range(count)
    ]
    cells = pd.DataFrame(rows).astype("string")
    return cells.assign(number=cells.groupby("label").cumcount())


C_NMC = {"healthy": 3389, "ALL": 7272}
ALL_2021 = {"benign": 504, "early": 985, "pre": 963, "pro": 804}


@pytest.mark.parametrize(
    ("key", "counts", "name", "table"),
    [
        ("mishra", ALL_2021, "published", "Table 2"),
        ("samhitha", C_NMC, "published", "Table I"),
    ],
)
def test_the_published_protocol_gives_the_printed_counts(key, counts, name, table):
    card = papers.load(key)
    protocol = protocols.divide(
        whole_data_set(counts), card.profile("paper")["protocols"][name], name=name
    )
    (fold,) = protocol.folds
    cells = card.cells()
    printed = cells[(cells["table"] == table) & (cells["part"] != "total")]
    for row in printed.itertuples():
        part = {"training": fold.train, "validation": fold.validation, "test": fold.test}[row.part]
        found = int((protocol.cells["label"].iloc[part] == row.label).sum())
        # Table I has 508 healthy cells in one part and 509 in the other; 15% are 508.35.
        assert abs(found - row.value) <= (row.printed == "509")


def test_patel_split_gives_the_counts_of_the_text():
    card = papers.load("patel2025")
    table = card.profile("paper")["protocols"]["published-split"]
    protocol = protocols.divide(whole_data_set(C_NMC), table)
    parts = dict(zip(("training", "validation", "test"), protocol.folds[0], strict=True))
    claims = card.claims[(card.claims["quantity"] == "images") & card.claims["part"].notna()]
    claims = claims[(claims["split"] == "70/15/15") & claims["label"].notna()]
    assert len(claims) >= 4
    for claim in claims.itertuples():
        labels = protocol.cells["label"].iloc[parts[claim.part]]
        assert (labels == claim.label).sum() == claim.value


def test_leak_free_folds_of_smears_keep_away_from_their_neighbors():
    profile = papers.load("mishra").profile("paper")
    protocol = protocols.divide(whole_data_set(ALL_2021), profile["protocols"]["leak-free"])
    shares = splits.leakage_shares({"leak-free": protocol}).iloc[0]
    assert (shares["subject"], shares["original"], shares["bytes"]) == (0, 0, 0)
    number = protocol.cells["number"].to_numpy(int)
    label = protocol.cells["label"].to_numpy(object)
    for fold in protocol.folds:
        for name in ALL_2021:
            tested = np.sort(number[fold.test][label[fold.test] == name])
            trained = np.unique(number[fold.train][label[fold.train] == name])
            assert np.abs(trained[:, None] - tested).min() > 5
