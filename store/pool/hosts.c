/* The hosts of DATABASE_URL (hosts.h). A path (a Unix socket) has no address; everything else is a name or an address. */
#include "store/pool/hosts.h"

#include <sys/socket.h>

#include "common/redis/resolve.h"
#include "common/str.h"

#define HOSTS_MAX 16
#define ADDRESSES_MAX 32

struct hosts {
    size_t n;
    unsigned turn; /* which address is the first */
    struct {
        char *host, *port;     /* port: "" for the default */
        struct resolve *names; /* NULL: a path */
    } v[HOSTS_MAX];
};

/* Piece i of a list; a single piece stands for all (libpq's rule for ports). */
static struct str
piece(const char *list, size_t i)
{
    const char *p = list ? list : "";

    if (!strchr(p, ','))
        return str_of(p);
    for (; i > 0 && p; i--)
        p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL;
    return p ? (struct str){ p, strcspn(p, ",") } : STR("");
}

struct hosts *
hosts_new(const char *host, const char *port)
{
    struct hosts *h = mem_new(sizeof *h);
    size_t n = 1;

    for (const char *p = host; (p = strchr(p, ',')); p++)
        n++;
    h->n = n < HOSTS_MAX ? n : HOSTS_MAX;
    for (size_t i = 0; i < h->n; i++) {
        h->v[i].host = mem_dup_str(piece(host, i));
        h->v[i].port = mem_dup_str(piece(port, i));
        if (h->v[i].host[0] != '/' && h->v[i].host[0] != '@' && h->v[i].host[0] != '\0')
            h->v[i].names = resolve_new(h->v[i].host, AF_UNSPEC);
    }
    return h;
}

void
hosts_free(struct hosts **h)
{
    if (!*h)
        return;
    for (size_t i = 0; i < (*h)->n; i++) {
        resolve_free(&(*h)->v[i].names);
        mem_free(&(*h)->v[i].host);
        mem_free(&(*h)->v[i].port);
    }
    mem_free(h);
}

size_t
hosts_count(const struct hosts *h)
{
    return h->n;
}

void
hosts_ask(struct hosts *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].names)
            resolve_ask(h->v[i].names);
}

bool
hosts_ready(const struct hosts *h)
{
    struct resolve_list ignored;

    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].names && resolve_get(h->v[i].names, 0, &ignored) == RESOLVE_RUNNING)
            return false;
    return true;
}

void
hosts_next(struct hosts *h, unsigned turn)
{
    if (turn == h->turn) /* many find out at once: one step */
        h->turn++;
}

/* host: index, address: its text, "" for a path */
struct address {
    size_t host;
    char text[RESOLVE_TEXT];
};

static size_t
addresses(const struct hosts *h, struct address *to)
{
    struct resolve_list list;
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++) {
        list.n = 1;
        list.v[0][0] = '\0';
        if (h->v[i].names)
            (void)resolve_get(h->v[i].names, 0, &list);
        for (size_t k = 0; k < list.n && n < ADDRESSES_MAX; k++, n++) {
            to[n].host = i;
            memcpy(to[n].text, list.v[k], RESOLVE_TEXT);
        }
    }
    return n;
}

bool
hosts_write(const struct hosts *h, struct buf *host, struct buf *hostaddr, struct buf *port, unsigned *turn)
{
    struct address *a = mem_new(ADDRESSES_MAX * sizeof *a);
    size_t n = addresses(h, a);

    *turn = h->turn;
    for (size_t i = 0; i < n; i++) {
        const struct address *x = &a[(i + h->turn) % n];
        const char *comma = i > 0 ? "," : "";

        buf_printf(host, "%s%s", comma, h->v[x->host].host);
        buf_printf(hostaddr, "%s%s", comma, x->text);
        buf_printf(port, "%s%s", comma, h->v[x->host].port);
    }
    mem_free(&a);
    return n > 0 && !host->failed && !hostaddr->failed && !port->failed;
}
