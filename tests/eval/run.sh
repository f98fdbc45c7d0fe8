#!/usr/bin/env bash
# `make eval-answers`: the quality of built-in answers, a line per bar (tests/eval/answers.py). usage: run.sh [options of answers.py]
# FOOTNOTE_EVAL=FOLDER of the sets; EVAL_WAY=http asks a whole suite over HTTP instead of the libraries (minutes, not seconds)
set -eu
cd "$(dirname "$0")/../.."
exec /usr/bin/python3 tests/eval/answers.py --way "${EVAL_WAY:-lib}" "$@"
