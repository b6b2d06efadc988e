/* Why equal things are folded: a page that repeats itself for forty members is signed unread. Steps, command lines and
 * diffs that are the same but for the member's own name stand once, with the names of those they are for. */
#include "coordinator/control/plan_page.h"

#include "coordinator/control/plan_words.h"

#include <string.h>

struct page {
    const struct verified_plan *plan;
    FILE *out;
    size_t width;
    bool failed;
};

/* ---- lines ---- */

/* A text that is written piece by piece: text_open, print to it, text_close gives it. */
struct piece {
    FILE *stream;
    char *text;
    size_t len;
};

static FILE *piece_open(struct page *page, struct piece *piece) {
    *piece = (struct piece){0};
    piece->stream = open_memstream(&piece->text, &piece->len);
    page->failed = page->failed || !piece->stream;
    return piece->stream;
}

static const char *piece_close(struct page *page, struct piece *piece) {
    if (piece->stream && fclose(piece->stream) != 0)
        page->failed = true;
    piece->stream = NULL;
    return piece->text ? piece->text : "";
}

static void piece_free(struct piece *piece) {
    free(piece->text);
}

static size_t columns(const char *text, size_t bytes) {
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* `label` in its column, then the text, broken at blanks into lines that begin under its first one. */
static void wrap(struct page *page, const char *label, size_t indent, const char *text, size_t width) {
    size_t at = indent;
    fprintf(page->out, "%-*s", (int)indent, label);
    if (columns(label, strlen(label)) >= indent) {
        fprintf(page->out, "\n%*s", (int)indent, "");
    }
    for (bool first = true; *text; first = false) {
        size_t len = strcspn(text, " "), wide = columns(text, len);
        if (!first && at + 1 + wide > width) {
            fprintf(page->out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            fputc(' ', page->out);
            at++;
        }
        fwrite(text, 1, len, page->out);
        at += wide;
        text += len + (text[len] == ' ');
    }
    fputc('\n', page->out);
}

static void entry(struct page *page, const char *label, const char *text) {
    char indented[64];
    snprintf(indented, sizeof(indented), "  %s", label);
    wrap(page, indented, 16, text, page->width);
}

static void title(struct page *page, const char *text) {
    fprintf(page->out, "\n%s\n", text);
    for (size_t i = 0; i < page->width; i++)
        fputc('-', page->out);
    fputc('\n', page->out);
}

static const char *short_name(const char *member) {
    const char *slash = strchr(member, '/');
    return slash ? slash + 1 : member;
}

/* ---- head ---- */

static size_t domains_count(const struct verified_plan *plan) {
    size_t n = 0;
    for (size_t i = 0; i < plan->n_orders; i++) {
        bool seen = !*plan->orders[i]->domain;
        for (size_t k = 0; k < i && !seen; k++)
            seen = strcmp(plan->orders[k]->domain, plan->orders[i]->domain) == 0;
        n += !seen;
    }
    return n;
}

static void digest_entry(struct page *page, const char *label, const struct digest *digest) {
    char text[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(text, digest);
    entry(page, label, text);
}

static void release_entry(struct page *page) {
    const struct manifest *manifest = page->plan->manifest;
    struct piece piece;
    FILE *out = piece_open(page, &piece);
    uint64_t bytes = 0, files = 0;
    for (size_t i = 0; i < manifest->n_components; i++)
        for (size_t k = 0; k < manifest->components[i].n_files; k++, files++)
            bytes += manifest->components[i].files[k].size;
    if (out)
        fprintf(out, "%s %s, %zu component%s, %llu files, %llu bytes", manifest->system, manifest->version,
                manifest->n_components, manifest->n_components == 1 ? "" : "s", (unsigned long long)files,
                (unsigned long long)bytes);
    entry(page, "release", piece_close(page, &piece));
    piece_free(&piece);
    digest_entry(page, "", &page->plan->header.manifest);
}

static void valid_entry(struct page *page) {
    const struct header *header = &page->plan->header;
    struct piece piece;
    FILE *out = piece_open(page, &piece);
    if (out) {
        fputs("from ", out);
        words_time(out, header->not_before_s ? header->not_before_s : header->created_s);
        fputs(" to ", out);
        words_time(out, header->not_after_s);
    }
    entry(page, "may begin", piece_close(page, &piece));
    piece_free(&piece);
}

static enum way_back narrowest(const struct verified_plan *plan) {
    static const int rank[] = {[WAY_BACK_UNTIL_FINALIZE] = 0,
                               [WAY_BACK_CLUSTER] = 1,
                               [WAY_BACK_UNTIL_PROMOTION] = 2,
                               [WAY_BACK_UNTIL_START] = 3,
                               [WAY_BACK_NEVER] = 4};
    enum way_back way_back = WAY_BACK_UNTIL_FINALIZE;
    for (size_t i = 0; i < plan->n_orders; i++)
        if (rank[plan->orders[i]->way_back] > rank[way_back])
            way_back = plan->orders[i]->way_back;
    return way_back;
}

static void signatures_entry(struct page *page) {
    struct signed_blob blob;
    struct error ignored;
    if (page->plan->n_signatures == 0 || signed_blob_decode(&blob, page->plan->plan.header, &ignored) < 0) {
        entry(page, "signed by", "nobody yet");
        return;
    }
    for (size_t i = 0; i < blob.n_signatures; i++) {
        char fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
        public_key_fingerprint(fingerprint, &blob.signatures[i].key);
        entry(page, i == 0 ? "signed by" : "", fingerprint);
    }
    entry(page, "", page->plan->signed_by_enough ? "which is enough" : "which is not enough yet");
}

static void budgets_entry(struct page *page, const char *label, const struct budget *budgets, size_t n,
                          size_t n_members, bool of_run) {
    struct piece piece;
    FILE *out = piece_open(page, &piece);
    if (out) {
        words_budgets(out, budgets, n, n_members, of_run);
        fputs("; beyond that the run pauses", out);
    }
    entry(page, label, piece_close(page, &piece));
    piece_free(&piece);
}

/* What weakens stands where nobody overlooks it. */
static void lifts_entry(struct page *page) {
    const struct header *header = &page->plan->header;
    char digest[KEDGE_DIGEST_TEXT_SIZE], text[160];
    for (size_t i = 0; i < header->n_lifts; i++) {
        digest_format(digest, &header->lifts[i]);
        snprintf(text, sizeof(text), "%.19s... may have failed before; who signs this says: try it again",
                 digest);
        entry(page, "QUARANTINE", text);
    }
}

static void head(struct page *page) {
    const struct verified_plan *plan = page->plan;
    const struct header *header = &plan->header;
    char digest[KEDGE_DIGEST_TEXT_SIZE], text[256];
    digest_format(digest, &plan->digest);
    fprintf(page->out, "PLAN %llu  %s  %s -> %s\n", (unsigned long long)header->serial, header->cluster,
            header->from_version, header->to_version);
    fprintf(page->out, "%s\n\n", digest);
    size_t domains = domains_count(plan);
    snprintf(text, sizeof(text), "%zu member%s in %zu failure domain%s, %s", plan->n_orders,
             plan->n_orders == 1 ? "" : "s", domains, domains == 1 ? "" : "s", plan->shape.strategy);
    entry(page, "changes", text);
    entry(page, "author", header->author);
    if (*header->ticket)
        entry(page, "ticket", header->ticket);
    if (*header->reason)
        entry(page, "reason", header->reason);
    if (header->urgency == URGENCY_URGENT)
        entry(page, "URGENT",
              "soaks are cut to the detection time of the gates; every gate, proof of life and domain "
              "rule holds as ever");
    if (header->supersedes) {
        snprintf(text, sizeof(text),
                 "plan %llu of this cluster: its run begins nothing more, closes its side actions and ends; "
                 "then this "
                 "one begins",
                 (unsigned long long)header->supersedes);
        entry(page, "SUPERSEDES", text);
    }
    lifts_entry(page);
    for (size_t i = 0; i < plan->shape.n_depends_on; i++) {
        snprintf(text, sizeof(text), "cluster %.100s: no run of it is open at the same time",
                 plan->shape.depends_on[i]);
        entry(page, i == 0 ? "depends on" : "", text);
    }
    valid_entry(page);
    release_entry(page);
    digest_entry(page, "recipe", &header->recipe);
    digest_entry(page, "charter", &header->charter);
    budgets_entry(page, "budget", plan->shape.budgets, plan->shape.n_budgets, plan->n_orders, true);
    entry(page, "way back", words_way_back(narrowest(plan)));
    entry(page, "on abort", words_on_abort(&plan->shape));
    entry(page, "no return",
          *plan->shape.point_of_no_return ? plan->shape.point_of_no_return
                                          : "nothing in this plan is final; nothing is finalized by itself");
    signatures_entry(page);
}

static void warnings(struct page *page) {
    const struct shape *shape = &page->plan->shape;
    if (shape->n_warnings == 0)
        return;
    title(page, "WARNINGS, each with a consent by name");
    for (size_t i = 0; i < shape->n_warnings; i++)
        wrap(page, "  !", 4, shape->warnings[i], page->width);
}

/* ---- steps ---- */

/* All rows of a step, as they are printed; what differs only in the member's name is then equal text. */
static void step_print(struct page *page, const struct work_order *order, const struct step *step) {
    fprintf(page->out, "    %s\n", step->name);
    for (size_t i = 0; i < step->n_rows; i++) {
        const struct row *row = &step->rows[i];
        struct piece piece;
        char label[32];
        FILE *out = piece_open(page, &piece);
        if (out) {
            words_row(out, page->plan, order, row);
            fprintf(out, "; %s", words_failure(row));
        }
        snprintf(label, sizeof(label), "    %2zu %s", i + 1, primitive_text(row->primitive));
        wrap(page, label, 16, piece_close(page, &piece), page->width);
        piece_free(&piece);
    }
}

static bool is_side_step(const struct step *step) {
    return step->verb == VERB_ACT;
}

static char *steps_text(struct page *page, const struct work_order *order) {
    struct piece piece;
    struct page inner = {page->plan, piece_open(page, &piece), page->width, false};
    for (size_t i = 0; inner.out && i < order->n_steps; i++)
        if (!is_side_step(&order->steps[i]))
            step_print(&inner, order, &order->steps[i]);
    (void)piece_close(page, &piece);
    page->failed = page->failed || inner.failed;
    return piece.text;
}

static void side_actions(struct page *page) {
    const struct verified_plan *plan = page->plan;
    const struct shape *shape = &plan->shape;
    if (shape->n_side_actions == 0 || plan->n_orders == 0)
        return;
    title(page, "SIDE ACTIONS, for the time of the run");
    for (size_t i = 0; i < shape->n_side_actions; i++) {
        const struct side_action *side = &shape->side_actions[i];
        struct piece piece;
        FILE *out = piece_open(page, &piece);
        if (out) {
            fprintf(out, "%s while it lasts, %s again at every end; ", side->ours, side->previous);
            words_duration(out, side->ttl_ms);
            const struct lease *lease = i < plan->orders[0]->n_leases ? &plan->orders[0]->leases[i] : NULL;
            fputs(lease && lease->on_loss == ON_LOSS_HOLD
                      ? " after the coordinator's last word the agents hold it"
                      : " after the coordinator's last word the agents put it back",
                  out);
        }
        entry(page, side->name, piece_close(page, &piece));
        piece_free(&piece);
        const char *const names[] = {side->open_step, side->close_step};
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            const struct step *step = work_order_step(plan->orders[0], names[k]);
            if (step)
                step_print(page, plan->orders[0], step);
        }
        fprintf(page->out, "    (as %s would do it; the others in the same words with their own)\n",
                short_name(plan->orders[0]->member));
    }
}

/* ---- gates ---- */

static bool is_listed(const struct digest *list, size_t n, const struct digest *digest) {
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&list[i], digest))
            return true;
    return false;
}

