#!/usr/bin/env bash
# Prints the commit of the previous release: the newest tag v* that is not this commit, or, before there are tags, the last
# commit without the newest migration (its programs are the oldest that must still run on this schema).
# In a copy without that history it says so and ends with 3: nothing was proven then.
set -eu
cd "$(dirname "$0")/../.."
missing() { echo "previous release: $1; nothing can be compared (git fetch --unshallow --tags)" >&2; exit 3; }
git rev-parse --verify -q HEAD >/dev/null || missing "this is not a git repository"
tag=$(git tag --list 'v*' --sort=-v:refname --merged HEAD | while read -r t; do
    [ "$(git rev-parse "$t^{commit}")" = "$(git rev-parse HEAD)" ] || { echo "$t"; break; }
done)
if [ -n "$tag" ]; then git rev-parse "$tag^{commit}"; exit; fi
newest=$(git ls-files 'store/migrations/[0-9]*.sql' | sort | tail -1)
added=$(git log --diff-filter=A --format=%H -1 -- "$newest")
[ -n "$added" ] || missing "no commit adds $newest"
git rev-parse -q --verify "$added^" || missing "the commit before $newest is not in this shallow copy"
