"""The report in a real browser; `tests/browser/conftest.py` says which report and which browser."""

import re
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from leukkit.report import notebooks

SHOWN = "#cells tbody tr:not([hidden])"
FILTERS = '.filters[data-table="cells"]'
ORDERS = ("ascending", "descending")
PHONE = {"viewport": {"width": 360, "height": 740}}
SECTIONS = ("main", "comparison", "patel2025", "sultana-audit", "honest", "gap", "own", "runs")


def column(tab, number, key=False):
    """Return the texts (or sort keys) of one column of the rows that are shown."""
    read = "cell.dataset.sort ?? cell.textContent.trim()" if key else "cell.textContent.trim()"
    return tab.eval_on_selector_all(
        f"{SHOWN} td:nth-child({number})", f"cells => cells.map(cell => {read})"
    )


def count(tab):
    """Return the number of rows that the page says it shows."""
    return int(tab.locator(f"{FILTERS} output").inner_text().split()[0])


def choose(tab, name, value):
    tab.locator(f'{FILTERS} select[name="{name}"]').select_option(value)


def head(tab, key):
    return tab.locator(f'#cells th[data-key="{key}"]')


def pictures(tab, artifacts, name):
    """Keep what the window shows of some sections, for people to look at."""
    for section in SECTIONS:
        tab.evaluate(f"document.getElementById('{section}')?.scrollIntoView()")
        tab.screenshot(path=artifacts / f"{name}-{section}.png")


def test_opens_quietly_and_says_what_it_is(visit, artifacts):
    tab = visit()
    assert tab.locator("h1").count() == 1
    assert "not for clinical use" in tab.locator("header").inner_text()
    assert re.search(r"\d+ of \d+ printed cells reproduced", tab.locator(".count").inner_text())
    assert count(tab) == tab.locator(SHOWN).count() == tab.locator("#cells tbody tr").count() > 400
    assert not tab.eval_on_selector_all("img", "all => all.filter(it => !it.naturalWidth).length")
    pictures(tab, artifacts, "desktop")


def test_executed_notebooks_open_without_a_network(visit, index):
    tab = visit()
    links = tab.eval_on_selector_all("a[href$='.html']", "all => all.map(a => a.href)")
    assert links
    for link in sorted(set(links)):
        path = index.parent / unquote(urlsplit(link).path).rpartition("/")[2]
        assert visit(path=path).locator("body").inner_text().strip()


@pytest.mark.parametrize("key", ["printed", "reproduced", "quantity"])
def test_sorts_in_both_directions_and_keeps_what_has_no_number_last(visit, key):
    tab = visit()
    position = 1 + head(tab, key).evaluate("head => head.cellIndex")
    for reverse in (False, True):
        head(tab, key).locator("button").click()
        assert head(tab, key).get_attribute("aria-sort") == ORDERS[reverse]
        keys = column(tab, position, key=True)
        known = [text for text in keys if text]
        assert keys[: len(known)] == known and len(set(known)) > 2
        by = str.casefold if key == "quantity" else float
        assert known == sorted(known, key=by, reverse=reverse)
    assert tab.locator("#cells th[aria-sort]").count() == 1


@pytest.mark.parametrize(("filtered", "position"), [("paper", 1), ("profile", 8)])
def test_filters_by_paper_or_profile_and_the_count_agrees(visit, filtered, position):
    tab = visit()
    total, options = 0, tab.locator(f'{FILTERS} select[name="{filtered}"] option')
    for key, name in options.evaluate_all("all => all.slice(1).map(it => [it.value, it.text])"):
        choose(tab, filtered, key)
        assert set(column(tab, position)) == {name}
        assert count(tab) == tab.locator(SHOWN).count()
        total += count(tab)
    choose(tab, filtered, "")
    assert count(tab) == total == tab.locator("#cells tbody tr").count()


def test_filters_by_protocol_and_by_whether_it_was_run(visit):
    tab = visit()
    is_run = {}
    for name, position in (("reproduced", 6), ("leak-free", 7)):
        choose(tab, "status", name)
        assert not any(text.startswith("not run") for text in column(tab, position))
        is_run[name] = count(tab)
    choose(tab, "status", "both")
    both = count(tab)
    choose(tab, "status", "none")
    texts = column(tab, 6) + column(tab, 7)
    assert all(text.startswith("not run") for text in texts)
    whole = tab.locator("#cells tbody tr").count()
    assert count(tab) == whole - sum(is_run.values()) + both


