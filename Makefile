# Every target that runs Python first makes sure that its environment is complete:
#   make test                            .venv, set up or updated when needed
#   make test BASE_PYTHON=python3.12     .venv made with this interpreter
#   make test PYTHON=/path/to/python     your own environment, checked, never changed
#   make test VENV=/path/to/environment  the same

SHELL := /bin/bash
.DEFAULT_GOAL := help

BASE_PYTHON ?=
PYTHON ?=
VENV ?=
MMCV_WHEEL ?=
FIND_LINKS ?=
export BASE_PYTHON MMCV_WHEEL FIND_LINKS

ifneq ($(PYTHON)$(VENV),)
PY := $(or $(PYTHON),$(VENV)/bin/python)
ENVIRONMENT := own-environment
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
else
PY := .venv/bin/python
ENVIRONMENT := environment
endif

.PHONY: help setup environment own-environment check-env demo demo-det demo-seg demo-pose demo-video demo-all test test-fast lint format wheel clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'PYTHON=/path/to/python uses that interpreter instead of .venv; docs/install.md has the rest.'

setup: environment ## create or update .venv (demo and test do this themselves)
	@echo '.venv is up to date: source .venv/bin/activate'

environment:
	@for python in $(or $(BASE_PYTHON),python3.11 python3.12 python3.10 python3); do \
		if "$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; \
		then exec "$$python" tools/setup_env.py; fi; \
	done; \
	echo 'error: $(if $(BASE_PYTHON),$(BASE_PYTHON) is not,none of python3.11 python3.12 python3.10 python3 is) a working Python 3.10 to 3.12.' >&2; \
	echo '  Debian, Ubuntu: sudo apt-get install python3 python3-venv python3-dev' >&2; \
	echo '  then repeat, or name one: make $(or $(MAKECMDGOALS),setup) BASE_PYTHON=/path/to/python3.11' >&2; \
	exit 1

own-environment:
	@"$(PY)" tools/check_env.py --quiet

check-env: ## print what is installed, what is missing and the command that mends it
	@python=$$(command -v "$(PY)" || command -v python3) && "$$python" tools/check_env.py

demo: $(ENVIRONMENT) ## train, test and picture a small UniFormer on real images
	@"$(PY)" tools/demo.py cls

demo-det: $(ENVIRONMENT) ## fine-tune it into a detector of boxes and masks
	@"$(PY)" tools/demo.py det

demo-seg: $(ENVIRONMENT) ## fine-tune it into a segmentor of every pixel
	@"$(PY)" tools/demo.py seg

demo-pose: $(ENVIRONMENT) ## fine-tune it into an estimator of human poses
	@"$(PY)" tools/demo.py pose

demo-video: $(ENVIRONMENT) ## inflate it and tell which way a digit moves
	@"$(PY)" tools/demo.py video

demo-all: $(ENVIRONMENT) ## all demos, and one page with their pictures
	@"$(PY)" tools/demo.py all

test: lint ## run ruff and all tests
	"$(PY)" -m pytest -q

test-fast: $(ENVIRONMENT) ## run the tests that are not marked slow, in two processes
	OMP_NUM_THREADS=1 "$(PY)" -m pytest -q -m 'not slow' --numprocesses 2 --dist loadfile

lint: $(ENVIRONMENT) ## run ruff, changing nothing
	"$(PY)" -m ruff check .
	"$(PY)" -m ruff format --check .

format: $(ENVIRONMENT) ## let ruff format the code
	"$(PY)" -m ruff check --fix .
	"$(PY)" -m ruff format .

wheel: $(ENVIRONMENT) ## build the wheel and the source archive into dist/
	rm -rf build
	"$(PY)" -m pip --quiet wheel --no-deps --no-build-isolation --wheel-dir dist .
	"$(PY)" -c "import setuptools.build_meta as b; b.build_sdist('dist')" > /dev/null
	@ls dist

clean: ## remove caches and builds; .venv, data and results stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find uniformer_mm configs tools tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## also remove .venv
	rm -rf .venv .venv.lock
