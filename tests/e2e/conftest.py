"""Suites that tests share: starting one takes two seconds, so each kind is started once and only by the first test that
needs it. A suite that did not end cleanly (exit code, sanitizer report) fails the last test that used it."""
import pytest

from corpus_kit import add_corpus
from suite import Suite


def running(**kw):
    with Suite(**kw) as s:
        yield s
        bad = s.down()
        assert not bad, f"services that did not end with 0: {bad}"


@pytest.fixture(scope="module")
def browser():
    """Chromium; a file that asks for it says at its top that it is skipped without one."""
    from browser_kit import Browser
    with Browser() as b:
        yield b


@pytest.fixture(scope="session")
def stub_suite():
    """AUTH=off, both providers at the stub: what is paid for can be counted."""
    yield from running(stub=True)


@pytest.fixture(scope="session")
def main(stub_suite):
    """The same with the three documents of the corpus in it."""
    stub_suite.documents = add_corpus(stub_suite)
    return stub_suite


@pytest.fixture(scope="session")
def plain():
    """Nothing configured: built-in embedding and built-in answers, with the corpus."""
    for s in running(service_env={"gateway": {"BODY_TIMEOUT": "2"}}):
        s.documents = add_corpus(s)
        yield s


@pytest.fixture(scope="session")
def locked():
    """AUTH=on, built-in providers, one allowed origin; no documents."""
    yield from running(auth="on", env={"ALLOWED_ORIGINS": "https://docs.example.org"},
                       service_env={"store": {"MAX_KEYS_PER_TENANT": "20000", "MAX_COLLECTIONS_PER_TENANT": "20000"}})
