"""Run the notebooks and write them, executed, as HTML."""

import itertools
import os
import pathlib
import re
import sys
import time

import nbformat

from leukkit import environment, profiles
from leukkit.files import project_dir, replace_when_done


class NotebookError(RuntimeError):
    """A notebook stopped with an error, or there is none to run."""


def find(paper="all"):
    """Return the paths of the notebooks of a paper, or of all.

    Args:
        paper: A paper's key, or ``"all"``. A notebook names its papers in its metadata
            (``leukkit.papers``); one that names none belongs to ``"all"`` alone.

    Raises:
        NotebookError: There is no notebook for it.
    """
    folder = project_dir() / "notebooks"
    paths = sorted(folder.glob("[0-9]*.ipynb"))
    if paper != "all":
        paths = [path for path in paths if paper in papers_of(path)]
    if not paths:
        raise NotebookError(
            f"no notebook for {paper!r} in {folder}: run leukkit from its checkout, "
            "or open the notebook by hand"
        )
    return paths


def execute(path):
    """Run a notebook from top to bottom in its own folder, saying which cell is at work.

    Returns:
        The executed notebook (`nbformat` node), without what went to standard error.

    Raises:
        NotebookError: A cell failed; the message holds the cell and its traceback.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)
    started, cells = time.monotonic(), len(notebook.cells)

    def say(cell, cell_index):
        if cell.cell_type == "code" and sys.stderr.isatty():
            print(f"\r{path.name}: cell {cell_index + 1} of {cells}", end="", file=sys.stderr)

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=say,
    )
    print(f"{path.name}: running", file=sys.stderr, flush=True)
    try:
        client.execute(env={**os.environ, "TQDM_DISABLE": "1"})  # bars would fill the outputs
    except CellExecutionError as error:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # without the traceback's colors
        raise NotebookError(f"{path.name} stopped:\n{plain}") from error
    print(f"\r{path.name}: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # start-up chatter of libraries and progress lines
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def write_html(notebook, target):
    """Write an executed notebook as one HTML file that needs no network."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", embed_images=True)
    numbers = itertools.count(1)  # for random ids: the same notebook gives the same bytes
    exporter.environment.globals["uuid4"] = lambda: f"output-{next(numbers)}"
    body, _ = exporter.from_notebook_node(
        notebook, resources={"metadata": {"name": pathlib.Path(target).stem}}
    )
    with replace_when_done(target) as path:
        path.write_text(body, encoding="utf-8")


def keep(notebook, path):
    """Write an executed notebook in place, without what differs from machine to machine.

    Its metadata get the fingerprint of the arithmetic that its numbers come from, by which its test
    knows whether another run can be compared digit by digit (`leukkit.environment`).
    """
    notebook.metadata.pop("widgets", None)
    notebook.metadata.setdefault("leukkit", {})["numerics"] = environment.fingerprint()
    notebook.metadata["language_info"] = {"name": "python"}
    with replace_when_done(path) as temporary:
        nbformat.write(notebook, temporary)


def kept_path(results_dir, profile_name, path):
    """Return where an executed notebook is kept among the results of its profile."""
    folder = pathlib.Path(results_dir) / "notebooks" / profiles.label(profile_name)
    return folder / f"{pathlib.Path(path).stem}.ipynb"


def write_pages(results_dir, report_dir):
    """Write every executed notebook that is kept with the results as HTML.

    Args:
        results_dir: Folder of the results.
        report_dir: Folder of the report. A page is named after its notebook; the profile is added
            where it is not the sample.

    Returns:
        List of dicts, one per page: ``stem`` (of the notebook), ``file`` (name in ``report_dir``),
        ``title`` (the first heading), ``profile`` and ``papers`` (keys).
    """
    pages = []
    for path in sorted(pathlib.Path(results_dir).glob("notebooks/*/*.ipynb")):
        profile = path.parent.name
        name = f"{path.stem}.html" if profile == "sample" else f"{path.stem}-{profile}.html"
        notebook = nbformat.read(path, as_version=4)
        write_html(notebook, pathlib.Path(report_dir) / name)
        page = {
            "stem": path.stem,
            "file": name,
            "title": title_of(notebook, path.stem),
            "profile": profile,
        }
        pages.append(page | {"papers": papers_of(path)})
    return pages


def title_of(notebook, otherwise):
    """Return the first heading of a notebook, else ``otherwise``."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    found = re.search(r"^#+ +(.+)$", "\n".join(texts), re.MULTILINE)
    return found[1].strip() if found else otherwise


def papers_of(path):
    """Return the keys of the papers that a notebook is about, from its metadata."""
    return nbformat.read(path, as_version=4).metadata.get("leukkit", {}).get("papers", [])