static void gate_print(struct page *page, size_t index) {
    const struct verified_plan *plan = page->plan;
    const struct gate *gate = &plan->gates[index];
    const struct digest *digest = &plan->gate_digests[index];
    struct piece piece;
    bool stop = is_listed(plan->shape.may_stop, plan->shape.n_may_stop, digest);
    bool after = is_listed(plan->shape.recovered, plan->shape.n_recovered, digest);
    FILE *out = piece_open(page, &piece);
    if (out) {
        fprintf(out, "%s, about %s%s%s", gate->name,
                gate->scope == GATE_SCOPE_CLUSTER ? "the cluster" : "one member",
                stop ? "; before every stop" : "", after ? "; after every change" : "");
        fputs(after && gate->detection_ms > 0 ? ", held longer than " : "", out);
        if (after && gate->detection_ms > 0)
            words_duration(out, gate->detection_ms);
    }
    wrap(page, "", 2, piece_close(page, &piece), page->width);
    piece_free(&piece);
    for (size_t i = 0; i < gate->n_checks; i++) {
        out = piece_open(page, &piece);
        if (out)
            words_check(out, &gate->checks[i]);
        wrap(page, "      -", 8, piece_close(page, &piece), page->width);
        piece_free(&piece);
    }
    if (!gate->sample)
        return;
    out = piece_open(page, &piece);
    if (out)
        fprintf(out, "%u objects, at least %u, that %s answers before its stop are read back after it",
                gate->sample->limit, gate->sample->minimum, gate->sample->target);
    wrap(page, "      -", 8, piece_close(page, &piece), page->width);
    piece_free(&piece);
}

