#!/usr/bin/env bash
# `make eval-retrieval`: retrieval_eval over the sets. usage: retrieval.sh [options of retrieval_eval] [SET…]; FOOTNOTE_EVAL=FOLDER of the sets
set -eu
cd "$(dirname "$0")/../.."
args=() sets=()
while [ $# -gt 0 ]; do
    case $1 in
    -h) args+=("$1"); shift ;;
    -*) args+=("$1" "$2"); shift 2 ;;
    *) sets+=("$1"); shift ;;
    esac
done
[ ${#sets[@]} -gt 0 ] || sets=(squad hotpot500 scifact mtragun chunkeval clauddocs)
exec "${FOOTNOTE_BIN:-build/release}/eval/retrieval_eval" "${args[@]}" "${FOOTNOTE_EVAL:?the folder of the evaluation sets}" "${sets[@]}"
