/* Options for people: --help, --check-config, and the rows of .env.example and docs/configuration.md. */
#include <ctype.h>
#include <stdio.h>

#include "common/process/opt.h"

static struct str
first_name(const struct opt_def *d)
{
    return (struct str){ d->name, strcspn(d->name, "|") };
}

static bool
is_flag_only(const struct opt_def *d)
{
    return d->name[0] == '-';
}

static const char *
type_word(const struct opt_def *d)
{
    static const char *const words[] = { "text", "secret", "whole number", "on or off", "number" };

    return words[d->type];
}

/* 16 digits: 10^15 is written as people write it, and 0.1 as it was. */
bool
opt_put_bounds(struct buf *out, const struct opt_def *d, const char *before)
{
    if (d->type == OPT_bool || (d->min == 0 && d->max == 0))
        return false;
    buf_printf(out, "%s%.16g to %.16g%s", before, d->min, d->max,
               d->type == OPT_str || d->type == OPT_secret ? " bytes" : "");
    return true;
}

static void
put_flag(struct buf *out, const struct opt_def *d)
{
    static const char *const values[] = { " TEXT", " TEXT", " N", "[=on|off]", " N" };
    struct str name = first_name(d);

    if (!is_flag_only(d))
        buf_z(out, "--");
    for (size_t i = 0; i < name.n; i++)
        buf_c(out, name.p[i] == '_' ? '-' : (char)tolower((unsigned char)name.p[i]));
    if (!(is_flag_only(d) && d->type == OPT_bool))
        buf_z(out, values[d->type]);
}

void
opt_help(const struct opt_set *s, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct opt_def *d = &s->defs[i];

        buf_z(out, "  ");
        put_flag(out, d);
        buf_printf(out, "\n      %s", d->help);
        buf_z(out, " [");
        if (!is_flag_only(d))
            for (const char *c = d->name; *c; c++)
                buf_z(out, *c == '|' ? ", " : (char[]){ *c, '\0' });
        else
            buf_z(out, "flag only");
        if (*d->def)
            buf_printf(out, "; default %s", d->def);
        (void)opt_put_bounds(out, d, "; ");
        buf_z(out, "]\n");
    }
}

void
opt_print(const struct opt_set *s, struct buf *out)
{
    static const char *const sources[] = { "default", "file", "environment", "flag" };

    for (size_t i = 0; i < s->n; i++) {
        bool hide = s->defs[i].type == OPT_secret && *s->text[i];
        struct str name = first_name(&s->defs[i]);

        buf_printf(out, STR_FMT "=%s  # %s\n", STR_ARG(name), hide ? "***" : s->text[i], sources[s->from[i]]);
    }
}

void
opt_print_env(const struct opt_set *s, const char *service, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct opt_def *d = &s->defs[i];
        struct str name = first_name(d);

        if (is_flag_only(d))
            continue;
        buf_printf(out, "# %s: %s", service, d->help);
        if (opt_put_bounds(out, d, " ("))
            buf_c(out, ')');
        if (d->type == OPT_secret)
            buf_printf(out, " Or " STR_FMT "_FILE.", STR_ARG(name));
        buf_printf(out, "\n#" STR_FMT "=%s\n", STR_ARG(name), d->def);
    }
}

/* Text in a cell of a Markdown table. */
static void
put_cell(struct buf *out, const char *z)
{
    for (; *z; z++) {
        if (*z == '|')
            buf_c(out, '\\');
        buf_c(out, *z);
    }
}

void
opt_print_md(const struct opt_set *s, const char *service, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct opt_def *d = &s->defs[i];
        const char *alias = strchr(d->name, '|');
        struct str name = first_name(d);

        buf_printf(out, "| %s | `" STR_FMT "` | %s | ", service, STR_ARG(name), type_word(d));
        if (*d->def) {
            buf_c(out, '`');
            put_cell(out, d->def);
            buf_c(out, '`');
        }
        buf_z(out, " | ");
        (void)opt_put_bounds(out, d, "");
        buf_z(out, " | ");
        put_cell(out, d->help);
        for (; alias; alias = strchr(alias + 1, '|'))
            buf_printf(out, " Also `%.*s`.", (int)strcspn(alias + 1, "|"), alias + 1);
        if (d->type == OPT_secret)
            buf_printf(out, " Also `" STR_FMT "_FILE`.", STR_ARG(name));
        buf_z(out, " |\n");
    }
}
