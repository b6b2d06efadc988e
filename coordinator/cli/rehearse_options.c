/* The options of `kedge rehearse`. A member's name has an "@" in it, as the word for a time does ("crash:store@n3@10m"), so a
 * name is tried before a time: what names a member of the plan is that member. */
#include "coordinator/cli/rehearse.h"

#include <string.h>

enum { MS_US = 1000 };
static const uint64_t span_max_ms = 30ull * 24 * 3600 * 1000;

/* "500ms", "90s", "30m", "2h" */
static bool span_parse(const char *text, uint64_t *out_us) {
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
    char *end = NULL;
    errno = 0;
    unsigned long n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    for (size_t i = 0; end && errno == 0 && n <= span_max_ms && i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0 && n * units[i].ms <= span_max_ms) {
            *out_us = n * units[i].ms * MS_US;
            return true;
        }
    return false;
}

static int span_option(struct cli *cli, const char *option, uint64_t otherwise_us, uint64_t *out_us) {
    const char *text = cli_option(cli, option);
    *out_us = otherwise_us;
    if (!text || (span_parse(text, out_us) && *out_us > 0))
        return 0;
    return error_set(cli->err, -EINVAL, "--%s %s: expected 500ms, 90s, 30m or 2h", option, text);
}

static int number_option(struct cli *cli, const char *option, uint64_t most, uint64_t *outp) {
    const char *text = cli_option(cli, option);
    char *end = NULL;
    errno = 0;
    unsigned long long n = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (n == 0 || errno || *end || n > most)
        return error_set(cli->err, -EINVAL, "--%s %s: expected a number from 1 to %llu", option,
                         text ? text : "", (unsigned long long)most);
    *outp = n;
    return 0;
}

/* ---- members and moments ---- */

/* By its name, with or without the cluster, or by its node when it is alone there. */
static const char *member_find(const struct verified_plan *plan, const char *text, size_t n) {
    const char *by_node = NULL;
    size_t cluster = strlen(plan->header.cluster), n_on_node = 0;
    for (size_t i = 0; i < plan->n_orders; i++) {
        const struct work_order *order = plan->orders[i];
        const char *name = order->member;
        const char *plain = strncmp(name, plan->header.cluster, cluster) == 0 && name[cluster] == '/'
                                ? name + cluster + 1
                                : name;
        if ((strlen(name) == n && strncmp(name, text, n) == 0) ||
            (strlen(plain) == n && strncmp(plain, text, n) == 0))
            return name;
        if (strlen(order->node) == n && strncmp(order->node, text, n) == 0) {
            by_node = name;
            n_on_node++;
        }
    }
    return n_on_node == 1 ? by_node : NULL;
}

static int unknown_member(struct cli *cli, const struct verified_plan *plan, const char *spec,
                          const char *text) {
    struct buffer list = {0};
    for (size_t i = 0; i < plan->n_orders && i < 8; i++)
        buffer_format(&list, "%s%s", i ? ", " : "", plan->orders[i]->member);
    int r = error_set(cli->err, -EINVAL, "%s: the plan has no member \"%s\"; it has %s%s", spec, text,
                      list.data ? (const char *)list.data : "", plan->n_orders > 8 ? ", ..." : "");
    buffer_deinit(&list);
    return r;
}

/* "10m", "promote", "promote:store@n3" */
static int moment_parse(struct cli *cli, const struct verified_plan *plan, const char *spec, const char *text,
                        struct staged *item) {
    static const char *const moments[] = {"prepare", "switch", "promote", "return", "soak",
                                          "stop",    "start",  "pause",   "end"};
    size_t n = strcspn(text, ":");
    item->moment = NULL;
    for (size_t i = 0; i < ARRAY_LEN(moments); i++)
        if (strlen(moments[i]) == n && strncmp(moments[i], text, n) == 0)
            item->moment = moments[i];
    if (item->moment && text[n] == ':') {
        item->moment_member = member_find(plan, text + n + 1, strlen(text + n + 1));
        return item->moment_member ? 0 : unknown_member(cli, plan, spec, text + n + 1);
    }
    if (item->moment || span_parse(text, &item->at_us))
        return 0;
    return error_set(
        cli->err, -EINVAL,
        "%s: \"%s\" is no time; expected 90s, 30m, 2h after the start, or prepare, switch, promote, "
        "return, stop, start, soak, each also as switch:MEMBER, or pause, end",
        spec, text);
}

