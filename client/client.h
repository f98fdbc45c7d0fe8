/* The client's parts: options, calls to the gateway, printing. One process, one thread, no bus. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <signal.h>
#include <stdio.h>

#include "client/fetch.h"

enum cli_opt {
#define CLI_OPT(id, flag, env, arg, def, help) CLI_##id,
#include "client/opt.tbl"
#undef CLI_OPT
    CLI_OPTS
};

struct cli {
    const char *opt[CLI_OPTS]; /* NULL: not given and no default; switches: "on" */
    const char **args;         /* arguments that are no options */
    size_t n_args;
    int64_t top_k; /* --top-k, when it is given */
    char *url;     /* without slashes at its end */
    char *key;     /* NULL: none */
};

#define CLI_CMD(name, fn, args, least, most, opts, summary, manual) int fn(struct cli *c);
#include "client/cmd.tbl"
#undef CLI_CMD

/* ---- printing (print.c): what comes from the server never reaches the terminal as a control sequence */
void put_text(FILE *f, struct str s); /* keeps line ends */
/* The same of an answer, where a "<" of no tag came as an entity, which browsers want. */
void put_markdown(FILE *f, struct str s);
void put_line(FILE *f, struct str s); /* line ends and runs of blanks become one space */
/* "Sources" and one line each; nothing when there are none. */
void put_sources(const struct cli *c, const json_t *sources);
void put_health(const struct cli *c,
                const json_t *health); /* list.c: the line of the whole, without its services */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "footnote: …" on stderr */

/* ---- one question (ask.c) */
/* conversation: "" or NULL: none is named. stream: for ask_stream. */
void ask_body(const struct cli *c, struct str question, const char *session, const char *conversation,
              bool stream, struct buf *body);
struct asked {
    json_t *sources;       /* an array, which the caller owns, or NULL */
    char conversation[37]; /* that the answer is part of; "": none */
};
/* The answer as it is being written, and its sources; the exit code. asked, unless it is NULL, stays as it was when no
 * answer came; a conversation that is not there (any more) is gone from it, too. */
int ask_stream(struct cli *c, struct str body, const char *session, struct asked *asked);
extern volatile sig_atomic_t ask_stopped; /* set by a signal: the answer at hand is given up */

/* ---- a table for people (grid.c) */
enum { GRID_COLUMNS = 12 };
struct grid {
    size_t columns; /* at most GRID_COLUMNS */
    char **v;       /* cells, row by row */
    size_t n, cap;
    size_t width[GRID_COLUMNS]; /* in characters */
};
/* Empty, with its headings as the first row; with more than GRID_COLUMNS the program ends. */
void grid_init(struct grid *g, const char *const *heads, size_t columns);
void grid_cell(struct grid *g, struct str s); /* the next one */
void grid_number(struct grid *g, int64_t n);
void grid_print(struct grid *g); /* and it is empty */
void grid_free(struct grid *g);

/* The positional arguments, joined by spaces. */
void join_args(const struct cli *c, struct buf *out);
/* A member of the reply as an array: never NULL to iterate over (json_array_size(NULL) is 0). */
const json_t *json_items(const json_t *o, const char *key);

/* ---- lists (list.c) */
/* The same call of the program without --json: what is only looked up is not printed. */
struct cli cli_quiet(const struct cli *c);
/* Get all pages of a list; fn sees each item and returns false when it has seen enough.
 * False: a call failed (it was said). session may be NULL. */
bool each_item(struct cli *c, const char *path, const char *session,
               bool (*fn)(void *arg, const json_t *item), void *arg);
void documents_path(const struct cli *c, struct buf *out); /* of the collection that was named, or of all */

/* ---- the pages of a site (site.c) */
struct site_rule;
struct site {
    const struct site_rule *rule; /* of its generator */
    const char *ending;           /* of its addresses */
    const char *base;             /* --base-url; NULL: there is no site */
};
bool site_of(const struct cli *c,
             struct site *s); /* false after saying what is wrong with --base-url or --routes */
void site_names(struct buf *out, const char *between, const char *last); /* of all generators */
/* The address of the page that the site makes of a file: id is its path below the folder, text its
 * content, whose front matter may say otherwise. It ends in "#{generator}": the cited heading's anchor
 * gets there (text/anchor.h). */
void site_url(struct buf *out, const struct site *s, struct str id, struct str text);

/* ---- progress (progress.c): one line, redrawn on a terminal; elsewhere a line every 10 % */
struct progress {
    size_t files, done, failed; /* done includes failed */
    int64_t chunks, bytes;
    bool rated; /* bytes are counted */
    int64_t start_ms, shown_ms;
    size_t tenth;        /* last tenth that was shown */
    const char *waiting; /* why nothing is sent just now; NULL: nothing to say */
};
void progress_show(struct progress *p, bool last);

#endif
