/* Headings, and what stands for one. See section.h. */
#include "text/section.h"

#include <ctype.h>
#include <strings.h>

#include "text/sentence.h"
#include "common/text/text.h"

enum {
    LEAST_BYTES = 12, /* "Why?" belongs to what stands before it */
    MOST_BYTES = 300,
    SENTENCES = 4,
    LINES = 3 /* that it is wrapped into */
};

struct str
section_last(struct str path)
{
    for (size_t i = path.n; i > 2; i--)
        if (memcmp(path.p + i - 3, " > ", 3) == 0)
            return (struct str){ path.p + i, path.n - i };
    return path;
}

/* ---- questions */
static struct str
behind(struct str s, size_t at)
{
    return text_trim((struct str){ s.p + at, s.n - at });
}

static size_t
digits_at(struct str s, size_t at)
{
    size_t i = at;

    while (i < s.n && isdigit((unsigned char)s.p[i]))
        i++;
    return i - at;
}

static bool
blank_at(struct str s, size_t at)
{
    return at < s.n && (s.p[at] == ' ' || s.p[at] == '\t' || s.p[at] == '*');
}

/* "11. ", "11) ", "(11) ", "1.2. ", "1.2 "; 0: there is none. */
static size_t
number_before(struct str s)
{
    size_t open = s.n > 0 && s.p[0] == '(', i = open, parts = 0, n;

    while ((n = digits_at(s, i)) > 0 && n < 4) {
        i += n;
        parts++;
        if (i >= s.n || s.p[i] != '.')
            break;
        i++;
    }
    if (parts == 0)
        return 0;
    if (i < s.n && s.p[i] == ')')
        i++;
    else if (open || (parts == 1 && s.p[i - 1] != '.'))
        return 0;
    return blank_at(s, i) || (i + 1 < s.n && memcmp(s.p + i, "\xc2\xa0", 2) == 0) ? i : 0;
}

static const char *const asking_labels[] = {
    "question", "frage", "pregunta", "pergunta", "domanda", "vraag"
};
static const char *const answer_labels[] = { "answer",   "antwort",  "r\xc3\xa9ponse", "respuesta",
                                             "resposta", "risposta", "antwoord" };

/* Bytes of a word of the list, or of one of the letters, at the beginning. */
static size_t
label_word(struct str s, const char *const *words, size_t n, const char *letters)
{
    for (size_t i = 0; i < n; i++)
        if (s.n > strlen(words[i]) && strncasecmp(s.p, words[i], strlen(words[i])) == 0)
            return strlen(words[i]);
    return s.n > 0 && strchr(letters, s.p[0]) ? 1 : 0;
}

/* "Q: ", "Q3. ", "Question 3: "; 0: no label stands there. */
static size_t
label_before(struct str s, bool answer)
{
    size_t n = answer ? sizeof answer_labels / sizeof *answer_labels
                      : sizeof asking_labels / sizeof *asking_labels;
    size_t i = label_word(s, answer ? answer_labels : asking_labels, n, answer ? "AR" : "QFPDV");

    if (i > 1 && i < s.n && s.p[i] == ' ')
        i++;
    if (i == 0)
        return 0;
    i += digits_at(s, i);
    return i + 1 < s.n && strchr(":.)", s.p[i]) && blank_at(s, i + 1) ? i + 1 : 0;
}

/* Without the marks before it; *marked: one of them says more than that it is an item of a list. */
static struct str
skip_marks(struct str s, bool *marked)
{
    for (size_t n;;) {
        if (s.n > 2 && strchr("-*+", s.p[0]) && s.p[1] == ' ') {
            s = behind(s, 2);
            continue;
        }
        n = s.n > 4 && (memcmp(s.p, "**", 2) == 0 || memcmp(s.p, "__", 2) == 0) ? 2 : number_before(s);
        n = n > 0 ? n : label_before(s, false);
        if (n == 0)
            return s;
        *marked = true;
        s = behind(s, n);
    }
}

static bool
begins_item(struct str s)
{
    return (s.n > 1 && strchr("-*+", s.p[0]) && s.p[1] == ' ') || number_before(s) > 0;
}

/* Behind the line that ends with a question; 0: none of the first ones does, or an item begins before. */
static size_t
asks_until(struct str s)
{
    for (size_t at = 0, lines = 0; at < s.n && lines < LINES; lines++) {
        const char *nl = memchr(s.p + at, '\n', s.n - at);
        size_t end = nl ? (size_t)(nl - s.p) : s.n;

        if (lines > 0 && begins_item(behind((struct str){ s.p, end }, at)))
            return 0;
        if (sentence_asks((struct str){ s.p, end }))
            return end;
        at = end + 1;
    }
    return 0;
}

static size_t
count_sentences(struct str s)
{
    struct span x;
    size_t at = 0, n = 0;

    while (n <= SENTENCES && sentence_next(s, &at, &x))
        n++;
    return n;
}

/* Without a mark it may be prose that ends with a question, unless it is a term of Markdown, with ": " before its explanation. */
struct str
section_question(struct str paragraph, size_t *end)
{
    bool marked = false;
    struct str s;

    *end = asks_until(paragraph);
    if (*end == 0)
        return STR_NONE;
    s = sentence_bare(skip_marks(text_trim((struct str){ paragraph.p, *end }), &marked));
    if (s.n < LEAST_BYTES || s.n > MOST_BYTES || count_sentences(s) > SENTENCES ||
        (!marked && !str_starts(behind(paragraph, *end), ": ")))
        return STR_NONE;
    return s;
}

struct str
section_over_answer(struct str paragraph, struct str below, size_t *end)
{
    struct str s = section_question(paragraph, end);
    size_t unused;

    return *end == paragraph.n && (!below.p || section_question(below, &unused).n > 0) ? STR_NONE : s;
}

struct str
section_answer(struct str s)
{
    size_t n = s.n > 2 && s.p[0] == ':' && s.p[1] == ' ' ? 1 : label_before(s, true);

    return n > 0 ? behind(s, n) : s;
}
