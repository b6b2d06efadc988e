/* Why every sentence is made from the numbers in the plan and not from the recipe: the person who signs must read what the
 * agents will do, and the agents have no recipe. */
#include "coordinator/control/plan_words.h"

#include <signal.h>
#include <string.h>
#include <time.h>

void words_duration(FILE *out, uint64_t ms) {
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    for (size_t i = 0; ms > 0 && i < ARRAY_LEN(units); i++)
        if (ms % units[i].ms == 0) {
            fprintf(out, "%llu %s", (unsigned long long)(ms / units[i].ms), units[i].name);
            return;
        }
    fputs("0 s", out);
}

void words_time(FILE *out, uint64_t seconds) {
    time_t when = (time_t)seconds;
    struct tm tm;
    char text[64];
    if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
        fputs(text, out);
    else
        fprintf(out, "second %llu", (unsigned long long)seconds);
}

const char *words_gate_name(const struct verified_plan *plan, const struct digest *digest) {
    const struct gate *gate = verified_plan_gate(plan, digest);
    return gate ? gate->name : "a gate that is not in the plan";
}

const char *words_way_back(enum way_back way_back) {
    switch (way_back) {
    case WAY_BACK_UNTIL_START:
        return "only until the first start of the new release; after it no member returns alone";
    case WAY_BACK_UNTIL_PROMOTION: return "until a member is read-write on the new release";
    case WAY_BACK_UNTIL_FINALIZE:
        return "open: each member may return to what it runs today, until somebody finalizes";
    case WAY_BACK_CLUSTER: return "only with the whole cluster";
    case WAY_BACK_NEVER: return "none";
    }
    return "?";
}

const char *words_on_abort(const struct shape *shape) {
    if (shape->n_waves > 0 && shape->waves[0].kind == WAVE_STOP)
        return "all go back, until the next thing behind the barrier begins; after it nobody does";
    return shape->return_on_abort ? "who is changed and not done goes back, one after the other, when it may "
                                    "stop; who could not "
                                    "within the wait limit stays as it is; who is done stays"
                                  : "every member stays as it is by then, changed or not";
}

const char *words_failure(const struct row *row) {
    switch (row->on_failure) {
    case ON_FAILURE_STOP:
        return row->primitive == PRIMITIVE_ASK ? "else waits, unchanged" : "else ends, unchanged";
    case ON_FAILURE_RETURN: return "else returns";
    case ON_FAILURE_HOLD: return "else held, alarm";
    }
    return "?";
}

static const char *found_text(const struct work_order *order, uint32_t index) {
    char name[32];
    snprintf(name, sizeof(name), "argument.%u", index);
    return fact_get(order->binding, order->n_binding, name);
}

void words_command(FILE *out, const struct work_order *order, const struct argument *arguments, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct output_use *use = arguments[i].output;
        if (use) {
            fprintf(out, "%s%s(output %s of %s of %s, which must match ^(%s)$)%s", i > 0 ? " " : "",
                    use->before ? use->before : "", use->name, use->step, use->member, use->allowed,
                    use->after ? use->after : "");
            continue;
        }
        const char *text = arguments[i].has_found ? found_text(order, arguments[i].found) : arguments[i].text;
        fputs(i > 0 ? " " : "", out);
        if (!text)
            fprintf(out, "(word %u as found)", arguments[i].found);
        else
            fprintf(out, strpbrk(text, " \t\n'\"") || !*text ? "'%s'" : "%s", text);
    }
}

/* ---- checks ---- */

static const char *probe_word(enum probe_kind kind) {
    switch (kind) {
    case PROBE_HTTP: return "";
    case PROBE_TCP: return "port ";
    case PROBE_ZK_EXISTS: return "node ";
    case PROBE_ZK_GET: return "content of node ";
    case PROBE_ZK_CHILDREN: return "children of node ";
    case PROBE_ZK_LEAVES: return "leaves below node ";
    case PROBE_ZK_FIRST: return "content of the first child of node ";
    case PROBE_FILE: return "file ";
    case PROBE_LOG: return "the member's output";
    case PROBE_COMMAND: return "output of";
    case PROBE_COMMAND_EXIT: return "exit code of";
    }
    return "?";
}

/* Several targets are asked in order until one answers. */
static void target_words(FILE *out, const char *target) {
    for (; *target; target++)
        if (*target == ' ')
            fputs(" or ", out);
        else
            fputc(*target, out);
}

static void probe_words(FILE *out, const struct probe *probe) {
    fputs(probe_word(probe->kind), out);
    if (probe->path)
        fprintf(out, "%s at ", probe->path);
    for (size_t i = 0; probe->command && i < probe->command->n_arguments; i++)
        fprintf(out, " %s",
                probe->command->arguments[i].text ? probe->command->arguments[i].text : "(found word)");
    if (probe->target)
        target_words(out, probe->target);
}

static void values_words(FILE *out, const struct check *check) {
    for (size_t i = 0; i < check->n_values; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "", check->values[i]);
}

static void rule_words(FILE *out, const struct check *check) {
    bool exists = check->probe.kind == PROBE_ZK_EXISTS;
    switch (check->rule) {
    case RULE_PRESENT: fputs(exists ? "exists" : "something", out); return;
    case RULE_ABSENT: fputs(exists ? "does not exist" : "nothing", out); return;
    case RULE_AT_LEAST: fprintf(out, "at least %llu", (unsigned long long)check->count); return;
    case RULE_NONE_NEW:
        fputs(check->n_values > 0 ? "nothing but " : "nothing", out);
        values_words(out, check);
        return;
    case RULE_EQUALS:
        fputs(check->n_values > 0 ? "exactly " : "nothing", out);
        values_words(out, check);
        return;
    case RULE_ALL_IN:
        fputs("all of ", out);
        values_words(out, check);
        return;
    }
}

