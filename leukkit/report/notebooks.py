"""Find, run and copy the notebooks, and write them, executed, as HTML."""

import asyncio
import functools
import itertools
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import nbformat
import tqdm

from leukkit import environment
from leukkit.files import bar, replace_when_done

ALLOWED = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "form-action 'none'; base-uri 'none'"
)
PACKAGE = pathlib.Path(__file__).resolve().parent.parent


class NotebookError(RuntimeError):
    """A notebook stopped with an error, or there is none to run."""


def folder() -> pathlib.Path:
    """Return the folder of the notebooks: of the checkout, else of the installed package."""
    in_checkout = PACKAGE.parent / "notebooks"
    return in_checkout if in_checkout.is_dir() else PACKAGE / "notebooks"


def are_installed() -> bool:
    """Tell whether the notebooks are those of an installed package, not of a checkout."""
    return folder().parent == PACKAGE


def find(paper: str = "all") -> list[pathlib.Path]:
    """Return the paths of the notebooks of a paper (its key), or of all.

    A notebook names its papers in its metadata; one that names none belongs to ``"all"`` alone.

    Raises:
        NotebookError: There is no notebook for it.
    """
    paths = sorted(folder().glob("[0-9]*.ipynb"))
    if paper != "all":
        paths = [path for path in paths if paper in papers_of(path)]
    if not paths:
        raise NotebookError(f"no notebook for {paper!r} in {folder()}")
    return paths


def copy(target: pathlib.Path) -> list[pathlib.Path]:
    """Copy the notebooks into a folder, to be changed there, and what tells nbval how to compare.

    Raises:
        FileExistsError: One of them is there already; then nothing is copied.
    """
    copies = {path: target / path.name for path in [*find(), *folder().glob("conftest.py")]}
    if there := [str(path) for path in copies.values() if path.exists()]:
        raise FileExistsError(
            f"{', '.join(there)} would be overwritten: name another folder, or move them away"
        )
    target.mkdir(parents=True, exist_ok=True)
    copied = [pathlib.Path(shutil.copy(path, copies[path])) for path in copies]
    return [path for path in copied if path.suffix == ".ipynb"]


def execute(
    paths: Sequence[pathlib.Path], done: Callable[[pathlib.Path, Any], None], at_once: int = 1
) -> None:
    """Run notebooks from top to bottom, with a line for each that says how far it is.

    They run in their own folder, those of an installed package in the current one; ``at_once`` side
    by side, each on its share of the cores. ``done`` is called with the path and the executed
    notebook (`nbformat` node), which holds nothing that went to standard error; its metadata get
    the fingerprint of its arithmetic, by which its test knows whether another run can be compared
    digit by digit.

    Raises:
        NotebookError: A cell failed, or its process died; the message holds the cell and its
            traceback, or the process's last words. Notebooks at work are stopped.
    """

    async def run() -> None:
        # nbclient would take Ctrl-C for itself, kill one kernel and call it dead; asyncio cancels.
        asyncio.get_running_loop().add_signal_handler = lambda *_: None  # type: ignore
        waiting, shares = iter(paths), min(at_once, len(paths))

        async def some(share: int) -> None:
            for path in waiting:
                started = time.monotonic()
                done(path, await _execute(path, share, shares))
                text = f"{path.name}: done in {time.monotonic() - started:.0f} s"
                tqdm.tqdm.write(text, file=sys.stderr)

        await asyncio.gather(*map(some, range(shares)))

    asyncio.run(run())


async def _execute(path, share, of):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    notebook = nbformat.read(path, as_version=4)
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    where = pathlib.Path.cwd() if are_installed() else path.parent
    with bar(code, path.name, "cell") as shown, tempfile.TemporaryFile() as chatter:
        client = NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(where)}},
            on_cell_executed=lambda **_: shown.update(),
        )
        try:  # without bars, which would fill the outputs, and TensorFlow's start-up lines
            await client.async_execute(
                env={**os.environ, "TQDM_DISABLE": "1"},
                stderr=chatter,
                preexec_fn=functools.partial(environment.keep_to_share, share, of),
            )
        except CellExecutionError as error:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # without the traceback's colors
            raise NotebookError(f"{path.name} stopped:\n{plain}") from error
        except DeadKernelError as error:
            if asyncio.current_task().cancelling():  # Ctrl-C, or another notebook failed
                raise asyncio.CancelledError from error
            chatter.seek(0)
            last = chatter.read().decode(errors="replace").splitlines()[-10:]
            raise NotebookError("\n".join([f"{path.name}: {error}", *last])) from error
    notebook.metadata.setdefault("leukkit", {})["numerics"] = environment.fingerprint(of)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # progress lines and warnings of libraries
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def keep(notebook: Any, path: pathlib.Path) -> None:
    """Write an executed notebook in place, without what differs from run to run."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    text = re.sub(r" at 0x[0-9a-f]+", "", nbformat.writes(notebook))  # where an object lay
    drawn = dict.fromkeys(re.findall(r"T_[0-9a-f]{5}", text))  # the names of styled tables
    for number, name in enumerate(drawn):
        text = text.replace(name, f"T_{number:05}")
    with replace_when_done(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def kept_path(base: pathlib.Path, profile: str, path: pathlib.Path | str) -> pathlib.Path:
    """Return where an executed notebook is kept among the results of its profile."""
    return base / "notebooks" / pathlib.Path(profile).stem / f"{pathlib.Path(path).stem}.ipynb"


def write_pages(base: pathlib.Path, report_dir: pathlib.Path) -> list[dict[str, Any]]:
    """Write every executed notebook that is kept with the results as HTML, named after it.

    Returns:
        List of dicts, one per page: ``stem`` (of the notebook), ``file`` (name in ``report_dir``),
        ``title`` (the first heading), ``profile`` and ``papers`` (keys).
    """
    pages = []
    for path in sorted(base.glob("notebooks/*/*.ipynb")):
        profile = path.parent.name
        name = f"{path.stem}.html" if profile == "sample" else f"{path.stem}-{profile}.html"
        notebook = nbformat.read(path, as_version=4)
        _write_html(notebook, report_dir / name)
        texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        heading = re.search(r"^#+ +(.+)$", "\n".join(texts), re.MULTILINE)
        page = {"stem": path.stem, "file": name, "profile": profile, "papers": papers_of(path)}
        pages.append(page | {"title": heading[1].strip() if heading else path.stem})
    return pages


def papers_of(path: pathlib.Path) -> list[str]:
    """Return the keys of the papers that a notebook is about, from its metadata."""
    return nbformat.read(path, as_version=4).metadata.get("leukkit", {}).get("papers", [])


def _write_html(notebook: Any, target: pathlib.Path) -> None:
    """Write a notebook as one HTML file that needs no network, the same bytes each time."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", embed_images=True)
    numbers = itertools.count(1)  # for ids that are random otherwise
    exporter.environment.globals["uuid4"] = lambda: f"output-{next(numbers)}"
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": target.stem}})
    # Outputs may come from anywhere: the browser is told to run no script and to ask no network.
    body = re.sub(r"(?is)<script\b.*?</script\s*>", "", body)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{ALLOWED}">'
    body = body.replace("<head>", f"<head>{policy}", 1)
    with replace_when_done(target) as path:
        path.write_text(body, encoding="utf-8")
