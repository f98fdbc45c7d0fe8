"""The pictures of docs/widget.md, taken of the widget as it is: FOOTNOTE_WRITE_DOCS=1 writes them anew. Those that are there show what a
reader sees today: a picture that is as far from the widget as another one of them fails."""
import base64
import json
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from browser_kit import Browser  # noqa: E402
from corpus_kit import Q_BUILT, Q_LAMP  # noqa: E402
from suite import ADMIN_KEY, TOP  # noqa: E402
from widget_kit import GUIDE, W, ask, fresh, site_and_suite, until  # noqa: E402

pytestmark = pytest.mark.limit(120)
FOLDER = TOP + "/docs/pictures/"
LARGEST = 40000
STYLE = """body { margin: 0; font: 16px/1.6 sans-serif; background: light-dark(#fff, #16181a); color: light-dark(#22272b, #dde2e6); }
main { max-width: 40rem; padding: 1.5rem 2rem; } h1 { font-size: 1.7rem; margin-top: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; }
footnote-chat[mode=inline] { display: block; margin: 0 2rem; }"""
MORE = """<p>Ships that come from the north see the light first. The pier is closed in storms, and the ferry waits until the wind falls.</p>
<h2>Keepers</h2><p>A keeper lives in the house beside the tower. Each evening the clockwork of the lens is wound up by hand, and the wick is trimmed
every four hours.</p>"""
ARABIC = ("# منارة فارنهولم\n\n## التاريخ\n\nبنت المهندسة إنغريد سولهايم منارة فارنهولم في عام 1843. يبلغ ارتفاع البرج 41 مترا وهو مبني من الغرانيت الرمادي.\n",
          "من بنى منارة فارنهولم ومتى؟", "بنت المهندسة إنغريد سولهايم منارة فارنهولم في عام 1843 [1]، ويبلغ ارتفاع البرج 41 مترا [1].",
          "<h1>دليل الميناء</h1><p>أهلا بكم على الرصيف.</p><h2>الأضواء</h2><p>بنيت منارة فارنهولم في عام 1843. ترى السفن القادمة من الشمال ضوءها أولا.</p>")
# name: width, height, scheme, lang
PICTURES = {"launcher": (1000, 640, "light", "en"), "inline": (760, 820, "light", "en"), "dark": (1000, 640, "dark", "en"),
            "rtl": (1000, 640, "light", "ar"), "phone": (390, 700, "light", "en")}
# two pictures as 40 × 40 spots of grey: how far apart their spots are, 0 to 255, on the average
APART = """(async () => { const spots = async data => {
    const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(data), c => c.charCodeAt(0))]));
    const g = new OffscreenCanvas(40, 40).getContext('2d'); g.imageSmoothingQuality = 'high'; g.drawImage(bitmap, 0, 0, 40, 40);
    return [...g.getImageData(0, 0, 40, 40).data].filter((_, i) => (i & 3) === 1); };
  const [a, b] = [await spots('%s'), await spots('%s')]; return a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0) / a.length; })()"""


@pytest.fixture(scope="module")
def world():
    with site_and_suite() as s:
        s.ingest(ARABIC[0], "arabic", key=ADMIN_KEY)
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


def page(browser, world, width, height, scheme, lang, main=GUIDE + MORE, tag=""):
    browser.size(width, height)
    browser.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    world.stub.reset()
    fresh(browser, world, "/picture", tag=tag, lang=lang, attributes='data-theme="auto"', main=main, head='<meta name="color-scheme" content="light dark">')
    browser.js(f"{{ const s = new CSSStyleSheet(); s.replaceSync({json.dumps(STYLE)}); document.adoptedStyleSheets = [s]; }}")
    browser.js(f"document.documentElement.dir = '{'rtl' if lang == 'ar' else 'ltr'}'")


def said(browser, world, question, text):
    world.stub.script({"route": "chat", "text": text})
    ask(browser, question)


def launcher(browser, world, *how):
    page(browser, world, *how)
    browser.click(W + "#open")
    said(browser, world, Q_BUILT, "The lighthouse of Varnholm was built in **1843** by the engineer *Ingrid Solheim* [1]. It replaced a wooden beacon that had burnt down twice [1].")


def inline(browser, world, *how):
    page(browser, world, *how, main=GUIDE, tag=f'<footnote-chat data-key="{world.page_key}" heading="Ask the harbour guide"></footnote-chat>')
    said(browser, world, Q_LAMP, "The lamp burns **colza oil** and is visible for 23 nautical miles [1].\n\n| what | how often |\n|:--|--:|\n| trim the wick | every 4 hours |\n| wind up the clockwork | each evening |")


def dark(browser, world, *how):
    launcher(browser, world, *how)
    browser.click(W + ".text .cite")
    until(browser, "w.querySelector('#source').open && w.querySelector('#source-text').innerText.includes('wooden beacon')")


def rtl(browser, world, *how):
    page(browser, world, *how, main=ARABIC[3])
    browser.click(W + "#open")
    said(browser, world, *ARABIC[1:3])


def phone(browser, world, *how):
    launcher(browser, world, *how)


def taken(browser, name, world):
    globals()[name](browser, world, *PICTURES[name])
    browser.js("scrollTo(0, 0), document.activeElement.blur(), document.querySelector('footnote-chat').shadowRoot.activeElement?.blur(), new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    return browser.call("Page.captureScreenshot", format="webp", quality=80)["data"]


def test_the_pictures_of_the_manual_are_what_a_reader_sees(browser, world):
    now, old = {name: taken(browser, name, world) for name in PICTURES}, {}
    if os.environ.get("FOOTNOTE_WRITE_DOCS"):
        os.makedirs(FOLDER, exist_ok=True)
        for name, data in now.items():
            with open(f"{FOLDER}widget-{name}.webp", "wb") as f:
                f.write(base64.b64decode(data))
    for name in PICTURES:
        with open(f"{FOLDER}widget-{name}.webp", "rb") as f:
            old[name] = base64.b64encode(f.read()).decode()
    browser.open("about:blank")
    for name in PICTURES:
        apart = {other: browser.js(APART % (now[name], old[other])) for other in PICTURES}
        print(name, {k: round(v, 2) for k, v in apart.items()})
        assert apart[name] < 4, (name, apart, "FOOTNOTE_WRITE_DOCS=1 takes the pictures anew")
        assert min(v for k, v in apart.items() if k != name) > 4, (name, apart)


def test_the_pictures_are_small_and_shown():
    manual = open(TOP + "/docs/widget.md", encoding="utf-8").read()
    for name in PICTURES:
        assert os.path.getsize(f"{FOLDER}widget-{name}.webp") <= LARGEST, name
        assert f"(pictures/widget-{name}.webp)" in manual, name
    assert "(docs/pictures/widget-" in open(TOP + "/README.md", encoding="utf-8").read()
    assert sorted(os.listdir(FOLDER)) == sorted(f"widget-{n}.webp" for n in PICTURES)