/* 0: before every stop, 1: after every change, 2: of members. */
static int gate_rank(const struct verified_plan *plan, size_t index) {
    const struct digest *digest = &plan->gate_digests[index];
    if (is_listed(plan->shape.may_stop, plan->shape.n_may_stop, digest))
        return 0;
    return is_listed(plan->shape.recovered, plan->shape.n_recovered, digest) ? 1 : 2;
}

static bool gate_is_before(const struct verified_plan *plan, size_t a, size_t b) {
    int rank_a = gate_rank(plan, a), rank_b = gate_rank(plan, b);
    return rank_a != rank_b ? rank_a < rank_b : strcmp(plan->gates[a].name, plan->gates[b].name) < 0;
}

/* Gates of members differ only in whom they ask: one of each name stands for all. In the order of their use. */
static void gates(struct page *page) {
    const struct verified_plan *plan = page->plan;
    bool *done = calloc(plan->n_gates + 1, sizeof(*done));
    title(page, "GATES: unknown never passes");
    for (;;) {
        size_t next = plan->n_gates, same = 0;
        for (size_t i = 0; done && i < plan->n_gates; i++)
            if (!done[i] && (next == plan->n_gates || gate_is_before(plan, i, next)))
                next = i;
        if (next == plan->n_gates)
            break;
        gate_print(page, next);
        for (size_t i = 0; i < plan->n_gates; i++)
            if (strcmp(plan->gates[i].name, plan->gates[next].name) == 0) {
                done[i] = true;
                same++;
            }
        if (same > 1)
            fprintf(page->out, "      (so for each of the %zu members, about itself)\n", same);
    }
    page->failed = page->failed || !done;
    free(done);
}

