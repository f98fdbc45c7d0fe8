#!/usr/bin/env bash
# `make install` and `make uninstall`. Each file goes where its kind belongs, below DESTDIR and PREFIX:
#   programs  bin/     *.1 *.8  share/man/     *.service *.target  lib/systemd/system/ (their paths are PREFIX's)
#   completions  share/bash-completion/completions/, share/zsh/site-functions/, share/fish/vendor_completions.d/
#   the sentence model  share/footnote/, where the embedder looks for it
#   prompts   share/footnote/prompts/          papers  share/doc/footnote/, in their folders
# usage: install.sh install|uninstall DESTDIR PREFIX BUILD-FOLDER -- FILE…
set -euo pipefail
what=$1 destdir=$2 prefix=$3; shift 5
[[ $prefix == /* ]] || { echo "install: PREFIX must be an absolute path, not \"$prefix\"" >&2; exit 2; }
top=$destdir$prefix

place_of() {
    case $1 in
    */completions/_*) echo "share/zsh/site-functions" ;;
    */completions/*.fish) echo "share/fish/vendor_completions.d" ;;
    */completions/*) echo "share/bash-completion/completions" ;;
    *.1) echo "share/man/man1" ;;
    *.8) echo "share/man/man8" ;;
    *.service | *.target) echo "lib/systemd/system" ;;
    deploy/prompts/*) echo "share/footnote/prompts" ;;
    *.model) echo "share/footnote" ;;
    */*.md) echo "share/doc/footnote/${1%/*}" ;;
    *.md) echo "share/doc/footnote" ;;
    *) echo bin ;;
    esac
}
for f in "$@"; do
    place=$(place_of "$f")
    to=$top/$place/${f##*/}
    if [ "$what" = uninstall ]; then
        rm -f "$to"
    elif [ "$place" = bin ]; then
        install -D -m 755 "$f" "$to"
    elif [ "$place" = lib/systemd/system ]; then
        install -d "$top/$place"
        sed "s,/usr/local/,$prefix/,g" "$f" > "$to"
        chmod 644 "$to"
    else
        install -D -m 644 "$f" "$to"
    fi
done
if [ "$what" = uninstall ]; then
    rmdir --ignore-fail-on-non-empty "$top"/share/footnote/{prompts,} "$top"/share/doc/footnote/{docs/decisions,docs,proto,} 2>/dev/null || true
fi
echo "$what: $# files below $top"
