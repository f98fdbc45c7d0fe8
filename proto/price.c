/* Prices of models (price.h): one line of text parsed once; looked up by whole name, the deployment's own figures first. */
#include "proto/price.h"

#include <stdlib.h>

#define OWN_MAX 64
#define NAME_MAX_BYTES 128
#define DOLLARS_MAX 1000000.0

struct row {
    const char *model;
    struct price price;
};

static const struct row table[] = {
#define PRICE(model, input, output) { model, { input, output } },
#include "proto/price.tbl"
#undef PRICE
};

static struct row own[OWN_MAX];
static size_t n_own;
static char *own_text; /* the text that the names of own point into */

/* The part before the last sep; *rest what follows it, absent without one. */
static struct str
split_last(struct str s, char sep, struct str *rest)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == sep) {
            *rest = str_unblank((struct str){ s.p + i, s.n - i });
            return str_unblank((struct str){ s.p, i - 1 });
        }
    *rest = STR_NONE;
    return s;
}

static bool
read_dollars(struct str s, double *out)
{
    char text[32], *end;

    if (s.n == 0 || s.n >= sizeof text || strspn(s.p, "0123456789.") < s.n)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *out = strtod(text, &end);
    return *end == 0 && *out <= DOLLARS_MAX;
}

/* "model=input/output" or "model=input". */
static bool
read_entry(struct str entry, struct str *model, struct price *p)
{
    struct str figures, input, output;

    *model = split_last(entry, '=', &figures);
    if (!figures.p || model->n == 0 || model->n > NAME_MAX_BYTES || str_has_byte(*model, ' '))
        return false;
    input = split_last(figures, '/', &output);
    p->output = 0;
    return read_dollars(input, &p->input) && (!output.p || read_dollars(output, &p->output));
}

/* The next entry of a comma separated list; empty ones are passed over. */
static bool
next_entry(const char **at, struct str *entry)
{
    while (**at) {
        size_t n = strcspn(*at, ",");

        *entry = str_unblank((struct str){ *at, n });
        *at += n + ((*at)[n] == ',');
        if (entry->n > 0)
            return true;
    }
    return false;
}

void
price_check(const char *spec, struct buf *err)
{
    struct str entry, model;
    struct price p;
    size_t n = 0;

    while (next_entry(&spec, &entry)) {
        if (!read_entry(entry, &model, &p))
            buf_printf(err,
                       "MODEL_PRICES: \"" STR_FMT
                       "\" is not model=input/output in dollars a million tokens\n",
                       STR_ARG(entry));
        n++;
    }
    if (n > OWN_MAX)
        buf_printf(err, "MODEL_PRICES: at most %d models\n", OWN_MAX);
}

void
price_init(const char *spec)
{
    const char *at = own_text = mem_dup(spec);
    struct str entry, model;
    struct price p;

    while (n_own < OWN_MAX && next_entry(&at, &entry)) {
        if (!read_entry(entry, &model, &p))
            continue;
        own_text[model.p + model.n - own_text] = 0;
        own[n_own++] = (struct row){ model.p, p };
    }
}

void
price_fini(void)
{
    n_own = 0;
    mem_free(&own_text);
}

static bool
find(const struct row *rows, size_t n, struct str model, struct price *out)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(model, rows[i].model)) {
            *out = rows[i].price;
            return true;
        }
    return false;
}

bool
price_find(struct str model, struct price *out)
{
    return find(own, n_own, model, out) || find(table, sizeof table / sizeof table[0], model, out);
}

uint64_t
price_cost(double per_million, int64_t tokens)
{
    return tokens > 0 ? (uint64_t)(per_million * 1000 * (double)tokens + 0.5) : 0;
}

void
price_count(const struct price_rows *r, size_t i, size_t j, struct str model, bool output, int64_t tokens)
{
    struct price p;

    if (tokens <= 0)
        return;
    stat_add_at(r->set, r->tokens, i, j, (uint64_t)tokens);
    if (price_find(model, &p))
        stat_add_at(r->set, r->dollars, i, j, price_cost(output ? p.output : p.input, tokens));
    else
        stat_add_at(r->set, r->unpriced, i, j, (uint64_t)tokens);
}
