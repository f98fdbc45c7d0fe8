/* Calls to the site that is kept in step: one at a time, at its pace, within one origin. Redirects are
 * followed by hand, so that none leads elsewhere. */
#include "client/sync/sync.h"

#include <strings.h>

#include "common/clock.h"
#include "common/process/proc.h"

#define REDIRECTS 5
#define TRIES 4

/* ---- addresses */

/* Bytes of "https://host:port". 0: it is no address of the web. */
static size_t
origin_bytes(const char *url)
{
    size_t n = strncasecmp(url, "https://", 8) == 0 ? 8 : strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
    size_t host = strcspn(url + n, "/?#");

    return n && host > 0 && !memchr(url + n, '@', host) && !memchr(url + n, '\\', host) ? n + host : 0;
}

static bool
clean(const char *url)
{
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127 || strchr("\"<>\\^`{|}", *p))
            return false;
    return strlen(url) <= SYNC_URL_MAX;
}

/* Bytes of an origin without the port that its scheme has anyway. */
static size_t
without_default_port(const char *url, size_t n)
{
    const char *port = strncasecmp(url, "https", 5) == 0 ? ":443" : ":80";
    size_t m = strlen(port);

    return n > m && memcmp(url + n - m, port, m) == 0 ? n - m : n;
}

bool
host_of(struct host *h, const char *url)
{
    size_t n = origin_bytes(url), path = strcspn(url, "?#");

    *h = (struct host){ 0 };
    if (n == 0 || !clean(url) || url[path]) {
        say("the site must be an address such as https://docs.example.org/, without ? and #, not \"%s\"",
            url);
        return false;
    }
    while (path > n && url[path - 1] != '/')
        path--;
    h->origin = mem_dup_str((struct str){ url, without_default_port(url, n) });
    for (char *p = h->origin; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    h->folder = path > n ? mem_dup_str((struct str){ url + n, path - n }) : mem_dup("/");
    return true;
}

void
host_fini(struct host *h)
{
    mem_free(&h->origin);
    mem_free(&h->folder);
}

const char *
host_path(const struct host *h, const char *url)
{
    size_t n = origin_bytes(url), m = without_default_port(url, n);

    return n > 0 && m == strlen(h->origin) && strncasecmp(url, h->origin, m) == 0 ? url + n : NULL;
}

bool
host_has(const struct host *h, const char *url)
{
    const char *path = host_path(h, url);

    return path && clean(url) && !strchr(url, '#') &&
           (strncmp(path, h->folder, strlen(h->folder)) == 0 || (strcmp(h->folder, "/") == 0 && !*path));
}

/* ---- one call */

static void
clear(struct visit *v)
{
    visit_fini(v);
    *v = (struct visit){ .retry_after_ms = -1 };
}

static void
prepare(struct fetch *k, const char *url, const char *etag, const char *modified, size_t most)
{
    struct buf agent = { 0 };

    fetch_open(k, url, most);
    buf_printf(&agent, "footnote/%s (sync)", footnote_version);
    curl_easy_setopt(k->easy, CURLOPT_USERAGENT, agent.p);
    curl_easy_setopt(k->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(k->easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(k->easy, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(k->easy, CURLOPT_TIMEOUT_MS, 120000L);
    if (*etag)
        fetch_header_add(k, "If-None-Match", etag);
    if (*modified)
        fetch_header_add(k, "If-Modified-Since", modified);
    buf_free(&agent);
}

static void
once(const char *url, const char *etag, const char *modified, size_t most, struct visit *v)
{
    CURLcode result;
    struct fetch k;

    clear(v);
    prepare(&k, url, etag, modified, most);
    result = curl_easy_perform(k.easy);
    fetch_finish(&k);
    v->reached = result == CURLE_OK;
    v->status = k.status;
    v->retry_after_ms = k.retry_after_ms;
    v->type = mem_dup(fetch_header(&k, "Content-Type"));
    v->etag = mem_dup(fetch_header(&k, "ETag"));
    v->modified = mem_dup(fetch_header(&k, "Last-Modified"));
    v->location = mem_dup(fetch_header(&k, "Location"));
    v->robots = mem_dup(fetch_header(&k, "X-Robots-Tag"));
    v->body = k.body;
    k.body = (struct buf){ 0 };
    if (v->body.failed)
        snprintf(v->error, sizeof v->error, "it is larger than %zu MB", most >> 20);
    else if (result != CURLE_OK)
        snprintf(v->error, sizeof v->error, "%s", k.error[0] ? k.error : curl_easy_strerror(result));
    fetch_fini(&k);
}

static void
wait_until(int64_t at_ms)
{
    int64_t now = clock_ms();

    if (at_ms > now)
        fetch_nap(at_ms - now);
}

/* At its turn, and again when the site asks for patience or fails for a moment. */
static void
patient(struct host *h, const char *url, const char *etag, const char *modified, size_t most, struct visit *v)
{
    for (int tries = 1;; tries++) {
        int64_t wait_ms;
        bool passing;

        wait_until(h->next_ms);
        h->calls++;
        once(url, etag, modified, most, v);
        h->next_ms = clock_ms() + h->every_ms;
        passing = (!v->reached && !v->body.failed) || v->status == 429 || v->status >= 500;
        wait_ms = fetch_pause_ms(v->retry_after_ms, tries + 1); /* a stranger's server gets more patience */
        if (!passing || tries == TRIES || wait_ms > FETCH_WAIT_MAX_MS)
            return;
        if (clock_ms() + wait_ms > h->next_ms)
            h->next_ms = clock_ms() + wait_ms;
    }
}

/* Where a redirect leads, if it stays within the origin; NULL: elsewhere. */
static char *
target(const struct host *h, const char *from, const char *location)
{
    CURLU *u = curl_url();
    char *whole = NULL, *copy = NULL;

    if (u && curl_url_set(u, CURLUPART_URL, from, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &whole, 0) == CURLUE_OK && clean(whole) && host_path(h, whole))
        copy = mem_dup(whole);
    curl_free(whole);
    curl_url_cleanup(u);
    return copy;
}

bool
host_get(struct host *h, const char *url, const char *etag, const char *modified, size_t most,
         struct visit *v)
{
    char *at = mem_dup(url);
    bool moved = true;

    for (int hops = 0; moved && hops <= REDIRECTS; hops++) {
        char *next = NULL;

        patient(h, at, etag, modified, most, v);
        moved = v->reached && v->status >= 301 && v->status <= 308 && v->status != 304 && v->location[0];
        if (!moved)
            break;
        next = target(h, at, v->location);
        if (!next) {
            snprintf(v->error, sizeof v->error, "it leads to another site: %.150s", v->location);
            break;
        }
        mem_free(&at);
        at = next;
    }
    if (moved && !v->error[0])
        snprintf(v->error, sizeof v->error, "it is redirected too often");
    mem_free(&at);
    return v->reached && !moved;
}

void
visit_fini(struct visit *v)
{
    buf_free(&v->body);
    mem_free(&v->type);
    mem_free(&v->etag);
    mem_free(&v->modified);
    mem_free(&v->location);
    mem_free(&v->robots);
}
