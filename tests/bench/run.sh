#!/usr/bin/env bash
# `make bench`: a usual model server, our limits and what people run today, in one run (bench.py). Makes the venvs of the
# baselines under build/bench when they are missing; without LiteLLM the line says so.
#   ONLY=limits,hit,near,uncached,one,trace,usual,zipf,shared,start     BENCH_SHORT=1: under three minutes, to try things
set -eu
cd "$(dirname "$0")/../.."
venv() { # venv NAME: as its requirements say; nothing when it stands
    local at=build/bench/venv-$1 wanted=tests/bench/baselines/$1/requirements.txt
    cmp -s "$wanted" "$at/installed.txt" && return 0
    rm -rf "$at"
    /usr/bin/python3 -m venv "$at" && "$at/bin/pip" -q install --disable-pip-version-check -r "$wanted" && cp "$wanted" "$at/installed.txt"
}
venv fastapi
venv litellm || echo "LiteLLM could not be installed; its lines are left out" >&2
export PYTHONDONTWRITEBYTECODE=1 FOOTNOTE_BIN=${FOOTNOTE_BIN:-build/release}
# what goes to the background (make run) stays below contained.py, so that it counts as ours
export FOOTNOTE_BENCH_ROOT=$$
exec tests/kit/contained.py 14400 60 /usr/bin/python3 tests/bench/bench.py
