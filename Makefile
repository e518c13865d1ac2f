# make demo    the shipped model: run, compare, explain one mismatch, write a report
# make test    everything that CI runs
# make lint    the static checks only
# make clean   removes what make made
#
# Each makes .venv first, once; again when the packages asked for change. PYTHON=python3.NN chooses the interpreter.

PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: .venv/.installed
	@echo "== demo"
	$(BIN)/intsim demo

# The test processes share the cores; a file's tests run in one of them, so that what they share is made once. The static
# checks run beside the tests: what they say is shown at the end, and make fails where any of the three does.
test: export OMP_NUM_THREADS = 1
test: .venv/.installed
	@said=$$(mktemp); failed=0; \
	$(MAKE) --no-print-directory lint >"$$said" 2>&1 & lint=$$!; \
	echo "== tests, kernels compiled"; \
	$(BIN)/pytest -n $(JOBS) --dist loadfile || failed=1; \
	echo "== tests marked nojit, kernels in plain Python"; \
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -n $(JOBS) --dist loadfile -m nojit $$(grep -rl nojit --include='test_*.py' tests) || failed=1; \
	wait $$lint || failed=1; \
	cat "$$said"; rm -f "$$said"; exit $$failed

lint: .venv/.installed
	@echo "== ruff: lint"
	$(BIN)/ruff check
	@echo "== ruff: format"
	$(BIN)/ruff format --check
	@echo "== mypy: types"
	$(BIN)/mypy
	@echo "== import-linter: who may import whom"
	$(BIN)/lint-imports

.venv/.installed: pyproject.toml constraints.txt tools/make_venv.sh
	@echo "== .venv: the packages of constraints.txt, then intsim itself (some minutes the first time)"
	PYTHON=$(PYTHON) bash tools/make_venv.sh .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find intsim tests tools -name __pycache__ -prune -exec rm -rf {} +
