/* footnote completion: what completes commands, their words and options, and files in bash, zsh and fish; made of the two
 * tables, so that it knows what this program does. */
#include "client/table.h"

#include "common/process/proc.h"

/* Small letters and hyphens: a word that is said as it stands, not the name of a value. */
static size_t
word_at(const char *p)
{
    return strspn(p, "abcdefghijklmnopqrstuvwxyz-");
}

/* The words of "[show|drop-old] NAME" that may be said, appended with blanks between them. */
static void
words_of(const char *args, struct buf *out)
{
    for (const char *p = args; *p;) {
        size_t n = word_at(p);

        if (n > 0)
            buf_printf(out, "%s%.*s", out->n > 0 ? " " : "", (int)n, p);
        p += n > 0 ? n : 1;
    }
}

static bool
takes_files(const char *arg)
{
    return arg && (strstr(arg, "FILE") || strstr(arg, "DIR"));
}

/* Options whose value is one of a few: which, in words that blanks separate. */
static bool
values_of(size_t option, struct buf *out)
{
    if (option == CLI_ROUTES || option == CLI_SITE)
        site_names(out, " ", " ");
    else if (option == CLI_SCOPES)
        buf_z(out, "chat ingest admin");
    return out->n > 0;
}

/* The value of an option: a file, one of a few words, or what nobody can guess. */
static void
put_values(size_t option)
{
    struct buf words = { 0 };

    if (!options[option].arg)
        return;
    printf("    --%s) ", options[option].flag);
    if (values_of(option, &words))
        printf("mapfile -t COMPREPLY < <(compgen -W '" STR_FMT "' -- \"$current\"); ",
               STR_ARG(buf_slice(&words)));
    else if (takes_files(options[option].arg))
        printf("_footnote_files; ");
    puts("return ;;");
    buf_free(&words);
}

static void
put_options(const struct command *cmd)
{
    const char *space = "";

    printf("        %s) words='", cmd->name);
    for (size_t i = 0; i < CLI_OPTS; i++)
        if ((cmd->opts | CLI_EVERY) & 1ULL << i) {
            printf("%s--%s", space, options[i].flag);
            space = " ";
        }
    printf("' ;;\n");
}

static void
put_arguments(const struct command *cmd)
{
    struct buf words = { 0 };

    words_of(cmd->args, &words);
    if (takes_files(cmd->args))
        printf("        %s) _footnote_files; return ;;\n", cmd->name);
    else if (words.n > 0)
        printf("        %s) words='" STR_FMT "' ;;\n", cmd->name, STR_ARG(buf_slice(&words)));
    buf_free(&words);
}

