#!/usr/bin/env bash
# `make mutate`: seeded faults, each of which the tests must notice (mutate.py). usage: run.sh [NAME…] | --check
set -u
cd "$(dirname "$0")/../.." || exit 2
exec </dev/null
export PYTHONDONTWRITEBYTECODE=1
exec nice /usr/bin/python3 tests/mutate/mutate.py "$@"
