# `make run` shows the product, `make test` proves it; each sets up all that it needs.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCREENSHOT ?= output/demo.png

.PHONY: run test test-all fuzz coverage lint format tree docs-check measure hooks wheel bundle screenshots pictures benchmark clean

$(STAMP): pyproject.toml .ci/system.sh
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 was found. Install one (Debian/Ubuntu: apt-get install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@.ci/system.sh venv $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@.ci/system.sh qt $(BIN)/python
	@touch $@

# With a display: the window. Without: the same window offscreen, the answer in the terminal, a picture in $(SCREENSHOT).
run: $(STAMP)
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname -s)" = Darwin ]; then \
		$(BIN)/python -m app --demo; \
	else \
		mkdir -p $(dir $(SCREENSHOT)) && QT_QPA_PLATFORM=offscreen $(BIN)/python -m app --demo --screenshot $(SCREENSHOT); \
	fi

# Several processes, one a core up to four: more of them only wait for each other's memory.
WORKERS ?= -n auto --maxprocesses 4

test: $(STAMP)
	$(BIN)/python -m pytest $(WORKERS)

test-all: $(STAMP)
	$(BIN)/python -m pytest $(WORKERS) -m "slow or not slow"

# Damages FILES files of every kind and reads them in child processes; SEED=… repeats a run.
FILES ?= 36000
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz --files $(FILES) $(if $(SEED),--seed $(SEED))

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lint-imports .importlinter-runtime
	$(BIN)/deptry .
	$(BIN)/python tests/project/tree.py --check

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The file trees in app/README.md and med2e3/README.md, from the modules' docstrings.
tree: $(STAMP)
	$(BIN)/python tests/project/tree.py

# Trees, links, and every command that the pages print.
docs-check: $(STAMP)
	$(BIN)/python tests/project/tree.py --check
	$(BIN)/python -m pytest tests/project

# Sizes, duplicates, rooms, modules that a change meets; BEFORE=figures.json puts an earlier state beside.
measure: $(STAMP)
	$(BIN)/python tests/project/measure.py $(if $(BEFORE),--before $(BEFORE)) $(if $(TESTS),--tests)

coverage: $(STAMP)
	$(BIN)/python -m pytest --cov --cov-report=term

# Runs before each commit what CI runs.
hooks: $(STAMP)
	$(BIN)/pre-commit install

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

bundle: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[bundle]'
	$(BIN)/pyinstaller --noconfirm --clean build.spec

benchmark: $(STAMP)
	$(BIN)/med2e3 benchmark
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m app --benchmark

# Every state of the window, dark and light, at 1280 × 800 and at 4K with everything twice as large.
screenshots: $(STAMP)
	$(BIN)/python -m app.screenshots output/screenshots $(STUDY)

# The pictures of med2e3/evidence/README.md; the one of the HTML report needs Chromium.
pictures: $(STAMP)
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m app.screenshots.pages resources/screenshots

clean:
	rm -rf $(VENV) build dist output .pytest_cache .mypy_cache .ruff_cache
