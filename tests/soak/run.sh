#!/usr/bin/env bash
# `make soak`: two of everything behind two gateways, load at 60 % of the measured peak, a fault every 5 s, and a look every
# 5 s at memory, descriptors, queues and rows. Prints "name measured bar ok|SHORT"; exit 1 when a bar is short.
#   SOAK_SECONDS=1200   how long, after a warm-up of SOAK_WARMUP (a fifth of it, 30 s at least)
#   SOAK_SHARE=0.6      of the peak        SOAK_SEED=1   which faults come when        SOAK_SERIES=FILE   all looks, as CSV
set -euo pipefail
cd "$(dirname "$0")/../.."
export FOOTNOTE_BIN=${FOOTNOTE_BIN:-build/release} PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/kit FAULTS_SEED=${SOAK_SEED:-1}
exec /usr/bin/python3 tests/soak/soak.py