/* ---- waves ---- */

/* What is different in a downtime stands in the wave itself, not in a step that one must look for. */
static const char *downtime_words(enum wave_kind kind) {
    switch (kind) {
    case WAVE_STOP:
        return "all at once; the cluster is NOT asked whether they may. Whoever does not hear in time that "
               "the "
               "barrier is passed (hold limit, see its stop) starts what it ran before by itself";
    case WAVE_PASS:
        return "POINT OF NO RETURN: every agent writes down that the barrier is passed; if one does not, all "
               "go "
               "back. After it nobody goes back by itself: at the end of its hold limit a member stays down, "
               "with an alarm. An abort returns all until the next thing begins, an action or a start";
    case WAVE_START:
        return "all at once; one that fails is stopped and held, with an alarm; the gates of the cluster are "
               "asked when all are up";
    case WAVE_ACT: return "an action while all are down; see the step of this name below";
    case WAVE_BACK:
        return "no part of the way forward: `kedge run rollback` does it, after all are stopped again and "
               "before "
               "the old generation starts";
    case WAVE_CANARY:
    case WAVE_ROLLING: break;
    }
    return NULL;
}

/* What follows when too little is known of a canary. */
static void inconclusive_entry(struct page *page, const struct wave *wave) {
    struct piece piece = {0};
    FILE *out = piece_open(page, &piece);
    if (out && wave->wait_limit_ms == 0) {
        fputs("never passes: while the gates of a canary are unknown, the run waits", out);
    } else if (out) {
        fputs("never passes: when the gates of a canary are still unknown after ", out);
        words_duration(out, wave->wait_limit_ms);
        fputs(wave->return_inconclusive
                  ? ", the canaries are returned; where a way back is closed, the run pauses"
                  : ", the run pauses",
              out);
    }
    entry(page, "unknown", piece_close(page, &piece));
    piece_free(&piece);
}

