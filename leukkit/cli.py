"""The command line: ``leukkit reproduce``, ``report``, ``predict``, ``audit``, ``gap`` and more.

Each command is a function that takes the options, prints, and returns the status. What it needs is
imported in it, so that ``leukkit --help`` stays quick.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import leukkit

DESCRIPTION = (
    "What a leukemia image classifier is really worth: papers re-run, with and without leaks."
)
SHARED_ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"help": "a data set, e.g. cnmc-2019"},
    "paper": {"nargs": "?", "default": "all", "help": "a paper's key, or all (default)"},
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


def main(arguments: Sequence[str] | None = None) -> int:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leukkit", description=DESCRIPTION, epilog=leukkit.NOT_FOR_CLINICAL_USE
    )
    parser.add_argument("--version", action="version", version=leukkit.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    text = "run a paper's notebook and print published | reproduced | leak-free"
    command = _add(commands, reproduce, text, "paper", "--profile", "--data-dir", "--results-dir")
    command.add_argument("--report-dir", **SHARED_ARGUMENTS["--report-dir"])
    command.add_argument(
        "--in-place", action="store_true", help="also keep the outputs in notebooks/"
    )
    text = "write report/index.html from the results alone"
    _add(commands, report, text, "--results-dir", "--report-dir")
    command = _add(commands, notebooks, "copy the notebooks into a folder, to change them there")
    command.add_argument("folder", type=pathlib.Path, metavar="DIR")

    text = "say what a saved model makes of images, and whether they are like its own"
    command = _add(commands, predict, text)
    command.add_argument("model", help="a fold's folder with a saved model, or the model file")
    command.add_argument("images", nargs="+", metavar="IMAGE", help="image file, or folder of them")
    _add_file(command, "--output", "write the answers as .csv or .json")
    command.add_argument(
        "--grad-cam", type=pathlib.Path, metavar="FOLDER", help="draw where a network looks"
    )
    command = _add(commands, audit, "print which of a paper's numbers can be true", "paper")
    command.add_argument(
        "--verdict", help="only these rows: consistent, inconsistent, not checkable"
    )
    _add_file(command, "--csv", "write the rows to FILE")

    text = "run the methods of all papers under one leak-free split, and rank them"
    _add(commands, honest, text, "--profile", "--data-dir", "--results-dir")
    text = "run one classifier split after split: what each leak is worth"
    command = _add(commands, gap, text, "--profile", "--data-dir", "--results-dir")
    _add_file(command, "--figure", "write the figure (AUC)")

    data = commands.add_parser("data", help="get and check data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    _add(actions, fetch, "download a data set, or say how to get it", "name", "--data-dir")
    text = "print what is wrong with a data set"
    command = _add(actions, check, text, "name", "--root", "--data-dir")
    command.add_argument(
        "--near-duplicates", action="store_true", help="also look for images that are nearly alike"
    )
    _add_file(command, "--figure", "write the nearly alike pairs as figure")
    text = "write a data set's card: source, contents, traps, uses"
    command = _add(actions, card, text, "name", "--root", "--data-dir")
    _add_file(command, "--output", "write the card to FILE (Markdown)")
    return parser


def _add(commands: Any, function: Any, text: str, *shared: str) -> argparse.ArgumentParser:
    """Add a command, named after its function, with arguments that several commands share."""
    command = commands.add_parser(function.__name__, help=text)
    command.set_defaults(command=function)
    for name in shared:
        command.add_argument(name, **SHARED_ARGUMENTS[name])
    return command


def _add_file(command: argparse.ArgumentParser, name: str, text: str) -> None:
    command.add_argument(name, type=pathlib.Path, metavar="FILE", help=text)


def reproduce(options: argparse.Namespace) -> int:
    """Run notebooks, keep them, print the comparison, and write the report."""
    from leukkit import files, papers
    from leukkit.report import notebooks, print_comparison

    profile = os.environ["LEUKKIT_PROFILE"]
    if options.paper != "all":  # a wrong name must not cost the minutes of a run
        papers.load(options.paper).profile(profile)
    paths = notebooks.find(options.paper)
    if options.in_place and notebooks.are_installed():
        raise ValueError(
            "--in-place would change the installed package: copy the notebooks with "
            "`leukkit notebooks DIR`, and open them there"
        )
    base = files.results_dir().resolve()
    os.environ["LEUKKIT_RESULTS_DIR"] = str(base)  # whatever folder a notebook runs in
    for path in paths:
        executed = notebooks.execute(path)
        notebooks.keep(executed, notebooks.kept_path(base, profile, path))
        if options.in_place:
            notebooks.keep(executed, path)
    for key in sorted({key for path in paths for key in notebooks.papers_of(path)}):
        print_comparison(papers.load(key), profile)
    print()
    return report(options)


def report(options: argparse.Namespace) -> int:
    """Write the cards of saved models, and the report, from the results alone."""
    from leukkit import files
    from leukkit.report import cards, page

    base = files.results_dir()
    written = cards.write_model_cards(base)
    for row in written[written["skipped"].notna()].itertuples():
        print(f"no card for {row.model}: {row.skipped}", file=sys.stderr)
    print(f"The report: {page.build(base, options.report_dir)}. {leukkit.NOT_FOR_CLINICAL_USE}")
    return 0


def notebooks(options: argparse.Namespace) -> int:
    """Copy the notebooks into a folder; nothing there is overwritten."""
    from leukkit.report import notebooks

    copied = notebooks.copy(options.folder)
    print(f"{len(copied)} notebooks in {options.folder}: jupyter lab {options.folder}")
    return 0


def predict(options: argparse.Namespace) -> int:
    """Print what a saved model makes of images; 1 if one of them could not be read."""
    from leukkit import predict

    if options.output is not None:  # a wrong name must not cost the minutes of a run
        predict.check_output(options.output)
    paths = predict.find_images(options.images)
    predictor = predict.load(options.model)
    if options.grad_cam is not None:
        predict.check_explainable(predictor)
    print("\n".join(predict.describe(predictor)), end="\n\n")
    frame = predict.predict(predictor, paths)
    print(predict.as_text(frame))
    if options.output is not None:
        predict.write(frame, predictor, options.output)
        print(f"written: {options.output}")
    if options.grad_cam is not None:
        for path in predict.write_figures(predictor, frame, options.grad_cam):
            print(f"written: {path}")
    print(leukkit.NOT_FOR_CLINICAL_USE)
    return int(frame["error"].notna().any())


def audit(options: argparse.Namespace) -> int:
    """Print the verdicts on the printed numbers."""
    from leukkit import audit

    frame = audit.run(None if options.paper == "all" else options.paper)
    if options.csv is not None:
        frame.to_csv(options.csv, index=False)
    print(audit.as_text(frame, options.verdict))
    return 0


def honest(options: argparse.Namespace) -> int:
    """Run the honest benchmark and print its leaderboards."""
    import pandas as pd

    from leukkit.benchmark import leaderboard

    reasons = {split: leaderboard.problem(options.profile, split) for split in leaderboard.SPLITS}
    for split, reason in reasons.items():
        if not reason:
            leaderboard.run(options.profile, split)
    leaderboard.time_methods(options.profile)
    measured, methods = leaderboard.measure(options.profile), leaderboard.methods(options.profile)
    pd.set_option("display.max_columns", None, "display.width", None, "display.max_rows", None)
    for split, reason in reasons.items():
        print(f"\n{split}: {reason or 'intervals (95%) over subjects'}")
        if not reason:
            print(leaderboard.leaderboard(measured, split, methods).to_string())
    print("\nOther people's results, on their own splits:")
    others = leaderboard.references()[["who", "quantity", "value", "split"]]
    print(others.to_string(index=False))
    print(leukkit.NOT_FOR_CLINICAL_USE)
    return 0


def gap(options: argparse.Namespace) -> int:
    """Run the ladders of the gap and print their steps."""
    from leukkit.benchmark import gap

    gap.run(options.profile)
    measured = gap.measure(options.profile)
    for quantity in gap.QUANTITIES:
        print(f"{gap.steps(measured, quantity).to_string()}\n")
    if options.figure is not None:
        from leukkit import plots

        _write_figure(plots.gap_ladder(measured, title=gap.title(measured)), options.figure)
    print(leukkit.NOT_FOR_CLINICAL_USE)
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Get a data set, or say how."""
    from leukkit import datasets

    print(datasets.fetch(options.name))
    return 0


