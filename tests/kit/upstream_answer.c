/* upstream-stub's answers: embeddings of hashed words, chats that quote passage [1], whole or as events. */
#include "tests/kit/upstream_stub.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIMS 4096

/* Send a 200 body, in one write or in drips at the given ends; cut where the script says. */
static void
send_body(struct turn *t, const char *type, const char *body, size_t n, const size_t *ends, size_t n_ends)
{
    long drip = ends != NULL ? rule_drawn(t->rule, "drip_ms", "drip_to_ms", stub_conf.drip_ms) : 0,
         cut = rule_num(t->rule, "cut_after_bytes", -1);
    const char *ctype = json_text(t->rule, "content_type", type);
    size_t stop = cut >= 0 && (size_t)cut < n ? (size_t)cut : n, at = 0;

    if (rule_flag(t->rule, "garbage")) {
        static const char junk[] = "<html>data: {not json\n\ndata: {\"choices\": 7\n\n</html>\n\n";

        body = junk;
        n = stop = sizeof junk - 1;
        drip = 0;
    }
    if (drip <= 0 && stop == n) {
        stub_reply(t->c, 200, ctype, "", body, n);
        return;
    }
    mg_printf(t->c, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", ctype, n);
    for (size_t i = 0; drip > 0 && i < n_ends && ends[i] <= stop; i++) {
        if (mg_write(t->c, body + at, ends[i] - at) <= 0 || !stub_wait(t->c, drip)) {
            atomic_fetch_add(&stub_sums.aborted, 1);
            mg_disable_connection_keep_alive(t->c);
            return;
        }
        at = ends[i];
    }
    if (stop > at)
        mg_write(t->c, body + at, stop - at);
    if (stop < n)
        mg_disable_connection_keep_alive(t->c);
}

/* ---- embeddings */
static void
embed_text(const char *z, float *v, size_t dims)
{
    double sum = 0;

    memset(v, 0, dims * sizeof *v);
    while (*z != 0) {
        uint32_t h = 2166136261u;
        size_t n = 0;

        while (isalnum((unsigned char)z[n]) || (unsigned char)z[n] >= 0x80) {
            h = (h ^ (uint32_t)tolower((unsigned char)z[n])) * 16777619u;
            n++;
        }
        float weight =
            n > 3
                ? 1.0f
                : 0.1f; /* short words are mostly of grammar: a model that knows meanings hardly counts them */

        if (n > 0) {
            v[h % dims] += weight;
            v[(h >> 16) % dims] += (h & 0x8000) ? weight / 2 : -weight / 2;
        }
        z += n > 0 ? n : 1;
    }
    for (size_t i = 0; i < dims; i++)
        sum += (double)v[i] * (double)v[i];
    if (sum < 1e-9) {
        v[0] = 1.0f;
        sum = 1;
    }
    for (size_t i = 0; i < dims; i++)
        v[i] = (float)(v[i] / sqrt(sum));
}

static void
put_base64(FILE *f, const unsigned char *p, size_t n)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);

        fputc(abc[v >> 18], f);
        fputc(abc[v >> 12 & 63], f);
        fputc(i + 1 < n ? abc[v >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? abc[v & 63] : '=', f);
    }
}

static void
put_row(FILE *f, const struct turn *t, size_t index, const char *text, size_t dims, bool base64)
{
    static _Thread_local float v[MAX_DIMS];

    embed_text(text, v, dims);
    if (rule_flag(t->rule, "nan"))
        v[dims / 2] = NAN;
    fprintf(f, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", index > 0 ? "," : "",
            rule_flag(t->rule, "bad_index") ? index + 7 : index);
    if (base64) {
        fputc('"', f);
        put_base64(f, (const unsigned char *)v, dims * sizeof *v);
        fputs("\"}", f);
        return;
    }
    for (size_t i = 0; i < dims; i++)
        if (isfinite(v[i]))
            fprintf(f, "%c%.7g", i == 0 ? '[' : ',', (double)v[i]);
        else
            fprintf(f, "%cNaN", i == 0 ? '[' : ',');
    fputs("]}", f);
}

