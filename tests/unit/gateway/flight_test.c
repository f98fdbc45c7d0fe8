/* Flights: one of many asks, the others read what it gets, or wait for its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/mem.h"
#include "gateway/ask/flight.h"

#define MANY 24
#define ROUNDS 200
#define LETTERS 40 /* of a text that is relayed, one a look */

static const uint8_t one[32] = { 1 }, another[32] = { 1, 2 }; /* in one slot */
static const struct flight_lease lease = { .key = "fn:l:t:1" };
static pthread_barrier_t joined;
static atomic_int leading, led, followed, looking, looks;

static struct flight *
join(const uint8_t key[32], bool is_first)
{
    bool first;
    struct flight *f = flight_join(key, &first);

    assert_int_equal(first, is_first);
    return f;
}

static void
one_leads_and_another_question_does_not_wait(void **state)
{
    struct flight *a = join(one, true), *b = join(one, false), *c = join(another, true), *d;
    struct follower me = { .flight = b, .whole = true };

    (void)state;
    assert_ptr_equal(a, b);
    assert_int_equal(flight_wait(&me, clock_ms() + 1), FLIGHT_IDLE); /* who leads is not known yet */
    flight_set(a, NULL);
    flight_set(c, NULL);
    flight_land(c);
    assert_int_equal(flight_wait(&me, clock_ms() + 1), FLIGHT_IDLE);
    flight_land(a);
    assert_int_equal(flight_wait(&me, clock_ms() + 10000), FLIGHT_OVER);
    d = join(one, true); /* whoever begins again is no longer the one that is waited for */
    assert_int_equal(flight_wait(&me, clock_ms() + 10000), FLIGHT_OVER);
    flight_leave(&d, NULL);
    flight_leave(&c, NULL);
    flight_leave(&b, &me);
    flight_leave(&a, NULL);
    assert_null(a);
}

static void
a_stream_does_not_wait_for_what_is_not_relayed(void **state)
{
    struct flight *a = join(one, true), *b = join(one, false);
    struct follower me = { .flight = b };

    (void)state;
    flight_set(a, NULL);
    assert_int_equal(flight_wait(&me, clock_ms() + 10000), FLIGHT_OVER);
    flight_leave(&b, &me);
    flight_leave(&a, NULL);
}

static void
what_one_finds_all_read_and_the_next_one_to_come_reads_it_from_its_beginning(void **state)
{
    struct flight *a = join(one, true), *b = join(one, false), *late;
    struct follower me = { .flight = a }, other = { .flight = b, .whole = true };
    struct arena *arena = arena_new(65536);
    struct flight_found found = { .state = STR("passages"), .text = STR("some") }, got;
    bool known;

    (void)state;
    flight_set(a, &lease);
    assert_string_equal(flight_lease(b)->key, lease.key);
    assert_int_equal(flight_wait(&me, clock_ms() + 10000), FLIGHT_LOOK);
    assert_int_equal(flight_wait(&other, clock_ms() + 1), FLIGHT_IDLE); /* one looks at a time */
    flight_look_end(&me, &found, 10000);
    assert_int_equal(flight_known(&me, &known), 4);
    assert_true(known);
    assert_int_equal(flight_wait(&me, clock_ms()), FLIGHT_NEWS);
    flight_read(&me, arena, &got);
    assert_true(str_is(got.state, "passages") && str_is(got.text, "some") && !got.said.p);
    assert_int_equal(flight_wait(&me, clock_ms() + 1), FLIGHT_IDLE); /* the next look is not due */
    assert_int_equal(flight_wait(&other, clock_ms()), FLIGHT_NEWS);
    flight_read(&other, arena, &got);
    assert_true(str_is(got.state, "passages") && !got.text.p); /* it does not read along */
    assert_int_equal(flight_wait(&other, clock_ms() + 1), FLIGHT_IDLE);
    late = join(one, false);
    flight_land(a); /* the leader has ended: the last of it is looked for at once */
    assert_int_equal(flight_wait(&me, clock_ms() + 10000), FLIGHT_LOOK);
    found = (struct flight_found){ .text = STR(" text"), .said = STR("reply") };
    flight_look_end(&me, &found, 10000);
    assert_int_equal(flight_wait(&other, clock_ms()), FLIGHT_NEWS);
    flight_read(&other, arena, &got);
    assert_true(str_is(got.said, "reply"));
    other = (struct follower){ .flight = late };
    flight_read(&other, arena, &got);
    assert_true(str_is(got.state, "passages") && str_is(got.text, "some text") && str_is(got.said, "reply"));
    flight_leave(&late, &other);
    flight_leave(&b, NULL);
    flight_leave(&a, &me);
    arena_free(&arena);
}

