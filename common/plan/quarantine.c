/* Why the release alone and not the release with its configuration: which of the two was at fault cannot be told from a
 * service that did not come up, and one that failed for its configuration costs one signature more. */
#include "common/plan/quarantine.h"

bool quarantine_subject(const struct work_order *order, struct digest *outp) {
    const struct generation *last = order->n_generations > 0 ? &order->generations[order->n_generations - 1]
                                                             : NULL; /* the one that it ends with */
    if (last && last->has_manifest)
        *outp = last->manifest;
    else if (last && last->render)
        *outp = last->render->new_digest;
    else
        return false;
    return true;
}

bool quarantine_is_lifted(const struct header *header, const struct digest *subject) {
    for (size_t i = 0; i < header->n_lifts; i++)
        if (digest_equal(&header->lifts[i], subject))
            return true;
    return false;
}
