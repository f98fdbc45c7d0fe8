/* The bytes of an answer, from left to right (sanitize.h). Each step looks at what begins at s->at and either lets bytes out, or
 * takes a construct apart and looks again at what is left of it, or waits for more. The decision of a step
 * depends on bytes in front of it and on a bounded number behind it, never on how they came in pieces.
 *
 * Taking something away joins what stood around it: "<" + "[script](…)", "[t]" + "[](…)" + "(javascript:…)".
 * The bytes behind are looked at again, since they are still in hold; a space keeps them apart from the bytes
 * that went out already, where the two could bind. */
#include "gateway/safe/sanitize_form.h"

#include <ctype.h>
#include <strings.h>

#define CHUNK 4096u /* taken in at once */

const char *const removed_labels[] = { "link", "image", "url", "tag", NULL };

enum { MORE, DONE }; /* of a step */

/* ---- what is in hand */

static const char *
here(const struct sanitizer *s)
{
    return s->hold.p + s->at;
}

static size_t
left(const struct sanitizer *s)
{
    return s->hold.n - s->at;
}

static void
put(struct sanitizer *s, struct buf *out, const char *p, size_t n)
{
    if (n == 0)
        return;
    buf_add(out, p, n);
    s->prev = (unsigned char)p[n - 1];
    for (size_t i = 0; i < n; i++) {
        s->blank = s->blank && (p[i] == ' ' || p[i] == '\t');
        s->in_url = s->in_url && (unsigned char)p[i] > ' ';
        s->lead = s->lead && strchr(" \t>*+-#0123456789.)", p[i]) != NULL;
    }
}

/* The next n bytes go out as they are; they hold no line feed unless they are a line. */
static int
pass(struct sanitizer *s, struct buf *out, size_t n)
{
    put(s, out, here(s), n);
    s->at += n;
    return DONE;
}

/* n bytes from i on are taken out of what is in hand. */
static void
cut(struct sanitizer *s, size_t i, size_t n)
{
    if (n == 0)
        return;
    memmove(s->hold.p + i, s->hold.p + i + n, s->hold.n - i - n);
    s->hold.n -= n;
}

/* Before something at s->at is taken away: could what follows bind to what went out? */
static void
part(struct sanitizer *s, struct buf *out)
{
    if (s->prev < 0x80 && (isalnum(s->prev) || (s->prev != 0 && strchr("<[]!\\`&:/.-_+~@;#=", s->prev))))
        put(s, out, " ", 1);
}

/* ---- code spans */

static int
at_ticks(struct sanitizer *s, struct buf *out, bool end)
{
    size_t run = form_ticks(here(s), left(s)), n;
    bool more;

    if (run == left(s) && !end && run < CHUNK)
        return MORE;
    if (!s->open_span && !s->unsure && !s->in_url && s->prev != '\\' && s->prev != '`') {
        n = form_span(here(s), left(s), end, &more);
        if (more)
            return MORE;
        if (n > 0)
            return pass(s, out, n);
    }
    s->open_span = true;
    s->unsure = s->unsure || run >= 3;
    return pass(s, out, run);
}

/* "(" right behind "]": whatever its brackets are, this must not make a link of them that is not allowed. */
static int
at_paren(struct sanitizer *s, struct buf *out, bool end)
{
    struct target t = { .n = 0 };
    enum form form;
    bool pointed;

    if (s->prev != ']')
        return pass(s, out, 1);
    form = form_target(here(s), left(s), end, &t);
    if (form == FORM_MORE)
        return MORE;
    pointed = t.address.p > here(s) && t.address.p[-1] == '<';
    if (link_allowed(s->rules, t.address, pointed ? USE_BARE : USE_LINK) &&
        (form == FORM_LINK ? form_clean(&t, here(s)) : !pointed))
        return pass(s, out, 1);
    put(s, out, " ", 1);
    s->n[REMOVED_LINK]++;
    if (form == FORM_ODD || !form_clean(&t, here(s)))
        return pass(s, out, 1);
    s->at += t.n;
    return DONE;
}

/* ---- brackets */

/* The brackets around p[open] … p[close] and what stands behind them to n go; the text stays and is looked at again. */
static int
strip(struct sanitizer *s, struct buf *out, size_t open, size_t close, size_t n, enum removed what)
{
    part(s, out);
    s->n[what]++;
    cut(s, s->at + close, n - close);
    cut(s, s->at, open + 1);
    return DONE;
}

