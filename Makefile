# `make demo` for a first look, `make test` for all tests, `make check` for what CI runs.
PYTHON ?= python3
LIBERO_ASSETS ?= ../shared/libero/assets.tar.xz
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint check format benchmark clean

demo: .venv/installed
	$(BIN)/toyflow sweep --schedules beta,uniform --steps 1,10
	$(BIN)/toyflow plot
	@echo "The figures are in $(CURDIR)/results/sweep/figures; start with score_by_steps.png."

test: .venv/installed-libero
	$(BIN)/pytest

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

check: lint test

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: .venv/installed
	$(BIN)/python benchmarks/overhead.py

clean:
	rm -rf .venv results/sweep

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "toyflow needs Python 3.10 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	@echo "Installing toyflow with torch and torchvision: about 5 GB, a few minutes the first time."
	$(INSTALL) -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) -e ".[dev,robot]"
	@touch $@

# LIBERO and gym-aloha's scene (its files alone; MuJoCo comes with LIBERO), for their tests, which are skipped
# where they are missing. LIBERO's assets come from an archive beside the
# checkout if there is one, else from a cache or the hub, else they are generated stand-ins.
.venv/installed-libero: .venv/installed-dev
	$(BIN)/toyflow robot-setup libero $(addprefix --assets ,$(wildcard $(LIBERO_ASSETS)))
	$(INSTALL) --no-deps gym-aloha==0.1.5
	@touch $@
