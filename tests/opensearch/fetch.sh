#!/usr/bin/env bash
# OpenSearch with k-NN for tests, from Maven artifacts (52 MB, once): build/tools/opensearch-VERSION. Prints that folder.
set -eu
cd "$(dirname "$0")/../.."
here=tests/opensearch version=$(sed -n 's:.*<v>\(.*\)</v>.*:\1:p' tests/opensearch/pom.xml)
to=build/tools/opensearch-$version
command -v mvn >/dev/null && command -v javac >/dev/null || { echo "mvn and javac are missing: make test-opensearch installs them" >&2; exit 1; }
if [ ! -e "$to/done" ] || [ "$here/Main.java" -nt "$to/done" ] || [ "$here/pom.xml" -nt "$to/done" ]; then
    rm -rf "$to.new"
    mkdir -p "$to.new/classes"
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$PWD/$to.new/lib" >&2
    (cd "$to.new/lib" && for z in *.zip; do unzip -qo "$z" '*.jar' && rm "$z"; done)
    javac -cp "$to.new/lib/*" -d "$to.new/classes" "$here/Main.java"
    touch "$to.new/done"
    rm -rf "$to"
    mv "$to.new" "$to"
fi
echo "$PWD/$to"
