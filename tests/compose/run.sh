#!/usr/bin/env bash
# `make test-compose`: the stack of docker-compose.yml, as a stranger starts it, against its bars. One line a bar:
#   NAME MEASURED BAR ok|SHORT        and exit 1 when one is SHORT.
# Docker is private (up.sh) unless COMPOSE_TEST_DOCKER=existing, which uses the one at hand. The stack has its own project
# name, port, secrets and volumes, and is taken away at the end. KEEP=1 leaves the private docker running.
#   --short    what `make test` runs: the image's context, the image, up and healthy, a cited answer, one restart, the end.
#              Times are shown and not judged. Where no Docker engine can run, it says SKIPPED and why, and ends with 0.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 2
# shellcheck source=tests/compose/kit.sh
. "$here/kit.sh"
# shellcheck source=tests/compose/bars.sh
. "$here/bars.sh"

for tool in curl python3; do command -v $tool >/dev/null || { echo "test-compose: $tool is missing: make deps-test" >&2; exit 2; }; done
case ${1:-} in --short) brief=yes ;; '') ;; *) echo "usage: $0 [--short]" >&2; exit 2 ;; esac
if [ "${COMPOSE_TEST_DOCKER:-private}" = private ]; then
    "$here/up.sh"; rc=$?
    if [ $rc -eq 3 ] && [ -n "$brief" ]; then
        echo "SKIPPED: compose: no Docker engine can run here (see above)"
        echo "compose: 0 passed, 0 failed"
        exit 0
    fi
    [ $rc -eq 0 ] || { [ -n "${KEEP:-}" ] || "$here/down.sh"; exit 2; }
    # shellcheck source=tests/compose/lab.sh
    . "$here/lab.sh"
fi
trap finish EXIT
trap 'exit 130' INT TERM

prepare
context_holds_no_secret
image_is_built
profiles_are_read
stack_becomes_healthy
containers_are_hardened
databases_are_least_privileged
[ -n "$brief" ] || curve_on
keyless_upload_is_refused
documents_are_ingested
widget_gets_a_cited_answer
foreign_origin_is_refused
if [ -n "$brief" ]; then
    restart_is_survived retriever
else
    embedders_scale
    retrievers_and_stores_scale
    bus_key_is_changed
    for service in gateway embedder retriever store janitor redis redis-state postgres; do restart_is_survived $service; done
    killed_service_comes_back
fi
bar commands_that_redis_denied_later "$(compose logs --no-color 2>&1 | grep -c 'redis denies a command')" = 0
logs_hold_no_secret
stop_ends_with_zero
[ -n "$brief" ] || history_survives_everything
exit "$short"
