# make reproduce   run the notebooks, print published | reproduced | leak-free, write report/index.html
# make report      write report/index.html again, from results/ alone
# make test        ruff, mypy, pytest, nbval, and a browser on the report of what nbval has just run
# make bench       each speed ratio from one run
# make notebooks   run the notebooks on the sample and keep their outputs (before a commit)
#
# PAPER=farag2025  one paper's notebooks only
# PROFILE=…        for reproduce: sample (default), paper, or a TOML file; the tests compare the sample
# DATA=folder      for reproduce: the data sets (LEUKKIT_DATA_DIR); for test: real cells (LEUKKIT_TEST_DATA)

SHELL := /bin/bash
# The first of these that really starts and is 3.11 to 3.13 (version managers leave launchers that do not).
PYTHON ?= $(shell for python in python3.12 python3.13 python3.11 python3; do \
    $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
PROFILE ?= sample
PAPER ?= all
RUN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NOTEBOOKS = $(if $(filter all,$(PAPER)),$(wildcard notebooks/*.ipynb),$(shell grep -l '"$(PAPER)"' notebooks/*.ipynb))
SCRATCH ?= $(abspath $(VENV))/scratch

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: reproduce report test lint unit notebook-test browser-test notebooks bench clean

reproduce: $(INSTALLED)
	$(RUN)/leukkit reproduce $(PAPER) --profile $(PROFILE) $(if $(DATA),--data-dir $(DATA))

report: $(INSTALLED)
	$(RUN)/leukkit report

# In a folder of its own: a stale result or cached feature would let a broken cell pass, or differ in
# its last digits. So the notebooks that are kept are run with an empty cache, too.
test: lint
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(MAKE) --no-print-directory unit browser-test SCRATCH=$$folder

lint: $(INSTALLED)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy leukkit

unit: $(INSTALLED)
	$(if $(DATA),LEUKKIT_TEST_DATA=$(abspath $(DATA))) LEUKKIT_CACHE_DIR=$(SCRATCH)/cache TF_NUM_INTRAOP_THREADS=1 \
	$(RUN)/python -m pytest -n 2 --dist loadfile --durations 10 --ignore tests/browser

notebook-test: $(INSTALLED)
	LEUKKIT_PROFILE=sample LEUKKIT_DATA_DIR= LEUKKIT_RESULTS_DIR=$(SCRATCH)/results LEUKKIT_CACHE_DIR=$(SCRATCH)/cache \
	$(RUN)/python -m pytest --nbval -n 2 --dist loadfile --durations 5 $(NOTEBOOKS)

# nbval keeps no notebook; the committed ones stand in, so that the report's links to them are tested.
browser-test: notebook-test
	mkdir -p $(SCRATCH)/results/notebooks/sample && cp $(NOTEBOOKS) $(SCRATCH)/results/notebooks/sample/
	LEUKKIT_TEST_RESULTS=$(SCRATCH)/results LEUKKIT_CACHE_DIR=$(SCRATCH)/cache \
	$(RUN)/python -m pytest -rs --durations 5 tests/browser

notebooks: $(INSTALLED)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	LEUKKIT_CACHE_DIR=$$folder $(RUN)/leukkit reproduce all --profile sample --in-place

bench: $(INSTALLED)
	$(RUN)/python -m benchmarks

$(INSTALLED): pyproject.toml requirements.txt constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	{ echo "leukkit needs Python 3.11 to 3.13 and found none: make PYTHON=/path/to/python3.12"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) report results artifacts
