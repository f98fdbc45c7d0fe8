/* The OpenAI dialect's parsers: what messages become, how a long question is searched, where marks stand,
 * what sealed ids open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "gateway/gateway.h"
#include "gateway/openai/openai.h"
#include "gateway/openai/ticket.h"
#include "gateway/request/problem.h"

static struct gateway_opt opt = { .deployment_secret = "secret",
                                  .public_url = "https://docs.example",
                                  .answer_link_hosts = "",
                                  .model_aliases = "" };
static struct gateway gw = { .opt = &opt };

struct case_ {
    struct request r;
    struct wish w;
    struct fault f;
};

static struct case_ *
begin(const char *json)
{
    struct case_ *c = calloc(1, sizeof *c);
    enum json_fault fault;
    const char *why;

    c->r = (struct request){ .gw = &gw, .arena = arena_new(1 << 20), .id = "r", .dialect = DIALECT_OPENAI };
    c->w = (struct wish){ .r = &c->r,
                          .body = json_read(str_of(json), &fault, &why),
                          .base = "https://docs.example" };
    assert_non_null(c->w.body);
    return c;
}

static bool
messages(struct case_ *c)
{
    return messages_take(&c->w, json_object_get(c->w.body, "messages"), "messages", &c->f);
}

static void
end(struct case_ **c)
{
    json_decref((*c)->w.body);
    arena_free(&(*c)->r.arena);
    free(*c);
    *c = NULL;
}

static void
the_last_question_is_asked_and_what_stood_before_it_is_history(void **state)
{
    struct case_ *c = begin(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\" One? \"},"
        "{\"role\":\"assistant\",\"content\":\"Yes [1].\"},{\"role\":\"tool\",\"content\":\"x\"},"
        "{\"role\":\"developer\",\"content\":\"And brief.\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Two\"},{\"type\":\"text\",\"text\":\"three?\"}]},"
        "{\"role\":\"assistant\",\"content\":\"A beginning\"}]}");
    const struct given *g = &c->w.given;

    (void)state;
    assert_true(messages(c));
    assert_true(str_is(g->text, "Two\nthree?") && str_is(c->w.first, "One?") && g->told);
    assert_int_equal(g->earlier.n, 2);
    assert_true(str_is(g->earlier.v[0].role, "user") && str_is(g->earlier.v[0].content, "One?"));
    assert_true(str_is(g->earlier.v[1].role, "assistant") && str_is(g->earlier.v[1].content, "Yes [1]."));
    assert_true(str_is(g->instructions, "Be kind.\n\nAnd brief."));
    end(&c);
}

/* The list that our own models add is cut off, and nothing that looks a little like it. */
static void
a_list_of_sources_is_no_history(void **state)
{
    static const struct {
        const char *said, *kept;
    } cases[] = {
        { "Yes [1].\\n\\n---\\n- [1] [A \\u00b7 B](https://x.y/)", "Yes [1]." },
        { "Yes [1] [2].\\n\\n---\\n- [1] [A](/s/1)\\n- [2] [B](/s/2)\\n", "Yes [1] [2]." },
        { "Two.\\n\\n---\\n- [x] open\\n- [ ] not", "Two.\n\n---\n- [x] open\n- [ ] not" },
        { "Two.\\n\\n---\\n- [1] [A](/s/1)\\nand more", "Two.\n\n---\n- [1] [A](/s/1)\nand more" },
        { "Two.\\n\\n---\\nThree.", "Two.\n\n---\nThree." },
        { "- [1] first", "- [1] first" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = BUF_MAX(4096);
        struct case_ *c;

        buf_printf(
            &b,
            "{\"messages\":[{\"role\":\"user\",\"content\":\"One?\"},{\"role\":\"assistant\",\"content\":\"%s\"},"
            "{\"role\":\"user\",\"content\":\"Two?\"}]}",
            cases[i].said);
        c = begin(b.p);
        assert_true(messages(c));
        assert_int_equal(c->w.given.earlier.n, 2);
        assert_true(str_is(c->w.given.earlier.v[1].content, cases[i].kept));
        end(&c);
        buf_free(&b);
    }
}

static void
of_a_long_conversation_the_newest_messages_are_kept_in_order(void **state)
{
    struct buf b = BUF_MAX(65536);
    struct case_ *c;

    (void)state;
    buf_z(&b, "{\"messages\":[");
    for (int i = 0; i < 61; i++)
        buf_printf(&b, "%s{\"role\":\"%s\",\"content\":\"m%d\"}", i ? "," : "", i % 2 ? "assistant" : "user",
                   i);
    buf_z(&b, "]}");
    c = begin(b.p);
    assert_true(messages(c));
    assert_true(str_is(c->w.given.text, "m60") && str_is(c->w.first, "m0"));
    assert_int_equal(c->w.given.earlier.n, 23);
    assert_true(str_is(c->w.given.earlier.v[0].content, "m37") &&
                str_is(c->w.given.earlier.v[22].content, "m59"));
    end(&c);
    buf_free(&b);
}

/* Clients send them for answers that only called tools, and keep them. */
static void
empty_content_and_what_tools_said_are_left_out(void **state)
{
    struct case_ *c = begin(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"One?\"},{\"role\":\"assistant\",\"content\":[]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"\"}]},"
        "{\"role\":\"tool\",\"content\":[{\"type\":\"image_url\"}]},{\"role\":\"function\",\"content\":7},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":\"Two?\"}]}]}");

    (void)state;
    assert_true(messages(c));
    assert_true(str_is(c->w.given.text, "Two?"));
    assert_int_equal(c->w.given.earlier.n, 1);
    end(&c);
    c = begin("{\"messages\":[{\"role\":\"user\",\"content\":[]}]}");
    assert_false(messages(c));
    assert_string_equal(c->f.pointer, "/messages");
    end(&c);
    c = begin("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What is this?\"},"
              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]}");
    assert_false(messages(c));
    assert_non_null(strstr(c->f.detail, "part 2 is image_url"));
    end(&c);
}

