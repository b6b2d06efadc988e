/* Why a linear search: a work order has a dozen steps. */
#include "common/plan/work_order.h"

#include <string.h>

const struct step *work_order_step(const struct work_order *order, const char *name) {
    for (size_t i = 0; i < order->n_steps; i++)
        if (strcmp(order->steps[i].name, name) == 0)
            return &order->steps[i];
    return NULL;
}

const struct row *step_find_row(const struct step *step, enum primitive primitive) {
    for (size_t i = 0; step && i < step->n_rows; i++)
        if (step->rows[i].primitive == primitive)
            return &step->rows[i];
    return NULL;
}

const struct row *step_last_row(const struct step *step, enum primitive primitive) {
    for (size_t i = step ? step->n_rows : 0; i-- > 0;)
        if (step->rows[i].primitive == primitive)
            return &step->rows[i];
    return NULL;
}

bool work_order_is_downtime(const struct work_order *order) {
    for (size_t i = 0; i < order->n_steps; i++)
        if (order->steps[i].verb == VERB_STOP)
            return true;
    return false;
}
