"""Ask a saved model about images of your own: probabilities, where it looks, and a warning.

Research software, not for clinical use.
"""

from leukkit.predict.exported import export
from leukkit.predict.model import (
    Predictor,
    check_explainable,
    check_maps,
    find_images,
    load,
    look,
    predict,
)
from leukkit.predict.output import (
    as_html,
    as_text,
    check_output,
    describe,
    draw,
    form,
    named,
    write,
    write_figures,
)
from leukkit.predict.patients import assign, by_patient, patients_text, scores

__all__ = [
    "Predictor",
    "as_html",
    "as_text",
    "assign",
    "by_patient",
    "check_explainable",
    "check_maps",
    "check_output",
    "describe",
    "draw",
    "export",
    "find_images",
    "form",
    "load",
    "look",
    "named",
    "patients_text",
    "predict",
    "scores",
    "write",
    "write_figures",
]
