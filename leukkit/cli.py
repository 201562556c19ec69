"""The command line: ``leukkit reproduce``, ``report``, ``predict``, ``audit``, ``gap`` and more.

Each command is a function that takes the options and prints; its docstring is the command's help.
What it needs is imported in it, so that ``leukkit --help`` stays quick.
"""

import argparse
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import leukkit

DESCRIPTION = (
    "What a leukemia image classifier is really worth: papers re-run, with and without leaks."
)


def _path(text: str) -> pathlib.Path:
    return pathlib.Path(text).expanduser()  # a shell leaves ~ in --output=~/a.csv


ARGUMENTS: dict[str, dict[str, Any]] = {
    "paper": {
        "nargs": "?",
        "default": "all",
        "help": "a paper's key, or all (default); for audit also the TOML card of any paper",
    },
    "name": {"help": "a data set, e.g. cnmc-2019, or a folder of your own, e.g. ./cells"},
    "folder": {"type": _path, "metavar": "DIR"},
    "model": {"help": "a fold's folder with a saved model, the model file, or model.leukkit"},
    "images": {"nargs": "+", "metavar": "IMAGE", "help": "image file, or folder of them"},
    "sets": {"nargs": "+", "metavar": "SET", "help": "a data set, or a folder of your own"},
    "--root": {"help": "the data set's folder, if not LEUKKIT_DATA_DIR/<name>"},
    "--profile": {"help": "sample (default), paper, or a profile's TOML file (LEUKKIT_PROFILE)"},
    "--data-dir": {"help": "folder that holds the data sets (LEUKKIT_DATA_DIR)"},
    "--results-dir": {"help": "folder of the results (LEUKKIT_RESULTS_DIR)"},
    "--data": {
        "metavar": "NAME",
        "help": "a data set, or a folder of your own, e.g. ./cells, in the place of the profile's",
    },
    "--methods": {
        "default": "",
        "help": "which methods are ranked, e.g. farag2025:svm,mishra (default: all)",
    },
    "--report-dir": {
        "type": _path,
        "default": pathlib.Path("report"),
        "help": "folder of the report (default: report)",
    },
    "--checklists": {"action": "store_true", "help": "also fill in REFORMS and TRIPOD+AI"},
    "--in-place": {"action": "store_true", "help": "also keep the outputs in notebooks/"},
    "--at-once": {
        "type": int,
        "metavar": "N",
        "help": "notebooks side by side (default: 2 for the sample, else 1: each may want the GPU)",
    },
    "--format": {"choices": ["saved_model", "onnx"], "default": "saved_model", "help": "of what"},
    "--level": {
        "type": float,
        "default": 0.9,
        "help": "how often sets of classes are to hold the true one (default: 0.9)",
    },
    "--grad-cam": {
        "type": _path,
        "metavar": "FOLDER",
        "help": "draw where a network looks; checked",
    },
    "--from-csv": {"type": _path, "metavar": "TABLE", "help": "audit one table of scores"},
    "--test": {
        "metavar": "COUNTS",
        "help": "images of each class that the table's scores are of, the positive one first: "
        "1091,509 or ALL=1091,healthy=509",
    },
    "--new": {"type": _path, "metavar": "FILE", "help": "write a card to fill in, and end"},
    "--leads": {"action": "store_true", "help": "how likely each printed lead is none, instead"},
    "--verdict": {"help": "only these rows: consistent, inconsistent, not checkable"},
    "--links": {
        "default": "several pairs",
        "help": "what makes two patients of C-NMC 2019 one subject: identical, several pairs "
        "(default) or single pairs",
    },
    "--by": {"default": "subject", "help": "what stays whole: subject (default), patient, image"},
    "--folds": {"type": int, "default": 5, "help": "number of folds (default: 5)"},
    "--seed": {"type": int, "default": 0, "help": "seed of the split (default: 0)"},
    "--split": {
        "type": _path,
        "metavar": "FILE",
        "help": "table of image_id and fold (or split), if the images' own folders are not meant",
    },
}
SETTINGS = ("data_dir", "results_dir", "cache_dir", "weights_dir", "profile", "gap_profile")
OF_RUNS = ("--profile", "--data-dir", "--results-dir")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status (0 fine, 1 the work failed, 2 wrong call)."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # workers and kernels import nothing from here
    for name in SETTINGS:  # the notebooks' kernels read the environment, in another folder
        variable = f"LEUKKIT_{name.upper()}"
        if value := getattr(options, name, None) or os.environ.get(variable):
            is_path = name.endswith("_dir") or value.endswith(".toml")
            os.environ[variable] = str(_path(value).resolve()) if is_path else value
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed
        stream.reconfigure(errors="replace")  # a terminal that knows no dash gets a ?
    try:
        status = options.command(options) or 0
        print(end="", flush=True)  # a closed pipe is seen here, not at exit
        return status
    except KeyboardInterrupt:
        print("leukkit: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("LEUKKIT_TRACEBACK"):
            raise
        _say(f"leukkit: {error}", file=sys.stderr)
        print("(LEUKKIT_TRACEBACK=1 shows where it happened)", file=sys.stderr)
        return 1


def _say(text: object = "", **options: Any) -> None:
    """Print text with names of files in it, which may hold what moves the cursor."""
    from leukkit.files import printable

    print("\n".join(map(printable, str(text).split("\n"))), **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leukkit", description=DESCRIPTION, epilog=leukkit.NOT_FOR_CLINICAL_USE
    )
    parser.add_argument("--version", action="version", version=leukkit.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, reproduce, "paper", *OF_RUNS, "--report-dir", "--in-place", "--at-once")
    _add(commands, report, "--results-dir", "--report-dir", "--checklists")
    _add(commands, notebooks, "folder")
    text = "write the answers as .csv or .json"
    of_predict = {
        "output": text,
        "patients": "say of whom the images are by FILE (columns file, patient, perhaps label)",
    }
    _add(commands, predict, "model", "images", "--level", "--grad-cam", **of_predict)
    of_models = commands.add_parser("models", help="give saved models to others").add_subparsers(
        required=True, metavar="ACTION"
    )
    _add(of_models, pack, "model", output="the file to write, model.leukkit")
    _add(of_models, export, "model", "--format", output="the folder to make")
    of_audit = ("paper", "--verdict", "--leads", "--from-csv", "--test", "--new")
    _add(commands, audit, *of_audit, csv="write the rows to FILE")
    figure = {"figure": "write the figure of the gap (AUC)"}
    _add(commands, benchmark, *OF_RUNS, "--data", "--methods", **figure)
    _add(commands, honest, *OF_RUNS, "--data", "--methods")
    _add(commands, gap, *OF_RUNS, "--data", **figure)
    figure = {"figure": "write the figure of all scores (AUC)"}
    _add(commands, transfer, "sets", *OF_RUNS, "--methods", **figure)
    of_split = ("--root", "--data-dir", "--links", "--by", "--folds", "--seed")
    _add(commands, splits, "name", *of_split, output="write image, hash, subject, fold to FILE")
    of_check = {
        "json": "write all findings, with every pair of images, to FILE",
        "sarif": "write them to FILE for a code host's alerts",
        "figure": "write the pairs that are nearly alike, in two parts, as figure",
    }
    _add(commands, check, "name", "--root", "--data-dir", "--links", "--split", **of_check)
    data = commands.add_parser("data", help="get and check data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    _add(actions, fetch, "name", "--data-dir")
    _add(actions, check, "name", "--root", "--data-dir", "--links", "--split", **of_check)
    _add(
        actions,
        card,
        *("name", "--root", "--data-dir"),
        output="write the card to FILE (Markdown)",
        figure="write a picture of cells that were cut out twice to FILE, and show it in the card",
    )
    return parser


def _add(commands: Any, function: Any, *arguments: str, **files: str) -> None:
    """Add a command: its function, arguments, and options that name a file to write."""
    text = function.__doc__.removesuffix(".")
    command = commands.add_parser(function.__name__, help=text[0].lower() + text[1:])
    command.set_defaults(command=function)
    for name in arguments:
        command.add_argument(name, **ARGUMENTS[name])
    if "--profile" in arguments:
        command.set_defaults(profile=os.environ.get("LEUKKIT_PROFILE") or "sample")
    for name, use in files.items():
        flags = ["-o"] * (name == "output") + [f"--{name}"]
        needed = function in (pack, export)
        command.add_argument(*flags, type=_path, metavar="FILE", help=use, required=needed)


def reproduce(options: argparse.Namespace) -> None:
    """Run a paper's notebook and print published | reproduced | kept apart."""
    import pandas as pd

    from leukkit import benchmark, files, papers, runs
    from leukkit.report import notebooks, overview, page

    profile = os.environ["LEUKKIT_PROFILE"]
    if options.paper != "all":  # a wrong name must not cost the minutes of a run
        papers.load(options.paper).profile(profile)
    paths = notebooks.find(options.paper)
    if options.in_place and notebooks.are_installed():
        raise ValueError(
            "--in-place would change the installed package: copy the notebooks with "
            "`leukkit notebooks DIR`, and open them there"
        )
    keys = sorted({key for path in paths for key in notebooks.papers_of(path)})
    plans = [papers.load(key).plan(profile) for key in keys]
    if options.paper == "all":
        plans += [benchmark.load(key, profile).plan() for key in ("honest", "gap")]
    for data, links in sorted({(run.data, run.links) for plan in plans for run in plan}):
        runs.load_cells(data, links)
    runs.fetch_weights(run for plan in plans for run in plan)  # before hours, not after
    base = files.results_dir().resolve()
    os.environ["LEUKKIT_RESULTS_DIR"] = str(base)  # whatever folder a notebook runs in

    def keep(path: pathlib.Path, executed: Any) -> None:
        notebooks.keep(executed, notebooks.kept_path(base, profile, path))
        if options.in_place:
            notebooks.keep(executed, path)

    notebooks.execute(paths, keep, options.at_once or (2 if profile == "sample" else 1))
    report(options)
    cells = pd.read_csv(options.report_dir / page.COMPARISON)
    width = min(shutil.get_terminal_size().columns, 110)
    for key in keys:
        here = cells[(cells["paper"] == key) & (cells["profile"] == pathlib.Path(profile).stem)]
        print()
        print(overview.as_text(here, width) if len(here) else f"{key}: nothing was run yet")


def report(options: argparse.Namespace) -> None:
    """Write report/index.html from the results alone."""
    from leukkit import files
    from leukkit.report import cards, page

    base = files.results_dir()
    written = cards.write_model_cards(base)
    for row in written[written["skipped"].notna()].itertuples():
        _say(f"no card for {row.model}: {row.skipped}", file=sys.stderr)
    index = page.build(base, options.report_dir, getattr(options, "checklists", False))
    print(f"The report: {index}. {leukkit.NOT_FOR_CLINICAL_USE}")


def notebooks(options: argparse.Namespace) -> None:
    """Copy the notebooks into a folder, to change them there."""
    from leukkit.report import notebooks

    copied = notebooks.copy(options.folder)
    print(f"{len(copied)} notebooks in {options.folder}: jupyter lab {options.folder}")


def predict(options: argparse.Namespace) -> int:
    """Say what a saved model makes of images, and whether they are like its own."""
    from leukkit import predict

    if options.output is not None:  # a wrong name must not cost the minutes of a run
        predict.check_output(options.output)
    paths = predict.find_images(options.images)
    predictor = predict.load(options.model)
    if options.grad_cam is not None:
        predict.check_explainable(predictor)
    print("\n".join(predict.describe(predictor, options.level)), end="\n\n")
    frame = predict.predict(predictor, paths, level=options.level)
    figures: list[pathlib.Path] = []
    if options.grad_cam is not None:
        frame, figures = predict.write_figures(predictor, frame, options.grad_cam)
    if options.patients is not None:
        frame = predict.assign(frame, options.patients)
    print(predict.as_text(frame))
    if options.patients is not None:
        print(f"\n{predict.patients_text(predict.by_patient(frame), predict.scores(frame))}")
    if options.output is not None:
        predict.write(frame, predictor, options.output)
        print(f"written: {options.output}")
    for path in figures:
        print(f"written: {path}")
    print(leukkit.NOT_FOR_CLINICAL_USE)
    return int(frame["error"].notna().any())  # one of the images could not be read


def pack(options: argparse.Namespace) -> None:
    """Write a saved model, its card and hashes into one file, which predict reads."""
    from leukkit import metrics, results, saved
    from leukkit.report import cards
    from leukkit.saved import packed

    model = saved.read(pathlib.Path(options.model).resolve())
    scored = metrics.measure(results.read_table(model.folder.parent))
    card = cards.model_card(model.folder / model.record.model, scored)
    packed.pack(model.folder, options.output, card)
    megabytes = options.output.stat().st_size / 1e6
    _say(f"written: {options.output} ({megabytes:.1f} MB): leukkit predict {options.output} IMAGE…")


def export(options: argparse.Namespace) -> None:
    """Write a saved network for other programs, once it is seen to answer the same."""
    from leukkit import predict

    difference = predict.export(predict.load(options.model), options.output, options.format)
    _say(f"written: {options.output}; its probabilities differ by at most {difference:.1g}")


def audit(options: argparse.Namespace) -> None:
    """Print which of a paper's numbers can be true."""
    from leukkit import audit

    if options.new is not None:
        if options.new.exists():
            raise ValueError(f"{options.new} is there already: give the name of a new file")
        _print_or_write(audit.TEMPLATE, options.new)
        print(f"written: {options.new}. Fill it in, then: leukkit audit {options.new}")
        return
    if (options.from_csv is None) != (options.test is None):
        raise ValueError("--from-csv and --test go together: a table, and the images it is of")
    if options.leads and options.verdict:
        raise ValueError("--verdict picks rows of the audit, --leads shows none: leave one out")
    paper = None if options.paper == "all" else options.paper
    if options.from_csv is not None:
        paper = audit.from_csv(options.from_csv, options.test)
    frame = audit.lead_table(audit.leads(paper)) if options.leads else audit.run(paper)
    if options.csv is not None:
        _print_or_write(frame.to_csv(index=False), options.csv)
    text = audit.lead.as_text(frame) if options.leads else audit.as_text(frame, options.verdict)
    print(text)


def benchmark(options: argparse.Namespace) -> None:
    """Rank the methods of all papers, and say what each leak is worth: honest, then gap."""
    from leukkit import benchmark

    of_gap = os.environ.get("LEUKKIT_GAP_PROFILE") or options.profile
    benchmark.load("gap", of_gap, options.data)  # what is wrong with it, before hours
    honest(options)
    print()
    gap(argparse.Namespace(**{**vars(options), "profile": of_gap}))


def honest(options: argparse.Namespace) -> None:
    """Run the methods of all papers under one split that is as leak-free as the images allow."""
    from leukkit import benchmark, environment, files
    from leukkit.benchmark import leaderboard

    environment.start_tensorflow()
    numbers = benchmark.load("honest", options.profile, options.data, options.methods)
    divided, listed = leaderboard.divide(numbers), None
    for split, reason in divided.items():
        if not isinstance(reason, str):
            leaderboard.run(numbers, split)
    leaderboard.time_methods(numbers)
    measured = leaderboard.measure(numbers.name)
    if not options.methods:
        listed = leaderboard.methods(numbers)
    for split, reason in divided.items():
        if isinstance(reason, str):
            print(f"\n{split}: left out: {reason}")
            continue
        over = measured["groups_are"][measured["split"] == split].iloc[0]
        kept = f"{len(reason.folds)} folds; {benchmark.KEPT[over][1]}"
        parts = "trained and tested on the data set's own parts"
        print(f"\n{split}: {parts if split == 'official' else kept}; intervals (95%) over {over}")
        print(leaderboard.leaderboard(measured, split, listed).to_string())
    if set(measured["dataset"].dropna()) == {"cnmc-2019"}:
        print("\nOther people's results, on their own splits:")
        others = leaderboard.references()[["who", "quantity", "value", "split"]]
        print(others.to_string(index=False))
    if options.data is not None:
        place = files.results_dir() / "honest" / numbers.name
        print(f"\nThe runs, and the models of their first folds: {place}")
    print(leukkit.NOT_FOR_CLINICAL_USE)


def gap(options: argparse.Namespace) -> None:
    """Run one classifier split after split: what each leak is worth."""
    from leukkit import benchmark
    from leukkit.benchmark import gap

    numbers = benchmark.load("gap", options.profile, options.data)
    for split, problem in gap.problems(numbers).items():
        print(f"{split}: {problem}")
    gap.run(numbers)
    measured = gap.measure(numbers.name)
    for quantity in gap.QUANTITIES:
        print(f"{gap.steps(measured, quantity).to_string()}\n")
    if options.figure is not None:
        from leukkit import plots

        _write_figure(plots.gap_ladder(measured, title=gap.title(measured)), options.figure)
    print(leukkit.NOT_FOR_CLINICAL_USE)


def transfer(options: argparse.Namespace) -> None:
    """Train the methods on each data set and test them on each other: what holds elsewhere."""
    from leukkit import environment
    from leukkit.benchmark import transfer

    environment.start_tensorflow()
    loaded = transfer.load(options.sets, options.profile, options.methods)
    prepared = transfer.prepare(loaded)
    print("Left out of training, since the tested set shows them, or their subjects, too:")
    print(transfer.left_out(prepared).to_string(index=False))
    transfer.run(loaded, prepared)
    measured = transfer.measure(transfer.name_of(loaded))
    for quantity, name in transfer.QUANTITIES.items():
        over = ", ".join(measured["groups_are"].unique())
        print(f"\n{name} on the set of each column, intervals (95%) over its {over}:")
        print(transfer.matrix(measured, quantity).to_string())
    if options.figure is not None:
        from leukkit import plots

        _write_figure(plots.transfer(measured), options.figure)
    print(leukkit.NOT_FOR_CLINICAL_USE)


def splits(options: argparse.Namespace) -> None:
    """Divide a data set into folds, and write which fold tests each image."""
    from leukkit import datasets
    from leukkit import splits as dividing

    cells = datasets.load(options.name, options.root, links=options.links)
    table = {"split": "subject", "by": options.by, "folds": options.folds}
    if options.by == "image":
        table = {"split": "stratified", "folds": options.folds}
    split = dividing.divide(cells, table, options.seed)
    listed = dividing.manifest(split)
    _print_or_write(listed.to_csv(index=False), options.output)
    if options.output is None:
        return
    print(f"written: {options.output}: {len(listed)} images in {options.folds} folds")
    print(dividing.leakage(split).to_string(index=False))


def fetch(options: argparse.Namespace) -> None:
    """Download a data set, or say how to get it."""
    from leukkit import datasets

    print(datasets.fetch(options.name))


def check(options: argparse.Namespace) -> int:
    """Look for leaks, shortcuts and damage in a data set; status 1 if there is an error."""
    from leukkit import check, datasets

    cells = datasets.load(options.name, options.root, "keep", options.links)
    part = check.parts(cells, options.split)
    findings, pairs = check.run(cells, part)
    _say(check.as_text(cells, part, findings, min(shutil.get_terminal_size().columns, 110)))
    if options.json is not None:
        _print_or_write(check.as_json(cells, part, findings), options.json)
    if options.sarif is not None:
        _print_or_write(check.as_sarif(cells, findings), options.sarif)
    if options.figure is not None and len(pairs):
        from leukkit import plots

        _write_figure(plots.image_pairs(cells, pairs), options.figure)
    return int(any(finding.level == "error" for finding in findings))


def card(options: argparse.Namespace) -> None:
    """Write a data set's card: source, contents, traps, uses."""
    from leukkit import datasets
    from leukkit.report import cards

    cards.read_facts(options.name)  # a wrong name is another error than missing images
    try:
        cells = datasets.load(options.name, root=options.root, damaged="keep")
    except FileNotFoundError as error:
        if options.root is not None or options.data_dir is not None:
            raise  # a folder was named, and it is not there
        _say(f"without the images: {error}", file=sys.stderr)
        cells = None
    shown = "" if options.figure is None else _draw_twice(options, cells)
    _print_or_write(cards.data_card(options.name, cells, shown), options.output)


def _print_or_write(text: str, path: pathlib.Path | None) -> None:
    from leukkit.files import replace_when_done

    if path is None:
        _say(text, end="")
        return
    with replace_when_done(path) as target:
        target.write_text(text, encoding="utf-8")


def _draw_twice(options: argparse.Namespace, cells: Any) -> str:
    """Draw the cells that were cut out twice; return the figure's path as the card writes it."""
    from leukkit import plots
    from leukkit.datasets import links

    pairs = None if cells is None else links.compare(cells, links.known(options.name))
    if pairs is None or pairs.empty:
        raise ValueError(
            f"--figure: no cells of {options.name} at hand are known to be cut out twice; leave "
            "--figure out, or name the folder of the images (--root, --data-dir)"
        )
    # Some of each two patients before more of the same.
    turn = pairs.groupby(["patient_first", "patient"]).cumcount()
    pairs = pairs.loc[turn.sort_values(kind="stable").index]
    _write_figure(plots.image_pairs(cells, pairs), options.figure, sys.stderr)
    folder = pathlib.Path() if options.output is None else options.output.parent
    return pathlib.Path(os.path.relpath(options.figure, folder)).as_posix()


def _write_figure(axes: Any, path: pathlib.Path, told: Any = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    axes.flat[0].figure.savefig(path, dpi=130)
    print(f"written: {path}", file=told)
