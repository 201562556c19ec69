"""The command line: ``leukkit reproduce``, ``report``, ``predict``, ``audit``, ``gap`` and more."""

import argparse
import os
import pathlib
import sys

import leukkit
from leukkit import commands

DESCRIPTION = (
    "What a leukemia image classifier is really worth: papers re-run, with and without leaks."
)
SHARED_ARGUMENTS = {
    "name": {"help": "a data set, e.g. cnmc-2019"},
    "--root": {"help": "the data set's folder, if not LEUKKIT_DATA_DIR/<name>"},
    "--profile": {"default": "sample", "help": "sample (default), paper, or a profile's TOML file"},
    "--data-dir": {"help": "folder that holds the data sets (LEUKKIT_DATA_DIR)"},
    "--results-dir": {"help": "folder of the results (LEUKKIT_RESULTS_DIR)"},
    "--report-dir": {
        "type": pathlib.Path,
        "default": pathlib.Path("report"),
        "help": "folder of the report (default: report)",
    },
}


def main(arguments=None):
    """Run a command; return the exit status (0 fine, 1 the work failed, 2 wrong call)."""
    options = _parser().parse_args(arguments)
    for name, variable in (
        ("data_dir", "LEUKKIT_DATA_DIR"),
        ("results_dir", "LEUKKIT_RESULTS_DIR"),
        ("profile", "LEUKKIT_PROFILE"),
    ):
        value = getattr(options, name, None)
        if value is not None:  # the notebooks' kernels read the environment
            is_path = name != "profile" or value.endswith(".toml")
            os.environ[variable] = str(pathlib.Path(value).resolve()) if is_path else value
    try:
        return options.command(options)
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("LEUKKIT_TRACEBACK"):
            raise
        print(f"leukkit: {error}", file=sys.stderr)
        print("(LEUKKIT_TRACEBACK=1 shows where it happened)", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="leukkit", description=DESCRIPTION, epilog=leukkit.NOT_FOR_CLINICAL_USE
    )
    parser.add_argument("--version", action="version", version=leukkit.__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    reproduce = subparsers.add_parser(
        "reproduce", help="run a paper's notebook and print published | reproduced | leak-free"
    )
    reproduce.add_argument(
        "paper", nargs="?", default="all", help="a paper's key, or all (default)"
    )
    _add(reproduce, "--profile", "--data-dir", "--results-dir", "--report-dir")
    reproduce.add_argument(
        "--in-place", action="store_true", help="also keep the outputs in notebooks/"
    )
    reproduce.set_defaults(command=commands.reproduce)

    report = subparsers.add_parser("report", help="write report/index.html from the results alone")
    _add(report, "--results-dir", "--report-dir")
    report.set_defaults(command=commands.report)

    predict = subparsers.add_parser(
        "predict", help="say what a kept model makes of images, and whether they are like its own"
    )
    predict.add_argument("model", help="a fold's folder with a kept model, or the model file in it")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="image file, or folder of them")
    predict.add_argument(
        "--output", type=pathlib.Path, metavar="FILE", help="write the answers as .csv or .json"
    )
    predict.add_argument(
        "--grad-cam", type=pathlib.Path, metavar="FOLDER", help="draw where a network looks"
    )
    predict.set_defaults(command=commands.predict)

    audit = subparsers.add_parser("audit", help="print which of a paper's numbers can be true")
    audit.add_argument("paper", nargs="?", default="all", help="a paper's key, or all (default)")
    audit.add_argument("--verdict", help="only these rows: consistent, inconsistent, not checkable")
    audit.add_argument("--csv", type=pathlib.Path, metavar="FILE", help="write the rows to FILE")
    audit.set_defaults(command=commands.audit)

    honest = subparsers.add_parser(
        "honest", help="run the methods of all papers under one leak-free protocol, and rank them"
    )
    _add(honest, "--profile", "--data-dir", "--results-dir")
    honest.set_defaults(command=commands.honest)

    gap = subparsers.add_parser(
        "gap", help="run one classifier split after split: what each leak is worth"
    )
    _add(gap, "--profile", "--data-dir", "--results-dir")
    gap.add_argument("--figure", type=pathlib.Path, metavar="FILE", help="write the figure (AUC)")
    gap.set_defaults(command=commands.gap)

    data = subparsers.add_parser("data", help="get and check data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download a data set, or say how to get it")
    _add(fetch, "name", "--data-dir")
    fetch.set_defaults(command=commands.fetch)
    check = actions.add_parser("check", help="print what is wrong with a data set")
    _add(check, "name", "--root", "--data-dir")
    check.add_argument(
        "--near-duplicates", action="store_true", help="also look for images that are nearly alike"
    )
    check.add_argument(
        "--figure", type=pathlib.Path, metavar="FILE", help="write the nearly alike pairs as figure"
    )
    check.set_defaults(command=commands.check)
    card = actions.add_parser("card", help="write a data set's card: source, contents, traps, uses")
    _add(card, "name", "--root", "--data-dir")
    card.add_argument(
        "--output", type=pathlib.Path, metavar="FILE", help="write the card to FILE (Markdown)"
    )
    card.set_defaults(command=commands.card)
    return parser


def _add(command, *names):
    """Add arguments that several commands share."""
    for name in names:
        command.add_argument(name, **SHARED_ARGUMENTS[name])


if __name__ == "__main__":
    sys.exit(main())
