# shellcheck shell=bash
# What up.sh, down.sh and images.sh share: where the private docker lives, and how to talk to it.
#   LAB_DIR    private folder: socket, data root, logs   (default: .test/docker of the checkout)
#   LAB_CACHE  base root file systems                    (default: beside it)
#   LAB_NICE   niceness of the daemon                    (default 10)
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
lab_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAB_DIR=${LAB_DIR:-$lab_top/.test/docker}
# A Unix socket's path has at most 107 bytes, and containerd's lies deepest: a long checkout gets a short folder elsewhere.
if [ $(( ${#LAB_DIR} + 42 )) -ge 107 ]; then
    LAB_DIR=/var/tmp/footnote-docker-$(printf %s "$lab_top" | cksum | cut -d' ' -f1)
fi
LAB_CACHE=${LAB_CACHE:-$(dirname "$LAB_DIR")/docker-cache}
LAB_NICE=${LAB_NICE:-10}
LAB_CGROUP=/footnote-test
lab_images=$lab_top/tests/compose/images
export LAB_DIR LAB_CACHE LAB_NICE LAB_CGROUP lab_images
export DOCKER_HOST=unix://$LAB_DIR/docker.sock DOCKER_CONFIG=$LAB_DIR/config
# The legacy builder: buildkit is a plugin that Debian 12's docker.io does not bring.
export COMPOSE_HTTP_TIMEOUT=300       # a loaded machine answers late
export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=1
unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
# Debian's clients first: another `docker` in PATH may be some other program.
PATH=$LAB_DIR/bin:$PATH

lab_say() { printf '[docker] %s\n' "$*" >&2; }
lab_die() { lab_say "ERROR: $*"; exit 1; }

# State of a process; empty when there is none, Z when only its parent has not noticed.
lab_state() { sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null; }
# lab_alive PIDFILE NAME: the process lives and has that name. A zombie does not count: PID 1 here may reap late, and
# dockerd would take a zombie with the number in its pid file for a running daemon.
lab_alive() {
    local p s
    p=$(cat "$1" 2>/dev/null) && [ -n "$p" ] && [ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$2" ] || return 1
    s=$(lab_state "$p")
    [ -n "$s" ] && [ "$s" != Z ]
}
