"""A real browser without a window, and the report that it looks at.

``LEUKKIT_TEST_RESULTS`` names a results folder to build the report from, ``LEUKKIT_BROWSER`` a
browser, ``LEUKKIT_ARTIFACTS`` the folder of the screenshots (else ``artifacts`` of the project).
"""

import os
import pathlib
import shutil

import nbformat
import pytest

from leukkit import files
from leukkit.report import notebooks, page
from tests.report import small_results

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = (
    "needs a browser: apt-get install chromium (chromium-browser on Ubuntu), or name one with "
    "LEUKKIT_BROWSER=/path/to/chrome; and playwright: pip install -e '.[test]'"
)


def find_browser():
    """Return the path of a browser, or None."""
    named = os.environ.get("LEUKKIT_BROWSER")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="session")
def browser():
    """Start the system's browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason=HOW)
    found = find_browser()
    if not found:
        pytest.skip(HOW)
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found)
        yield started
        started.close()


@pytest.fixture(scope="session")
def small_report(tmp_path_factory):
    """Build the report of the small results, whose names hold HTML; return its ``index.html``."""
    folder = small_results.make(tmp_path_factory.mktemp("results"))
    cells = [nbformat.v4.new_markdown_cell("# 01 · Try"), nbformat.v4.new_code_cell("print(1)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["leukkit"] = {"papers": ["patel2025"]}
    path = notebooks.kept_path(folder, "sample", "01_try.ipynb")
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    return page.build(folder, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def index(request, tmp_path_factory):
    """Return the ``index.html`` under test: of LEUKKIT_TEST_RESULTS, else of the small results."""
    folder = os.environ.get("LEUKKIT_TEST_RESULTS")
    if not folder:
        return request.getfixturevalue("small_report")
    if not pathlib.Path(folder).is_dir():
        pytest.fail(f"LEUKKIT_TEST_RESULTS={folder} is not a folder")
    return page.build(folder, tmp_path_factory.mktemp("report"))


@pytest.fixture
def artifacts():
    """Return the folder of the screenshots."""
    folder = os.environ.get("LEUKKIT_ARTIFACTS") or files.project_dir() / "artifacts"
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visit(browser, index):
    """Return a function that opens the report (or another file) in a fresh browser context.

    The page it returns keeps what went wrong in ``page.complaints`` and is looked at in the end:
    no test passes on a page with an error, or with a request to a network.
    """
    pages = []

    def opened(fragment="", path=None, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        tab = context.new_page()
        tab.complaints = []

        def complain(about, is_bad=True):
            if is_bad:
                tab.complaints.append(about)

        tab.on("console", lambda said: complain(said.text, said.type in ("error", "warning")))
        tab.on("pageerror", lambda error: complain(str(error)))
        tab.on("requestfailed", lambda request: complain(f"failed: {request.url}"))
        local = ("file:", "data:")
        tab.on("request", lambda it: complain(it.url, not it.url.startswith(local)))
        pages.append(tab)
        tab.goto((path or index).as_uri() + fragment)
        return tab

    yield opened
    complaints = [complaint for tab in pages for complaint in tab.complaints]
    for tab in pages:
        tab.context.close()
    assert complaints == []
