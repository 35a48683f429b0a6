#!/usr/bin/env bash
# dist/lakecdp-<version>-py3-none-any.whl, and the same bytes as dist/lakecdp.zip: executors import
# a .zip from --py-files, a .whl only the driver does.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf dist
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1577836800}" \
    .venv/bin/python -m build --wheel --no-isolation --outdir dist . >.cache/log/package.log 2>&1 || {
    tail -n 15 .cache/log/package.log >&2
    exit 1
}
cp dist/lakecdp-*.whl dist/lakecdp.zip
ls -l dist
