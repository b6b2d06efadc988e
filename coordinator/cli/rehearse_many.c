/* Many seeds, and a table of how they ended: ends that differ only in the member or in a number are one row, since what a
 * reader wants to know is which kinds of end there are. */
#include "coordinator/cli/rehearse.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

enum { ROWS_MAX = 64, BROKEN_MAX = 16, KIND_TEXT = 240, GATES_MAX = 8, GATE_TEXT = 64 };

struct kind_of_end {
    char end[32], why[KIND_TEXT], after[32];
    char gates[GATES_MAX][GATE_TEXT]; /* that did not say yes, in any of its runs */
    size_t n_gates;
    uint64_t n, seed;
};

struct ends {
    struct kind_of_end rows[ROWS_MAX];
    size_t n;
    uint64_t n_other; /* for which there was no row */
    struct {
        uint64_t seed;
        char what[640];
    } broken[BROKEN_MAX];
    uint64_t n_broken, n_seeds;
    uint64_t longest_us, longest_seed;
};

static size_t name_length(const struct rehearse *asked, const char *text, const char **as) {
    for (size_t i = 0; i < asked->plan->n_orders; i++) {
        const struct work_order *order = asked->plan->orders[i];
        const char *names[] = {order->member, rehearse_member(asked, order->member), order->node};
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            size_t n = strlen(names[k]);
            if (n > 0 && strncmp(text, names[k], n) == 0 && !isalnum((unsigned char)text[n])) {
                *as = k < 2 ? "MEMBER" : "NODE";
                return n;
            }
        }
    }
    return 0;
}

/* The reason without the names of members and without numbers. */
static void without_names(const struct rehearse *asked, const char *text, char *out, size_t size) {
    size_t used = 0;
    bool word = false; /* in the middle of one */
    while (*text && used + 1 < size) {
        const char *as = NULL;
        size_t n = word ? 0 : name_length(asked, text, &as);
        if (n == 0 && !word && isdigit((unsigned char)*text)) {
            n = strspn(text, "0123456789.");
            as = "N";
        }
        if (n > 0) {
            used += (size_t)snprintf(out + used, size - used, "%s", as);
            used = used < size ? used : size - 1;
            text += n;
            word = false;
            continue;
        }
        word = isalnum((unsigned char)*text) || *text == '-' || *text == '@' || *text == '/';
        out[used++] = *text++;
    }
    out[used] = 0;
}

static const char *answer_in(const char *part) {
    static const char *const answers[] = {": no", ": unknown"};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        size_t n = strlen(answers[i]);
        for (const char *at = part; (at = strstr(at, answers[i])); at += n)
            if (at[n] == 0 || at[n] == ':')
                return at;
    }
    return NULL;
}

/* The beginning of the word before `end` that follows a ": ", or of the text. */
static const char *word_before(const char *text, const char *end) {
    while (end > text && !(end - text >= 2 && end[-1] == ' ' && end[-2] == ':'))
        end--;
    return end;
}

static void cut_end(char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    if (n >= m && strcmp(text + n - m, end) == 0)
        text[n - m] = 0;
}

/* In their order, each once. */
static void gate_add(struct kind_of_end *kind, const char *gate) {
    size_t at = 0;
    while (at < kind->n_gates && strcmp(kind->gates[at], gate) < 0)
        at++;
    if (kind->n_gates == GATES_MAX || (at < kind->n_gates && strcmp(kind->gates[at], gate) == 0))
        return;
    memmove(kind->gates[at + 1], kind->gates[at], (kind->n_gates - at) * sizeof(kind->gates[0]));
    snprintf(kind->gates[at], sizeof(kind->gates[0]), "%s", gate);
    kind->n_gates++;
}

