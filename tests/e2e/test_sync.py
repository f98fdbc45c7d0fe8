"""footnote sync: a collection follows a site's sitemap, or a folder. The site is a server of this test, which counts what is asked for."""
import gzip
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
import uuid
from email.utils import formatdate

import pytest

import http_kit
from suite import BIN, Suite, wait_for

NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


class Site(http_kit.Server):
    """Pages by path: (status, headers, body) or a function of the request's headers that gives such a triple."""

    def __init__(self):
        self.pages, self.asked, self.lock, self.connections = {}, [], threading.Lock(), 0
        site = self

        class Handler(http_kit.Handler):
            def setup(self):
                super().setup()
                with site.lock:
                    site.connections += 1

            def do_GET(self):
                with site.lock:
                    site.asked.append((self.path, dict(self.headers), time.monotonic()))
                page = site.pages.get(self.path, (404, {}, b"none"))
                status, headers, body = page(dict(self.headers)) if callable(page) else page
                self.answer(status, body, **headers)
        super().__init__(Handler)

    def page(self, path, text, lastmod="2026-01-01", **headers):
        """A page of Markdown, in the sitemap unless lastmod is None."""
        self.pages[path] = (200, {"Content-Type": "text/markdown; charset=utf-8", **headers}, text.encode())
        if lastmod is not None:
            self.listed[path] = lastmod

    def sitemap(self, path="/sitemap.xml", pack=False):
        def made(_):
            urls = "".join(f"<url><loc>{self.url}{p}</loc>{f'<lastmod>{m}</lastmod>' if m else ''}</url>" for p, m in self.listed.items())
            body = f"<?xml version='1.0'?><urlset {NS}>{urls}</urlset>".encode()
            return 200, {"Content-Type": "application/xml"}, gzip.compress(body) if pack else body
        self.pages[path] = made

    def clear(self):
        self.pages.clear()
        self.asked.clear()
        self.listed = {}
        self.sitemap()

    def count(self, path):
        return sum(p == path for p, _, _ in self.asked)

    def take(self):
        with self.lock:
            got, self.asked[:] = [p for p, _, _ in self.asked], []
        return got


@pytest.fixture(scope="module")
def suite():
    with Suite() as s:
        yield s
        assert not s.down()


@pytest.fixture(scope="module")
def server():
    with Site() as s:
        yield s


@pytest.fixture
def site(server):
    server.clear()
    return server


@pytest.fixture
def sync(suite, site, tmp_path):
    collection = "s" + uuid.uuid4().hex[:10]

    def run(*args, url=None, rate="500", code=0, command=("sync",)):
        r = suite.cli(*command, *(() if url is False else (url or site.url + "/",)), "--collection", collection, "--rate", rate, *args,
                      env={"XDG_STATE_HOME": str(tmp_path)})
        assert r.returncode == code, (r.returncode, r.stdout, r.stderr)
        return r
    run.collection, run.state = collection, tmp_path
    return run


def documents(suite, sync):
    items = suite.request("GET", f"/api/v1/documents?collection={sync.collection}&limit=200").json()["items"]
    return {urllib.parse.urlsplit(d["external_id"]).path: d for d in items}


def counts(r):
    return {k: int(v) for v, k in re.findall(r"(\d+) (pages|new|changed|unchanged|gone|failed)", r.stdout)}


def test_only_what_changed_is_asked_for_and_what_is_gone_is_deleted(suite, site, sync):
    for i in range(4):
        site.page(f"/p{i}", f"# Page {i}\n\nThe lever number {i} opens hatch {i}.\n")
    r = sync()
    assert counts(r) == {"pages": 4, "new": 4, "changed": 0, "unchanged": 0, "gone": 0, "failed": 0}
    got = documents(suite, sync)
    assert sorted(got) == ["/p0", "/p1", "/p2", "/p3"] and got["/p1"]["url"] == site.url + "/p1" and got["/p1"]["status"] == "ready"
    ids = {p: d["document_id"] for p, d in got.items()}
    site.take()
    assert counts(sync()) == {"pages": 4, "new": 0, "changed": 0, "unchanged": 4, "gone": 0, "failed": 0}
    assert site.take() == ["/robots.txt", "/sitemap.xml"]  # no page
    site.page("/p1", "# Page 1\n\nThe lever number 1 is painted mauve now.\n", lastmod="2026-02-01")
    site.page("/p2", "# Page 2\n\nThe lever number 2 opens hatch 2.\n", lastmod="2026-02-01")  # a date, and the same bytes
    del site.listed["/p3"]
    site.pages["/p0"] = (410, {}, b"")
    site.listed["/p0"] = "2026-02-01"
    assert counts(sync()) == {"pages": 3, "new": 0, "changed": 1, "unchanged": 1, "gone": 2, "failed": 0}
    assert sorted(site.take()) == ["/p0", "/p1", "/p2", "/robots.txt", "/sitemap.xml"]
    got = documents(suite, sync)
    assert sorted(got) == ["/p1", "/p2"] and got["/p1"]["document_id"] == ids["/p1"]
    answer = suite.answered("Which lever is painted mauve?", collection=sync.collection)
    assert answer["sources"][0]["link"] == site.url + "/p1"


