"""The synthetic pictures: a cell on black, a cell among red cells, a smear; painters and stains.

A picture is uint8 RGB (size, size, 3). ``immaturity`` is 0 for a typical mature lymphocyte, 1 for a
typical lymphoblast, and may lie outside; ``radius`` is the subject's usual radius of a white cell
in pixels.

A painter adds one thing to ``density``, a float field of optical density (height, width, 3), in
place, with its ``center`` (row, column). Edges are anti-aliased: every shape is a depth in pixels
(positive inside), turned into a cover of 0..1. At the end the picture is developed by the
Beer-Lambert law, light * exp(-density). So overlapping things darken each other as they do on
glass, and a subject's stain is a handful of numbers that touch every cell of that subject.

Everything is float64 NumPy and rounded once, at the end. The last bits of ``exp`` or of a matrix
product differ between machines by about 1e-13 of a gray level, which rounding removes; image
filters of other libraries, which change between versions, are not used.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState

Center = tuple[float, ...]  # row, column
ATTEMPTS = 40  # to find a free place
STAIN_AXES = ("strength", "hue", "warmth", "brightness", "cytoplasm", "red cells")


class Stain(NamedTuple):
    """The light and the dyes of one picture, three values each (red, green, blue)."""

    light: np.ndarray  # color of the empty glass, 0..255
    nucleus: np.ndarray  # optical density of nuclear dye (azure: absorbs green most, blue least)
    cytoplasm: np.ndarray  # optical density of stained cytoplasm (pale blue)
    red_cell: np.ndarray  # optical density of a red cell's rim (eosin)


class Traits(NamedTuple):
    """What a hematologist looks at in one white cell."""

    radius: float  # of the whole cell, in pixels
    nucleus_share: float  # nucleus area / cell area (the nucleus-to-cytoplasm ratio)
    irregularity: float  # relative waviness of the nuclear outline; 0.01 is round, 0.08 folded
    cleft: float  # depth of an indentation of the nucleus as a share of its radius; 0 = none
    clumping: float  # contrast of coarse, dark chromatin blocks (mature cells)
    fineness: float  # contrast of fine, open chromatin (blasts)
    nucleoli: int  # pale spots in the nucleus
    vacuoles: int  # clear bubbles in the cytoplasm


def single_cell(
    random: RandomState, stain: Stain, immaturity: float, radius: float, size: int = 112
) -> np.ndarray:
    """Draw one white cell cut out on exact black, as in C-NMC; radius below 0.4 * size."""
    density = np.zeros((size, size, 3))
    traits = draw_traits(random, immaturity, radius)
    # The largest of all must not reach the border: crops of C-NMC hold whole cells.
    traits = traits._replace(radius=min(traits.radius, 0.4 * size))
    center = tuple((size - 1) / 2 + random.uniform(-2.0, 2.0, 2))
    # The stain normalization of C-NMC leaves hardly any pale cytoplasm.
    stain = stain._replace(cytoplasm=2.4 * stain.cytoplasm)
    cell, _ = paint_white_cell(density, random, center, traits, stain)
    picture = develop(density, stain, random, blur=random.uniform(0.6, 0.9), grain=2.5)
    return to_pixels(cut_out(0.85 * picture, random, cell))


def cell_among_red_cells(
    random: RandomState, stain: Stain, immaturity: float, radius: float, size: int = 257
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a white cell among red cells, as in ALL-IDB2; return its true nucleus, bool, too."""
    density = np.zeros((size, size, 3))
    traits = draw_traits(random, immaturity, radius)
    center = tuple((size - 1) / 2 + random.uniform(-9.0, 9.0, 2))
    taken = [(center, 1.06 * traits.radius)]
    # As on many real smears, cytoplasm is violet, above the 141 in a that Farag et al. take for
    # nucleus: their rule keeps it in seven of ten pictures. Red cells are pale beside it.
    stain = stain._replace(
        cytoplasm=stain.cytoplasm * [0.8, 2.1, 4.1], red_cell=stain.red_cell * [1.0, 0.65, 0.8]
    )
    _add_red_cells(density, random, stain, 0.72 * radius, random.randint(8, 15), taken)
    _add_platelets(density, random, stain, 0.13 * radius, random.poisson(0.7), taken)
    _, nucleus = paint_white_cell(density, random, center, traits, stain)
    picture = develop(density, stain, random, blur=random.uniform(0.7, 1.1))
    return to_pixels(picture), nucleus > 0.5


