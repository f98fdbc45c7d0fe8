/* The client's manual page, footnote(1), from its tables: what --print-options=man prints. */
#include "common/process/man.h"
#include "client/client.h"
#include "client/table.h"

static void
put_option(struct buf *out, const struct option *o)
{
    struct buf term = { 0 };

    buf_printf(&term, "--%s", o->flag);
    man_entry(out, term.p, o->arg);
    buf_reset(&term);
    buf_z(&term, o->help);
    if (o->env)
        buf_printf(&term, " Environment: %s.", o->env);
    if (o->def)
        buf_printf(&term, " Default: %s.", o->def);
    man_text(out, term.p);
    buf_free(&term);
}

static void
put_command(struct buf *out, const struct command *cmd)
{
    struct buf line = { 0 };

    buf_printf(out, ".SS %s\n", cmd->name);
    buf_printf(&line, "footnote %s%s%s", cmd->name, *cmd->args ? " " : "", cmd->args);
    for (size_t i = 0; i < CLI_OPTS; i++)
        if (cmd->opts & 1ULL << i)
            buf_printf(&line, " [--%s%s%s]", options[i].flag, options[i].arg ? " " : "",
                       options[i].arg ? options[i].arg : "");
    man_code(out, line.p);
    buf_z(out, ".PP\n");
    man_text(out, cmd->manual);
    buf_free(&line);
}

void
man_client(struct buf *out)
{
    man_head(out, "footnote", 1, "ask, search and fill a Footnote server");
    man_section(out, "SYNOPSIS");
    buf_z(out, ".B footnote\n.I command\n.RI [ option ]...\n");
    man_section(out, "DESCRIPTION");
    man_text(
        out,
        "Footnote answers questions from your documents and cites the exact bytes it used. This program talks HTTP to its "
        "gateway, as any other client would.");
    man_section(out, "COMMANDS");
    for (size_t i = 0; i < command_count; i++)
        put_command(out, &commands[i]);
    man_section(out, "OPTIONS");
    man_text(out,
             "Every command takes --url, --key, --key-file and --help. A flag goes before the environment.");
    for (size_t i = 0; i < CLI_OPTS; i++)
        put_option(out, &options[i]);
    man_entry(out, "--version", NULL);
    man_text(out, "Version and build.");
    man_section(out, "EXIT STATUS");
    man_text(
        out,
        "0: all went well. 1: something failed; standard error says what, and what to do. 2: it was called wrongly. "
        "3: another sync of the same site is going on.");
    man_section(out, "SEE ALSO");
    buf_z(out, ".BR footnote\\-gateway (8)\n");
}