def test_filters_by_all_words_and_clears(visit):
    tab = visit()
    tab.locator(f"{FILTERS} input").fill("densenet-201 SVM")
    texts = [text.lower() for text in tab.locator(SHOWN).all_inner_texts()]
    assert 0 < count(tab) == len(texts) < tab.locator("#cells tbody tr").count()
    assert all("densenet-201" in text and "svm" in text for text in texts)
    tab.locator(f"{FILTERS} input").fill("no such thing")
    assert count(tab) == 0
    assert tab.get_by_text("None of the cells fit these filters.").is_visible()
    tab.locator(f"{FILTERS} button").click()
    assert count(tab) == tab.locator("#cells tbody tr").count()
    assert urlsplit(tab.url).fragment == ""


def test_the_address_keeps_filters_and_order(visit):
    tab = visit()
    choose(tab, "paper", "sultana")
    tab.locator(f"{FILTERS} input").fill("vgg-19 & <b>")
    tab.locator(f"{FILTERS} input").fill("vgg-19")
    head(tab, "printed").locator("button").click()
    head(tab, "printed").locator("button").click()
    other = visit("#" + urlsplit(tab.url).fragment)
    assert column(other, 5) == column(tab, 5)
    assert count(other) == count(tab) > 0
    assert head(other, "printed").get_attribute("aria-sort") == "descending"
    other.evaluate("location.hash = 'paper=mishra'")
    other.wait_for_function("document.querySelector('.filters select').value === 'mishra'")
    assert {text.split(" et al.")[0] for text in column(other, 1)} == {"Mishra"}


def test_an_address_with_nonsense_changes_nothing(visit):
    whole = visit()
    tab = visit("#sort=%22%5D&order=x&nothing=1")
    assert count(tab) == count(whole)
    assert visit("#runs").locator(SHOWN).count() == count(whole)


def test_a_value_leads_to_its_run(visit):
    tab = visit("#status=reproduced")
    tab.locator(f"{SHOWN} td:nth-child(6) a").first.click()
    run = tab.locator("#all-runs tr:target")
    assert run.is_visible()
    assert re.search(r"\d{4}-\d\d-\d\d", run.inner_text()) and "TensorFlow" in run.inner_text()


def test_runs_of_ones_own_lead_to_their_run_and_html_in_names_does_not_run(visit, small_report):
    tab = visit(path=small_report)
    assert "vgg19~0123abcd" not in tab.locator("#cells").inner_text()
    tab.locator("#own-runs a", has_text="vgg19~0123abcd").click()
    assert "vgg19~0123abcd" in tab.locator("#all-runs tr:target").inner_text()
    problem = tab.locator("#all-runs tr.problem").inner_text()
    assert "<script>document.title='hacked'<" in problem and "<img src=x onerror=" in problem
    assert tab.title().startswith("leukkit report")


def test_stays_quick(visit):
    tab = visit()
    spent = tab.evaluate(
        """() => {
            const began = performance.now();
            document.querySelector('#cells th[data-key="what"] button').click();
            const field = document.querySelector('.filters input');
            field.value = "test";
            field.dispatchEvent(new Event("input", { bubbles: true }));
            document.body.getBoundingClientRect();
            return performance.now() - began;
        }"""
    )
    assert spent < 2000  # milliseconds; some 100 on two idle cores


def test_a_phone_has_no_sideways_scrolling(visit, artifacts):
    tab = visit(**PHONE)
    tab.eval_on_selector_all("details", "all => all.forEach(it => { it.open = true })")
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    row = tab.locator("#cells tbody tr").first.bounding_box()
    assert row["width"] <= 360
    head(tab, "printed").locator("button").click()  # cards can be sorted, too
    assert head(tab, "printed").get_attribute("aria-sort") == "ascending"
    tab.eval_on_selector_all("details", "all => all.forEach(it => { it.open = false })")
    pictures(tab, artifacts, "phone")


