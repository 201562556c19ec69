"""nbval compares the text of the marked cells: numbers and tables, not pictures or log lines."""


def pytest_collectstart(collector):
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "text/html", "image/png")
