# Everything runs in .venv, made here from nothing but Python >= 3.11.
# The first Python that is new enough and starts (a version manager's shim may not).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
SHELL := /bin/bash
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: venv demo test test-all lint docs bench clean

venv: .venv/ready

.venv/ready: pyproject.toml
	@test -n "$(PYTHON)" || \
		{ echo "scs-keras needs Python 3.11 or newer; none was found. Type: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	.venv/bin/python -m pip install --quiet --no-deps "tensorflow-serving-api>=2.19"  # no extra can name it: pyproject.toml
	.venv/bin/python -m pip install --quiet --no-deps "pythie-serving>=3.4"  # TF Serving's other messages, for a test
	touch $@

# tensorflow-cpu is half the size but exists for x86_64 Linux and Windows only.
EXTRAS ?= $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' '-')),cpu,tensorflow),dev

demo: venv
	.venv/bin/scs-keras demo

# Three on two cores: a process keeps the memory of every model that it ever built, and may hold 2 GB.
PYTEST = .venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# What a newcomer and a developer run: at most 600 s of processor time (told at the end), 5 minutes on two quiet cores.
test: venv
	$(PYTEST) -m "not slow"

# And then the slow ones (pyproject.toml says which), so that each test runs once.
test-all: test
	$(PYTEST) -m slow

lint: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/basedpyright --pythonpath .venv/bin/python

# The site, with the API's pages made from the docstrings, in the folder `site`.
docs: venv
	.venv/bin/mkdocs build --strict

bench: venv
	.venv/bin/python benchmarks/speed.py
	.venv/bin/python benchmarks/speed.py --dtype mixed_bfloat16
	.venv/bin/python benchmarks/operations.py
	.venv/bin/python benchmarks/memory.py

clean:
	rm -rf .venv build dist site *.egg-info
