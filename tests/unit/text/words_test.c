/* Words: the same stem for a document's and a question's form; folding; joins; classes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/words.h"

enum { GOT = 24 };
struct got {
    uint64_t h[GOT];
    enum word_class cls[GOT];
    size_t n;
};
struct pair {
    const char *language, *a, *b;
};

static void
add(void *arg, const struct word *w)
{
    struct got *g = arg;

    if (g->n < GOT) {
        g->cls[g->n] = w->cls;
        g->h[g->n++] = w->h;
    }
}

static struct got
run_in(const char *code, const char *z)
{
    struct words *w = words_new();
    struct got g = { 0 };
    enum language l = LANG_ENGLISH;

    assert_true(language_parse(str_of(code), &l));
    words_language(w, l);
    words_each(w, str_of(z), add, &g);
    words_free(&w);
    return g;
}

static struct got
run(const char *z)
{
    return run_in("en", z);
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
    same("\xef\xac\x81le", "file"); /* ligature fi */
    same("1,024", "1024");
    same("stra\xc3\x9f"
         "e",
         "STRASSE");
    assert_true(run("sensor").h[0] != run("actuator").h[0]);
}

static void
a_hyphenated_word_is_found_joined_too(void **state)
{
    struct got g = run("Wi-Fi");

    (void)state;
    assert_int_equal(g.n, 3);
    assert_true(g.h[2] == run("wifi").h[0]);
    assert_int_equal(run("state-of-the").n, 3); /* stop words join nothing */
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

/* Content words of question and document that are the same; the question's content words. */
static size_t
shared(const char *code, const char *document, const char *question, size_t *asked)
{
    struct got d = run_in(code, document), q = run_in(code, question);
    size_t n = 0;

    *asked = 0;
    for (size_t i = 0; i < q.n; i++) {
        bool there = false;

        if (q.cls[i] != WORD_CONTENT)
            continue;
        ++*asked;
        for (size_t k = 0; k < d.n && !there; k++)
            there = d.h[k] == q.h[i];
        n += there;
    }
    return n;
}

static void
forms_of_a_word_meet_in_their_own_language(void **state)
{
    static const struct pair same_words[] = {
        { "de", "Häuser", "Hauses" },
        { "de", "STRASSE", "Straße" },
        { "fr", "continuellement", "continuelle" },
        { "es", "canción", "CANCION" },
        { "ru", "насосы", "насосами" },
        { "ru", "ёлка", "елка" },
        { "ro", "orașele", "orasele" },
        { "tr", "evler", "evleri" },
        { "el", "Σχολεία", "σχολειο" },
        { "ar", "الكتاب", "كتاب" },
        { "fi", "talossa", "talo" },
        { "vi", "Hà Nội", "ha noi" },
        { "fa", "می\xe2\x80\x8cشود", "میشود" },
        { "hi", "किताबें", "किताबों" },
        { "pl", "Łódź", "lodz" },
        { "ar", "١٩٩٩", "1999" },
        { "hi", "२०२४", "2024" },
        { "uk", "збудувала", "збудував" },
        { "el", "κοστίζουν", "κοστίζει" },
        { "de", "gereinigt", "reinigt" },
        { "ko", "닦습니다", "닦나요" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof same_words / sizeof *same_words; i++) {
        struct got a = run_in(same_words[i].language, same_words[i].a),
                   b = run_in(same_words[i].language, same_words[i].b);

        if (a.n == 0 || a.n != b.n || a.h[a.n - 1] != b.h[b.n - 1])
            print_message("%s: %s and %s\n", same_words[i].language, same_words[i].a, same_words[i].b);
        assert_true(a.n > 0 && a.n == b.n && a.h[a.n - 1] == b.h[b.n - 1]);
    }
    assert_true(run_in("hi", "दिन").h[0] != run_in("hi", "दान").h[0]); /* vowel signs are letters */
}

static void
a_question_shares_its_content_words_with_its_answer(void **state)
{
    static const struct pair texts[] = {
        { "zh", "水泵每两周用醋清洗一次。", "水泵用什么清洗？" },
        { "ja", "ポンプは二週間ごとに酢で洗浄します。", "ポンプは何で洗浄しますか？" },
        { "ko", "펌프는 2주마다 식초로 청소한다.", "펌프를 무엇으로 청소하나요?" },
        { "th", "ปั๊มต้องล้างด้วยน้ำส้มสายชูทุกสองสัปดาห์", "ต้องล้างปั๊มด้วยอะไร" },
        { "lo", "ປັ໊ມຕ້ອງລ້າງດ້ວຍນ້ຳສົ້ມທຸກສອງອາທິດ", "ຕ້ອງລ້າງປັ໊ມດ້ວຍຫຍັງ" },
        { "km", "ស្នប់ត្រូវលាងដោយទឹកខ្មេះរៀងរាល់ពីរសប្តាហ៍។", "តើស្នប់ត្រូវលាងដោយអ្វី?" },
        { "my", "ပန့်ကို ရှာလကာရည်ဖြင့် သန့်ရှင်းရေးလုပ်သည်။", "ပန့်ကို ဘာနဲ့ သန့်ရှင်းရေးလုပ်သလဲ။" },
        { "de", "Die Pumpe wird alle zwei Wochen mit Essig gereinigt.", "Womit wird die Pumpe gereinigt?" },
        { "ru", "Насос чистят уксусом каждые две недели.", "Чем чистят насосы?" },
        { "ar", "تُنظف المضخة بالخل كل أسبوعين.", "بماذا تنظف المضخة؟" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t asked, n = shared(texts[i].language, texts[i].a, texts[i].b, &asked);

        print_message("%s: %zu of %zu\n", texts[i].language, n, asked);
        assert_true(asked > 0);
        assert_true(2 * n >= asked);
    }
}

static void
other_texts_share_little(void **state)
{
    static const struct pair texts[] = {
        { "zh", "水泵每两周用醋清洗一次。", "图书馆什么时候开门？" },
        { "ja", "ポンプは二週間ごとに酢で洗浄します。", "図書館はいつ開きますか？" },
        { "ko", "펌프는 2주마다 식초로 청소한다.", "도서관은 언제 여나요?" },
        { "th", "ปั๊มต้องล้างด้วยน้ำส้มสายชูทุกสองสัปดาห์", "ห้องสมุดเปิดเมื่อไร" },
        { "km", "ស្នប់ត្រូវលាងដោយទឹកខ្មេះរៀងរាល់ពីរសប្តាហ៍។", "តើបណ្ណាល័យបើកពេលណា?" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t asked, n = shared(texts[i].language, texts[i].a, texts[i].b, &asked);

        assert_true(asked > 0);
        assert_true(4 * n <= asked);
    }
}

static void
function_words_are_told_apart_in_running_text(void **state)
{
    struct got g = run_in("zh", "水泵是什么");

    (void)state;
    assert_int_equal(g.n, 4);
    assert_int_equal(g.cls[0], WORD_CONTENT);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(g.cls[i], WORD_STOP);
    g = run_in("ja", "鏡は何で洗浄");
    assert_true(g.cls[0] == WORD_CONTENT &&
                g.h[0] == run_in("ja", "鏡").h[0]); /* alone before its particle */
    g = run_in("ko", "무엇을");
    assert_int_equal(g.cls[0], WORD_STOP);
    g = run_in("ko", "GPU를");
    assert_int_equal(g.cls[1], WORD_STOP);
    assert_true(g.h[0] == run("gpu").h[0]);
    g = run_in("ja", "GPUを使う");
    assert_true(g.h[0] == run("gpu").h[0]);
}

static void
any_bytes_are_survived(void **state)
{
    char z[257];
    unsigned seed = 1;

    (void)state;
    for (int k = 0; k < 2000; k++) {
        for (int i = 0; i < 256; i++) {
            seed = seed * 1103515245u + 12345u;
            z[i] = (char)(k % 2 ? 0x80 | (seed >> 16 & 0x7f) : (seed >> 16 & 0xff));
            z[i] = z[i] ? z[i] : 1;
        }
        z[256] = '\0';
        run_in(k % 3 ? "th" : "ko", z);
    }
    for (int i = 0; i < 255; i += 3)
        memcpy(z + i, "\xef\xb7\xba", 3); /* decomposes into eighteen */
    z[255] = '\0';
    assert_true(run(z).n > 0);
}

/* Language, class and stem of a word are kept from where it was met first; in another language it is another word. */
static void
a_word_that_was_met_before_is_what_it_was(void **state)
{
    static const char *const codes[] = { "en", "de", "fr", "tr", "ru" };
    static const char text[] =
        "Running shops' wi-fi was 1,024 gifts, die geschäftlichen Antworten gereinigt, les chevaux étaient, x "
        "evlerinden \xd0\xba\xd0\xbd\xd0\xb8\xd0\xb3\xd0\xb0\xd0\xbc\xd0\xb8 antidisestablishmentarianistically";
    struct words *w = words_new();

    (void)state;
    for (int k = 0; k < 400; k++) {
        const char *code = codes[k % 5];
        struct got now = { 0 }, fresh = run_in(code, text);
        enum language l = LANG_ENGLISH;

        assert_true(language_parse(str_of(code), &l));
        words_language(w, l);
        words_each(w, STR(text), add, &now);
        assert_true(now.n == fresh.n && now.n > 15);
        assert_memory_equal(now.h, fresh.h, now.n * sizeof now.h[0]);
        assert_memory_equal(now.cls, fresh.cls, now.n * sizeof now.cls[0]);
    }
    words_free(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_that_was_met_before_is_what_it_was),
        cmocka_unit_test(forms_of_a_word_meet_in_their_own_language),
        cmocka_unit_test(a_question_shares_its_content_words_with_its_answer),
        cmocka_unit_test(other_texts_share_little),
        cmocka_unit_test(function_words_are_told_apart_in_running_text),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(forms_of_a_word_meet_in_one_stem),
        cmocka_unit_test(a_hyphenated_word_is_found_joined_too),
        cmocka_unit_test(stop_and_weak_words_are_told_apart),
        cmocka_unit_test(text_without_spaces_gives_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
