/* Shared by the two halves of upstream-stub: upstream_stub.c (connections, scripts, routes) and
 * upstream_answer.c (what a model answers). */
#ifndef TESTS_KIT_UPSTREAM_STUB_H
#define TESTS_KIT_UPSTREAM_STUB_H

#include <civetweb.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum route { EMBEDDINGS, CHAT, COMPLETIONS, MODELS, ROUTES };

struct stub_conf {
    const char *host;
    long port, threads, dims, delay_ms[ROUTES], drip_ms, echo_canary;
};
extern struct stub_conf stub_conf;

struct stub_sums { /* as /_stub/stats tells them */
    atomic_long texts, prompt_tokens, completion_tokens, in_flight, in_flight_max, aborted;
};
extern struct stub_sums stub_sums;

struct turn { /* one model request */
    struct mg_connection *c;
    enum route route;
    json_t *req, *rule; /* rule NULL: nothing is scripted for it */
    char *body;
    size_t n;
};

/* Waits; false when the client hung up meanwhile. */
bool stub_wait(const struct mg_connection *c, long ms);
void stub_reply(struct mg_connection *c, int status, const char *type, const char *extra, const char *body,
                size_t n);

/* Keys of a rule or request, with a default; rule_drawn: drawn between two keys when both are there. */
long rule_num(const json_t *rule, const char *key, long fallback);
long rule_drawn(const json_t *rule, const char *from, const char *to, long fallback);
bool rule_flag(const json_t *rule, const char *key);
const char *json_text(const json_t *o, const char *key, const char *fallback);

/* Send the answer that this request gets when no fault stands in its way. */
void answer_embeddings(struct turn *t);
void answer_chat(struct turn *t);

#endif
