/* Languages: which one a text is in, the refusal of each, function words inside of running text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text/language.h"

/* A statement and a question of each, as people write them. */
static const struct {
    const char *code, *statement, *question;
} own[] = {
    { "en", "The pump is cleaned with vinegar every second week.", "With what is the pump cleaned?" },
    { "de", "Die Pumpe wird alle zwei Wochen mit Essig gereinigt.", "Womit wird die Pumpe gereinigt?" },
    { "fr", "La pompe est nettoyée au vinaigre toutes les deux semaines.",
      "Avec quoi la pompe est-elle nettoyée ?" },
    { "es", "La bomba se limpia con vinagre cada dos semanas.", "¿Con qué se limpia la bomba?" },
    { "pt", "A bomba é limpa com vinagre de duas em duas semanas.", "Com o que a bomba é limpa?" },
    { "it", "La pompa viene pulita con aceto ogni due settimane.", "Con che cosa si pulisce la pompa?" },
    { "nl", "De pomp wordt om de twee weken met azijn schoongemaakt.",
      "Waarmee wordt de pomp schoongemaakt en hoe vaak?" },
    { "sv", "Pumpen rengörs med ättika varannan vecka och den får inte stå torr.",
      "Vad ska pumpen rengöras med?" },
    { "fi", "Pumppu puhdistetaan etikalla joka toinen viikko.",
      "Millä pumppu puhdistetaan ja kuinka usein?" },
    { "ro", "Pompa se curăță cu oțet o dată la două săptămâni.", "Cu ce se curăță pompa?" },
    { "hu", "A szivattyút kéthetente ecettel kell tisztítani.", "Mivel kell tisztítani a szivattyút?" },
    { "tr", "Pompa iki haftada bir sirke ile temizlenir.", "Pompa ne ile temizlenir?" },
    { "vi", "Máy bơm được làm sạch bằng giấm hai tuần một lần.", "Máy bơm được làm sạch bằng gì?" },
    { "pl", "Pompę czyści się octem co dwa tygodnie.", "Czym czyści się pompę?" },
    { "cs", "Čerpadlo se čistí octem každé dva týdny.", "Čím se čistí čerpadlo?" },
    { "id", "Pompa dibersihkan dengan cuka setiap dua minggu.", "Dengan apa pompa dibersihkan?" },
    { "ru", "Насос чистят уксусом каждые две недели.", "Чем чистят насос?" },
    { "uk", "Насос чистять оцтом кожні два тижні, і він не має стояти сухим.",
      "Чим чистять насос і як часто це роблять?" },
    { "el", "Η αντλία καθαρίζεται με ξύδι κάθε δύο εβδομάδες.", "Με τι καθαρίζεται η αντλία;" },
    { "ar", "تُنظف المضخة بالخل كل أسبوعين.", "بماذا تُنظف المضخة؟" },
    { "fa", "پمپ هر دو هفته با سرکه تمیز می‌شود.",
      "پمپ با چه چیزی تمیز می‌شود؟" },
    { "he", "המשאבה מנוקה בחומץ כל שבועיים.", "במה מנקים את המשאבה?" },
    { "hi", "पंप को हर दो सप्ताह में सिरके से साफ किया जाता है।", "पंप को किससे साफ किया जाता है?" },
    { "bn", "পাম্পটি প্রতি দুই সপ্তাহে ভিনেগার দিয়ে পরিষ্কার করা হয়।", "পাম্পটি কী দিয়ে পরিষ্কার করা হয়?" },
    { "ta", "பம்பு இரண்டு வாரங்களுக்கு ஒருமுறை வினிகரால் சுத்தம் செய்யப்படுகிறது.",
      "பம்பு எதனால் சுத்தம் செய்யப்படுகிறது?" },
    { "zh", "水泵每两周用醋清洗一次。", "水泵用什么清洗？" },
    { "ja", "ポンプは二週間ごとに酢で洗浄します。", "ポンプは何で洗浄しますか？" },
    { "ko", "펌프는 2주마다 식초로 청소한다.", "펌프는 무엇으로 청소하나요?" },
    { "th", "ปั๊มต้องล้างด้วยน้ำส้มสายชูทุกสองสัปดาห์", "ต้องล้างปั๊มด้วยอะไร" },
    { "lo", "ປັ໊ມຕ້ອງລ້າງດ້ວຍນ້ຳສົ້ມທຸກສອງອາທິດ", "ຕ້ອງລ້າງປັ໊ມດ້ວຍຫຍັງ" },
    { "km", "ស្នប់ត្រូវលាងដោយទឹកខ្មេះរៀងរាល់ពីរសប្តាហ៍។", "តើស្នប់ត្រូវលាងដោយអ្វី?" },
    { "my", "ပန့်ကို နှစ်ပတ်တစ်ကြိမ် ရှာလကာရည်ဖြင့် သန့်ရှင်းရေးလုပ်သည်။", "ပန့်ကို ဘာနဲ့ သန့်ရှင်းရေးလုပ်သလဲ။" },
};