static void
what_is_no_conversation_is_refused_where_it_is_wrong(void **state)
{
    static const char *const cases[][2] = {
        { "{\"messages\":7}", "/messages" },
        { "{\"messages\":[]}", "/messages" },
        { "{\"messages\":[7]}", "/messages/0" },
        { "{\"messages\":[{\"content\":\"x\"}]}", "/messages/0/role" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"king\",\"content\":\"x\"}]}",
          "/messages/1/role" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":{}}]}", "/messages/0/content" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
          "/messages/0/content" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", "/messages/0/content" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[7]}]}", "/messages/0/content" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "/messages" },
        { "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}", "/messages" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct case_ *c = begin(cases[i][0]);

        assert_false(messages(c));
        assert_string_equal(c->f.pointer, cases[i][1]);
        end(&c);
    }
}

static void
options_go_on_under_one_name_and_odd_ones_are_refused(void **state)
{
    struct case_ *c = begin(
        "{\"temperature\":0.5,\"max_tokens\":9,\"max_completion_tokens\":8,\"stop\":[\"a\"],\"unknown\":1,"
        "\"response_format\":{\"type\":\"json_object\"},\"top_p\":null}");

    (void)state;
    assert_true(options_take(&c->w, &c->f));
    assert_true(str_is(c->w.given.options, "{\"temperature\":0.5,\"max_tokens\":9,\"stop\":[\"a\"]}"));
    end(&c);
    c = begin("{\"response_format\":{\"type\":\"json_object\"}}");
    c->w.given.raw = true;
    assert_true(options_take(&c->w, &c->f));
    assert_true(str_is(c->w.given.options, "{\"response_format\":{\"type\":\"json_object\"}}"));
    end(&c);
    c = begin(
        "{\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":\"object\"},\"strict\":true}}}");
    c->w.given.raw = true;
    assert_true(options_take(&c->w, &c->f));
    assert_true(str_is(c->w.given.options,
                       "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
                       "{\"name\":\"n\",\"schema\":{\"type\":\"object\"},\"strict\":true}}}"));
    end(&c);
    c = begin("{\"text\":{\"format\":{\"type\":\"text\"},\"verbosity\":\"low\"}}");
    c->w.given.raw = true;
    assert_true(options_take(&c->w, &c->f) && !c->w.given.options.p);
    end(&c);
    for (const char *const *z =
             (const char *const[]){ "{\"temperature\":2.1}", "{\"seed\":1.5}", "{\"stop\":[]}",
                                    "{\"stop\":[1]}", "{\"max_tokens\":0}", "{\"response_format\":\"x\"}",
                                    NULL };
         *z; z++) {
        c = begin(*z);
        assert_false(options_take(&c->w, &c->f));
        end(&c);
    }
}

static void
a_long_question_is_searched_by_its_last_sentences(void **state)
{
    char text[2100];
    struct str query;

    (void)state;
    assert_true(str_is(ask_query(STR("Short?")), "Short?"));
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 46, ". This one is whole. And what does it cost???", 46);
    query = ask_query((struct str){ text, sizeof text - 1 });
    assert_true(str_is(query, "This one is whole. And what does it cost???"));
    memset(text, 'x', sizeof text);
    query = ask_query((struct str){ text, sizeof text });
    assert_int_equal(query.n, 500);
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    query = ask_query((struct str){ text, sizeof text });
    assert_true(utf8_valid(query) && utf8_count(query) == 500);
}

