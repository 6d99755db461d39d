# The commands of the project; the same ones at the desk, in the README and in CI.
# make run    set up, fetch the models, open the app on its embedded table
# make test   set up and run the tests, with a real browser
# make test-external    third-party servers, clients and a trainer, each installed in its own environment
# make check  lint, types, and the tests that take no browser, model or server
# make docs   the documents as a site, into site/; a broken link fails
# make soak MINUTES=30   twenty viewers that come and go; memory, descriptors and log of the app, written to soak.txt
# make screenshots   pictures of every page at three widths, light and dark, into screenshots/
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8501

MINUTES ?= 30

# Byte code is kept, whatever the environment says: tests start hundreds of processes, and each would compile the house.
export PYTHONDONTWRITEBYTECODE :=

# One after another also under `make --jobs`, as two installations into one environment break each other; `test` and
# `check` say themselves what may run side by side.
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif

.PHONY: run setup models test test-external lint check fast format docs bench soak screenshots clean
.DELETE_ON_ERROR:

run: setup models
	$(BIN)/streamlit run app.py --server.port $(PORT)

setup: $(VENV)/.running

models: setup
	@$(BIN)/python -m map_core models get || \
	  echo "The models could not be fetched now; the app starts without replies from a model. Later: make models"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.running: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.testing: requirements.txt requirements-cluster.txt requirements-tune.txt tests/requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile --requirement tests/requirements.txt
	@touch $@ $(VENV)/.running

$(VENV)/.docs: docs/requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement docs/requirements.txt
	@touch $@

# Byte code of the installed packages, compiled on all cores where pip would use one, and of the tests, which each of
# the processes that run them would compile.
$(VENV)/.compiled: $(VENV)/.testing
	-$(BIN)/python -m compileall -qq -j 0 -x '/tests?/|/testing/' $(VENV)/lib
	-$(BIN)/python -m pytest --collect-only -qq > /dev/null
	@touch $@

$(VENV)/.browser: | $(VENV)/.testing
	$(BIN)/python -m tests.browser_setup
	@touch $@

# Three processes, a file of tests to each in turn: on two cores some compute while others wait for a server or browser.
test: $(VENV)/.testing
	@$(MAKE) --no-print-directory --jobs 3 SIDE_BY_SIDE=yes $(VENV)/.compiled $(VENV)/.browser models
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not external"

test-external: $(VENV)/.testing models
	$(BIN)/python -m pytest -m external

lint: $(VENV)/.testing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/oxlint --deny-warnings assets

# What to run before each commit: no browser, no model, no other program. Types are checked while the tests run.
check: $(VENV)/.testing
	@$(MAKE) --no-print-directory --jobs 2 SIDE_BY_SIDE=yes lint fast

fast: $(VENV)/.testing
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m fast

format: $(VENV)/.testing
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.testing models
	$(BIN)/python -m tests.benchmarks

soak: $(VENV)/.testing
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

screenshots: $(VENV)/.testing $(VENV)/.browser models
	$(BIN)/python -m tests.screenshots
	$(BIN)/python -m tests.screenshots --readme

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache site
