/* Shared by the API handlers: settings of the deployment, fields of bodies and parameters, calls to services.
 * A function that returns false has already answered. */
#ifndef GATEWAY_REQUEST_HANDLER_H
#define GATEWAY_REQUEST_HANDLER_H

#include "common/text/text.h"
#include "gateway/request/render.h"
#include "gateway/request/request.h"
#include "gateway/safe/sanitize.h"

#define API_DEFAULT_COLLECTION "docs"
#define API_PAGE_LIMIT 50  /* of a page when none is named */
#define API_LIST_LIMIT 200 /* the same, of lists that are short as a rule */
/* Calls a handler may keep open. A chat question makes nine at most: four to embed, search, rerank, the selection's text,
 * the answer, finish. */
#define API_HELD_MAX 10

/* Settings (settings.c is the one file that looks into struct gateway). */
struct hub *api_hub(const struct request *r);
struct str api_secret(const struct request *r);   /* deployment secret: part of every cache key */
bool api_save_hits(const struct request *r);      /* SAVE_CACHE_HITS */
int64_t api_expiry_days(const struct request *r); /* SESSION_EXPIRY_DAYS */
int64_t api_stream_ms(const struct request *r);   /* STREAM_TIMEOUT */
#define CACHE_SCOPE_SESSION "session"
#define CACHE_SCOPE_COLLECTION "collection"
#define CACHE_SCOPE_SEMANTIC \
    "semantic" /* of a collection only: the same, and near-identical questions, with SEMANTIC_CACHE */
struct str api_cache_scope(const struct request *r); /* QUERY_CACHE_SCOPE: session or collection */
struct str api_link_hosts(const struct request
                              *r); /* ANSWER_LINK_HOSTS as set, and PUBLIC_URL: part of every cache key */
bool api_gone(const struct request *r); /* the client has gone away */
void api_usual_rates(const struct request *r, int64_t *minute,
                     int64_t *hour); /* of an admin's key without rates of its own */

/* A problem object as text, for the error event of a stream. */
void api_problem(struct request *r, enum err e, const char *detail, struct buf *b);

/* Calls. Replies live in their calls' arenas, so calls stay open until the handler is done with all of them. */
struct held {
    struct call *v[API_HELD_MAX]; /* open calls; owned */
    size_t n;                     /* how many */
};
/* Ask, wait and hold. *out has the reply; the reply dies with held_free. */
enum err api_call(struct request *r, struct held *h, enum kind kind, const void *req, int64_t deadline_ms,
                  struct outcome *out);
/* The same within the request's deadline; false after the failure was sent. */
bool api_get(struct request *r, struct held *h, enum kind kind, const void *req, struct outcome *out);
/* A failure for people: the service's phrase, else its error's own. */
const char *outcome_text(const struct outcome *a);
void held_add(struct held *h, struct call *q);
/* The end of a call without parts, which is held from then on. */
enum err held_wait(struct held *h, struct call *q, struct outcome *out);
void held_free(struct held *h);
void held_keep(struct held *h,
               size_t first); /* those before it are freed: nobody looks at their replies again */

/* The deployment's rules for answers (sanitize.h); passages are added to them. */
void answer_rules(const struct request *r, struct link_rules *rules);

/* Text. */
struct str text_chars(struct str s, size_t n); /* first n characters of valid UTF-8 */
bool name_ok(struct str s);                    /* [A-Za-z0-9._-]{1,64}: collections, tenants */

/* The fault of a field: for callers that list faults instead of answering. */
struct fault {
    char pointer[64]; /* JSON pointer */
    char detail[400]; /* a phrase */
};
/* key: the member, "" for the whole body. */
void fault_set(struct fault *f, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void reply_fault(struct request *r, const struct fault *f); /* 422 with the pointer and the phrase */

/* Members of a JSON body; absent ones leave *out as it was. Lengths count characters. false: *f says why. */
struct text_rule {
    const char *key; /* member */
    size_t min, max; /* characters */
    bool required;
    bool trim; /* count and keep without white space at both ends */
};
bool field_text(const json_t *o, const struct text_rule *rule, struct str *out, struct fault *f);
bool field_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *out, struct fault *f);
bool field_num(const json_t *o, const char *key, double min, double max, double *out, struct fault *f);
bool field_flag(const json_t *o, const char *key, bool *out, struct fault *f);
bool field_uuid(const json_t *o, const char *key, struct uuid *out, struct fault *f);
/* An object, as compact JSON with sorted keys, copied into the arena. */
bool field_object(const json_t *o, const char *key, size_t max_bytes, struct arena *a, struct str *out,
                  struct fault *f);
/* An array of 1 to 64 strings of at most max bytes; slices point into o. */
bool field_strs(const json_t *o, const char *key, size_t max, struct arena *a, struct strs *out,
                struct fault *f);

/* A parameter that is a whole number; without it *out stays as it was. */
bool api_number(struct request *r, const char *name, int64_t min, int64_t max, int64_t *out);

/* ?page=&limit=&cursor= */
struct paging {
    int64_t page, limit;
    struct str cursor;
};
bool api_paging(struct request *r, int64_t limit, struct paging *p); /* limit: when none is named */
/* The three members of every request for a page of a list. */
#define PAGE_INTO(req, p) ((req)->page = (p)->page, (req)->limit = (p)->limit, (req)->cursor = (p)->cursor)
/* A page of a list: {"items":[…],"page":…,"limit":…,"has_more":…,"next_cursor":…}. */
void api_reply_page(struct request *r, const struct paging *p, const struct list *items, bool has_more,
                    struct str next_cursor);
/* The items of a service's reply, rendered so. */
#define ITEMS(rep, fn) \
    (&(struct list){ \
        .v = (rep)->items.v, .n = (rep)->items.n, .size = sizeof *(rep)->items.v, .render = (fn) })
/* The thing of the caller's own session that the path names, and the SHA-256 of that session. */
bool api_path_own(struct request *r, struct uuid *id, uint8_t hash[32]);
/* Send a buffer and release it; a buffer that overflowed becomes 500. */
void api_reply(struct request *r, int status, struct buf *b);

#endif
