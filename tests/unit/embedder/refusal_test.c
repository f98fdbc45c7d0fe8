/* Refusals of a model: the given text, and words of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/refusal.h"

static void
the_given_text_is_known_whatever_its_signs(void **state)
{
    const struct str given = STR("I couldn't find that in the documents.");

    (void)state;
    assert_true(refusal_is(STR("I couldn’t find that in the documents"), given));
    assert_true(refusal_is(STR("> *\"I couldn't find that in the documents.\"* [3]\n"), given));
    assert_true(refusal_is(STR("I couldn't find that in the documents. Please ask the support."), given));
    assert_false(refusal_is(STR("I couldn't find that in the documents. It is ten [1]."), given));
    assert_false(refusal_is(STR("I couldn't find that in the"), given));
    assert_false(refusal_is(STR(""), given));
    assert_false(refusal_is(STR("Anything"), STR("")));
}

static const char *const refused[] = {
    "I could not find the price of the pump in the documents [1].",
    "I'm sorry, but I couldn't find anything about the price. [1][2]",
    "Unfortunately, the passages do not mention what the pump costs [2].",
    "The provided documents do not contain information about the price of the pump [1, 2].",
    "The price of the pump is not mentioned in the documents [1].",
    "I don't know.",
    "The passages do not say when the pump was built [1]. They do not mention who built it, and I could not find it [2].",
    "The passages do not say what the pump costs [1]. Please ask the seller.",
    "Leider konnte ich dazu in den Dokumenten nichts finden [1].",
    "Dazu habe ich in den Dokumenten nichts gefunden [1].",
    "申し訳ありませんが、文書には価格は記載されていません[1]。",
    "In den Dokumenten gibt es dazu keine Information [1].",
    "Die Passagen erwähnen nicht, was die Pumpe kostet [1].",
    "Je n’ai pas trouvé le prix de la pompe [1].",
    "Les documents ne mentionnent pas le prix de la pompe [2].",
    "Los documentos no mencionan el precio [1].",
    "I documenti non indicano il prezzo [1].",
    "Os documentos não mencionam o preço [1].",
    "De documenten vermelden niet wat de pomp kost [1].",
    "К сожалению, в документах нет информации о цене [1].",
    "文档中没有提到价格[1]。",
    "文書には価格は記載されていません[1]。",
    "문서에서 가격을 찾을 수 없습니다 [1].",
};
static const char *const answers[] = {
    "The pump costs 40 euros [1].",
    "The passages do not mention the price, but say that the pump is red [1].",
    "I could not find the price. The pump is red [1].",
    "The passages do not specify a day, just the year 1843 [1].",
    "The passages do not say who built it; they say that it is red [1].",
    "The documents do not mention the price. They do mention the colour, which is red [1].",
    "If no timeout is provided, the server does not answer [1].",
    "When it uploads documents, the client does not say what they are [1].",
    "The warranty does not cover damage by water [2].",
    "Documents that are deleted do not count [1].",
    "There is no information loss when the pump stops [1].",
    "The reader does not answer the door [1].",
    "Der Vertrag erwähnt nicht, wer die Pumpe bezahlt [1].",
    "Dazu habe ich Folgendes gefunden: Das Kabel ist 2 m lang [1].",
    "申し訳ありませんが、返品は30日以内に限ります[1]。",
    "文書には価格は記載されていませんが、色は赤です[1]。",
    "문서에 가격이 언급되어 있지 않지만 색은 빨강입니다 [1].",
    "Los documentos no mencionan el precio aunque dicen que es roja [1].",
    "\"Не удалось найти модуль\" означает, что путь неверен [1].",
    "未找到模块表示路径错误[1]。",
    "There is no information in the cookie besides the id [1].",
    "Deleted documents do not answer questions any more [1].",
    "I could not find the price. The pump is red 【1】.",
    "I could not find the price. The pump is red [Source 1].",
    "I could not find the price. The pump is red [^1].",
    "The documents do not mention the price – they say that it is red [1].",
    "",
};

static void
a_refusal_in_words_of_its_own_is_known_though_it_cites(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!refusal_said(str_of(refused[i])))
            fail_msg("taken for an answer: %s", refused[i]);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (refusal_said(str_of(answers[i])))
            fail_msg("taken for a refusal: %s", answers[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_given_text_is_known_whatever_its_signs),
        cmocka_unit_test(a_refusal_in_words_of_its_own_is_known_though_it_cites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
