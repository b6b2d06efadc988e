/* Why urgency touches soaks and nothing else: a soak waits for what nobody has thought of, and how long is a choice; a gate, a
 * proof of life, the time that the system itself needs to notice a loss and the rule about domains are not. So an urgent plan
 * has the same steps and gates, and is signed as urgent with its reason. */
#include "coordinator/planner/planning.h"

#include "common/plan/encoding.h"

enum { SOAK_LEAST_MS = 1000 }; /* where no gate of the recipe names a detection time */

static uint32_t longest_detection_ms(struct planning *p) {
    uint32_t longest = SOAK_LEAST_MS;
    for (size_t i = 0; i < p->gates.n && !p->failed; i++) {
        struct gate *gate;
        int r = codec_decode(&gate_codec, p->gates.bytes[i], p->arena, &gate, p->err);
        if (r < 0)
            (void)fail(p, r);
        else if (gate->detection_ms > longest)
            longest = gate->detection_ms;
    }
    return longest;
}

/* Neither longer nor shorter: below its gates' detection time a soak says nothing. None stays none. */
void soaks_cut(struct planning *p) {
    uint32_t most = longest_detection_ms(p);
    for (size_t i = 0; i < p->n_waves; i++) {
        struct wave *wave = &p->waves[i];
        wave->soak_ms = most;
        wave->soak_read_only_ms = wave->soak_read_only_ms > 0 ? most : 0;
    }
    note(p, "urgent: each soak is %u ms, the longest detection time of the gates", most);
}

const char *reason_make(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    if (!options->urgent)
        return options->reason;
    return *options->reason ? keep_format(p, "%s; urgent: %s", options->reason, options->urgent)
                            : options->urgent;
}
