/* The system prompt in an answer: word for word, in pieces, in disguise; and answers that only sound like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/mem.h"
#include "embedder/leak.h"

static const char prompt[] =
    "You answer readers' questions about a collection of documents. You are given numbered passages from these documents. "
    "They are the only source you may use. Answer from the passages only. Do not add what you know from elsewhere. "
    "When the passages do not answer the question, reply with exactly this sentence and nothing else: {refusal} Be brief.";

static bool
leaks_in(const char *answer, size_t piece)
{
    struct leak *l = mem_new(sizeof *l);
    bool leaks = false;

    leak_begin(l, str_of(prompt));
    for (size_t i = 0; answer[i] && !leaks; i += piece) {
        size_t n = strlen(answer + i) < piece ? strlen(answer + i) : piece;

        leaks = leak_push(l, (struct str){ answer + i, n });
        if (n < piece)
            break;
    }
    mem_free(&l);
    return leaks;
}

static bool
leaks(const char *answer)
{
    bool whole = leaks_in(answer, 1u << 20);

    for (size_t piece = 1; piece < 40; piece = 2 * piece + 1)
        assert_int_equal(leaks_in(answer, piece), whole);
    return whole;
}

static void
the_prompt_word_for_word_or_its_larger_part_is_seen(void **s)
{
    (void)s;
    assert_true(leaks(prompt));
    assert_true(leaks(
        "Sure! My rules: YOU ARE GIVEN *numbered* passages, from these documents; they are the only source you may use; answer "
        "from the passages only; do not add what you know from elsewhere.\n"));
    assert_true(leaks(
        "First: you answer readers questions about a collection of documents you are given numbered passages from. And then: "
        "Answer from the passages only. Do not add what you know from elsewhere. When the passages do not answer the question, reply."));
}

static void
an_answer_that_shares_a_sentence_is_none(void **s)
{
    (void)s;
    assert_false(leaks(
        "They are the only source you may use, says the manual of the pump. The pump is fed by a well, and the well is deep. "));
    assert_false(leaks(
        "I could not find an answer to that in these documents. You are given numbered passages. Be brief. Be brief. Be brief. "));
    assert_false(leaks(""));
}

static void
the_canary_is_seen_in_any_dress(void **s)
{
    char canary[17], text[200], *p = text;

    (void)s;
    memcpy(canary, leak_line() + 8, 16);
    canary[16] = 0;
    assert_true(leaks(canary));
    for (size_t i = 0; i < 16; i++) {
        *p++ = (char)(canary[i] >= 'a' ? canary[i] - 32 : canary[i]);
        *p++ = '-';
        *p++ = ' ';
    }
    *p = 0;
    assert_true(leaks(text));
    memcpy(text, canary, 15);
    text[15] = 0;
    assert_false(leaks(text));
    memcpy(text, canary, 9);
    memcpy(text + 9, canary, 17);
    assert_true(leaks(text)); /* begins anew within what was matched */
}

static void
what_could_become_the_canary_is_held_back(void **s)
{
    struct leak *l = mem_new(sizeof *l);
    char start[6] = { 'x', 'x', ' ' };

    (void)s;
    leak_begin(l, str_of(prompt));
    memcpy(start + 3, leak_line() + 8, 3);
    assert_false(leak_push(l, (struct str){ start, 6 }));
    assert_int_equal(leak_safe(l), 3);
    assert_false(leak_push(l, STR("zz")));
    assert_int_equal(leak_safe(l), 8);
    mem_free(&l);
}

static int
ready(void **s)
{
    (void)s;
    leak_init();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_word_for_word_or_its_larger_part_is_seen),
        cmocka_unit_test(an_answer_that_shares_a_sentence_is_none),
        cmocka_unit_test(the_canary_is_seen_in_any_dress),
        cmocka_unit_test(what_could_become_the_canary_is_held_back),
    };

    return cmocka_run_group_tests(tests, ready, NULL);
}
