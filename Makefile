# `make demo` for a first look, `make test` for all tests, `make check` for what CI runs.
PYTHON ?= python3
PYTHON312 ?= python3.12
LIBERO_ASSETS ?= ../shared/libero/assets.tar.xz
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test soak test-lerobot-0.6 lint check format benchmark clean

demo: .venv/installed
	$(BIN)/toyflow sweep --schedules beta,uniform --steps 1,10
	$(BIN)/toyflow plot
	@echo "The figures are in $(CURDIR)/results/sweep/figures; start with score_by_steps.png."

test: .venv/installed-libero
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow"
	$(BIN)/pytest -n 2 --dist loadfile -m slow

# What toyflow does with LeRobot, again, with LeRobot 0.6 in an environment of its own (5 GB).
test-lerobot-0.6: .venv-lerobot-0.6/installed
	.venv-lerobot-0.6/bin/pytest tests/robot/lerobot tests/robot/policy/test_flow_planner.py

# Ten thousand requests among clients that misbehave, and ten minutes of the control loop on an idle machine.
soak: .venv/installed-dev
	$(BIN)/pytest tests/robot/runtime/serving/test_soak.py
	$(BIN)/python benchmarks/control_loop.py --seconds 600

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

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

.venv/installed-dev: .venv/installed lerobot_policy_toyflow/pyproject.toml
	$(INSTALL) -e ".[dev,robot]"
	$(INSTALL) --no-deps -e lerobot_policy_toyflow
	@touch $@

.venv-lerobot-0.6/installed: lerobot_policy_toyflow/pyproject.toml
	@$(PYTHON312) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || \
		{ echo "LeRobot 0.6 needs Python 3.12 or newer; name one: make PYTHON312=PATH $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON312) -m venv .venv-lerobot-0.6
	.venv-lerobot-0.6/bin/pip install --quiet "lerobot[training,pi,smolvla,diffusion]>=0.6,<0.7" \
		-e . pytest pytest-timeout hypothesis beartype
	.venv-lerobot-0.6/bin/pip install --quiet --no-deps -e lerobot_policy_toyflow
	@touch $@

# LIBERO and gym-aloha's scene (its files alone; MuJoCo comes with LIBERO), for their tests, which are skipped
# where they are missing. LIBERO's assets come from an archive beside the
# checkout if there is one, else from a cache or the hub, else they are generated stand-ins.
.venv/installed-libero: .venv/installed-dev
	$(BIN)/toyflow robot-setup libero $(addprefix --assets ,$(wildcard $(LIBERO_ASSETS)))
	$(INSTALL) --no-deps gym-aloha==0.1.5
	@touch $@