/* "HEAD: WHO: GATE: no: reason": the head is the kind; which gate it was may differ from one to the next. */
static void part_add(struct kind_of_end *kind, const char *part) {
    const char *end = answer_in(part), *gate = end ? word_before(part, end) : NULL;
    char head[KIND_TEXT], name[GATE_TEXT];
    size_t used = strlen(kind->why);
    snprintf(head, sizeof(head), "%.*s", (int)(gate ? gate - part : (ptrdiff_t)strlen(part)), part);
    cut_end(head, "NODE: ");
    cut_end(head, "MEMBER: ");
    cut_end(head, ": ");
    if (head[0] && !strstr(kind->why, head))
        snprintf(kind->why + used, sizeof(kind->why) - used, "%s%s", used ? "; " : "", head);
    if (!gate)
        return;
    snprintf(name, sizeof(name), "%.*s", (int)(end - gate), gate);
    gate_add(kind, name);
}

static void kind_text(const struct rehearse *asked, const char *text, struct kind_of_end *kind) {
    char all[2048], *rest = all;
    without_names(asked, text, all, sizeof(all));
    for (char *part; (part = strsep(&rest, ";"));)
        part_add(kind, part + strspn(part, " "));
}

static void count(const struct rehearse *asked, struct ends *ends, uint64_t seed,
                  const struct rehearsal_result *r) {
    struct kind_of_end kind = {.seed = seed, .n = 1};
    snprintf(kind.end, sizeof(kind.end), "%s", rehearse_end_text(&r->rest));
    if (!r->rest.ended) {
        const char *text = strncmp(r->rest.text, "paused: ", 8) == 0 ? r->rest.text + 8 : r->rest.text;
        kind_text(asked, text, &kind);
        snprintf(kind.after, sizeof(kind.after), "%s", r->ended ? r->verdict : "");
    } else if (strcmp(r->rest.verdict, "done") != 0)
        kind_text(asked, r->rest.text, &kind);
    if (r->rest.after_us > ends->longest_us) {
        ends->longest_us = r->rest.after_us;
        ends->longest_seed = seed;
    }
    for (size_t i = 0; i < ends->n; i++)
        if (strcmp(ends->rows[i].end, kind.end) == 0 && strcmp(ends->rows[i].why, kind.why) == 0 &&
            strcmp(ends->rows[i].after, kind.after) == 0) {
            ends->rows[i].n++;
            for (size_t k = 0; k < kind.n_gates; k++)
                gate_add(&ends->rows[i], kind.gates[k]);
            return;
        }
    if (ends->n < ROWS_MAX)
        ends->rows[ends->n++] = kind;
    else
        ends->n_other++;
}

static int more_first(const void *a, const void *b) {
    const struct kind_of_end *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return x->seed < y->seed ? -1 : 1;
}

/* ---- what is shown ---- */

