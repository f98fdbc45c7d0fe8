#!/usr/bin/env bash
# `make profile`: where a cache hit and an uncached question spend their time (profile.py says what is shown).
#   ONLY=hit,uncached     SECONDS_EACH=4
set -eu
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1 FOOTNOTE_BIN=${FOOTNOTE_BIN:-build/release}
exec /usr/bin/python3 tests/bench/profile.py
