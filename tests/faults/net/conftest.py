"""Parts that are on machines of their own."""
import pytest

from net_kit import NetSuite


@pytest.fixture(scope="module")
def apart():
    with NetSuite() as s:
        yield s
        bad = s.down()
        assert not bad, bad