def test_pages_without_a_date_are_asked_for_with_their_etag_and_date(suite, site, sync):
    modified = formatdate(1760000000, usegmt=True)

    def conditional(headers):
        if headers.get("If-None-Match") == '"v1"' or headers.get("If-Modified-Since") == modified:
            return 304, {"ETag": '"v1"'}, b""
        return 200, {"Content-Type": "text/markdown", "ETag": '"v1"', "Last-Modified": modified}, b"# A\n\nThe lever is red.\n"
    site.pages["/a"], site.listed["/a"] = conditional, ""
    assert counts(sync())["new"] == 1
    site.asked.clear()
    assert counts(sync())["unchanged"] == 1
    sent = [h for p, h, _ in site.asked if p == "/a"]
    assert len(sent) == 1 and sent[0]["If-None-Match"] == '"v1"' and sent[0]["If-Modified-Since"] == modified
    site.page("/a", "# A\n\nThe lever is red.\n", lastmod="")  # no 304, and the same bytes
    assert counts(sync())["unchanged"] == 1


def test_indexes_packed_sitemaps_and_those_that_robots_txt_names(suite, site, sync):
    site.page("/a", "# A\n\nText of a.\n")
    del site.pages["/sitemap.xml"]
    site.sitemap("/maps/pages.xml.gz", pack=True)
    site.pages["/maps/index.xml"] = (200, {}, f"<sitemapindex {NS}><sitemap><loc>{site.url}/maps/pages.xml.gz</loc></sitemap></sitemapindex>".encode())
    site.pages["/robots.txt"] = (200, {}, f"User-agent: *\nDisallow: /secret\n\nSitemap: {site.url}/maps/index.xml\n".encode())
    site.page("/secret/x", "# X\n\nNot to be read.\n")
    site.listed["/a#section"] = ""  # the same page
    r = sync()
    assert counts(r)["new"] == 1 and "1 listed pages are not to be read" in r.stderr and site.count("/secret/x") == 0
    assert site.count("/a") == 1 and list(documents(suite, sync)) == ["/a"]
    agent = site.asked[0][1]["User-Agent"]
    assert agent.startswith("footnote/")
    # given by its address
    r = sync(url=site.url + "/maps/pages.xml.gz", code=1)
    assert "no page below" in r.stderr  # a sitemap lists what is below it


def test_robots_txt_that_fails_or_slows_down_is_obeyed(suite, site, sync):
    site.page("/a", "# A\n\nText of a.\n")
    site.page("/b", "# B\n\nText of b.\n")
    site.pages["/robots.txt"] = (503, {"Retry-After": "0"}, b"")
    r = sync(code=1)
    assert "robots.txt" in r.stderr and site.count("/sitemap.xml") == site.count("/a") == 0
    site.pages["/robots.txt"] = (200, {}, b"User-agent: *\nCrawl-delay: 0.6\n")
    site.asked.clear()
    sync()
    at = {p: t for p, _, t in site.asked}
    assert at["/a"] - at["/sitemap.xml"] > 0.55 and at["/b"] - at["/a"] > 0.55
    site.pages["/robots.txt"] = (200, {}, b"User-agent: footnote\nDisallow: /\n")
    r = sync(code=1)
    assert "nothing was done" in r.stderr and len(documents(suite, sync)) == 2


def test_the_rate_is_kept(site, sync):
    for i in range(3):
        site.page(f"/p{i}", f"# Page {i}\n\nText {i}.\n")
    sync(rate="4")
    times = [t for _, _, t in site.asked]
    assert all(b - a > 0.22 for a, b in zip(times, times[1:])), times