static void
a_text_is_read_in_its_own_language(void **state)
{
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        const char *a = language_code(language_of(str_of(own[i].statement), 0, LANG_ENGLISH));
        const char *b = language_code(language_of(str_of(own[i].question), 0, LANG_ENGLISH));

        if (strcmp(a, own[i].code) != 0 || strcmp(b, own[i].code) != 0) {
            print_message("%s: the statement is taken for %s, the question for %s\n", own[i].code, a, b);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void
a_name_or_a_number_leaves_the_language_open(void **state)
{
    (void)state;
    assert_int_equal(language_of(str_of("Kestrel 40"), 0, LANG_GERMAN), LANG_GERMAN);
    assert_int_equal(language_of(str_of("404"), 0, LANG_RUSSIAN), LANG_RUSSIAN);
    assert_int_equal(language_of(STR_NONE, 0, LANG_ENGLISH), LANG_ENGLISH);
    assert_int_equal(language_of(str_of("\xff\xfe\x80"), 0, LANG_ENGLISH), LANG_ENGLISH);
}

static void
a_language_that_is_not_there_comes_out_only_where_the_text_clearly_is_in_it(void **state)
{
    uint64_t among = UINT64_C(1) << LANG_ENGLISH | UINT64_C(1) << LANG_DANISH;

    (void)state;
    assert_int_equal(language_of(str_of("Hva koster en billett, og hvor kan jeg kjøpe den?"), among,
                                 LANG_ENGLISH),
                     LANG_DANISH);
    assert_int_equal(language_of(str_of("Kestrel ist"), among, LANG_DANISH), LANG_DANISH);
    assert_int_equal(language_of(str_of("Wo ist das?"), among, LANG_DANISH), LANG_GERMAN);
    assert_int_equal(language_of(str_of("What does the Pro plan cost when I pay in advance?"),
                                 UINT64_C(1) << LANG_CZECH, LANG_CZECH),
                     LANG_ENGLISH);
}

static void
one_word_in_a_table_of_many_is_no_evidence(void **state)
{
    (void)state;
    assert_int_equal(
        language_of(
            str_of(
                "City Jan Feb Mar Apr Jun Jul Aug Sep Oct Nov Dec Oslo Rome Bern Basel Chur Thun Olten Wil"),
            0, LANG_ENGLISH),
        LANG_ENGLISH);
    assert_int_equal(
        language_of(
            str_of("<table><tr><td>Plan</td><td>Price</td></tr><tr><td>Basic</td><td>5</td></tr></table>"), 0,
            LANG_ENGLISH),
        LANG_ENGLISH);
}

static void
codes_are_taken_as_people_write_them(void **state)
{
    enum language l = LANG_ENGLISH;

    (void)state;
    assert_true(language_parse(str_of("de"), &l) && l == LANG_GERMAN);
    assert_true(language_parse(str_of("PT-br"), &l) && l == LANG_PORTUGUESE);
    assert_true(language_parse(str_of("zh_Hant_TW"), &l) && l == LANG_CHINESE);
    assert_false(language_parse(str_of("d"), &l));
    assert_false(language_parse(str_of("deu"), &l));
    assert_false(language_parse(str_of("xx"), &l));
    assert_false(language_parse(STR_NONE, &l));
}

static void
each_language_refuses_in_its_own_words_and_script(void **state)
{
    (void)state;
    for (int a = 0; a < LANGUAGES; a++) {
        assert_true(language_refusal((enum language)a).n > 10);
        assert_int_equal(language_of(language_refusal((enum language)a), 0, LANG_ENGLISH), a);
        for (int b = 0; b < a; b++)
            assert_false(str_eq(language_refusal((enum language)a), language_refusal((enum language)b)));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_read_in_its_own_language),
        cmocka_unit_test(a_name_or_a_number_leaves_the_language_open),
        cmocka_unit_test(a_language_that_is_not_there_comes_out_only_where_the_text_clearly_is_in_it),
        cmocka_unit_test(one_word_in_a_table_of_many_is_no_evidence),
        cmocka_unit_test(codes_are_taken_as_people_write_them),
        cmocka_unit_test(each_language_refuses_in_its_own_words_and_script),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
