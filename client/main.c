/* footnote: the client. Talks HTTP to a gateway, as any other client would; knows nothing of the bus.
 *
 *   footnote ask "How are backups made?"     answer with its sources        ask.c
 *   footnote chat                            one question after another     chat.c
 *   footnote ingest docs/                    documents in, with progress    ingest.c, files/, progress.c
 *   footnote sync https://docs.example/      a site, kept in step           sync/
 *   footnote search | history | documents | delete | health                 list.c
 *   footnote collection | reindex | report | completion                     collection.c, reindex.c, report.c, complete.c
 *   footnote status | doctor | keys | sessions                              admin/
 *
 * Ends with 0 when all went well, 1 when something failed (stderr says what, and what to do), 2 when it was called wrongly. */
#include <stdlib.h>

#include "common/log.h"
#include "common/process/proc.h"
#include "common/text/text.h"
#include "common/text/number.h"
#include "client/table.h"

static void
help(FILE *f)
{
    fputs("footnote: answers from your documents, with the exact bytes they come from.\n\n"
          "usage: footnote COMMAND [options]\n\n",
          f);
    for (size_t i = 0; i < command_count; i++)
        fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`footnote COMMAND --help` says more of each. `footnote --version` says which one this is.\n"
          "Ends with 0 when all went well, 1 when something failed, 2 when it was called wrongly.\n",
          f);
}

static void
help_command(FILE *f, const struct command *cmd)
{
    fprintf(f, "usage: footnote %s %s%s[options]\n\n%s\n", cmd->name, cmd->args, *cmd->args ? " " : "",
            cmd->manual);
    for (size_t i = 0; i < CLI_OPTS; i++) {
        const struct option *o = &options[i];
        char flag[40];

        if (!((cmd->opts | CLI_EVERY) & 1ULL << i))
            continue;
        snprintf(flag, sizeof flag, "--%s%s%s", o->flag, o->arg ? " " : "", o->arg ? o->arg : "");
        fprintf(f, "  %-20s %s", flag, o->help);
        if (o->env)
            fprintf(f, " Also %s.", o->env);
        if (o->def)
            fprintf(f, " Default: %s", o->def);
        fputc('\n', f);
    }
}

static const struct command *
command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* The option that "--name" or "--name=value" is, and its value after the '='. -1: there is none. */
static int
option_find(const char *text, const char **value)
{
    size_t n = strcspn(text, "=");

    *value = text[n] ? text + n + 1 : NULL;
    for (size_t i = 0; i < CLI_OPTS; i++)
        if (strlen(options[i].flag) == n && memcmp(options[i].flag, text, n) == 0)
            return (int)i;
    return -1;
}

/* Take one option; *at is moved over its value. False after saying what is wrong. */
static bool
option_take(struct cli *c, const struct command *cmd, int argc, char **argv, int *at)
{
    const char *text = argv[*at] + 2, *value;
    int id = option_find(text, &value);

    if (id < 0 || !((cmd->opts | CLI_EVERY) & 1ULL << id)) {
        say("`footnote %s` has no option --%s; `footnote %s --help` lists them", cmd->name, text, cmd->name);
        return false;
    }
    if (options[id].arg && !value && *at + 1 < argc)
        value = argv[++*at];
    if (options[id].arg && (!value || !*value)) {
        say("--%s needs a value: --%s %s", options[id].flag, options[id].flag, options[id].arg);
        return false;
    }
    if (!options[id].arg && value) {
        say("--%s takes no value", options[id].flag);
        return false;
    }
    c->opt[id] = options[id].arg ? value : "on";
    return true;
}

static bool
parse(struct cli *c, const struct command *cmd, int argc, char **argv)
{
    bool more = true; /* options may follow */

    for (size_t i = 0; i < CLI_OPTS; i++) {
        const char *env = options[i].env ? getenv(options[i].env) : NULL;

        c->opt[i] = env && *env ? env : options[i].def;
    }
    for (int i = 2; i < argc; i++) {
        if (more && strcmp(argv[i], "--") == 0)
            more = false;
        else if (!more || strncmp(argv[i], "--", 2) != 0)
            c->args[c->n_args++] = argv[i];
        else if (!option_take(c, cmd, argc, argv, &i))
            return false;
    }
    if (c->opt[CLI_HELP] || (c->n_args >= cmd->least && c->n_args <= cmd->most))
        return true;
    say("usage: footnote %s %s; `footnote %s --help` says more", cmd->name, cmd->args, cmd->name);
    return false;
}

static char *
read_key_file(const char *path)
{
    char line[512] = "";
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(line, sizeof line, f);
    char *key;

    if (f)
        fclose(f);
    line[strcspn(line, "\r\n")] = 0;
    if (!ok || !*line) {
        say("cannot read a key from %s: it must hold the key on its first line", path);
        return NULL;
    }
    key = mem_dup(line);
    explicit_bzero(line, sizeof line);
    return key;
}

/* Values that the server would refuse, said before anything is sent. */
static bool
check_values(struct cli *c)
{
    const char *top_k = c->opt[CLI_TOP_K], *session = c->opt[CLI_SESSION];
    struct uuid id;

    if (top_k && !number_parse(str_of(top_k), 1, 999, &c->top_k)) {
        say("--top-k must be a number from 1 on, not \"%s\"", top_k);
        return false;
    }
    if (session && (!uuid_parse(str_of(session), &id) || uuid_version(&id) != 4)) {
        say("--session must be a UUID version 4, as `uuidgen -r` makes them");
        return false;
    }
    return true;
}

static bool
settle(struct cli *c)
{
    const char *url = c->opt[CLI_URL];
    size_t n;

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        say("--url must begin with http:// or https://, not \"%s\"", url);
        return false;
    }
    for (n = strlen(url); n > 0 && url[n - 1] == '/';)
        n--;
    c->url = mem_dup_str((struct str){ url, n });
    if (!check_values(c))
        return false;
    if (c->opt[CLI_KEY])
        c->key = mem_dup(c->opt[CLI_KEY]);
    else if (c->opt[CLI_KEY_FILE] && !(c->key = read_key_file(c->opt[CLI_KEY_FILE])))
        return false;
    if (c->key && strpbrk(c->key, "\r\n")) {
        say("a key holds no line ends");
        return false;
    }
    return true;
}

static int
run(const struct command *cmd, int argc, char **argv)
{
    struct cli c = { .args = mem_new((size_t)argc * sizeof *c.args) };
    int rc = 2;

    if (parse(&c, cmd, argc, argv)) {
        if (c.opt[CLI_HELP]) {
            help_command(stdout, cmd);
            rc = 0;
        } else if (settle(&c)) {
            rc = cmd->run(&c);
        }
    }
    if (c.key)
        explicit_bzero(c.key, strlen(c.key));
    mem_free(&c.key);
    mem_free(&c.url);
    mem_free(&c.args);
    return rc;
}

int
main(int argc, char **argv)
{
    const struct command *cmd = argc > 1 ? command_find(argv[1]) : NULL;
    int rc;

    log_init("cli", "error", false);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("footnote %s (build %s)\n", footnote_version, footnote_build);
        return 0;
    }
    if (strcmp(argv[1], "--print-options=man") == 0) {
        struct buf page = { 0 };

        man_client(&page);
        fputs(page.p, stdout);
        buf_free(&page);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (!cmd) {
        say("there is no command \"%s\"; `footnote --help` lists them", argv[1]);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = run(cmd, argc, argv);
    fetch_end();
    curl_global_cleanup();
    if (fflush(stdout) != 0 || ferror(stdout))
        return 1;
    return rc;
}
