/* The door when memory is short: every cap of an arena, and every allocation that fails in turn, gives a clean error, and
 * never a yes that it should not. */
#include "tests/unit/own_malloc.h"
#include "tests/unit/plan_fixture.h"
#include "tests/unit/test.h"

static int try_order(struct plan_fixture *f, struct error *err) {
    struct verified_order *order = NULL;
    int r = order_verify(&f->context, &f->claim, &order, err);
    check((r == 0) == (order != NULL));
    verified_order_free(order);
    return r;
}

static int try_plan(struct plan_fixture *f, struct error *err) {
    struct verified_plan *plan = NULL;
    int r = plan_verify(&f->anchors, buffer_bytes(&f->file_bytes), &plan, err);
    check((r == 0) == (plan != NULL));
    verified_plan_free(plan);
    return r;
}

static int try_encode(struct plan_fixture *f, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    return codec_encode(&work_order_codec, &f->order, &bytes, err);
}

static int try_decode(struct plan_fixture *f, struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    struct work_order *order = NULL;
    int r = arena ? codec_decode(&work_order_codec, f->order_view, arena, &order, err) : -ENOMEM;
    check((r == 0) == (order != NULL));
    return r;
}

TEST("every allocation that fails gives a clean error and leaves nothing behind") {
    static const struct {
        const char *name;
        int (*run)(struct plan_fixture *f, struct error *err);
    } tries[] = {{"encode", try_encode}, {"decode", try_decode}, {"order", try_order}, {"plan", try_plan}};
    if (!own_malloc())
        skip("the sanitizer brings its own malloc");
    struct plan_fixture f;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        long n = 0;
        bool was_reached = true;
        for (; was_reached && n < 5000; n++) {
            struct error err = {""};
            long n_before = own_malloc_live;
            own_malloc_countdown = n;
            int r = tries[i].run(&f, &err);
            was_reached = own_malloc_countdown < 0;
            own_malloc_countdown = -1;
            check_eq_int(own_malloc_live, n_before);
            if (!check(r == (was_reached ? -ENOMEM : 0)))
                fprintf(stderr, "%s: allocation %ld: %d %s\n", tries[i].name, n, r, err.text);
        }
        check(n > 3 && n < 5000);
    }
    plan_fixture_deinit(&f);
}

TEST("A24 documents in an arena of every size are whole or not there") {
    struct plan_fixture f;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    const struct {
        const struct codec_message *codec;
        struct bytes bytes;
    } documents[] = {{&work_order_codec, f.order_view},
                     {&gate_codec, f.gate_view},
                     {&plan_codec, buffer_bytes(&f.file_bytes)}};
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        int r = -ENOMEM;
        for (size_t cap = 0; r == -ENOMEM && cap < 1 << 20; cap += 16) {
            _cleanup_(arena_freep) struct arena *arena = arena_new(cap);
            struct error err = {""};
            void *value = NULL;
            r = codec_decode(documents[i].codec, documents[i].bytes, arena, &value, &err);
            check((r == 0) == (value != NULL));
            check(arena_used(arena) <= cap);
        }
        check_eq_int(r, 0);
    }
    plan_fixture_deinit(&f);
}