def smear(
    random: RandomState,
    stain: Stain,
    immaturities: Iterable[float],
    radius: float,
    size: int = 224,
) -> np.ndarray:
    """Draw a field of a smear: a white cell for each immaturity, red cells, platelets."""
    density = np.zeros((size, size, 3))
    white_cells = [draw_traits(random, value, radius) for value in immaturities]
    taken: list[tuple[Center, float]] = []
    for traits in white_cells:
        _place(random, size, traits.radius, taken, inside=0.3)
    centers = [center for center, _ in taken]
    _add_red_cells(density, random, stain, 0.68 * radius, random.randint(16, 30), taken)
    _add_platelets(density, random, stain, 0.2 * radius, random.randint(1, 6), taken)
    for center, traits in zip(centers, white_cells, strict=False):
        paint_white_cell(density, random, center, traits, stain)
    return to_pixels(develop(density, stain, random, blur=random.uniform(0.6, 0.9)))


def draw_traits(random: RandomState, immaturity: float, radius: float) -> Traits:
    """Draw the traits of one white cell.

    Every trait leans on ``immaturity`` but has a scatter of its own, so that no trait, and no set
    of them, tells the classes apart without error.
    """
    scatter = random.standard_normal(6)
    return Traits(
        radius=radius * np.exp(0.18 * (immaturity - 0.5) + 0.095 * scatter[0]),
        nucleus_share=float(np.clip(0.55 + 0.27 * immaturity + 0.055 * scatter[1], 0.38, 0.9)),
        irregularity=float(np.clip(0.014 + 0.034 * immaturity + 0.011 * scatter[2], 0.006, 0.08)),
        cleft=float(np.clip(0.16 * immaturity - 0.03 + 0.12 * scatter[3], 0.0, 0.4)),
        clumping=float(np.clip(0.25 - 0.17 * immaturity + 0.045 * scatter[4], 0.03, 0.34)),
        fineness=float(np.clip(0.04 + 0.06 * immaturity + 0.02 * scatter[5], 0.02, 0.14)),
        nucleoli=int(random.poisson(max(0.05, 1.9 * immaturity - 0.2))),
        vacuoles=int(random.poisson(0.25)),
    )


def paint_white_cell(
    density: np.ndarray, random: RandomState, center: Center, traits: Traits, stain: Stain
) -> tuple[np.ndarray, np.ndarray]:
    """Paint a white cell over what is there; return the cover of the cell and of its nucleus."""
    rows, columns, y, x = _window(density, center, 1.35 * traits.radius)
    cell_depth = _blob_depth(random, y, x, traits.radius, 0.018, stretch=0.05)
    cell = _cover(cell_depth, 1.8)
    nucleus_depth = _nucleus_depth(random, y, x, traits, cell_depth)
    nucleus = _cover(nucleus_depth, 1.8)
    # Dye bleeds over the true edge of a nucleus or stops short of it, here by up to some 5%.
    bleeding = 0.016 * traits.radius * random.standard_normal()
    dyed = _cover(nucleus_depth + bleeding, 1.8 + 0.03 * traits.radius * random.uniform(0.0, 2.0))
    shape = cell.shape

    cytoplasm = 0.85 + 0.10 * smooth_noise(random, shape, traits.radius / 6)
    cytoplasm += 0.35 * np.exp(
        -np.maximum(cell_depth, 0.0) / (0.07 * traits.radius)
    )  # basophil rim
    cytoplasm -= 0.25 * np.exp(-np.maximum(-nucleus_depth, 0.0) / (0.06 * traits.radius))  # halo
    for _ in range(traits.vacuoles):
        cytoplasm *= 1.0 - 0.7 * _spot(random, y, x, traits.radius, 0.05, reach=0.9)

    chromatin = _chromatin(random, y, x, traits, nucleus_depth)
    painted = (
        stain.cytoplasm * (cytoplasm * (1.0 - dyed))[..., None]
        + stain.nucleus * (chromatin * dyed)[..., None]
    )
    below = density[rows, columns]
    density[rows, columns] = below * (1.0 - cell)[..., None] + painted * cell[..., None]
    covers = np.zeros((2, *density.shape[:2]))
    covers[:, rows, columns] = cell, nucleus * cell
    return covers[0], covers[1]


