/* The tables of INDEX_ENGINE=pgvector (make.sql, tables.sql). They are no migration: an installation with another engine
 * has none of them, and needs no extension.
 *
 *   look: are they there? ─▶ the extension, when it is installed and this role may ─▶ they are made ─▶ missing[0] = 0
 *
 * A look does all that this role may do, and says what is missing otherwise; retrievers ask, and each second it is looked again. */
#include "common/clock.h"
#include "common/log.h"
#include "store/pgvector/pgvector.h"

#define LOOK_MS 30000
#define LOOK_EVERY_MS 1000

static const char make[] =
#include "pgvector_make.inc"
    ;
static const char tables[] =
#include "pgvector_tables.inc"
    ;

/* Without vectors, which need the extension. */
static bool
only_words(const struct store *s)
{
    return strcmp(s->opt->index_engine, "pgvector") != 0;
}

bool
pgvector_wanted(const struct store *s)
{
    return !only_words(s) || strcmp(s->opt->index_fallback, "words") == 0;
}

/* The script's text, with names of ours put in. */
void
pgvector_script(const struct store *s, struct buf *b)
{
    const struct {
        struct str name;
        const char *text;
    } names[] = { { STR("@schema@"), s->opt->schema /* checked at start: [a-z_][a-z0-9_]* */ },
                  { STR("@words@"), only_words(s) ? "true" : "false" },
                  { STR("@tables@"), tables } };

    buf_reset(b);
    for (const char *at = make; *at;) {
        size_t i = 0, n = sizeof names / sizeof *names;

        while (i < n && strncmp(at, names[i].name.p, names[i].name.n) != 0)
            i++;
        if (i < n)
            buf_z(b, names[i].text);
        else
            buf_c(b, *at);
        at += i < n ? names[i].name.n : 1;
    }
}

void
pgvector_looked(struct store *s, const struct tx *t)
{
    struct str now = col_str(t, 0, 0, 0); /* a script's results are text */
    static struct log_gate gate;

    if (t->err != ERR_OK || now.n >= sizeof s->index_missing)
        return;
    memcpy(s->index_missing, now.p, now.n);
    s->index_missing[now.n] = '\0';
    if (now.n == 0)
        LOG(INFO, NULL,
            M(only_words(s) ? "the tables of INDEX_FALLBACK=words are there"
                            : "the tables of INDEX_ENGINE=pgvector are there"),
            KS("schema", s->opt->schema));
    else if (only_words(s) && log_gate(&gate))
        LOG(ERROR, NULL,
            M("INDEX_FALLBACK=words: this role may make no tables; run footnote-store --migrate with that option and DATABASE_OWNER_URL"));
    else if (log_gate(&gate))
        LOG(ERROR, NULL,
            M(str_is(now, "owner")
                  ? "INDEX_ENGINE=pgvector: this role may make no tables; run footnote-store --migrate with that option and"
                    " DATABASE_OWNER_URL"
              : str_is(now, "old")
                  ? "INDEX_ENGINE=pgvector needs pgvector 0.8: install it on the database server and say `alter extension vector update`"
                  : "INDEX_ENGINE=pgvector: the database has no pgvector: install it on its server (Debian:"
                    " postgresql-17-pgvector; compose: POSTGRES_IMAGE=pgvector/pgvector:pg17), say `create extension vector` as a superuser, or choose"
                    " another INDEX_ENGINE"));
}

static void
on_look(struct tx *t)
{
    struct store *s = t->arg;

    s->index_looking = false;
    pgvector_looked(s, t);
}

const char *
pgvector_missing(struct store *s)
{
    struct tx *t;

    if (!pgvector_wanted(s))
        return "off";
    if (s->index_missing[0] && !s->index_looking && clock_ms() - s->index_looked_ms >= LOOK_EVERY_MS) {
        s->index_looking = true;
        s->index_looked_ms = clock_ms();
        pgvector_script(s, &s->index_script);
        t = tx_own(s->pool, LOOK_MS, on_look, s);
        t->script = s->index_script.p;
        tx_run(t);
    }
    return s->index_missing[0] ? s->index_missing : NULL;
}
