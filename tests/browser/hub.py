"""Use a JupyterHub as a person would: sign in, open notebooks, run all, take pictures. By hand.

docs/environments.md says how to start the hub and what to look at in the pictures.
"""

import argparse
import itertools
import pathlib
import time

from playwright import sync_api

from tests.browser.conftest import find_browser

USER = "ada"
BAR, SCROLLED = ".jp-OutputArea .widget-hprogress", ".jp-WindowedPanel-outer"

NEXT = "it => -it.scrollTop + (it.scrollTop += it.clientHeight - 120, it.scrollTop)"


def main() -> int:
    """Run the notebooks one after another; return how many of them had an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hub", help="its address")
    parser.add_argument("pictures", type=pathlib.Path, help="folder to make")
    parser.add_argument("notebooks", nargs="+", help="paths from the user's home folder")
    parser.add_argument("--upload", nargs="*", default=[], help="image files for the form")
    options = parser.parse_args()
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser())
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(f"{options.hub}/hub/login")
        page.fill("#username_input", USER)
        page.click("#login_submit")
        page.wait_for_url(f"**/user/{USER}/lab*", timeout=120_000)
        return sum(run(page, options, notebook) for notebook in options.notebooks)


def run(page, options, notebook: str) -> bool:
    """Run a notebook, picture it piece by piece; tell whether it had an error."""
    picture, began = options.pictures / pathlib.Path(notebook).stem, time.monotonic()
    page.goto(f"{options.hub}/user/{USER}/lab/tree/{notebook}?reset")
    wait_for_kernel(page, "Idle", picture)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Restart Kernel and Run All Cells…", exact=True).click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    wait_for_kernel(page, "Busy", picture)
    wait_for_kernel(page, "Idle", picture)
    print(f"{notebook}: {time.monotonic() - began:.0f} s")
    if options.upload and page.locator(".widget-upload").count():
        with page.expect_file_chooser() as chosen:
            page.locator(".widget-upload").click()
        chosen.value.set_files(options.upload)
        page.get_by_role("button", name="Predict", exact=True).click()
        page.wait_for_selector(".widget-vbox table")
    page.keyboard.press("Control+s")
    page.eval_on_selector(SCROLLED, "it => it.scrollTop = 0")
    for piece in itertools.count():
        page.wait_for_timeout(1000)
        page.screenshot(path=f"{picture}-{piece:02}.png")
        if not page.eval_on_selector(SCROLLED, NEXT):
            break
    saved = page.request.get(f"{options.hub}/user/{USER}/files/{notebook}").json()
    outputs = [it for cell in saved["cells"] for it in cell.get("outputs", [])]
    errors = [output["evalue"] for output in outputs if output["output_type"] == "error"]
    print(*errors, *("".join(it["text"]) for it in outputs if it.get("name") == "stderr"), sep="\n")
    return bool(errors)


def wait_for_kernel(page, state: str, picture: pathlib.Path) -> None:
    """Wait until the status bar says Busy, or for three seconds Idle while no cell waits."""
    looks = 0
    while looks < {"Busy": 1, "Idle": 6}[state]:
        page.wait_for_timeout(500)
        is_so = f"| {state}" in page.locator("#jp-main-statusbar").inner_text()
        waits = state == "Idle" and page.locator(".jp-InputPrompt", has_text="[*]").count()
        looks = looks + 1 if is_so and not waits else 0
        if page.locator(BAR).evaluate_all("all => all.map(it => it.scrollIntoView()).length"):
            page.screenshot(path=f"{picture}-bar.png")


if __name__ == "__main__":
    raise SystemExit(main())
