/* A table for people: rows of cells, each column as wide as its widest cell. Headings are in upper case. On a
 * terminal the last column is cut where the line ends, so that a row is a line. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/utf8.h"
#include "client/client.h"

#define LINE_MIN 40

void
grid_init(struct grid *g, const char *const *heads, size_t columns)
{
    if (columns > GRID_COLUMNS)
        abort();
    *g = (struct grid){ .columns = columns };
    for (size_t i = 0; i < columns; i++)
        grid_cell(g, str_of(heads[i]));
}

/* The cell as it is shown: one line, no control characters. */
void
grid_cell(struct grid *g, struct str s)
{
    size_t column = g->n % g->columns;
    char *text = NULL;
    size_t bytes = 0, width;
    FILE *f = open_memstream(&text, &bytes);

    if (!f)
        abort();
    put_line(f, s);
    fclose(f);
    if (g->n == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 64;
        g->v = mem_resize(g->v, g->cap * sizeof *g->v);
    }
    width = utf8_count((struct str){ text, bytes });
    g->width[column] = width > g->width[column] ? width : g->width[column];
    g->v[g->n++] = mem_dup_str((struct str){ text, bytes });
    mem_free(&text);
}

void
grid_number(struct grid *g, int64_t n)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)n);
    grid_cell(g, str_of(text));
}

/* The columns of the terminal; 0: it is none. */
static size_t
line_length(void)
{
    struct winsize w;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col < LINE_MIN)
        return 0;
    return w.ws_col;
}

static void
put_row(const struct grid *g, size_t row, size_t most)
{
    size_t used = 0;

    for (size_t i = 0; i < g->columns; i++) {
        struct str s = str_of(g->v[row + i]);
        size_t chars = utf8_count(s), last = i + 1 == g->columns;

        while (most > 0 && chars > 1 && used + chars > most) {
            do
                s.n--;
            while (((uint8_t)s.p[s.n] & 0xC0) == 0x80);
            chars--;
        }
        fwrite(s.p, 1, s.n, stdout);
        if (!last)
            printf("%*s", (int)(g->width[i] - chars + 2), "");
        used += g->width[i] + 2;
    }
    putchar('\n');
}

void
grid_print(struct grid *g)
{
    size_t most = line_length();

    for (size_t row = 0; row + g->columns <= g->n; row += g->columns)
        put_row(g, row, most);
    grid_free(g);
}

void
grid_free(struct grid *g)
{
    for (size_t i = 0; i < g->n; i++)
        mem_free(&g->v[i]);
    mem_free(&g->v);
    *g = (struct grid){ .columns = g->columns };
}
