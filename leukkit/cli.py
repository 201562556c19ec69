"""The command line: ``leukkit reproduce``, ``leukkit audit``, ``leukkit data``."""

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
        help="folder of the executed notebooks (default: report)",
    )
    reproduce.add_argument(
        "--in-place", action="store_true", help="also keep the outputs in notebooks/"
    )
    reproduce.set_defaults(command=_reproduce)

    audit = commands.add_parser("audit", help="print which of a paper's numbers can be true")
    audit.add_argument("paper", nargs="?", default="all", help="a paper's key, or all (default)")
    audit.add_argument("--verdict", help="only these rows: consistent, inconsistent, not checkable")
    audit.add_argument("--csv", type=pathlib.Path, metavar="FILE", help="write the rows to FILE")
    audit.set_defaults(command=_audit)

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
    check.set_defaults(command=_check)
    return parser


def _reproduce(options):
    from leukkit import papers, profiles, report
    from leukkit.report import notebooks

    if options.paper != "all":  # a wrong name must not cost the minutes of a run
        profiles.load(papers.load(options.paper), options.profile)
    paths = notebooks.find(options.paper)
    for path in paths:
        executed = notebooks.execute(path)
        notebooks.write_html(executed, options.report_dir / f"{path.stem}.html")
        if options.in_place:
            notebooks.keep(executed, path)
    for key in sorted({key for path in paths for key in notebooks.papers_of(path)}):
        report.print_comparison(papers.load(key), os.environ["LEUKKIT_PROFILE"])
    print(f"\nThe executed notebooks: {options.report_dir}/. {NOT_FOR_CLINICAL_USE}")
    return 0


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


def _check(options):
    from leukkit import datasets

    cells = datasets.load(options.name, root=options.root, damaged="keep")
    problems = datasets.check(cells)
    print(
        f"{options.name}: {len(cells)} images, {cells['patient'].nunique()} patients, "
        f"{cells['identity'].nunique()} identities; {len(problems)} findings"
    )
    if len(problems):
        print(problems["kind"].value_counts().to_string())
        print(problems.to_string(index=False, max_colwidth=100))
    return int((problems["kind"] == "damaged").any())


if __name__ == "__main__":
    sys.exit(main())
