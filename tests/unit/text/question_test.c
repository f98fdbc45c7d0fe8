/* Questions: what stands around them, misspelt words, inflections, and how likely a quote answers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/asking.h"
#include "text/inflect.h"
#include "text/spell.h"
#include "text/support.h"
#include "common/text/text.h"

static void
what_stands_around_a_question_is_blanked_byte_for_byte(void **state)
{
    static const struct {
        const char *question, *core;
    } cases[] = {
        { "hi, can you tell me what a pump is?", "  ,                 what a pump is?" },
        { "Bonjour, o\xc3\xb9 est la pompe ?", "       , o\xc3\xb9 est la pompe ?" },
        { "I'd like to know the fee, thanks", "                 the fee,       " },
        { "thanks", "thanks" },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = BUF_MAX(1000);

        asking_core(str_of(cases[i].question), &b);
        assert_true(str_is(buf_slice(&b), cases[i].core));
        buf_free(&b);
    }
}

static void
a_short_word_is_corrected_only_where_that_is_likely(void **state)
{
    static const struct {
        const char *typed, *meant;
        bool may;
    } cases[] = {
        { "lmap", "lamp", true },  { "cahs", "cash", true },          { "motr", "motor", true },
        { "love", "move", false }, { "bread", "read", false },        { "humms", "hums", true },
        { "fuze", "fuse", false }, { "paramter", "parameter", true }, { "uqery", "query", true },
        { "tea", "teas", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(spell_meant(str_of(cases[i].typed), str_of(cases[i].meant)), cases[i].may);
}

static void
neighbours_are_one_letter_away(void **state)
{
    struct buf b = BUF_MAX(65536);

    (void)state;
    assert_false(spell_neighbours(STR("abc"), &b));
    assert_false(spell_neighbours(STR("E150"), &b));
    assert_true(spell_neighbours(STR("Lmap"), &b));
    assert_non_null(memmem(b.p, b.n, "\nlamp\n", 6));
    assert_null(memmem(b.p, b.n, "\nlmap\n", 6));
    buf_free(&b);
}

static uint64_t last;

static void
take(void *arg, const struct word *w)
{
    (void)arg;
    last = w->h;
}

static uint64_t
stem(struct words *w, const char *word)
{
    words_each(w, str_of(word), take, NULL);
    return last;
}

static void
forms_of_one_word_are_one(void **state)
{
    static const struct {
        enum language l;
        const char *a, *b;
        bool same;
    } cases[] = {
        { LANG_ENGLISH, "fed", "feeds", true },
        { LANG_ENGLISH, "children", "child", true },
        { LANG_ENGLISH, "five", "5", true },
        { LANG_ENGLISH, "gases", "gas", true },
        { LANG_ENGLISH, "Jul", "July", true },
        { LANG_ENGLISH, "maximum", "max", true },
        { LANG_ENGLISH, "tyre", "tired", false },
        { LANG_ENGLISH, "feed", "fee", false },
        { LANG_ENGLISH, "feeding", "fed", true },
        { LANG_FRENCH, "co\xc3\xbbtent", "co\xc3\xbbte", true },
        { LANG_FRENCH, "moment", "mom", false },
        { LANG_TURKISH, "aynas\xc4\xb1", "ayna", true },
        { LANG_GERMAN, "gereinigt", "reinigt", true },
    };
    struct words *w = words_new();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        words_language(w, cases[i].l);
        if ((stem(w, cases[i].a) == stem(w, cases[i].b)) != cases[i].same)
            fail_msg("%s, %s", cases[i].a, cases[i].b);
    }
    words_free(&w);
}

/* Every form is found: the table is sorted. */
static void
every_irregular_form_is_found(void **state)
{
    static const struct {
        const char *form, *base;
    } all[] = {
#define IRREGULAR(form, base) { form, base },
#include "text/inflect.tbl"
#undef IRREGULAR
    };
    char z[FOLD_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_true(str_is(inflect_before(LANG_ENGLISH, str_of(all[i].form), z), all[i].base));
    assert_true(str_is(inflect_before(LANG_ENGLISH, STR("fe"), z), "fe"));
    assert_true(str_is(inflect_before(LANG_ENGLISH, STR("zzz"), z), "zzz"));
}

static struct support
supported(const char *question, const char *text, double found)
{
    struct words *w = words_new();
    struct hit h = { .text = str_of(text), .score = found };
    struct support s;

    support_read(w, str_of(question), &h, h.text, &s);
    words_free(&w);
    return s;
}

static void
a_quote_that_lacks_what_is_asked_is_less_likely(void **state)
{
    const char *text = "The bridge over the Wern was built in 1893 by the engineer Anna Holl.";
    struct support sure = supported("Who built the bridge over the Wern?", text, 0.8),
                   name = supported("Who built the bridge over the Saale?", text, 0.8),
                   number = supported("Who built the bridge over the Wern in 1895?", text, 0.8),
                   denial = supported("Who did not build the bridge over the Wern?", text, 0.8);

    (void)state;
    assert_true(!sure.name && !sure.number && !sure.denial && !sure.contrary && name.name && number.number &&
                denial.denial);
    assert_true(supported("Which is the lowest gate?", "The highest gate is the red one.", 0.8).contrary);
    assert_true(support_chance(&sure) > support_chance(&name) &&
                support_chance(&sure) > support_chance(&number));
    assert_true(support_chance(&denial) < SUPPORT_LEAST && support_chance(&sure) >= SUPPORT_LEAST);
    sure.found = 0.3;
    sure.said = 0.3;
    assert_true(support_chance(&sure) < SUPPORT_LEAST); /* the chance meeting of a common word */
    assert_false(supported("Number 7 of 9 is said to have been read by ERROR_7 <main>", text, 0.8)
                     .number); /* a pasted line */
}

static void
what_a_quote_says_in_other_forms_is_not_lacking(void **state)
{
    const char *high = "The emphasis on mentorship is extremely high.",
               *lost = "Algiers lost many in 1620\xe2\x80\x93"
                       "21, and 30 more in the 1950s.",
               *but = "They destroyed all cities with the exception of Pskov.";

    (void)state;
    assert_false(supported("Is the emphasis on mentorship high or low?", high, 0.8).contrary);
    assert_true(supported("Is the emphasis on mentorship low?", high, 0.8).contrary);
    assert_false(supported("Who was lost in 1620-21?", lost, 0.8).number ||
                 supported("Who was lost in 1950?", lost, 0.8).number);
    assert_true(supported("Who was lost in 1620-22?", lost, 0.8).number &&
                supported("Who was lost in 195?", lost, 0.8).number);
    assert_false(supported("Which cities were not destroyed?", but, 0.8).denial ||
                 supported("Which cities were not reached?", "Units were unable to reach Pskov.", 0.8)
                     .denial);
    assert_true(supported("Which cities were not destroyed?", "They destroyed all cities.", 0.8).denial);
}

/* With the sentence model. */
static void
a_word_that_is_lacking_says_less_of_a_long_question_and_of_the_kind_of_answer(void **state)
{
    struct support has = { .by = SUPPORT_MEANING, .found = 0.7, .near = 0.6, .said = 1, .few = 1 },
                   lacks = has, kind = has, longer = has, far = has, met = has;

    (void)state;
    lacks.lacks = longer.lacks = kind.kind = true;
    longer.few = 0.5;
    far.near = 0.3;
    assert_true(support_chance(&has) >= SUPPORT_LEAST && support_chance(&kind) > support_chance(&has));
    assert_true(support_chance(&lacks) < support_chance(&has) &&
                support_chance(&longer) > support_chance(&lacks) &&
                support_chance(&far) < support_chance(&has));
    met.found = 0.3;
    met.said = 0.4;
    assert_true(support_chance(&met) >= SUPPORT_LEAST); /* near: no chance meeting */
    met.near = 0.35;
    assert_true(support_chance(&met) < SUPPORT_LEAST);
}

/* A heading may be all that denies, in whatever form. */
static void
a_heading_that_denies_too_is_the_question_in_other_words(void **state)
{
    static const struct {
        const char *question, *section;
        bool lacks;
    } cases[] = { { "Why does the pump not start?", "The pump cannot be started", false },
                  { "Why doesn't the pump start?", "Why won't my pump start?", false },
                  { "Why won\xe2\x80\x99t the pump start?", "The pump doesn\xe2\x80\x99t start", false },
                  { "Warum startet die Pumpe nicht?", "Die Pumpe l\xc3\xa4uft nicht an", false },
                  { "Why doesn't the pump start?", "How the pump starts", true },
                  { "Why doesn't the pump start?", "", true } };
    struct words *w = words_new();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hit h = { .text = STR("Close the valve."), .section = str_of(cases[i].section), .score = 0.8 };
        struct support s;

        support_read(w, str_of(cases[i].question), &h, h.text, &s);
        if (s.denial != cases[i].lacks)
            fail_msg("%s | %s", cases[i].question, cases[i].section);
    }
    words_free(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_around_a_question_is_blanked_byte_for_byte),
        cmocka_unit_test(a_short_word_is_corrected_only_where_that_is_likely),
        cmocka_unit_test(neighbours_are_one_letter_away),
        cmocka_unit_test(forms_of_one_word_are_one),
        cmocka_unit_test(every_irregular_form_is_found),
        cmocka_unit_test(what_a_quote_says_in_other_forms_is_not_lacking),
        cmocka_unit_test(a_word_that_is_lacking_says_less_of_a_long_question_and_of_the_kind_of_answer),
        cmocka_unit_test(a_heading_that_denies_too_is_the_question_in_other_words),
        cmocka_unit_test(a_quote_that_lacks_what_is_asked_is_less_likely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
