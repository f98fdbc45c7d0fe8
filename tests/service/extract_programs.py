"""Files of the programs that people write with, in every format that these have: the facts come out, under their headings, with their pages. Without
pandoc and LibreOffice (make test-formats installs them) only Chromium's and the libraries' files are read."""
import os
import shutil
import struct
import subprocess

import pytest

import formats_kit as kit
import hostile_kit as types
from extract_hostile import run

MARKDOWN = f"""---
title: Zorbium handbook
---

# Oil

{kit.OIL} See [the list](https://example.org/list).

- first item
- second item

# Valves

{kit.VALVE}

| Part | Price |
|------|-------|
| Gasket G1 | 7 crowns |
| Gasket G2 | 14 crowns |
"""
KINDS = {"docx": types.W, "pptx": types.P, "xlsx": types.X, "epub": types.E, "odt": types.O, "rtf": types.RTF, "html": types.HTML, "pdf": types.PDF}


def read(kind, content):
    result, seconds, _ = run(kind, content)
    assert isinstance(result, dict) and "X" in result, result
    text = result["X"].decode()
    blocks = [struct.unpack_from("<IIIII", result["B"], i) for i in range(0, len(result["B"]), 20)]
    heads = [result["X"][b[3]:b[4]].decode() for b in blocks if b[0] & 255 == 2]
    tables = [result["X"][b[1]:b[2]].decode() for b in blocks if b[0] & 255 == 3]
    pages = [struct.unpack_from("<II", result["P"], i) for i in range(0, len(result["P"]), 8)]
    return text, heads, tables, pages, result.get("T", b"").decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    d = tmp_path_factory.mktemp("programs")
    (d / "in.md").write_text(MARKDOWN)
    return d


def pandoc(folder, ending):
    if not shutil.which("pandoc"):
        pytest.skip("no pandoc: make test-formats")
    subprocess.run(["pandoc", "-s", "in.md", "-o", f"pandoc.{ending}"], cwd=folder, check=True, timeout=120)
    return (folder / f"pandoc.{ending}").read_bytes()


