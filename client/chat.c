/* footnote chat: a conversation on a terminal: each question follows on from those before it. Lines come from
 * standard input, so that a file of questions does as well; answers are streamed (ask.c). A cited passage is shown
 * by $PAGER, or printed where there is no terminal. */
#include <stdlib.h>
#include <unistd.h>

#include "common/text/number.h"
#include "common/text/text.h"
#include "client/client.h"

struct chat {
    struct cli *cli;
    char session[37];
    struct asked last; /* sources of the last answer, and the conversation */
    bool tty;          /* somebody types */
    int rc;            /* of the last question */
};

static void
on_interrupt(int signal)
{
    (void)signal;
    ask_stopped = 1;
}

static void
help(void)
{
    puts("[n]       the passage that the last answer cites as [n], in its surroundings\n"
         "/sources  the sources of the last answer again\n"
         "/new      a new session: what was said before counts no more\n"
         "/session  its id: footnote chat --session goes on with it\n"
         "/quit     the end\n"
         "Everything else is a question.");
}

static void
begin(struct chat *h)
{
    struct uuid fresh = uuid_v4();

    uuid_text(&fresh, h->session);
    json_decref(h->last.sources);
    h->last = (struct asked){ 0 };
}

/* ---- a passage */

static void
put_passage(FILE *f, const json_t *v)
{
    const json_t *s = json_object_get(v, "source");
    struct str title = json_str(s, "title"), section = json_str(s, "section");

    put_line(f, title.n > 0 ? title : json_str(s, "external_id"));
    if (section.n > 0) {
        fputs(" · ", f);
        put_line(f, section);
    }
    fputs("\n\n", f);
    if (json_flag(v, "more_before", false))
        fputs("… ", f);
    put_text(f, json_str(v, "before"));
    fputs("»", f);
    put_text(f, json_str(s, "content_excerpt"));
    fputs("«", f);
    put_text(f, json_str(v, "after"));
    if (json_flag(v, "more_after", false))
        fputs(" …", f);
    fputc('\n', f);
    if (str_is(json_str(v, "state"), "gone"))
        fputs("\nThe document does not say this any more.\n", f);
    if (json_str(s, "link").n > 0) {
        fputc('\n', f);
        put_line(f, json_str(s, "link"));
        fputc('\n', f);
    }
}

/* With the reader's pager, which is a command of the shell, as everywhere. */
static void
page(const json_t *v)
{
    const char *pager = getenv("PAGER");
    FILE *f = isatty(STDOUT_FILENO) ? popen(pager && *pager ? pager : "less", "w") : NULL;

    put_passage(f ? f : stdout, v);
    if (f && pclose(f) != 0 && !ask_stopped)
        put_passage(stdout, v);
}

static const json_t *
source_of(const struct chat *h, int64_t n)
{
    size_t i;
    json_t *s;

    json_array_foreach (h->last.sources, i, s)
        if (json_int(s, "n", 0) == n)
            return s;
    return NULL;
}

static void
open_passage(struct chat *h, int64_t n)
{
    const json_t *s = source_of(h, n);
    struct str id = json_str(s, "id");
    struct buf path = { 0 };
    struct fetch k;
    json_t *v;

    if (!s || id.n == 0) {
        say(s ? "[%lld] is the text that you selected" : "the last answer has no source [%lld]",
            (long long)n);
        return;
    }
    buf_z(&path, "/api/v1/citations/");
    url_escape(&path, id);
    fetch_init(&k, h->cli, "GET", path.p, STR_NONE, h->session);
    v = fetch_json(&k, h->cli);
    if (v)
        page(v);
    json_decref(v);
    fetch_fini(&k);
    buf_free(&path);
}

/* ---- a line */

static void
ask(struct chat *h, struct str question)
{
    struct buf body = { 0 };

    ask_body(h->cli, question, h->session, h->last.conversation, true, &body);
    h->rc = ask_stream(h->cli, buf_slice(&body), h->session, &h->last);
    buf_free(&body);
}

/* The number of "[3]"; 0: the line is none. */
static int64_t
number_of(struct str line)
{
    int64_t n = 0;

    if (line.n < 3 || line.p[0] != '[' || line.p[line.n - 1] != ']' ||
        !number_parse((struct str){ line.p + 1, line.n - 2 }, 1, 999, &n))
        return 0;
    return n;
}

/* False: that was the end. */
static bool
on_line(struct chat *h, struct str line)
{
    int64_t n = number_of(line);

    if (str_is(line, "/quit") || str_is(line, "/q") || str_is(line, "/exit"))
        return false;
    if (n > 0)
        open_passage(h, n);
    else if (str_is(line, "/sources"))
        put_sources(h->cli, h->last.sources);
    else if (str_is(line, "/new"))
        begin(h);
    else if (str_is(line, "/session"))
        puts(h->session);
    else if (str_is(line, "/help") || str_is(line, "?"))
        help();
    else if (line.n > 0 && line.p[0] == '/')
        say("there is no " STR_FMT "; /help lists what there is", STR_ARG(line));
    else if (line.n > 0)
        ask(h, line);
    return true;
}

int
cmd_chat(struct cli *c)
{
    struct chat h = { .cli = c, .tty = isatty(STDIN_FILENO) };
    struct sigaction stop = { .sa_handler = on_interrupt }; /* without SA_RESTART: the prompt ends, too */
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool more = true;

    begin(&h);
    if (c->opt[CLI_SESSION])
        snprintf(h.session, sizeof h.session, "%s", c->opt[CLI_SESSION]);
    if (h.tty)
        sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN); /* a pager that is left early */
    if (h.tty)
        puts("Ask; /help says what else there is.");
    while (more) {
        if (h.tty)
            fputs("\n> ", stdout);
        fflush(stdout);
        ask_stopped = 0;
        n = getline(&line, &room, stdin);
        more = n >= 0 && on_line(&h, text_trim((struct str){ line, (size_t)n }));
    }
    if (h.tty && n < 0)
        putchar('\n');
    json_decref(h.last.sources);
    mem_free(&line);
    return h.rc;
}
