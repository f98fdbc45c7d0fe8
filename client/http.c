/* Calls to the gateway through libcurl, the only file of the client that performs any; and the words for what went wrong.
 * The gateway on this machine is asked directly, whatever http_proxy says. */
#include <stdlib.h>
#include <strings.h>

#include "common/text/text.h"
#include "client/client.h"

#define REPLY_MAX ((size_t)128 << 20)

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct call *k = arg;
    struct str bytes = { p, size * n };
    long status = 0;

    curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
    if (k->sse && status == 200)
        return sse_feed(k->sse, bytes) ? bytes.n : 0;
    buf_str(&k->body, bytes);
    return k->body.failed ? 0 : bytes.n;
}

static bool
is_local(const char *url)
{
    return strncmp(url, "http://127.", 11) == 0 || strncmp(url, "http://localhost", 16) == 0 ||
           strncmp(url, "http://[::1]", 12) == 0;
}

static void
add_header(struct call *k, const char *name, const char *value)
{
    struct buf b = { 0 };

    buf_printf(&b, "%s: %s", name, value);
    k->headers = curl_slist_append(k->headers, b.p);
    buf_free(&b);
}

static void
add_headers(struct call *k, const struct cli *c, bool body, const char *session)
{
    struct buf bearer = { 0 };

    if (c->key) {
        buf_printf(&bearer, "Bearer %s", c->key);
        add_header(k, "Authorization", bearer.p);
        explicit_bzero(bearer.p, bearer.n);
        buf_free(&bearer);
    }
    if (session)
        add_header(k, "X-Session-ID", session);
    if (body)
        add_header(k, "Content-Type", "application/json");
    add_header(k, "Expect", ""); /* a second of waiting for 100 Continue helps nobody here */
    curl_easy_setopt(k->easy, CURLOPT_HTTPHEADER, k->headers);
}

void
call_init(struct call *k, const struct cli *c, const char *method, const char *path, struct str body,
          const char *session)
{
    struct buf url = { 0 };

    *k = (struct call){ .easy = curl_easy_init(), .retry_after_ms = -1, .body = BUF_MAX(REPLY_MAX) };
    if (!k->easy)
        abort();
    buf_printf(&url, "%s%s", c->url, path);
    curl_easy_setopt(k->easy, CURLOPT_URL, url.p);
    buf_free(&url);
    curl_easy_setopt(k->easy, CURLOPT_CUSTOMREQUEST, method);
    if (body.p) {
        curl_easy_setopt(k->easy, CURLOPT_POSTFIELDS, body.p);
        curl_easy_setopt(k->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    }
    add_headers(k, c, body.p != NULL, session);
    if (is_local(c->url))
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

static const char *
header_of(const struct call *k, const char *name)
{
    struct curl_header *h = NULL;

    return curl_easy_header(k->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

void
call_finish(struct call *k)
{
    const char *location, *seconds, *ms;

    curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &k->status);
    location = header_of(k, "Location");
    ms = header_of(k, "retry-after-ms");
    seconds = header_of(k, "Retry-After");
    snprintf(k->location, sizeof k->location, "%s", location ? location : "");
    if (ms || seconds)
        k->retry_after_ms = strtol(ms ? ms : seconds, NULL, 10) * (ms ? 1 : 1000);
}

/* What a person can do about a status. */
static const char *
hint_for(const struct call *k, const struct cli *c)
{
    switch (k->status) {
    case 401:
        return c->key ? "the key is not (or no longer) valid" : "give a key with FOOTNOTE_KEY, FOOTNOTE_KEY_FILE or --key";
    case 403: return "this key may not do that: it lacks the scope, or the collection";
    case 413: return "split the document, or raise MAX_UPLOAD_BYTES";
    case 429: return "wait a moment, or use a key with higher limits";
    case 502: return "the model server fails: `make logs` tells more";
    case 503: return "a service is busy or not running: `make status` shows which";
    case 504: return "it took too long; try again";
    default: return NULL;
    }
}

static void
explain_problem(const struct call *k, const struct cli *c, struct buf *out)
{
    enum json_fault fault;
    const char *detail, *hint = hint_for(k, c);
    json_t *p = json_read(buf_slice(&k->body), &fault, &detail);
    const json_t *first = json_array_get(json_object_get(p, "errors"), 0);
    struct str text = json_str(p, "detail");

    if (!text.n)
        text = json_str(p, "title");
    if (!p)
        buf_printf(out, "%s answered HTTP %ld: is it a Footnote gateway?", c->url, k->status);
    else
        buf_printf(out, STR_FMT " (HTTP %ld)", STR_ARG(text), k->status);
    if (json_str(first, "detail").n > 0)
        buf_printf(out, ": " STR_FMT " " STR_FMT, STR_ARG(json_str(first, "pointer")), STR_ARG(json_str(first, "detail")));
    if (k->retry_after_ms > 0)
        buf_printf(out, "; again in %lld s", (long long)((k->retry_after_ms + 999) / 1000));
    if (hint && p)
        buf_printf(out, "; %s", hint);
    if (k->status >= 500 && json_str(p, "request_id").n > 0)
        buf_printf(out, " [request " STR_FMT "]", STR_ARG(json_str(p, "request_id")));
    json_decref(p);
}

void
call_explain(const struct call *k, const struct cli *c, CURLcode result, struct buf *out)
{
    const char *words = k->error[0] ? k->error : curl_easy_strerror(result);

    switch (result) {
    case CURLE_OK: explain_problem(k, c, out); break;
    case CURLE_COULDNT_CONNECT:
        buf_printf(out, "no gateway answers at %s: is it running? `make status` shows it; --url names another one", c->url);
        break;
    case CURLE_COULDNT_RESOLVE_HOST: buf_printf(out, "%s: there is no such host; check --url", c->url); break;
    case CURLE_OPERATION_TIMEDOUT: buf_printf(out, "%s did not answer in time (%s)", c->url, words); break;
    case CURLE_WRITE_ERROR: buf_z(out, "the reply is too large"); break;
    default: buf_printf(out, "the connection to %s failed: %s", c->url, words);
    }
}

bool
call_run(struct call *k, const struct cli *c)
{
    CURLcode result = curl_easy_perform(k->easy);
    struct buf why = { 0 };

    call_finish(k);
    if (result == CURLE_OK && k->status >= 200 && k->status < 300)
        return true;
    call_explain(k, c, result, &why);
    say("%s", why.p);
    buf_free(&why);
    return false;
}

json_t *
call_json(struct call *k, const struct cli *c)
{
    enum json_fault fault;
    const char *detail;
    json_t *v;

    if (!call_run(k, c))
        return NULL;
    v = json_read(buf_slice(&k->body), &fault, &detail);
    if (!v)
        say("%s sent a reply that is %s: is it a Footnote gateway?", c->url, detail);
    else if (c->opt[CLI_JSON])
        printf(STR_FMT "\n", STR_ARG(buf_slice(&k->body)));
    return v;
}

void
call_fini(struct call *k)
{
    if (k->easy)
        curl_easy_cleanup(k->easy);
    curl_slist_free_all(k->headers);
    buf_free(&k->body);
    *k = (struct call){ 0 };
}

void
url_escape(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c))
            buf_c(b, c);
        else
            buf_printf(b, "%%%02X", (unsigned)(uint8_t)c);
    }
}
