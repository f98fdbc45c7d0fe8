"""Documents as people have them: each test is a case (its id first) and its neighbours, through the API and the client."""
import os
import subprocess
import uuid

import pytest

from suite import BIN, Suite


@pytest.fixture(scope="module")
def suite():
    with Suite() as s:
        yield s


def put(suite, text, collection, title=None, kind="text/markdown", doc_id="page"):
    body = {"id": doc_id, "text": text, "collection": collection, "content_type": kind}
    if title:
        body["title"] = title
    r = suite.request("POST", "/api/v1/documents?wait=1", json=body)
    assert r.status_code == 200, r.text
    return r.json()


def listed(suite, collection):
    return suite.request("GET", f"/api/v1/documents?collection={collection}&limit=200").json()["items"]


def form(suite, collection, *parts):
    """parts: (disposition parameters, content)"""
    boundary = uuid.uuid4().hex
    body = b"".join(f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; {p}\r\n\r\n".encode() + c.encode() + b"\r\n"
                    for p, c in parts) + f"--{boundary}--\r\n".encode()
    return suite.request("POST", f"/api/v1/documents?collection={collection}&wait=1", data=body,
                         headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})


def test_D1_files_of_one_name_in_two_folders_are_two_documents(suite):
    r = form(suite, "d1", ('filename="guide/index.md"', "# Guide\n\nThe guide is about boats."),
             ('filename="setup/index.md"', "# Setup\n\nThe setup is about ropes."))
    assert r.status_code == 200, r.text
    assert sorted(d["external_id"] for d in listed(suite, "d1")) == ["guide/index.md", "setup/index.md"]


def test_D1_files_that_would_be_one_document_are_refused_by_name(suite):
    r = form(suite, "d1b", ('filename="index.md"', "# Guide\n\nBoats."), ('filename="index.md"', "# Setup\n\nRopes."))
    assert r.status_code == 422 and "files 1 and 2" in r.text and "index.md" in r.text, r.text
    assert listed(suite, "d1b") == []


@pytest.mark.parametrize("name, kept", [("../../etc/passwd.md", "etc/passwd.md"), ("/abs//./x.md", "abs/x.md"),
                                        ("C:\\\\Docs\\\\page.md", "page.md")])
def test_D1_a_file_name_is_a_path_below_the_folder(suite, name, kept):
    collection = "d1c-" + uuid.uuid4().hex[:6]
    r = form(suite, collection, (f'filename="{name}"', "# A\n\nText of the page."))
    assert r.status_code == 200 and [d["external_id"] for d in listed(suite, collection)] == [kept]


@pytest.mark.parametrize("parameter, name", [("filename*=utf-8''%C3%9Cbersicht.md", "Übersicht.md"),
                                             ("filename=\"x.md\"; filename*=UTF-8'de'%E6%96%87.md", "文.md"),
                                             ('filename="Übersicht.md"', "Übersicht.md")])
def test_D2_a_wide_file_name_is_taken(suite, parameter, name):
    collection = "d2-" + uuid.uuid4().hex[:6]
    r = form(suite, collection, (parameter, "# A\n\nText of the page."))
    assert r.status_code == 200 and [d["external_id"] for d in listed(suite, collection)] == [name]


@pytest.mark.parametrize("heading, section", [("[1.2.0] - 2024-03-01", "[1.2.0] - 2024-03-01"),
                                              ("Using argv[1] in C", "Using argv[1] in C"),
                                              ("[the guide](x) and more", "the guide and more"),
                                              ("The `--dry-run` *flag* {#dry}", "The --dry-run flag")])
def test_D4_a_heading_is_named_as_it_is_shown(suite, heading, section):
    collection = "d4-" + uuid.uuid4().hex[:6]
    put(suite, f"# Manual\n\n## {heading}\n\nThe turquoise lever releases the anchor of the ferry.\n", collection)
    a = suite.ask("What does the turquoise lever release?", collection=collection).json()
    assert a["sources"] and a["sources"][0]["section"] == section


@pytest.mark.parametrize("front, title", [("+++\ntitle = \"Ferry manual\"\nweight = 3\n+++\n", "Ferry manual"),
                                          ("---\ntitle: >-\n  Ferry\n  manual\ntags: [anchor, lever]\n---\n", "Ferry manual"),
                                          ("---\ntitle: Ferry manual\n" + "".join(f"key{i}: turquoise lever {i}\n" for i in range(80)) + "---\n",
                                           "Ferry manual")])
def test_D5_front_matter_gives_the_title_and_is_never_cited(suite, front, title):
    collection = "d5-" + uuid.uuid4().hex[:6]
    put(suite, front + "\nThe turquoise lever releases the anchor of the ferry.\n", collection)
    assert listed(suite, collection)[0]["title"] == title
    a = suite.ask("What does the turquoise lever release?", collection=collection).json()
    assert a["sources"] and all(s["start"] >= len(front) for s in a["sources"]), a
    assert "key" not in a["answer"] and "tags" not in a["answer"]


