"""What each command of `leukkit.cli` does: it takes the options, prints, and returns the status."""

import os
import sys

from leukkit import NOT_FOR_CLINICAL_USE


def reproduce(options):
    """Run notebooks, keep them, print the comparison, and write the report."""
    from leukkit import files, papers, profiles
    from leukkit.report import notebooks, print_comparison

    if options.paper != "all":  # a wrong name must not cost the minutes of a run
        profiles.load(papers.load(options.paper), options.profile)
    paths = notebooks.find(options.paper)
    for path in paths:
        executed = notebooks.execute(path)
        profile, results_dir = os.environ["LEUKKIT_PROFILE"], files.results_dir()
        notebooks.keep(executed, notebooks.kept_path(results_dir, profile, path))
        if options.in_place:
            notebooks.keep(executed, path)
    for key in sorted({key for path in paths for key in notebooks.papers_of(path)}):
        print_comparison(papers.load(key), os.environ["LEUKKIT_PROFILE"])
    print()
    return report(options)


def report(options):
    """Write the cards of kept models, and the report, from the results alone."""
    from leukkit import files
    from leukkit.report import page, result_cards

    results_dir = files.results_dir()
    cards = result_cards.write(results_dir)
    for row in cards[cards["skipped"].notna()].itertuples():
        print(f"no card for {row.model}: {row.skipped}", file=sys.stderr)
    print(f"The report: {page.build(results_dir, options.report_dir)}. {NOT_FOR_CLINICAL_USE}")
    return 0


def predict(options):
    """Print what a kept model makes of images; 1 if one of them could not be read."""
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


def audit(options):
    """Print the verdicts on the printed numbers."""
    from leukkit import audit

    frame = audit.run(None if options.paper == "all" else options.paper)
    if options.csv is not None:
        frame.to_csv(options.csv, index=False)
    print(audit.as_text(frame, options.verdict))
    return 0


def fetch(options):
    """Get a data set, or say how."""
    from leukkit import datasets

    print(datasets.fetch(options.name))
    return 0


def honest(options):
    """Run the honest benchmark and print its leaderboards."""
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
        print(f"\n{protocol}: {reason or 'intervals (95%) over subjects'}")
        if not reason:
            print(honest.leaderboard(measured, protocol, methods).to_string())
    print("\nOther people's results, on their own splits:")
    print(honest.references()[["who", "quantity", "value", "split"]].to_string(index=False))
    print(NOT_FOR_CLINICAL_USE)
    return 0


def gap(options):
    """Run the ladders of the gap and print their steps."""
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


def check(options):
    """Print what is wrong with a data set; 1 if images are damaged."""
    from leukkit import datasets

    cells = datasets.load(options.name, root=options.root, damaged="keep")
    pairs = False
    if options.near_duplicates or options.figure is not None:
        from leukkit.datasets import near_duplicates

        pairs = near_duplicates.find(cells)
    problems = datasets.check(cells, near_duplicates=pairs)
    print(
        f"{options.name}: {len(cells)} images, {cells['patient'].nunique()} patients, "
        f"{cells['subject'].nunique()} subjects; {len(problems)} findings"
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


def card(options):
    """Print or write a data set's card."""
    from leukkit import datasets
    from leukkit.files import replace_when_done
    from leukkit.report import data_cards

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
