/* Why over the whole plan: an agent sees its own work order and believes what is signed there about the others'. That the named
 * member really captures that output, under that key and before it is taken, is what the people who sign are told. */
#include "common/plan/check.h"
#include "common/plan/output.h"

#include <string.h>

static size_t wave_of(const struct shape *shape, const char *step) {
    size_t w = 0;
    while (w < shape->n_waves && strcmp(shape->waves[w].name, step) != 0)
        w++;
    return w;
}

static const struct work_order *order_of(const struct work_order *const *orders, size_t n_orders,
                                         const char *member) {
    for (size_t i = 0; i < n_orders; i++)
        if (strcmp(orders[i]->member, member) == 0)
            return orders[i];
    return NULL;
}

static int use_check(const struct shape *shape, const struct work_order *const *orders, size_t n_orders,
                     const struct step *taker, const struct output_use *use, struct error *err) {
    const struct work_order *order = order_of(orders, n_orders, use->member);
    const struct step *step = order ? work_order_step(order, use->step) : NULL;
    const struct capture *capture = step ? step_capture(step, use->name) : NULL;
    if (!capture || strcmp(capture->allowed, use->allowed) != 0 ||
        !public_key_equal(&order->node_key, &use->key))
        return error_set(err, -EBADMSG,
                         "step %s takes output %s of %s of %s, which no work order captures so", taker->name,
                         use->name, use->step, use->member);
    if (wave_of(shape, use->step) >= wave_of(shape, taker->name))
        return error_set(err, -EBADMSG, "step %s takes output %s of %s, which does not come before it",
                         taker->name, use->name, use->step);
    return 0;
}

int plan_outputs_check(const struct shape *shape, const struct work_order *const *orders, size_t n_orders,
                       struct error *err) {
    for (size_t i = 0; i < n_orders; i++)
        for (size_t s = 0; s < orders[i]->n_steps; s++) {
            const struct step *step = &orders[i]->steps[s];
            for (const struct output_use *use = NULL; (use = step_output_next(step, use));) {
                int r = use_check(shape, orders, n_orders, step, use, err);
                if (r < 0)
                    return error_context(err, r, "%s", orders[i]->member);
            }
        }
    return 0;
}
