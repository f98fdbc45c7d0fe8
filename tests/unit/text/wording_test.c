/* Wordings: what two people have typed differently who ask the same, and what must not be taken for the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/wording.h"

static const struct {
    enum language l;
    const char *text, *wording;
} same[] = {
    { LANG_ENGLISH, "How is Redis installed?", "how is redis installed" },
    { LANG_ENGLISH, "  how\t is\n\nredis  installed ", "how is redis installed" },
    { LANG_ENGLISH, "how is redis installed??", "how is redis installed" },
    { LANG_ENGLISH, "How is Redis (Server) installed.", "how is redis (server) installed" },
    { LANG_ENGLISH, "What's in Chapter 4, Section 2?", "what's in chapter 4, section 2" },
    { LANG_ENGLISH, "Is it version 2.", "is it version 2" },
    { LANG_FRENCH, "Comment faire ?", "comment faire" },
    { LANG_FRENCH, "Comment faire\u202f?", "comment faire" },
    { LANG_SPANISH, "¿Qué es Redis?", "qué es redis" },
    { LANG_GERMAN, "Wo steht der Weg?", "wo steht der Weg" },
    { LANG_RUSSIAN, "Что такое Насос?", "что такое насос" },
    { LANG_GREEK, "Τι είναι Αυτό", "τι είναι αυτό" },
    { LANG_CHINESE, "水泵是什么？", "水泵是什么" },
    { LANG_CHINESE, "水泵是红色的。", "水泵是红色的" },
    { LANG_ARABIC, "ما هذا؟", "ما هذا" },
    { LANG_TURKISH, "Neden Kapanır?", "neden kapanır" },
};

static const struct {
    enum language l;
    const char *text, *wording;
} kept[] = {
    { LANG_ENGLISH, "What does -I mean for gcc?", "what does -I mean for gcc" },
    { LANG_ENGLISH, "Who is in the WHO?", "who is in the WHO" },
    { LANG_ENGLISH, "What is `Map`?", "what is `Map`" },
    { LANG_ENGLISH, "What is \"Map\"?", "what is \"Map\"" },
    { LANG_ENGLISH, "What is std::Map?", "what is std::Map" },
    { LANG_ENGLISH, "What is Map<String>?", "what is Map<String>" },
    { LANG_ENGLISH, "What is JavaScript or P77 or MacOS", "what is JavaScript or P77 or MacOS" },
    { LANG_ENGLISH, "what is sort!", "what is sort!" },
    { LANG_ENGLISH, "what does cd ..", "what does cd .." },
    { LANG_ENGLISH, "what does cd .", "what does cd ." },
    { LANG_ENGLISH, "what is the operator ?", "what is the operator ?" },
    { LANG_ENGLISH, "do I", "do I" },
    { LANG_ENGLISH, "C or c", "C or c" },
    { LANG_ENGLISH, "is it 5 or 15", "is it 5 or 15" },
    { LANG_ENGLISH, "is it -5", "is it -5" },
    { LANG_ENGLISH, "?", "?" },
    { LANG_ENGLISH, "", "" },
    { LANG_GERMAN, "was ist ein Weg und was ist weg", "was ist ein Weg und was ist weg" },
    { LANG_TURKISH, "Işık nedir", "Işık nedir" },
    { LANG_TURKISH, "İlk nedir", "İlk nedir" },
};

static void
check(enum language l, const char *text, const char *want)
{
    struct buf b = BUF_MAX(4096);

    wording_add(str_of(text), l, &b);
    if (!str_is(buf_slice(&b), want))
        fail_msg("\"%s\" has the wording \"" STR_FMT "\"", text, STR_ARG(buf_slice(&b)));
    buf_free(&b);
}

static void
what_is_typed_a_little_differently_has_one_wording(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        check(same[i].l, same[i].text, same[i].wording);
        check(same[i].l, same[i].wording, same[i].wording);
    }
}

static void
what_may_be_the_name_of_another_thing_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        check(kept[i].l, kept[i].text, kept[i].wording);
}

/* Bytes that are no UTF-8 come to an end, too. */
static void
bytes_that_are_no_text_are_kept(void **state)
{
    static const char odd[] = "\xff\xfe A\xc3 \xe2\x80?";
    struct buf b = BUF_MAX(64);

    (void)state;
    wording_add((struct str){ odd, sizeof odd - 1 }, LANG_ENGLISH, &b);
    assert_memory_equal(b.p, "\xff\xfe A\xc3 \xe2\x80", 8);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_typed_a_little_differently_has_one_wording),
        cmocka_unit_test(what_may_be_the_name_of_another_thing_stays),
        cmocka_unit_test(bytes_that_are_no_text_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
