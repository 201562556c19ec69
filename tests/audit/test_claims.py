"""Numbers printed twice, leads and ranks, networks, formulas."""

import pytest

from leukkit import audit, papers
from leukkit.audit import networks, repeated, significance
from tests.audit.little import card, number, table, verdicts


def find(key, check, text):
    return [f for f in audit.findings(papers.load(key), [check]) if text in f"{f.where} {f.claim}"]


@pytest.mark.parametrize(
    ("one", "other", "is_met"),
    [
        (number("98.75"), number("98.75"), True),
        (number("97.6"), number("97.68"), True),
        (number("97.7"), number("97.68"), True),
        (number("97.19"), number("97.20"), False),
        (number("0.99", unit="fraction"), number("99.96"), True),
        (number("0.95", unit="fraction"), number("99.38"), False),
        (number("224 × 224 x 3", unit="text"), number("224 x 224 × 3", unit="text"), True),
        (number("224 x 244 x 3", unit="text"), number("224 x 224 x 3", unit="text"), False),
        (number("Healthy cells", unit="text"), number("healthy cell", unit="text"), True),
    ],
)
def test_what_two_printed_numbers_have_in_common(one, other, is_met):
    assert repeated.agree(one, other) is repeated.agree(other, one) is is_met


def test_the_headline_of_samhitha_is_its_training_accuracy():
    same, found = find("samhitha", "repeated", "Abstract, IV.F, VI ")
    assert (same.verdict, same.recomputed) == ("consistent", "printed 3 times")
    assert found.verdict == "inconsistent"
    assert found.recomputed == "94.06 (Table II, validation), 56.25 (Figure 5: 900/1600)"
    assert "98.22 is the training value" in found.evidence


def test_the_last_epoch_of_samhitha_is_not_what_its_table_ii_prints():
    found = find("samhitha", "comparisons", "epoch 60: ")
    assert verdicts(found) == ["inconsistent"] * 2
    assert "98.22 without an epoch; in Table III it stands in no row" in found[0].evidence


def test_what_hem_means_is_printed_in_two_ways():
    (found,) = find("samhitha", "repeated", "meaning")
    assert found.verdict == "inconsistent"


def test_the_input_size_of_patel_is_printed_in_two_ways():
    (found,) = find("patel2025", "repeated", "input size")
    assert found.verdict == "inconsistent"
    assert "224 x 244 x 3: Model Training, Model Training" in found.evidence


def test_patel_leads_in_four_metrics_of_five():
    (found,) = find("patel2025", "comparisons", "metrics led")
    assert (found.verdict, found.recomputed) == ("consistent", "4 of 5")


def test_gains_and_losses_of_sultana():
    (gain,) = find("sultana", "comparisons", "accuracy gain")
    (loss,) = find("sultana", "comparisons", "accuracy loss")
    assert (gain.verdict, gain.recomputed) == ("inconsistent", "0")
    assert (loss.verdict, loss.recomputed) == ("consistent", "21")


def test_the_ensemble_of_sultana_has_neither_99_percent_nor_the_lead():
    (claim,) = find("sultana", "repeated", "accuracy of dex")
    assert (claim.verdict, claim.recomputed) == ("inconsistent", "96.32 (Figure 6: 863/896)")
    (rank,) = find("sultana", "significance", "dex, ensemble has the highest")
    assert rank.verdict == "inconsistent"
    assert "Figure 4 (B): 893/896 = 99.67" in rank.evidence


def test_patels_lead_is_two_images():
    (found,) = find("patel2025", "significance", "vgg19")
    assert found.verdict == "not checkable"
    assert found.recomputed == "1581 vs 1579 of 1599, p 0.87"
    assert "98.2 to 99.3 and 98.1 to 99.2" in found.evidence


def test_a_lead_of_a_hundred_images_is_one():
    (found,) = find("samhitha", "significance", "ahead of resnet50")
    assert (found.verdict, found.recomputed[:20]) == ("consistent", "1504 vs 1399 of 1599")


def test_wilsons_interval_by_hand():
    low, high = significance.wilson(8, 10)  # (0.8 + 0.192) / 1.384 -+ ...
    assert (low, high) == (pytest.approx(0.490, abs=0.001), pytest.approx(0.943, abs=0.001))


@pytest.mark.parametrize(
    ("key", "text", "verdict"),
    [
        ("sultana", "vgg19: 138 million", "inconsistent"),  # VGG-16 has as many
        ("sultana", "densenet121: 8 million", "consistent"),
        ("farag2025", "vgg19: 144 million", "consistent"),
        ("mishra", "16 added layers", "inconsistent"),
        ("samhitha", "resnet50: 50 layers", "consistent"),
    ],
)
def test_sizes_of_networks(key, text, verdict):
    assert verdicts(find(key, "architecture", text)) == [verdict]


def test_recorded_sizes_are_those_of_the_built_networks():
    # ResNet-50 has skips, Xception more than one kind of convolution; VGG by Keras's own pages.
    for name in ("resnet50", "xception"):
        assert networks.measure(name) == networks.SIZES[name]
    assert networks.head_layers("vgg16-cnn") == networks.HEADS["vgg16-cnn"]
    assert networks.SIZES["vgg16"].parameters == 138_357_544
    assert networks.SIZES["vgg19"].parameters == 143_667_240


@pytest.mark.parametrize(
    ("formula", "verdict"),
    [
        ("L = Σ_{i=1..n} y_i log(ŷ_i)", "inconsistent"),
        ("L = -Σ_{i=1..n} y_i log(ŷ_i)", "consistent"),
        ("L = − 1/n Σ y log(p)", "consistent"),
    ],
)
def test_a_loss_needs_its_sign(formula, verdict):
    claims = [("Eq. 8", {"quantity": "loss formula"}, "text", formula)]
    claims.append(("V", {"quantity": "loss"}, "value", "0.0163"))
    assert verdicts(audit.findings(card(claims=claims), ["formulas"])) == [verdict]


def test_a_claim_without_a_part_is_met_by_a_held_out_value():
    columns = [{"part": "training"}, {"part": "test"}]
    tables = [table(columns, [({"model": "net"}, ["99.10", "91.20"])], quantity="accuracy")]
    for text, verdict in (("91.2", "consistent"), ("99.1", "inconsistent")):
        claim = ("Abstract", {"quantity": "accuracy", "model": "net"}, "percent", text)
        assert verdicts(audit.findings(card(tables, claims=[claim]), ["repeated"])) == [verdict]
