/* Options from tables. For each row the first of these that is set wins:
 *
 *   --database-url VALUE  >  DATABASE_URL (or an alias)  >  DATABASE_URL_FILE (first line of that file)  >  default
 *
 * An empty variable or an empty file counts as not set, so that compose files may pass on what they do not have; a flag
 * may set a text to nothing (--name=). Names that begin with "--" are flags only. Files: str and secret rows whose name
 * does not itself end in _FILE. Values are owned by the set; an unset str is "" and never NULL. */
#include "common/process/opt.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_VALUE 65536
#define MAX_NAME 96

/* One value on its way into a row. */
struct given {
    const struct opt_def *d;
    const char *from; /* "--port", "PORT", "PORT_FILE" or "default": how error lines name it */
    struct buf *err;
};

/* ---- names */

static bool
is_flag_only(const struct opt_def *d)
{
    return d->name[0] == '-';
}

static bool
is_text(const struct opt_def *d)
{
    return d->type == OPT_str || d->type == OPT_secret;
}

/* The k-th name of the row (0: the first); false when it has no more. */
static bool
name_at(const struct opt_def *d, size_t k, char out[MAX_NAME])
{
    const char *z = d->name;
    size_t n;

    for (; k > 0; k--) {
        z = strchr(z, '|');
        if (!z)
            return false;
        z++;
    }
    n = strcspn(z, "|");
    assert(n + 6 < MAX_NAME);
    (void)snprintf(out, MAX_NAME, "%.*s", (int)n, z);
    return true;
}

static void
flag_of(const struct opt_def *d, char out[MAX_NAME])
{
    char name[MAX_NAME];

    (void)name_at(d, 0, name);
    if (is_flag_only(d)) {
        (void)snprintf(out, MAX_NAME, "%s", name);
        return;
    }
    for (char *c = name; *c; c++)
        *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
    (void)snprintf(out, MAX_NAME, "--%.*s", MAX_NAME - 3, name);
}

static bool
is_row(const struct opt_set *s, const char *name)
{
    char have[MAX_NAME];

    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; name_at(&s->defs[i], k, have); k++)
            if (strcmp(have, name) == 0)
                return true;
    return false;
}

/* NAME_FILE; false when the row has none. */
static bool
file_name_of(const struct opt_set *s, const struct opt_def *d, size_t k, char out[MAX_NAME])
{
    size_t n;

    if (!is_text(d) || is_flag_only(d) || !name_at(d, k, out))
        return false;
    n = strlen(out);
    if (n >= 5 && strcmp(out + n - 5, "_FILE") == 0)
        return false;
    (void)snprintf(out + n, MAX_NAME - n, "_FILE");
    return !is_row(s, out);
}

static const char *
env_get(const char *name)
{
    const char *v = getenv(name);

    return v && *v ? v : NULL;
}

/* ---- values */

static void
put_bounds(struct buf *out, const struct opt_def *d)
{
    if (d->type == OPT_bool)
        buf_z(out, "on or off");
    else if (!opt_put_bounds(out, d, ""))
        buf_z(out, d->type == OPT_int ? "a whole number" : d->type == OPT_num ? "a number" : "any text");
}

/* One line: which option, what it was given (never a secret), what is wrong, what would be right. */
static int
refuse(const struct given *g, const char *text, const char *what)
{
    buf_printf(g->err, "%s: ", g->from);
    if (g->d->type == OPT_secret)
        buf_printf(g->err, "the value (%zu bytes, not shown) %s", strlen(text), what);
    else
        buf_printf(g->err, "\"%.200s\" %s", text, what);
    buf_z(g->err, "; allowed: ");
    put_bounds(g->err, g->d);
    buf_c(g->err, '\n');
    return -1;
}

static bool
out_of_bounds(const struct opt_def *d, double v)
{
    return (d->min != 0 || d->max != 0) && (v < d->min || v > d->max);
}

