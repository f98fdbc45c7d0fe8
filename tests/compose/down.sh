#!/usr/bin/env bash
# Stops the private docker that up.sh started and puts the host's network settings back. Images and volumes stay for the
# next time.
#   --purge   removes them too (the cached base system stays)
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/compose/lab.sh
. "$here/lab.sh"
[ -d "$LAB_DIR" ] || exit 0
exec 9>"$LAB_DIR/lock"
flock 9

ended() { local s; s=$(lab_state "$1"); [ -z "$s" ] || [ "$s" = Z ]; }
# Is this process ours? Then its command line names our folder.
mine() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$LAB_DIR/"; }
end() { # end PID SECONDS: TERM, then KILL
    local i
    kill -TERM "$1" 2>/dev/null
    for ((i = 0; i < $2 * 10; i++)); do ended "$1" && return 0; sleep 0.1; done
    kill -KILL "$1" 2>/dev/null
}

bridges=$( { timeout 20 docker network ls -q --no-trunc -f driver=bridge 2>/dev/null || true; } | sed 's/^\(.\{12\}\).*/br-\1/')
if lab_alive "$LAB_DIR/docker.pid" dockerd; then
    p=$(cat "$LAB_DIR/docker.pid")
    ! mine "$p" || end "$p" 60
fi
# Left only if the daemon died: its containerd, and the containers' shims with what they run.
c=$LAB_DIR/exec/containerd/containerd.pid
if lab_alive "$c" containerd && mine "$(cat "$c")"; then end "$(cat "$c")" 10; fi
while read -r p; do
    mine "$p" || continue
    for c in $(ps -o pid= --ppid "$p"); do kill -KILL "$c"; done
    kill -KILL "$p" 2>/dev/null
done < <(ps -eo pid=,comm= | awk '$2 ~ /^containerd-shim/ { print $1 }')
while read -r m; do umount -l "$m"; done < <(awk -v d="$LAB_DIR/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r)
rm -f "$LAB_DIR/docker.pid" "$LAB_DIR/docker.sock"
rm -rf --one-file-system "$LAB_DIR/exec"

# iptables rules and bridges stay behind when dockerd ends. Another dockerd may use the same chains: then they stay.
clean_rules() { # clean_rules iptables|ip6tables filter|nat
    local rule chain ours='DOCKER|[io] docker0|[io] br-[0-9a-f]{12}|-s 172\.2[0-3]\.'
    while read -r rule; do
        # shellcheck disable=SC2086  # a rule is several words
        $1 -t "$2" $rule
    done < <($1 -t "$2" -S 2>/dev/null | grep -E '^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) ' | grep -E -- "$ours" | sed 's/^-A/-D/')
    for chain in $($1 -t "$2" -S 2>/dev/null | sed -n 's/^-N \(DOCKER[^ ]*\)$/\1/p'); do $1 -t "$2" -F "$chain"; done
    for chain in $($1 -t "$2" -S 2>/dev/null | sed -n 's/^-N \(DOCKER[^ ]*\)$/\1/p'); do $1 -t "$2" -X "$chain"; done
}
# shellcheck disable=SC2009  # zombies do not count, and pgrep shows them
if ! ps -eo stat=,comm= | grep -qE '^[^Z].* dockerd$'; then
    for b in $bridges docker0; do ip link show "$b" >/dev/null 2>&1 && ip link delete "$b"; done
    for cmd in iptables ip6tables; do
        command -v $cmd >/dev/null || continue
        clean_rules $cmd filter
        clean_rules $cmd nat
    done
    if [ -s "$LAB_DIR/host-before" ]; then
        ip_forward='' forward='' forward6=''
        # shellcheck source=/dev/null
        . "$LAB_DIR/host-before"
        [ -z "$forward" ] || iptables -P FORWARD "$forward"
        [ -z "$forward6" ] || ip6tables -P FORWARD "$forward6"
        [ -z "$ip_forward" ] || echo "$ip_forward" > /proc/sys/net/ipv4/ip_forward
        rm -f "$LAB_DIR/host-before"
    fi
fi
for d in /sys/fs/cgroup/*"$LAB_CGROUP" /sys/fs/cgroup"$LAB_CGROUP"; do
    [ ! -d "$d" ] || find "$d" -depth -type d -exec rmdir {} \; 2>/dev/null
done
if [ "${1:-}" = --purge ]; then rm -rf --one-file-system "$LAB_DIR"; fi
exit 0