/* What stands behind the name: "", ":MEMBER", "@WHEN" or ":MEMBER@WHEN". */
static int rest_parse(struct cli *cli, const struct verified_plan *plan, const char *spec, const char *rest,
                      struct staged *item) {
    const char *when = *rest == '@' ? rest : NULL;
    if (*rest == ':') {
        const char *text = rest + 1;
        item->member = member_find(plan, text, strlen(text));
        for (const char *at = text + strlen(text); !item->member && at > text; at--)
            if (*at == '@' && (item->member = member_find(plan, text, (size_t)(at - text))))
                when = at;
        if (!item->member)
            return unknown_member(cli, plan, spec, text);
    }
    return when ? moment_parse(cli, plan, spec, when + 1, item) : 0;
}

static bool is_named(const char *spec, const char *name, const char **rest) {
    size_t n = strlen(name);
    *rest = spec + n;
    return strncmp(spec, name, n) == 0 && (spec[n] == 0 || spec[n] == ':' || spec[n] == '@');
}

static int fault_parse(struct cli *cli, const struct rehearse *asked, const char *spec, struct staged *item) {
    for (unsigned kind = 0; kind < STAGED_KINDS; kind++) {
        const struct staged_fault *fault = staged_fault_of((enum staged_kind)kind);
        const char *rest;
        if (!fault || !is_named(spec, fault->name, &rest))
            continue;
        *item = (struct staged){
            .kind = (enum staged_kind)kind, .says = spec, .moment = fault->when, .lasts_us = asked->lasts_us};
        return rest_parse(cli, asked->plan, spec, rest, item);
    }
    return error_set(cli->err, -EINVAL,
                     "--fault %s: there is no such fault; kedge rehearse --fault list names all", spec);
}

static int word_parse(struct cli *cli, const struct rehearse *asked, const char *spec, struct staged *item) {
    static const struct {
        const char *name;
        enum run_event word;
        bool member;
    } words[] = {{"pause", RUN_EVENT_PAUSE, false},  {"resume", RUN_EVENT_RESUME, false},
                 {"abort", RUN_EVENT_ABORT, false},  {"rollback", RUN_EVENT_ROLLBACK, false},
                 {"retry", RUN_EVENT_RETRY, true},   {"skip", RUN_EVENT_SKIP, true},
                 {"retire", RUN_EVENT_RETIRE, true}, {"promote", RUN_EVENT_PROMOTE, true}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *rest;
        if (!is_named(spec, words[i].name, &rest))
            continue;
        *item =
            (struct staged){.kind = STAGED_WORD, .says = spec, .word = words[i].word, .at_us = UINT64_MAX};
        int r = rest_parse(cli, asked->plan, spec, rest, item);
        if (r == 0 && words[i].member && !item->member)
            r = error_set(cli->err, -EINVAL, "--at %s: about which member? %s:MEMBER@TIME", spec,
                          words[i].name);
        if (r == 0 && !words[i].member && item->member)
            r = error_set(cli->err, -EINVAL, "--at %s: %s is about the whole run", spec, words[i].name);
        if (r == 0 && !item->moment && item->at_us == UINT64_MAX)
            r = error_set(cli->err, -EINVAL, "--at %s: when? %s@TIME or %s@switch", spec, words[i].name,
                          words[i].name);
        return r;
    }
    return error_set(
        cli->err, -EINVAL,
        "--at %s: expected pause, resume, abort, rollback, or retry, skip, retire, promote with a "
        ":MEMBER, then @TIME or a moment",
        spec);
}

static int items_parse(struct cli *cli, struct rehearse *asked) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < cli->n_options; i++) {
        bool fault = strcmp(cli->options[i].name, "fault") == 0;
        if (!fault && strcmp(cli->options[i].name, "at") != 0)
            continue;
        if (asked->n_items == STAGED_MAX)
            return error_set(cli->err, -EINVAL, "at most %d of --fault and --at", STAGED_MAX);
        struct staged *item = &asked->items[asked->n_items++];
        r = (fault ? fault_parse : word_parse)(cli, asked, cli->options[i].value, item);
    }
    return r;
}

/* ---- random faults ---- */

static int random_bit(struct cli *cli, const char *option, const char *name, uint64_t *bits) {
    for (unsigned f = 0; f < FAULTS; f++)
        if (REHEARSAL_ALONE & 1ull << f && strcmp(fault_text((enum fault)f), name) == 0) {
            *bits |= 1ull << f;
            return 0;
        }
    return error_set(cli->err, -EINVAL,
                     "--%s %s: there is no such random fault; kedge rehearse --fault list names all", option,
                     name);
}