static int
parse_bool(const char *text)
{
    static const char *const words[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return (int)(i & 1);
    return -1;
}

static int
set_int(const struct given *g, const char *text, long *at)
{
    char *end;
    long v;

    errno = 0;
    v = strtol(text, &end, 10);
    if (errno || *end || end == text || isspace((unsigned char)*text))
        return refuse(g, text, "is not a whole number");
    if (out_of_bounds(g->d, (double)v))
        return refuse(g, text, "is out of bounds");
    *at = v;
    return 0;
}

static int
set_num(const struct given *g, const char *text, double *at)
{
    char *end;
    double v;

    errno = 0;
    v = strtod(text, &end);
    if (errno || *end || end == text || isspace((unsigned char)*text) || !isfinite(v))
        return refuse(g, text, "is not a number");
    if (out_of_bounds(g->d, v))
        return refuse(g, text, "is out of bounds");
    *at = v;
    return 0;
}

/* Store text in row i; the text itself is kept in s->text. Empty means unset. */
static int
set_value(struct opt_set *s, size_t i, const struct given *g, const char *text)
{
    const struct opt_def *d = g->d;
    void *at = (char *)s->values + d->offset;
    int flag;

    mem_free(&s->text[i]);
    s->text[i] = mem_dup(text);
    if (is_text(d)) {
        *(const char **)at = s->text[i];
        return *text && out_of_bounds(d, (double)strlen(text)) ? refuse(g, text, "has a bad length") : 0;
    }
    if (!*text && strcmp(g->from, "default") == 0)
        return 0;
    if (d->type == OPT_int)
        return set_int(g, text, at);
    if (d->type == OPT_num)
        return set_num(g, text, at);
    flag = parse_bool(text);
    if (flag < 0)
        return refuse(g, text, "is neither on nor off");
    *(bool *)at = flag == 1;
    return 0;
}

/* ---- sources */

/* First line of the file without blanks around it, in line; false after reporting. */
static bool
read_line(const char *var, const char *path, char **line, struct buf *err)
{
    FILE *f = fopen(path, "re");
    size_t cap = 0, blank;
    ssize_t n = f ? getline(line, &cap, f) : -1;

    if (!f || (n < 0 && ferror(f))) {
        buf_printf(err, "%s: cannot read %s: %s; allowed: a readable file\n", var, path, strerror(errno));
        if (f)
            (void)fclose(f);
        return false;
    }
    (void)fclose(f);
    while (n > 0 && isspace((unsigned char)(*line)[n - 1]))
        n--;
    if (n > MAX_VALUE || (n > 0 && memchr(*line, '\0', (size_t)n))) {
        buf_printf(err, "%s: the first line of %s is too long or not text; allowed: %d bytes\n", var, path,
                   MAX_VALUE);
        return false;
    }
    if (n < 0 || !*line) { /* an empty file */
        mem_free(line);
        return true;
    }
    (*line)[n] = '\0';
    blank = strspn(*line, " \t");
    memmove(*line, *line + blank, (size_t)n - blank + 1);
    return true;
}

/* 1: set, 0: no file named (or an empty one), -1: reported. */
static int
load_file(struct opt_set *s, size_t i, struct buf *err)
{
    char var[MAX_NAME];
    int rc = 0;

    for (size_t k = 0; rc == 0 && file_name_of(s, &s->defs[i], k, var); k++) {
        const char *path = env_get(var);
        char *line = NULL;

        if (!path)
            continue;
        if (!read_line(var, path, &line, err))
            rc = -1;
        else if (line && *line) {
            s->from[i] = OPT_FROM_FILE;
            rc = set_value(s, i, &(struct given){ &s->defs[i], var, err }, line) == 0 ? 1 : -1;
        }
        mem_free(&line);
    }
    return rc;
}

static int
load_env(struct opt_set *s, size_t i, struct buf *err)
{
    char var[MAX_NAME];

    if (is_flag_only(&s->defs[i]))
        return 0;
    for (size_t k = 0; name_at(&s->defs[i], k, var); k++) {
        const char *v = env_get(var);

        if (!v)
            continue;
        s->from[i] = OPT_FROM_ENV;
        return set_value(s, i, &(struct given){ &s->defs[i], var, err }, v) == 0 ? 1 : -1;
    }
    return 0;
}

static int
find_flag(const struct opt_set *s, struct str flag)
{
    char have[MAX_NAME];

    for (size_t i = 0; i < s->n; i++) {
        flag_of(&s->defs[i], have);
        if (str_is(flag, have))
            return (int)i;
    }
    return -1;
}

/* One flag at argv[*at]; moves *at over a value that stands by itself. */
static void
take_flag(const struct opt_set *s, int argc, char **argv, int *at, const char **found, struct buf *err)
{
    const char *arg = argv[*at], *eq = strchr(arg, '=');
    struct str flag = { arg, eq ? (size_t)(eq - arg) : strlen(arg) };
    const char *next = *at + 1 < argc ? argv[*at + 1] : NULL;
    int i = strncmp(arg, "--", 2) == 0 ? find_flag(s, flag) : -1;

    if (i < 0) {
        bool sure = strncmp(arg, "--", 2) == 0; /* a stray word may be a secret that lost its flag */

        buf_printf(err, "%.*s: no such option; allowed: what --help lists\n", sure ? (int)flag.n : 10,
                   sure ? flag.p : "a bare word");
        return;
    }
    if (eq)
        found[i] = eq + 1;
    else if (s->defs[i].type == OPT_bool)
        found[i] = next && parse_bool(next) >= 0 ? argv[++*at] : "on";
    else if (next)
        found[i] = argv[++*at];
    else
        buf_printf(err, "%s: a value is missing; allowed: %s VALUE or %s=VALUE\n", arg, arg, arg);
}

static void
load_row(struct opt_set *s, size_t i, const char *flag_value, struct buf *err)
{
    char flag[MAX_NAME];
    int rc;

    rc = set_value(s, i, &(struct given){ &s->defs[i], "default", err }, s->defs[i].def);
    assert(rc == 0); /* our own table */
    if (flag_value) {
        flag_of(&s->defs[i], flag);
        s->from[i] = OPT_FROM_FLAG;
        (void)set_value(s, i, &(struct given){ &s->defs[i], flag, err }, flag_value);
        return;
    }
    if (load_env(s, i, err) == 0)
        (void)load_file(s, i, err);
}

int
opt_load(struct opt_set *s, const struct opt_def *defs, size_t n, void *values, int argc, char **argv,
         struct buf *err)
{
    const char **found = mem_new(n * sizeof *found);

    *s = (struct opt_set){ defs, n, values, mem_new(n * sizeof *s->from), mem_new(n * sizeof *s->text) };
    for (int at = 1; at < argc; at++)
        take_flag(s, argc, argv, &at, found, err);
    for (size_t i = 0; i < n; i++)
        load_row(s, i, found[i], err);
    mem_free(&found);
    return err->n ? -1 : 0;
}

void
opt_free(struct opt_set *s)
{
    for (size_t i = 0; s->text && i < s->n; i++) {
        if (s->defs[i].type == OPT_secret && s->text[i])
            explicit_bzero(s->text[i], strlen(s->text[i]));
        mem_free(&s->text[i]);
    }
    mem_free(&s->text);
    mem_free(&s->from);
    s->n = 0;
}

/* ---- looking up */

static const struct opt_def *
find_row(const struct opt_set *s, const char *name)
{
    char have[MAX_NAME];

    for (size_t i = 0; i < s->n; i++) {
        (void)name_at(&s->defs[i], 0, have);
        if (strcmp(have, name) == 0)
            return &s->defs[i];
    }
    return NULL;
}

const char *
opt_find_str(const struct opt_set *s, const char *name)
{
    const struct opt_def *d = find_row(s, name);

    return d ? s->text[d - s->defs] : NULL;
}

long
opt_find_int(const struct opt_set *s, const char *name)
{
    const struct opt_def *d = find_row(s, name);
    const void *at;

    if (!d)
        return -1;
    at = (const char *)s->values + d->offset;
    if (d->type == OPT_int)
        return *(const long *)at;
    return d->type == OPT_bool ? *(const bool *)at : -1;
}

double
opt_find_num(const struct opt_set *s, const char *name, double fallback)
{
    const struct opt_def *d = find_row(s, name);

    return d && d->type == OPT_num ? *(const double *)(const void *)((const char *)s->values + d->offset)
                                   : fallback;
}
