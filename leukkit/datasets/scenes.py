"""The pictures of the built-in sample: a cell on black, a cell among red cells, a smear.

Each takes a ``numpy.random.RandomState``, a ``Stain`` and how immature the white cells are, and
returns a uint8 RGB picture.
"""

import numpy as np

from leukkit.datasets import drawing, stains


def single_cell(random, stain, immaturity, radius, size=112):
    """Draw one white cell cut out on black, as in C-NMC.

    Args:
        random: ``numpy.random.RandomState``.
        stain: The ``Stain``.
        immaturity: See ``drawing.draw_traits``.
        radius: Usual cell radius of the subject, in pixels; below 0.4 * size.
        size: Side of the picture in pixels.

    Returns:
        uint8 RGB (size, size, 3), exactly black outside the cell.
    """
    density = np.zeros((size, size, 3))
    traits = drawing.draw_traits(random, immaturity, radius)
    center = (size - 1) / 2 + random.uniform(-2.0, 2.0, 2)
    # The stain normalization of C-NMC leaves hardly any pale cytoplasm.
    stain = stain._replace(cytoplasm=2.4 * stain.cytoplasm)
    cell, _ = drawing.paint_white_cell(density, random, center, traits, stain)
    picture = stains.develop(density, stain, random, blur=random.uniform(0.6, 0.9), grain=2.5)
    return stains.to_pixels(drawing.cut_out(0.85 * picture, random, cell))


def cell_among_red_cells(random, stain, immaturity, radius, size=257):
    """Draw a white cell in the middle of red cells, as in ALL-IDB2.

    Args:
        random: ``numpy.random.RandomState``.
        stain: The ``Stain``.
        immaturity: See ``drawing.draw_traits``.
        radius: Usual white cell radius of the subject, in pixels.
        size: Side of the picture in pixels.

    Returns:
        (picture, nucleus): uint8 RGB (size, size, 3) and the true nucleus, bool (size, size).
    """
    density = np.zeros((size, size, 3))
    traits = drawing.draw_traits(random, immaturity, radius)
    center = tuple((size - 1) / 2 + random.uniform(-9.0, 9.0, 2))
    taken = [(center, 1.06 * traits.radius)]
    _paint_red_cells(density, random, stain, 0.72 * radius, random.randint(8, 15), taken)
    _paint_platelets(density, random, stain, 0.13 * radius, random.poisson(0.7), taken)
    _, nucleus = drawing.paint_white_cell(density, random, center, traits, stain)
    picture = stains.develop(density, stain, random, blur=random.uniform(0.7, 1.1))
    return stains.to_pixels(picture), nucleus > 0.5


def smear(random, stain, immaturities, radius, size=224):
    """Draw a field of a smear: several white cells, red cells, platelets.

    Args:
        random: ``numpy.random.RandomState``.
        stain: The ``Stain``.
        immaturities: One value per white cell, see ``drawing.draw_traits``.
        radius: Usual white cell radius of the subject, in pixels.
        size: Side of the picture in pixels.

    Returns:
        uint8 RGB (size, size, 3).
    """
    density = np.zeros((size, size, 3))
    white_cells = [drawing.draw_traits(random, value, radius) for value in immaturities]
    taken = []
    for traits in white_cells:
        _place(random, size, traits.radius, taken, inside=0.3)
    centers = [center for center, _ in taken]
    _paint_red_cells(density, random, stain, 0.68 * radius, random.randint(16, 30), taken)
    _paint_platelets(density, random, stain, 0.2 * radius, random.randint(1, 6), taken)
    for center, traits in zip(centers, white_cells, strict=False):
        drawing.paint_white_cell(density, random, center, traits, stain)
    return stains.to_pixels(stains.develop(density, stain, random, blur=random.uniform(0.6, 0.9)))


def _paint_red_cells(density, random, stain, radius, count, taken):
    for _ in range(count):
        red_radius = radius * random.uniform(0.88, 1.12)
        center = _place(random, density.shape[0], red_radius, taken, inside=-0.6, overlap=0.12)
        if center is not None:
            drawing.paint_red_cell(density, random, center, red_radius, stain)


def _paint_platelets(density, random, stain, radius, count, taken):
    for _ in range(count):
        platelet_radius = radius * random.uniform(0.7, 1.3)
        center = _place(random, density.shape[0], platelet_radius, taken, inside=1.0)
        if center is not None:
            drawing.paint_platelet(density, random, center, platelet_radius, stain)


def _place(random, size, radius, taken, inside, overlap=0.0, attempts=40):
    """Find a free place for a disc and note it in ``taken``; None if the field is full.

    Args:
        random: ``numpy.random.RandomState``.
        size: Side of the field in pixels.
        radius: Of the disc.
        taken: List of ((row, column), radius), extended in place.
        inside: How far the center keeps from the border, in radii; negative = may lie outside.
        overlap: Share of the disc's radius that may reach into its neighbors.
        attempts: How many places are tried.
    """
    margin = inside * radius
    for _ in range(attempts):
        center = tuple(random.uniform(margin, size - 1 - margin, 2))
        free = all(
            np.hypot(center[0] - row, center[1] - column) > other + (1.0 - overlap) * radius
            for (row, column), other in taken
        )
        if free:
            taken.append((center, radius))
            return center
    return None
