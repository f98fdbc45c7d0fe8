/* Sentences: where they end, in all scripts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/sentence.h"

enum { PARTS = 6 };

static const struct {
    const char *text, *parts[PARTS];
} cut[] = {
    { "The mast is steel. The sail is cotton.", { "The mast is steel.", "The sail is cotton." } },
    { "\"Stop!\" every second driver shouted. Nobody heard.",
      { "\"Stop!\" every second driver shouted.", "Nobody heard." } },
    { "the mast is steel. the sail is cotton.", { "the mast is steel.", "the sail is cotton." } },
    { "It costs approx. two crowns. Pay at the door.",
      { "It costs approx. two crowns.", "Pay at the door." } },
    { "I said no. Then I left.", { "I said no.", "Then I left." } },
    { "See fig. 3. The valve is red.", { "See fig. 3.", "The valve is red." } },
    { "Bring oars, rope etc. Then row.", { "Bring oars, rope etc.", "Then row." } },
    { "Wir fahren am 3. Oktober ab. Das Boot ist rot, z.B. vorne.",
      { "Wir fahren am 3. Oktober ab.", "Das Boot ist rot, z.B. vorne." } },
    { "А. С. Пушкин родился в Москве. Он писал стихи.",
      { "А. С. Пушкин родился в Москве.", "Он писал стихи." } },
    { "水泵是红色的。它在地下室！「是吗？」他问。",
      { "水泵是红色的。", "它在地下室！", "「是吗？」", "他问。" } },
    { "पंप लाल है। वह तहखाने में है।", { "पंप लाल है।", "वह तहखाने में है।" } },
    { "المضخة حمراء. أين هي؟ في القبو.", { "المضخة حمراء.", "أين هي؟", "في القبو." } },
    { "یہ پمپ سرخ ہے۔ وہ تہہ خانے میں ہے۔", { "یہ پمپ سرخ ہے۔", "وہ تہہ خانے میں ہے۔" } },
    { "Τι είναι αυτό; Είναι αντλία.", { "Τι είναι αυτό;", "Είναι αντλία." } },
    { "Use x; then y. Done.", { "Use x; then y.", "Done." } },
    { "ပန့်သည် နီသည်။ ထိုနေရာတွင် ရှိသည်။", { "ပန့်သည် နီသည်။", "ထိုနေရာတွင် ရှိသည်။" } },
    { "ស្នប់មានពណ៌ក្រហម។ វានៅក្រោមដី។", { "ស្នប់មានពណ៌ក្រហម។", "វានៅក្រោមដី។" } },
    { "Պոմպը կարմիր է։ Այն նկուղում է։", { "Պոմպը կարմիր է։", "Այն նկուղում է։" } },
    { "กล้องโทรทรรศน์สร้างโดยไอดา ลินด์ควิสต์ในปี 1931 และปั๊มต้องล้างด้วยน้ำส้มสายชูทุกสองสัปดาห์ ห้ามใช้สบู่",
      { "กล้องโทรทรรศน์สร้างโดยไอดา ลินด์ควิสต์ในปี 1931 และปั๊มต้องล้างด้วยน้ำส้มสายชูทุกสองสัปดาห์", "ห้ามใช้สบู่" } },
    { "> The red valve opens\n> at three bar. It is\n> old.",
      { "> The red valve opens\n> at three bar.", "It is\n> old." } },
    { "> Note:\n> Oil it.\n>\n> - one\n> - two", { "> Note:", "> Oil it.", ">", "> - one", "> - two" } },
    { "Anna wrote\n> a letter.", { "Anna wrote", "> a letter." } },
    { "> word\n>& word\n>= 5", { "> word", ">& word", ">= 5" } },
    { "| E1 | It is out. | Fill it. |\n| E2 |", { "| E1 | It is out. | Fill it. |", "| E2 |" } },
    { "one line\n• first point\n• second point", { "one line", "• first point", "• second point" } },
};

static void
sentences_end_in_every_script(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        struct str s = str_of(cut[i].text);
        struct span x;
        size_t at = 0, n = 0;

        while (sentence_next(s, &at, &x)) {
            struct str got = { s.p + x.start, x.end - x.start };

            if (n == PARTS || !cut[i].parts[n] || !str_is(got, cut[i].parts[n]))
                print_message("%s: \"%.*s\"\n", cut[i].text, (int)got.n, got.p);
            assert_true(n < PARTS && cut[i].parts[n] && str_is(got, cut[i].parts[n]));
            n++;
        }
        assert_true(n == PARTS || !cut[i].parts[n]);
    }
}

static void
a_long_run_of_stops_is_looked_at_once(void **state)
{
    static char z[200000];
    struct str s = { z, sizeof z };
    struct span x;
    size_t at = 0, n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof z; i++)
        z[i] = i % 2 ? '.' : 'x';
    while (sentence_next(s, &at, &x))
        n++;
    assert_int_equal(n, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_end_in_every_script),
        cmocka_unit_test(a_long_run_of_stops_is_looked_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
