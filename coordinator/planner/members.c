/* Why a member that is down or without a mode is planned first instead of being refused: the plan may be the very thing
 * that repairs it (F13). Whose will it was that it is down or read-only cannot be judged here, so that needs a consent by
 * the member's name; read-only stays read-only, unless it was Kedge that left it so. */
#include "coordinator/planner/planning.h"

#include <string.h>

static bool is_yes(const struct member_plan *m, const char *fact) {
    return strcmp(fact_of(m, fact), "yes") == 0;
}

/* ---- the scope of facts ---- */

static const char *executable_tail(const struct member_plan *m) {
    const char *executable = fact_of(m, "executable"), *folder = fact_of(m, "release.folder");
    size_t len = strlen(folder);
    return len > 0 && strncmp(executable, folder, len) == 0 && executable[len] == '/' ? executable + len
                                                                                      : NULL;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* argument.N as they are, argument.after.WORD for the first of each word that looks like an option. */
static size_t arguments_add(struct planning *p, const struct member_plan *m, struct fact *names, size_t n) {
    size_t first = n;
    for (size_t i = 0; i < m->in->n_facts; i++) {
        const struct fact *fact = &m->in->facts[i];
        if (strncmp(fact->name, "config.", 7) == 0 || strncmp(fact->name, "helper.", 7) == 0)
            names[n++] = *fact;
        if (strncmp(fact->name, "argument.", 9) != 0)
            continue;
        names[n++] = *fact;
        unsigned long number = strtoul(fact->name + 9, NULL, 10);
        const char *before = number > 0 ? fact_of(m, keep_format(p, "argument.%lu", number - 1)) : "";
        const char *name = *before == '-' ? keep_format(p, "argument.after.%s", before) : NULL;
        if (name && !fact_get(names + first, n - first, name))
            names[n++] = (struct fact){name, fact->value};
    }
    return n;
}

static void facts_scope_make(struct planning *p, struct member_plan *m) {
    enum { FIXED = 12 };
    struct fact *names = keep(p, FIXED + 2 * m->in->n_facts, sizeof(*names));
    const char *path = fact_of(m, "member.path"), *config = fact_of(m, "config.path"),
               *tail = executable_tail(m);
    size_t n = 0;
    if (!names)
        return;
    names[n++] = (struct fact){"executable", fact_of(m, "executable")};
    names[n++] = (struct fact){"directory", fact_of(m, "directory")};
    names[n++] = (struct fact){"member.path", path};
    names[n++] = (struct fact){"config", config};
    names[n++] = (struct fact){"next.config", keep_format(p, "%s/current/conf/%s", path, base_name(config))};
    names[n++] = (struct fact){"release", p->release_as_found ? fact_of(m, "release.folder")
                                                              : keep_format(p, "%s/current/release", path)};
    names[n++] = (struct fact){"from-version", m->from_version};
    names[n++] = (struct fact){"to-version", p->to_version};
    names[n++] = (struct fact){"mode", fact_of(m, "mode")};
    names[n++] = (struct fact){"origin", fact_of(m, "origin")};
    if (tail)
        names[n++] = (struct fact){"executable.tail", tail};
    m->facts = (struct scope){names, arguments_add(p, m, names, n), &m->own};
}

/* ---- mode ---- */

static enum mode mode_of(const char *text) {
    for (int i = 0; i < MODES; i++)
        if (strcmp(text, mode_text((enum mode)i)) == 0)
            return (enum mode)i;
    return MODE_UNKNOWN;
}

static bool starts_read_only(const struct member_plan *m) {
    const struct recipe_role *role = m->member->role;
    for (size_t i = 0; i < m->in->n_facts; i++)
        if (role->n_read_only > 0 && strncmp(m->in->facts[i].name, "argument.", 9) == 0 &&
            strcmp(m->in->facts[i].value, role->read_only[0]) == 0)
            return true;
    return false;
}

static void consent(struct planning *p, const struct member_plan *m, const char *what, const char *says) {
    warn(p, what, m->member->name, "%s %s", m->member->name, says);
}

static void broken_look(struct planning *p, struct member_plan *m) {
    const char *origin = fact_of(m, "origin");
    m->part = PART_BROKEN;
    m->end_mode = starts_read_only(m) ? MODE_READ_ONLY : MODE_READ_WRITE;
    if (m->is_down)
        consent(p, m, "down",
                keep_format(p, "is down (by %s); the plan changes it first and starts it %s",
                            *origin ? origin : "unknown", mode_text(m->end_mode)));
    else
        consent(p, m, "broken",
                keep_format(
                    p,
                    "runs but does not say what it does for its clients; the plan changes it first, without "
                    "a proof from before, and expects it %s",
                    mode_text(m->end_mode)));
}

static void read_only_look(struct planning *p, struct member_plan *m) {
    const char *origin = fact_of(m, "origin");
    bool ours = strcmp(origin, origin_text(ORIGIN_KEDGE)) == 0;
    m->part = ours ? PART_LEFT : PART_ROLLING;
    m->end_mode = ours ? MODE_READ_WRITE : MODE_READ_ONLY;
    if (ours)
        consent(p, m, "becomes-read-write",
                "was left read-only by an earlier run; the plan makes it read-write");
    else if (m->member->role->n_read_only > 0)
        consent(p, m, "stays-read-only",
                keep_format(p,
                            "is read-only (by %s), which is not Kedge's doing; it is upgraded and stays so",
                            *origin ? origin : "unknown"));
    else
        refuse(p, "read-only-cannot-stay",
               "%s is read-only, and the recipe knows no way to start it so again: make it read-write first",
               m->member->name);
}

static void mode_look(struct planning *p, struct member_plan *m) {
    m->mode = mode_of(fact_of(m, "mode"));
    m->is_down = !is_yes(m, "found") || m->mode == MODE_DOWN; /* an agent remembers what it found */
    if (m->is_down || m->mode == MODE_UNKNOWN || m->mode == MODE_DOWN) {
        broken_look(p, m);
    } else if (m->mode == MODE_READ_ONLY) {
        read_only_look(p, m);
    } else {
        m->part = PART_ROLLING;
        m->end_mode = MODE_READ_WRITE;
    }
}

/* ---- what speaks against it ---- */

static bool has_all_facts(struct planning *p, struct member_plan *m) {
    static const char *const needed[] = {"executable",      "directory",   "arguments",    "release.folder",
                                         "release.version", "member.path", "releases.path"};
    const char *missing = NULL;
    for (size_t i = 0; i < ARRAY_LEN(needed) && !missing; i++)
        missing = *fact_of(m, needed[i]) ? NULL : needed[i];
    if (!missing && m->member->role->config_after && !*fact_of(m, "config.path"))
        missing = "config.path";
    if (missing)
        refuse(p, "facts-missing", "%s: its agent does not know %s%s", m->member->name, missing,
               is_yes(m, "found")
                   ? ": the process is not as the recipe describes it"
                   : " of a member that is down: start it once by hand, so that it can be adopted");
    return !missing;
}

static void state_judge(struct planning *p, struct member_plan *m) {
    if (!is_yes(m, "adopted") && !is_yes(m, "managed"))
        refuse(p, "not-adopted", "%s is not adopted: kedge cluster adopt %s", m->member->name,
               p->input->cluster->name);
    if (*fact_of(m, "data.inside"))
        refuse(p, "data-in-release",
               "%s writes into %s, which lies inside the release folder %s: move its data out first",
               m->member->name, fact_of(m, "data.inside"), fact_of(m, "release.folder"));
    if (!m->is_down && !is_yes(m, "socket"))
        refuse(p, "port-not-owned",
               "%s: port %u on node %s is not listened on by the member's process (pid %s)", m->member->name,
               m->member->port, m->member->node, *fact_of(m, "pid") ? fact_of(m, "pid") : "unknown");
    if (m->in->in_change)
        warn(p, "in-change", m->member->name,
             "%s is in change (%s): what was found now may not be what runs when this plan begins",
             m->member->name, m->in->in_change);
    if (m->in->preview.problem && *m->in->preview.problem)
        refuse(p, "configuration", "%s: configuration: %s", m->member->name, m->in->preview.problem);
    node_findings(p, m);
}

/* The roster is in the order of the members: the search goes on where the last one ended. */
static const struct roster_entry *roster_find(struct planning *p, const char *node) {
    const struct charter *charter = p->input->charter;
    for (size_t k = 0; k < charter->n_roster; k++) {
        size_t i = (p->roster_at + k) % charter->n_roster;
        if (strcmp(charter->roster[i].node, node) == 0) {
            p->roster_at = i;
            return &charter->roster[i];
        }
    }
    return NULL;
}

static void warnings_look(struct planning *p, const struct member_plan *m, const struct recipe_warning *list,
                          size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *says;
        struct error why = {{0}};
        if (!when_holds(&list[i].when, &m->facts))
            continue;
        int r = template_fill(p->arena, list[i].says, TEMPLATE_TEXT, &m->facts, &says, &why);
        if (r < 0)
            refuse(p, "value-missing", "%s: warning %s: %s", m->member->name, list[i].name, why.text);
        else if (list[i].refuses)
            refuse(p, list[i].name, "%s", says);
        else
            warn(p, list[i].name, "", "%s", says);
    }
}

