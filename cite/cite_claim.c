/* The words that a mark stands for. Most stand behind them; some in front, and some amid them:
 *
 *   The tower is high [1].                     behind: back to the mark before it, or to an empty line
 *   - [1] The tower is high. [2] So is …       in front: it begins the line, or follows a sentence in such a line
 *   According to [1], the tower is high.       amid: the sentence goes on behind it */
#include "cite/cite_int.h"

#include <ctype.h>

enum { FEW_WORDS = 3, STATEMENT_BYTES = 1200 };

static struct str
until(struct str s, size_t end)
{
    return (struct str){ s.p, end };
}

size_t
cite_mark_end(struct str answer, size_t at)
{
    const char *close = memchr(answer.p + at, ']', answer.n - at);

    return close ? (size_t)(close - answer.p) + 1 : answer.n;
}

/* Behind marks, and what stands between them and the words: "[1][2]: ", "[1] | ". */
static size_t
behind_marks(struct citer *c, size_t i)
{
    struct mark_group g;
    size_t from = i;

    if (i >= c->row.start && i < c->row.end) /* of many marks in a row each asks */
        return c->row.end;
    for (;;) {
        while (i < c->answer.n && strchr(" \t,;:*_|)-", c->answer.p[i]))
            i++;
        if (i >= c->answer.n || !mark_group_at(c->answer, i, &g))
            break;
        i = g.end;
    }
    c->row = (struct span){ from, i };
    return i;
}

/* The line's beginning, when only marks and the signs of a list, a quote, a heading or a table stand before byte i. */
static bool
begins_line(struct str answer, size_t i)
{
    const char *line = memrchr(answer.p, '\n', i);
    size_t b = line ? (size_t)(line - answer.p) + 1 : 0;
    struct mark_group g;

    while (b < i) {
        if (strchr(" \t,;-*+>#|(_.", answer.p[b]) || isdigit((unsigned char)answer.p[b]))
            b++;
        else if (mark_group_at(answer, b, &g))
            b = g.end;
        else
            return false;
    }
    return true;
}

/* Do words follow on the line? */
static bool
words_follow(struct citer *c, size_t i)
{
    struct str answer = c->answer;

    i = behind_marks(c, i);
    return i < answer.n && (isalnum((unsigned char)answer.p[i]) || (unsigned char)answer.p[i] >= 0x80 ||
                            strchr("\"'(`[", answer.p[i]));
}

/* Does a sentence end before byte i, past spaces and closing signs? */
static bool
behind_stop(struct str answer, size_t i)
{
    while (i > 0 && strchr(" \t\"')*_", answer.p[i - 1]))
        i--;
    return i > 0 && strchr(".!?\n", answer.p[i - 1]);
}

static bool
same_line(struct str answer, size_t from, size_t to)
{
    return !memchr(answer.p + from, '\n', to - from);
}

void
cite_leads(struct citer *c, const struct marks *m)
{
    memset(c->leads, 0, sizeof c->leads);
    c->row = (struct span){ 0 }; /* the answer may be another one */
    for (size_t i = 0; i < m->n && i < LOOKED_MAX && !c->req->marked; i++) {
        size_t at = m->v[i].at;

        if (!words_follow(c, cite_mark_end(c->answer, m->v[i].at)))
            continue;
        c->leads[i] = begins_line(c->answer, at) || (i > 0 && c->leads[i - 1] && behind_stop(c->answer, at) &&
                                                     same_line(c->answer, m->v[i - 1].at, at));
    }
}

/* The end of what a mark in front stands for: its line, or the next such mark behind words. */
static size_t
led_end(const struct citer *c, const struct marks *m, size_t i, size_t from)
{
    const char *line = memchr(c->answer.p + from, '\n', c->answer.n - from);
    size_t end = line ? (size_t)(line - c->answer.p) : c->answer.n;

    for (size_t j = i + 1; j < m->n && j < LOOKED_MAX && m->v[j].at < end; j++)
        if (c->leads[j] && m->v[j].at > from)
            return m->v[j].at;
    return end;
}