def paint_red_cell(
    density: np.ndarray, random: RandomState, center: Center, radius: float, stain: Stain
) -> None:
    """Paint a red cell: a disc with a thick rim and central pallor."""
    rows, columns, y, x = _window(density, center, 1.5 * radius)
    depth = _blob_depth(random, y, x, radius, 0.02, stretch=0.07)
    inward = np.clip(depth / radius, 0.0, 1.0)
    pallor = random.uniform(0.25, 0.75)
    width = random.uniform(0.22, 0.34)
    profile = 1.0 - pallor / (1.0 + np.exp(-(inward - 0.52) / (width * 0.3)))
    profile += 0.25 * np.exp(-((inward / 0.07) ** 2))
    profile += 0.05 * smooth_noise(random, depth.shape, radius / 2.5)
    thickness = np.exp(0.1 * random.standard_normal())
    layer = thickness * profile * _cover(depth, 2.0)
    density[rows, columns] += stain.red_cell * layer[..., None]


def paint_platelet(
    density: np.ndarray, random: RandomState, center: Center, radius: float, stain: Stain
) -> None:
    """Paint a platelet: a pale lilac scrap full of darker granules."""
    rows, columns, y, x = _window(density, center, 1.6 * radius)
    body = _cover(_blob_depth(random, y, x, radius, 0.06, stretch=0.12), 2.2)
    granules = np.zeros_like(body)
    for _ in range(random.randint(5, 11)):
        granules = np.maximum(granules, _spot(random, y, x, radius, 0.22, reach=0.65))
    layer = stain.cytoplasm * 0.6 + stain.nucleus * (0.10 + 0.24 * granules)[..., None]
    density[rows, columns] += layer * body[..., None]


def cut_out(picture: np.ndarray, random: RandomState, cell: np.ndarray) -> np.ndarray:
    """Put a cell of that cover on exact black, with the ragged cut of a segmentation program."""
    blurred = soften(cell[..., None], 1.2)[..., 0]
    ragged = blurred + 0.4 * blurred * (1.0 - blurred) * smooth_noise(random, cell.shape, 5)
    return picture * np.clip((ragged - 0.5) / 0.3 + 0.5, 0.0, 1.0)[..., None]


def _add_red_cells(density, random, stain, radius, count, taken):
    for _ in range(count):
        own = radius * random.uniform(0.88, 1.12)
        center = _place(random, density.shape[0], own, taken, inside=-0.6, overlap=0.12)
        if center is not None:
            paint_red_cell(density, random, center, own, stain)


def _add_platelets(density, random, stain, radius, count, taken):
    for _ in range(count):
        own = radius * random.uniform(0.7, 1.3)
        center = _place(random, density.shape[0], own, taken, inside=1.0)
        if center is not None:
            paint_platelet(density, random, center, own, stain)


def _place(random, size, radius, taken, inside, overlap=0.0):
    """Find a free place for a disc and note it in ``taken``; None if the field is full.

    The center keeps ``inside`` radii from the border (negative: it may lie outside); ``overlap`` is
    the share of the radius that may reach into the discs of ``taken``, ((row, column), radius).
    """
    margin = inside * radius
    for _ in range(ATTEMPTS):
        center = tuple(random.uniform(margin, size - 1 - margin, 2))
        free = all(
            np.hypot(center[0] - row, center[1] - column) > other + (1.0 - overlap) * radius
            for (row, column), other in taken
        )
        if free:
            taken.append((center, radius))
            return center
    return None