@pytest.mark.parametrize("between", ["\f", "\v", "\u0085", "\u2028", "\x1e"])
def test_D8_words_stay_apart(suite, between):
    collection = "d8-" + uuid.uuid4().hex[:6]
    d = put(suite, f"Our cook is Marta Keller{between}Telephone numbers hang in the galley.", collection, kind="text/plain")
    text = suite.request("GET", f"/api/v1/documents/{d['document_ids'][0] if 'document_ids' in d else d['document_id']}/text").text
    assert "Keller\nTelephone" in text


def footnote(suite, *args):
    env = dict(os.environ, FOOTNOTE_URL=f"http://127.0.0.1:{suite.port}")
    return subprocess.run([os.path.join(BIN, "footnote"), *args], env=env, capture_output=True, text=True, timeout=50)


def test_D10_a_collection_can_be_made_equal_to_the_folder(suite, tmp_path):
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text(f"# Page {name}\n\nThis is the text of {name}.\n")
    assert footnote(suite, "ingest", "--collection", "d10", str(tmp_path)).returncode == 0
    (tmp_path / "b.md").unlink()
    r = footnote(suite, "ingest", "--collection", "d10", str(tmp_path))
    assert r.returncode == 0 and "b.md" in r.stderr and "--delete-missing" in r.stderr
    assert len(listed(suite, "d10")) == 3
    r = footnote(suite, "ingest", "--collection", "d10", "--delete-missing", str(tmp_path))
    assert r.returncode == 0 and "1 documents" in r.stdout, r.stderr
    assert sorted(d["external_id"] for d in listed(suite, "d10")) == ["a.md", "c.md"]
    r = footnote(suite, "ingest", "--collection", "d10", "--delete-missing", str(tmp_path / "a.md"))
    assert r.returncode == 2 and "folder" in r.stderr and len(listed(suite, "d10")) == 2


def test_D11_mdx_and_long_paths_are_taken(suite, tmp_path):
    long = tmp_path / ("x" * 100) / ("y" * 100)
    long.mkdir(parents=True)
    (long / "component.mdx").write_text("import Tabs from '@theme/Tabs'\n\n# Component\n\nThe turquoise lever releases the anchor.\n")
    r = footnote(suite, "ingest", "--collection", "d11", str(tmp_path))
    assert r.returncode == 0, r.stderr
    assert [len(d["external_id"]) for d in listed(suite, "d11")] == [215]


@pytest.mark.parametrize("site, link", [("mkdocs", "https://docs.example.org/guide/01-start/#drop-the-anchor"),
                                        ("docusaurus", "https://docs.example.org/guide/start#drop--the-anchor"),
                                        ("mdbook", "https://docs.example.org/guide/01-start.html#drop--the-anchor"),
                                        ("vitepress", "https://docs.example.org/guide/01-start.html#drop-the-anchor"),
                                        ("vitepress,clean", "https://docs.example.org/guide/01-start#drop-the-anchor"),
                                        ("hugo", "https://docs.example.org/guide/01-start/#drop--the-anchor"),
                                        ("plain", "https://docs.example.org/guide/01-start#drop--the-anchor")])
def test_base_url_makes_links_to_the_page_and_its_heading(suite, tmp_path, site, link):
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "01-start.md").write_text("# Start\n\n## Drop & the anchor\n\nThe turquoise lever releases the anchor of the ferry.\n")
    collection = "site-" + site.replace(",", "-")
    r = footnote(suite, "ingest", "--collection", collection, "--base-url", "https://docs.example.org/", "--routes", site, str(tmp_path))
    assert r.returncode == 0, r.stderr
    a = suite.ask("What does the turquoise lever release?", collection=collection).json()
    assert a["sources"][0]["link"] == link


@pytest.mark.parametrize("routes, anchors", [("docusaurus", {"amber": "#fixed", "ochre": "#fixed-1", "carmine": "#my-own", "violet": "#file--open"}),
                                             ("mkdocs", {"amber": "#fixed", "ochre": "#fixed_1", "carmine": "#my-own", "violet": "#file-open"})])
def test_links_tell_repeated_headings_and_ids_of_their_own_apart(suite, tmp_path, routes, anchors):
    (tmp_path / "log.md").write_text("# Log\n\n## 1.1\n\n### Fixed\n\nThe amber lever opens the hatch of the ferry.\n\n## 1.0\n\n### Fixed\n\nThe ochre lever "
                                     "lowers the ramp of the ferry.\n\n### Added {#my-own}\n\nThe carmine lever sounds the horn of the ferry.\n\n### File > Open\n\n"
                                     "The violet lever starts the pump of the ferry.\n")
    collection = "twice-" + routes
    r = footnote(suite, "ingest", "--collection", collection, "--base-url", "https://docs.example.org", "--routes", routes, str(tmp_path))
    assert r.returncode == 0, r.stderr
    slash = "/" if routes == "mkdocs" else ""
    for colour, anchor in anchors.items():
        a = suite.ask(f"What does the {colour} lever do?", collection=collection).json()
        assert a["sources"][0]["link"] == f"https://docs.example.org/log{slash}{anchor}", (colour, a["sources"])
        found = suite.request("POST", "/api/v1/search", json={"query": f"the {colour} lever", "collection": collection}).json()["results"][0]
        assert found["link"] == a["sources"][0]["link"]