static void
put_bash(void)
{
    printf("# Completion of footnote %s for bash: footnote completion bash\n", footnote_version);
    puts("_footnote_files() {\n"
         "    compopt -o filenames 2>/dev/null\n"
         "    mapfile -t COMPREPLY < <(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
         "}\n"
         "_footnote() {\n"
         "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=''\n"
         "    COMPREPLY=()\n"
         "    case $before in");
    for (size_t i = 0; i < CLI_OPTS; i++)
        put_values(i);
    puts("    esac\n"
         "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    printf("        words='");
    for (size_t i = 0; i < command_count; i++)
        printf("%s ", commands[i].name);
    puts("--help --version'\n"
         "    elif [[ $current == -* ]]; then\n"
         "        case ${COMP_WORDS[1]} in");
    for (size_t i = 0; i < command_count; i++)
        put_options(&commands[i]);
    puts("        esac\n"
         "    else\n"
         "        case ${COMP_WORDS[1]} in");
    for (size_t i = 0; i < command_count; i++)
        put_arguments(&commands[i]);
    puts("        esac\n"
         "    fi\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -F _footnote footnote");
}

/* ---- zsh and fish: the same words, with the tables' help beside them */

/* Text between single quotes; more: signs that want a backslash besides. A quote is closed, escaped and opened again, which every
 * shell reads alike. */
static void
put_quoted(const char *text, const char *more)
{
    for (const char *p = text; *p; p++)
        if (*p == '\'')
            fputs("'\\''", stdout);
        else
            printf("%s%c", strchr(more, *p) ? "\\" : "", *p);
}

#define ZSH_SIGNS "\\:[]"

/* Where an option or an argument stands for a file, or for one of a few words; otherwise there is nothing to offer. */
static void
put_zsh_values(const char *arg, struct str words)
{
    putchar(':');
    put_quoted(arg, ZSH_SIGNS);
    if (words.n > 0)
        printf(":(" STR_FMT ")", STR_ARG(words));
    else
        fputs(takes_files(arg) ? ":_files" : ": ", stdout);
}

static void
put_zsh_command(const struct command *cmd)
{
    struct buf words = { 0 };

    printf("        %s) _arguments", cmd->name);
    for (size_t i = 0; i < CLI_OPTS; i++) {
        const struct option *o = &options[i];

        if (!((cmd->opts | CLI_EVERY) & 1ULL << i))
            continue;
        printf(" \\\n            '--%s%s[", o->flag, o->arg ? "=" : "");
        put_quoted(o->help, ZSH_SIGNS);
        putchar(']');
        buf_reset(&words);
        (void)values_of(i, &words);
        if (o->arg)
            put_zsh_values(o->arg, buf_slice(&words));
        putchar('\'');
    }
    buf_reset(&words);
    words_of(cmd->args, &words);
    if (*cmd->args) {
        fputs(" \\\n            '*", stdout);
        put_zsh_values(cmd->args, takes_files(cmd->args) ? STR_NONE : buf_slice(&words));
        putchar('\'');
    }
    puts(" ;;");
    buf_free(&words);
}

static void
put_zsh(void)
{
    printf("#compdef footnote\n# Completion of footnote %s for zsh: footnote completion zsh\n",
           footnote_version);
    puts("_footnote() {\n"
         "    local context state state_descr line\n"
         "    typeset -A opt_args\n"
         "    local -a commands=(");
    for (size_t i = 0; i < command_count; i++) {
        printf("        '%s:", commands[i].name);
        put_quoted(commands[i].summary, ZSH_SIGNS);
        puts("'");
    }
    puts(
        "    )\n"
        "    _arguments -C '(- *)--help[This text.]' '(- *)--version[Version and build.]' '1: :->command' '*:: :->rest' && return\n"
        "    case $state in\n"
        "    command) _describe command commands ;;\n"
        "    rest)\n"
        "        case $words[1] in");
    for (size_t i = 0; i < command_count; i++)
        put_zsh_command(&commands[i]);
    puts("        esac ;;\n"
         "    esac\n"
         "}\n"
         "if [[ $funcstack[1] = _footnote ]]; then _footnote \"$@\"; else compdef _footnote footnote; fi");
}

static void
put_fish_option(const struct command *cmd, size_t i)
{
    const struct option *o = &options[i];
    struct buf words = { 0 };

    printf("complete -c footnote -n '__footnote_at %s' -l %s", cmd->name, o->flag);
    if (o->arg && values_of(i, &words))
        printf(" -x -a '" STR_FMT "'", STR_ARG(buf_slice(&words)));
    else if (o->arg)
        fputs(takes_files(o->arg) ? " -r -F" : " -x", stdout);
    fputs(" -d '", stdout);
    put_quoted(o->help, "\\");
    puts("'");
    buf_free(&words);
}

static void
put_fish_command(const struct command *cmd)
{
    struct buf words = { 0 };

    printf("complete -c footnote -n __fish_use_subcommand -a %s -d '", cmd->name);
    put_quoted(cmd->summary, "\\");
    puts("'");
    words_of(cmd->args, &words);
    if (takes_files(cmd->args))
        printf("complete -c footnote -n '__footnote_at %s' -F\n", cmd->name);
    else if (words.n > 0)
        printf("complete -c footnote -n '__footnote_at %s' -a '" STR_FMT "'\n", cmd->name,
               STR_ARG(buf_slice(&words)));
    for (size_t i = 0; i < CLI_OPTS; i++)
        if ((cmd->opts | CLI_EVERY) & 1ULL << i)
            put_fish_option(cmd, i);
    buf_free(&words);
}

static void
put_fish(void)
{
    printf("# Completion of footnote %s for fish: footnote completion fish\n", footnote_version);
    puts("function __footnote_at\n"
         "    set -l words (commandline -opc)\n"
         "    test (count $words) -ge 2; and test $words[2] = $argv[1]\n"
         "end\n"
         "complete -c footnote -f\n"
         "complete -c footnote -n __fish_use_subcommand -l help -d 'This text.'\n"
         "complete -c footnote -n __fish_use_subcommand -l version -d 'Version and build.'");
    for (size_t i = 0; i < command_count; i++)
        put_fish_command(&commands[i]);
}

/* ---- the command */

int
cmd_completion(struct cli *c)
{
    static const struct {
        const char *name;
        void (*put)(void);
    } shells[] = { { "bash", put_bash }, { "zsh", put_zsh }, { "fish", put_fish } };

    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(c->args[0], shells[i].name) == 0) {
            shells[i].put();
            return 0;
        }
    say("completion is for bash, zsh and fish, not \"%s\"", c->args[0]);
    return 2;
}