/* ---- annotations */

static struct str
notes(const char *text, size_t n, enum note_style style, struct buf *b)
{
    static struct citation v[2];
    static struct request r;
    static struct wish w;
    struct question q = { .r = &r, .dialect = &w, .n_citations = n, .citations = v };

    r = (struct request){ .gw = &gw };
    w = (struct wish){ .base = "https://gate.example" };
    v[0] = (struct citation){ .n = 1,
                              .title = STR("One"),
                              .url = STR("https://docs.example/one#"),
                              .section = STR("A > Big Part"),
                              .excerpt = STR("The seals are fed at noon [1].") };
    v[1] = (struct citation){
        .n = 2, .title = STR("Two"), .external_id = STR("two.md"), .document_id = uuid_v4()
    };
    buf_reset(b);
    notes_render(&q, str_of(text), style, b);
    return buf_slice(b);
}

static void
marks_are_counted_in_code_points_once_each_and_not_in_code(void **state)
{
    struct buf b = BUF_MAX(65536);

    (void)state;
    assert_true(str_is(
        notes("\xf0\x9f\x8c\xbb `a[1]` \xc3\xb6 [1] and [1].", 1, NOTE_CHAT, &b),
        "[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://docs.example/one#big-part\",\"title\":\"One\","
        "\"start_index\":11,\"end_index\":14}}]"));
    assert_non_null(strstr(notes("The seals are fed at noon [1]. [1]", 1, NOTE_CHAT, &b).p,
                           "\"start_index\":31"));
    assert_true(str_is(
        notes("No mark.", 1, NOTE_RESPONSE, &b),
        "[{\"type\":\"url_citation\",\"url\":\"https://docs.example/one#big-part\",\"title\":\"One\",\"start_index\":8,"
        "\"end_index\":8}]"));
    assert_true(str_is(notes("", 0, NOTE_CHAT, &b), "[]"));
    assert_non_null(strstr(notes("Both [1, 2].", 2, NOTE_RESPONSE, &b).p, "\"type\":\"file_citation\""));
    assert_non_null(strstr(b.p, "\"filename\":\"two.md\",\"index\":5"));
    assert_non_null(strstr(notes("Both [1, 2].", 2, NOTE_CHAT, &b).p, "\"url\":\"https://gate.example/s/"));
    buf_free(&b);
}

/* One citation, as both styles tell it. */
static void
assert_leads(const char *site, struct citation c, const char *url)
{
    struct request r = { .gw = &gw };
    struct wish w = { .base = "https://gate.example" };
    struct question *q = calloc(1, sizeof *q); /* a stack of the sanitizers has no room for it */
    const char *before = opt.public_url;
    struct buf b = BUF_MAX(65536), want = BUF_MAX(1024);

    q->r = &r;
    q->dialect = &w;
    q->n_citations = 1;
    q->citations = &c;
    opt.public_url = site;
    c.n = 1;
    if (url)
        buf_printf(&want, "\"url\":\"%s\"", url);
    else
        buf_z(&want, "\"url\":\"https://gate.example/s/");
    notes_render(q, STR("Said [1]."), NOTE_CHAT, &b);
    assert_non_null(strstr(b.p, want.p));
    buf_reset(&b);
    notes_render(q, STR("Said [1]."), NOTE_RESPONSE, &b);
    assert_non_null(strstr(b.p, url ? want.p : "\"type\":\"file_citation\""));
    opt.public_url = before;
    buf_free(&b);
    buf_free(&want);
    free(q);
}

static void
a_citation_leads_to_the_page_that_readers_can_open(void **state)
{
    const struct citation pdf = { .url = STR("https://d.example/a.pdf#"), .section = STR("Part"), .page = 7 },
                          path = { .url = STR("/guide#"), .section = STR("Part") },
                          paged = { .url = STR("/a.pdf#"), .page = 3 },
                          host = { .url = STR("//d.example/x") },
                          hidden = { .url = STR("/go?to=https://d.example/") },
                          odd = { .url = STR("javascript:alert(1)//://") };

    (void)state;
    assert_leads("", pdf, "https://d.example/a.pdf#page=7");
    assert_leads("https://s.example", path, "https://s.example/guide#part");
    assert_leads("https://s.example/", path, "https://s.example/guide#part");
    assert_leads("https://s.example/help/", paged, "https://s.example/help/a.pdf#page=3");
    assert_leads("https://s.example", host, "https://d.example/x");
    assert_leads("http://s.example", host, "http://d.example/x");
    assert_leads("", path, NULL);
    assert_leads("", hidden, NULL);
    assert_leads("https://s.example/", hidden, "https://s.example/go?to=https://d.example/");
    assert_leads("https://s.example/", odd, NULL);
}