static void wave_head(struct page *page, size_t index) {
    const struct shape *shape = &page->plan->shape;
    const struct wave *wave = &shape->waves[index];
    struct piece piece;
    char text[160];
    snprintf(text, sizeof(text), "WAVE %zu of %zu: %s, %zu member%s", index + 1, shape->n_waves, wave->name,
             wave->n_members, wave->n_members == 1 ? "" : "s");
    title(page, text);
    if (downtime_words(wave->kind)) {
        entry(page, "downtime", downtime_words(wave->kind));
        if (wave->kind != WAVE_START)
            return;
    }
    FILE *out = piece_open(page, &piece);
    if (out) {
        fprintf(out, "%u at once", wave->limit_count);
        if (wave->limit_percent > 0)
            fprintf(out, ", at most %u %% of the cluster", wave->limit_percent);
        fputs(wave->one_domain ? ", never in two failure domains" : "", out);
        if (wave->has_last)
            fprintf(out, "; last goes the member of whom gate %s says yes at that moment",
                    words_gate_name(page->plan, &wave->last));
    }
    entry(page, "in change", piece_close(page, &piece));
    piece_free(&piece);
    out = piece_open(page, &piece);
    if (out && wave->soak_read_only_ms > 0) {
        words_duration(out, wave->soak_read_only_ms);
        fputs(" read-only, then ", out);
    }
    if (out) {
        words_duration(out, wave->soak_ms);
        fputs(" after the last step; a member that may not stop ", out);
        if (wave->wait_limit_ms > 0) {
            fputs("for ", out);
            words_duration(out, wave->wait_limit_ms);
        }
        fputs(wave->wait_limit_ms > 0 ? " pauses the run" : "is waited for without a limit", out);
    }
    entry(page, "soak", piece_close(page, &piece));
    if (wave->approval)
        entry(page, "approval",
              "the next wave begins by an operator's signed word, not before (kedge run promote)");
    piece_free(&piece);
    if (wave->kind == WAVE_CANARY)
        inconclusive_entry(page, wave);
    if (wave->n_budgets > 0)
        budgets_entry(page, "budget", wave->budgets, wave->n_budgets, wave->n_members, false);
}

