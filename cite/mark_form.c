/* The ways in which models write marks. A group is an opening, perhaps a label ("Source"), numbers with separators or ranges, a
 * note of the model behind a dagger, and the closing that fits:
 *
 *   [1]  [1, 2]  [1-3]  [1 and 2]  [Source 1]  [^1]  [[1]]  \[1\]  ［1］  【1†source】  【1:0†source】  (Source 1)  [١]
 *
 * "(1)" and superscripts are none: list items and units are written so. */
#include "cite/marks.h"
#include "common/utf8.h"

#include <strings.h>
#include <utf8proc.h>

static const struct {
    const char *open, *close;
    bool label;
} pairs[] = {
    { "\\[", "\\]", false },
    { "[[", "]]", false },
    { "[", "]", false },
    { "\xef\xbc\xbb", "\xef\xbc\xbd", false }, /* ［］ */
    { "\xe3\x80\x90", "\xe3\x80\x91", false }, /* 【】 */
    { "\xe3\x80\x94", "\xe3\x80\x95", false }, /* 〔〕 */
    { "\xe2\x9f\xa6", "\xe2\x9f\xa7", false }, /* ⟦⟧ */
    { "(", ")", true },
    { "\xef\xbc\x88", "\xef\xbc\x89", true },
};

static const char *const labels[] = {
    "source",     "sources",    "passage",    "passages", "document",  "documents", "doc",       "docs",
    "reference",  "references", "ref",        "refs",     "citation",  "citations", "cite",      "excerpt",
    "excerpts",   "context",    "chunk",      "id",       "source id", "source_id", "quelle",    "quellen",
    "dokument",   "dokumente",  "textstelle", "auszug",   "fuente",    "fuentes",   "documento", "documentos",
    "referencia", "fonte",      "fonti",      "fontes",   "bron",      "bronnen",   "passagem",  "pasaje",
    "extrait",    "zdroj",      "źródło",     "kaynak",   "kilde",     "kilder",    "källa",     "lähde",
    "nguồn",      "sumber",     "πηγή",       "источник", "Источник",  "документ",  "Документ",  "джерело",
    "المصدر",     "مصدر",       "المرجع",     "منبع",     "स्रोत",      "แหล่งที่มา",   "来源",      "來源",
    "引用",       "文献",       "文獻",       "参考",     "參考",      "文档",      "出典",      "資料",
    "출처",       "문서",
};

static const char *const separators[] = { ",",   ";",  "/",    "|",     "&",   "+",    "，",  "、",  "；",
                                          "،",   "؛",  "and ", "und ",  "et ", "y ",   "e ",  "o ",  "or ",
                                          "en ", "i ", "и ",   "oder ", "ou ", "och ", "og ", "ve ", "和",
                                          "与",  "與", "及",   "と",    "و",   "और " };

static const char *const dashes[] = { "-", "–", "—", "‑", "−", "~", "～", "to ", "bis ", "至" };

/* Characters that show nothing, or a blank: no-break and narrow spaces, zero-width ones, marks of direction, a space of Han. */
static const char *const blanks[] = {
    " ",
    "\t",
    "\xc2\xa0",
    "\xe2\x80\x89",
    "\xe2\x80\x8b",
    "\xe2\x80\x8c",
    "\xe2\x80\x8d",
    "\xe2\x80\x8e",
    "\xe2\x80\x8f",
    "\xe2\x80\xaf",
    "\xe2\x81\xa0",
    "\xe2\x81\xa6",
    "\xe2\x81\xa7",
    "\xe2\x81\xa8",
    "\xe2\x81\xa9",
    "\xd8\x9c",
    "\xef\xbb\xbf",
    "\xe3\x80\x80",
};

/* The zero of each script whose digits a model may count in. */
static const int32_t zeros[] = { '0',    0x0660, 0x06f0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6,
                                 0x0c66, 0x0ce6, 0x0d66, 0x0e50, 0x0ed0, 0x1040, 0x17e0, 0xff10 };

