"""Texts in many scripts, the same each time: words by chance from each script's letters, with digits, punctuation, marks and some English
between them. Characters that came into Unicode after the reference's own tables were made are left out (3.2 has them all)."""
import random
import unicodedata

SCRIPTS = {
    "Latin": [(0x41, 0x5a), (0x61, 0x7a), (0xc0, 0x17f)], "Vietnamese": [(0x61, 0x7a), (0x1ea0, 0x1ef9)], "Greek": [(0x386, 0x3ce), (0x1f00, 0x1fbc)],
    "Cyrillic": [(0x400, 0x481)], "Armenian": [(0x531, 0x586)], "Hebrew": [(0x5b0, 0x5ea)], "Arabic": [(0x621, 0x652)],
    "Syriac": [(0x710, 0x74a)], "Devanagari": [(0x901, 0x94d)], "Bengali": [(0x981, 0x9cd)], "Gurmukhi": [(0xa05, 0xa4d)],
    "Gujarati": [(0xa85, 0xacd)], "Oriya": [(0xb05, 0xb4d)], "Tamil": [(0xb83, 0xbcd)], "Telugu": [(0xc05, 0xc4d)], "Kannada": [(0xc85, 0xccd)],
    "Malayalam": [(0xd05, 0xd4d)], "Sinhala": [(0xd85, 0xddf)], "Thai": [(0xe01, 0xe4e)], "Lao": [(0xe81, 0xecd)], "Tibetan": [(0xf40, 0xfbc)],
    "Burmese": [(0x1000, 0x1039)], "Georgian": [(0x10d0, 0x10f5)], "Hangul": [(0xac00, 0xd7a3)], "Ethiopic": [(0x1200, 0x135a)],
    "Khmer": [(0x1780, 0x17d2)], "Mongolian": [(0x1820, 0x1877)], "Kana": [(0x3041, 0x30fe)], "Han": [(0x4e00, 0x9fa5), (0x3400, 0x4db5)],
}
BETWEEN = [" ", " ", " ", ", ", ". ", " (", ") ", "-", " 2024 ", " https://a.example/b?c=d ", "\u2019", " \u2014 ", "\u3001", "\u00a0", "\u200b", " e\u0301t\u00e9 ",
           " The pool ", " unaffable ", " 3.14% ", "\u061f ", "\u0964 ", "\u00ad", " $5 ", "_", " \u20ac7 ", " \U0001f600 ", "\t"]
OLD = unicodedata.ucd_3_2_0


def texts(n, seed=1):
    chance, names = random.Random(seed), sorted(SCRIPTS)
    letters = {s: [chr(c) for a, b in ranges for c in range(a, b + 1) if OLD.category(chr(c)) != "Cn"] for s, ranges in SCRIPTS.items()}
    for i in range(n):
        s = letters[names[i % len(names)]]
        yield "".join("".join(chance.choices(s, k=chance.randint(1, 9))) + chance.choice(BETWEEN) for _ in range(chance.randint(3, 25))).strip()
