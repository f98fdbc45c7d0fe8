"""Files of the formats that people have: uploaded as they are, read in a confined process, found, and cited where they say it."""
import re

import pytest

import formats_kit as kit
import hostile_kit as hostile
from suite import new_session, wait_for

OFFICE = "application/vnd.openxmlformats-officedocument."
# ending: media type, title, words of the heading above the oil, pages of oil and valves
ROWS = {
    "html": ("text/html", "Zorbium handbook", "Oil", None),
    "pdf": ("application/pdf", "Zorbium handbook", "Oil", (1, 2)),
    "docx": (OFFICE + "wordprocessingml.document", "Zorbium handbook", "Oil", None),
    "xlsx": (OFFICE + "spreadsheetml.sheet", "file.xlsx", "Notes", None),
    "pptx": (OFFICE + "presentationml.presentation", "Zorbium handbook", "Oil", (2, 3)),
    "epub": ("application/epub+zip", "Zorbium handbook", "Oil", None),
    "odt": ("application/vnd.oasis.opendocument.text", "Zorbium handbook", "Oil", None),
    "rtf": ("application/rtf", "Zorbium handbook", "Oil", None),
    "csv": ("text/csv", "file.csv", "", None),
    "json": ("application/json", "file.json", "notes", None),
    "adoc": ("text/asciidoc", "Zorbium handbook", "Oil", None),
    "rst": ("text/x-rst", "Zorbium handbook", "Oil", None),
    "py": ("text/x-source", "file.py", "", None),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return {"html": kit.html(), "pdf": kit.pdf(str(tmp_path_factory.mktemp("pdf"))), "docx": kit.docx(), "xlsx": kit.xlsx(),
            "pptx": kit.pptx(), "epub": kit.epub(), "odt": kit.odt(), "rtf": kit.rtf(), "csv": kit.csv_file(), "json": kit.json_file(), "adoc": kit.asciidoc(),
            "rst": kit.rst(), "py": kit.code()}


def upload(main, name, content, collection, kind="application/octet-stream"):
    r = main.request("POST", "/api/v1/documents", params={"wait": "1", "collection": collection}, files={"file": (name, content, kind)})
    assert r.status_code == 200, r.text
    return r.json()


@pytest.mark.parametrize("ending", list(ROWS))
def test_a_file_is_uploaded_searched_and_cited_where_it_says_it(main, made, ending):
    kind, title, heading, pages = ROWS[ending]
    d = upload(main, f"file.{ending}", made[ending], ending)
    assert (d["status"], d["title"], d["content_type"]) == ("ready", title, kind)
    text = main.request("GET", f"/api/v1/documents/{d['document_id']}/text").content
    hit = main.search("How much amber oil does the zorbium pump take?", collection=ending)[0]
    assert kit.OIL in hit["text"] and heading in (hit["section"] or hit["chapter"] or "")
    assert text[hit["start"]:hit["end"]].decode() == hit["text"]
    session = new_session()
    main.stub.script({"route": "chat", "text": "A brimlock valve opens at forty bar and closes at thirty [1]."})
    answer = main.answered("When does a brimlock valve open?", session, collection=ending)
    source = answer["sources"][0]
    assert answer["grounded"] and "forty bar" in source["content_excerpt"]
    assert text[source["start"]:source["end"]].decode() == source["content_excerpt"]
    assert (hit.get("page"), source.get("page")) == (pages or (None, None))
    assert main.fits("Hit", hit) and main.fits("Source", source), (hit, source)
    shown = main.request("GET", f"/api/v1/citations/{source['id']}", session=session).json()
    assert shown.get("page", shown.get("source", shown).get("page")) == source.get("page"), shown


@pytest.mark.parametrize("ending", ["html", "docx", "xlsx"])
def test_a_row_of_a_table_carries_its_head_and_is_cited(main, made, ending):
    d = upload(main, f"file.{ending}", made[ending], "rows-" + ending)
    text = main.request("GET", f"/api/v1/documents/{d['document_id']}/text").content
    assert b"| Part | Price | Stock |\n| --- | --- | --- |\n| Gasket G1 | 7 crowns | 3 |" in text
    hits = main.search("Gasket G97 price", collection="rows-" + ending, top_k=20)
    assert "| Gasket G97 | 679 crowns | 291 |" in hits[0]["text"] and "Gasket G1 |" not in hits[0]["text"]
    assert hits[0]["text"].startswith("| Gasket"), hits[0]["text"][:80]  # at a row
    main.stub.script({"route": "chat", "text": "Gasket G97 costs 679 crowns [1]."})
    answer = main.answered("What is the price of Gasket G97?", collection="rows-" + ending)
    assert "679 crowns" in " ".join(s["content_excerpt"] for s in answer["sources"]), answer


def test_a_term_stands_in_the_passage_of_its_definition(main):
    """Options of a manual page: wherever a border falls, what explains an option is found, and quoted, with its name."""
    names = [f"--option-{a}{b}" for a in ("amber", "basalt", "copper", "delta", "ember", "fuchsia", "garnet", "hazel", "indigo", "jade") for b in ("", "-fast", "-slow", "-wide")]
    rows = "".join(f"<dt>-{i % 9}</dt><dt>{name} <em>N</em></dt><dd><p>Sets the {name[9:]} level of the press to N{', in steps' * (i % 7)}.</p><p>It is kept{' for the time being' * (i % 23)}.</p></dd>"
                   for i, name in enumerate(names))
    upload(main, "press.html", f"<!doctype html><title>press(1)</title><h1>press</h1><h2>Options</h2><dl>{rows}</dl>".encode(), "press")
    for name in names:
        hits = main.search(f"set the {name[9:]} level of the press", collection="press", top_k=20)
        texts = [h["text"] for h in hits if f"Sets the {name[9:]} level" in h["text"]]
        assert texts and all(f"{name} N\nSets the" in t for t in texts), (name, texts)


def test_a_folder_of_files_is_ingested_by_the_client(main, made, tmp_path):
    for ending, content in made.items():
        (tmp_path / f"file.{ending}").write_bytes(content)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n")
    r = main.cli("ingest", str(tmp_path), "--collection", "folder")
    assert r.returncode == 0 and f"{len(ROWS)} of {len(ROWS)} files are searchable" in r.stdout, (r.stdout, r.stderr)
    assert "picture.png" in r.stderr
    items = main.request("GET", "/api/v1/documents", params={"collection": "folder", "limit": 50}).json()["items"]
    assert {d["external_id"]: (d["content_type"], d["title"]) for d in items}["file.json"] == ("application/json", "file.json")
    assert {d["external_id"] for d in items} == {f"file.{e}" for e in ROWS}
    assert all(d["metadata"] == {"path": d["external_id"]} for d in items)
    r = main.cli("search", "zorbium amber oil", "--collection", "folder")
    assert r.returncode == 0 and "page 1" in r.stdout


def test_the_bytes_beat_a_wrong_name_and_a_contradiction_is_said(main, made):
    assert upload(main, "really.txt", made["pdf"], "sniffed")["content_type"] == "application/pdf"
    assert upload(main, "really.docx", made["xlsx"], "sniffed")["content_type"] == ROWS["xlsx"][0]
    assert upload(main, "noending", made["epub"], "sniffed")["content_type"] == "application/epub+zip"
    for name, content, words in (("a.pdf", b"\x89PNG\r\n\x1a\n", "a picture (PNG)"), ("a.docx", b"just words", "was sent as Word"),
                                 ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Office file"),
                                 ("a.xlsx", kit.parts([("x.txt", "hello")]), "an archive (ZIP)")):
        r = main.request("POST", "/api/v1/documents", files={"file": (name, content)})
        assert r.status_code == 422 and words in r.json()["detail"] and name in r.json()["detail"], r.text


@pytest.mark.limit(120)
def test_hostile_files_fail_in_words_and_the_service_lives(main, made):
    rows = [r for r in hostile.rows() if r[3]]
    some = [r for r in rows if r[0] in ("a million <div>", "a ZIP bomb", "XXE", "an encrypted archive", "docx cut at 1/2", "a million nested elements",
                                       "an encrypted PDF", "a million nested lists", "pdf cut at 1/3")]
    assert len(some) == 9
    endings = {hostile.W: "docx", hostile.PDF: "pdf", hostile.HTML: "html", hostile.JSON: "json"}
    jobs = []
    for i, (name, kind, content, words) in enumerate(some):
        r = main.request("POST", "/api/v1/documents", params={"collection": "hostile"},
                         files={"file": (f"hostile{i}.{endings[kind]}", content, kind)})
        assert r.status_code == 202, (name, r.text)
        jobs.append((name, words, r.json()["job_id"]))
    good = upload(main, "good.docx", made["docx"], "hostile")  # meanwhile
    assert good["status"] == "ready"
    for name, words, job in jobs:
        def over():
            j = main.request("GET", f"/api/v1/jobs/{job}").json()
            return j if j["status"] in ("failed", "done") else None
        j = wait_for(f"{name} is over", over, 60)
        assert j["status"] == "failed" and re.search(words, j["error"]), (name, j)
    assert main.search("amber oil", collection="hostile")[0]["document_id"] == good["document_id"]
    assert main.request("GET", "/api/v1/health").status_code == 200
