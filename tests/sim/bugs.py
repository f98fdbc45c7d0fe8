"""Seeded bugs of the hub's core: each is one replacement in one file; the simulator must find it; the storms must
find those whose names begin with "storm".

usage: bugs.py OUT_DIR   writes OUT_DIR/NAME/gateway/hub/*.c for each bug, and prints the names
"""
import pathlib
import shutil
import sys

BUGS = [
    # name, file, what stands there, what stands there instead
    ("any_reply_ends_it", "worker.c", "    current = is_current(a);\n    e = err_known", "    current = true;\n    e = err_known"),
    ("who_answers_does_not_matter", "worker.c", "        if (a->worker == w)\n", "        if (a->worker)\n"),
    ("credit_is_lost", "core.c", "    a->worker->share[service_of(r)].outstanding--;\n", ""),
    ("retry_after_a_part", "core.c", "if (r->parted || r->counted", "if (r->counted"),
    ("attempts_without_end", "core.c", "r->counted >= kinds[r->kind].attempts || ", ""),
    ("work_for_a_draining_worker", "worker.c", "if (!s->offered || w->draining)", "if (!s->offered)"),
    ("one_more_than_offered", "worker.c", "if (s->outstanding >= s->capacity)", "if (s->outstanding > s->capacity)"),
    ("ttl_is_not_the_time_left", "core.c", ".ttl_ms = r->deadline_ms - now", ".ttl_ms = kinds[r->kind].attempt_ms"),
    ("who_gave_up_stays_queued", "core.c", "    if (r->state == REQ_QUEUED)\n        queue_remove(&c->queue[service_of(r)].waiting, r);\n", ""),
    ("only_the_attempt_has_a_timer", "core.c", "timer_set(c, r, due < r->deadline_ms ? due : r->deadline_ms);", "timer_set(c, r, due);"),
    ("a_late_ready_brings_back", "worker.c", "if (peer_is_gone(c, peer) || ", "if ("),
    ("a_worker_is_two_after_its_connection_broke", "blame.c", " && memcmp(s->life, w->life, sizeof s->life) != 0)", ")"),
    ("a_held_request_has_no_timer", "blame.c", "timer_set(c, r, now + HOLD_MS < r->deadline_ms ? now + HOLD_MS : r->deadline_ms);", "timer_set(c, r, INT64_MAX);"),
    ("storm_a_failed_send_is_a_move", "blame.c", "    if (a->unsent)\n        r->n_at--;", "    if (0)\n        r->n_at--;"),
    ("a_lost_workers_request_is_forgotten", "worker.c", "            request_lost(c, now, a, w, how);\n", "            continue;\n"),
]


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    for name, file, old, new in BUGS:
        folder = out / name / "gateway" / "hub"
        shutil.rmtree(out / name, ignore_errors=True)
        folder.mkdir(parents=True)
        for source in pathlib.Path("gateway/hub").glob("*.[cht]*"):
            text = source.read_text()
            if source.name == file:
                if text.count(old) != 1:
                    sys.exit(f"{name}: its place in {file} is not there exactly once")
                text = text.replace(old, new)
            (folder / source.name).write_text(text)
        print(name)


main()