def check(options: argparse.Namespace) -> int:
    """Print what is wrong with a data set; 1 if images are damaged."""
    from leukkit import datasets
    from leukkit.datasets import near_duplicates

    cells = datasets.load(options.name, root=options.root, damaged="keep")
    pairs = None
    if options.near_duplicates or options.figure is not None:
        pairs = near_duplicates.find(cells)
    problems = datasets.check(cells, pairs)
    print(
        f"{options.name}: {len(cells)} images, {cells['patient'].nunique()} patients, "
        f"{cells['subject'].nunique()} subjects; {len(problems)} findings"
    )
    if len(problems):
        print(problems["kind"].value_counts().to_string())
        print(problems.to_string(index=False, max_colwidth=100))
    if pairs is not None:
        print(f"\nnear-duplicates\n{near_duplicates.count(pairs).to_string()}")
        if options.figure is not None and len(pairs):
            from leukkit import plots

            _write_figure(plots.image_pairs(cells, pairs), options.figure)
    return int((problems["kind"] == "damaged").any())


def card(options: argparse.Namespace) -> int:
    """Print or write a data set's card."""
    from leukkit import datasets
    from leukkit.files import replace_when_done
    from leukkit.report import cards

    cards.read_facts(options.name)  # a wrong name is another error than missing images
    try:
        cells = datasets.load(options.name, root=options.root, damaged="keep")
    except FileNotFoundError as error:
        if options.root is not None or options.data_dir is not None:
            raise  # a folder was named, and it is not there
        print(f"without the images: {error}", file=sys.stderr)
        cells = None
    text = cards.data_card(options.name, cells)
    if options.output is None:
        print(text, end="")
    else:
        with replace_when_done(options.output) as path:
            path.write_text(text, encoding="utf-8")
    return 0


def _write_figure(axes: Any, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    axes.flat[0].figure.savefig(path, dpi=130)
    print(f"written: {path}")


if __name__ == "__main__":
    sys.exit(main())