/* Without a word about it, all but people: what they press at random says little about a plan. */
static int random_parse(struct cli *cli, struct rehearse *asked) {
    uint64_t with = 0, without = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < cli->n_options; i++) {
        const char *name = cli->options[i].name;
        if (strcmp(name, "random") == 0)
            r = random_bit(cli, name, cli->options[i].value, &with);
        else if (strcmp(name, "without") == 0)
            r = random_bit(cli, name, cli->options[i].value, &without);
    }
    asked->random = (with ? with : REHEARSAL_NATURE) & ~without;
    return r;
}

/* Whom the plan waits for is assumed to come; "never": he does not. */
static int approval_parse(struct cli *cli, struct rehearse *asked) {
    const char *text = cli_option(cli, "approve-after");
    if (text && !rehearse_wants_approval(asked->plan))
        return error_set(cli->err, -EINVAL,
                         "--approve-after %s: this plan waits for no word after its canary", text);
    if (text && strcmp(text, "never") == 0) {
        asked->approve_us = UINT64_MAX;
        return 0;
    }
    return span_option(cli, "approve-after", 10ull * 60 * 1000 * MS_US, &asked->approve_us);
}

int rehearse_options(struct cli *cli, struct rehearse *asked) {
    enum { SEEDS_MAX = 1000000 };
    asked->many = cli_option(cli, "seeds") != NULL;
    asked->one = cli_option(cli, "seed") != NULL;
    int r = span_option(cli, "prepare-time", 10ull * 1000 * MS_US, &asked->pace.prepare_us);
    if (r == 0)
        r = span_option(cli, "stop-time", 1000ull * MS_US, &asked->pace.stop_us);
    if (r == 0)
        r = span_option(cli, "start-time", 5ull * 1000 * MS_US, &asked->pace.start_us);
    if (r == 0)
        r = span_option(cli, "heal-time", 2ull * 1000 * MS_US, &asked->pace.heal_us);
    if (r == 0)
        r = span_option(cli, "lasts", 60ull * 1000 * MS_US, &asked->lasts_us);
    if (r == 0)
        r = approval_parse(cli, asked);
    if (r == 0 && asked->many && asked->one)
        r = error_set(cli->err, -EINVAL, "--seeds runs many, --seed shows one: not both");
    if (r == 0 && asked->many && cli_flag(cli, "transcript"))
        r = error_set(cli->err, -EINVAL, "--transcript shows one rehearsal: use it with --seed N");
    if (r == 0 && cli->json && cli_flag(cli, "transcript"))
        r = error_set(cli->err, -EINVAL, "--transcript is text: not with --json");
    if (r == 0 && asked->many)
        r = number_option(cli, "seeds", SEEDS_MAX, &asked->n_seeds);
    if (r == 0 && asked->one)
        r = number_option(cli, "seed", UINT64_MAX, &asked->seed);
    if (r == 0)
        r = random_parse(cli, asked);
    return r == 0 ? items_parse(cli, asked) : r;
}

/* ---- the list ---- */

int rehearse_list(struct cli *cli) {
    _cleanup_(json_freep) json_t *json = json_object();
    json_t *chosen = json_array(), *random = json_array();
    if (!cli->json)
        printf("--fault NAME[:MEMBER][@WHEN], which strikes once, for --lasts; without @WHEN at:\n");
    for (unsigned kind = 0; kind < STAGED_KINDS; kind++) {
        const struct staged_fault *fault = staged_fault_of((enum staged_kind)kind);
        if (!fault)
            continue;
        json_array_append_new(chosen, json_pack("{s:s, s:s, s:s}", "name", fault->name, "says", fault->says,
                                                "when", fault->when));
        if (!cli->json)
            printf("  %-17s %-8s %s\n", fault->name, fault->when, fault->says);
    }
    if (!cli->json)
        printf("\n--random NAME, --without NAME, of which --seeds and --seed draw some:\n ");
    for (unsigned f = 0; f < FAULTS; f++) {
        if (!(REHEARSAL_ALONE & 1ull << f))
            continue;
        json_array_append_new(random, json_string(fault_text((enum fault)f)));
        if (!cli->json)
            printf(" %s", fault_text((enum fault)f));
    }
    json_object_set_new(json, "faults", chosen);
    json_object_set_new(json, "random", random);
    if (cli->json)
        return json_print(json);
    printf("\n");
    return EXIT_DONE;
}