static void wave_members(struct page *page, const struct wave *wave) {
    size_t wide = 8;
    for (size_t i = 0; i < wave->n_members; i++) {
        size_t len = strlen(short_name(page->plan->orders[wave->members[i]]->member));
        wide = len > wide ? len : wide;
    }
    fprintf(page->out, "  expected order today\n");
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct work_order *order = page->plan->orders[wave->members[i]];
        const char *mode = fact_get(order->binding, order->n_binding, "mode");
        fprintf(page->out, "    %2zu  %-*s  node %s%s%s  %s -> %s  %s -> %s\n", i + 1, (int)wide,
                short_name(order->member), order->node, *order->domain ? ", " : "", order->domain,
                order->from_version, order->to_version, mode ? mode : "?", mode_text(order->end_mode));
    }
}

static void command_lines(struct page *page, const struct work_order *order) {
    struct piece piece;
    for (size_t g = 0; g < order->n_generations; g++) {
        const struct generation *generation = &order->generations[g];
        char label[32];
        FILE *out = piece_open(page, &piece);
        if (out)
            words_command(out, order, generation->arguments, generation->n_arguments);
        snprintf(label, sizeof(label), "    gen %zu", g + 1);
        wrap(page, label, 12, piece_close(page, &piece), page->width);
        piece_free(&piece);
    }
}

/* Every command line is a member's own; those of one wave differ in names only, so they are listed one by one. */
static void wave_commands(struct page *page, const struct wave *wave) {
    fprintf(page->out, "  what they start (found words as they were seen)\n");
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct work_order *order = page->plan->orders[wave->members[i]];
        fprintf(page->out, "   %s\n", short_name(order->member));
        command_lines(page, order);
    }
}

static void names_print(struct page *page, const struct wave *wave, char **texts, size_t from) {
    struct piece piece;
    FILE *out = piece_open(page, &piece);
    for (size_t i = from; out && i < wave->n_members; i++)
        if (texts[i] && strcmp(texts[i], texts[from]) == 0)
            fprintf(out, "%s%s", i > from ? ", " : "",
                    short_name(page->plan->orders[wave->members[i]]->member));
    wrap(page, "  steps of", 11, piece_close(page, &piece), page->width);
    piece_free(&piece);
}

static void wave_steps(struct page *page, const struct wave *wave) {
    char **texts = calloc(wave->n_members, sizeof(*texts));
    if (!texts) {
        page->failed = true;
        return;
    }
    for (size_t i = 0; i < wave->n_members; i++)
        texts[i] = steps_text(page, page->plan->orders[wave->members[i]]);
    for (size_t i = 0; i < wave->n_members; i++) {
        bool printed = !texts[i];
        for (size_t k = 0; k < i && !printed; k++)
            printed = texts[k] && strcmp(texts[k], texts[i]) == 0;
        if (printed)
            continue;
        names_print(page, wave, texts, i);
        fputs(texts[i], page->out);
    }
    for (size_t i = 0; i < wave->n_members; i++)
        free(texts[i]);
    free(texts);
}

/* ---- configuration ---- */

static const char *diff_of(const struct verified_plan *plan, size_t i) {
    return i < plan->plan.n_diffs ? plan->plan.diffs[i] : "";
}

static void diff_print(struct page *page, const char *diff) {
    while (*diff) {
        size_t len = strcspn(diff, "\n");
        fprintf(page->out, "      %.*s\n", (int)len, diff);
        diff += len + (diff[len] == '\n');
    }
}

static void config_names(struct page *page, size_t from) {
    const struct verified_plan *plan = page->plan;
    struct piece piece;
    FILE *out = piece_open(page, &piece);
    for (size_t i = from; out && i < plan->n_orders; i++)
        if (strcmp(diff_of(plan, i), diff_of(plan, from)) == 0)
            fprintf(out, "%s%s", i > from ? ", " : "", short_name(plan->orders[i]->member));
    if (out)
        fputs(*diff_of(plan, from) ? ": these lines change" : ": not changed", out);
    wrap(page, "  of", 5, piece_close(page, &piece), page->width);
    piece_free(&piece);
}

