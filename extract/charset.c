/* Charsets (charset.h). A byte order mark counts most, then UTF-8 that is valid, then what the text says,
 * then how its bytes are distributed. */
#include "extract/charset.h"

#include <iconv.h>
#include <stdio.h>
#include <strings.h>
#include <uchardet/uchardet.h>

#include "common/text/text.h"
#include "extract/extract.h"

enum { SAID_WITHIN = 4096, GUESS_BYTES = 1 << 20, NAME = 32 };

/* Those that people's files have (WHATWG Encoding, and uchardet's); the first of each line is iconv's name. */
static const char *const charsets[][4] = {
    { "UTF-16LE", "utf-16" },
    { "UTF-16BE" },
    { "WINDOWS-1252", "iso-8859-1", "latin1", "us-ascii" },
    { "WINDOWS-1250" },
    { "WINDOWS-1251" },
    { "WINDOWS-1253" },
    { "WINDOWS-1254", "iso-8859-9" },
    { "WINDOWS-1255" },
    { "WINDOWS-1256" },
    { "WINDOWS-1257" },
    { "WINDOWS-1258" },
    { "ISO-8859-2" },
    { "ISO-8859-3" },
    { "ISO-8859-4" },
    { "ISO-8859-5" },
    { "ISO-8859-6" },
    { "ISO-8859-7" },
    { "ISO-8859-8" },
    { "ISO-8859-10" },
    { "ISO-8859-13" },
    { "ISO-8859-15" },
    { "ISO-8859-16" },
    { "KOI8-R" },
    { "KOI8-U" },
    { "IBM866" },
    { "IBM852" },
    { "MACINTOSH", "x-mac-roman", "mac" },
    { "MAC-CYRILLIC", "x-mac-cyrillic" },
    { "TIS-620", "windows-874" },
    { "CP932", "shift_jis", "sjis", "shift-jis" },
    { "EUC-JP" },
    { "ISO-2022-JP" },
    { "UHC", "euc-kr", "ks_c_5601-1987", "cp949" },
    { "GB18030", "gbk", "gb2312", "euc-cn" },
    { "BIG5-HKSCS", "big5" },
    { "VISCII" },
};
enum { CHARSETS = sizeof charsets / sizeof *charsets };
static iconv_t opened[CHARSETS];

static bool
is_utf8(struct str s)
{
    return utf8_valid(s);
}

void
charset_prepare(struct str body)
{
    static char in[4] = "ab", out[16];

    if (is_utf8(body))
        return;
    for (size_t i = 0; i < CHARSETS; i++) {
        char *from = in, *to = out;
        size_t n = 2, room = sizeof out;

        opened[i] = iconv_open("UTF-8", charsets[i][0]);
        if (opened[i] != (iconv_t)-1)
            (void)iconv(opened[i], &from, &n, &to, &room); /* tables are loaded by the first use */
    }
}

static int
find_charset(struct str name)
{
    for (int i = 0; i < CHARSETS; i++)
        for (size_t k = 0; k < 4 && charsets[i][k]; k++)
            if (strlen(charsets[i][k]) == name.n && strncasecmp(charsets[i][k], name.p, name.n) == 0)
                return i;
    return -1;
}

/* The word behind charset=, encoding= or coding: near the beginning. */
static int
said(struct str body)
{
    static const char *const keys[] = { "charset", "encoding", "coding" };
    size_t most = body.n < SAID_WITHIN ? body.n : SAID_WITHIN;

    for (size_t i = 0; i < most; i++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            size_t n = strlen(keys[k]), at = i + n, from;
            int found;

            if (most - i <= n || strncasecmp(body.p + i, keys[k], n) != 0)
                continue;
            while (at < most && strchr(" \t=:\"'", body.p[at]) && body.p[at])
                at++;
            for (from = at;
                 at < most && at - from < NAME && body.p[at] > ' ' && !strchr("\"'>;,/?", body.p[at]);)
                at++;
            found = find_charset((struct str){ body.p + from, at - from });
            if (found > 1) /* a text that can be read so far is not UTF-16 */
                return found;
        }
    return -1;
}

