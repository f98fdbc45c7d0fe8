"""Files that somebody made to break whoever reads them: name, media type, bytes, and what becomes of them: words of the reason, or None when text may
come out. long_forms: more of them, larger."""
import io
import random
import struct
import zipfile
import zlib

import formats_kit as kit

W = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
X = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
P = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
E = "application/epub+zip"
O, RTF = "application/vnd.oasis.opendocument.text", "application/rtf"
PDF, HTML, CSV, JSON = "application/pdf", "text/html", "text/csv", "application/json"
NS = "xmlns:w='w'"
XXE = "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
LAUGHS = ("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'ha'>" +
          "".join(f"<!ENTITY {chr(98 + i)} '{('&' + chr(97 + i) + ';') * 10}'>" for i in range(9)) + "]>")


def docx(document, more=()):
    return kit.parts([("_rels/.rels", kit.relations(("r1", "officeDocument", "word/document.xml"))), ("word/document.xml", document), *more])


def body(text):
    return f"<w:document {NS}><w:body>{text}</w:body></w:document>"


def para(text):
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def xlsx(sheet, strings="<sst/>", book="<workbook xmlns:r='r'><sheets><sheet name='S' r:id='s1'/></sheets></workbook>"):
    return kit.parts([("_rels/.rels", kit.relations(("r1", "officeDocument", "xl/workbook.xml"))), ("xl/workbook.xml", book),
                      ("xl/_rels/workbook.xml.rels", kit.relations(("s1", "worksheet", "worksheets/s.xml"), ("s2", "sharedStrings", "strings.xml"))),
                      ("xl/strings.xml", strings), ("xl/worksheets/s.xml", sheet)])


def epub(opf, chapter="<p>words</p>"):
    return kit.parts([("mimetype", E), ("META-INF/container.xml", "<container><rootfiles><rootfile full-path='p.opf'/></rootfiles></container>"),
                      ("p.opf", opf), ("c.xhtml", chapter)])


OPF = "<package><manifest><item id='c' href='c.xhtml'/></manifest><spine><itemref idref='c'/></spine></package>"


def pdf(objects, root=1, trailer=""):
    """Objects by number, as bytes → a PDF with its table."""
    out, at = bytearray(b"%PDF-1.7\n"), {}
    for n, o in objects.items():
        at[n] = len(out)
        out += b"%d 0 obj\n" % n + o + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (max(objects) + 1)
    for n in range(1, max(objects) + 1):
        out += b"%010d 00000 n \n" % at.get(n, 0)
    out += b"trailer\n<< /Size %d /Root %d 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (max(objects) + 1, root, trailer.encode(), start)
    return bytes(out)


def stream(data, extra=b""):
    return b"<< /Length %d %s >>\nstream\n" % (len(data), extra) + data + b"\nendstream"


