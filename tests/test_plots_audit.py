import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from leukkit import audit, plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_implied_accuracies_draw_what_is_printed_and_what_is_implied_in_the_row_of_the_network():
    frame = pd.DataFrame(
        {"low": [59.0, 91.0], "high": [61.0, 91.0], "test": [87.5, np.nan], "text": [99, 92]},
        index=["resnet50", "vgg19"],
    )
    ax = plots.implied_accuracies(frame)
    drawn = {line.get_label(): line for line in ax.lines}
    assert [text.get_text() for text in ax.get_yticklabels()] == ["resnet50", "vgg19"]
    assert drawn["recomputed"].get_xydata().tolist() == [[60, 0], [91, 1]]
    assert drawn["printed, test"].get_xdata()[0] == 87.5
    assert drawn["printed, text"].get_xydata().tolist() == [[99, 0], [92, 1]]
    (ranges,) = ax.collections
    assert ranges.get_segments()[0].tolist() == [[59, 0], [61, 0]]
    assert ax.get_xlabel() == "accuracy (percent)"


def test_implied_accuracies_say_which_column_is_missing():
    with pytest.raises(ValueError, match=r"low and high .*found: low, test"):
        plots.implied_accuracies(pd.DataFrame({"low": [1.0], "test": [1.0]}))


def test_explaining_totals_name_the_marked_numbers_and_their_heights():
    frame = pd.DataFrame(
        {"explained": [1, 6, 19, 2], "by chance": [1.0, 1.1, 1.2, 1.3]}, index=[297, 300, 298, 301]
    )
    ax = plots.explaining_totals(frame.sort_index(), of=22, marked=(298, 300))
    assert [text.get_text() for text in ax.texts] == ["n = 298: 19", "n = 300: 6"]
    assert ax.get_ylim() == (0, 22)
    assert "of 22" in ax.get_ylabel()


def test_leads_draw_both_ends_over_the_independent_images_and_what_the_printed_are_worth():
    lead = audit.Lead("p", "", "accuracy", "", (0.95, 0.9), images=1000, counts=(), subjects=50)
    (axes,) = plots.leads({"a": lead}, (0.0, 0.5))
    assert axes[0].get_title() == "a"
    independent, nested, printed = axes[0].lines
    for alike, line in enumerate((independent, nested)):
        sizes, chances = line.get_data()
        assert chances[40] == pytest.approx(lead.probability(sizes[40], alike))
    assert list(printed.get_xdata()) == [1000, 1000]
    (shaded,) = axes[0].patches
    ends = shaded.get_extents().transformed(axes[0].transData.inverted())
    assert (ends.x0, ends.x1) == pytest.approx((1000 / 10.5, 1000))
    assert axes[0].get_xscale() == "log"
