# The work is in tools/setup.sh; PYTHON=/path/to/python3.11 and JAVA_HOME choose what it uses.
BIN := .venv/bin
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup demo test check package clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make the environment in .venv and fetch Spark's Delta jars
	@bash tools/setup.sh run

demo: setup ## Make a small company, run every stage, show the report's path
	@$(BIN)/lakecdp demo

test: ## Set up and run every test
	@bash tools/setup.sh test
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: ## Lint, format, types, layers (no Java needed)
	@bash tools/setup.sh check
	@bash tools/check.sh

package: ## Build dist/*.whl and dist/lakecdp.zip (the same bytes, for spark-submit)
	@bash tools/setup.sh check
	@bash tools/package.sh

clean: ## Remove what the targets made, the environments too
	rm -rf .venv .venv-airflow .cache dist build spark-warehouse .hypothesis
	find lib jobs tests tools airflow_dags -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