static void
a_flight_that_holds_too_much_is_over_and_the_next_one_begins_anew(void **state)
{
    static char much[200000];
    struct flight *a = join(one, true), *b;
    struct follower me = { .flight = a };
    struct flight_found found = { .text = { much, sizeof much } };

    (void)state;
    flight_set(a, &lease);
    assert_int_equal(flight_wait(&me, clock_ms() + 10000), FLIGHT_LOOK);
    flight_look_end(&me, &found, 10000);
    assert_int_equal(flight_wait(&me, clock_ms()), FLIGHT_OVER);
    b = join(one, true);
    flight_leave(&b, NULL);
    flight_leave(&a, &me);
}

static void *
ask(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        bool first;
        struct flight *f = flight_join(one, &first);
        struct follower me = { .flight = f, .whole = true };

        if (first) {
            assert_int_equal(atomic_fetch_add(&leading, 1), 0);
            atomic_fetch_add(&led, 1);
            flight_set(f, NULL);
            atomic_fetch_sub(&leading, 1);
            flight_land(f);
        } else {
            assert_int_equal(flight_wait(&me, clock_ms() + 20000), FLIGHT_OVER);
            atomic_fetch_add(&followed, 1);
        }
        flight_leave(&f, first ? NULL : &me);
    }
    return NULL;
}

static void
together(void *(*run)(void *))
{
    pthread_t threads[MANY];

    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
}

static void
there_is_never_more_than_one_and_nobody_waits_in_vain(void **state)
{
    (void)state;
    together(ask);
    assert_int_equal(led + followed, MANY * ROUNDS);
}

/* Reads along to the end; some do not, and some leave early. */
static void *
read_along(void *arg)
{
    int number = atomic_fetch_add(&followed, 1);
    bool first;
    struct flight *f = flight_join(another, &first);
    struct follower me = { .flight = f, .whole = number % 3 == 0 };
    struct arena *a = arena_new(65536);
    struct flight_found got;
    char text[LETTERS + 1] = "";
    bool known;

    (void)arg;
    assert_false(first);
    pthread_barrier_wait(&joined);
    while (!me.said && !(number % 4 == 0 && me.text > 5)) {
        enum flight_sign sign = flight_wait(&me, clock_ms() + 20000);
        struct flight_found found = { .text = STR("x") };

        assert_true(sign == FLIGHT_LOOK || sign == FLIGHT_NEWS);
        if (sign == FLIGHT_NEWS) {
            flight_read(&me, a, &got);
            memcpy(text + me.text - got.text.n, got.text.n > 0 ? got.text.p : "", got.text.n);
            continue;
        }
        assert_int_equal(atomic_fetch_add(&looking, 1), 0);
        atomic_fetch_add(&looks, 1);
        if (flight_known(&me, &known) == LETTERS)
            found = (struct flight_found){ .said = STR("said") };
        atomic_fetch_sub(&looking, 1);
        flight_look_end(&me, &found, 1);
    }
    assert_int_equal(strspn(text, "x"), me.text);
    flight_leave(&f, &me);
    arena_free(&a);
    return NULL;
}

static void
one_at_a_time_looks_for_all_and_each_reads_all_of_it_once(void **state)
{
    struct flight *f = join(another, true); /* it leads: nobody begins anew meanwhile */

    (void)state;
    followed = 0;
    flight_set(f, &lease);
    pthread_barrier_init(&joined, NULL, MANY);
    together(read_along);
    assert_int_equal(looks, LETTERS + 1);
    pthread_barrier_destroy(&joined);
    flight_leave(&f, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_leads_and_another_question_does_not_wait),
        cmocka_unit_test(a_stream_does_not_wait_for_what_is_not_relayed),
        cmocka_unit_test(what_one_finds_all_read_and_the_next_one_to_come_reads_it_from_its_beginning),
        cmocka_unit_test(a_flight_that_holds_too_much_is_over_and_the_next_one_begins_anew),
        cmocka_unit_test(there_is_never_more_than_one_and_nobody_waits_in_vain),
        cmocka_unit_test(one_at_a_time_looks_for_all_and_each_reads_all_of_it_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