def test_a_site_that_asks_for_patience_gets_it(suite, site, sync):
    tries = {"/a": 0, "/b": 0}

    def busy(path, status):
        def answer(_):
            tries[path] += 1
            if tries[path] == 1:
                return status, {"Retry-After": "1"}, b""
            return 200, {"Content-Type": "text/markdown"}, b"# A\n\nText of " + path.encode() + b".\n"
        return answer
    site.pages.update({"/a": busy("/a", 429), "/b": busy("/b", 503)})
    site.listed.update({"/a": "1", "/b": "1"})
    r = sync()
    assert counts(r)["new"] == 2 and tries == {"/a": 2, "/b": 2}
    at = [t for p, _, t in site.asked if p == "/a"]
    assert at[1] - at[0] > 0.95
    # one that has no end is a failure of that page, and of no other
    site.page("/c", "# C\n\nText of c.\n")
    site.pages["/d"] = (500, {"Retry-After": "0"}, b"")
    site.listed["/d"] = "1"
    r = sync(code=1)
    assert counts(r) == {"pages": 4, "new": 1, "changed": 0, "unchanged": 2, "gone": 0, "failed": 1} and "/d: HTTP 500" in r.stderr
    site.page("/d", "# D\n\nText of d.\n", lastmod="1")
    assert counts(sync())["new"] == 1  # what failed is tried again


def test_redirects_stay_at_home(suite, site, sync):
    with http_kit.Server(http_kit.Handler) as other:
        elsewhere = other.url + "/x"
        site.page("/new", "# New\n\nThe lever is blue.\n", lastmod=None)
        for path, target in (("/old", "/new"), ("/away", elsewhere), ("/scheme", "file:///etc/passwd"), ("/loop", "/loop"), ("/user", site.url.replace("//", "//u@") + "/new")):
            site.pages[path] = (302, {"Location": target}, b"")
            site.listed[path] = "1"
        r = sync(code=1)
    assert counts(r) == {"pages": 5, "new": 1, "changed": 0, "unchanged": 0, "gone": 0, "failed": 4}
    assert f"/away: it leads to another site: {elsewhere}" in r.stderr and "redirected too often" in r.stderr and site.count("/loop") == 6
    assert list(documents(suite, sync)) == ["/old"]
    # nor does robots.txt, nor a sitemap lead elsewhere
    site.pages["/robots.txt"] = (302, {"Location": elsewhere}, b"")
    assert "another site" in sync(code=1).stderr


def test_a_sitemap_that_cannot_be_trusted_deletes_nothing(suite, site, sync):
    site.page("/a", "# A\n\nText of a.\n")
    sync()
    good = site.pages["/sitemap.xml"]
    many = "".join(f"<url><loc>{site.url}/{i}</loc></url>" for i in range(50001))
    for body, why in ((b"<urlset></urlset>", "nothing was done"), (b"<urlset><url>", ""), (b"<html/>", "no sitemap"), (b"", ""),
                      (f"<urlset {NS}>{many}</urlset>".encode(), "too many pages"),
                      (b"<!DOCTYPE urlset [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><urlset><url><loc>&x;</loc></url></urlset>", "document type"),
                      (b"<sitemapindex><sitemap><loc>" + site.url.encode() + b"/sitemap.xml</loc></sitemap></sitemapindex>", "index"),
                      (b"<sitemapindex><sitemap><loc>http://127.0.0.1:9/x.xml</loc></sitemap></sitemapindex>", "another site"),
                      (gzip.compress(b"<urlset>" + b" " * (60 << 20)), "50 MB")):
        site.pages["/sitemap.xml"] = (200, {}, body)
        r = sync(code=1)
        assert why in r.stderr, (why, r.stderr)
    for status in (404, 403, 500):
        site.pages["/sitemap.xml"] = (status, {"Retry-After": "0"}, b"")
        sync(code=1)
    assert site.count("/a") == 1 and list(documents(suite, sync)) == ["/a"]
    site.pages["/sitemap.xml"] = good
    assert counts(sync())["unchanged"] == 1


