/* Near-identical questions: what people type differently and mean the same, and the smallest differences that make another question. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/alike.h"

static const char *const fates[] = {
#define ALIKE_FATE(id, name) name,
    ALIKE_FATES
#undef ALIKE_FATE
};

static const char *const same[][2] = {
    { "How do I reset the pump?", "how can I reset the pump" },
    { "How do I reset the pump?", "Hi, could you tell me how to reset the pump, please?" },
    { "How do I reset the pump?", "What do I have to do to reset the pump?" },
    { "What's the default port of Redis?", "redis default port" },
    { "How do I set the limit in Redis?", "In Redis, how do I set the limit?" },
    { "How come the build doesn't start on Linux?", "why does the build not start on linux" },
    { "How do I delete a file?", "how to remove files" },
    { "Does version two support dark mode?", "Does version 2 support the dark mode" },
    { "Is it possible to export my data?", "Can I export my data?" },
    { "What is the price of 1,000 litres?", "what's the cost of 1000 liters" },
    { "How do I log in to the server?", "How do I login to the server?" },
    { "How do I turn on the alarm clock?", "How do I enable the alarm clock?" },
    { "How do I recieve the weekly adress list?", "How do I receive the weekly address list?" },
    { "steps for installing the driver?", "steps for install the driver" },
    { "When was the user's key made?", "when was the user key made" },
    { "Wie kann ich die Pumpe starten?", "Hallo, wie kann man die Pumpe starten?" },
    { "Comment puis-je ouvrir la porte ?", "Bonjour, comment ouvrir la porte" },
};

static const struct {
    const char *a, *b;
    enum alike why;
} other[] = {
    { "How do I keep 14 copies?", "How do I keep 41 copies?", ALIKE_NUMBER },
    { "How do I keep two copies?", "How do I keep three copies?", ALIKE_NUMBER },
    { "What does error E14 mean?", "What does error E15 mean?", ALIKE_NUMBER },
    { "Upgrade version 4.1 how?", "Upgrade version 4.10 how?", ALIKE_NUMBER },
    { "How do I install Redis on Ubuntu?", "How do I install Redis on Debian?", ALIKE_NAME },
    { "What does gcc -i do?", "What does gcc -I do?", ALIKE_NAME },
    { "How do I set LOG_LEVEL here?", "How do I set log_level here?", ALIKE_NAME },
    { "What is a \"Map\" in Java?", "What is a \"map\" in Java?", ALIKE_NAME },
    { "Who pays the WHO?", "Who pays who?", ALIKE_NAME },
    { "Is the pump safe to use?", "Is the pump not safe to use?", ALIKE_NEGATION },
    { "Can I pay with a card?", "Can I pay without a card?", ALIKE_NEGATION },
    { "Why doesn't the pump start?", "Why does the pump start?", ALIKE_NEGATION },
    { "Are the tools available?", "Are the tools unavailable?", ALIKE_WORDS },
    { "Is the list empty here?", "Is the list non-empty here?", ALIKE_NEGATION },
    { "Can a guest edit pages?", "Can only a guest edit pages?", ALIKE_QUANTITY },
    { "Can all guests edit pages?", "Can some guests edit pages?", ALIKE_QUANTITY },
    { "What is the maximum size of a file?", "What is the minimum size of a file?", ALIKE_QUANTITY },
    { "Do I eat before work?", "Do I eat after work?", ALIKE_QUANTITY },
    { "How do I enable the alarm?", "How do I disable the alarm?", ALIKE_WORDS },
    { "How do I increase the limit?", "How do I decrease the limit?", ALIKE_WORDS },
    { "How do I open the app?", "Why do I open the app?", ALIKE_WISH },
    { "Can I open the app?", "How can I open the app?", ALIKE_WISH },
    { "Can I open the app?", "Must I open the app?", ALIKE_WISH },
    { "When is the key made?", "When was the key made?", ALIKE_WISH },
    { "How many keys are made?", "How much key is made?", ALIKE_QUANTITY },
    { "How do I convert PDF to HTML?", "How do I convert HTML to PDF?", ALIKE_ORDER },
    { "Is Postgres faster than Redis?", "Is Redis faster than Postgres?", ALIKE_ORDER },
    { "Does Anna manage Bert?", "Does Bert manage Anna?", ALIKE_ORDER },
    { "How do I move from Paris to Rome?", "How do I move from Rome to Paris?", ALIKE_ORDER },
    { "How do I get a client for a server?", "How do I get a server for a client?", ALIKE_ORDER },
    { "files in A for users in B?", "files in B for users in A?", ALIKE_ORDER },
    { "Which users can edit files that guests see?", "Which users edit files that guests can see?",
      ALIKE_ORDER },
    { "Who may read but not write files?", "Who may write but not read files?", ALIKE_ORDER },
    { "What is the state of the pump?", "What is the stats of the pump?", ALIKE_WORDS },
    { "How do I import a key?", "How important is a key?", ALIKE_WORDS },
    { "How do I file a compliant form?", "How do I file a complaint form?", ALIKE_WORDS },
    { "Where is the trial held?", "Where is the trail held?", ALIKE_WORDS },
    { "How long is Janssen's message?", "How long is Jansen's message?", ALIKE_WORDS },
    { "Which port is the service made of?", "Which port is the service made for?", ALIKE_WORDS },
    { "What day is the market in Rome?", "What time is the market in Rome?", ALIKE_WORDS },
    { "tell me what the water pump does", "What is the water pump?", ALIKE_WORDS },
    { "When do I pay the refund?", "When do you pay the refund?", ALIKE_WORDS },
    { "Where is your office key?", "Where is my office key?", ALIKE_WORDS },
    { "How do I get from the contract?", "How do I get out of the contract?", ALIKE_WORDS },
    { "Who are you?", "Who am I?", ALIKE_WORDS }, /* too little is said */
    { "Wie lagere ich 1,500 kg Mehl?", "Wie lagere ich 1500 kg Mehl?", ALIKE_NUMBER },
    { "Wie kann ich die Pumpe starten?", "Wie kann ich die Pumpe nicht starten?", ALIKE_NEGATION },
    { "Wie kann ich die Pumpe starten?", "Wie kann die Pumpe ich starten?", ALIKE_ORDER },
    { "Wie teuer ist die Weiße Pumpe dort?", "Wie teuer ist die weiße Pumpe dort?", ALIKE_NAME },
    { "Comment puis-je ouvrir la porte ?", "Comment puis-je fermer la porte ?", ALIKE_WORDS },
    { "Quelle est la hauteur de la tour du port ?", "Quelle est la hauteur du port de la tour ?",
      ALIKE_ORDER },
    { "Сколько стоит этот насос?", "Сколько не стоит этот насос?", ALIKE_NEGATION },
    { "水泵的保修期是多少天？", "阀门的保修期是多少天？", ALIKE_WORDS },
};