/* The rest of the sentence that a mark stands amid; empty: it ends there, or another mark does it for that part. */
static struct str
rest_of(struct citer *c, const struct marks *m, size_t i)
{
    size_t from = cite_mark_end(c->answer, m->v[i].at), at, end, limit = c->answer.n;
    struct span x;

    if (behind_stop(c->answer, m->v[i].at) || !words_follow(c, from))
        return STR("");
    at = from = behind_marks(c, from);
    for (size_t j = i + 1; j < m->n && limit == c->answer.n; j++)
        limit = m->v[j].at > from ? m->v[j].at : limit;
    end = sentence_next(until(c->answer, limit), &at, &x) ? x.end : from;
    return cite_slice(c->answer, (struct span){ from, end });
}

/* Back to the mark before it, or to an empty line; of marks in a row all have the same. */
static struct str
words_before(const struct citer *c, const struct marks *m, size_t i)
{
    size_t end = m->v[i].at, from = 0;

    for (size_t j = i + 1; j-- > 0;) {
        from = j > 0 ? cite_mark_end(until(c->answer, end), m->v[j - 1].at) : 0;
        for (size_t b = from; b + 1 < end; b++)
            if (c->answer.p[b] == '\n' && c->answer.p[b + 1] == '\n')
                from = b;
        if (span_trim(c->answer, (struct span){ from, end }).start < end)
            break;
    }
    return (struct str){ c->answer.p + from, end - from };
}

size_t
cite_claim(struct citer *c, const struct marks *m, size_t i)
{
    size_t from = behind_marks(c, cite_mark_end(c->answer, m->v[i].at)), sure;

    if (c->leads[i]) {
        cite_bag(c, cite_slice(c->answer, (struct span){ from, led_end(c, m, i, from) }));
        return c->bag.n;
    }
    cite_bag(c, words_before(c, m, i));
    sure = c->bag.n;
    cite_bag_more(c, rest_of(c, m, i));
    return sure;
}

/* The statement a mark belongs to: the sentence of the cleaned answer that ends at, or runs over, the mark; marks cut. */
static struct span
statement_of(struct str answer, size_t mark)
{
    size_t from = mark > STATEMENT_BYTES ? mark - STATEMENT_BYTES : 0, at, e = mark;
    struct span x, last = { 0 };

    while (from && from < mark && ((unsigned char)answer.p[from] & 0xc0) == 0x80)
        from++;
    for (;;) { /* back over marks and spaces before this one */
        while (e > from && (space_byte(answer.p[e - 1]) || answer.p[e - 1] == ']'))
            e--;
        size_t b = e;

        while (b > from && ((answer.p[b - 1] >= '0' && answer.p[b - 1] <= '9') || answer.p[b - 1] == ',' ||
                            answer.p[b - 1] == ' '))
            b--;
        if (b == e || b == from || answer.p[b - 1] != '[')
            break;
        e = b - 1;
    }
    struct str before = { answer.p, e };

    at = from;
    while (sentence_next(before, &at, &x))
        last = x;
    return last;
}

struct str
cite_statement(struct citer *c, const struct marks *m, size_t i)
{
    size_t from = behind_marks(c, cite_mark_end(c->answer, m->v[i].at)), end, at = from;
    struct str before, rest;
    struct span x;

    if (c->leads[i]) {
        end = led_end(c, m, i, from);
        if (sentence_next(until(c->answer, end), &at, &x))
            return cite_slice(c->answer, x);
    }
    before = cite_slice(c->answer, statement_of(c->answer, m->v[i].at));
    rest = rest_of(c, m, i);
    cite_bag(c, before);
    return c->bag.n < FEW_WORDS && rest.n > before.n ? rest : before;
}
