"""``python -m tools.measure_segmentation FOLDER``: each rule against true nuclei.

FOLDER holds images (BMP, JPEG, TIFF) and beside each the true mask as a PNG of the same name, white
where the nucleus is, darker elsewhere: the layout of the two public sets of Zheng et al. 2018
(https://github.com/zxaoyou/segmentation_WBC, "Dataset 1" and "Dataset 2"). Without a folder:
``sample-idb``. Printed for each rule: the mean and the smallest Dice coefficient, and in how many
images the published rule keeps one cluster, two, ….
"""

import collections
import pathlib
import sys

import numpy as np
import PIL.Image

from leukkit import datasets, images, segmentation
from leukkit.datasets import decode

CHOICES = [("above threshold", 7), *((rule, 3) for rule in segmentation.RULES)]
WHITE = 200  # of 0..255: cytoplasm is gray (128) in the masks of Zheng et al.


def pairs(folder: pathlib.Path) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Return each image of a folder with its mask."""
    suffixes = decode.SUFFIXES.keys() - {".png"}
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not found:
        raise SystemExit(f"{folder}: no image (BMP, JPEG, TIFF), expected some beside PNG masks")
    return [(path, path.with_suffix(".png")) for path in found]


def main(arguments: list[str]) -> None:
    """Print the tables."""
    if arguments:
        files = pairs(pathlib.Path(arguments[0]))
    else:
        cells = datasets.load("sample-idb")
        files = list(zip(cells["path"], cells["mask"], strict=True))
    overlaps = collections.defaultdict(list)
    kept = collections.Counter()
    for path, mask in files:
        rgb, truth = images.read(path), np.asarray(PIL.Image.open(mask).convert("L")) > WHITE
        for rule, k in CHOICES:
            found = segmentation.segment_nucleus(rgb, k, rule=rule)
            overlaps[rule, k].append(segmentation.dice(found, truth))
        centers, _ = segmentation.kmeans_channel(segmentation.rgb_to_lab(rgb)[..., 1], 3)
        kept[int((centers > 141).sum())] += 1
    print("| rule | K | mean Dice | smallest |\n|---|---|---|---|")
    for (rule, k), values in overlaps.items():
        print(f"| {rule} | {k} | {np.mean(values):.2f} | {np.min(values):.2f} |")
    counts = ", ".join(f"{count} in {number}" for count, number in sorted(kept.items()))
    print(f"\nClusters of three above 141: {counts} of {len(files)} images")


if __name__ == "__main__":
    main(sys.argv[1:])
