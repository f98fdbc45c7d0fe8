/* Making and checking of proofs. See viewer.h. */
#include "gateway/request/viewer.h"

#include "common/digest.h"
#include "common/text/text.h"

#define DIGITS 32

static void
proof_digits(char kind, int64_t until, struct str session, const struct uuid *citation, char out[65])
{
    struct buf data = BUF_MAX(128);
    uint8_t mac[32];

    buf_printf(&data, "footnote viewer %c %llx ", kind, (unsigned long long)until);
    buf_add(&data, citation->b, sizeof citation->b);
    hmac_sha256(session, buf_slice(&data), mac);
    hex_text(mac, sizeof mac, out);
    buf_free(&data);
}

void
viewer_link(struct buf *b, const struct viewer *v, const struct uuid *citation)
{
    char id[37], digits[65];
    size_t n = strlen(v->base);

    while (n > 0 && v->base[n - 1] == '/')
        n--;
    proof_digits(v->kind, v->until, (struct str){ (const char *)v->session, 32 }, citation, digits);
    buf_add(b, v->base, n);
    buf_printf(b, "/s/%s?t=%c%llx-%.*s#quote", uuid_text(citation, id), v->kind, (unsigned long long)v->until,
               DIGITS, digits);
}

bool
proof_read(struct str t, int64_t now, struct proof *p)
{
    size_t i = 1;

    *p = (struct proof){ .kind = t.n > 0 ? t.p[0] : 0 };
    if (t.n < 1 + 1 + 1 + DIGITS || !strchr("dck", t.p[0]))
        return false;
    for (; i < t.n && i < 13 && t.p[i] != '-'; i++) {
        const char *hex = "0123456789abcdef", *at = t.p[i] ? strchr(hex, t.p[i]) : NULL;

        if (!at)
            return false;
        p->until = 16 * p->until + (at - hex);
    }
    if (i == t.n || t.p[i] != '-' || t.n - i - 1 != DIGITS)
        return false;
    p->digits = (struct str){ t.p + i + 1, DIGITS };
    return p->until > now;
}

bool
proof_holds(const struct proof *p, struct str session, const struct uuid *citation)
{
    char digits[65];

    proof_digits(p->kind, p->until, session, citation, digits);
    return session.n == 32 && p->digits.n == DIGITS && bytes_equal(digits, p->digits.p, DIGITS);
}
