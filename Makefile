# Sequoia Explorer. `make` alone lists the targets.
#
# Everything lives in .venv. A requirements file is installed once: .venv keeps a copy of what was
# installed, and pip runs again only when the two differ. The copy goes before pip starts and comes
# back when pip has succeeded, so an interrupted installation is taken up again, never trusted.

PYTHON ?= python3
PORT ?= 8501
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: help run test lint format bench bench-plan gpu-check paper clean python env test-env
.DEFAULT_GOAL := help

help:  ## list the targets
	@echo "Sequoia Explorer. What is missing is installed into $(VENV) first."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: env  ## serve the dashboard on 127.0.0.1:8501 (other port: make run PORT=8502)
	@$(BIN)/python tools/serve.py --port "$(PORT)"

test: lint  ## check style and formatting, run every test (some: make test ARGS="-k tree")
	@$(BIN)/python -m pytest $(ARGS)

lint: test-env  ## check style and formatting
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

format: test-env  ## mend style and formatting
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

bench: env  ## measure every method side by side (other settings: make bench ARGS="--temperature 0.6")
	@$(BIN)/python -m sequoia_core bench $(ARGS)

bench-plan: env  ## time the planner and compare it with a plain transcription of its recurrence
	@$(BIN)/python -m tools.planner $(ARGS)

gpu-check: ## on a GPU machine with its own torch: correctness, hardware profile, bench, figures
	@"$(PYTHON)" tools/gpu_check.py $(ARGS)

paper: env  ## compare with the paper's tables (into docs/PAPER.md: make paper ARGS=--update)
	@$(BIN)/python -m tools.paper $(ARGS)

clean:  ## remove .venv and the caches
	rm -rf $(VENV) .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A usable interpreter with pip in .venv. Where the system's Python comes without ensurepip
# (Debian's does), the system's pip puts one there.
python:
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "Python is missing: '$(PYTHON)' was not found. Install Python 3.11 or newer," \
			"or name one: make run PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python is too old: '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1), and 3.11 or newer is needed." \
			"Name a newer one: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || { \
		echo "Creating $(VENV)"; \
		"$(PYTHON)" -m venv --clear $(VENV) >/dev/null 2>&1 \
		|| { "$(PYTHON)" -m venv --clear --without-pip $(VENV) \
			&& "$(PYTHON)" -m pip --python $(BIN)/python install --quiet pip; } \
		|| { echo "No environment could be made in $(VENV): see the message above." \
			"On Debian and Ubuntu, apt-get install python3-venv mends it." >&2; exit 1; }; }

env: python
	@cmp -s requirements.txt $(VENV)/installed.txt || { \
		echo "Installing requirements.txt into $(VENV) (once; it takes a few minutes)"; \
		rm -f $(VENV)/installed.txt $(VENV)/installed-tests.txt; \
		$(PIP) install -r requirements.txt \
		&& cp requirements.txt $(VENV)/installing.txt \
		&& mv $(VENV)/installing.txt $(VENV)/installed.txt; }

test-env: env
	@cmp -s tests/requirements.txt $(VENV)/installed-tests.txt || { \
		echo "Installing tests/requirements.txt into $(VENV)"; \
		rm -f $(VENV)/installed-tests.txt; \
		$(PIP) install -r tests/requirements.txt \
		&& cp tests/requirements.txt $(VENV)/installing.txt \
		&& mv $(VENV)/installing.txt $(VENV)/installed-tests.txt; }