static struct str
rest(struct str s, size_t i)
{
    return i < s.n ? (struct str){ s.p + i, s.n - i } : (struct str){ s.p, 0 };
}

/* The length of the first of the list's words that s begins with; 0: none. */
static size_t
one_of(struct str s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_starts(s, list[i]))
            return strlen(list[i]);
    return 0;
}

static size_t
blank_at(struct str s, size_t i)
{
    return one_of(rest(s, i), blanks, sizeof blanks / sizeof *blanks);
}

static size_t
behind_blanks(struct str s, size_t i)
{
    for (size_t n; (n = blank_at(s, i)) > 0;)
        i += n;
    return i;
}

static size_t
spaces(struct str s, size_t i)
{
    for (size_t n = 1; n > 0; i += n)
        n = i < s.n && (s.p[i] == '^' || s.p[i] == '#') ? 1 : blank_at(s, i);
    return i;
}

/* One digit of any script: its bytes; 0: none. */
static size_t
digit_at(struct str s, size_t i, long *v)
{
    struct str here = rest(s, i);
    size_t n = utf8_first(here);
    utf8proc_int32_t c = 0;

    if (n == 0 || utf8proc_iterate((const utf8proc_uint8_t *)here.p, (utf8proc_ssize_t)n, &c) <= 0)
        return 0;
    for (size_t k = 0; k < sizeof zeros / sizeof *zeros; k++)
        if (c >= zeros[k] && c <= zeros[k] + 9) {
            *v = c - zeros[k];
            return n;
        }
    return 0;
}

/* Behind a number; i: there is none. */
static size_t
number_at(struct str s, size_t i, long *out)
{
    long v = 0, d;

    for (size_t k; (k = digit_at(s, i, &d)) != 0; i += k)
        v = v < 1000000 ? 10 * v + d : v;
    *out = v;
    return i;
}

/* Behind "Source 1"'s label, with its colon or number sign; i: none. */
static size_t
label_at(struct str s, size_t i)
{
    size_t from = i, n = 0;

    for (size_t k = 0; k < sizeof labels / sizeof *labels; k++) {
        size_t len = strlen(labels[k]);

        if (len > n && i + len <= s.n && strncasecmp(s.p + i, labels[k], len) == 0)
            n = len;
    }
    if (n == 0)
        return from;
    static const char *const joins[] = { ":", ".", "#", "_", "-", "=", "@", "：" };

    for (i += n; (n = blank_at(s, i) + one_of(rest(s, i), joins, sizeof joins / sizeof *joins)) > 0; i += n)
        ;
    long v;
    return digit_at(s, spaces(s, i), &v) ? i : from;
}

/* Behind ":0" in front of a dagger: "【1:0†source】" names a passage and what was found in it. */
static size_t
skip_part(struct str s, size_t i)
{
    size_t k = i + 1;

    if (i >= s.n || s.p[i] != ':')
        return i;
    while (k < s.n && s.p[k] >= '0' && s.p[k] <= '9')
        k++;
    return k > i + 1 && str_starts(rest(s, k), "†") ? k : i;
}

/* 【1†source】, [1, p. 3]: what follows the dagger is the model's own note, and a page is no passage. Behind a label the title of the
 * passage may follow: [Source 1: Handbook]. */
