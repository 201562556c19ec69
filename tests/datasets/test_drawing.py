import itertools

import cv2
import numpy as np
import pytest

from leukkit.datasets.sample import drawing

THRESHOLD = 141  # of the 8-bit LAB a channel: what farag2025 (III.C) takes for nucleus


def lab_a(rgb):
    pixel = drawing.to_pixels(np.asarray(rgb, float))[None, None]
    return cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB)[0, 0, 1]


PLAIN = drawing.stain_at(np.zeros(len(drawing.STAIN_AXES)))


def paint(share=0.6, seed=1, below=0.0):
    """Paint a round white cell of radius 40; return the field and the covers."""
    density = np.full((129, 129, 3), below)
    traits = drawing.Traits(40.0, share, 0.006, 0.0, 0.1, 0.05, 0, 0)
    random = np.random.RandomState(seed)
    return density, *drawing.paint_white_cell(density, random, (64, 64), traits, PLAIN)


def test_in_every_stain_only_the_nucleus_is_above_the_threshold():
    for corner in itertools.product([-3.0, 3.0], repeat=len(drawing.STAIN_AXES)):
        stain = drawing.stain_at(corner)
        assert lab_a(stain.light * np.exp(-stain.nucleus)) > THRESHOLD + 5, corner
        assert lab_a(stain.light * np.exp(-stain.cytoplasm)) <= THRESHOLD, corner
        assert lab_a(stain.light) <= THRESHOLD, corner


def test_red_cells_stay_below_the_threshold_in_usual_stains():
    random = np.random.RandomState(0)
    values = [
        lab_a(stain.light * np.exp(-stain.red_cell))
        for stain in (drawing.stain_at(random.standard_normal(6)) for _ in range(200))
    ]
    assert np.mean(np.array(values) <= THRESHOLD) > 0.95


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_a_round_cell_has_the_area_and_the_nucleus_that_its_traits_say(share):
    areas = []
    for seed in range(12):
        density, cell, nucleus = paint(share, seed)
        assert np.all(nucleus <= cell + 1e-12)
        assert np.all(density[cell == 0] == 0)
        areas.append((cell.sum(), nucleus.sum()))
    cells, nuclei = np.mean(areas, axis=0)
    assert cells == pytest.approx(np.pi * 40**2, rel=0.08)
    assert nuclei / cells == pytest.approx(share, abs=0.05)


def test_traits_lean_on_immaturity_but_overlap():
    random = np.random.RandomState(0)
    mature = [drawing.draw_traits(random, 0.15, 40) for _ in range(1000)]
    blasts = [drawing.draw_traits(random, 0.85, 40) for _ in range(1000)]
    rising = ["nucleus_share", "irregularity", "cleft", "fineness", "nucleoli"]
    for trait, sign in [*zip(rising, [1] * 5, strict=True), ("clumping", -1)]:
        low, high = ([sign * getattr(cell, trait) for cell in cells] for cells in (mature, blasts))
        assert np.mean(high) > np.mean(low), trait
        assert np.percentile(low, 99) > np.percentile(high, 1), trait


def test_a_cut_out_cell_stands_on_exact_black():
    picture = drawing.single_cell(np.random.RandomState(0), PLAIN, 0.5, 35.0)
    assert picture.dtype == np.uint8
    assert picture.shape == (112, 112, 3)
    border = np.ones((112, 112), bool)
    border[6:-6, 6:-6] = False
    assert np.all(picture[border] == 0)
    assert np.all(picture[46:66, 46:66].max(-1) > 40)
    black = np.all(picture == 0, axis=-1)
    assert 0.4 < black.mean() < 0.8


def test_a_smear_shows_as_many_nuclei_as_white_cells():
    # Well apart and inside the picture at this radius, so components can be counted.
    for count in (2, 4, 6):
        picture = drawing.smear(np.random.RandomState(count), PLAIN, [0.5] * count, 14.0)
        a = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[..., 1]
        _, _, statistics, _ = cv2.connectedComponentsWithStats((a > 150).astype(np.uint8))
        assert np.sum(statistics[1:, cv2.CC_STAT_AREA] > 60) == count
