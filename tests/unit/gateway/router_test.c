/* Routes match exactly; methods that a path does not have are named in Allow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/api/api.h"
#include "gateway/edge/stat.h"
#include "gateway/router.h"

static const struct route *
find(enum method m, const char *path, struct str *arg, bool *known, char allow[64])
{
    return router_find(m, str_of(path), arg, known, allow);
}

static void
every_row_of_the_table_is_found_by_its_own_path(void **s)
{
    struct str arg;
    bool known;
    char allow[64], path[128];

    (void)s;
    assert_true(route_count > 20);
    for (size_t i = 0; i < route_count; i++) {
        size_t n = 0;

        /* {id} and {name} become "x". */
        for (const char *p = routes[i].path; *p; p++) {
            if (*p == '{') {
                path[n++] = 'x';
                p = strchr(p, '}');
            } else {
                path[n++] = *p;
            }
        }
        path[n] = 0;
        assert_ptr_equal(find(routes[i].method, path, &arg, &known, allow), &routes[i]);
        assert_non_null(routes[i].handler);
        assert_string_equal(route_labels[i], routes[i].name);
        if (strchr(routes[i].path, '{'))
            assert_true(str_is(arg, "x"));
    }
    assert_string_equal(route_labels[route_count], "none");
    assert_null(route_labels[route_count + 1]);
}

static void
a_path_that_is_nearly_a_route_is_none(void **s)
{
    static const char *const bad[] = { "/API/v1/health",
                                       "/api/v1/health/",
                                       "/api/v1/healt",
                                       "/api/v1/health.",
                                       "/api/v1/sessions/",
                                       "/api/v1/sessions/a/b",
                                       "/api/v1/documents//text",
                                       "",
                                       "/x",
                                       "/api/v1/health;x" };
    struct str arg;
    bool known;
    char allow[64];

    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(find(METHOD_GET, bad[i], &arg, &known, allow));
        assert_false(known);
        assert_string_equal(allow, "");
    }
}

static void
a_wrong_method_names_the_right_ones(void **s)
{
    struct str arg;
    bool known;
    char allow[64];

    (void)s;
    assert_null(find(METHOD_OTHER, "/api/v1/collections/docs", &arg, &known, allow));
    assert_true(known);
    assert_string_equal(allow, "GET, HEAD, PUT, DELETE, OPTIONS");
    assert_null(find(METHOD_GET, "/api/v1/chat/query", &arg, &known, allow));
    assert_string_equal(allow, "POST, OPTIONS");
}

static void
head_is_served_by_get(void **s)
{
    struct str arg;
    bool known;
    char allow[64];
    const struct route *r = find(METHOD_HEAD, "/api/v1/documents/d 1", &arg, &known, allow);

    (void)s;
    assert_non_null(r);
    assert_int_equal(r->method, METHOD_GET);
    assert_true(str_is(arg, "d 1"));
}

static void
every_route_says_who_may_call_it(void **s)
{
    (void)s;
    for (size_t i = 0; i < route_count; i++) {
        bool open = routes[i].who == WHO_PUBLIC;

        assert_true(routes[i].who <= WHO_ADMIN);
        assert_true(!open || routes[i].method == METHOD_GET);
        assert_true(routes[i].method == METHOD_POST || routes[i].method == METHOD_PUT ||
                    routes[i].method == METHOD_PATCH || routes[i].body == 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_is_found_by_its_own_path),
        cmocka_unit_test(a_path_that_is_nearly_a_route_is_none),
        cmocka_unit_test(a_wrong_method_names_the_right_ones),
        cmocka_unit_test(head_is_served_by_get),
        cmocka_unit_test(every_route_says_who_may_call_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