static void version_look(struct planning *p, struct member_plan *m) {
    int r = version_path_find(p->recipe, m->from_version, p->to_version, &m->facts, p->arena, &m->path);
    if (r == -ENOMEM)
        (void)fail(p, r);
    if (r == VERSION_NO_PATH)
        refuse(p, "no-version-rule",
               "%s -> %s: the recipe has no rule for this pair of versions, and none that lead there",
               m->from_version, p->to_version);
    for (size_t i = 0; r == 0 && m->path.n_rows == 1 && i < 1; i++)
        warnings_look(p, m, m->path.rows[i]->warnings, m->path.rows[i]->n_warnings);
}

/* On the target version already, but down, or not serving, or an earlier run (superseded, aborted) ended before it was
 * promoted: left out it would stay so, and be in the way of all others. */
static bool has_work_left(const struct member_plan *m) {
    enum mode mode = mode_of(fact_of(m, "mode"));
    return !is_yes(m, "found") || mode == MODE_DOWN || mode == MODE_UNKNOWN ||
           (mode == MODE_READ_ONLY && strcmp(fact_of(m, "origin"), origin_text(ORIGIN_KEDGE)) == 0);
}

static void member_look(struct planning *p, struct member_plan *m) {
    if (m->in->n_facts == 0) {
        refuse(p, "agent-silent", "%s: nothing is known about it: %s", m->member->name,
               m->in->problem && *m->in->problem ? m->in->problem : "its agent did not answer");
        return;
    }
    m->node = roster_find(p, m->member->node);
    if (!m->node)
        refuse(p, "node-not-in-charter", "%s: node %s is not in the charter", m->member->name,
               m->member->node);
    m->from_version = fact_of(m, "release.version");
    if (!has_all_facts(p, m) || !m->node)
        return;
    if (strcmp(m->from_version, p->to_version) == 0 && !p->release_as_found && !has_work_left(m)) {
        m->part = PART_DONE;
        m->mode = mode_of(fact_of(m, "mode"));
        note(p, "%s already runs %s and is left out", m->member->name, p->to_version);
        return;
    }
    const char *left_out = finalize_leaves_out(p, m);
    if (left_out) {
        m->part = PART_DONE;
        m->mode = mode_of(fact_of(m, "mode"));
        note(p, "%s", left_out);
        return;
    }
    facts_scope_make(p, m);
    mode_look(p, m);
    finalize_look(p, m);
    state_judge(p, m);
    version_look(p, m);
    warnings_look(p, m, p->recipe->warnings, p->recipe->n_warnings);
    const struct recipe_gate *last = m->member->role->last;
    const struct planner_answer *answer =
        last ? answer_find(m->in->answers, m->in->n_answers, last->name) : NULL;
    m->goes_last = answer && answer->answer == ANSWER_YES;
}

