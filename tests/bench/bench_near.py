"""The part `near` of `make bench`: hot hits with the near cache as shipped and without it (NEAR_CACHE_BYTES=0), beside the bare program
that does nothing and the one that makes one Redis trip. Saved hits count with all that they cost: Redis, store and Postgres, too."""
from bench_parts import CLIENTS, gateway_us, hit_load, in_turn, window
from bench_lab import measure
from bench_report import med

WHAT = {"nothing": "civetweb, nothing", "redis": "civetweb + one pipelined Redis trip", "cold.off": "Footnote without the near cache, hits not saved",
        "ours.off": "Footnote, hits not saved", "cold": "Footnote without the near cache, hits saved", "ours": "Footnote, hits saved"}
SAVES = ("gateway", "redis", "store", "postgres")


def all_us(results):
    return sum(gateway_us(results, p) for p in SAVES)


def seconds(name):
    return window("ours" if name == "cold" else name)


def near(lab, report):
    loads = {n: hit_load(lab, lab.rival(n)) for n in WHAT}
    gateways = {"ours.off": "ours.off", "ours": "gateway"}
    before = {n: lab.suite.metrics(g) for n, g in gateways.items()}
    got = in_turn(lab, [(n, lambda n=n: measure(lab.rival(n), loads[n], closed=CLIENTS, seconds=seconds(n), warm=0.4)) for n in WHAT])
    for n, what in WHAT.items():
        report.loads("near", n, got[n], what)
    bars, nothing = report.bars, gateway_us(got["nothing"], "bare")
    bare = gateway_us(got["redis"], "bare") + gateway_us(got["redis"], "redis")
    for n in ("cold.off", "ours.off", "cold", "ours"):
        bars.shown(f"near_{n}_gateway_cpu", gateway_us(got[n], "gateway"), "us")
        bars.shown(f"near_{n}_redis_cpu", gateway_us(got[n], "redis"), "us")
        bars.shown(f"near_{n}_of_nothing", gateway_us(got[n], "gateway") / nothing, "x")
    for n, g in gateways.items():
        after = lab.suite.metrics(g)
        hits, asked = (after.value(m, outcome="hit") - before[n].value(m, outcome="hit") for m in ("near_cache_total", "query_cache_total"))
        bars.shown(f"near_{n}_share", 100 * hits / max(asked, 1), "%")
    bars.most("near_cpu_of_nothing_not_saved", gateway_us(got["ours.off"], "gateway") / nothing, 1.35, "x")
    bars.most("near_cpu_of_bare_saved_all", all_us(got["ours"]) / bare, 1.0, "x")
    bars.shown("near_cpu_of_bare_saved_all_without", all_us(got["cold"]) / bare, "x")
    bars.shown("near_rate_of_without_not_saved", med(got["ours.off"], "rate") / med(got["cold.off"], "rate"), "x")
    bars.shown("near_rate_of_without_saved", med(got["ours"], "rate") / med(got["cold"], "rate"), "x")
    bars.most("near_bad_answers", sum(r["bad"] for n in WHAT for r in got[n]), 0)
