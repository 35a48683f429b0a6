#!/usr/bin/env bash
# Every static check; all of them run, so that one call shows all that is wrong.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
status=0

run() {
    echo "== $*"
    "$@" || status=1
}

run ruff check .
run ruff format --check .
run mypy
PYTHONPATH=lib run lint-imports --cache-dir .cache/import-linter
exit $status
