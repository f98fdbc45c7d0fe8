"""A hub that dies while a worker still has messages of it to read."""
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kit"))
from busfake import HEARTBEAT, Hub, Service, wait_for  # noqa: E402

BACKLOG = 1500    # messages: the library looks after its connections once in every hundred frames


@pytest.mark.limit(60)
def test_a_worker_outlives_hubs_that_die_with_messages_on_the_way():
    """libzmq aborts the process if a connection's end reaches it between the frames of one message (docs/decisions/024-own-heartbeats.md)."""
    hub = Hub()
    try:
        with Service("embedder", hub) as worker:
            for _ in range(12):
                at = hub.wait_worker("embed")
                worker.process.send_signal(signal.SIGSTOP)
                hub.sock.linger = 2000    # what was sent before the end arrives
                for _ in range(BACKLOG):
                    hub.send(at, HEARTBEAT, {"hub_epoch": hub.epoch})
                wait_for("all is sent", lambda: not hub._out)
                hub.close()
                worker.process.send_signal(signal.SIGCONT)
                hub = Hub(hub.port)
                wait_for("the worker is back", lambda: worker.process.poll() is not None or hub.workers.get("embed"))
                assert worker.process.poll() is None, worker.text()[-500:]
    finally:
        hub.close()
