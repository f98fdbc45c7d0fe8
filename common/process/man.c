/* Manual pages. Text is escaped so that no word of a table becomes a request: a backslash, a dot or quote that begins a line. */
#include "common/process/man.h"
#include "common/text/number.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#define LINE 76

/* One word, wherever it stands in a line. */
static void
put_word(struct buf *out, struct str w)
{
    if (w.n && (w.p[0] == '.' || w.p[0] == '\''))
        buf_z(out, "\\&");
    for (size_t i = 0; i < w.n; i++)
        if (w.p[i] == '\\')
            buf_z(out, "\\e");
        else if (w.p[i] == '-')
            buf_z(out, "\\-");
        else if (w.p[i] == '"')
            buf_z(out, "\\(dq");
        else if (w.p[i] == '~')
            buf_z(out, "\\(ti");
        else if (w.p[i] == '^')
            buf_z(out, "\\(ha");
        else
            buf_c(out, w.p[i]);
}

void
man_head(struct buf *out, const char *name, int section, const char *summary)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    int64_t given;
    time_t now = epoch && number_parse(str_of(epoch), 0, NUMBER_MOST, &given) ? (time_t)given : time(NULL);
    char day[16] = "1970-01-01";
    struct tm tm;

    if (gmtime_r(&now, &tm))
        (void)strftime(day, sizeof day, "%Y-%m-%d", &tm);
    buf_z(out, ".TH ");
    for (const char *c = name; *c; c++)
        buf_c(out, (char)toupper((unsigned char)*c));
    buf_printf(out, " %d %s \"Footnote %s\" \"Footnote\"\n.SH NAME\n%s \\- ", section, day, footnote_version,
               name);
    man_text(out, summary);
}

void
man_section(struct buf *out, const char *title)
{
    buf_printf(out, ".SH %s\n", title);
}

void
man_text(struct buf *out, const char *z)
{
    size_t line = 0;

    while (*z) {
        size_t blank = strspn(z, " \n\t"), n;
        const char *end = memchr(z, '\n', blank);
        bool paragraph = end && memchr(end + 1, '\n', blank - (size_t)(end + 1 - z)) != NULL;

        z += blank;
        n = strcspn(z, " \n\t");
        if (!n)
            break;
        if (paragraph && line) {
            buf_z(out, "\n.PP\n");
            line = 0;
        } else if (line) {
            buf_c(out, line + n > LINE ? '\n' : ' ');
            line = line + n > LINE ? 0 : line + 1;
        }
        put_word(out, (struct str){ z, n });
        line += n;
        z += n;
    }
    if (line)
        buf_c(out, '\n');
}

void
man_entry(struct buf *out, const char *term, const char *argument)
{
    buf_z(out, ".TP\n\\fB");
    put_word(out, str_of(term));
    buf_z(out, "\\fR");
    if (argument && *argument) {
        buf_z(out, *argument == '[' ? "" : " ");
        buf_z(out, "\\fI");
        put_word(out, str_of(argument));
        buf_z(out, "\\fR");
    }
    buf_c(out, '\n');
}

void
man_code(struct buf *out, const char *line)
{
    buf_z(out, ".nf\n\\fB");
    put_word(out, str_of(line));
    buf_z(out, "\\fR\n.fi\n");
}

void
opt_print_man(const struct opt_set *s, struct buf *out)
{
    static const char *const values[] = { "TEXT", "TEXT", "N", "[=on|off]", "N" };

    for (size_t i = 0; i < s->n; i++) {
        const struct opt_def *d = &s->defs[i];
        bool flag_only = d->name[0] == '-';
        struct buf term = { 0 }, facts = { 0 };

        buf_z(&term, flag_only ? "" : "--");
        for (const char *c = d->name; *c && *c != '|'; c++)
            buf_c(&term, *c == '_' ? '-' : (char)tolower((unsigned char)*c));
        man_entry(out, term.p, flag_only && d->type == OPT_bool ? NULL : values[d->type]);
        buf_printf(&facts, "%s ", d->help);
        if (!flag_only) {
            buf_z(&facts, "Environment: ");
            for (const char *c = d->name; *c; c++)
                buf_z(&facts, *c == '|' ? ", " : (char[]){ *c, '\0' });
            buf_c(&facts, '.');
        }
        if (*d->def)
            buf_printf(&facts, " Default: %s.", d->def);
        if (opt_put_bounds(&facts, d, " Allowed: "))
            buf_c(&facts, '.');
        man_text(out, facts.p);
        buf_free(&term);
        buf_free(&facts);
    }
}

void
man_service(const struct service *svc, const char *const *flags, struct buf *out)
{
    const struct opt_set rows = { .defs = svc->opts, .n = svc->n_opts };
    struct buf name = { 0 };

    buf_printf(&name, "footnote-%s", svc->name);
    man_head(out, name.p, 8, svc->summary);
    man_section(out, "SYNOPSIS");
    buf_printf(out, ".B %s\n.RI [ option ]...\n", name.p);
    man_section(out, "DESCRIPTION");
    man_text(out, svc->manual ? svc->manual : svc->summary);
    man_section(out, "OPTIONS");
    man_text(
        out,
        "Each option is taken from its flag, else from the environment variable that is named with it, else, where it is a text "
        "or a secret, from the first line of the file that NAME_FILE names, else its default. An empty variable or file counts as not set.");
    opt_print_man(&rows, out);
    for (; flags[0]; flags += 2) {
        man_entry(out, flags[0], NULL);
        man_text(out, flags[1]);
    }
    man_section(out, "SIGNALS");
    man_entry(out, "SIGTERM", NULL);
    man_text(
        out,
        "Takes no more work, finishes what is in flight, and ends with 0. A second one ends the process within a second.");
    man_entry(out, "SIGHUP", NULL);
    man_text(out, svc->reload ? "Files that options name are read again." : "Changes nothing.");
    man_section(out, "EXIT STATUS");
    man_text(
        out,
        "0: it drained, or answered a question about itself. 1: it failed; the log says why. 2: an option is wrong.");
    man_section(out, "SEE ALSO");
    buf_z(
        out,
        ".BR footnote (1),\n.BR footnote\\-gateway (8),\n.BR footnote\\-embedder (8),\n.BR footnote\\-retriever (8),\n"
        ".BR footnote\\-store (8),\n.BR footnote\\-janitor (8)\n");
    buf_free(&name);
}
