/* Proofs in links to the viewer: what is read of them, and whom they serve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "gateway/request/viewer.h"

#define NOW 1764000000

static const uint8_t session[32] = "0123456789abcdef0123456789abcde", other[32] = "another";

static struct str
hash_of(const uint8_t v[32])
{
    return (struct str){ (const char *)v, 32 };
}

/* The proof in a link, in the arena. */
static struct str
proof_in(const struct viewer *v, const struct uuid *id, struct arena *a)
{
    struct buf b = BUF_MAX(1024);
    struct str t, link;
    const char *at;

    viewer_link(&b, v, id);
    link = arena_str(a, buf_slice(&b));
    buf_free(&b);
    at = memmem(link.p, link.n, "?t=", 3);
    assert_non_null(at);
    t = (struct str){ at + 3, link.n - (size_t)(at + 3 - link.p) };
    assert_true(t.n > 6 && memcmp(t.p + t.n - 6, "#quote", 6) == 0);
    t.n -= 6;
    return t;
}

static void
a_proof_holds_for_its_citation_and_session_only(void **state)
{
    struct viewer v = { .session = session, .base = "https://x.example//", .until = NOW + 100 };
    struct uuid id = uuid_v4(), another = uuid_v4();
    struct arena *a = arena_new(65536);
    struct proof p;

    (void)state;
    for (int i = 0; i < 3; i++) {
        v.kind = "dck"[i];
        assert_true(proof_read(proof_in(&v, &id, a), NOW, &p));
        assert_true(p.kind == v.kind && p.until == NOW + 100);
        assert_true(proof_holds(&p, hash_of(session), &id));
        assert_false(proof_holds(&p, hash_of(session), &another));
        assert_false(proof_holds(&p, hash_of(other), &id));
        assert_false(proof_holds(&p, STR_NONE, &id));
        assert_false(proof_holds(&p, (struct str){ (const char *)session, 31 }, &id));
        p.kind = "ckd"[i];
        assert_false(proof_holds(&p, hash_of(session), &id));
        p.kind = v.kind;
        p.until++;
        assert_false(proof_holds(&p, hash_of(session), &id));
    }
    arena_free(&a);
}

static void
a_link_stands_below_the_public_url(void **state)
{
    struct viewer v = { .session = session, .base = "https://x.example/help/", .until = NOW, .kind = 'c' };
    struct buf b = BUF_MAX(1024);
    struct uuid id = uuid_v4();
    char text[37], want[80];

    (void)state;
    viewer_link(&b, &v, &id);
    snprintf(want, sizeof want, "https://x.example/help/s/%s?t=c", uuid_text(&id, text));
    assert_true(str_starts(buf_slice(&b), want));
    buf_free(&b);
}

static void
what_is_no_proof_is_not_read(void **state)
{
    static const char *const bad[] = {
        "",
        "d",
        "d-",
        "-",
        "d6924-",
        "d-0123456789abcdef0123456789abcdef",
        "x692482ff-0123456789abcdef0123456789abcdef",
        "d692482FF-0123456789abcdef0123456789abcdef",
        "d692482ff-0123456789abcdef0123456789abcde",
        "d692482ff-0123456789abcdef0123456789abcdef0",
        "d692482ff 0123456789abcdef0123456789abcdef",
        "dffffffffffffffffffff-0123456789abcdef0123456789abcdef",
        "692482ff-0123456789abcdef0123456789abcdef",
    };
    struct proof p;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (proof_read(str_of(bad[i]), 1, &p))
            fail_msg("\"%s\" was read", bad[i]);
    assert_false(proof_read(STR_NONE, 1, &p));
    assert_true(proof_read(STR("d692482ff-0123456789abcdef0123456789abcdef"), 0x692482fe, &p));
    assert_false(proof_read(STR("d692482ff-0123456789abcdef0123456789abcdef"), 0x692482ff,
                            &p)); /* its time is over */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proof_holds_for_its_citation_and_session_only),
        cmocka_unit_test(a_link_stands_below_the_public_url),
        cmocka_unit_test(what_is_no_proof_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
