"""The command line: ``leukkit reproduce``, ``report``, ``predict``, ``audit``, ``gap`` and more."""

import argparse
import os
import pathlib
import sys

import leukkit

DESCRIPTION = (
    "What a leukemia image classifier is really worth: papers re-run, with and without leaks."
)
NOT_FOR_CLINICAL_USE = "Research software, not for clinical use."


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
        prog="leukkit", description=DESCRIPTION, epilog=NOT_FOR_CLINICAL_USE
    )
    parser.add_argument("--version", action="version", version=leukkit.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    reproduce = commands.add_parser(
        "reproduce", help="run a paper's notebook and print published | reproduced | leak-free"
    )
    reproduce.add_argument(
        "paper", nargs="?", default="all", help="a paper's key, or all (default)"
    )
    reproduce.add_argument(
        "--profile", default="sample", help="sample (default), paper, or a profile's TOML file"
    )
    reproduce.add_argument("--data-dir", help="folder that holds the data sets (LEUKKIT_DATA_DIR)")
    reproduce.add_argument("--results-dir", help="folder of the results (LEUKKIT_RESULTS_DIR)")
    reproduce.add_argument(
        "--report-dir",
        type=pathlib.Path,
        default=pathlib.Path("report"),
        help="folder of the report (default: report)",
    )
    reproduce.add_argument(
        "--in-place", action="store_true", help="also keep the outputs in notebooks/"
    )
    reproduce.set_defaults(command=_reproduce)

    report = commands.add_parser("report", help="write report/index.html from the results alone")
    report.add_argument("--results-dir", help="folder of the results (LEUKKIT_RESULTS_DIR)")
    report.add_argument(
        "--report-dir",
        type=pathlib.Path,
        default=pathlib.Path("report"),
        help="folder of the report (default: report)",
    )
    report.set_defaults(command=_report)

    predict = commands.add_parser(
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
    predict.set_defaults(command=_predict)

    audit = commands.add_parser("audit", help="print which of a paper's numbers can be true")
    audit.add_argument("paper", nargs="?", default="all", help="a paper's key, or all (default)")
    audit.add_argument("--verdict", help="only these rows: consistent, inconsistent, not checkable")
    audit.add_argument("--csv", type=pathlib.Path, metavar="FILE", help="write the rows to FILE")
    audit.set_defaults(command=_audit)

    honest = commands.add_parser(
        "honest", help="run the methods of all papers under one leak-free protocol, and rank them"
    )
    honest.set_defaults(command=_honest)
    gap = commands.add_parser(
        "gap", help="run one classifier split after split: what each leak is worth"
    )
    for command in (honest, gap):
        command.add_argument(
            "--profile", default="sample", help="sample (default), paper, or a profile's TOML file"
        )
        command.add_argument("--data-dir", help="folder of the data sets (LEUKKIT_DATA_DIR)")
        command.add_argument("--results-dir", help="folder of the results (LEUKKIT_RESULTS_DIR)")
    gap.add_argument("--figure", type=pathlib.Path, metavar="FILE", help="write the figure (AUC)")
    gap.set_defaults(command=_gap)

    data = commands.add_parser("data", help="get and check data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download a data set, or say how to get it")
    fetch.add_argument("name")
    fetch.add_argument("--data-dir", help="where to put it (LEUKKIT_DATA_DIR)")
    fetch.set_defaults(command=_fetch)
    check = actions.add_parser("check", help="print what is wrong with a data set")
    check.add_argument("name")
    check.add_argument("--root", help="the data set's folder, if not LEUKKIT_DATA_DIR/<name>")
    check.add_argument("--data-dir", help="folder that holds the data sets (LEUKKIT_DATA_DIR)")
    check.add_argument(
        "--near-duplicates", action="store_true", help="also look for images that are nearly alike"
    )
    check.add_argument(
        "--figure", type=pathlib.Path, metavar="FILE", help="write the nearly alike pairs as figure"
    )
    check.set_defaults(command=_check)
    card = actions.add_parser("card", help="write a data set's card: source, contents, traps, uses")
    card.add_argument("name")
    card.add_argument("--root", help="the data set's folder, if not LEUKKIT_DATA_DIR/<name>")
    card.add_argument("--data-dir", help="folder that holds the data sets (LEUKKIT_DATA_DIR)")
    card.add_argument(
        "--output", type=pathlib.Path, metavar="FILE", help="write the card to FILE (Markdown)"
    )
    card.set_defaults(command=_card)
    return parser


def _reproduce(options):
    from leukkit import locations, papers, profiles, report
    from leukkit.report import notebooks

    if options.paper != "all":  # a wrong name must not cost the minutes of a run
        profiles.load(papers.load(options.paper), options.profile)
    paths = notebooks.find(options.paper)
    for path in paths:
        executed = notebooks.execute(path)
        profile, results_dir = os.environ["LEUKKIT_PROFILE"], locations.results_dir()
        notebooks.keep(executed, notebooks.kept_path(results_dir, profile, path))
        if options.in_place:
            notebooks.keep(executed, path)
    for key in sorted({key for path in paths for key in notebooks.papers_of(path)}):
        report.print_comparison(papers.load(key), os.environ["LEUKKIT_PROFILE"])
    print()
    return _report(options)


def _report(options):
    from leukkit import locations
    from leukkit.report import page, result_cards

    results_dir = locations.results_dir()
    cards = result_cards.write(results_dir)
    for row in cards[cards["skipped"].notna()].itertuples():
        print(f"no card for {row.model}: {row.skipped}", file=sys.stderr)
    print(f"The report: {page.build(results_dir, options.report_dir)}. {NOT_FOR_CLINICAL_USE}")
    return 0


def _predict(options):
    from leukkit import predictor
    from leukkit.report import predicted

    if options.output is not None:  # a wrong name must not cost the minutes of a run
        predicted.check_output(options.output)
    paths = predictor.find_images(options.images)
    model = predictor.load(options.model)
    if options.grad_cam is not None:
        predictor.check_explainable(model)
    print("\n".join(predicted.describe(model)), end="\n\n")
    frame = predictor.predict(model, paths)
    print(predicted.as_text(frame))
    if options.output is not None:
        predicted.write(frame, model, options.output)
        print(f"written: {options.output}")
    if options.grad_cam is not None:
        for path in predicted.write_figures(model, frame, options.grad_cam):
            print(f"written: {path}")
    print(NOT_FOR_CLINICAL_USE)
    return int(frame["error"].notna().any())


def _audit(options):
    from leukkit import audit

    frame = audit.run(None if options.paper == "all" else options.paper)
    if options.csv is not None:
        frame.to_csv(options.csv, index=False)
    print(audit.as_text(frame, options.verdict))
    return 0


def _fetch(options):
    from leukkit import datasets

    print(datasets.fetch(options.name))
    return 0


def _honest(options):
    import pandas as pd

    from leukkit import honest

    reasons = {name: honest.problem(options.profile, name) for name in honest.PROTOCOLS}
    for protocol, reason in reasons.items():
        if not reason:
            honest.run(options.profile, protocol)
    honest.time_methods(options.profile)
    measured, methods = honest.measure(options.profile), honest.methods(options.profile)
    pd.set_option("display.max_columns", None, "display.width", None, "display.max_rows", None)
    for protocol, reason in reasons.items():
        print(f"\n{protocol}: {reason or 'intervals (95%) over persons'}")
        if not reason:
            print(honest.leaderboard(measured, protocol, methods).to_string())
    print("\nOther people's results, on their own splits:")
    print(honest.references()[["who", "quantity", "value", "split"]].to_string(index=False))
    print(NOT_FOR_CLINICAL_USE)
    return 0


def _gap(options):
    from leukkit import gap

    gap.run(options.profile)
    measured = gap.measure(options.profile)
    for quantity in gap.QUANTITIES:
        print(f"{gap.steps(measured, quantity).to_string()}\n")
    if options.figure is not None:
        from leukkit import plots

        _write_figure(plots.gap_ladder(measured, title=gap.title(measured)), options.figure)
    print(NOT_FOR_CLINICAL_USE)
    return 0


def _check(options):
    from leukkit import datasets

    cells = datasets.load(options.name, root=options.root, damaged="keep")
    pairs = False
    if options.near_duplicates or options.figure is not None:
        from leukkit.datasets import near_duplicates

        pairs = near_duplicates.find(cells)
    problems = datasets.check(cells, near_duplicates=pairs)
    print(
        f"{options.name}: {len(cells)} images, {cells['patient'].nunique()} patients, "
        f"{cells['identity'].nunique()} identities; {len(problems)} findings"
    )
    if len(problems):
        print(problems["kind"].value_counts().to_string())
        print(problems.to_string(index=False, max_colwidth=100))
    if pairs is not False:
        print(f"\nnear-duplicates\n{near_duplicates.count(pairs).to_string()}")
    if options.figure is not None and len(pairs):
        from leukkit import plots

        _write_figure(plots.image_pairs(cells, pairs), options.figure)
    return int((problems["kind"] == "damaged").any())


def _write_figure(axes, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    axes.flat[0].figure.savefig(path, dpi=130)
    print(f"written: {path}")


def _card(options):
    from leukkit import datasets
    from leukkit.report import data_cards
    from leukkit.writing import replace_when_done

    data_cards.read_facts(options.name)  # a wrong name is another error than missing images
    try:
        cells = datasets.load(options.name, root=options.root, damaged="keep")
    except FileNotFoundError as error:
        if options.root is not None or options.data_dir is not None:
            raise  # a folder was named, and it is not there
        print(f"without the images: {error}", file=sys.stderr)
        cells = None
    text = data_cards.data_card(options.name, cells)
    if options.output is None:
        print(text, end="")
    else:
        with replace_when_done(options.output) as path:
            path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
