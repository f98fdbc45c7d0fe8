/* POST by libcurl. */
#include <string.h>

#include "common/process/curl_lib.h"
#include "common/trace/trace_int.h"

struct post {
    const struct curl_lib *curl;
    CURL *easy;
    struct curl_slist *headers;
};

/* The server's answer is of no use. */
static size_t
discard(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    (void)arg;
    return size * n;
}

/* "name=value,name=value" → header lines. */
static void
add_headers(struct post *p, const char *headers)
{
    p->headers = p->curl->slist_append(NULL, "Content-Type: application/json");
    p->headers = p->curl->slist_append(p->headers, "Expect:");
    for (const char *h = headers ? headers : ""; *h;) {
        size_t n = strcspn(h, ","), eq = strcspn(h, "=");
        struct buf line = BUF_MAX(8192);

        if (eq < n) {
            buf_add(&line, h, eq);
            buf_z(&line, ": ");
            buf_add(&line, h + eq + 1, n - eq - 1);
            p->headers = p->curl->slist_append(p->headers, line.p);
        }
        buf_free(&line);
        h += n;
        h += *h == ',';
    }
}

struct post *
post_new(const char *url, const char *headers, const char **why)
{
    struct post *p = mem_new(sizeof *p);

    p->curl = curl_lib();
    if (!p->curl || !(p->easy = p->curl->easy_init())) {
        *why = CURL_LIB_MISSING;
        post_free(&p);
        return NULL;
    }
    add_headers(p, headers);
    p->curl->easy_setopt(p->easy, CURLOPT_URL, url);
    p->curl->easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
    p->curl->easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, discard);
    p->curl->easy_setopt(p->easy, CURLOPT_NOSIGNAL, 1L);
    p->curl->easy_setopt(p->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    p->curl->easy_setopt(p->easy, CURLOPT_USERAGENT, "footnote");
    return p;
}

bool
post_send(struct post *p, struct str body, long timeout_ms)
{
    long status = 0;

    p->curl->easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    p->curl->easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    p->curl->easy_setopt(p->easy, CURLOPT_POSTFIELDS, body.p);
    if (p->curl->easy_perform(p->easy) != CURLE_OK)
        return false;
    p->curl->easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

void
post_free(struct post **pp)
{
    struct post *p = *pp;

    if (!p)
        return;
    if (p->easy)
        p->curl->easy_cleanup(p->easy);
    if (p->headers)
        p->curl->slist_free_all(p->headers);
    mem_free(pp);
}
