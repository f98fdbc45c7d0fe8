#!/usr/bin/env bash
# `make eval-semantic`: semantic_eval.c on tests/eval/semantic/pairs.txt, with the vectors of each built-in model. A line per bar. usage: semantic.sh [--tell]
set -eu
cd "$(dirname "$0")/../.."
eval=${FOOTNOTE_BIN:-build/release}/eval/semantic_eval bad=0
"$eval" tests/eval/semantic/pairs.txt --model build/model/embedding.model "$@" || bad=1
"$eval" tests/eval/semantic/pairs.txt "$@" || bad=1
exit "$bad"