static size_t
skip_note(struct str s, size_t i, bool labelled, const char *close)
{
    static const char *const notes[] = { "†",          ", p. ",      ", pp. ",     " p. ",         ", page ",
                                         ", S. ",      ", Seite ",   ", section ", ", line ",      ", lines ",
                                         ", chapter ", ", Kapitel ", ", §",        ", Abschnitt ", " §" };
    static const char *const titles[] = { ": ", " - ", " – ", " — ", "：" };
    size_t from = i;

    /* in round brackets people write names of things: "(ID 471: paid)" */
    if (!one_of(rest(s, i), notes, sizeof notes / sizeof *notes) &&
        !(labelled && strcmp(close, ")") != 0 && strcmp(close, "\xef\xbc\x89") != 0 &&
          one_of(rest(s, i), titles, sizeof titles / sizeof *titles)))
        return i;
    for (size_t end = i + 80; i < s.n && i < end && !strchr("\n[", s.p[i]); i++)
        if (str_starts(rest(s, i), close))
            return i;
    return from;
}

static bool
add_numbers(struct mark_group *g, long from, long to)
{
    if (to < from || to - from > MARK_NUMBER_MAX)
        return false;
    for (long v = from; v <= to; v++)
        if (g->count < MARK_GROUP_MAX)
            g->n[g->count++] = v;
    return true;
}

/* A number, or a range of them, perhaps behind a label; behind it, or 0. */
static size_t
item_at(struct str s, size_t i, const char *close, bool *labelled, struct mark_group *g)
{
    size_t k = spaces(s, i), label = label_at(s, k), to;
    long v, last, to_v;

    *labelled |= label != k;
    i = spaces(s, label);
    k = number_at(s, i, &v);
    if (k == i)
        return 0;
    last = v;
    i = spaces(s, k);
    to = one_of(rest(s, i), dashes, sizeof dashes / sizeof *dashes);
    if (to) {
        size_t second = spaces(s, i + to), behind = number_at(s, second, &to_v);

        if (behind == second && !*labelled)
            return 0; /* "[1-a]" */
        k = behind > second ? behind : k;
        last = behind > second ? to_v : last;
    }
    if (!add_numbers(g, v, last))
        return 0;
    return behind_blanks(s, skip_note(s, skip_part(s, k), *labelled, close));
}

/* Numbers up to the closing: where the closing begins, or 0. */
static size_t
numbers_at(struct str s, size_t i, const char *close, bool need_label, struct mark_group *g)
{
    bool labelled = false;

    for (;;) {
        size_t to;

        i = item_at(s, i, close, &labelled, g);
        if (i == 0)
            return 0;
        if (str_starts(rest(s, i), close))
            return labelled || !need_label ? i : 0;
        to = one_of(rest(s, i), separators, sizeof separators / sizeof *separators);
        if (!to)
            return 0;
        i = spaces(s, i + to);
        i += str_starts(rest(s, i), "and ") ? 4 : 0; /* "1, 2, and 3" */
    }
}

/* Is it written as marks are, "[1]"? Clients look for that. */
static bool
plain(struct str s)
{
    for (size_t i = 1; i + 1 < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.p[0] == '[' && s.p[s.n - 1] == ']';
}

static bool
line_start(struct str s, size_t i)
{
    while (i > 0 && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
        i--;
    return i == 0 || s.p[i - 1] == '\n';
}

bool
mark_group_at(struct str s, size_t i, struct mark_group *g)
{
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
        size_t n = strlen(pairs[k].open), end;

        if (!str_starts(rest(s, i), pairs[k].open))
            continue;
        g->start = i;
        g->count = 0;
        end = numbers_at(s, i + n, pairs[k].close, pairs[k].label, g);
        if (end == 0)
            continue;
        g->end = end + strlen(pairs[k].close);
        g->plain = plain((struct str){ s.p + i, g->end - i });
        if (g->end < s.n && s.p[g->end] == '(' && pairs[k].open[0] == '[')
            return false; /* a link */
        return !(g->end < s.n && s.p[g->end] == ':' && line_start(s, i) &&
                 pairs[k].open[0] == '['); /* "[1]: address" defines one */
    }
    return false;
}

size_t
mark_label(struct str s)
{
    size_t i = label_at(s, 0), end;
    long v;

    end = i > 0 ? number_at(s, i, &v) : 0;
    return end > i ? end : 0;
}
