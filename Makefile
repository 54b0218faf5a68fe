# Every target that runs Python first makes sure that its environment is complete:
#   make test                            .venv, set up or updated when needed
#   make test BASE_PYTHON=python3.12     .venv made with this interpreter
#   make test PYTHON=/path/to/python     your own environment, checked, never changed
#   make test VENV=/path/to/environment  the same
# `make demo`, `gpu-check` and `wheel` are content with the packages for classification.

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
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
cls full: ; @"$(PY)" tools/check_env.py --quiet $(if $(filter cls,$@),--tasks cls demo)
else
PY := .venv/bin/python
cls full: ; @requirements/sync.sh $@
endif

DEMOS := demo-det demo-seg demo-pose demo-video demo-all
.PHONY: help setup cls full check-env demo gpu-check $(DEMOS) test test-fast faults lint format tables docs lock wheel clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'PYTHON=/path/to/python uses that interpreter instead of .venv; docs/install.md has the rest.'

setup: full ## create or complete .venv (demo and test do this themselves)
	@echo '.venv is up to date: source .venv/bin/activate'

check-env: ## print what is installed, what is missing and the commands that mend it
	@python=$$(command -v "$(PY)" || command -v python3) && "$$python" tools/check_env.py

demo: cls ## train, test and picture a small UniFormer on real images
	@"$(PY)" tools/demo/run.py cls

gpu-check: cls ## check every network on a GPU and measure it there (8 minutes)
	"$(PY)" tools/analysis/gpu_check.py

demo-det: full ## fine-tune it into a detector of boxes and masks
demo-seg: full ## fine-tune it into a segmentor of every pixel
demo-pose: full ## fine-tune it into an estimator of human poses
demo-video: full ## inflate it and tell which way a digit moves
demo-all: full ## all demos, and one page with their pictures
$(DEMOS):
	@"$(PY)" tools/demo/run.py $(@:demo-%=%)

PYTEST = OMP_NUM_THREADS=1 "$(PY)" -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder
test: lint ## run ruff and all tests, in two processes
	$(PYTEST)

test-fast: full ## run the tests that are not marked slow
	$(PYTEST) -m 'not slow'

faults: full ## hurt hundreds of runs and print the table of outcomes (hours)
	OMP_NUM_THREADS=1 "$(PY)" tests/faults/table.py

lint: full ## run ruff, changing nothing
	"$(PY)" -m ruff check .
	"$(PY)" -m ruff format --check .

format: full ## let ruff format the code
	"$(PY)" -m ruff check --fix .
	"$(PY)" -m ruff format .

tables: full ## write the result tables of the READMEs from the metafiles
	"$(PY)" tools/analysis/make_tables.py

docs: full ## build the site of docs/ into site/, whose index.html opens without a server
	"$(PY)" tools/analysis/make_tables.py --check
	NO_MKDOCS_2_WARNING=1 "$(PY)" -m mkdocs build

lock: ## write the lock files anew; LOCK='--upgrade-package ruff' moves a version
	requirements/sync.sh lock $(LOCK)

wheel: cls ## build the wheel and the source archive into dist/
	rm -rf build
	"$(PY)" -m pip --quiet wheel --no-deps --no-build-isolation --wheel-dir dist .
	"$(PY)" -c "import setuptools.build_meta as b; b.build_sdist('dist')" > /dev/null
	@ls dist

clean: ## remove caches and builds; .venv, data and results stay
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache
	find uniformer_mm configs tools tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## also remove .venv
	rm -rf .venv .venv.lock .venv-tools
