/* footnote sync URL: the parts. One thread; one page at a time, at the site's pace.
 *
 *   plan.c:
 *   robots.txt ─▶ what may be read, how fast, where the sitemaps are        robots.c
 *   sitemaps ─▶ the pages, with the time of their last change               sitemap.c, xml by expat
 *   state ─▶ what was there the last time: lastmod, ETag, digest, document  state.c
 *   each page: the same lastmod? ─ 304? ─ the same bytes? ─▶ nothing; else to the gateway; gone ones are deleted   sync.c, site.c */
#ifndef CLIENT_SYNC_SYNC_H
#define CLIENT_SYNC_SYNC_H

#include "client/client.h"

enum { SYNC_PAGES_MAX = 50000, SYNC_URL_MAX = 480 };

/* ---- robots.c: RFC 9309, and Crawl-delay */
struct robots_rule {
    char *path; /* with * and $ */
    bool allow;
};
struct robots {
    struct robots_rule *v; /* of our group */
    size_t n, cap;
    char **sitemap; /* addresses, as they stand there */
    size_t n_sitemaps, cap_sitemaps;
    double delay_s; /* Crawl-delay; 0: none */
};
/* Read the text of a robots.txt for the program named agent (lower case). */
void robots_read(struct robots *r, struct str text, const char *agent);
/* May the page be read? path: with its query, as it is asked for. The longest rule decides, of equal ones the one that allows. */
bool robots_allow(const struct robots *r, const char *path);
void robots_fini(struct robots *r);

/* ---- sitemap.c: sitemaps.org 0.9, gzip too */
struct listed {
    char *url;
    char *lastmod; /* as it stands there; "": none */
};
struct listing {
    struct listed *v;
    size_t n, cap;
};
enum sitemap_kind { SITEMAP_PAGES, SITEMAP_INDEX };
void listing_add(struct listing *l, struct str url, struct str lastmod);
/* The entries of from stand behind those of to; from is empty then. */
void listing_move(struct listing *to, struct listing *from);
/* Append what a sitemap lists. NULL, or why it cannot be read. most: entries; no more are read, and that is a reason, too. */
const char *sitemap_read(struct listing *l, struct str bytes, size_t most, enum sitemap_kind *kind);
void listing_fini(struct listing *l);

/* ---- state.c: what was there the last time; a line of JSON a page, added as it is done, so that a run that was cut goes on */
struct known {
    char *url;
    char *lastmod, *etag, *modified; /* "": none */
    char sha256[65];                 /* of the bytes that the gateway has; "": that is not known */
    char document[37];               /* that the gateway made of it; "": none */
    bool done;                       /* in the run that is going on */
    bool seen;                       /* the sitemap lists it now */
};
struct state {
    char *path, *header; /* header: the file's first line */
    int fd;              /* locked */
    struct known *v;
    size_t n, cap;
    size_t *slot; /* hash table: 1 + index in v */
    size_t slots;
    bool resumed; /* the run before was cut */
};
/* Open, or make, and lock; header tells runs for other sites, gateways and collections apart. False after
 * saying why; *busy: another run has it. */
bool state_open(struct state *s, const char *path, struct str header, bool *busy);
struct known *state_find(struct state *s, const char *url); /* NULL: not known */
struct known *state_get(struct state *s, const char *url);  /* made when it is not known */
bool state_begin(struct state *s);                          /* a run begins, unless one goes on */
bool state_note(struct state *s, struct known *k);          /* the page is done */
/* The page's bytes are about to be sent: until it is noted nobody knows which ones the gateway has. */
bool state_doubt(struct state *s, struct known *k);
bool state_has(const struct known *k);               /* the gateway has a document of it */
bool state_forget(struct state *s, struct known *k); /* the page is gone */
bool state_end(struct state *s);                     /* the run is whole: the file is written anew */
void state_fini(struct state *s);

/* ---- site.c: calls to the site, each at its time */
struct visit { /* what came of one */
    long status;
    struct buf body;
    char *type, *etag, *modified, *location, *robots; /* "": absent */
    int64_t retry_after_ms;                           /* -1: not said */
    char error[CURL_ERROR_SIZE];
    bool reached; /* an answer came */
};
struct host {
    char *origin; /* https://docs.example.org */
    char *folder; /* path below which its pages stand, with a slash at the end */
    int64_t every_ms, next_ms;
    size_t calls;
};
/* False after saying what is wrong with the address. */
bool host_of(struct host *h, const char *url);
void host_fini(struct host *h);
/* The path of an address of the site, behind its origin; it may be empty. Letter case and a port that the
 * scheme has anyway make no other origin. NULL: it is of another one. */
const char *host_path(const struct host *h, const char *url);
/* The address as it is compared and stored: without fragment, within the origin, in scope. False: it is none of ours. */
bool host_has(const struct host *h, const char *url);
/* Get an address of the site; etag and modified may be "". Follows redirects within the origin; waits
 * for its turn, and as long as the site asks for, at most TRIES times. False: no answer that counts
 * came; v->error says why. */
bool host_get(struct host *h, const char *url, const char *etag, const char *modified, size_t most,
              struct visit *v);
void visit_fini(struct visit *v);

/* ---- plan.c: which pages there are */
struct plan {
    struct host host;
    struct robots robots;
    struct listing pages;   /* ours, that may be read, each once */
    size_t foreign, barred; /* listed, and of another site; not to be read */
};
/* From robots.txt and the sitemaps of the host, or from url when that is a sitemap; marks in s what is
 * listed. False after saying why. */
bool plan_read(struct plan *p, const char *url, struct state *s);
void plan_fini(struct plan *p);

/* ---- folder.c: footnote sync DIR; its exit code */
int sync_folder(struct cli *c);

#endif
