/* Parts of words that are written together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/spell.h"

static bool
splits(const char *word, enum language l, const char *first, const char *second, bool measure)
{
    struct compound v[COMPOUND_SPLITS];
    struct str s = str_of(word);

    for (size_t i = 0, n = compound_splits(s, l, v); i < n; i++)
        if (str_is(compound_first(s, v[i]), first) && str_is(compound_second(s, v[i]), second) &&
            v[i].measure == measure)
            return true;
    return false;
}

static void
words_that_are_written_together_are_cut_at_every_joint(void **state)
{
    (void)state;
    assert_true(splits("filterreinigung", LANG_GERMAN, "filter", "reinigung", false));
    assert_true(splits("garantiedauer", LANG_GERMAN, "garantie", "dauer", true));
    assert_true(splits("versicherungsnummer", LANG_GERMAN, "versicherung", "nummer", true));
    assert_true(splits("taschenlampe", LANG_GERMAN, "tasche", "lampe", false));
    assert_true(splits("levertijd", LANG_DUTCH, "lever", "tijd", true));
}

static void
no_part_is_too_short_and_other_languages_have_none(void **state)
{
    struct compound v[COMPOUND_SPLITS];
    char big[80];

    (void)state;
    assert_true(splits("darkmode", LANG_ENGLISH, "dark", "mode", false));
    assert_false(splits("versicherungsnummer", LANG_ENGLISH, "versicherung", "nummer", false));
    assert_int_equal(compound_splits(STR("e42code17"), LANG_ENGLISH, v), 0);
    assert_int_equal(compound_splits(STR("haustur"), LANG_GERMAN, v), 0);
    assert_int_equal(compound_splits(STR(""), LANG_GERMAN, v), 0);
    memset(big, 'e', sizeof big);
    for (size_t n = 0; n <= sizeof big; n++)
        assert_true(compound_splits((struct str){ big, n }, LANG_GERMAN, v) <= COMPOUND_SPLITS);
    for (size_t i = 0,
                n = compound_splits(STR("\xd1\x84\xd0\xb8\xd0\xbb\xd1\x8c\xd1\x82\xd1\x80"), LANG_GERMAN, v);
         i < n; i++)
        assert_true(v[i].first % 2 == 0);
}

static void
words_apart_are_joined_when_only_a_blank_parts_them(void **state)
{
    struct apart v[APART_MAX];

    (void)state;
    assert_int_equal(spell_apart(STR("How do I Log in?"), v), 2);
    assert_true(str_is((struct str){ v[0].joined, v[0].n }, "howdo"));
    assert_true(v[1].start == 9 && v[1].end == 15 && str_is((struct str){ v[1].joined, v[1].n }, "login"));
    assert_int_equal(spell_apart(STR("time, out  of a E17 x2 n\xc3\xa4 he"), v), 0);
    assert_int_equal(spell_apart(STR(""), v), 0);
    assert_int_equal(spell_apart(STR("aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo pp qq rr ss"), v),
                     APART_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_are_written_together_are_cut_at_every_joint),
        cmocka_unit_test(no_part_is_too_short_and_other_languages_have_none),
        cmocka_unit_test(words_apart_are_joined_when_only_a_blank_parts_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
