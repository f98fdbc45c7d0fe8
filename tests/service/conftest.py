"""What most service tests begin with: a Postgres and a hub a file. A file that needs others names its own `pg` or `hub`."""
import pytest

from busfake import Hub
from pg import Postgres


@pytest.fixture(scope="module")
def pg():
    with Postgres() as p:
        yield p


@pytest.fixture(scope="module")
def hub():
    with Hub() as h:
        yield h