def _nucleus_depth(random, y, x, traits, cell_depth):
    radius = traits.radius * np.sqrt(traits.nucleus_share)
    angle = random.uniform(0.0, 2.0 * np.pi)
    shift = random.uniform(0.2, 0.9) * (traits.radius - radius)
    row, column = shift * np.sin(angle), shift * np.cos(angle)
    depth = _blob_depth(random, y - row, x - column, radius, traits.irregularity, stretch=0.06)
    angle = random.uniform(0.0, 2.0 * np.pi)
    bite = random.uniform(0.35, 0.7) * radius
    row += (radius + bite - traits.cleft * radius) * np.sin(angle)
    column += (radius + bite - traits.cleft * radius) * np.cos(angle)
    depth = _soft_minimum(depth, np.hypot(y - row, x - column) - bite, 0.07 * radius)
    return _soft_minimum(depth, cell_depth - 1.2, 0.05 * radius)  # inside a rim of cytoplasm


def _chromatin(random, y, x, traits, depth):
    shape, radius = depth.shape, traits.radius
    clumps = np.tanh(1.6 * smooth_noise(random, shape, radius / 4.5))
    threads = smooth_noise(random, shape, radius / 13)
    chromatin = 1.0 + traits.clumping * clumps + traits.fineness * threads
    chromatin += 0.16 * np.exp(-np.maximum(depth, 0.0) / (0.05 * radius))  # the membrane
    chromatin *= 1.06 - 0.5 * traits.fineness + 0.3 * traits.clumping
    for _ in range(traits.nucleoli):
        chromatin *= 1.0 - 0.34 * _spot(random, y, x, radius, 0.10, reach=0.55)
    return np.maximum(chromatin, 0.3)


def _spot(random, y, x, radius, size, reach):
    """Return a soft round spot (0..1) at random within ``reach`` of a shape's radius."""
    angle = random.uniform(0.0, 2.0 * np.pi)
    distance = reach * radius * np.sqrt(random.uniform(0.0, 1.0))
    spot = radius * size * random.uniform(0.7, 1.4)
    square = (y - distance * np.sin(angle)) ** 2 + (x - distance * np.cos(angle)) ** 2
    return np.exp(-((square / spot**2) ** 2))


def _window(density, center, reach):
    """Return the slices around ``center`` and the coordinates from it.

    The center may lie outside the picture, but some of the window must lie inside.
    """
    spans = []
    for middle, length in zip(center, density.shape[:2], strict=True):
        first = max(0, int(np.floor(middle - reach)))
        last = min(length, int(np.ceil(middle + reach)) + 1)
        spans.append((slice(first, last), np.arange(first, last) - middle))
    (rows, y), (columns, x) = spans
    return rows, columns, y[:, None], x[None, :]


def _blob_depth(random, y, x, radius, waviness, stretch):
    """Return how deep inside a wavy disc each pixel lies: about pixels, negative outside."""
    scale = np.array([stretch, 1.5 * waviness, waviness, 0.45 * waviness, 0.25 * waviness])
    waves = scale * random.standard_normal(5) * np.exp(1j * random.uniform(0.0, 2.0 * np.pi, 5))
    distance = np.sqrt(y * y + x * x)
    direction = (x + 1j * y) / np.maximum(distance, 1e-9)
    edge = np.ones_like(distance)
    turn = direction
    for wave in waves:  # two to six waves around the outline
        turn = turn * direction  # direction**k has the real part cos(k * angle)
        edge += (wave * turn).real
    return radius * edge - distance


