#!/usr/bin/env bash
# The clients of tests/clients, each in the version that is pinned there, installed below build/tools by pip and npm. Prints where:
# the Python of a virtual environment, a folder with node_modules, or one with Open WebUI's sources (its server brings some hundred packages,
# which are left out: openwebui_kit.py). Site generators are pinned in tests/web/sites.
# usage: install.sh python|node|openwebui|axe|mkdocs|docusaurus|vitepress
set -eu
cd "$(dirname "$0")/../.."
here=tests/clients
sum() { cat "$@" | sha256sum | cut -c1-12; }
# once THERE MAKE: where THERE is not, the function MAKE fills $dir.new, which then becomes $dir: one that was cut is none
once() {
    if [ -e "$1" ]; then return; fi
    rm -rf "$dir.new"
    mkdir -p "$dir.new"
    "$2" >&2
    mv "$dir.new" "$dir"
}
python() {
    python3 -m venv "$dir.new"
    "$dir.new/bin/python" -m pip install -q --disable-pip-version-check --no-deps -r $from/requirements.lock
}
packages() {
    cp $from/package.json $from/package-lock.json "$dir.new"
    (cd "$dir.new" && npm ci --silent --no-audit --no-fund --ignore-scripts)
}
node() {
    packages
    # the inspector's command line asks the package that it is usually a part of for name and version; that one brings 190 others
    cp "$dir.new"/node_modules/@modelcontextprotocol/{inspector-cli,}/package.json
}
axe() {
    (cd "$dir.new" && npm pack --silent axe-core@$version && echo "$sum  axe-core-$version.tgz" | sha256sum -c --status && tar -xzf ./*.tgz package/axe.min.js package/LICENSE && rm ./*.tgz)
}
openwebui() {
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$dir.new" open-webui==$version
    echo "$sum  $(echo "$dir.new"/*.whl)" | sha256sum -c --status
    python3 -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.extractall(sys.argv[2], [n for n in z.namelist() if n.endswith(".py")])' "$dir.new"/*.whl "$dir.new"
    rm -f "$dir.new"/*.whl
}
from=$here name=clients-$1
case $1 in mkdocs | docusaurus | vitepress) from=tests/web/sites/$1 name=site-$1 ;; esac
case $1 in
python | mkdocs)
    dir=build/tools/$name-$(sum $from/requirements.lock)
    once "$dir/bin/python" python
    echo "$dir/bin/python"
    ;;
docusaurus | vitepress)
    dir=build/tools/$name-$(sum $from/package-lock.json)
    once "$dir/node_modules" packages
    echo "$dir"
    ;;
node)
    dir=build/tools/clients-node-$(sum $here/package-lock.json)
    once "$dir/node_modules" node
    echo "$dir"
    ;;
axe)
    version=4.10.3 sum=0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292
    dir=build/tools/axe-core-$version
    once "$dir" axe
    echo "$dir/package/axe.min.js"
    ;;
openwebui)
    version=0.12.4 sum=02e9caba96234db3fa17a92e56163b3f7f2b8ca8227fa886b85c178d696483f6
    dir=build/tools/clients-openwebui-$version
    once "$dir" openwebui
    echo "$dir"
    ;;
esac
