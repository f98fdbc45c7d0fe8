/* The only file of the retriever that knows curl. A call goes to the next node in turn whose breaker is closed; a node that does not
 * answer, or says that it cannot (502, 503, 504), leaves it to another one, as long as there is time. */
#include "retriever/opensearch/http.h"

#include <pthread.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/breaker.h"
#include "common/process/curl_lib.h"
#include "common/text/json.h"
#include "common/text/web.h"

enum { NODES_MAX = 16, ANSWER_MAX = 64 << 20, CONNECT_MS = 1000, PATIENCE = 3 };

struct node {
    char *url; /* without a slash at the end */
    struct breaker breaker;
};
struct cluster {
    struct node node[NODES_MAX];
    size_t n;
    pthread_mutex_t lock; /* of the breakers and next */
    size_t next;
    char *user; /* "name:password"; NULL: none */
    char *key;  /* the line of the API key; NULL: none */
    const char *ca_file;
    int64_t timeout_ms;
    const struct curl_lib *curl;
};
struct cluster_conn {
    struct cluster *c;
    CURL *curl;
    struct curl_slist *headers;
    struct buf answer;
    const struct cluster_call *call;
};

/* ---- nodes */

static bool
next_url(struct str *list, struct str *one)
{
    while (list->n > 0 && (list->p[0] == ',' || list->p[0] == ' '))
        *list = (struct str){ list->p + 1, list->n - 1 };
    *one = *list;
    for (one->n = 0; one->n < list->n && list->p[one->n] != ',' && list->p[one->n] != ' ';)
        one->n++;
    *list = (struct str){ list->p + one->n, list->n - one->n };
    while (one->n > 0 && one->p[one->n - 1] == '/')
        one->n--;
    return one->n > 0;
}

void
cluster_check(const struct retriever_opt *o, struct buf *err)
{
    struct str list = str_of(o->opensearch_url), one;
    size_t n = 0;

    for (; next_url(&list, &one); n++)
        if (web_scheme(one) == 0 || !web_tidy(one) || str_has_byte(one, '@'))
            buf_z(
                err,
                "OPENSEARCH_URL: addresses with http:// or https://, a comma between two, no user name in them\n");
    if (n == 0 || n > NODES_MAX)
        buf_printf(err, "OPENSEARCH_URL: %zu nodes; allowed: 1 to %d\n", n, NODES_MAX);
    for (const char *p = o->opensearch_index; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || (p > o->opensearch_index && *p == '-')))
            buf_z(err, "OPENSEARCH_INDEX: small letters, digits and hyphens\n");
    if (o->opensearch_password[0] && o->opensearch_api_key[0])
        buf_z(err, "OPENSEARCH_PASSWORD and OPENSEARCH_API_KEY: only one of them\n");
    if (!curl_lib())
        buf_z(err, "INDEX_ENGINE: opensearch: " CURL_LIB_MISSING "\n");
}

struct cluster *
cluster_new(const struct retriever_opt *o)
{
    struct cluster *c = mem_new(sizeof *c);
    struct str list = str_of(o->opensearch_url), one;
    struct buf b = BUF_MAX(16384);

    c->curl = curl_lib(); /* cluster_check has found it */
    while (c->n < NODES_MAX && next_url(&list, &one))
        c->node[c->n++] = (struct node){ .url = mem_dup_str(one),
                                         .breaker = { .in_a_row = true, .patience = PATIENCE } };
    pthread_mutex_init(&c->lock, NULL);
    if (o->opensearch_user[0]) {
        buf_printf(&b, "%s:%s", o->opensearch_user, o->opensearch_password);
        c->user = mem_dup(b.p);
        buf_reset(&b);
    }
    if (o->opensearch_api_key[0]) {
        buf_printf(&b, "Authorization: ApiKey %s", o->opensearch_api_key);
        c->key = mem_dup(b.p);
    }
    if (b.p)
        explicit_bzero(b.p, b.cap);
    buf_free(&b);
    c->ca_file = o->opensearch_ca_file;
    c->timeout_ms = o->opensearch_timeout;
    return c;
}

static void
wipe(char **p)
{
    if (*p)
        explicit_bzero(*p, strlen(*p));
    mem_free(p);
}

void
cluster_free(struct cluster **cp)
{
    struct cluster *c = *cp;

    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        mem_free(&c->node[i].url);
    wipe(&c->user);
    wipe(&c->key);
    pthread_mutex_destroy(&c->lock);
    mem_free(cp);
}

size_t
cluster_nodes(const struct cluster *c)
{
    return c->n;
}

size_t
cluster_nodes_down(struct cluster *c)
{
    size_t down = 0;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->n; i++)
        down += c->node[i].breaker.state != BREAKER_CLOSED;
    pthread_mutex_unlock(&c->lock);
    return down;
}