def _cover(depth, width):
    """Return 0 outside, 1 inside, and a smooth ramp ``width`` pixels wide between."""
    ramp = np.clip(depth / width + 0.5, 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def _soft_minimum(a, b, width):
    """Return the smaller of two depths, with the corner between them rounded."""
    blend = np.clip(0.5 + (b - a) / (2.0 * width), 0.0, 1.0)
    return b + (a - b) * blend - width * blend * (1.0 - blend)


# ----------------------------------------------------------------------- stain, light and camera


def stain_at(position: np.ndarray) -> Stain:
    """Return the stain at a point of the space that subjects and pictures are scattered in.

    ``position`` is a number per name of ``STAIN_AXES``, normal over subjects and pictures (see the
    spreads in `leukkit.datasets.sample`) and cut to -2..2, so that every nucleus stays purple
    (8-bit LAB a above 141) and every red cell and cytoplasm pale (below it) in nearly all pictures
    (but see `cell_among_red_cells`).
    """
    strength, hue, warmth, brightness, cytoplasm, red_cells = np.clip(position, -2.0, 2.0)
    light = np.array([226.0, 214.0, 207.0]) * (1.0 + 0.085 * brightness)
    return Stain(
        light=light + warmth * np.array([1.0, 0.0, -2.5]),
        nucleus=(np.array([0.74, 1.14, 0.32]) + hue * np.array([0.038, 0.0, -0.025]))
        * np.exp(0.12 * strength),
        cytoplasm=(np.array([0.27, 0.22, 0.03]) + hue * np.array([0.01, 0.0, -0.005]))
        * np.exp(0.26 * cytoplasm),
        red_cell=np.array([0.07, 0.18, 0.185]) * np.exp(0.12 * red_cells)
        + warmth * np.array([0.0, 0.0, 0.0075]),
    )


def develop(
    density: np.ndarray, stain: Stain, random: RandomState, blur: float = 0.7, grain: float = 4.0
) -> np.ndarray:
    """Turn optical density into the picture a camera would take, with uneven light and grain.

    Args:
        density: Float (height, width, 3).
        stain: Its light is used.
        random: The random numbers.
        blur: Standard deviation of the lens blur in pixels.
        grain: Standard deviation of the noise in gray levels, before the blur thins it.

    Returns:
        Float (height, width, 3), 0..255, not yet rounded (see `to_pixels`).
    """
    height, width = density.shape[:2]
    uneven = 1.0 + 0.012 * smooth_noise(random, (height, width), max(height, width) / 2)
    picture = stain.light * np.exp(-density) * uneven[..., None]
    noisy = picture + grain * random.standard_normal(density.shape)
    return np.clip(soften(noisy, blur), 0.0, 255.0)


def to_pixels(picture: np.ndarray) -> np.ndarray:
    """Round a picture (float, 0..255) to uint8."""
    return np.rint(np.clip(picture, 0.0, 255.0)).astype(np.uint8)


def soften(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (height, width, channels) with a Gaussian cut at two pixels; edges are repeated."""
    weights = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2)
    weights /= weights.sum()
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((2, 2), (0, 0), (0, 0)), mode="edge")
    rows = sum(weight * padded[i : i + height] for i, weight in enumerate(weights))
    padded = np.pad(rows, ((0, 0), (2, 2), (0, 0)), mode="edge")
    return sum(weight * padded[:, i : i + width] for i, weight in enumerate(weights))


def smooth_noise(random: RandomState, shape: tuple[int, int], spacing: float) -> np.ndarray:
    """Return noise without edges: random knots ``spacing`` pixels apart, joined by cubic B-splines.

    Its mean is 0 and its standard deviation about 1 over many arrays.
    """
    rows, columns = (_spline_weights(length, spacing) for length in shape)
    knots = random.standard_normal((rows.shape[1], columns.shape[1]))
    return rows @ knots @ columns.T / 0.479  # 0.479: mean sum of squared weights along one axis


def _spline_weights(length: int, spacing: float) -> np.ndarray:
    knots = int(np.ceil(length / spacing)) + 3
    distance = np.abs(np.arange(length)[:, None] / spacing - np.arange(-1, knots - 1)[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.maximum(2.0 - distance, 0.0) ** 3 / 6.0
    return np.where(distance < 1.0, near, far)
