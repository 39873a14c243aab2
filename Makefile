# Every target first creates .venv through `setup`, which does nothing while pyproject.toml is unchanged.
PYTHON ?= python3
BIN := .venv/bin
RESULTS ?= results/demo
WORKERS ?= 2
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export RAY_USAGE_STATS_ENABLED ?= 0
unexport PYTHONDONTWRITEBYTECODE  # workers and tests import this project hundreds of times

.PHONY: docs setup demo test test-slow check format bench bench-gpu faults report docs-tables nano constraints imports clean
setup: .venv/.installed

# Dependencies are shared by all checkouts of this machine, in $UNLEARN_VENVS (default: ~/.cache/speech-unlearning/venvs).
.venv/.installed: pyproject.toml .ci/install.py
	$(PYTHON) .ci/install.py

demo: setup
	$(BIN)/unlearn run sweeps/demo.yaml --results $(RESULTS)
	$(BIN)/unlearn report $(RESULTS)

test: setup
	$(BIN)/pytest -m 'not slow' -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test-slow: setup
	$(BIN)/pytest -m slow --timeout 1800

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python tests/benchmarks/speed.py

bench-gpu: setup
	$(BIN)/python tests/benchmarks/gpu.py

faults: setup
	$(BIN)/python tests/benchmarks/faults.py

report: setup
	$(BIN)/unlearn report $(RESULTS)

docs: setup  # the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean --quiet

docs-tables: setup
	$(BIN)/python -m orchestrator.docs_tables docs/sweeps.md docs/results.md docs/tuning.md

nano: setup
	$(BIN)/python -m orchestrator.deploy.pretrain_nano
	$(BIN)/python -m orchestrator.deploy.pretrain_nano_ctc

imports: setup
	$(BIN)/python tests/benchmarks/import_graph.py $(CHECKOUT)

constraints: setup  # versions for the Containerfile
	$(BIN)/python -m orchestrator.deploy.constraints

clean:
	rm -rf .venv results site .mypy_cache .ruff_cache .pytest_cache
