/* Calls through libcurl, to the gateway and to a site that is kept in step; and the words for what went
 * wrong. A server on this machine is asked directly, whatever http_proxy says. A handle that is done is kept
 * for the next call, and its connections with it. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "common/clock.h"
#include "common/text/number.h"
#include "client/client.h"

#define PATIENT_TRIES 8
#define REPLY_MAX ((size_t)128 << 20)

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct fetch *k = arg;
    struct str bytes = { p, size * n };
    long status = 0;

    curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
    if (k->sse && status == 200) {
        sse_push(k->sse, bytes.p, bytes.n);
        return sse_overflow(k->sse) ? 0 : bytes.n;
    }
    buf_str(&k->body, bytes);
    return k->body.failed ? 0 : bytes.n;
}

bool
fetch_local(const char *url)
{
    const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : "";
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    char text[64];
    struct in_addr a;

    if (n >= sizeof text || memchr(host, '@', strcspn(host, "/?#")))
        return false;
    memcpy(text, host, n);
    text[n] = 0;
    return strcasecmp(text, "localhost") == 0 || strcmp(text, "[::1]") == 0 ||
           (inet_pton(AF_INET, text, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

static CURL *spare; /* of the call before */

void
fetch_header_add(struct fetch *k, const char *name, const char *value)
{
    struct buf b = { 0 };

    buf_printf(&b, "%s: %s", name, value);
    k->headers = curl_slist_append(k->headers, b.p);
    buf_free(&b);
    curl_easy_setopt(k->easy, CURLOPT_HTTPHEADER, k->headers);
}

