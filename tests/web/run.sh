#!/usr/bin/env bash
# The page, the widget and the console in Chromium, and what axe-core finds in them, and the pictures of docs/widget.md. The last line is "web: N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
FOOTNOTE_AXE=$PWD/$(tests/clients/install.sh axe) ||
    { echo "SKIPPED: axe-core could not be had with npm: is there a package index?"; echo "web: 0 passed, 0 failed"; exit 0; }
export FOOTNOTE_AXE
tests/kit/run_py.sh tests/e2e/test_page.py tests/e2e/test_widget.py tests/e2e/test_console.py || exit 1
tests/kit/run_py.sh tests/web/axe.py tests/web/pictures.py