void
answer_embeddings(struct turn *t)
{
    json_t *input = json_object_get(t->req, "input");
    size_t dims = (size_t)rule_num(t->req, "dimensions", stub_conf.dims),
           n = json_is_array(input) ? json_array_size(input) : 1, len;
    bool base64 = strcmp(json_text(t->req, "encoding_format", "float"), "base64") == 0;
    char *out = NULL;
    long tokens = 0;
    FILE *f = open_memstream(&out, &len);

    dims = dims == 0 || dims > MAX_DIMS ? 1 : dims;
    if (rule_flag(t->rule, "wrong_dims"))
        dims -= 1;
    base64 = base64 && !rule_flag(t->rule, "floats");
    fputs("{\"object\":\"list\",\"data\":[", f);
    for (size_t i = 0; i + (size_t)rule_flag(t->rule, "drop_last") < n; i++) {
        const char *z = json_string_value(json_is_array(input) ? json_array_get(input, i) : input);

        tokens += !z ? 0 : (long)(strlen(z) + 3) / 4;
        put_row(f, t, i, !z ? "" : z, dims, base64);
    }
    fprintf(f, "],\"model\":\"%s\",\"usage\":{\"prompt_tokens\":%ld,\"total_tokens\":%ld}}",
            json_text(t->req, "model", "stub"), tokens, tokens);
    fclose(f);
    atomic_fetch_add(&stub_sums.texts, (long)n);
    atomic_fetch_add(&stub_sums.prompt_tokens, tokens);
    send_body(t, "application/json", out, len, NULL, 0);
    free(out);
}

/* ---- chat */
/* The first sentence of passage [1] of the last message, and its mark. */
static void
default_answer(const char *prompt, char *out, size_t cap)
{
    const char *p = strstr(prompt, "\n[1]"), *end;

    if (!p) {
        snprintf(out, cap, "There are no passages in this prompt.");
        return;
    }
    p += 1;
    do {
        p = strchr(p, '\n');
        p = !p ? "" : p + 1;
    } while (*p == '#' || *p == '\n');
    for (end = p; *end != 0 && end - p < 280; end++)
        if ((strchr(".!?", *end) && (isspace((unsigned char)end[1]) || end[1] == 0)) ||
            (end[0] == '\n' && end[1] == '\n'))
            break;
    while (end > p && ((unsigned char)*end & 0xc0) == 0x80)
        end--;
    snprintf(out, cap, "%.*s [1]", (int)(end - p) + (strchr(".!?", *end) && *end != 0), p);
}

/* The prompt's last word canary-<12 hex>: so a test sees whose answer it was given. */
static void
add_canary(const char *prompt, char *out, size_t cap)
{
    const char *last = NULL;
    size_t n = strlen(out);

    for (const char *p = strstr(prompt, "canary-"); p != NULL; p = strstr(p + 1, "canary-"))
        last = p;
    if (last)
        snprintf(out + n, cap - n, " %.19s", last);
}

static const char *
prompt_of(const struct turn *t)
{
    json_t *messages = json_object_get(t->req, "messages");

    if (t->route == COMPLETIONS)
        return json_text(t->req, "prompt", "");
    return json_text(json_array_get(messages, json_array_size(messages) - 1), "content", "");
}

static void
put_event(FILE *f, const char *model, const char *content, const char *finish)
{
    json_t *delta = content != NULL ? json_pack("{s:s}", "content", content) : json_object();
    json_t *e = json_pack("{s:s,s:s,s:i,s:s,s:[{s:i,s:o,s:s?}]}", "id", "chatcmpl-stub", "object",
                          "chat.completion.chunk", "created", 1, "model", model, "choices", "index", 0,
                          "delta", delta, "finish_reason", finish);
    char *z = json_dumps(e, JSON_COMPACT);

    fprintf(f, "data: %s\n\n", z);
    free(z);
    json_decref(e);
}

