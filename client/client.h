/* The client's parts: options, calls to the gateway, printing. One process, one thread, no bus. */
#ifndef GATEWAY_CLI_CLI_H
#define GATEWAY_CLI_CLI_H

#include <curl/curl.h>
#include <stdio.h>

#include "common/text/json.h"
#include "common/mem.h"

enum cli_opt {
#define CLI_OPT(id, flag, env, arg, def, help) CLI_##id,
#include "client/opt.tbl"
#undef CLI_OPT
    CLI_OPTS
};

struct cli {
    const char *opt[CLI_OPTS]; /* NULL: not given and no default; switches: "on" */
    const char **args;         /* what is not an option */
    size_t n_args;
    char *url;                 /* without slashes at its end */
    char *key;                 /* NULL: none */
};

#define CLI_CMD(name, fn, args, least, most, opts, summary, manual) int fn(struct cli *c);
#include "client/cmd.tbl"
#undef CLI_CMD

/* ---- server-sent events (sse.c): bytes in, events out */
struct sse {
    void (*on)(void *arg, struct str event, struct str data);
    void *arg;
    struct buf line, event, data; /* what has arrived of the current one */
};
bool sse_feed(struct sse *s, struct str bytes); /* false: an event is larger than 4 MB */
void sse_fini(struct sse *s);

/* ---- one call to the gateway (http.c) */
struct call {
    CURL *easy;
    struct curl_slist *headers;
    long status;                  /* HTTP status, when the call went through */
    struct buf body;              /* of the reply */
    char location[512];           /* Location: "" when absent */
    int64_t retry_after_ms;       /* -1: not said */
    char error[CURL_ERROR_SIZE];  /* libcurl's words */
    struct sse *sse;              /* takes the body of a reply with status 200; NULL: none */
};
/* Prepare; body absent: none. body must live until call_fini. path begins with '/'. session may be NULL. */
void call_init(struct call *k, const struct cli *c, const char *method, const char *path, struct str body,
               const char *session);
/* Perform. True: the status is 2xx. False after saying on stderr what went wrong and what to do. */
bool call_run(struct call *k, const struct cli *c);
/* Perform and parse the reply. NULL after saying why. With --json prints the reply too. */
json_t *call_json(struct call *k, const struct cli *c);
/* Collect status and headers after somebody else performed it (curl multi). */
void call_finish(struct call *k);
/* In words, for a person: no connection (result is not CURLE_OK), or the problem that the server replied. */
void call_explain(const struct call *k, const struct cli *c, CURLcode result, struct buf *out);
void call_fini(struct call *k);
/* Append text as one part of a path or as a query value, percent-encoded. */
void url_escape(struct buf *b, struct str s);

/* ---- printing (print.c): what comes from the server never reaches the terminal as a control sequence */
void put_text(FILE *f, struct str s);      /* keeps line ends */
void put_line(FILE *f, struct str s);      /* line ends and runs of blanks become one space */
void put_sources(const json_t *sources);   /* "Sources" and one line each; nothing when there are none */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "footnote: …" on stderr */

/* The positional arguments, joined by spaces. */
void join_args(const struct cli *c, struct buf *out);
/* A member of the reply as an array: never NULL to iterate over (json_array_size(NULL) is 0). */
const json_t *json_items(const json_t *o, const char *key);

/* ---- files to ingest (walk.c) */
struct found {
    char *path;    /* to open */
    char *id;      /* below the folder that was given */
    int64_t bytes;
};
struct found_list {
    struct found *v;
    size_t n, cap;
    char **skipped; /* paths of files that are no documents */
    size_t n_skipped, cap_skipped;
    bool failed;    /* something could not be read; it was said */
};
void walk(const char *path, struct found_list *out);
/* Sort by id. False after saying which two files would be the same document. */
bool found_sort(struct found_list *l);
void found_fini(struct found_list *l);

/* ---- lists (list.c) */
/* Get all pages of a list, by page number; fn sees each item and returns false when it has seen enough. False: a call failed (it was
 * said). session may be NULL. */
bool each_item(struct cli *c, const char *path, const char *session, bool (*fn)(void *arg, const json_t *item), void *arg);
void documents_path(const struct cli *c, struct buf *out); /* of the collection that was named, or of all */

/* ---- the pages of a site (site.c) */
bool site_check(const struct cli *c);  /* false after saying what is wrong with --base-url or --site */
/* The address of the page that the site makes of a file: id is its path below the folder, text its content (a "slug:" in its front
 * matter counts for Docusaurus). It ends in '#' (MkDocs: "#-"): the gateway puts the cited heading's anchor there. */
void site_url(struct buf *out, const struct cli *c, struct str id, struct str text);

/* ---- documents that are no files any more (missing.c) */
int missing_handle(struct cli *c, const struct found_list *files); /* named, or deleted with --delete-missing; the exit code */

/* ---- progress (progress.c): one line, redrawn on a terminal; elsewhere a line every 10 % */
struct progress {
    size_t files, done, failed; /* done includes failed */
    int64_t chunks, bytes;
    int64_t start_ms, shown_ms;
    size_t tenth;               /* last tenth that was shown */
    const char *waiting;        /* why nothing is sent just now; NULL: nothing to say */
};
void progress_show(struct progress *p, bool last);

#endif
