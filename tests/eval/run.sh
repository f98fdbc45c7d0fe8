#!/usr/bin/env bash
# Build and run retrieval_eval. usage: run.sh FOLDER [options and sets…] (or FOOTNOTE_EVAL=FOLDER); OUT=build/release by default
set -eu
cd "$(dirname "$0")/../.."
OUT=${OUT:-build/release}
FOLDER=${1:-${FOOTNOTE_EVAL:?the folder of the evaluation sets}}
[ $# -gt 0 ] && shift
make -s OUT="$OUT" "$OUT/lib/libretriever.a" "$OUT/lib/libcite.a" "$OUT/lib/libproto.a" "$OUT/lib/libcommon.a" "$OUT/obj/embedder/embed_builtin.o" \
    "$OUT/obj/embedder/tokens.o" "$OUT/obj/tests/eval/eval_embed.o" "$OUT/obj/tests/eval/retrieval_eval.o" > /dev/null
ld -r -o "$OUT/obj/tests/eval/embed.o" "$OUT/obj/tests/eval/eval_embed.o" "$OUT/obj/embedder/embed_builtin.o" "$OUT/obj/embedder/tokens.o"
objcopy --keep-global-symbol=eval_embed "$OUT/obj/tests/eval/embed.o"
read -r -a msgpack <<<"$(pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack)"
gcc -pthread -pie -Wl,--unresolved-symbols=ignore-in-object-files -o "$OUT/retrieval_eval" "$OUT/obj/tests/eval/retrieval_eval.o" "$OUT/obj/tests/eval/embed.o" \
    "$OUT/lib/libretriever.a" "$OUT/lib/libcite.a" "$OUT/lib/libproto.a" "$OUT/lib/libcommon.a" -lstemmer -lutf8proc -lzmq \
    "${msgpack[@]}" -lhiredis -ljansson -lssl -lcrypto -lm
if [ $# -eq 0 ]; then
    set -- squad hotpot500 scifact mtragun chunkeval clauddocs
fi
args=() sets=()
while [ $# -gt 0 ]; do
    case $1 in
    -h) args+=("$1"); shift ;;
    -*) args+=("$1" "$2"); shift 2 ;;
    *) sets+=("$1"); shift ;;
    esac
done
[ ${#sets[@]} -gt 0 ] || sets=(squad hotpot500 scifact mtragun chunkeval clauddocs)
exec "$OUT/retrieval_eval" "${args[@]}" "$FOLDER" "${sets[@]}"
