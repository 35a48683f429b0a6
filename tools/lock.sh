#!/usr/bin/env bash
# Writes requirements/*.txt from pyproject.toml: names, versions and hashes, for every platform.
# Needs `uv`. Run it after a change of dependencies; UPGRADE=1 also takes newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."
common=(--universal --python-version 3.11 --generate-hashes --no-emit-index-url
        --no-emit-find-links --no-annotate --no-header --quiet)
[ -z "${UPGRADE:-}" ] || common+=(--upgrade)

compile() { # target, then the sources
    local target="requirements/$1"
    shift
    uv pip compile "${common[@]}" "$@" --output-file "$target" >/dev/null
    if grep -nE '://|^ *-[-if]|@ ' "$target" | grep -v -- '--hash='; then
        echo "$target must hold names, versions and hashes only." >&2
        exit 1
    fi
}

compile build-lock.txt --group pyproject.toml:build
compile lock.txt pyproject.toml -c requirements/build-lock.txt
compile dev-lock.txt --group pyproject.toml:dev -c requirements/lock.txt -c requirements/build-lock.txt
compile airflow-lock.txt --group pyproject.toml:airflow