void
fetch_open(struct fetch *k, const char *url, size_t most)
{
    *k = (struct fetch){ .easy = spare ? spare : curl_easy_init(),
                         .retry_after_ms = -1,
                         .body = BUF_MAX(most) };
    spare = NULL;
    if (!k->easy)
        abort();
    curl_easy_setopt(k->easy, CURLOPT_URL, url);
    if (fetch_local(url))
        curl_easy_setopt(k->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(k->easy, CURLOPT_USERAGENT, "footnote");
    curl_easy_setopt(k->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(k->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(k->easy, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(k->easy, CURLOPT_TIMEOUT_MS, 180000L);
    curl_easy_setopt(k->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(k->easy, CURLOPT_WRITEDATA, k);
    curl_easy_setopt(k->easy, CURLOPT_ERRORBUFFER, k->error);
    curl_easy_setopt(k->easy, CURLOPT_PRIVATE, k);
}

static void
add_headers(struct fetch *k, const struct cli *c, const char *type, const char *session)
{
    struct buf bearer = { 0 };

    if (c->key) {
        buf_printf(&bearer, "Bearer %s", c->key);
        fetch_header_add(k, "Authorization", bearer.p);
        explicit_bzero(bearer.p, bearer.n);
        buf_free(&bearer);
    }
    if (session)
        fetch_header_add(k, "X-Session-ID", session);
    if (type)
        fetch_header_add(k, "Content-Type", type);
    fetch_header_add(k, "Expect", ""); /* a second of waiting for 100 Continue helps nobody here */
}

void
fetch_init(struct fetch *k, const struct cli *c, const char *method, const char *path, struct str body,
           const char *session)
{
    fetch_init_as(k, c, method, path, body, "application/json", session);
}

void
fetch_init_as(struct fetch *k, const struct cli *c, const char *method, const char *path, struct str body,
              const char *type, const char *session)
{
    struct buf url = { 0 };

    buf_printf(&url, "%s%s", c->url, path);
    fetch_open(k, url.p, REPLY_MAX);
    buf_free(&url);
    curl_easy_setopt(k->easy, CURLOPT_CUSTOMREQUEST, method);
    if (body.p) {
        curl_easy_setopt(k->easy, CURLOPT_POSTFIELDS, body.p);
        curl_easy_setopt(k->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    }
    add_headers(k, c, body.p ? type : NULL, session);
}

const char *
fetch_header(const struct fetch *k, const char *name)
{
    struct curl_header *h = NULL;

    return curl_easy_header(k->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : "";
}

/* The whole of s is a number: it, or RETRY_MAX_MS where it is larger. -1: it is none. */
static int64_t
whole_number(const char *s)
{
    int64_t n = -1;

    if (!*s || s[number_first(str_of(s), RETRY_MAX_MS, &n)])
        return -1;
    return n < RETRY_MAX_MS ? n : RETRY_MAX_MS;
}

int64_t
fetch_patience(const char *ms, const char *seconds)
{
    int64_t wait = whole_number(ms), now_s = clock_wall_ms() / 1000;
    time_t date;

    if (wait >= 0)
        return wait;
    wait = whole_number(seconds);
    if (wait < 0 && *seconds && (date = curl_getdate(seconds, NULL)) >= 0)
        wait = date > now_s ? (int64_t)date - now_s : 0;
    return wait < 0 ? -1 : wait < RETRY_MAX_MS / 1000 ? wait * 1000 : RETRY_MAX_MS;
}

int64_t
fetch_pause_ms(int64_t retry_after_ms, int tries)
{
    return retry_after_ms > 0 ? retry_after_ms : (int64_t)250 << (tries < 6 ? tries : 6);
}

bool
fetch_busy(const struct fetch *k)
{
    return k->status == 429 || k->status == 503;
}

void
fetch_finish(struct fetch *k)
{
    curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &k->status);
    k->retry_after_ms = fetch_patience(fetch_header(k, "retry-after-ms"), fetch_header(k, "Retry-After"));
}

/* Advice to a person about a status. */
static const char *
hint_for(const struct fetch *k, const struct cli *c)
{
    switch (k->status) {
    case 401:
        return c->key ? "the key is not (or no longer) valid"
                      : "give a key with FOOTNOTE_KEY, FOOTNOTE_KEY_FILE or --key";
    case 403: return "it lacks the scope, or the collection: `footnote keys create` makes one that has them";
    case 413: return "split the document, or raise MAX_UPLOAD_BYTES";
    case 429: return "wait a moment, or use a key with higher limits";
    case 502: return "the model server fails: `make logs` tells more";
    case 503: return "`make status` shows which";
    case 504: return "it took too long; try again";
    default: return NULL;
    }
}

static bool
says(struct str text, struct str words)
{
    return text.n >= words.n && memmem(text.p, text.n, words.p, words.n);
}

static void
explain_problem(const struct fetch *k, const struct cli *c, struct buf *out)
{
    const char *hint = hint_for(k, c);
    json_t *p = fetch_reply(k);
    const json_t *first = json_array_get(json_object_get(p, "errors"), 0);
    struct str text = json_str(p, "detail");

    if (!text.n)
        text = json_str(p, "title");
    if (!text.n)
        text = json_str(json_object_get(p, "error"), "message"); /* as the OpenAI dialect says it */
    if (!p)
        buf_printf(out, "%s answered HTTP %ld: is it a Footnote gateway?", c->url, k->status);
    else
        buf_printf(out, STR_FMT " (HTTP %ld)", STR_ARG(text), k->status);
    if (json_str(first, "detail").n > 0 && !says(text, json_str(first, "detail")))
        buf_printf(out, ": " STR_FMT " " STR_FMT, STR_ARG(json_str(first, "pointer")),
                   STR_ARG(json_str(first, "detail")));
    if (k->retry_after_ms > 0)
        buf_printf(out, "; again in %lld s", (long long)((k->retry_after_ms + 999) / 1000));
    if (hint && p)
        buf_printf(out, "; %s", hint);
    if (k->status >= 500 && json_str(p, "request_id").n > 0)
        buf_printf(out, " [request " STR_FMT "]", STR_ARG(json_str(p, "request_id")));
    json_decref(p);
}

void
fetch_explain(const struct fetch *k, const struct cli *c, CURLcode result, struct buf *out)
{
    const char *words = k->error[0] ? k->error : curl_easy_strerror(result);

    switch (result) {
    case CURLE_OK: explain_problem(k, c, out); break;
    case CURLE_COULDNT_CONNECT:
        buf_printf(out,
                   "no gateway answers at %s: is it running? `make status` shows it; --url names another one",
                   c->url);
        break;
    case CURLE_COULDNT_RESOLVE_HOST: buf_printf(out, "%s: there is no such host; check --url", c->url); break;
    case CURLE_OPERATION_TIMEDOUT: buf_printf(out, "%s did not answer in time (%s)", c->url, words); break;
    case CURLE_ABORTED_BY_CALLBACK: buf_z(out, "stopped"); break;
    case CURLE_WRITE_ERROR: buf_z(out, "the reply is too large"); break;
    default: buf_printf(out, "the connection to %s failed: %s", c->url, words);
    }
}

bool
fetch_perform(struct fetch *k, CURLcode *result)
{
    *result = curl_easy_perform(k->easy);
    fetch_finish(k);
    return *result == CURLE_OK && k->status >= 200 && k->status < 300;
}

bool
fetch_run(struct fetch *k, const struct cli *c)
{
    struct buf why = { 0 };
    CURLcode result;

    if (fetch_perform(k, &result))
        return true;
    fetch_explain(k, c, result, &why);
    say("%s", why.p);
    buf_free(&why);
    return false;
}

json_t *
fetch_reply(const struct fetch *k)
{
    enum json_fault fault;
    const char *detail;

    return json_read(buf_slice(&k->body), &fault, &detail);
}

json_t *
fetch_json(struct fetch *k, const struct cli *c)
{
    enum json_fault fault;
    const char *detail;
    json_t *v;

    if (!fetch_run(k, c))
        return NULL;
    v = json_read(buf_slice(&k->body), &fault, &detail);
    if (!v)
        say("%s sent a reply that is %s: is it a Footnote gateway?", c->url, detail);
    else if (c->opt[CLI_JSON])
        printf(STR_FMT "\n", STR_ARG(buf_slice(&k->body)));
    return v;
}

void
fetch_fini(struct fetch *k)
{
    if (k->easy && !spare) {
        curl_easy_reset(k->easy);
        spare = k->easy;
    } else if (k->easy) {
        curl_easy_cleanup(k->easy);
    }
    curl_slist_free_all(k->headers);
    buf_free(&k->body);
    *k = (struct fetch){ 0 };
}

void
fetch_end(void)
{
    if (spare)
        curl_easy_cleanup(spare);
    spare = NULL;
}

void
url_param(struct buf *path, const char *name, struct str value)
{
    buf_printf(path, "%c%s=", str_has_byte(buf_slice(path), '?') ? '&' : '?', name);
    url_escape(path, value);
}

void
url_escape(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c && strchr("-._~", c)))
            buf_c(b, c);
        else
            buf_printf(b, "%%%02X", (unsigned)(uint8_t)c);
    }
}

/* ---- patience */

void
fetch_nap(int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

bool
fetch_patiently(struct fetch *k, const struct cli *c, const char *method, const char *path, struct str body,
                const char *type, struct buf *why, bool *hopeless)
{
    for (int tries = 0;; tries++) {
        CURLcode result;
        int64_t wait_ms;

        fetch_init_as(k, c, method, path, body, type, NULL);
        if (fetch_perform(k, &result))
            return true;
        wait_ms = fetch_pause_ms(k->retry_after_ms, tries);
        if (result != CURLE_OK || !fetch_busy(k) || tries == PATIENT_TRIES || wait_ms > FETCH_WAIT_MAX_MS) {
            *hopeless = result != CURLE_OK || k->status == 401 || k->status == 403 ||
                        wait_ms > FETCH_WAIT_MAX_MS;
            fetch_explain(k, c, result, why);
            return false;
        }
        fetch_fini(k);
        fetch_nap(wait_ms);
    }
}
