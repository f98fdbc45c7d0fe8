#!/usr/bin/python3
"""Many open streams of one gateway: every token arrives, in bounded memory, and a short request is as quick as without them.

    tests/bench/streams_bench.py     STREAMS=1000,5000  how many (one suite after the other)       BENCH_SHORT=1: a look of 2 s each

A line per bar; exit code 1 when one is short. Each stream gets a token a second (INTERVAL_MS) from a model server that goes on until it is
told to end; the same program reads the streams and holds each byte of them against what was sent (tests/bench/streams_load.c).
Meanwhile `GET /api/v1/health` is asked over connections of its own, as before without streams: RATE times a second, in turns.
Memory is the gateway's peak (VmHWM). 1,000 streams: below 80 MB, and the short request's p99 within 2 x; 5,000: below 300 MB.
"""
import json
import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/kit"), os.path.join(TOP, "tests/bench")]
from bench_kit import BIN, SHORT, Bars, Load, median, rss_mb, say  # noqa: E402
from suite import LOOPBACK, Suite, free_port, wait_for  # noqa: E402

MOST = {200: 40, 1000: 80, 5000: 300}   # MB of the gateway
INTERVAL_MS = int(os.environ.get("INTERVAL_MS", "1000"))
RATE = 50       # short requests a second
ROUNDS = 1 if SHORT else 5
SECONDS = 2 if SHORT else 4


def peak_mb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 1024


def short_p99(s):
    """ms: the median of some looks, and in how many of them each request was sent in time: on a busy machine not in all."""
    load = Load(f"{LOOPBACK}:{s.port}", "/api/v1/health", [], method="GET")
    looks = [load.run(rate=RATE, connections=8, seconds=SECONDS) for _ in range(ROUNDS)]
    assert all(x["bad"] == 0 for x in looks), looks
    return median([x["p99_us"] for x in looks]) / 1000, sum(x["late"] == 0 for x in looks)


def suite(streams, model_port):
    room = str(streams + 512)
    return Suite(env={"LOG_LEVEL": "warn"}, service_env={
        "gateway": {"HTTP_THREADS": room, "MAX_REQUESTS": room, "MAX_CONN_PER_ADDR": "100000", "STREAM_TIMEOUT": "580"},
        "embedder": {"EMBEDDING_PROVIDER": "ngram", "CHAT_PROVIDER": "openai", "CHAT_CAPACITY": room, "OPENAI_API_KEY": "sk-streams",
                     "OPENAI_BASE_URL": f"http://{LOOPBACK}:{model_port}/v1", "STREAM_TIMEOUT": "580"}})


def begin(s, streams, model_port):
    args = ["--target", f"{LOOPBACK}:{s.port}", "--model-port", str(model_port), "--streams", str(streams), "--interval-ms", str(INTERVAL_MS),
            "--seconds", "400"]
    load = subprocess.Popen([os.path.join(BIN, "bench/streams_load"), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = load.stdout.readline()
    if line != "open\n":
        raise RuntimeError(f"not all streams began: {line}")
    return load


def end(load):
    load.stdin.close()
    got = json.loads(load.stdout.read())
    load.wait()
    return got


def measure(bars, streams):
    model_port = free_port()
    with suite(streams, model_port) as s:
        s.ingest("# Lamps\n\nThe lamp of the lighthouse is lit at dusk by its keeper.\n")
        gateway = s.services["gateway"]
        idle, (before, calm) = rss_mb(gateway.pid), short_p99(s)
        began = time.monotonic()
        load = begin(s, streams, model_port)
        bars.shown(f"streams_{streams}_open_after", time.monotonic() - began, " s")
        wait_for("the gateway counts its streams", lambda: gateway.metrics().value("http_streams") == streams)
        (during, in_time), flowing = short_p99(s), rss_mb(gateway.pid)
        got = end(load)
        peak = peak_mb(gateway.pid)
    say(str(got))
    bars.line(f"streams_{streams}_whole", got["whole"], str(streams), got["whole"] == streams)
    bars.shown(f"streams_{streams}_tokens", got["tokens"])
    bars.shown(f"streams_{streams}_gateway_before", idle, " MB")
    bars.shown(f"streams_{streams}_gateway_open", flowing, " MB")
    bars.shown(f"streams_{streams}_each", (peak - idle) * 1024 / streams, " KB")
    if streams in MOST:
        bars.most(f"streams_{streams}_gateway_peak", peak, MOST[streams], " MB")
    bars.shown(f"streams_{streams}_short_p99_without", before, " ms")
    bars.shown(f"streams_{streams}_looks_in_time", f"{calm}_and_{in_time}_of_{ROUNDS}")
    if streams == 1000 and not SHORT:
        bars.most(f"streams_{streams}_short_p99", during, round(2 * before, 3), " ms")
    else:
        bars.shown(f"streams_{streams}_short_p99", during, " ms")


def main():
    bars = Bars()
    for n in os.environ.get("STREAMS", "1000,5000").split(","):
        measure(bars, int(n))
    return bars.end()


if __name__ == "__main__":
    sys.exit(main())
