#!/usr/bin/env bash
# A private docker on a Debian machine that reaches no image registry: Debian's docker.io and docker-compose, a daemon
# below one folder (lab.sh says where), and local images that stand in for those that docker-compose.yml names:
#   debian:trixie-slim   debootstrap and docker import
#   postgres:17, redis:7 Debian's packages behind entry points that behave like the well-known images' (images/)
# Run it again at any time: what is there is kept. tests/compose/down.sh stops it. Needs root.
# Exit: 0, 3 when no Docker engine can run on this machine (it says why), 1 for anything else.
set -Eeuo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/compose/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/compose/images.sh
. "$here/images.sh"
trap 'lab_say "failed at line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND"' ERR
cannot() { trap - ERR; lab_say "$*"; exit 3; }
[ "$(id -u)" = 0 ] || cannot "needs root"
mkdir -p "$LAB_DIR"/{data,exec,config,bin,log} "$LAB_CACHE"
chmod 700 "$LAB_DIR"
exec 9>"$LAB_DIR/lock"
flock 9

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

clients() {
    local tool
    for tool in /usr/sbin/dockerd /usr/bin/docker /usr/bin/docker-compose /usr/sbin/debootstrap; do
        [ -x $tool ] || cannot "$tool is missing: make deps-test"
    done
    ln -sfn /usr/bin/docker "$LAB_DIR/bin/docker"
    ln -sfn /usr/bin/docker-compose "$LAB_DIR/bin/docker-compose"
    [ -s "$LAB_DIR/config/config.json" ] || echo '{}' > "$LAB_DIR/config/config.json"
}

# A minimal init may not have mounted the controllers, and dockerd needs them.
cgroups() {
    local c
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || return 0
    mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    while read -r c; do
        grep -qE " cgroup [^ ]*\b$c\b" /proc/mounts && continue
        mkdir -p "/sys/fs/cgroup/$c"
        mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c" 2>/dev/null || rmdir "/sys/fs/cgroup/$c"
    done < <(awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups)
}

# overlay does not work on overlay, nor where the kernel has none; vfs always works, slowly.
driver() {
    local t=$LAB_DIR/overlay-test d=vfs
    mkdir -p "$t"/{l,u,w,m}
    if mount -t overlay overlay -o "lowerdir=$t/l,upperdir=$t/u,workdir=$t/w" "$t/m" 2>/dev/null; then umount "$t/m"; d=overlay2; fi
    rm -rf "$t"
    echo $d
}

# What the daemon changes on the host, for down.sh to put back.
remember_host() {
    iptables -S DOCKER >/dev/null 2>&1 && return 0
    { echo "ip_forward=$(cat /proc/sys/net/ipv4/ip_forward)"
      echo "forward=$(iptables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')"
      echo "forward6=$(ip6tables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')"; } > "$LAB_DIR/host-before"
}

launch() {
    local opt=() dev mtu pid i
    dev=$(ip -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p;q')
    mtu=$(cat "/sys/class/net/$dev/mtu" 2>/dev/null || echo 1500)
    [ "$mtu" -le 1500 ] || mtu=1500      # builds hang when the bridge's packets are larger than the way out takes
    # No NAT in the kernel: containers still reach each other, published ports go through docker-proxy.
    iptables -t nat -S >/dev/null 2>&1 || opt+=(--iptables=false --ip-masq=false)
    [ -e /proc/sys/net/ipv6 ] || opt+=(--ip6tables=false)
    # --config-file: never the machine's own /etc/docker/daemon.json. 9>&-: the daemon must not keep our lock.
    setsid nice -n "$LAB_NICE" /usr/sbin/dockerd --config-file "$LAB_DIR/daemon.json" --host "$DOCKER_HOST" --group root \
        --data-root "$LAB_DIR/data" --exec-root "$LAB_DIR/exec" --pidfile "$LAB_DIR/docker.pid" \
        --storage-driver "$(driver)" --cgroup-parent "$LAB_CGROUP" --exec-opt native.cgroupdriver=cgroupfs \
        --mtu "$mtu" --ip 127.0.0.1 --default-address-pool base=172.20.0.0/14,size=24 --shutdown-timeout 20 \
        --log-level warn "${opt[@]}" >>"$LAB_DIR/log/dockerd.log" 2>&1 </dev/null 9>&- &
    pid=$!
    for ((i = 0; i < 600; i++)); do
        if answers; then return 0; fi
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

daemon() {
    local i
    if lab_alive "$LAB_DIR/docker.pid" dockerd; then
        for ((i = 0; i < 300; i++)); do
            if answers; then return 0; fi
            lab_alive "$LAB_DIR/docker.pid" dockerd || break
            sleep 0.1
        done
        ! lab_alive "$LAB_DIR/docker.pid" dockerd || lab_die "a dockerd is there but does not answer: tests/compose/down.sh"
    fi
    # Leftovers of a daemon that died would make the next one refuse or hang.
    rm -f "$LAB_DIR/docker.pid" "$LAB_DIR/docker.sock"
    lab_alive "$LAB_DIR/exec/containerd/containerd.pid" containerd || rm -f "$LAB_DIR"/exec/containerd/*.{pid,sock,ttrpc}
    echo '{}' > "$LAB_DIR/daemon.json"
    cgroups
    remember_host
    launch || { tail -5 "$LAB_DIR/log/dockerd.log" >&2; cannot "dockerd did not start"; }
    # All containers and builds together yield to the machine's own work.
    if [ -d /sys/fs/cgroup/cpu ]; then
        mkdir -p "/sys/fs/cgroup/cpu$LAB_CGROUP"
        echo 512 > "/sys/fs/cgroup/cpu$LAB_CGROUP/cpu.shares" || true
    fi
}

begun=$SECONDS
clients
mirrors
daemon
base_image trixie
service_image postgres postgres:17
service_image redis redis:7
lab_say "ready in $((SECONDS - begun)) s: docker $(docker version -f '{{.Server.Version}}'), $(docker info -f '{{.Driver}}')"