static void digests_print(struct page *page) {
    for (size_t i = 0; i < page->plan->n_orders; i++) {
        const struct work_order *order = page->plan->orders[i];
        const struct render *render = order->n_generations > 0 ? order->generations[0].render : NULL;
        char old_text[KEDGE_DIGEST_TEXT_SIZE], new_text[KEDGE_DIGEST_TEXT_SIZE];
        if (!render)
            continue;
        digest_format(old_text, &render->old_digest);
        digest_format(new_text, &render->new_digest);
        if (digest_equal(&render->old_digest, &render->new_digest)) {
            fprintf(page->out, "  %s  %s\n      stays %s\n", short_name(order->member), render->path,
                    old_text);
            continue;
        }
        fprintf(page->out, "  %s  %s\n      from %s\n      to   %s\n", short_name(order->member),
                render->path, old_text, new_text);
    }
}

static const struct render *first_shipped(const struct verified_plan *plan) {
    for (size_t i = 0; i < plan->n_orders; i++)
        for (size_t g = 0; g < plan->orders[i]->n_generations; g++) {
            const struct render *render = plan->orders[i]->generations[g].render;
            if (render && render->has_shipped)
                return render;
        }
    return NULL;
}

/* Else the found file is the base, and the lines that change are all that is to be said. */
static void base_print(struct page *page) {
    const struct render *render = first_shipped(page->plan);
    struct piece piece;
    FILE *out = render ? piece_open(page, &piece) : NULL;
    if (!out)
        return;
    size_t n = 0;
    fputs("made from the file that the release ships, not from the one that is found; of the found one only ",
          out);
    for (size_t i = 0; i < render->n_ops; i++)
        if (render->ops[i].kind == CONFIG_CARRY)
            fprintf(out, "%s%s", n++ ? ", " : "", render->ops[i].key);
    fputs(n > 1 ? " are kept" : n ? " is kept" : "nothing is kept", out);
    entry(page, "base", piece_close(page, &piece));
    piece_free(&piece);
}

static void configuration(struct page *page) {
    const struct verified_plan *plan = page->plan;
    bool any = false;
    for (size_t i = 0; i < plan->n_orders; i++)
        any = any || (plan->orders[i]->n_generations > 0 && plan->orders[i]->generations[0].render);
    if (!any)
        return;
    title(page, "CONFIGURATION, secrets masked on the nodes");
    base_print(page);
    for (size_t i = 0; i < plan->n_orders; i++) {
        bool printed = false;
        for (size_t k = 0; k < i && !printed; k++)
            printed = strcmp(diff_of(plan, k), diff_of(plan, i)) == 0;
        if (printed)
            continue;
        config_names(page, i);
        diff_print(page, diff_of(plan, i));
    }
    digests_print(page);
}

int plan_page(const struct verified_plan *plan, unsigned width, FILE *out) {
    struct page page = {plan, out, width, false};
    if (page.width < PLAN_PAGE_WIDTH_MIN)
        page.width = PLAN_PAGE_WIDTH_MIN;
    if (page.width > PLAN_PAGE_WIDTH_MAX)
        page.width = PLAN_PAGE_WIDTH_MAX;
    head(&page);
    warnings(&page);
    side_actions(&page);
    gates(&page);
    for (size_t i = 0; i < plan->shape.n_waves; i++) {
        const struct wave *wave = &plan->shape.waves[i];
        wave_head(&page, i);
        wave_members(&page, wave);
        wave_steps(&page, wave);
        wave_commands(&page, wave);
    }
    configuration(&page);
    return page.failed ? -ENOMEM : 0;
}