/* The next node that may be asked and was not yet: tried is a bit each. */
static struct node *
node_take(struct cluster *c, unsigned *tried, bool *probe)
{
    struct node *found = NULL;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->n && !found; i++) {
        size_t k = (c->next + i) % c->n;

        if (!(*tried >> k & 1) && breaker_ask(&c->node[k].breaker, clock_ms(), probe)) {
            *tried |= 1u << k;
            c->next = k + 1;
            found = &c->node[k];
        }
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void
node_told(struct cluster *c, struct node *n, bool probe, bool known, bool good)
{
    bool changed = false;

    pthread_mutex_lock(&c->lock);
    if (!known)
        breaker_drop(&n->breaker, clock_ms(), probe);
    else
        changed = good ? breaker_good(&n->breaker, probe) : breaker_bad(&n->breaker, clock_ms(), probe);
    enum breaker_state state = n->breaker.state;

    pthread_mutex_unlock(&c->lock);
    if (changed && state != BREAKER_PROBING)
        LOG(WARN, NULL,
            M(state == BREAKER_OPEN ? "search node is not asked for a while" : "search node answers again"),
            KS("node", n->url));
}

/* ---- connections */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct cluster_conn *x = arg;

    buf_add(&x->answer, p, size * n);
    return x->answer.failed ? 0 : size * n;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct cluster_conn *x = arg;

    (void)a, (void)b, (void)c, (void)d;
    return x->call->ended && atomic_load(x->call->ended);
}

struct cluster_conn *
cluster_conn_new(struct cluster *c)
{
    struct cluster_conn *x = mem_new(sizeof *x);
    const struct curl_lib *curl = c->curl;
    CURL *u = curl->easy_init();

    x->c = c;
    x->curl = u;
    x->answer = BUF_MAX(ANSWER_MAX);
    /* lines of JSON and one JSON alike: OpenSearch looks at the route */
    x->headers = curl->slist_append(NULL, "Content-Type: application/json");
    x->headers = curl->slist_append(x->headers, "Expect:");
    if (c->key)
        x->headers = curl->slist_append(x->headers, c->key);
    curl->easy_setopt(u, CURLOPT_HTTPHEADER, x->headers);
    curl->easy_setopt(u, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(u, CURLOPT_WRITEDATA, x);
    curl->easy_setopt(u, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl->easy_setopt(u, CURLOPT_XFERINFODATA, x);
    curl->easy_setopt(u, CURLOPT_NOPROGRESS, 0L);
    curl->easy_setopt(u, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl->easy_setopt(u, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(u, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(u, CURLOPT_PROXY, "");
    curl->easy_setopt(u, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(u, CURLOPT_USERAGENT, "footnote-retriever");
    if (c->user) {
        curl->easy_setopt(u, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl->easy_setopt(u, CURLOPT_USERPWD, c->user);
    }
    if (c->ca_file[0])
        curl->easy_setopt(u, CURLOPT_CAINFO, c->ca_file);
    return x;
}

void
cluster_conn_free(struct cluster_conn **xp)
{
    struct cluster_conn *x = *xp;

    if (!x)
        return;
    x->c->curl->easy_cleanup(x->curl);
    x->c->curl->slist_free_all(x->headers);
    buf_free(&x->answer);
    mem_free(xp);
}

/* ---- calls */

static CURLcode
perform(struct cluster_conn *x, const struct node *n, int64_t left_ms, long *status)
{
    const struct cluster_call *call = x->call;
    struct buf url = BUF_MAX(4096);
    CURLcode code;

    buf_printf(&url, "%s%s", n->url, call->path);
    buf_reset(&x->answer);
    x->c->curl->easy_setopt(x->curl, CURLOPT_URL, url.p);
    x->c->curl->easy_setopt(x->curl, CURLOPT_POSTFIELDS, call->body.p);
    x->c->curl->easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    if (!call->body.p)
        x->c->curl->easy_setopt(x->curl, CURLOPT_HTTPGET, 1L);
    x->c->curl->easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, call->method);
    x->c->curl->easy_setopt(x->curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
    code = x->c->curl->easy_perform(x->curl);
    *status = 0;
    if (code == CURLE_OK)
        x->c->curl->easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, status);
    buf_free(&url);
    return code;
}

static bool
is_away(long status)
{
    return status == 502 || status == 503 || status == 504;
}

/* Our caller's time is over, or the cluster's: that one does not answer. */
static enum err
failed(CURLcode code, int64_t deadline_ms)
{
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return ERR_CANCELLED;
    return clock_ms() >= deadline_ms ? ERR_DEADLINE : ERR_NO_WORKER;
}

enum err
cluster_ask(struct cluster_conn *x, const struct cluster_call *call, long *status, json_t **out)
{
    static struct log_gate gate;
    int64_t most = clock_ms() + x->c->timeout_ms;
    int64_t until = call->deadline_ms < most ? call->deadline_ms : most;
    enum err err = ERR_NO_WORKER;
    enum json_fault fault;
    const char *detail;
    unsigned tried = 0;
    struct node *n;
    bool probe;

    x->call = call;
    *out = NULL;
    while (clock_ms() < until && (n = node_take(x->c, &tried, &probe))) {
        CURLcode code = perform(x, n, until - clock_ms(), status);

        err = code == CURLE_OK && !is_away(*status) ? ERR_OK : failed(code, call->deadline_ms);
        /* slow because our caller had little time: that says nothing of the node */
        node_told(x->c, n, probe, err == ERR_OK || err == ERR_NO_WORKER, err == ERR_OK);
        if (err == ERR_OK) {
            *out = json_read(buf_slice(&x->answer), &fault, &detail);
            return ERR_OK;
        }
        stat_inc(&retriever_stats, RETRIEVER_CLUSTER_FAULTS);
        if (err != ERR_CANCELLED && log_gate(&gate))
            LOG(WARN, NULL, M("a search node did not answer"), KS("node", n->url), KS("call", call->path),
                KI("status", *status), KS("why", x->c->curl->easy_strerror(code)));
        if (err == ERR_CANCELLED)
            break;
    }
    return err;
}
