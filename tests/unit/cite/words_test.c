/* Words: the same stem for a document's and a question's form; folding; joins; classes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "cite/words.h"

struct got { uint64_t h[64]; enum word_class cls[64]; size_t n; };

static void
add(void *arg, const struct word *w)
{
    struct got *g = arg;

    if (g->n < 64) {
        g->cls[g->n] = w->cls;
        g->h[g->n++] = w->h;
    }
}

static struct got
run(const char *z)
{
    struct words *w = words_new();
    struct got g = { 0 };

    words_each(w, str_of(z), add, &g);
    words_free(&w);
    return g;
}

static void
same(const char *a, const char *b)
{
    struct got x = run(a), y = run(b);

    assert_int_equal(x.n, 1);
    assert_int_equal(y.n, 1);
    assert_true(x.h[0] == y.h[0]);
}

static void
forms_of_a_word_meet_in_one_stem(void **state)
{
    (void)state;
    same("connection", "Connections");
    same("INDEXING", "indexed");
    same("caf\xc3\xa9", "CAFE");
    same("\xef\xac\x81le", "file");                 /* ligature fi */
    same("1,024", "1024");
    same("stra\xc3\x9f" "e", "STRASSE");
    assert_true(run("sensor").h[0] != run("actuator").h[0]);
}

static void
a_hyphenated_word_is_found_joined_too(void **state)
{
    struct got g = run("Wi-Fi");

    (void)state;
    assert_int_equal(g.n, 3);
    assert_true(g.h[2] == run("wifi").h[0]);
    assert_int_equal(run("state-of-the").n, 3);      /* stop words join nothing */
}

static void
stop_and_weak_words_are_told_apart(void **state)
{
    struct got g = run("What is the difference?");

    (void)state;
    assert_int_equal(g.n, 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(g.cls[i], WORD_STOP);
    assert_int_equal(g.cls[3], WORD_WEAK);
    assert_int_equal(run("hub").cls[0], WORD_CONTENT);
}

static void
text_without_spaces_gives_pairs(void **state)
{
    (void)state;
    assert_int_equal(run("\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd").n, 2);
    assert_int_equal(run("\xe6\x9d\xb1").n, 1);
    assert_int_equal(run("").n, 0);
    assert_int_equal(run(" .,- \n").n, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_a_word_meet_in_one_stem),
        cmocka_unit_test(a_hyphenated_word_is_found_joined_too),
        cmocka_unit_test(stop_and_weak_words_are_told_apart),
        cmocka_unit_test(text_without_spaces_gives_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