/* "[label]:" in front of an address; MORE or DONE, *bad when it would define a link that is not allowed. */
static int
defines(struct sanitizer *s, size_t colon, bool end, bool *bad)
{
    const char *p = here(s) + colon + 1;
    size_t all = left(s) - colon - 1, n = all < ADDRESS_LOOK ? all : ADDRESS_LOOK, i = form_spaces(p, n),
           len = form_address_len(p + i, n - i);
    struct str a = { p + i, len };
    bool pointed = len > 1 && a.p[0] == '<' && a.p[len - 1] == '>';

    *bad = false;
    if (i + len == n && !end && all < ADDRESS_LOOK)
        return MORE;
    if (pointed)
        a = (struct str){ a.p + 1, len - 2 };
    *bad = len > 0 && !link_allowed(s->rules, a, pointed ? USE_BARE : USE_LINK);
    return DONE;
}

static int
at_bracket(struct sanitizer *s, struct buf *out, bool end)
{
    size_t open = here(s)[0] == '!', close;
    struct target t;
    enum form form;
    bool more, bad;

    close = form_bracket(here(s), left(s), open, end, &more);
    if (more || (close > 0 && close + 1 == left(s) && !end))
        return MORE;
    if (close > 0 && close + 1 < left(s) && here(s)[close + 1] == '(') {
        form = form_target(here(s) + close + 1, left(s) - close - 1, end, &t);
        if (form == FORM_MORE)
            return MORE;
        if (form == FORM_LINK &&
            (!form_clean(&t, here(s) + close + 1) ||
             !link_allowed(s->rules, t.address, open ? USE_IMAGE : USE_LINK)) &&
            !memchr(here(s) + close + 1, '`', t.n))
            return strip(s, out, open, close, close + 1 + t.n, open ? REMOVED_IMAGE : REMOVED_LINK);
    } else if (close > 0 && close + 1 < left(s) && here(s)[close + 1] == ':' && s->lead && !open) {
        if (defines(s, close + 1, end, &bad) == MORE)
            return MORE;
        if (bad)
            return strip(s, out, 0, close, close + 1, REMOVED_LINK);
    }
    s->bracket = s->bracket || s->lead;
    return pass(s, out, open + 1);
}

/* ":" behind "]": a definition that came about by what was taken away. */
static int
at_colon(struct sanitizer *s, struct buf *out, bool end)
{
    bool bad = false;

    if (s->prev == ']' && s->bracket && defines(s, 0, end, &bad) == MORE)
        return MORE;
    if (bad)
        put(s, out, " ", 1);
    return pass(s, out, 1);
}

/* ---- angle brackets */

static bool
starts_ci(struct str s, const char *z)
{
    return s.n >= strlen(z) && strncasecmp(s.p, z, strlen(z)) == 0;
}

static int
at_angle(struct sanitizer *s, struct buf *out, bool end)
{
    struct str inner;
    size_t n;
    bool more = false;

    if (left(s) == 1 && !end)
        return MORE;
    if (left(s) == 1 || (!isalpha((unsigned char)here(s)[1]) && !strchr("/!?", here(s)[1])))
        return pass(s, out, 1);
    n = isalpha((unsigned char)here(s)[1]) ? form_autolink(here(s), left(s), end, &more) : 0;
    if (more)
        return MORE;
    inner = (struct str){ here(s) + 1, n > 2 ? n - 2 : 0 };
    if (n > 2 && link_allowed(s->rules, inner, USE_BARE))
        return pass(s, out, n);
    if (n > 2 && (starts_ci(inner, "http:") || starts_ci(inner, "https:") || starts_ci(inner, "ftp:"))) {
        part(s, out);
        cut(s, s->at + n - 1, 1);
        cut(s, s->at, 1);
        return DONE;
    }
    put(s, out, "&lt;", 4);
    s->n[REMOVED_TAG]++;
    s->at++;
    return DONE;
}

/* ---- addresses in the text */

static int
at_letter(struct sanitizer *s, struct buf *out, bool end)
{
    bool more, www = (here(s)[0] | 0x20) == 'w';
    size_t scheme = form_scheme(here(s), left(s), end, &more), n;
    struct str url;

    if (more)
        return MORE;
    if (scheme == 0 || (www && (isalnum(s->prev) || s->prev == '/' || s->prev == '.' || s->prev == '-')))
        return pass(s, out, 1);
    n = form_url_len(here(s), left(s));
    if (n == left(s) && n < ADDRESS_LOOK && !end)
        return MORE;
    for (url = (struct str){ here(s), n }; url.n > 0 && strchr(".,;:!?)'*_", url.p[url.n - 1]) != NULL;)
        url.n--;
    if (!www && n < ADDRESS_LOOK && link_allowed(s->rules, url, USE_BARE)) {
        pass(s, out, scheme); /* the rest is looked at: another address may stand in it */
        s->in_url = true;
        return DONE;
    }
    if (www && n == scheme && (n == left(s) || (unsigned char)here(s)[n] <= ' ')) {
        pass(s, out, n - 1); /* "www." itself: cmark-gfm makes a link even of that */
        s->at++;
        return DONE;
    }
    part(s, out);
    s->n[REMOVED_URL] += www ? 0u : 1u;
    s->at += scheme;
    return DONE;
}

