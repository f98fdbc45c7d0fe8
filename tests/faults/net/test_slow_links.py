"""F48: machines that are 1 ms and 20 ms apart, and a network that loses 1 % of its packets: nobody fails, nothing is lost, and what
cannot wait as long (Redis) is gone round. By tc's netem where the kernel has it; delay otherwise by fault-proxy, loss by iptables."""
import pytest
import requests

from checker import check
from net_kit import SlowNetSuite, why_not

cannot = why_not()
pytestmark = pytest.mark.skipif(bool(cannot), reason=f"no network namespaces, bridge, veth or iptables here: {cannot}")
no_netem = not cannot and why_not(lambda net: net.netem("delay", "1ms"))
no_loss = not cannot and why_not(lambda net: net.lose(0.01))
NETEM = {"1_ms": ("delay", "1ms"), "20_ms": ("delay", "20ms"), "1_percent_lost": ("loss", "1%")}
# a question waits for nine trips between machines, one after the other
MOST_P50_MS = {"1_ms": 150, "20_ms": 800, "1_percent_lost": 150}


def under_load(run, s, name, how):
    load = s.load(rate=8, seconds=run.pick(3, 15), streams=0.33, keys=1, seed=run.seed)
    summary = load.wait()
    most, name = MOST_P50_MS[name], f"F48_{name}_{how}"
    run.none(f"{name}_failed_of_{summary['requests']}", load.failed())
    took = sorted(r["ended"] - r["begun"] for r in load.records())
    run.most(f"{name}_p50_ms", took[len(took) // 2], most)
    run.bar(f"{name}_worst_ms", took[-1], "-", True)
    run.clean(name, check(s, load.records(), cuts_allowed=False))
    found = requests.get(s.url + "/readyz", timeout=5).json()
    run.bar(f"{name}_redis", found["redis"], "-", True)


@pytest.fixture(scope="module")
def slowed():
    with SlowNetSuite() as s:
        yield s
        bad = s.down()
        assert not bad, bad


@pytest.mark.skipif(bool(no_netem), reason=f"no netem in this kernel ({no_netem}): delay is tried by fault-proxy, loss by iptables")
@pytest.mark.limit(120)
@pytest.mark.parametrize("link", NETEM)
def test_slow_links_by_netem(run, apart, link):
    apart.net.netem(*NETEM[link])
    try:
        under_load(run, apart, link, "netem")
    finally:
        apart.net.calm()


@pytest.mark.limit(120)
@pytest.mark.parametrize("ms", (1, 20))
def test_slow_links_by_a_proxy(run, slowed, ms):
    slowed.slow.say(f"latency {ms}")
    try:
        under_load(run, slowed, f"{ms}_ms", "proxy")
    finally:
        slowed.slow.say("clear")


@pytest.mark.skipif(bool(no_loss), reason=f"no iptables statistic match here ({no_loss})")
@pytest.mark.limit(120)
def test_one_packet_of_a_hundred_is_lost(run, apart):
    apart.net.lose(0.01)
    try:
        under_load(run, apart, "1_percent_lost", "iptables")
    finally:
        apart.net.heal()
