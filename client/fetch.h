/* One call over HTTP (http.c), to the gateway or to a site. */
#ifndef CLIENT_FETCH_H
#define CLIENT_FETCH_H

#include <curl/curl.h>

#include "common/mem.h"
#include "common/text/json.h"
#include "text/sse.h"

struct cli;

enum {
    RETRY_MAX_MS = 86400000,   /* who asks for more patience than a day gets that */
    FETCH_WAIT_MAX_MS = 300000 /* longer than this nobody waits for one call */
};
struct fetch {
    CURL *easy;
    struct curl_slist *headers;
    long status;                 /* HTTP status, when the call went through */
    struct buf body;             /* of the reply */
    int64_t retry_after_ms;      /* 0 to RETRY_MAX_MS; -1: not said */
    char error[CURL_ERROR_SIZE]; /* libcurl's words */
    struct sse *sse;             /* takes the body of a reply with status 200; NULL: none */
};
/* Prepare to get an address, whosever it is; most: bytes of the reply. The connection of the call before is
 * used again where it leads there. */
void fetch_open(struct fetch *k, const char *url, size_t most);
bool fetch_local(const char *url); /* of this machine: no proxy is asked for it */
void fetch_header_add(struct fetch *k, const char *name, const char *value);
/* A header of the reply; "": absent. It is gone with the next call. */
const char *fetch_header(const struct fetch *k, const char *name);
/* The patience that a server asks for: the milliseconds of ms, else the seconds or the date of seconds.
 * Either may be "". -1: neither says it. */
int64_t fetch_patience(const char *ms, const char *seconds);
/* How long to wait before the same call again: as the server says, else 250 ms, and twice as long with each
 * try that failed before, up to 16 s. */
int64_t fetch_pause_ms(int64_t retry_after_ms, int tries);
bool fetch_busy(const struct fetch *k); /* the gateway says "later": 429 or 503 */
/* Prepare a call to the gateway; body absent: none. body must live until fetch_fini. path begins with '/'. session may be NULL. */
void fetch_init(struct fetch *k, const struct cli *c, const char *method, const char *path, struct str body,
                const char *session);
/* The same with a body of another type than JSON. */
void fetch_init_as(struct fetch *k, const struct cli *c, const char *method, const char *path,
                   struct str body, const char *type, const char *session);
/* Perform. True: the status is 2xx; *result: libcurl's. Nothing is said. */
bool fetch_perform(struct fetch *k, CURLcode *result);
/* A call to the gateway, again as long as it asks for patience; k is the last one, for fetch_fini. True: 2xx. False: why says it, and
 * *hopeless is true when no other call will do better. */
bool fetch_patiently(struct fetch *k, const struct cli *c, const char *method, const char *path,
                     struct str body, const char *type, struct buf *why, bool *hopeless);
void fetch_nap(int64_t ms);
/* The reply as JSON, which the caller owns. NULL: it is none. */
json_t *fetch_reply(const struct fetch *k);
/* Perform. True: the status is 2xx. False after saying on stderr what went wrong and what to do. */
bool fetch_run(struct fetch *k, const struct cli *c);
/* Perform and parse the reply. NULL after saying why. With --json prints the reply too. */
json_t *fetch_json(struct fetch *k, const struct cli *c);
/* Collect status and headers after somebody else performed it (curl multi). */
void fetch_finish(struct fetch *k);
/* In words, for a person: no connection (result is not CURLE_OK), or the problem that the server replied. */
void fetch_explain(const struct fetch *k, const struct cli *c, CURLcode result, struct buf *out);
void fetch_fini(struct fetch *k);
void fetch_end(void); /* no call comes any more: the connections are closed */
/* Append a parameter to the query of a path. */
void url_param(struct buf *path, const char *name, struct str value);
/* Append text as one part of a path or as a query value, percent-encoded. */
void url_escape(struct buf *b, struct str s);

#endif