/* All known members run the target version: there is nothing to stage, only configuration and mode. */
static bool all_on_target(const struct planning *p) {
    for (size_t i = 0; i < p->n_members; i++)
        if (strcmp(fact_of(&p->members[i], "release.version"), p->to_version) != 0)
            return false;
    return true;
}

void members_look(struct planning *p) {
    const struct planner_input *input = p->input;
    const struct cluster_file *cluster = input->cluster;
    if (input->n_members != cluster->n_members || input->charter->n_members != cluster->n_members) {
        refuse(p, "charter-is-old",
               "the charter has %zu members, the cluster file %zu: sign a new charter (kedge cluster add)",
               input->charter->n_members, cluster->n_members);
        return;
    }
    p->members = keep(p, cluster->n_members, sizeof(*p->members));
    if (!p->members)
        return;
    p->n_members = cluster->n_members;
    for (size_t i = 0; i < p->n_members; i++) {
        struct member_plan *m = &p->members[i];
        m->in = &input->members[i];
        m->member = &cluster->members[i];
        m->chartered = &input->charter->members[i];
        if (strcmp(m->chartered->name, m->member->full_name) != 0)
            refuse(p, "charter-is-old",
                   "the charter names %s where the cluster file names %s: sign a new charter (kedge cluster "
                   "add)",
                   m->chartered->name, m->member->full_name);
        struct error why = {{0}};
        if (member_scope_make(p->arena, m->member, &p->scope, &m->own, &why) < 0)
            (void)fail(p, -ENOMEM);
    }
    p->release_as_found = all_on_target(p);
    for (size_t i = 0; i < p->n_members && !p->failed; i++)
        member_look(p, &p->members[i]);
}
