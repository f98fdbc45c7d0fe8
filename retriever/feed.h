/* A change of the feed on its way into the index. Only feed*.c include this; all of it belongs to the loop's thread, but for what
 * a maker or the engine touches while a row is in its hands. */
#ifndef RETRIEVER_FEED_H
#define RETRIEVER_FEED_H

#include "retriever/fresh.h"
#include "retriever/retriever.h"

enum { BUCKETS = 4096, PAGE_ROWS = 512, LOAD_MANY = 64 };

enum row_kind { ROW_LOAD, ROW_DELETE, ROW_DROP, ROW_CLEAR };
enum row_state { ROW_QUEUED, ROW_FETCHING, ROW_ADDING, ROW_CHANGING };

struct rows {
    struct row *head, *tail;
    size_t n;
};

struct row {
    struct feed *feed;
    struct rows *in; /* the feed's list, in seq order, or those aside */
    struct row *prev, *next;
    struct row *chain; /* of its bucket; loads only */
    enum row_kind kind;
    enum row_state state;
    int64_t seq;
    int64_t newest; /* change of the same document, which may have come while it was loaded */
    int64_t
        version; /* of what is being loaded: newest when it was asked for, and how often it was handed over before */
    struct uuid id;
    char tenant[65], collection[129];
    bool gone;                         /* deleted meanwhile: drop what comes */
    bool again;                        /* changed meanwhile: load it once more */
    bool first;                        /* belongs to the first catching up */
    bool failed;                       /* the maker thread had no memory */
    bool single;                       /* it is loaded by itself: together with others it failed */
    bool large;                        /* has a slot, and is beyond its first page */
    int slot;                          /* that it has */
    bool marked;                       /* the store shows it as one that cannot be loaded */
    void *doc;                         /* being built; of the engine */
    int64_t updated_ms, from_ord;      /* of the version at hand; next page */
    struct reply page;                 /* reply whose arena we hold */
    const struct chunks_get_rep *part; /* of a reply that others share */
    struct fresh_doc *fresh;           /* its chunks, which need not be read back; NULL: they are not here */
    struct engine_change change;       /* at the engine, while changing */
    int64_t asked_ms, since_ms;        /* when its page was asked for: the last time, and first */
    /* failures */
    unsigned tries;  /* of a page, in a row */
    unsigned rounds; /* aside */
    int64_t rows;    /* chunks to ask for at once */
    int64_t at_ms;   /* not before */
    bool full;       /* aside since the index has no room for it */
    size_t bytes;    /* it would have there */
    char why[256];   /* it is aside */
};

struct feed {
    struct retriever *r;
    struct engine *engine; /* that it fills */
    bool spare;            /* of the index that only stands in (fallback.h): it says nothing of documents */
    struct rows queue;     /* in the feed's order: the head tells the seq that was reached */
    struct rows aside;     /* cannot be loaded for now; nobody waits for them */
    struct row *buckets[BUCKETS];
    size_t fetching, large, bulks, first_left;
    bool aside_busy;   /* one of those aside is being tried */
    int64_t after;     /* last change that was read */
    int64_t known;     /* changes up to this one can be found, whether they were loaded here or not */
    bool resumed;      /* the engine said where to begin */
    int64_t heard_ms;  /* when the feed last answered */
    int64_t loaded_ms; /* when a page of any document last came */
    int64_t waiting;   /* documents that wait for a retriever, as it said then */
    bool polling, stopped, reached_end, caught_up;
    uint64_t timer;
    uint64_t call;         /* the poll in flight */
    int64_t hold_until_ms; /* no fetches before: the store does not answer */
};

/* feed.c */
void row_free(struct row *x);
void row_aside(struct row *x);    /* nobody waits for it any more */
void row_asked(struct row *x);    /* its document is asked for: as it is now */
void row_change(struct row *x);   /* hand it to the engine: x->doc goes in, or the document out */
void feed_caught(struct feed *f); /* offer the capacity when the first catching up is over */
/* feed_load.c */
void load_more(struct feed *f); /* begin loads that may begin */
void load_ended(struct row *x); /* the engine has had it */
void load_whole(struct row *x); /* its last page is in x->doc: into the engine */
void load_gone(struct row *x);  /* its document is gone, or has another row */

enum page { PAGE_GOOD, PAGE_MOVED, PAGE_OTHER, PAGE_BAD };
enum page load_check(struct row *x, const struct chunks_get_rep *rep);
bool load_is_outage(const struct row *x, enum err e); /* not the document's fault */
void load_wait(struct row *x, int64_t ms);            /* queued again */
void load_restart(struct row *x);                     /* its result is dropped */
/* feed_bulk.c */
void bulk_fetch(struct feed *f, struct row **v, size_t n);

#endif
