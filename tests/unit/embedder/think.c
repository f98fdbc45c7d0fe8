/* Thoughts between tags are left out, however the text is split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/openai/stream.h"

static bool
emit(void *arg, struct str text)
{
    buf_str(arg, text);
    return true;
}

static void
forget(void *arg)
{
    buf_reset(arg);
}

static void
filter(const char *text, size_t cut1, size_t cut2, struct buf *out)
{
    struct think k;
    size_t n = strlen(text);

    buf_reset(out);
    think_init(&k, emit, forget, out);
    assert_true(think_push(&k, (struct str){ text, cut1 }));
    assert_true(think_push(&k, (struct str){ text + cut1, cut2 - cut1 }));
    assert_true(think_push(&k, (struct str){ text + cut2, n - cut2 }));
    assert_true(think_end(&k));
    think_fini(&k);
}

static void
every_split_of_a_text_gives_the_same_answer(void **state)
{
    static const struct {
        const char *text, *answer;
    } rows[] = {
        { "<think>maybe [2]</think>It is so [1].", "It is so [1]." },
        { "\n<think>\na\n</think>\n\nIt is.", "It is." },
        { "<thinking>a</thinking> <think>b</think>c", "c" },
        { "a first\n<think>b</think>c", "a first\nc" },
        { "thought without a beginning</think>\nanswer", "answer" },
        { "The tag <think> opens a thought.", "The tag <think> opens a thought." },
        { "Write `</think>` here.", "Write `</think>` here." },
        { "<thin ice> and <b>bold</b> [1]", "<thin ice> and <b>bold</b> [1]" },
        { "<think>never closed", "" },
        { "a <", "a <" },
        { "<THINK>a</Think>x", "x" },
        { "<think type=\"deep\">a</think >x", "x" },
        { "<thinker>a</thinker>x", "<thinker>a</thinker>x" },
        { "```\n<think>\na</think>\n```\nx", "```\n<think>\na</think>\n```\nx" },
        { "``<think>`` opens", "``<think>`` opens" },
        { "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>x<|return|>",
          "x" },
        { "x <|end|> y", "x <|end|> y" },
        { "<details type=\"reasoning\" done=\"true\"><summary>t</summary>a</details>\nx", "x" },
        { "<think></think>", "" },
        { "Steps.\n<details>\n<summary>More</summary>\nx\n</details>\nDone.",
          "Steps.\n<details>\n<summary>More</summary>\nx\n</details>\nDone." },
        { "[THINK]a[/THINK]b [1]", "b [1]" },
        { "\xe2\x97\x81think\xe2\x96\xb7"
          "a\xe2\x97\x81/think\xe2\x96\xb7"
          "b \xe2\x82\xac",
          "b \xe2\x82\xac" },
        { "<think>a < b </thin </think>x", "x" },
        { "<think>a</think>x <think> stays", "x <think> stays" },
        { "<|channel>thought\na<channel|>x", "x" },
        { "a\n<channel|>\nx", "x" },
        { "<think>a</think>\n<answer>\nx</answer>\n", "x" },
        { "<think>a</think><response>x</response> y", "x</response> y" },
        { "<answer> is a tag", "<answer> is a tag" },
        { "<think>a</think>x\n<answer>", "x\n<answer>" },
        { "x<|end|> \n", "x" },
        { "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>x<|END_RESPONSE|>", "x" },
        { "analysisWe think.assistantcommentaryOn.assistantfinalx", "x" },
        { "analysis of x", "analysis of x" },
        { "x\nanalysisX assistantfinal", "x\nanalysisX assistantfinal" },
        { "an", "an" },
    };
    struct buf out = { 0 };

    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t n = strlen(rows[r].text), i = 0; i <= n; i++)
            for (size_t k = i; k <= n; k++) {
                filter(rows[r].text, i, k, &out);
                if (!str_is(buf_slice(&out), rows[r].answer))
                    fail_msg("%s split at %zu and %zu gives %.*s", rows[r].text, i, k,
                             STR_ARG(buf_slice(&out)));
            }
    buf_free(&out);
}

static void
a_thought_that_is_expected_is_not_shown_before_it_ends(void **state)
{
    static const struct {
        const char *text, *answer;
        bool expects; /* still, when all has come */
    } rows[] = {
        { "maybe\n</think>\nx", "x", false },
        { "`a</Think >x", "x", false },
        { "a<channel|>x<|end|>", "x", false },
        { "\n<think>a</think>x</think>", "x</think>", false },
        { "a </thin b", "a </thin b", true },
        { "analysisA assistantfinalx", "x", false },
        { "", "", true },
    };

    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t n = strlen(rows[r].text), i = 0; i <= n; i++) {
            struct buf out = { 0 };
            struct think k;

            buf_z(&out, "");
            think_init(&k, emit, forget, &out);
            k.expects = true;
            assert_true(think_push(&k, (struct str){ rows[r].text, i }));
            assert_true(think_push(&k, (struct str){ rows[r].text + i, n - i }));
            if (k.expects != rows[r].expects || (k.expects && out.n > 0))
                fail_msg("%s at %zu: %d, %s", rows[r].text, i, k.expects, out.p);
            assert_true(think_end(&k));
            if (!str_is(buf_slice(&out), rows[r].answer))
                fail_msg("%s at %zu gives %s", rows[r].text, i, out.p);
            think_fini(&k);
            buf_free(&out);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_a_text_gives_the_same_answer),
        cmocka_unit_test(a_thought_that_is_expected_is_not_shown_before_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
