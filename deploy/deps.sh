#!/usr/bin/env bash
# Install Debian packages that are missing; nothing to do is quick and needs no network. Works on Debian 12 and 13.
# usage: deps.sh PACKAGE…   (a|b: the first of the two that this Debian has)
set -euo pipefail
missing=()
declare -A here
while read -r p; do here[$p]=yes; done < <(dpkg-query -W -f='${db:Status-Status} ${binary:Package}\n' | sed -n 's/^installed \([^:]*\).*/\1/p')
for want in "$@"; do
    found=
    for p in ${want//|/ }; do [ -z "${here[$p]:-}" ] || found=yes; done
    [ -n "$found" ] || missing+=("$want")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "These packages are missing: ${missing[*]}" >&2
    echo "Install them as root (sudo make deps, or sudo make deps-test for all that tests need)." >&2
    exit 1
fi
echo "installing: ${missing[*]}"
# Debian's postgresql package would start a cluster of its own; ours is private.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
# Neither shall packages start services of their own while they are installed.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' > $policy; chmod +x $policy; made=yes; fi
trap '[ -z "$made" ] || rm -f $policy' EXIT
log=$(mktemp)
if ! apt-get update -q > "$log" 2>&1; then tail -5 "$log" >&2; echo "apt-get update failed (see above)" >&2; exit 1; fi
names=()
for want in "${missing[@]}"; do
    for p in ${want//|/ }; do
        if [ -n "$(apt-cache policy "$p" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | grep -v '^(none)$')" ]; then names+=("$p"); break; fi
    done
done
if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${names[@]}" > "$log" 2>&1; then
    tail -20 "$log" >&2; echo "apt-get install failed (see above)" >&2; exit 1
fi
rm -f "$log"
