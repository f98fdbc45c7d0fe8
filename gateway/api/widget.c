/* GET /widget.js: the chat for other pages, one script (web/widget/). It is assembled into the program as it is and compressed; both
 * have an ETag, so that a browser that has it is only told so. Any page may load it, with the checks of CORS (integrity=) and
 * without: the file is the same for everybody, and what it asks for afterwards has the checks of its own. */
#include <pthread.h>
#include <stdio.h>

#include "common/digest.h"
#include "gateway/api/api.h"
#include "gateway/api/page.h"

FILE_IN(web_widget, "widget.js");
FILE_IN(web_widget_gz, "widget.js.gz");

/* Does the list name gzip, and not to refuse it? */
static bool
takes_gzip(struct str accept)
{
    const char *p = accept.p ? strcasestr(accept.p, "gzip") : NULL;

    if (!p)
        return false;
    p += strlen("gzip");
    p += strspn(p, " \t");
    if (*p != ';')
        return *p == ',' || *p == '\0';
    p += 1 + strspn(p + 1, " \t");
    return strncasecmp(p, "q=", 2) != 0 || strtod(p + 2, NULL) > 0;
}

static struct form {
    struct str body;
    char digest[33];
} forms[2]; /* as it is, and compressed */

static void
make_forms(void)
{
    uint8_t hash[32];

    forms[0].body = (struct str){ web_widget, (size_t)(web_widget_end - web_widget) };
    forms[1].body = (struct str){ web_widget_gz, (size_t)(web_widget_gz_end - web_widget_gz) };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        sha256(&forms[i].body, 1, hash);
        hex_text(hash, 16, forms[i].digest);
    }
}

static const struct form *
form_of(bool gzip)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_forms);
    return &forms[gzip ? 1 : 0];
}

const char *
widget_version(void)
{
    return form_of(false)->digest;
}

void
route_widget(struct request *r)
{
    bool gzip = takes_gzip(request_header(r, "Accept-Encoding"));
    const struct form *form = form_of(gzip);
    struct str had = request_header(r, "If-None-Match");
    char tag[37];

    snprintf(tag, sizeof tag, "\"%.32s\"", form->digest);
    r->conn->origin = "*";
    request_header_add(r, "Cross-Origin-Resource-Policy", "cross-origin");
    request_header_add(r, "Cache-Control", "public, max-age=600");
    request_header_add(r, "Vary", "Accept-Encoding");
    request_header_add(r, "ETag", tag);
    if (had.p && (strstr(had.p, tag) || strcmp(had.p, "*") == 0)) {
        reply_empty(r, 304);
        return;
    }
    if (gzip)
        request_header_add(r, "Content-Encoding", "gzip");
    reply_bytes(r, 200, "text/javascript; charset=utf-8", form->body);
}