def page(content=b"BT /F 12 Tf 50 700 Td (Harmless words) Tj ET", extra="", catalog="", filtered=b""):
    return {1: f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(), 2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> {extra} >>".encode(),
            4: stream(content, filtered), 5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"}


def bomb(size, byte=b" "):
    z = zlib.compressobj(9)
    return b"".join(z.compress(byte * (1 << 20)) for _ in range(size >> 20)) + z.flush()


def zipped(name, size, before=b"", after=b""):
    """A member of that many blanks, written in pieces."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("_rels/.rels", kit.relations(("r1", "officeDocument", "word/document.xml")))
        with z.open(name, "w", force_zip64=True) as f:
            f.write(before)
            for _ in range(size >> 20):
                f.write(b" " * (1 << 20))
            f.write(after)
    return out.getvalue()


def encrypted_zip():
    b = bytearray(docx(body(para("secret"))))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        i = b.find(mark)
        while i >= 0:
            b[i + at] |= 1
            i = b.find(mark, i + 4)
    return bytes(b)


def rows():
    rnd = random.Random(7)
    noise = rnd.randbytes(300_000)
    good = {"docx": (W, kit.docx()), "xlsx": (X, kit.xlsx()), "pptx": (P, kit.pptx()), "epub": (E, kit.epub()), "odt": (O, kit.odt()), "pdf": (PDF, pdf(page()))}
    # cut off
    for name, (kind, content) in good.items():
        for part in (3, 2):
            yield f"{name} cut at 1/{part}", kind, content[:len(content) // part], "damaged"
        yield f"{name} cut by its last 100 bytes", kind, content[:-100], "" if name == "pdf" else "damaged"
    # another type
    for kind in (W, E, PDF):
        yield f"noise as {kind[-10:]}", kind, noise, "damaged|is no PDF|no such"
    yield "noise as HTML", HTML, noise, "no text|charset"
    yield "noise as CSV", CSV, noise, "no text|charset"
    yield "a picture as PDF", PDF, b"\x89PNG\r\n\x1a\n" + noise, "is no PDF"
    yield "Excel as Word", W, good["xlsx"][1], "no such document|damaged"
    yield "a ZIP of nothing", W, kit.parts([]), "empty|damaged"
    yield "a ZIP without a document", W, kit.parts([("a.txt", "x")]), "no such document"
    yield "Word as OpenDocument", O, good["docx"][1], "no OpenDocument text"
    yield "a sheet of OpenDocument", O, kit.parts([("mimetype", "application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", "<x/>")]), "no text"
    yield "OpenDocument with a password", O, kit.parts([("mimetype", O), ("META-INF/manifest.xml", "<m><encryption-data/></m>"), ("content.xml", "noise")]), "password"
    yield "noise as RTF", RTF, noise, "no RTF"
    yield "RTF of nothing", RTF, b"{\\rtf1}", "no text"
    yield "half an RTF", RTF, kit.rtf()[:9000], None
    yield "RTF, nested deeply", RTF, b"{\\rtf1" + b"{" * 1_000_000, "nested too deeply"
    yield "RTF with numbers of all sizes", RTF, b"{\\rtf1\\f-1\\s99999999999\\u-70000\\uc-5\\bin99999999999 x", None
    # bombs
    yield "a ZIP bomb", W, zipped("word/document.xml", 300 << 20, f"<w:document {NS}>".encode(), b"</w:document>"), "256 MB"
    yield "a bomb of strings", X, xlsx("<worksheet/>", "<sst>" + f"<si><t>{'x' * 1000000}</t></si>" * 100 + "</sst>"), "64 MB"
    yield "a bomb of cells", X, xlsx("<worksheet><sheetData>" + "<row>" + "<c r='A1' t='str'><v>" + "y" * 90_000_000 + "</v></c></row></sheetData></worksheet>"), "64 MB|memory|too large"
    yield "a bomb of pages", E, epub(OPF.replace("<itemref idref='c'/>", "<itemref idref='c'/>" * 9000), "<p>" + "page " * 20000 + "</p>"), "64 MB|256 MB|too long"
    yield "twenty thousand members", W, kit.parts([(f"m{i}", "") for i in range(20000)]), "members"
    yield "a PDF bomb", PDF, pdf(page(bomb(300 << 20), filtered=b"/Filter /FlateDecode")), "no text|memory|damaged|too long"
    # depth
    for tag in ("div", "b"):
        yield f"a million <{tag}>", HTML, f"<{tag}>".encode() * 1_000_000, "memory|too long|no text|damaged"
    yield "a million nested elements", W, docx(f"<w:document {NS}>" + "<w:p>" * 1_000_000), "nested too deeply"
    yield "a million nested lists", JSON, b"[" * 1_000_000, "no JSON"
    yield "tables in tables", W, docx(body("<w:tbl><w:tr><w:tc>" * 3000 + para("x") + "</w:tc></w:tr></w:tbl>" * 3000)), None
    # entities
    yield "XXE", W, docx(XXE + body(para("&e;"))), "document type"
    yield "a billion laughs", W, docx(LAUGHS + body(para("&j;"))), "document type"
    yield "XXE in styles", W, docx(body(para("x")), [("word/_rels/document.xml.rels", kit.relations(("r", "styles", "styles.xml"))),
                                                  ("word/styles.xml", XXE + "<w:styles xmlns:w='w'>&e;</w:styles>")]), "document type"
    yield "XXE in a sheet", X, xlsx(XXE + "<worksheet>&e;</worksheet>"), "document type"
    yield "XXE in a book", E, epub(XXE + OPF), "document type"
    yield "a relation out of the archive", W, kit.parts([("_rels/.rels", kit.relations(("r", "officeDocument", "../../../../etc/passwd")))]), "no such document"
    # passwords
    yield "an encrypted archive", W, encrypted_zip(), "password"
    yield "an encrypted PDF", PDF, pdf({**page(), 6: b"<< /Filter /Standard /V 1 /R 2 /O <" + b"41" * 32 + b"> /U <" + b"42" * 32 + b"> /P -4 >>"},
                                       trailer="/Encrypt 6 0 R /ID [<41> <41>]"), "password"
    yield "a book with DRM", E, kit.parts([("META-INF/container.xml", "<c/>"), ("META-INF/rights.xml", "<r/>")]), "DRM"
    # PDF
    js = b"<< /S /JavaScript /JS (app.alert\\(\"scriptwords\"\\); this.submitForm\\(\"http://127.0.0.1:9/\"\\);) >>"
    yield "a PDF with scripts", PDF, pdf({**page(catalog="/OpenAction 6 0 R /Names << /JavaScript << /Names [(a) 6 0 R] >> >>"), 6: js}), None
    yield "a PDF whose pages are their own parents", PDF, pdf({**page(), 2: b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2000000000 >>"}), "damaged|no text|too long"
    yield "a PDF without pages", PDF, b"%PDF-1.4\n", "damaged"
    yield "a PDF that calls itself", PDF, pdf({**page(b"/X Do " * 200, extra="/Resources << /XObject << /X 6 0 R >> >>"),
                                              6: stream(b"/X Do /X Do /X Do", b"/Subtype /Form /Resources << /XObject << /X 6 0 R >> >>")}), "no text|damaged|too long"
    # text
    yield "a tag that never ends", HTML, b"<p " + b"a=b " * 3_000_000, "no text|memory|too long|damaged"
    yield "a comment that never ends", HTML, b"<!--" + b"x" * 20_000_000, "no text|memory"
    yield "a quote that never ends", CSV, b'a,b\n"' + b"x,\n" * 5_000_000, None
    yield "a line of separators", CSV, b"," * 20_000_000, "no text"
    yield "NUL bytes", HTML, b"<p>a\0b</p>", "NUL"
    yield "hidden words", HTML, "<p>shown\u200b\u202e</p><p hidden>secret</p><p style='display:none'>secret</p><script>secret()</script>".encode(), None


def long_forms():
    """Flipped bits and moved pieces of good files: whatever comes of them, it comes in words and in time."""
    for tag in ("table><tr><td", "ul><li", "svg", "a href=x", "p><div", "select><option", "font><p"):
        yield f"a million <{tag}>", HTML, f"<{tag}>".encode() * 1_000_000, "memory|too long|no text|damaged"
    rnd = random.Random(11)
    good = [(W, kit.docx()), (X, kit.xlsx()), (P, kit.pptx()), (E, kit.epub()), (O, kit.odt()), (RTF, kit.rtf()), (PDF, pdf(page())), (HTML, kit.html()), (CSV, kit.csv_file())]
    for i in range(700):
        kind, content = good[i % len(good)]
        b = bytearray(content)
        for _ in range(rnd.choice((1, 8, 64))):
            if len(b) < 50:
                break
            at = rnd.randrange(len(b))
            how = rnd.randrange(3)
            if how == 0:
                b[at] ^= 1 << rnd.randrange(8)
            elif how == 1:
                del b[at:at + rnd.randrange(1, 40)]
            else:
                b[at:at] = struct.pack("<I", rnd.choice((0, 0xffffffff, 0x7fffffff, 1 << 20)))
        yield f"changed {i}", kind, bytes(b), None