static void table_show(const struct ends *ends) {
    static const char *const titles[] = {">RUNS", ">SEED", "END", "AFTER RESUME", "WHY", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    for (size_t i = 0; i < ends->n; i++) {
        const struct kind_of_end *kind = &ends->rows[i];
        bool done = strcmp(kind->end, "done") == 0;
        _cleanup_(buffer_deinit) struct buffer why = {0};
        buffer_text(&why, kind->why);
        for (size_t k = 0; k < kind->n_gates; k++)
            buffer_format(&why, "%s%s%s", k ? ", " : " (", kind->gates[k], k + 1 == kind->n_gates ? ")" : "");
        _cleanup_(freep) char *clean = text_clean(why.data ? (const char *)why.data : "?", false);
        table_format(&table, COLOUR_NONE, "%llu", (unsigned long long)kind->n);
        table_format(&table, COLOUR_NONE, "%llu", (unsigned long long)kind->seed);
        table_cell(&table, kind->end, done ? COLOUR_GOOD : COLOUR_WARN);
        table_cell(&table, kind->after, COLOUR_NONE);
        table_cell(&table, clean ? clean : "?", COLOUR_NONE);
    }
    table_print(&table, stdout);
    if (ends->n_other > 0)
        printf("%llu runs ended in yet other ways\n", (unsigned long long)ends->n_other);
}

static void show(const struct rehearse *asked, const struct ends *ends) {
    rehearse_head(asked);
    _cleanup_(buffer_deinit) struct buffer faults = {0};
    for (unsigned f = 0; f < FAULTS; f++)
        if (asked->random & 1ull << f)
            buffer_format(&faults, "%s%s", faults.len ? " " : "", fault_text((enum fault)f));
    static const char title[] = "random faults, of which each seed draws some: ";
    fputs(title, stdout);
    rehearse_text_print(faults.data ? (const char *)faults.data : "none", strlen(title), COLOUR_NONE);
    putchar('\n');
    table_show(ends);
    printf("\n%llu runs; calm it takes %s, the longest (seed %llu) came to rest after %s\n",
           (unsigned long long)ends->n_seeds, text_duration((int64_t)asked->whole_us / 1000).s,
           (unsigned long long)ends->longest_seed, text_duration((int64_t)ends->longest_us / 1000).s);
    for (size_t i = 0; i < ends->n_broken && i < BROKEN_MAX; i++)
        printf("%sBROKEN by seed %llu: %s%s\n", colour_on(COLOUR_BAD),
               (unsigned long long)ends->broken[i].seed, ends->broken[i].what, colour_off());
    if (ends->n_broken > 0)
        printf("%llu of %llu runs broke what must always hold (docs/map.md). This is a bug of Kedge or of "
               "its model: "
               "do not apply this plan, and report the seed\n",
               (unsigned long long)ends->n_broken, (unsigned long long)ends->n_seeds);
    else
        printf("what must always hold (docs/map.md) held in all of them; one of them: kedge rehearse %s "
               "--seed N\n",
               asked->path);
}

static int show_json(const struct rehearse *asked, const struct ends *ends) {
    _cleanup_(json_freep) json_t *json = rehearse_head_json(asked);
    json_t *rows = json_array(), *broken = json_array(), *random = json_array();
    for (size_t i = 0; i < ends->n; i++) {
        const struct kind_of_end *kind = &ends->rows[i];
        json_t *gates = json_array();
        for (size_t k = 0; k < kind->n_gates; k++)
            json_array_append_new(gates, json_string(kind->gates[k]));
        json_array_append_new(rows, json_pack("{s:s, s:s, s:o, s:s, s:I, s:I}", "result", kind->end, "why",
                                              kind->why, "gates", gates, "after_resume", kind->after, "runs",
                                              (json_int_t)kind->n, "seed", (json_int_t)kind->seed));
    }
    for (size_t i = 0; i < ends->n_broken && i < BROKEN_MAX; i++)
        json_array_append_new(broken, json_pack("{s:I, s:s}", "seed", (json_int_t)ends->broken[i].seed,
                                                "what", ends->broken[i].what));
    for (unsigned f = 0; f < FAULTS; f++)
        if (asked->random & 1ull << f)
            json_array_append_new(random, json_string(fault_text((enum fault)f)));
    json_object_set_new(json, "random", random);
    json_object_set_new(json, "runs", json_integer((json_int_t)ends->n_seeds));
    json_object_set_new(json, "calm_ms", json_integer((json_int_t)asked->whole_us / 1000));
    json_object_set_new(json, "ends", rows);
    json_object_set_new(json, "n_broken", json_integer((json_int_t)ends->n_broken));
    json_object_set_new(json, "broken", broken);
    return json_print(json);
}

int rehearse_many(struct cli *cli, struct rehearse *asked, rehearse_run_fn *run) {
    struct ends *ends = arena_alloc(cli->arena, sizeof(*ends));
    if (!ends)
        return error_set(cli->err, -ENOMEM, "out of memory");
    *ends = (struct ends){.n_seeds = asked->n_seeds};
    for (uint64_t seed = 1; seed <= asked->n_seeds; seed++) {
        struct rehearsed done;
        int r = run(cli, asked, seed, &done);
        if (r < 0)
            return r;
        count(asked, ends, seed, &done.result);
        if (done.result.failed && ends->n_broken++ < BROKEN_MAX) {
            ends->broken[ends->n_broken - 1].seed = seed;
            snprintf(ends->broken[ends->n_broken - 1].what, sizeof(ends->broken[0].what), "%s",
                     done.result.what);
        }
    }
    qsort(ends->rows, ends->n, sizeof(ends->rows[0]), more_first);
    int r = EXIT_DONE;
    if (cli->json)
        r = show_json(asked, ends);
    else
        show(asked, ends);
    return ends->n_broken > 0 ? EXIT_FAILED : r;
}