def test_a_run_that_is_killed_goes_on_where_it_was(suite, site, sync):
    for i in range(12):
        site.page(f"/p{i:02}", f"# Page {i}\n\nThe lever {i} opens hatch {i}.\n", lastmod="")  # no date: all would be asked for again
    p = subprocess.Popen([os.path.join(BIN, "footnote"), "sync", site.url + "/", "--collection", sync.collection, "--rate", "10"],
                         env={**os.environ, "FOOTNOTE_URL": suite.url, "XDG_STATE_HOME": str(sync.state)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("some pages were read", lambda: site.count("/p04") == 1, 20, 0.02)
    # a second one at the same time has nothing to do
    assert "another run" in sync(code=3).stderr
    p.send_signal(signal.SIGKILL)
    p.wait()
    before = site.take()
    r = sync()
    after = site.take()
    assert "goes on" in r.stderr and counts(r)["pages"] == 12 and counts(r)["failed"] == 0
    twice = [x for x in set(before) & set(after) if x.startswith("/p")]
    assert len(twice) <= 1, twice  # the one that was under way
    assert len(documents(suite, sync)) == 12
    sync()
    assert len(site.take()) == 14  # a whole run is over: the next one asks for all again


def test_a_dry_run_does_nothing(suite, site, sync):
    for path in ("/a", "/b", "/c"):
        site.page(path, f"# {path}\n\nText of {path}.\n", lastmod="1" if path != "/c" else "")
    r = sync("--dry-run")
    assert r.stdout.count("new http") == 3 and counts(r)["new"] == 3 and site.count("/a") == 0 and documents(suite, sync) == {}
    sync()
    site.listed["/a"] = "2"
    del site.listed["/b"]
    site.asked.clear()
    r = sync("--dry-run")
    assert [line.split()[0] for line in r.stdout.splitlines()[:-1]] == ["changed", "to", "gone"], r.stdout
    assert site.take() == ["/robots.txt", "/sitemap.xml"] and len(documents(suite, sync)) == 3


def test_documents_of_other_origin_and_other_states_are_left_alone(suite, site, sync):
    suite.ingest("# Mine\n\nA note of my own.\n", "mine", collection=sync.collection)
    site.page("/a", "# A\n\nText of a.\n")
    sync("--state", str(sync.state / "here.jsonl"))
    assert (sync.state / "here.jsonl").exists() and oct((sync.state / "here.jsonl").stat().st_mode)[-3:] == "600"
    del site.listed["/a"]
    site.page("/b", "# B\n\nText of b.\n")
    sync("--state", str(sync.state / "here.jsonl"))
    assert sorted(documents(suite, sync)) == ["/b", "mine"]
    assert "another site" in sync("--state", str(sync.state / "here.jsonl"), url=site.url + "/docs/", code=1).stderr


@pytest.mark.parametrize("args, words", [(("--rate", "0"), "--rate"), (("--rate", "x"), "--rate"), (("--base-url", "https://x.example"), "folders")])
def test_what_is_called_wrongly_is_said(suite, site, args, words):
    r = suite.cli("sync", site.url, *args)
    assert r.returncode == 2 and words in r.stderr
    assert suite.cli("sync", "ftp://x.example/").returncode == 2 and suite.cli("sync", "/no/such/folder").returncode == 2
    assert suite.cli("sync").returncode == 2 and "sitemap" in suite.cli("sync", "--help").stdout


def test_a_gateway_that_is_away_stops_the_run_and_nothing_is_lost(suite, site, sync):
    site.page("/a", "# A\n\nText of a.\n")
    site.page("/b", "# B\n\nText of b.\n")
    r = subprocess.run([os.path.join(BIN, "footnote"), "sync", site.url + "/", "--collection", sync.collection, "--rate", "500", "--url", "http://127.0.0.1:9"],
                       env={**os.environ, "XDG_STATE_HOME": str(sync.state)}, capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and "is it running?" in r.stderr and "stopped" in r.stderr and site.count("/b") == 0
    assert counts(sync())["new"] == 2


def test_a_page_of_html_is_sent_as_its_bytes_with_its_type(site, tmp_path):
    body = "<html><meta charset=iso-8859-1><h2 id=setup>Größe</h2></html>".encode("latin-1")
    site.pages["/h"] = (200, {"Content-Type": "text/html; charset=ISO-8859-1"}, body)
    site.pages["/i"] = (200, {"Content-Type": "image/png"}, b"\x89PNG")
    site.listed.update({"/h": "1", "/i": "1"})
    got = []

    class Gateway(http_kit.Handler):
        protocol_version = "HTTP/1.0"

        def do_POST(self):
            got.append((self.path, self.headers, self.body()))
            self.answer(200, {"document_id": str(uuid.uuid4()), "job_id": str(uuid.uuid4())})
    with http_kit.Server(Gateway) as gateway:
        r = subprocess.run([os.path.join(BIN, "footnote"), "sync", site.url + "/", "--rate", "500", "--url", gateway.url],
                           env={**os.environ, "XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and 'its type "image/png" is none that is read' in r.stderr and counts(r)["new"] == 1
    path, headers, sent = got[0]
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
    assert len(got) == 1 and sent == body and headers["Content-Type"].startswith("text/html")
    assert query["id"] == [site.url + "/h"] and query["url"] == [site.url + "/h#{ids}"] and query["collection"] == ["docs"]


class Slow(http_kit.Server):
    """A gateway that takes documents and has them ready as jobs() says: a list of (status, error), the last one for ever."""

    def __init__(self, jobs):
        self.jobs, self.asked, self.sent, self.deleted, fake = jobs, 0, [], [], self
        self.ids, self.busy = {}, None

        class Handler(http_kit.Handler):
            def do_POST(self):
                self.body()
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                fake.sent.append(query["id"][0])
                if fake.busy:
                    self.answer(429, Retry_After=fake.busy)
                    return
                document = fake.ids.setdefault(query["id"][0], str(uuid.uuid4()))
                self.answer(202, {"document_id": document, "job_id": str(uuid.uuid4()), "status": "pending"})

            def do_GET(self):
                assert self.path.startswith("/api/v1/jobs/")
                status, error = fake.jobs[min(fake.asked, len(fake.jobs) - 1)]
                fake.asked += 1
                self.answer(200, {"status": status, "error": error})

            def do_DELETE(self):
                fake.deleted.append(self.path.split("/")[-1])
                self.answer(204)
        super().__init__(Handler)

    def run(self, site, state, *args):
        return subprocess.run([os.path.join(BIN, "footnote"), "sync", site.url + "/", "--rate", "500", "--url", self.url, *args],
                              env={**os.environ, "XDG_STATE_HOME": str(state)}, capture_output=True, text=True, timeout=60)


@pytest.fixture
def slow():
    made = []

    def make(*jobs):
        made.append(Slow(list(jobs)))
        return made[-1]
    yield make
    for s in made:
        s.close()


def test_a_page_that_the_gateway_only_began_is_in_step_when_its_job_is_done(site, slow, tmp_path):
    site.page("/a", "# A\n\nText of a.\n")
    gateway = slow(("running", None), ("running", None), ("done", None))
    r = gateway.run(site, tmp_path)
    assert r.returncode == 0 and counts(r)["new"] == 1 and gateway.asked == 3
    assert counts(gateway.run(site, tmp_path))["unchanged"] == 1 and len(gateway.sent) == 1


def test_a_page_whose_job_fails_later_is_not_in_step(site, slow, tmp_path):
    site.page("/a", "# A\n\nText of a.\n")
    gateway = slow(("running", None), ("failed", "the model server is away"))
    r = gateway.run(site, tmp_path)
    assert r.returncode == 1 and counts(r)["failed"] == 1 and "/a: the model server is away" in r.stderr
    gateway.jobs = [("done", None)]
    r = gateway.run(site, tmp_path)  # nothing changed at the site, and it is sent again
    assert r.returncode == 0 and counts(r)["changed"] == 1 and len(gateway.sent) == 2
    # one that is gone meanwhile takes its document along
    site.page("/a", "# A\n\nOther text of a.\n", lastmod="2026-02-01")
    site.page("/b", "# B\n\nText of b.\n")
    gateway.jobs = [("failed", None)]
    r = gateway.run(site, tmp_path)
    assert r.returncode == 1 and counts(r)["failed"] == 2 and "the server gave no reason" in r.stderr
    del site.listed["/b"]
    site.page("/a", "# A\n\nText of a.\n", lastmod="2026-01-01")  # as it was; but the gateway may have the other text
    gateway.jobs = [("done", None)]
    r = gateway.run(site, tmp_path)
    assert counts(r) == {"pages": 1, "new": 0, "changed": 1, "unchanged": 0, "gone": 1, "failed": 0}, r.stdout
    assert gateway.deleted == [gateway.ids[site.url + "/b"]]


def test_pages_that_do_not_get_searchable_in_time_fail_and_end_the_run(site, slow, tmp_path):
    for i in range(5):
        site.page(f"/p{i}", f"# Page {i}\n\nText {i}.\n")
    gateway = slow(("running", None))
    r = gateway.run(site, tmp_path, "--wait", "0")
    assert r.returncode == 1 and counts(r)["failed"] == 3 and len(gateway.sent) == 3  # the others would fail in the same way
    assert "/p0: it was sent, and is not searchable after 0 s" in r.stderr and "do retriever and embedder run?" in r.stderr and "stopped" in r.stderr
    gateway.jobs = [("done", None)]
    r = gateway.run(site, tmp_path)
    assert r.returncode == 0 and "goes on" in r.stderr and counts(r)["failed"] == counts(r)["unchanged"] == 0 and len(gateway.sent) == 8
    assert gateway.run(site, tmp_path, "--wait", "x").returncode == 2


def test_a_gateway_that_asks_for_long_patience_ends_the_run(site, slow, tmp_path):
    for i in range(3):
        site.page(f"/p{i}", f"# Page {i}\n\nText {i}.\n")
    gateway = slow(("done", None))
    for busy in ("301", "9999999999999999999"):
        gateway.busy, gateway.sent = busy, []
        r = gateway.run(site, tmp_path)
        assert r.returncode == 1 and len(gateway.sent) == 1 and "again in" in r.stderr and "stopped" in r.stderr, r.stderr
    gateway.busy = None
    assert counts(gateway.run(site, tmp_path))["new"] == 3


def test_connections_are_kept_and_a_site_that_asks_for_years_of_patience_is_a_failure(suite, site, sync):
    def page(path, status=200, **more):
        def answer(headers):
            return status, {"Content-Type": "text/markdown", **more}, b"# A\n\nText of " + path.encode() + b".\n"
        return answer
    for i in range(6):
        site.pages[f"/p{i}"], site.listed[f"/p{i}"] = page(f"/p{i}"), ""
    before = site.connections
    assert counts(sync())["new"] == 6
    assert site.connections - before == 1, "a connection for each page"
    for i, wait in enumerate(("9223372036854775807", "99999999999999999999", "86401")):
        site.pages[f"/p{i}"] = page(f"/p{i}", 503, **{"Retry-After": wait})
    site.asked.clear()
    began = time.monotonic()
    r = sync(code=1)
    assert counts(r)["failed"] == 3 and [site.count(f"/p{i}") for i in range(3)] == [1, 1, 1] and time.monotonic() - began < 20


def test_all_sitemaps_of_a_site_together_list_at_most_50000_pages(suite, site, sync):
    del site.pages["/sitemap.xml"]
    half = lambda name: f"<urlset {NS}>{''.join(f'<url><loc>{site.url}/{name}{i}</loc></url>' for i in range(25001))}</urlset>".encode()
    site.pages["/1.xml"], site.pages["/2.xml"] = (200, {}, half("a")), (200, {}, half("b"))
    site.pages["/robots.txt"] = (200, {}, f"Sitemap: {site.url}/1.xml\nSitemap: {site.url.replace('http', 'HTTP')}/2.xml\n".encode())
    r = sync("--dry-run", code=1)
    assert "too many pages" in r.stderr and "/2.xml" in r.stderr
    site.pages["/2.xml"] = (200, {}, f"<urlset {NS}><url><loc>{site.url}/b0</loc></url></urlset>".encode())
    assert counts(sync("--dry-run"))["new"] == 25002


def test_pages_of_every_format_are_taken_by_their_type(suite, site, sync):
    site.pages["/rows"] = (200, {"Content-Type": "text/csv"}, b"lever,colour\nleft,mauve\nright,green\n")
    site.pages["/facts.json?v=1"] = (200, {"Content-Type": "application/json"}, b'{"lever": {"colour": "ochre"}}')
    site.pages["/x"] = (200, {"Content-Type": "APPLICATION/xhtml+xml; charset=utf-8"}, b"<html><body><h1>X</h1><p>The lever of x is teal.</p></body></html>")
    site.listed.update({"/rows": "1", "/facts.json?v=1": "1", "/x": "1"})
    assert counts(sync())["new"] == 3
    got = documents(suite, sync)
    assert {p: d["content_type"] for p, d in got.items()} == {"/rows": "text/csv", "/facts.json": "application/json", "/x": "text/html"}


@pytest.mark.parametrize("path", ["/api/", "/api?back=/", "/export?of=/a/b/"])
def test_json_of_a_site_is_a_page_and_never_a_record(suite, site, sync, path):
    other = "o" + uuid.uuid4().hex[:10]
    record = {"id": "chosen by the site", "collection": other, "url": "https://elsewhere.example/", "text": "The lever is black."}
    site.pages[path] = (200, {"Content-Type": "application/json"}, json.dumps(record).encode())
    site.listed[path] = "1"
    assert counts(sync())["new"] == 1
    got, = documents(suite, sync).values()
    assert (got["external_id"], got["url"], got["content_type"]) == (site.url + path, site.url + path, "application/json")
    assert suite.request("GET", f"/api/v1/documents?collection={other}").json()["items"] == []


def test_a_run_is_told_as_one_object_too(suite, site, sync):
    site.page("/one", "# One\n\nText of one.\n")
    site.pages["/two"] = (500, {}, b"")
    site.listed["/two"] = "1"
    v = json.loads(sync("--json", "--dry-run").stdout)
    assert v["dry_run"] and v["pages"] == 2 and {"id": site.url + "/one", "state": "new"} in v["items"] and v["new"] == 2
    v = json.loads(sync("--json", code=1).stdout)
    assert (v["pages"], v["new"], v["failed"], v["changed"], v["unchanged"], v["gone"], v["not_there"]) == (2, 1, 1, 0, 0, 0, 0), v
    assert v["failures"] == [{"id": site.url + "/two", "error": "HTTP 500"}] and v["requests"] > 2 and not v["stopped"] and "items" not in v


def test_a_page_that_asks_not_to_be_indexed_is_no_document(suite, site, sync):
    html = lambda head, text: (200, {"Content-Type": "text/html"}, f"<!doctype html><html><head><title>t</title>{head}</head><body><p>{text}</p></body></html>".encode())
    site.pages.update({"/a": html("", "The lever is mauve."), "/b": html('<meta name="robots" content="noindex, follow">', "The lever is teal."),
                       "/c": html('<meta http-equiv="refresh" content="0; url=/a">', "Moved."),
                       "/d.md": (200, {"Content-Type": "text/markdown", "X-Robots-Tag": "googlebot: nofollow, footnote: noindex"}, b"# D\n\nThe lever is red.\n")})
    site.listed.update(dict.fromkeys(site.pages.keys() - {"/sitemap.xml"}, ""))
    r = sync()
    assert "1 new, 0 changed, 0 unchanged, 0 gone, 0 failed, 3 not to be indexed" in r.stdout and list(documents(suite, sync)) == ["/a"], r.stdout
    assert f"listed in the sitemap, and it asks not to be indexed: robots, noindex: {site.url}/b" in r.stderr, r.stderr
    site.pages["/a"] = html("<meta name=robots content=none>", "The lever is mauve.")
    v = json.loads(sync("--json").stdout)
    assert (v["gone"], v["excluded"], v["failed"]) == (1, 3, 0) and documents(suite, sync) == {}


def test_what_generators_put_beside_pages_is_left_out_of_a_folder(suite, tmp_path):
    collection, folder = "f" + uuid.uuid4().hex[:10], tmp_path / "book"
    folder.mkdir()
    (folder / "a.html").write_text("<!doctype html><title>A</title><p>The lever is mauve.")
    (folder / "print.html").write_text("<!doctype html><title>All</title><meta name=robots content=noindex><p>The lever is mauve.")
    (folder / "404.html").write_text("<!doctype html><title>No</title><p>Nothing is here.")
    (folder / "searchindex-12.js").write_text("window.index = ['The lever is mauve.'];")
    (folder / "app.js").write_text("let a=1;" * 2000)
    (folder / "empty.md").write_text("")
    (folder / "index.html").write_text("<!doctype html><title>Start</title><p>The lever is a lever.")
    (folder / "_static").mkdir()
    (folder / "_static" / "doctools.js").write_text("function lever() {\n    return 'mauve';\n}\n")
    (folder / "_static" / "example.py").write_text("lever = 'mauve'\n")
    ids = lambda: sorted(d["external_id"] for d in suite.request("GET", f"/api/v1/documents?collection={collection}").json()["items"])
    r = suite.cli("ingest", str(folder), "--collection", collection)
    assert r.returncode == 0 and ids() == ["_static/example.py", "a.html", "index.html"], r.stderr
    for name, why in (("print.html", "noindex"), ("404.html", "an error page"), ("searchindex-12.js", "the index of a search"), ("app.js", "a script or style of the site"),
                      ("empty.md", "empty"), ("_static/doctools.js", "a script or style of the site")):
        assert re.search(f"skipped .*/{name} \\(.*{why}", r.stderr), r.stderr
    assert suite.cli("sync", str(folder), "--dry-run", "--collection", collection).stdout.splitlines()[-1] == "would be: 3 files: 0 new, 0 changed, 3 unchanged, 0 gone"
    r = suite.cli("ingest", str(folder / "print.html"), "--collection", collection)
    assert r.returncode == 0 and "print.html" in ids(), "named itself"


def test_a_folder_is_kept_in_step(suite, tmp_path):
    collection = "f" + uuid.uuid4().hex[:10]
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nText of {name}.\n")
    run = lambda *a: suite.cli("sync", str(folder), "--collection", collection, *a)
    ids = lambda: sorted(d["external_id"] for d in suite.request("GET", f"/api/v1/documents?collection={collection}").json()["items"])
    r = run("--dry-run")
    assert r.returncode == 0 and r.stdout.splitlines()[-1] == "would be: 3 files: 3 new, 0 changed, 0 unchanged, 0 gone", r.stdout
    assert run().returncode == 0 and ids() == ["a.md", "b.md", "c.md"]
    (folder / "b.md").unlink()
    (folder / "c.md").write_text("# c\n\nOther text.\n")
    r = run("--dry-run")
    assert r.stdout.splitlines() == ["changed c.md", "gone b.md", "would be: 2 files: 0 new, 1 changed, 1 unchanged, 1 gone"] and len(ids()) == 3
    r = run("--delete-missing")
    assert r.returncode == 0 and "1 documents" in r.stdout and ids() == ["a.md", "c.md"]


def test_ids_that_others_chose_are_shown_without_control_characters(suite, tmp_path):
    collection = "f" + uuid.uuid4().hex[:10]
    (tmp_path / "a.md").write_text("# a\n\nText of a.\n")
    suite.ingest("Text of another.", id="\x9b2Jgone.md", collection=collection)
    r = suite.cli("sync", str(tmp_path), "--collection", collection, "--dry-run")
    assert r.returncode == 0 and "gone \ufffd2Jgone.md" in r.stdout and "\x9b" not in r.stdout, r.stdout


def test_a_dry_run_of_a_folder_says_what_the_real_run_does(suite, tmp_path):
    collection, folder = "f" + uuid.uuid4().hex[:10], tmp_path / "docs"
    folder.mkdir()
    run = lambda *a: suite.cli("sync", str(folder), "--collection", collection, *a)
    ids = lambda: sorted(d["external_id"] for d in suite.request("GET", f"/api/v1/documents?collection={collection}").json()["items"])
    for name in ("a", "b", "c"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nText of {name}.\n")
    assert run().returncode == 0
    # a file that is not taken: nothing is deleted, and both say why
    (folder / "b.md").write_bytes(b"# b\n\nGr\xfc\xdfe\n")
    (folder / "c.md").unlink()
    (folder / "d.md").write_text("# d\n\nText of d.\n")
    (folder / "tool.exe").write_bytes(b"MZ\0\0")
    dry = run("--dry-run")
    assert dry.returncode == 1 and "gone c.md" not in dry.stdout and "new d.md" in dry.stdout and "changed b.md" not in dry.stdout
    assert dry.stdout.splitlines()[-1] == "would be: 3 files: 1 new, 0 changed, 1 unchanged, 0 gone, 1 failed"
    real = run()
    for r in (dry, real):
        assert r.returncode == 1 and "b.md: not UTF-8" in r.stderr and "tool.exe" in r.stderr and "because not every file could be added" in r.stderr
    assert "c.md" in ids()
    # links are part of a document
    (folder / "b.md").write_text("# b\n\nText of b.\n")
    dry = run("--dry-run", "--base-url", "https://docs.example.org/", "--routes", "mkdocs")
    assert [line for line in dry.stdout.splitlines()[:-1]] == ["changed a.md", "changed b.md", "changed d.md", "gone c.md"], dry.stdout
    assert run("--base-url", "https://docs.example.org/", "--routes", "mkdocs").returncode == 0 and ids() == ["a.md", "b.md", "d.md"]
    dry = run("--dry-run", "--base-url", "https://docs.example.org/", "--routes", "mkdocs")
    assert dry.stdout == "would be: 3 files: 0 new, 0 changed, 3 unchanged, 0 gone\n"
    # what is called wrongly is said by both, and an empty folder deletes nothing
    assert run("--dry-run", "--routes", "nuxt").returncode == run("--routes", "nuxt").returncode == 2
    for f in folder.iterdir():
        f.unlink()
    dry, real = run("--dry-run"), run()
    assert dry.returncode == real.returncode == 1 and "nothing to ingest" in dry.stderr and "gone" not in dry.stdout and len(ids()) == 3
