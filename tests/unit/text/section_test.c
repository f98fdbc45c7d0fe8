/* The innermost of the headings that a passage stands under. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/section.h"

static void
the_innermost_heading_stands_behind_the_last_arrow(void **state)
{
    static const char *const cases[][2] = {
        { "A > B > C", "C" },  { "A", "A" },   { "", "" },      { "a>b -> c", "a>b -> c" },
        { "A > vi > 9", "9" }, { "A > ", "" }, { " > B", "B" }, { "> B", "> B" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(str_is(section_last(str_of(cases[i][0])), cases[i][1]));
    assert_null(section_last(STR_NONE).p);
}

/* words: of the question; NULL: the paragraph is none that stands above its answer. */
static void
a_marked_question_stands_above_its_answer(void **state)
{
    static const struct {
        const char *paragraph, *words, *behind;
    } cases[] = {
        { "(11) How do I oil the lamp?", "How do I oil the lamp?", "" },
        { "3. How do I oil\n   the lamp?", "How do I oil\n   the lamp?", "" },
        { "1.2.\xc2\xa0What is a lamp?", "What is a lamp?", "" },
        { "**May I bring a dog?**\nOnly small ones.", "May I bring a dog?", "\nOnly small ones." },
        { "- **Where is \"Ebb\" sold?**", "Where is \"Ebb\" sold?", "" },
        { "Q: When do you open?\nA: At ten.", "When do you open?", "\nA: At ten." },
        { "Q. Why so late?", "Why so late?", "" },
        { "Question 4: Why so late?", "Why so late?", "" },
        { "F: Wann wird das \xc3\x96l gewechselt?", "Wann wird das \xc3\x96l gewechselt?", "" },
        { "(2) The lamp went out. Is it broken?", "The lamp went out. Is it broken?", "" },
        { "Which parcels are too heavy?\n: Those above 30 kg.", "Which parcels are too heavy?",
          "\n: Those above 30 kg." },
        { "How do I oil the lamp?", NULL, "" }, /* prose asks, too */
        { "The lamp went out. Why?\nNobody knew.", NULL, "" },
        { "3. Oil the lamp.", NULL, "" },
        { "1. What is a lamp for\n2. Who oils the lamp?", NULL, "" }, /* a list of questions */
        { "2024 was dry, was it not?", NULL, "" },
        { "(1) Why?", NULL, "" },
        { "", NULL, "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t end;
        struct str all = str_of(cases[i].paragraph), s = section_question(all, &end);

        if (cases[i].words ? !str_is(s, cases[i].words) : s.n > 0)
            fail_msg("%s: " STR_FMT, cases[i].paragraph, STR_ARG(s));
        if (s.n > 0)
            assert_true(str_is((struct str){ all.p + end, all.n - end }, cases[i].behind));
    }
}

static void
the_mark_of_an_answer_is_none_of_it(void **state)
{
    static const char *const cases[][2] = { { "A: At ten.", "At ten." },
                                            { "Answer 2: At ten.", "At ten." },
                                            { "Antwort: Um zehn.", "Um zehn." },
                                            { ": At ten.", "At ten." },
                                            { "At ten.", "At ten." },
                                            { "A lamp: ten euros.", "A lamp: ten euros." },
                                            { "", "" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(str_is(section_answer(str_of(cases[i][0])), cases[i][1]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_innermost_heading_stands_behind_the_last_arrow),
        cmocka_unit_test(a_marked_question_stands_above_its_answer),
        cmocka_unit_test(the_mark_of_an_answer_is_none_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
