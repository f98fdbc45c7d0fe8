/* footnote-convert: a document on standard input → its HTML on standard output, made by the server of EXTRACT_URL: Apache Tika's
 * PUT /tika, or another that takes the same; with the path /v1/convert/file docling-serve's (docling.h).
 *
 *   footnote-convert URL MEDIA-TYPE SECONDS < document
 *
 * The retriever starts one for each document of EXTRACT_FORMATS, and gives the HTML to footnote-extract. So whoever reads strangers'
 * bytes has no network, whoever has it reads nothing, and services that need neither carry neither. How it ends: proto/converted.h. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/process/proc.h"
#include "common/write.h"
#include "convert/docling.h"
#include "proto/converted.h"

#define CONNECT_MS 2000L

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct buf *out = arg;

    buf_add(out, p, size * n);
    return out->failed ? 0 : size * n;
}

static _Noreturn void
end(enum convert_end how, struct str s)
{
    _exit(write_all(STDOUT_FILENO, s) ? (int)how : CONVERT_FAILED);
}

static _Noreturn void
tell(enum convert_end how, const char *what, long status)
{
    char text[CONVERTED_REASON];

    if (status > 0)
        (void)snprintf(text, sizeof text, "the extraction server (EXTRACT_URL) %s (status %ld)", what,
                       status);
    else
        (void)snprintf(text, sizeof text, "the extraction server (EXTRACT_URL) %s", what);
    end(how, str_of(text));
}

/* Behind the host stands a path, or Tika's. */
static void
add_path(const char *url, struct buf *out)
{
    const char *host = strstr(url, "://"), *path = strchr(host ? host + 3 : url, '/');

    buf_z(out, url);
    if (!path)
        buf_z(out, "/tika");
    else if (path[1] == 0)
        buf_z(out, "tika");
}

/* docling-serve says 200 whatever became of the document. */
static _Noreturn void
judge_docling(struct str reply)
{
    struct buf html = BUF_MAX(CONVERTED_BYTES);

    switch (docling_html(reply, &html)) {
    case DOCLING_DONE: end(CONVERT_DONE, buf_slice(&html));
    case DOCLING_EMPTY: tell(CONVERT_REFUSED, "found no text in the document", 0);
    case DOCLING_FAILED: tell(CONVERT_REFUSED, "cannot read the document", 0);
    case DOCLING_OTHER: break;
    }
    tell(CONVERT_AWAY, "does not answer as docling-serve does at that address", 0);
}

static _Noreturn void
judge_status(long status, struct str html, bool docling)
{
    if (status == 200 && html.n > 0 && docling)
        judge_docling(html);
    if (status == 200 && html.n > 0)
        end(CONVERT_DONE, html);
    if (status == 200 || status == 204)
        tell(CONVERT_REFUSED, "found no text in the document", 0);
    if (status == 429 || (status >= 502 && status <= 504))
        tell(CONVERT_AWAY, "takes no documents now", status);
    if (status >= 500)
        tell(CONVERT_FAILED, "failed at the document", status);
    if (status < 400 || status == 401 || status == 403 || status == 404 || status == 405)
        tell(CONVERT_AWAY, "does not convert documents at that address", status);
    tell(CONVERT_REFUSED, "cannot read the document", status);
}

static _Noreturn void
judge_fault(CURL *c, CURLcode code, const struct buf *html)
{
    curl_off_t sent_us = 0;

    curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    if (html->failed)
        tell(CONVERT_REFUSED, "makes more than 64 MB of the document", 0);
    if (sent_us == 0)
        tell(CONVERT_AWAY, "cannot be reached", 0);
    if (code == CURLE_OPERATION_TIMEDOUT)
        tell(CONVERT_FAILED, "did not answer in the time of EXTRACT_TIMEOUT", 0);
    tell(CONVERT_FAILED, "broke its answer off", 0);
}

static void
put_tika(CURL *c, const char *type, struct buf *kind, struct curl_slist **headers)
{
    struct stat st;

    buf_printf(kind, "Content-Type: %s", type);
    *headers = curl_slist_append(*headers, "Accept: text/html");
    if (kind->failed || fstat(STDIN_FILENO, &st) != 0)
        tell(CONVERT_FAILED, "could not be asked", 0);
    *headers = curl_slist_append(*headers, kind->p);
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_READDATA, stdin);
    curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
}

static size_t
more(char *to, size_t size, size_t n, void *arg)
{
    return fread(to, 1, size * n, arg);
}

static bool
field(curl_mime *form, const char *name, const char *value)
{
    curl_mimepart *part = curl_mime_addpart(form);

    return part && curl_mime_name(part, name) == CURLE_OK &&
           curl_mime_data(part, value, CURL_ZERO_TERMINATED) == CURLE_OK;
}

static bool
post_docling(CURL *c, const char *type)
{
    curl_mime *form = curl_mime_init(c);
    curl_mimepart *file = form ? curl_mime_addpart(form) : NULL;
    char name[64];
    struct stat st;

    docling_name(type, name, sizeof name);
    return file && fstat(STDIN_FILENO, &st) == 0 && curl_mime_name(file, "files") == CURLE_OK &&
           curl_mime_filename(file, name) == CURLE_OK && curl_mime_type(file, type) == CURLE_OK &&
           curl_mime_data_cb(file, (curl_off_t)st.st_size, more, NULL, NULL, stdin) == CURLE_OK &&
           field(form, "to_formats", "html") && field(form, "image_export_mode", "placeholder") &&
           field(form, "abort_on_error", "false") && curl_easy_setopt(c, CURLOPT_MIMEPOST, form) == CURLE_OK;
}

static _Noreturn void
convert(const char *url, const char *type, long seconds)
{
    struct buf html = BUF_MAX(CONVERTED_BYTES), to = BUF_MAX(8192), kind = BUF_MAX(512);
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    bool docling = docling_is(url);
    CURL *c = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    CURLcode code;
    long status = 0;

    add_path(url, &to);
    if (!c || to.failed || (docling && !post_docling(c, type)))
        tell(CONVERT_FAILED, "could not be asked", 0);
    curl_easy_setopt(c, CURLOPT_URL, to.p);
    if (!docling)
        put_tika(c, type, &kind, &headers);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &html);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, seconds);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_USERAGENT, "footnote-convert");
    code = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        judge_fault(c, code, &html);
    judge_status(status, buf_slice(&html), docling);
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("footnote-convert %s (%s)\n", footnote_version, footnote_build) < 0;
    if (argc != 4) {
        (void)
            fputs("usage: footnote-convert URL MEDIA-TYPE SECONDS < document > html\n"
                  "Has one document converted by EXTRACT_URL. The retriever runs it; nobody else needs to.\n",
                  argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : CONVERT_USAGE;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return CONVERT_FAILED;
    convert(argv[1], argv[2], strtol(argv[3], NULL, 10));
}