void words_check(FILE *out, const struct check *check) {
    probe_words(out, &check->probe);
    fputs(": ", out);
    rule_words(out, check);
    if (check->probe.match)
        fprintf(out, " matching %s", check->probe.match);
    fprintf(out, "%s; otherwise %s", check->exclude_self ? ", the asked member left out" : "",
            answer_text(check->otherwise));
}

/* ---- rows ---- */

static void ask_words(FILE *out, const struct verified_plan *plan, const struct row *row) {
    for (size_t i = 0; i < row->n_gates; i++) {
        const struct gate *gate = verified_plan_gate(plan, &row->gates[i]);
        fprintf(out, "%s%s", i > 0 ? ", " : "", gate ? gate->name : "?");
        if (gate && gate->sample && row->sample == SAMPLE_CAPTURE)
            fprintf(out, " (remembers %u to %u objects)", gate->sample->minimum, gate->sample->limit);
        if (gate && gate->sample && row->sample == SAMPLE_COMPARE)
            fputs(" (every remembered object is read back)", out);
    }
    fputs("; asked for ", out);
    words_duration(out, row->deadline_ms);
    if (row->hold_ms > 0) {
        fputs(", held for ", out);
        words_duration(out, row->hold_ms);
    }
}

static const char *signal_word(uint32_t number) {
    const char *name = number < 65 ? sigabbrev_np((int)number) : NULL;
    return name ? name : "?";
}

static void generation_words(FILE *out, const struct work_order *order, uint32_t index) {
    if (index == 0 || index > order->n_generations) {
        fputs("what runs today", out);
        return;
    }
    const struct generation *generation = &order->generations[index - 1];
    fprintf(out, "generation %u: %s%s, %s", index,
            generation->has_manifest ? "release " : "the found release, ", generation->version,
            mode_text(generation->mode));
}

static void within(FILE *out, const struct row *row) {
    fputs("; within ", out);
    words_duration(out, row->deadline_ms);
    if (row->hard_cap_ms > row->deadline_ms) {
        fputs(" without progress, at most ", out);
        words_duration(out, row->hard_cap_ms);
    }
    if (row->deadline_why)
        fprintf(out, " (%s)", row->deadline_why);
}

void words_row(FILE *out, const struct verified_plan *plan, const struct work_order *order,
               const struct row *row) {
    switch (row->primitive) {
    case PRIMITIVE_ASK: ask_words(out, plan, row); return;
    case PRIMITIVE_STAGE: fputs("fetch, check and unpack the release", out); break;
    case PRIMITIVE_RENDER: fputs("write ", out), generation_words(out, order, row->generation); break;
    case PRIMITIVE_STOP:
        fprintf(out, "SIG%s; SIGKILL after ", signal_word(row->signal));
        words_duration(out, row->deadline_ms);
        if (row->hold_ms > 0) {
            fputs("; hold limit ", out);
            words_duration(out, row->hold_ms);
        }
        return;
    case PRIMITIVE_SWAP: fputs("to ", out), generation_words(out, order, row->generation); return;
    case PRIMITIVE_START: fputs("a new process", out), within(out, row); return;
    case PRIMITIVE_OBSERVE:
        fputs("the process is new, owns the port, is in its mode and runs ", out);
        generation_words(out, order, row->generation);
        within(out, row);
        return;
    case PRIMITIVE_RUN:
        words_command(out, order, row->command->arguments, row->command->n_arguments);
        if (row->done_if) {
            fputs("; skipped if, and done when: ", out);
            words_check(out, row->done_if);
        }
        for (size_t i = 0; i < row->n_captures; i++)
            fprintf(out, "; must put out %s: what matches %s, and is ^(%s)$", row->captures[i].name,
                    row->captures[i].match, row->captures[i].allowed);
        break;
    }
    fputs("; within ", out);
    words_duration(out, row->deadline_ms);
}

static void words_budget(FILE *out, enum budget_kind kind, uint32_t allowed, uint32_t percent,
                         size_t n_members) {
    fprintf(out, "%s: ", budget_kind_text(kind));
    if (allowed == BUDGET_NO_LIMIT)
        fputs("no limit", out);
    else if (allowed == 0)
        fputs("none", out);
    else
        fprintf(out, "at most %u", allowed);
    if (percent > 0)
        fprintf(out, " (%u %% of %zu members, rounded down)", percent, n_members);
}

void words_budgets(FILE *out, const struct budget *budgets, size_t n, size_t n_members, bool of_run) {
    const char *separator = "";
    for (unsigned k = 0; k < BUDGETS; k++) {
        enum budget_kind kind = (enum budget_kind)k;
        uint32_t percent = 0, otherwise = of_run ? budget_default(kind) : BUDGET_NO_LIMIT;
        uint32_t allowed = budget_allows(budgets, n, kind, (uint32_t)n_members, otherwise);
        bool given = false;
        for (size_t i = 0; i < n; i++)
            if (budgets[i].kind == kind) {
                percent = budgets[i].percent;
                given = true;
            }
        if (!of_run && !given)
            continue;
        fputs(separator, out);
        words_budget(out, kind, allowed, percent, n_members);
        separator = "; ";
    }
}