static int
guessed(struct str body)
{
    uchardet_t d = uchardet_new();
    const char *name;
    int found;

    if (uchardet_handle_data(d, body.p, body.n < GUESS_BYTES ? body.n : GUESS_BYTES) != 0)
        return -1;
    uchardet_data_end(d);
    name = uchardet_get_charset(d);
    found = find_charset(str_of(name));
    uchardet_delete(d);
    return found >= 0 ? found : find_charset(STR("WINDOWS-1252"));
}

static struct str
convert(struct str body, int charset)
{
    struct buf out = BUF_MAX(EXTRACTED_TEXT);
    static char block[65536];
    char *from = (char *)(uintptr_t)body.p;
    size_t left = body.n, wrong = 0;

    if (!opened[charset] || opened[charset] == (iconv_t)-1)
        out_refuse("the text is in a charset (%s) that cannot be read here: save it as UTF-8",
                   charsets[charset][0]);
    (void)iconv(opened[charset], NULL, NULL, NULL, NULL);
    while (left > 0) {
        char *to = block;
        size_t room = sizeof block, before = left;
        size_t rc = iconv(opened[charset], &from, &left, &to, &room);

        buf_add(&out, block, sizeof block - room);
        if (rc == (size_t)-1 && room > 16 && left > 0) { /* no character: U+FFFD stands for it */
            buf_z(&out, "\xef\xbf\xbd");
            from++;
            left--;
            wrong++;
        } else if (left == before) {
            break;
        }
    }
    if (out.failed)
        out_refuse("the document's text is larger than 64 MB");
    if (wrong > 100 + body.n / 100)
        out_refuse("the file is no text: its bytes fit no charset");
    return buf_slice(&out);
}

struct str
charset_utf8(struct str body)
{
    const unsigned char *b = (const unsigned char *)body.p;
    int charset;

    if (body.n >= 3 && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf)
        body = (struct str){ body.p + 3, body.n - 3 };
    if (is_utf8(body)) {
        if (str_has_byte(body, 0))
            out_refuse("the file is no text: it holds NUL bytes");
        return body;
    }
    if (body.n >= 2 && b[0] == 0xff && b[1] == 0xfe)
        return convert((struct str){ body.p + 2, body.n - 2 }, 0);
    if (body.n >= 2 && b[0] == 0xfe && b[1] == 0xff)
        return convert((struct str){ body.p + 2, body.n - 2 }, 1);
    charset = said(body);
    if (charset < 0)
        charset = guessed(body);
    if (charset > 1 && str_has_byte(body, 0))
        out_refuse("the file is no text: it holds NUL bytes");
    if (charset < 0)
        out_refuse("the text's charset could not be found out: save it as UTF-8");
    return convert(body, charset);
}

/* ---- code pages, by their numbers */
enum { PAGES = 24, WINDOWS = 1252, MACINTOSH = 10000 };
static struct {
    int page;
    iconv_t from;
} pages[PAGES];

void
codepage_prepare(int page)
{
    char name[16], in[2] = "a", out[8];
    char *from = in, *to = out;
    size_t n = 1, room = sizeof out, i = 0;

    while (i < PAGES && pages[i].page && pages[i].page != page)
        i++;
    if (i == PAGES || pages[i].page)
        return;
    (void)snprintf(name, sizeof name, page == MACINTOSH ? "MACINTOSH" : "CP%d", page);
    pages[i].page = page;
    pages[i].from = iconv_open("UTF-8", name);
    if (pages[i].from != (iconv_t)-1)
        (void)iconv(pages[i].from, &from, &n, &to, &room); /* tables are loaded by the first use */
}

static iconv_t
codepage_of(int page)
{
    for (size_t i = 0; i < PAGES && pages[i].page; i++)
        if (pages[i].page == page && pages[i].from != (iconv_t)-1)
            return pages[i].from;
    return page == WINDOWS ? (iconv_t)-1 : codepage_of(WINDOWS);
}

void
codepage_utf8(int page, struct str s, struct buf *out)
{
    iconv_t by = codepage_of(page);
    char block[256], *from = (char *)(uintptr_t)s.p;
    size_t left = s.n;

    while (left > 0 && by != (iconv_t)-1) {
        char *to = block;
        size_t room = sizeof block, before = left;

        if (iconv(by, &from, &left, &to, &room) == (size_t)-1 && room > 8 && left > 0) {
            from++;
            left--;
        }
        buf_add(out, block, sizeof block - room);
        if (left == before)
            break;
    }
}
