/* A base URL as people write it → where calls go. Pure but for curl's parser, which is the one that will read it.
 *
 *   http://host                         → http://host/v1/…, and without /v1 when that is not there
 *   https://host/v1/                    → https://host/v1/…
 *   https://host/v1/chat/completions    → the same
 *   https://x.openai.azure.com          → https://x.openai.azure.com/openai/v1/…
 *   https://x/deployments/d?api-version=2024-06-01 → https://x/deployments/d/…?api-version=2024-06-01 */
#include <curl/curl.h>
#include <strings.h>

#include "embedder/openai/upstream.h"

/* A resource of Azure, as its portal shows it. Others of its hosts serve a model at /models, or at their root. */
static bool
is_resource(struct str host)
{
    return str_ends(host, ".openai.azure.com") || str_ends(host, ".services.ai.azure.com") ||
           str_ends(host, ".cognitiveservices.azure.com");
}

/* Cuts slashes and one route off the path's end. false: no route was there. *rerank is set for the one route that servers have in
 * different places, so that it is meant as it stands. Azure has a base that ends with /models. */
static bool
cut_route(char *path, bool azure, bool *rerank)
{
    static const char *const routes[] = { "/rerank",     "/chat/completions", "/completions",
                                          "/embeddings", "/responses",        "/models" };
    size_t n = strlen(path);

    while (n > 0 && path[n - 1] == '/')
        path[--n] = 0;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (str_ends(str_of(path), routes[i]) && !(azure && strcmp(routes[i], "/models") == 0)) {
            path[n - strlen(routes[i])] = 0;
            *rerank = *rerank || i == 0;
            return true;
        }
    return false;
}

/* Escapes of a host are decoded by now: no name holds bytes that are no text, blanks or what ends a host. */
static bool
is_host(const char *host)
{
    for (const char *c = host; *c != 0; c++)
        if ((*c > 0 && *c <= ' ') || strchr("\x7f/?#@\\%\"<>^`{|}", *c))
            return false;
    return host[0] != 0 && utf8_valid(str_of(host));
}

static const char *
take_apart(CURLU *u, struct base_url *out)
{
    char *host = NULL, *path = NULL, *query = NULL, *user = NULL, *fragment = NULL, *whole = NULL;
    const char *why = NULL, *start;
    bool as_written = false, azure;

    curl_url_get(u, CURLUPART_USER, &user, 0);
    curl_url_get(u, CURLUPART_FRAGMENT, &fragment, 0);
    if (user)
        why = "must hold no user name: the key has an option of its own";
    else if (fragment)
        why = "must hold no #fragment";
    else if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || !is_host(host))
        why = "names no host";
    else if (curl_url_get(u, CURLUPART_PATH, &path, 0) != CURLUE_OK)
        why = "cannot be read";
    if (!why) {
        curl_url_get(u, CURLUPART_QUERY, &query, 0);
        azure = str_ends(str_of(host), ".azure.com");
        while (cut_route(path, azure, &as_written)) /* a route that was pasted behind a base that had one */
            ;
        start = path[0] == 0 && is_resource(str_of(host)) ? "/openai/v1" : path;
        curl_url_set(u, CURLUPART_QUERY, NULL, 0);
        curl_url_set(u, CURLUPART_PATH, start, 0);
        curl_url_get(u, CURLUPART_URL, &whole, 0);
        *out = (struct base_url){ .prefix = mem_dup(whole), .query = mem_dup(query ? query : "") };
        for (size_t n = strlen(out->prefix); n > 0 && out->prefix[n - 1] == '/'; n--)
            out->prefix[n - 1] = 0;
        out->azure = strstr(out->query, "api-version=") || azure;
        out->bare = start[0] == 0 && !as_written;
        out->open = !query && !as_written && !str_ends(str_of(start), "/v1") &&
                    !strstr(start, "/deployments/");
    }
    curl_free(host), curl_free(path), curl_free(query), curl_free(user), curl_free(fragment),
        curl_free(whole);
    return why;
}

const char *
base_url_read(const char *text, struct base_url *out)
{
    CURLU *u;
    const char *why;

    *out = (struct base_url){ .prefix = NULL };
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return "must begin with http:// or https://";
    for (const char *c = text; *c != 0; c++)
        if (*c <= ' ' || *c == 0x7f)
            return "holds spaces";
    u = curl_url();
    why = curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK
              ? "is no URL: scheme, host, port (1 to 65535) and path"
              : take_apart(u, out);
    curl_url_cleanup(u);
    return why;
}

void
base_url_fini(struct base_url *b)
{
    mem_free(&b->prefix);
    mem_free(&b->query);
}

char *
base_url_auth(const struct base_url *base, const char *key, const char *header)
{
    struct buf b = BUF_MAX(8192);
    char *line;

    if (!key || key[0] == 0)
        return NULL;
    if (header[0] == 0)
        header = base->azure ? "api-key" : "Authorization";
    buf_printf(&b, "%s: %s%s", header, strcasecmp(header, "Authorization") == 0 ? "Bearer " : "", key);
    line = mem_dup(b.p);
    explicit_bzero(b.p, b.n);
    buf_free(&b);
    return line;
}
