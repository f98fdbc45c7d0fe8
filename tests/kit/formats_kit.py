"""Documents in the formats that people have, made by other programs: python-docx, openpyxl, EbookLib, Chromium's print. Each says the same facts,
and where they stand: heading, page, row."""
import csv
import io
import json
import os
import shutil
import subprocess
import zipfile

OIL = "The zorbium pump takes eleven litres of amber oil every winter."
VALVE = "A brimlock valve opens at forty bar and closes at thirty."
PARTS = [("Part", "Price", "Stock")] + [(f"Gasket G{i}", f"{i * 7} crowns", str(i * 3)) for i in range(1, 121)]


def html():
    rows = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in r) + "</tr>" for r in PARTS[1:])
    head = "".join(f"<th>{c}</th>" for c in PARTS[0])
    return (f"<!doctype html><html><head><title>Zorbium handbook</title><meta charset=utf-8></head><body>"
            f"<nav><a href=/>Home</a> glimmernav</nav><main><h1>Zorbium handbook</h1><h2>Oil</h2><p>{OIL}</p>"
            f"<div class=pagebreak style='break-before:page'></div><h2>Valves</h2>"
            f"<p>{VALVE} See <a href='https://example.org/valves'>the list</a>.</p>"
            f"<h2>Spare parts</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></main>"
            f"<footer>footerglim</footer></body></html>").encode()


def docx():
    import docx as library
    d = library.Document()
    d.add_heading("Zorbium handbook", 0)
    d.add_heading("Oil", 1)
    d.add_paragraph(OIL)
    d.add_heading("Valves", 1)
    d.add_paragraph(VALVE)
    d.add_heading("Spare parts", 1)
    t = d.add_table(rows=0, cols=3)
    for row in PARTS:
        cells = t.add_row().cells
        for cell, text in zip(cells, row):
            cell.text = text
    out = io.BytesIO()
    d.save(out)
    return out.getvalue()


def odt():
    """Written by hand: pandoc's and LibreOffice's are read by make test-formats."""
    names = " ".join(f"xmlns:{n}='urn:{n}'" for n in ("office", "text", "table", "style", "dc", "xlink"))
    rows = "".join("<table:table-row>" + "".join(f"<table:table-cell><text:p>{c}</text:p></table:table-cell>" for c in r) + "</table:table-row>" for r in PARTS)
    head = "<text:h text:outline-level='1'>{}</text:h>"
    content = (f"<office:document-content {names}><office:automatic-styles><style:style style:name='P1' style:parent-style-name='Title'/></office:automatic-styles>"
               f"<office:body><office:text><text:tracked-changes><text:p>deletedglim</text:p></text:tracked-changes>"
               f"<text:p text:style-name='P1'>Zorbium handbook</text:p>{head.format('Oil')}<text:p>{OIL}</text:p>{head.format('Valves')}"
               f"<text:p>{VALVE}</text:p>{head.format('Spare parts')}<table:table>{rows}</table:table></office:text></office:body></office:document-content>")
    return parts([("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", content),
                  ("meta.xml", f"<office:document-meta {names}><office:meta><dc:title>Zorbium handbook</dc:title></office:meta></office:document-meta>")])


def rtf():
    row = "\\trowd\\cellx1000\\cellx2000\\cellx3000 " + "{}" + "\\row "
    rows = "".join(row.format("".join(f"\\pard\\intbl {c}\\cell " for c in r)) for r in PARTS)
    head = "\\pard\\s1 {}\\par "
    return ("{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fcharset0 Times;}{\\f1\\fcharset204 Times Cyr;}}{\\stylesheet{\\s0 Normal;}{\\s1 heading 1;}}"
            "{\\info{\\title Zorbium handbook}{\\author glimauthor}}{\\header glimhead\\par}" + head.format("Oil") + "\\pard " + OIL +
            " Gr\\'f6\\'dfe \\u8212?{\\f1 \\'cf\\'ee}\\par " + head.format("Valves") + "\\pard " + VALVE + "\\par " + head.format("Spare parts") + rows +
            "\\pard Behind.\\par}").encode()


def pdf(folder):
    page = os.path.join(folder, "print.html")
    with open(page, "wb") as f:
        f.write(html())
    to = os.path.join(folder, "print.pdf")
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
                    f"--user-data-dir={folder}/chromium", f"--print-to-pdf={to}", page], check=True, timeout=60,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(f"{folder}/chromium", ignore_errors=True)
    with open(to, "rb") as f:
        return f.read()


