"""Each test begins with a model server that has no script."""
import client_kit
import pytest


@pytest.fixture(autouse=True)
def fresh_stub():
    client_kit.post("/_stub/reset", {})