/* ---- from step to step */

static int
at_tildes(struct sanitizer *s, struct buf *out, bool end)
{
    size_t run = 0;

    while (run < left(s) && here(s)[run] == '~')
        run++;
    if (run == left(s) && !end && run < CHUNK)
        return MORE;
    s->unsure = s->unsure || (s->lead && run >= 3);
    return pass(s, out, run);
}

static int
at_feed(struct sanitizer *s, struct buf *out)
{
    bool blank = s->blank;

    pass(s, out, 1);
    s->was_blank = blank;
    s->line_start = true;
    return DONE;
}

/* Bytes that begin nothing. */
static int
at_rest(struct sanitizer *s, struct buf *out)
{
    size_t n = 1;

    while (n < left(s) && !strchr("\n`~<![(:hHfFwW", here(s)[n]))
        n++;
    return pass(s, out, n);
}

static int
in_line(struct sanitizer *s, struct buf *out, bool end)
{
    switch (here(s)[0]) {
    case '\n': return at_feed(s, out);
    case '`': return at_ticks(s, out, end);
    case '~': return at_tildes(s, out, end);
    case '<': return at_angle(s, out, end);
    case '!':
        if (left(s) == 1)
            return end ? pass(s, out, 1) : MORE;
        return here(s)[1] == '[' ? at_bracket(s, out, end) : pass(s, out, 1);
    case '[': return at_bracket(s, out, end);
    case '(': return at_paren(s, out, end);
    case ':': return at_colon(s, out, end);
    case 'h':
    case 'H':
    case 'f':
    case 'F':
    case 'w':
    case 'W': return at_letter(s, out, end);
    default: return at_rest(s, out);
    }
}

/* A line of a fenced block. */
static int
as_code(struct sanitizer *s, struct buf *out)
{
    const char *nl = memchr(here(s), '\n', left(s));

    pass(s, out, nl ? (size_t)(nl - here(s)) + 1 : left(s));
    if (nl) {
        s->verbatim = false;
        s->line_start = true;
    }
    return DONE;
}

static int
step(struct sanitizer *s, struct buf *out, bool end)
{
    size_t take;

    if (s->verbatim)
        return as_code(s, out);
    if (!s->line_start)
        return in_line(s, out, end);
    if (!sanitize_line(s, (struct str){ here(s), left(s) }, end, &take))
        return MORE;
    s->line_start = s->line_start && !s->verbatim;
    return pass(s, out, take);
}

static void
run(struct sanitizer *s, struct buf *out, bool end)
{
    while (left(s) > 0 && step(s, out, end) == DONE)
        ;
    cut(s, 0, s->at);
    s->at = 0;
}

void
sanitizer_init(struct sanitizer *s, const struct link_rules *rules)
{
    *s = (struct sanitizer){
        .rules = rules, .prev = '\n', .line_start = true, .lead = true, .was_blank = true, .blank = true
    };
}

/* Every line ends with a line feed, and there are no other control characters: renderers differ in what they make of them. */
static char
one(char c)
{
    return c == '\r' ? '\n' : ((unsigned char)c < ' ' && c != '\n' && c != '\t') || c == 127 ? ' ' : c;
}

static void
take_in(struct sanitizer *s, struct str piece)
{
    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];

        if (c == '\n' && s->after_return) {
            s->after_return = false;
            continue;
        }
        s->after_return = c == '\r';
        buf_c(&s->hold, one(c));
    }
}

void
sanitizer_feed(struct sanitizer *s, struct str piece, struct buf *out)
{
    for (size_t i = 0; i < piece.n; i += CHUNK) {
        take_in(s, (struct str){ piece.p + i, piece.n - i < CHUNK ? piece.n - i : CHUNK });
        run(s, out, false);
    }
}

void
sanitizer_end(struct sanitizer *s, struct buf *out)
{
    run(s, out, true);
    buf_free(&s->hold);
}

void
sanitize(const struct link_rules *rules, struct str text, struct buf *out, size_t n[REMOVED_KINDS])
{
    struct sanitizer s;

    sanitizer_init(&s, rules);
    sanitizer_feed(&s, text, out);
    sanitizer_end(&s, out);
    for (int i = 0; n != NULL && i < REMOVED_KINDS; i++)
        n[i] += s.n[i];
}
