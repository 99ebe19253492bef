# What a developer needs, from Python 3.11 or newer and make alone: `make help` lists it.

# The first Python that is new enough and can make an environment; one may also be named: make test PYTHON=python3.12
SUITABLE = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c '$(SUITABLE)' >/dev/null 2>&1 && { echo $$python; break; }; done)
NO_PYTHON = simlr needs Python 3.11 or newer with its venv module (on Debian or Ubuntu: apt install python3-venv)

VENV = .venv
RUN = $(VENV)/bin/python

# An environment is whole when no install into it was cut off, it was made in this folder (a copied one would run the
# original's code) and its Python still starts; a Python named by the user has to be the one that it was made with.
NAMED_PYTHON = $(if $(filter file undefined,$(origin PYTHON)),,$(PYTHON))
WHOLE := $(shell test ! -e $(VENV)/unfinished && test "$$(cat $(VENV)/made-in 2>/dev/null)" = "$(CURDIR)" \
	&& version=$$($(RUN) -V 2>/dev/null) \
	&& { test -z "$(NAMED_PYTHON)" || test "$$version" = "$$($(NAMED_PYTHON) -V 2>/dev/null)"; } && echo yes)

.PHONY: help demo test test-all proofs soak bench docs pictures lint release-check clean remake
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo "make demo     run the reference problem (Nakkiran 2020) and make its report"
	@echo "make test     run the tests: all laws and contracts, two at a time (ARGS='-k store -x' goes to pytest)"
	@echo "make test-all run the long ones too; CI does"
	@echo "make proofs   judge the papers over many roots, measure how often intervals cover (ARGS=roots: a part); writes docs/proofs.md"
	@echo "make soak     crash, kill and fuzz it for minutes  (ARGS=fuzz: a part) and write docs/reliability.md"
	@echo "make bench    measure the speed of the kernels (ARGS=--peers: beside NumPy and JAX)"
	@echo "make docs     build the site docs/_site/index.html; every warning is an error (ARGS=-E: anew)"
	@echo "make pictures make the pictures of the README and the gallery anew (ARGS='noise rows': some)"
	@echo "make lint     check style and types"
	@echo "make release-check  build sdist and wheel, check them, and run the wheel in clean environments"
	@echo "make clean    remove .venv, caches, build products, and the runs and reports in data/"
	@echo "Each sets up .venv when needed; PYTHON=... names the Python to use."

demo: $(VENV)/with-report
	$(RUN) -m simlr.grid --overwrite
	$(RUN) -m simlr.report data/nakkiran2020.h5

# Files go to the two workers whole, so that what a file's tests share is made once; -rs names each test that is skipped.
TESTS = $(RUN) -m pytest -n 2 --dist loadfile -rs

test: $(VENV)/with-test
	$(TESTS) -m "not slow and not proof" $(ARGS)

test-all: $(VENV)/with-test
	$(TESTS) -m "not proof" $(ARGS)

proofs: $(VENV)/with-test
	$(RUN) tests/support/proofs.py $(ARGS)

soak: $(VENV)/with-test
	$(RUN) tests/support/soak.py $(ARGS)

# JAX is large, and only the comparison needs it.
bench: $(VENV)/with-$(if $(findstring --peers,$(ARGS)),bench,nothing)
	$(RUN) -m simlr.bench $(ARGS)

# What is built needs no network, and neither has its reader.
docs: $(VENV)/with-docs
	$(RUN) -m sphinx -W --keep-going -q -b html $(ARGS) docs docs/_site
	@echo "docs/_site/index.html"

pictures: $(VENV)/with-docs
	$(RUN) docs/pictures.py $(ARGS)

lint: $(VENV)/with-test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# Whether what would be released is whole; it uploads nothing.
release-check: $(VENV)/with-release
	bash .ci/release

clean:
	rm -rf $(VENV) build dist simlr.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache .coverage htmlcov
	rm -rf data/*.h5 data/*-report data/.simlr-* docs/_site docs/made docs/jupyter_execute
	find simlr kernels tests -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp an extra, touched only when pip has finished. The install is editable: a change of code takes effect at once.
$(VENV)/with-%: $(VENV)/made-in setup.cfg pyproject.toml
	@echo "setting up $(VENV)$(if $(filter nothing,$*),, for $*): takes a minute or two the first time ..."
	@touch $(VENV)/unfinished
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.$(if $(filter nothing,$*),,[$*])'
	@rm $(VENV)/unfinished
	@touch $@

$(VENV)/made-in: $(if $(WHOLE),,remake)
	@$(if $(PYTHON),,$(error $(NO_PYTHON)))
	@$(PYTHON) -c '$(SUITABLE)' 2>/dev/null || { echo "$(PYTHON): $(NO_PYTHON)" >&2; exit 1; }
	@rm -f $@
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "$(CURDIR)" > $@

remake:
