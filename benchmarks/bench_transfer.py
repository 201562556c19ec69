"""Three synthetic sets in which color says the class: two alike, the third the other way round.

Cells of ``sample-cells`` from three seeds, tinted by class. A method that learned the tint does
well from A to B and worse than chance to C. Draws ``transfer.png`` into the folder of the results.
"""

import pathlib
import tempfile

import cv2
import numpy as np

from leukkit import files, plots
from leukkit.benchmark import transfer
from leukkit.datasets import sample

TINT = np.array([1.2, 1.0, 0.83])  # of red, green and blue; the other class has its inverse
SETS = {"A": (11, "ALL"), "B": (12, "ALL"), "C": (13, "healthy")}  # seed, which class is reddened
METHODS = "farag2025:rf"


def write(folder, seed, reddened):
    """Write tinted cells as a folder of one's own."""
    lines = ["file,label,patient"]
    for cell in sample.load("sample-cells", seed=seed).itertuples():
        name = f"{cell.label}/{cell.image_id}.png"
        (folder / cell.label).mkdir(parents=True, exist_ok=True)
        tint = TINT if cell.label == reddened else 1 / TINT
        picture = cv2.imread(cell.path) * tint[::-1]
        cv2.imwrite(str(folder / name), np.rint(picture).clip(0, 255).astype(np.uint8))
        lines.append(f"{name},{cell.label},{cell.patient}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def main():
    """Print the matrix of every method, and keep the figure."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: pathlib.Path(temporary) / name for name in SETS}
        for name, (seed, reddened) in SETS.items():
            write(folders[name], seed, reddened)
        loaded = transfer.load([*map(str, folders.values())], "sample", METHODS)
        prepared = transfer.prepare(loaded)
        print(transfer.left_out(prepared).to_string(index=False))
        transfer.run(loaded, prepared)
    measured = transfer.measure(transfer.name_of(loaded))
    print(transfer.matrix(measured).to_string())
    place = files.results_dir() / "transfer.png"
    plots.transfer(measured).flat[0].figure.savefig(place, dpi=100)
    print(place)


if __name__ == "__main__":
    main()
