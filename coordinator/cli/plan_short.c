/* What a signature covers is what stands here: the digest on top is that of the header, and everything below hangs on it
 * through the Merkle root, which was checked before a page is made. */
#include "coordinator/cli/plan_short.h"
#include "coordinator/control/plan_words.h"

#include <time.h>

static void time_line(struct buffer *out, const char *name, uint64_t seconds) {
    char text[64];
    time_t at = (time_t)seconds;
    struct tm tm;
    if (seconds == 0 || !gmtime_r(&at, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm) == 0)
        return;
    buffer_format(out, "%-13s%s\n", name, text);
}

static void digest_line(struct buffer *out, const char *name, const struct digest *digest) {
    char text[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(text, digest);
    buffer_format(out, "%-13s%s\n", name, text);
}

static void optional_line(struct buffer *out, const char *name, const char *value) {
    if (value && *value)
        buffer_format(out, "%-13s%s\n", name, value);
}

static void head(struct buffer *out, const struct verified_plan *plan) {
    const struct header *h = &plan->header;
    buffer_format(out, "PLAN         %s: %s -> %s, %s, %zu members, serial %llu\n", h->cluster,
                  h->from_version, h->to_version, plan->shape.strategy, plan->n_orders,
                  (unsigned long long)h->serial);
    digest_line(out, "digest", &plan->digest);
    digest_line(out, "release", &h->manifest);
    optional_line(out, "author", h->author);
    optional_line(out, "ticket", h->ticket);
    optional_line(out, "reason", h->reason);
    optional_line(out, "urgency", h->urgency == URGENCY_URGENT ? "urgent: soaks are cut" : "");
    if (h->supersedes)
        buffer_format(out, "supersedes   plan %llu: its run ends, then this one begins\n",
                      (unsigned long long)h->supersedes);
    for (size_t i = 0; i < h->n_lifts; i++)
        digest_line(out, "tries again", &h->lifts[i]);
    for (size_t i = 0; i < plan->shape.n_depends_on; i++)
        optional_line(out, "depends on", plan->shape.depends_on[i]);
    time_line(out, "not before", h->not_before_s);
    time_line(out, "not after", h->not_after_s);
    for (size_t i = 0; i < h->n_consents; i++)
        optional_line(out, "consent to", h->consents[i]);
}

static double seconds_of(uint32_t ms) {
    return ms / 1000.0;
}

static void waves(struct buffer *out, const struct verified_plan *plan) {
    for (size_t i = 0; i < plan->shape.n_waves; i++) {
        const struct wave *wave = &plan->shape.waves[i];
        buffer_format(out, "wave         %s, %u at once%s%s:", wave->name, wave->limit_count,
                      wave->one_domain ? ", one failure domain at a time" : "",
                      wave->has_last ? ", the leader last by live fact" : "");
        for (size_t k = 0; k < wave->n_members; k++)
            buffer_format(out, " %s", plan->orders[wave->members[k]]->member);
        if (wave->kind == WAVE_ACT || wave->kind == WAVE_BACK) {
            buffer_text(out, wave->kind == WAVE_ACT
                                 ? "\n             an action, while all are down\n"
                                 : "\n             only on the way back, while all are down\n");
            continue;
        }
        if (wave->kind == WAVE_STOP || wave->kind == WAVE_PASS) {
            buffer_text(out, wave->kind == WAVE_PASS ? "\n             POINT OF NO RETURN\n"
                                                     : "\n             no may-stop is asked\n");
            continue;
        }
        buffer_format(out, "\n             %s",
                      wave->kind == WAVE_CANARY ? "read-only first, soak " : "soak ");
        if (wave->kind == WAVE_CANARY)
            buffer_format(out, "%g s, then ", seconds_of(wave->soak_read_only_ms));
        buffer_format(out, "%g s; ", seconds_of(wave->soak_ms));
        if (wave->wait_limit_ms > 0)
            buffer_format(out, "a wait of %g s to stop one pauses the run", seconds_of(wave->wait_limit_ms));
        else
            buffer_text(out, "no wait to stop one pauses the run");
        buffer_format(out, "%s%s\n", wave->approval ? "; then an operator's signed word" : "",
                      wave->return_inconclusive ? "; inconclusive: goes back" : "");
    }
}

static void gates(struct buffer *out, const struct verified_plan *plan, const char *name,
                  const struct digest *list, size_t n) {
    buffer_format(out, "%-13s", name);
    for (size_t i = 0; i < n; i++) {
        const struct gate *gate = verified_plan_gate(plan, &list[i]);
        buffer_format(out, "%s%s", i ? ", " : "", gate ? gate->name : "?");
    }
    buffer_text(out, "\n");
}

static void side_actions(struct buffer *out, const struct verified_plan *plan) {
    for (size_t i = 0; i < plan->shape.n_side_actions; i++) {
        const struct side_action *side = &plan->shape.side_actions[i];
        buffer_format(out, "side action  %s: %s for the time of the run, back to %s at every end\n",
                      side->name, side->ours, side->previous);
    }
}

/* Only what this plan says of its own; the default is in the long form. */
static void budgets(struct buffer *out, const char *of, const struct budget *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        buffer_format(out, "budget       %s: ", of);
        if (list[i].percent == 0 || list[i].count < KEDGE_MEMBERS_MAX)
            buffer_format(out, "%u ", list[i].count);
        if (list[i].percent > 0)
            buffer_format(out, "%u %% ", list[i].percent);
        buffer_format(out, "may be %s; beyond that the run pauses\n", budget_kind_text(list[i].kind));
    }
}

void plan_short(const struct verified_plan *plan, struct buffer *out) {
    head(out, plan);
    waves(out, plan);
    budgets(out, "the run", plan->shape.budgets, plan->shape.n_budgets);
    for (size_t i = 0; i < plan->shape.n_waves; i++)
        budgets(out, plan->shape.waves[i].name, plan->shape.waves[i].budgets, plan->shape.waves[i].n_budgets);
    gates(out, plan, "may stop if", plan->shape.may_stop, plan->shape.n_may_stop);
    gates(out, plan, "recovered if", plan->shape.recovered, plan->shape.n_recovered);
    side_actions(out, plan);
    for (size_t i = 0; i < plan->shape.n_warnings; i++)
        optional_line(out, "warning", plan->shape.warnings[i]);
    buffer_format(out, "on abort     %s\n", words_on_abort(&plan->shape));
    buffer_format(out, "no return    %s\n",
                  *plan->shape.point_of_no_return ? plan->shape.point_of_no_return
                                                  : "none: the way back stays open");
}