#define EVENTS 4096
static void
stream_answer(struct turn *t, const char *text, long ptok, long ctok)
{
    static _Thread_local size_t ends[EVENTS];
    const char *model = json_text(t->req, "model", "stub"), *p = text;
    long error_after = rule_num(t->rule, "error_after", -1), junk_after = rule_num(t->rule, "junk_after", -1);
    size_t n = 0, len = 0;
    char *out = NULL, piece[256];
    FILE *f = open_memstream(&out, &len);

    put_event(f, model, "", NULL);
    while (*p != 0 && n < EVENTS - 8) {
        size_t k = strcspn(p + 1, " ") + 1;

        k = k < sizeof piece - 1 ? k : sizeof piece - 1;
        while (k > 1 && ((unsigned char)p[k] & 0xc0) == 0x80)
            k--;
        memcpy(piece, p, k);
        piece[k] = 0;
        fflush(f);
        ends[n++] = len;
        if (error_after >= 0 && n > (size_t)error_after)
            break;
        if (junk_after >= 0 && n == (size_t)junk_after + 1)
            fputs("data: {\"choices\":7}\n\n", f);
        put_event(f, model, piece, NULL);
        p += k;
    }
    if (error_after >= 0)
        fputs(
            "data: {\"error\":{\"message\":\"scripted\",\"type\":\"server_error\",\"code\":\"stub_error\"}}\n\n",
            f);
    else if (!rule_flag(t->rule, "no_done")) {
        put_event(f, model, NULL, "stop");
        if (json_is_true(json_object_get(json_object_get(t->req, "stream_options"), "include_usage")))
            fprintf(
                f,
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n",
                ptok, ctok, ptok + ctok);
        fputs("data: [DONE]\n\n", f);
    }
    fclose(f);
    ends[n++] = len;
    send_body(t, "text/event-stream", out, len, ends, n);
    free(out);
}

static void
whole_answer(struct turn *t, const char *text, long ptok, long ctok)
{
    json_t *choice = t->route == CHAT
                         ? json_pack("{s:i,s:{s:s,s:s},s:s}", "index", 0, "message", "role", "assistant",
                                     "content", text, "finish_reason", "stop")
                         : json_pack("{s:i,s:s,s:s}", "index", 0, "text", text, "finish_reason", "stop");
    json_t *o = json_pack("{s:s,s:s,s:i,s:s,s:[o],s:{s:I,s:I,s:I}}", "id", "chatcmpl-stub", "object",
                          "chat.completion", "created", 1, "model", json_text(t->req, "model", "stub"),
                          "choices", choice, "usage", "prompt_tokens", (json_int_t)ptok, "completion_tokens",
                          (json_int_t)ctok, "total_tokens", (json_int_t)(ptok + ctok));
    char *z = json_dumps(o, JSON_COMPACT);

    send_body(t, "application/json", z, strlen(z), NULL, 0);
    free(z);
    json_decref(o);
}

void
answer_chat(struct turn *t)
{
    char quote[512];
    const char *text = json_text(t->rule, "text", NULL);
    long ptok = (long)t->n / 4, ctok;

    if (!text) {
        default_answer(prompt_of(t), quote, sizeof quote);
        if (stub_conf.echo_canary)
            add_canary(prompt_of(t), quote, sizeof quote);
        text = quote;
    }
    ctok = (long)(strlen(text) + 3) / 4;
    atomic_fetch_add(&stub_sums.prompt_tokens, ptok);
    atomic_fetch_add(&stub_sums.completion_tokens, ctok);
    if (json_is_true(json_object_get(t->req, "stream")))
        stream_answer(t, text, ptok, ctok);
    else
        whole_answer(t, text, ptok, ctok);
}