def xlsx():
    import datetime

    import openpyxl
    b = openpyxl.Workbook()
    s = b.active
    s.title = "Spare parts"
    for name, price, stock in PARTS:
        s.append([name, price, int(stock) if stock.isdigit() else stock])
    n = b.create_sheet("Notes")
    n.append(["Topic", "Note", "Since"])
    n.append(["Oil", OIL, datetime.date(2024, 3, 1)])
    n.append(["Valves", VALVE, datetime.datetime(2024, 3, 2, 14, 30)])
    out = io.BytesIO()
    b.save(out)
    return out.getvalue()


def epub():
    from ebooklib import epub as library
    b = library.EpubBook()
    b.set_identifier("zorbium")
    b.set_title("Zorbium handbook")
    b.set_language("en")
    chapters = []
    for i, (head, text) in enumerate((("Oil", OIL), ("Valves", VALVE))):
        c = library.EpubHtml(title=head, file_name=f"chapter {i}.xhtml", lang="en")
        c.content = f"<h2>{head}</h2><p>{text}</p>"
        b.add_item(c)
        chapters.append(c)
    b.toc = chapters
    b.add_item(library.EpubNcx())
    b.add_item(library.EpubNav())
    b.spine = ["nav"] + chapters
    out = io.BytesIO()
    library.write_epub(out, b)
    return out.getvalue()


def parts(members):
    """A ZIP archive of texts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in members:
            z.writestr(name, text, zipfile.ZIP_STORED if name == "mimetype" else None)
    return out.getvalue()


OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def relations(*rows):
    return (f"<Relationships xmlns='{PACKAGE}'>" +
            "".join(f"<Relationship Id='{i}' Type='{OFFICE}/{t}' Target='{to}'/>" for i, t, to in rows) + "</Relationships>")


def pptx():
    """No program that writes one can be installed in seconds: the long form (make test-formats) has LibreOffice's and pandoc's."""
    def slide(title, text):
        def shape(kind, words):
            return (f"<p:sp><p:nvSpPr><p:nvPr><p:ph type='{kind}'/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p>"
                    f"</p:txBody></p:sp>")
        return (f"<p:sld xmlns:p='p' xmlns:a='a'><p:cSld><p:spTree>{shape('title', title)}{shape('body', text)}"
                f"{shape('sldNum', '7')}</p:spTree></p:cSld></p:sld>")
    slides = [("Zorbium handbook", "An overview of what it needs."), ("Oil", OIL), ("Valves", VALVE)]
    names = [(f"rId{i}", "slide", f"slides/slide{i}.xml") for i in (3, 1, 2)]  # the order of files is not that of slides
    return parts([("[Content_Types].xml", "<Types/>"),
                  ("_rels/.rels", relations(("r1", "officeDocument", "ppt/presentation.xml"))),
                  ("ppt/presentation.xml", "<p:presentation xmlns:p='p' xmlns:r='r'><p:sldIdLst>" +
                   "".join(f"<p:sldId r:id='{n[0]}'/>" for n in names) + "</p:sldIdLst></p:presentation>"),
                  ("ppt/_rels/presentation.xml.rels", relations(*names))] +
                 [(f"ppt/{n[2]}", slide(*s)) for n, s in zip(names, slides)])


def csv_file():
    out = io.StringIO()
    w = csv.writer(out, delimiter=";")
    w.writerow(["Topic", "Note", "Größe"])
    w.writerow(["Oil", OIL, "groß"])
    w.writerow(["Valves", VALVE, 'say "yes"; or\nno'])
    return out.getvalue().encode("windows-1252")


def json_file():
    return json.dumps({"name": "Zorbium", "notes": [{"topic": "Oil", "note": OIL}, {"topic": "Valves", "note": VALVE}]}).encode()


def asciidoc():
    return f"= Zorbium handbook\n:toc: left\n\n== Oil\n\n{OIL}\n\n== Valves\n{VALVE}\n\n----\n== no heading\n----\n".encode()


def rst():
    return f"================\nZorbium handbook\n================\n\nOil\n===\n\n{OIL}\n\nValves\n======\n\n{VALVE}\n".encode()


def code():
    return f'"""Zorbium."""\n\n\ndef oil():\n    """{OIL}"""\n    return 11\n\n\ndef valve():\n    # {VALVE}\n    return 40\n'.encode()
