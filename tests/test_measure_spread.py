import numpy as np
import pandas as pd
import pytest

from leukkit import datasets
from leukkit.datasets import decode
from tools import measure_spread

# Pooled over the classes of 2,204 cells of 44 subjects of C-NMC 2019: between subjects, within.
REAL = {
    "log radius": (0.068, 0.100),
    "density, red": (0.087, 0.102),
    "density, green": (0.115, 0.131),
    "density, blue": (0.064, 0.072),
    "hue, red - green": (0.034, 0.050),
    "hue, blue - green": (0.063, 0.072),
}


def test_known_spreads_are_found_in_groups_of_unequal_size():
    random = np.random.RandomState(0)
    sizes = random.randint(2, 30, 400)
    groups = pd.Series(np.repeat(np.arange(400), sizes))
    strata = groups % 2
    values = 5.0 * strata + np.repeat(0.3 * random.standard_normal(400), sizes)
    values = values + 0.7 * random.standard_normal(len(values))
    assert measure_spread.spread(values, groups, strata) == pytest.approx((0.3, 0.7), rel=0.1)


def test_no_variance_between_groups_is_not_below_zero():
    values = pd.Series([0.0, 1.0, 0.0, 1.0])
    assert measure_spread.spread(values, pd.Series([1, 1, 2, 2]), pd.Series([0] * 4))[0] == 0.0


def test_the_sample_is_spread_as_real_cells_are():
    """As far as one sample can show it: its 21 subjects leave the first SD uncertain by a third."""
    cells = datasets.load("sample-cells")
    measured = pd.DataFrame([measure_spread.measure(decode.read(path)) for path in cells["path"]])
    found = measure_spread.table(cells, measured, cells["label"])
    for name, (between, within) in REAL.items():
        assert found.loc[name, "between"] == pytest.approx(between, rel=0.5), name
        assert found.loc[name, "within"] == pytest.approx(within, rel=0.25), name