def office(folder, source, ending, module="sw"):
    """The file as LibreOffice's Writer (sw), Calc (sc) or Impress (sd) converts it; each is a package of its own."""
    program = shutil.which("soffice")
    if not program or not os.path.exists(os.path.join(os.path.dirname(os.path.realpath(program)), f"lib{module}lo.so")):
        pytest.skip("no LibreOffice with what reads this: make test-formats")
    subprocess.run(["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", ending, "--outdir", str(folder / "out"),
                    source], cwd=folder, check=True, timeout=180, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (folder / "out" / f"{os.path.splitext(os.path.basename(source))[0]}.{ending}").read_bytes()


def check(text, heads):
    assert kit.OIL in text and kit.VALVE in text, text[:2000]
    assert "Oil" in heads and "Valves" in heads and heads.index("Oil") < heads.index("Valves"), heads


@pytest.mark.limit(180)
@pytest.mark.parametrize("ending", ["docx", "pptx", "epub", "html", "odt", "rtf"])
def test_pandocs_files(folder, ending):
    text, heads, tables, pages, title = read(KINDS[ending], pandoc(folder, ending))
    check(text, heads)
    assert title == "Zorbium handbook" or ending == "rtf"  # pandoc writes it as a paragraph
    assert any("| Gasket G2 | 14 crowns |" in t and t.startswith("| Part | Price |") for t in tables), (tables, text)
    assert "- first item\n- second item" in text
    if ending not in ("pptx", "rtf"):
        assert "[the list](https://example.org/list)" in text
    assert bool(pages) == (ending == "pptx")


@pytest.mark.limit(400)
@pytest.mark.parametrize("ending", ["docx", "odt", "rtf", "pdf"])
def test_libreoffices_text(folder, ending):
    pandoc(folder, "docx")
    text, heads, tables, pages, title = read(KINDS[ending], office(folder, "pandoc.docx", ending))
    check(text, heads)
    assert ending == "pdf" or any("| Gasket G2 | 14 crowns |" in t for t in tables), (tables, text)
    assert (pages[0][1] == 1) if ending == "pdf" else not pages


@pytest.mark.limit(400)
def test_libreoffices_sheet(folder):
    (folder / "sheet.csv").write_text("Part,Price,Since\nGasket G1,7.5,2024-03-01\nGasket G2,14,2024-03-02\n")
    text, heads, tables, _, _ = read(types.X, office(folder, "sheet.csv", "xlsx", "sc"))
    assert heads == ["sheet"] and tables[0].splitlines()[2:] == ["| Gasket G1 | 7.5 | 2024-03-01 |", "| Gasket G2 | 14 | 2024-03-02 |"], tables


@pytest.mark.limit(400)
def test_libreoffices_slides(folder):
    pandoc(folder, "pptx")
    os.replace(folder / "pandoc.pptx", folder / "slides.pptx")
    office(folder, "slides.pptx", "odp", "sd")
    text, heads, _, pages, _ = read(types.P, office(folder, "out/slides.odp", "pptx", "sd"))
    check(text, heads)
    assert [n for _, n in pages][:2] == [1, 2]


def test_chromiums_print(folder):
    if not shutil.which("chromium"):
        pytest.skip("no Chromium")
    text, heads, _, pages, title = read(types.PDF, kit.pdf(str(folder)))
    check(text, heads)
    assert title == "Zorbium handbook" and heads[0] == "Zorbium handbook" and [n for _, n in pages][:2] == [1, 2]
    assert "glimmernav" in text  # a print has no frame to leave out


def test_a_books_chapters_may_be_in_any_charset():
    """Books of old programs: what a chapter, or the package, says of its charset counts."""
    words = "Клапан открывается при сорока барах."
    chapter = f"<?xml version='1.0' encoding='%s'?><html><body><h2>Клапаны</h2><p>{words}</p></body></html>"
    for charset in ("utf-8", "windows-1251", "koi8-r", "utf-16"):
        content = types.epub(types.OPF, (chapter % charset).encode(charset))
        text, heads, _, _, _ = read(types.E, content)
        assert words in text and heads == ["Клапаны"], (charset, text)
    package = types.OPF.replace("<manifest>", "<metadata><title>Клапаны</title></metadata><manifest>")
    package = ("<?xml version='1.0' encoding='windows-1251'?>" + package).encode("windows-1251")
    text, _, _, _, title = read(types.E, types.epub(package, (chapter % "windows-1251").encode("windows-1251")))
    assert words in text and title == "Клапаны"


def test_rows_that_a_sheet_leaves_out_part_its_tables():
    """openpyxl writes no empty row: what stands in row 5 is another table than what ends in row 3."""
    import io

    import openpyxl
    b = openpyxl.Workbook()
    for row, cells in {2: ("Part", "Price"), 3: ("Gasket", "7"), 5: ("Town", "Depot"), 6: (None, "North"), 9: ("One", "Alone")}.items():
        for column, cell in enumerate(cells):
            b.active.cell(row=row, column=column + 2, value=cell)
    out = io.BytesIO()
    b.save(out)
    _, _, tables, _, _ = read(types.X, out.getvalue())
    assert tables == ["|  | Part | Price |\n| --- | --- | --- |\n|  | Gasket | 7 |", "|  | Town | Depot |\n| --- | --- | --- |\n|  |  | North |",
                      "|  | One | Alone |\n| --- | --- | --- |"], tables


def test_a_sheets_rows_are_where_rows_or_cells_say():
    """Row numbers are optional in the format, and so are the cells' places: what is not said follows what was before."""
    def cell(words, at=""):
        return f"<c {at} t='inlineStr'><is><t>{words}</t></is></c>"
    for rows in (f"<row r='1'>{cell('a')}{cell('b')}</row><row r='2'>{cell('c')}</row><row r='4'>{cell('d')}</row>",
                 "<row>" + cell("a", "r='A1'") + cell("b", "r='B1'") + "</row><row>" + cell("c", "r='A2'") + "</row><row>" + cell("d", "r='A4'") + "</row>",
                 f"<row>{cell('a')}{cell('b')}</row><row>{cell('c')}</row><row/><row>{cell('d')}</row>"):
        _, _, tables, _, _ = read(types.X, types.xlsx(f"<worksheet><sheetData>{rows}</sheetData></worksheet>"))
        assert tables == ["| a | b |\n| --- | --- |\n| c |", "| d |\n| --- |"], (rows, tables)


def test_a_links_target_stays_where_anybody_can_open_it():
    """The same rule for pages and for Word: no script, no file, nothing that would end Markdown's link early."""
    good = ["https://example.org/a?b=c#d", "HTTP://example.org/", "mailto:desk@example.org"]
    bad = ["javascript:alert(1)", "file:///etc/passwd", "https://example.org/a b", "https://example.org/(a)", "data:text/html,x", "smb://host/share",
           "https://example.org/" + "x" * 400, "mailto", ""]
    rels = "".join(f"<Relationship Id='l{i}' Type='t/hyperlink' TargetMode='External' Target='{u}'/>" for i, u in enumerate(good + bad))
    links = "".join(f"<w:p><w:hyperlink r:id='l{i}'><w:r><w:t>words {i}</w:t></w:r></w:hyperlink></w:p>" for i in range(len(good + bad)))
    word = types.docx(types.body(links), [("word/_rels/document.xml.rels", f"<Relationships>{rels}</Relationships>")])
    page = "".join(f"<p><a href='{u}'>words {i}</a></p>" for i, u in enumerate(good + bad)).encode()
    expected = [f"[words {i}]({u})" for i, u in enumerate(good)] + [f"words {i + len(good)}" for i in range(len(bad))]
    for kind, content in ((types.W, word), (types.HTML, page)):
        assert read(kind, content)[0].split("\n\n") == expected


def test_a_presentation_of_thousands_of_slides_is_read_in_its_time():
    """Slides, their relations and their notes stand in the archive one kind after the other, as programs write them."""
    n = 3000
    slide = "<p:sld xmlns:a='a'><p:sp><a:p><a:r><a:t>%s</a:t></a:r></a:p></p:sp></p:sld>"
    ids = "".join(f"<p:sldId r:id='s{i}'/>" for i in range(n))
    content = kit.parts(
        [("_rels/.rels", kit.relations(("r1", "officeDocument", "ppt/presentation.xml"))), ("ppt/presentation.xml", f"<p:p>{ids}</p:p>"),
         ("ppt/_rels/presentation.xml.rels", kit.relations(*((f"s{i}", "slide", f"slides/s{i}.xml") for i in range(n))))] +
        [(f"ppt/slides/_rels/s{i}.xml.rels", kit.relations(("n", "notesSlide", f"../notes/n{i}.xml"))) for i in range(n)] +
        [(f"ppt/slides/s{i}.xml", slide % f"slide {i}") for i in range(n)] + [(f"ppt/notes/n{i}.xml", slide % f"note {i}") for i in range(n)])
    text, _, _, pages, _ = read(types.P, content)
    assert len(pages) == n and text.split("\n\n") == [words for i in range(n) for words in (f"slide {i}", f"note {i}")]