def test_the_keyboard_reaches_the_content_and_sorts(visit):
    tab = visit()
    tab.keyboard.press("Tab")
    focused = "document.activeElement"
    assert tab.evaluate(f"{focused}.textContent") == "Skip to the content"
    assert tab.evaluate(f"{focused}.getBoundingClientRect().left") >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate(f"{focused}.id") == "main"
    for _ in range(60):
        tab.keyboard.press("Tab")
        outline = f"getComputedStyle({focused}).outlineStyle"
        assert tab.evaluate(outline) != "none", tab.evaluate(f"{focused}.outerHTML")
        if tab.evaluate(f"{focused}.closest('#cells th')?.dataset.key") == "printed":
            break
    tab.keyboard.press("Enter")
    assert head(tab, "printed").get_attribute("aria-sort") == "ascending"
    tab.keyboard.press("Space")
    assert head(tab, "printed").get_attribute("aria-sort") == "descending"


TEXTS = ("body", "a", ".lead", ".notice", "caption", "thead th", ".interval", ".not-run", "small")
TEXTS += (".said", ".filters label", "summary", "footer", "figcaption")
TEXTS += ("td.verdict-inconsistent",)


def luminance(color):
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_light_and_dark(visit, artifacts, scheme):
    tab = visit(color_scheme=scheme)
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) < 0.1) == (scheme == "dark")
    for selector in TEXTS:
        if not tab.locator(selector).count():
            continue
        color, ground = tab.locator(selector).first.evaluate(
            """one => {
                let under = one;
                while (getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)")
                    under = under.parentElement;
                return [getComputedStyle(one).color, getComputedStyle(under).backgroundColor];
            }"""
        )
        bright, dim = sorted((luminance(color), luminance(ground)), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, (selector, color, ground)  # WCAG AA
    if scheme == "dark":
        pictures(tab, artifacts, "dark")


def test_on_paper_there_are_no_controls_and_the_claims_are_opened(visit, artifacts):
    tab = visit(color_scheme="dark")
    tab.pdf(path=artifacts / "print.pdf", format="A4")
    claim = tab.locator("#sultana-claims tbody tr:not([hidden])").first
    assert not claim.is_visible()
    tab.emulate_media(media="print")
    assert claim.is_visible()
    assert not tab.locator("nav").is_visible()
    assert not tab.locator(".filters").first.is_visible()
    assert luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9
    tab.screenshot(path=artifacts / "print.png")


def test_without_javascript_everything_is_there_to_read(visit):
    script, plain = visit(), visit(java_script_enabled=False)
    rows = plain.locator("#cells tbody tr")
    assert rows.count() == script.locator("#cells tbody tr").count()
    assert rows.first.is_visible() and rows.last.is_visible()
    assert not plain.locator(".filters").first.is_visible()
    assert plain.locator("th button").count() == 0


HARM = """<script>document.title = "ran"</script><img src="x" onerror="document.title = 'ran'">
<a id="link" href="javascript:document.title = 'ran'">a link</a>
<svg onload="document.title = 'ran'"><script>document.title = "ran"</script></svg>
<iframe srcdoc="<script>parent.document.title = 'ran'</script>"></iframe>
<script>document.title = "ran\""""


def test_a_notebook_from_elsewhere_runs_no_script(browser, tmp_path):
    svg = f'<svg xmlns="http://www.w3.org/2000/svg">{HARM}<circle r="5"/></svg>'
    data = {
        "text/html": HARM,
        "image/svg+xml": svg,
        "application/javascript": "document.title='ran'",
    }
    outputs = [
        nbformat.v4.new_output("display_data", {kind: content}) for kind, content in data.items()
    ]
    cells = [
        nbformat.v4.new_markdown_cell(f"# Try\n\n{HARM}"),
        nbformat.v4.new_raw_cell(HARM, metadata={"format": "text/html"}),
        nbformat.v4.new_code_cell("print('shown')", outputs=outputs),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"title": f"</title>{HARM}"})
    path = tmp_path / "page.html"
    notebooks._write_html(notebook, path)
    tab = browser.new_page()
    tab.goto(path.as_uri())
    tab.locator("#link").first.evaluate("link => link.click()")
    tab.wait_for_timeout(500)
    assert tab.title() != "ran"
    assert tab.locator(".highlight").first.evaluate("it => getComputedStyle(it).backgroundColor")
    assert "shown" in tab.locator("body").inner_text()
    tab.close()
