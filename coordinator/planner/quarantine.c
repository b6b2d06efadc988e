/* Why the word names a digest and not only "yes": what is signed for tonight's release must not pass tomorrow's. It may name
 * what this coordinator does not know to have failed: an agent may remember what its coordinator has lost. */
#include "coordinator/planner/planning.h"

#include "common/plan/quarantine.h"

#include <string.h>

enum { NAMED_BY = 8 + 3 /* so much of "b2:..." at least */ };

static bool is_named(const struct planning *p, const char *what) {
    const struct planner_options *options = &p->input->options;
    for (size_t i = 0; i < options->n_lifts; i++)
        if (strlen(options->lifts[i]) >= NAMED_BY &&
            strncmp(options->lifts[i], what, strlen(options->lifts[i])) == 0)
            return true;
    return false;
}

static const char *failed_before(const struct planning *p, const struct digest *what) {
    for (size_t i = 0; i < p->input->n_quarantines; i++)
        if (digest_equal(&p->input->quarantines[i].what, what))
            return p->input->quarantines[i].says;
    return NULL;
}

/* Each release, each configuration, once. */
static void look(struct planning *p, const struct work_order *order, const struct digest *what) {
    char text[KEDGE_DIGEST_TEXT_SIZE];
    const char *says = failed_before(p, what);
    digest_format(text, what);
    if (is_named(p, text))
        p->lifts[p->n_lifts++] = *what;
    else if (says)
        refuse(p, "quarantined", "%s %.19s is quarantined: %s (to try it again: --lift-quarantine %.19s)",
               order->generations[0].has_manifest ? "release" : order->member, text, says, text);
}

/* A word for something else would be signed, and mean nothing. */
static void words_judge(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    for (size_t i = 0; i < options->n_lifts; i++) {
        bool used = false;
        for (size_t k = 0; k < p->n_lifts && !used; k++) {
            char text[KEDGE_DIGEST_TEXT_SIZE];
            digest_format(text, &p->lifts[k]);
            used = strlen(options->lifts[i]) >= NAMED_BY &&
                   strncmp(options->lifts[i], text, strlen(options->lifts[i])) == 0;
        }
        if (!used)
            refuse(p, "lift-names-nothing",
                   "--lift-quarantine %s: this plan leads to nothing of that digest (give b2: and 8 digits "
                   "of it at "
                   "least)",
                   options->lifts[i]);
    }
}

void quarantine_judge(struct planning *p, const struct work_order *orders) {
    p->lifts = keep(p, p->n_order, sizeof(*p->lifts));
    struct digest what, last = {{0}};
    for (size_t i = 0; p->lifts && i < p->n_order; i++)
        if (quarantine_subject(&orders[i], &what) && !digest_equal(&what, &last)) {
            look(p, &orders[i], &what);
            last = what;
        }
    if (p->lifts)
        words_judge(p);
    if (p->n_lifts > QUARANTINE_LIFTS_MAX)
        refuse(p, "lift-names-nothing", "--lift-quarantine: %zu configurations at once, at most %d",
               p->n_lifts, QUARANTINE_LIFTS_MAX);
}
