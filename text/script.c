/* Scripts. See script.h. */
#include "text/script.h"

#include <stddef.h>

/* Sorted; the blocks of the Unicode Standard that hold letters of these scripts. */
static const struct {
    int32_t from, to;
    enum script script;
} blocks[] = {
    { 0x41, 0x5a, SCRIPT_LATIN },        { 0x61, 0x7a, SCRIPT_LATIN },
    { 0xc0, 0x24f, SCRIPT_LATIN },       { 0x370, 0x3ff, SCRIPT_GREEK },
    { 0x400, 0x52f, SCRIPT_CYRILLIC },   { 0x530, 0x58f, SCRIPT_ARMENIAN },
    { 0x590, 0x5ff, SCRIPT_HEBREW },     { 0x600, 0x6ff, SCRIPT_ARABIC },
    { 0x750, 0x77f, SCRIPT_ARABIC },     { 0x8a0, 0x8ff, SCRIPT_ARABIC },
    { 0x900, 0x97f, SCRIPT_DEVANAGARI }, { 0x980, 0x9ff, SCRIPT_BENGALI },
    { 0xb80, 0xbff, SCRIPT_TAMIL },      { 0xe00, 0xe7f, SCRIPT_THAI },
    { 0xe80, 0xeff, SCRIPT_LAO },        { 0x1000, 0x109f, SCRIPT_BURMESE },
    { 0x10a0, 0x10ff, SCRIPT_GEORGIAN }, { 0x1100, 0x11ff, SCRIPT_HANGUL },
    { 0x1780, 0x17ff, SCRIPT_KHMER },    { 0x1c80, 0x1c8f, SCRIPT_CYRILLIC },
    { 0x1c90, 0x1cbf, SCRIPT_GEORGIAN }, { 0x1e00, 0x1eff, SCRIPT_LATIN },
    { 0x1f00, 0x1fff, SCRIPT_GREEK },    { 0x2c60, 0x2c7f, SCRIPT_LATIN },
    { 0x2e80, 0x2fdf, SCRIPT_HAN },      { 0x3005, 0x3007, SCRIPT_HAN },
    { 0x3041, 0x30ff, SCRIPT_KANA },     { 0x3131, 0x318e, SCRIPT_HANGUL },
    { 0x31f0, 0x31ff, SCRIPT_KANA },     { 0x3400, 0x4dbf, SCRIPT_HAN },
    { 0x4e00, 0x9fff, SCRIPT_HAN },      { 0xa640, 0xa69f, SCRIPT_CYRILLIC },
    { 0xa720, 0xa7ff, SCRIPT_LATIN },    { 0xa960, 0xa97f, SCRIPT_HANGUL },
    { 0xa9e0, 0xa9ff, SCRIPT_BURMESE },  { 0xaa60, 0xaa7f, SCRIPT_BURMESE },
    { 0xac00, 0xd7ff, SCRIPT_HANGUL },   { 0xf900, 0xfaff, SCRIPT_HAN },
    { 0xfb00, 0xfb06, SCRIPT_LATIN },    { 0xfb1d, 0xfb4f, SCRIPT_HEBREW },
    { 0xfb50, 0xfdff, SCRIPT_ARABIC },   { 0xfe70, 0xfefc, SCRIPT_ARABIC },
    { 0xff21, 0xff3a, SCRIPT_LATIN },    { 0xff41, 0xff5a, SCRIPT_LATIN },
    { 0xff66, 0xff9f, SCRIPT_KANA },     { 0x20000, 0x3ffff, SCRIPT_HAN },
};

enum script
script_of(int32_t cp)
{
    size_t lo = 0, hi = sizeof blocks / sizeof *blocks;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (cp > blocks[mid].to)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == sizeof blocks / sizeof *blocks || cp < blocks[lo].from || cp == 0xd7 || cp == 0xf7)
        return SCRIPT_NONE;
    return blocks[lo].script;
}

bool
script_is_dense(enum script s)
{
    return s >= SCRIPT_THAI;
}
