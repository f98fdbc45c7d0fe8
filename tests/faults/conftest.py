"""Fixtures of the fault tests: `run` collects bars; suites of one and of two of everything, shared by the tests of a file."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from faults_kit import AS_SHIPPED, FaultSuite, Run  # noqa: E402



@pytest.fixture
def run(request):
    r = Run(request.node.name)
    yield r
    assert not r.short, "\n".join(r.short)


def shared(**kw):
    with FaultSuite(**kw) as s:
        yield s
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


@pytest.fixture(scope="module")
def one():
    """One of each."""
    yield from shared()


@pytest.fixture(scope="module")
def two():
    """Two embedders, two retrievers, two stores behind one gateway."""
    yield from shared(replicas={"embedder": 2, "retriever": 2, "store": 2})


@pytest.fixture(scope="module")
def pair():
    """The same behind two gateways, with their threads as shipped."""
    yield from shared(gateways=2, replicas={"embedder": 2, "retriever": 2, "store": 2}, env=AS_SHIPPED)


@pytest.fixture(autouse=True)
def all_up_again(request):
    """What a test stopped, it starts again; this makes sure before the next one begins."""
    yield
    for name in ("one", "two", "pair"):
        s = request.node.funcargs.get(name)
        if s is None:
            continue
        s.stub.reset()
        for p in list(s.services.values()):
            s.cont(p.name)
            s.start(p.service, p.name)
        s.wait_ready()
        s.wait_workers()