static enum alike
judge(const char *x, const char *y)
{
    struct alike_text *a = alike_new(str_of(x), LANG_ENGLISH), *b = alike_new(str_of(y), LANG_ENGLISH);
    enum alike ab = alike_judge(a, b), ba = alike_judge(b, a);

    assert_int_equal(ab == ALIKE_SAME, ba == ALIKE_SAME); /* whoever asked first */
    alike_free(&a);
    alike_free(&b);
    return ab;
}

static void
what_is_asked_in_other_words_is_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (judge(same[i][0], same[i][1]) != ALIKE_SAME)
            fail_msg("%s | %s: %s", same[i][0], same[i][1], fates[judge(same[i][0], same[i][1])]);
}

static void
the_smallest_difference_makes_another_question(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        enum alike why = judge(other[i].a, other[i].b);

        if (why == ALIKE_SAME || (why != other[i].why && other[i].why != ALIKE_WORDS))
            fail_msg("%s | %s: %s", other[i].a, other[i].b, fates[why]);
    }
}

static void
a_text_in_another_language_is_another_question(void **state)
{
    (void)state;
    assert_int_equal(judge("How do I open the door of the house?", "Wie öffne ich die Tür von dem Haus?"),
                     ALIKE_LANGUAGE);
}

/* Bytes that are no text, and texts that are longer than any question, come to an end. */
static void
odd_texts_are_never_the_same(void **state)
{
    char long_text[1500];
    struct buf words = BUF_MAX(8000);

    (void)state;
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(judge(long_text, long_text), ALIKE_WORDS);
    for (int i = 0; i < 200; i++)
        buf_printf(&words, "word%d ", i);
    assert_int_equal(judge(words.p, words.p), ALIKE_WORDS);
    buf_free(&words);
    /* letters that take more bytes in lower case: a word that is too long then is not cut to what another one begins with */
    assert_int_equal(
        judge(
            "Where is the \xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba"
            "\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba"
            "b pump kept?",
            "Where is the \xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba"
            "\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba\xc8\xba"
            "c pump kept?"),
        ALIKE_WORDS);
    judge("\xff\xfe \xc3 '' - \" \" ?!", "\xe2\x80 `` 's n't ,,,");
    judge("", "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_in_other_words_is_the_same),
        cmocka_unit_test(the_smallest_difference_makes_another_question),
        cmocka_unit_test(a_text_in_another_language_is_another_question),
        cmocka_unit_test(odd_texts_are_never_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
