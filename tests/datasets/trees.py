"""Tiny data sets of synthetic images, in the layouts that people have on their disks."""

import numpy as np
from PIL import Image

LABELS_CSV = "C-NMC_test_prelim_phase_data_labels.csv"


def draw(seed, side):
    """A purple disc on black whose place and shade depend on the seed."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    center = random.uniform(0.3, 0.7, 2) * side
    inside = np.hypot(rows - center[0], columns - center[1]) < random.uniform(0.1, 0.3) * side
    return (inside[:, :, None] * random.integers(60, 200, 3)).astype(np.uint8)


def write(path, seed, side, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(seed, side)).save(path, **options)
    return path


TRAINING = {  # name -> seed; equal seeds are byte-identical images
    "fold_0/all/UID_51_1_1_all": 1,
    "fold_0/all/UID_51_1_2_all": 2,
    "fold_0/hem/UID_H10_1_1_hem": 3,
    "fold_1/all/UID_3_2_1_all": 4,
    "fold_1/hem/UID_h3_2_1_hem": 3,
    "fold_2/all/UID_78_10_1_all": 1,
    "fold_2/hem/UID_H2_1_1_hem": 5,
}
PRELIMINARY = {"1": ("UID_57_29_1_all", 6, 1), "2": ("UID_H30_4_2_hem", 7, 0)}
FINAL = {"1": 8, "2": 9, "10": 10}


def write_cnmc(
    root,
    ending="bmp",
    training="C-NMC_training_data",
    preliminary="C-NMC_test_prelim_phase_data",
    final="C-NMC_test_final_phase_data",
    labels=LABELS_CSV,
):
    """Write all three phases; the folders default to the layout of the publisher."""
    for name, seed in TRAINING.items():
        write(root / training / f"{name}.{ending}", seed, 450)
    rows = ["Patient_ID,new_names,labels"]
    for number, (name, seed, label) in PRELIMINARY.items():
        write(root / preliminary / f"{number}.{ending}", seed, 450)
        rows.append(f"{name}.bmp,{number}.bmp,{label}")
    (root / labels).parent.mkdir(parents=True, exist_ok=True)
    (root / labels).write_text("\n".join(rows) + "\n")
    for number, seed in FINAL.items():
        write(root / final / f"{number}.{ending}", seed, 600)
    return root


def write_all_idb2(root, side=257):
    for number in (1, 2, 10):
        write(root / f"ALL_IDB2/img/Im{number:03}_1.tif", number, side)
        write(root / f"ALL_IDB2/img/Im{number + 130}_0.tif", number + 130, side)
    return root


def write_all_2021(root, numbers=(1, 2, 37, 38)):
    for variant, offset in (("Original", 0), ("Segmented", 1000)):
        for position, label in enumerate(("Benign", "Early", "Pre", "Pro")):
            kind = label if label == "Benign" else f"Malignant-{label}"
            for number in numbers:
                path = root / variant / label / f"WBC-{kind}-{number:03}.jpg"
                write(path, offset + 100 * position + number, 224)
    return root