/* ---- sealed ids */

static void
a_ticket_opens_for_its_use_and_owner_only(void **state)
{
    struct case_ *c = begin("{}");
    struct buf b = BUF_MAX(1024);
    struct str plain = STR("conversation and session"), sealed;

    (void)state;
    ticket_seal(&c->r, "response", STR("me"), plain, &b);
    sealed = buf_slice(&b);
    assert_true(strspn(b.p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == b.n);
    assert_true(str_eq(ticket_open(&c->r, "response", STR("me"), sealed), plain));
    assert_null(ticket_open(&c->r, "source", STR("me"), sealed).p);
    assert_null(ticket_open(&c->r, "response", STR("you"), sealed).p);
    for (size_t n = 0; n < sealed.n; n++)
        assert_null(ticket_open(&c->r, "response", STR("me"), (struct str){ sealed.p, n }).p);
    for (size_t i = 0; i + 1 < sealed.n; i++) {
        char was = b.p[i];

        b.p[i] = was == 'A' ? 'B' : 'A';
        assert_null(ticket_open(&c->r, "response", STR("me"), sealed).p);
        b.p[i] = was;
    }
    buf_free(&b);
    end(&c);
}

static void
errors_have_four_members_and_names_of_parameters(void **state)
{
    struct case_ *c = begin("{}");
    struct buf b = BUF_MAX(4096);

    (void)state;
    problem_json(&c->r, ERR_VALIDATION, "must be 1", "/messages/0/content", &b);
    assert_string_equal(
        b.p, "{\"error\":{\"message\":\"messages/0/content: must be 1\",\"type\":\"invalid_request_error\","
             "\"param\":\"messages[0].content\",\"code\":\"validation\"}}");
    assert_int_equal(problem_status(&c->r, ERR_VALIDATION), 400);
    buf_reset(&b);
    problem_json(&c->r, ERR_LIMITED, NULL, NULL, &b);
    assert_string_equal(
        b.p, "{\"error\":{\"message\":\"too many requests\",\"type\":\"rate_limit_error\",\"param\":null,"
             "\"code\":\"rate_limit_exceeded\"}}");
    c->r.missing = (struct missing){ "model_not_found", "model", "None." };
    buf_reset(&b);
    problem_json(&c->r, ERR_NOT_FOUND, NULL, NULL, &b);
    assert_non_null(strstr(b.p, "\"message\":\"None.\"") ? strstr(b.p, "\"code\":\"model_not_found\"")
                                                         : NULL);
    c->r.dialect = DIALECT_OWN;
    assert_int_equal(problem_status(&c->r, ERR_VALIDATION), 422);
    buf_free(&b);
    end(&c);
}

static void
aliases_lead_to_models_only(void **state)
{
    (void)state;
    assert_true(model_aliases_fine("") && model_aliases_fine("gpt-4o=docs, a=raw,b=rag:x.y") &&
                model_aliases_fine("gpt-4o=docs+sources,b=rag:x.y+sources"));
    assert_false(model_aliases_fine("gpt-4o") || model_aliases_fine("=docs") || model_aliases_fine("a=gpt") ||
                 model_aliases_fine("a=rag:") || model_aliases_fine("a=rag:x/y") ||
                 model_aliases_fine("a=raw+sources") || model_aliases_fine("a=+sources") ||
                 model_aliases_fine("a=rag:+sources"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_question_is_asked_and_what_stood_before_it_is_history),
        cmocka_unit_test(a_list_of_sources_is_no_history),
        cmocka_unit_test(of_a_long_conversation_the_newest_messages_are_kept_in_order),
        cmocka_unit_test(empty_content_and_what_tools_said_are_left_out),
        cmocka_unit_test(what_is_no_conversation_is_refused_where_it_is_wrong),
        cmocka_unit_test(options_go_on_under_one_name_and_odd_ones_are_refused),
        cmocka_unit_test(a_long_question_is_searched_by_its_last_sentences),
        cmocka_unit_test(marks_are_counted_in_code_points_once_each_and_not_in_code),
        cmocka_unit_test(a_citation_leads_to_the_page_that_readers_can_open),
        cmocka_unit_test(a_ticket_opens_for_its_use_and_owner_only),
        cmocka_unit_test(errors_have_four_members_and_names_of_parameters),
        cmocka_unit_test(aliases_lead_to_models_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
