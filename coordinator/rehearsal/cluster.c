/* What the cluster holds, and what is lost with a member: three systems, of which a seed takes one.
 *
 *   ledgers     Entries on ensembles. A member that was away has missed writes; it catches up after its loss was noticed. While
 *               the side action is not in force, an auditor copies what it held to another member instead.
 *   partitions  The same in memory: what ends is gone, the table gives its parts to another member at once, and some of them
 *               back when it joins.
 *   quorum      One log on an odd number of members; without a majority of them nothing is written any more.
 *
 * The cluster does not know at once what it has lost: for up to the gates' detection time it believes in what is gone, and
 * its gates, which answer from that belief, are hollow. What is truly there is known here only, and to the oracle: it blames
 * Kedge when the last copy goes with a stop of Kedge's, and the others went with earlier ones of its stops. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

/* ---- beginning ---- */

static bool same_domain(const struct world *w, uint32_t a, uint32_t b) {
    const char *domain = w->members[a].order->domain;
    return domain[0] && strcmp(domain, w->members[b].order->domain) == 0;
}

static bool holds(const struct entry *entry, uint32_t member) {
    for (size_t i = 0; i < entry->n; i++)
        if (entry->replicas[i].member == member)
            return true;
    return false;
}

/* Replicas lie in different domains where there are enough of them, as a placement that knows racks would do it. */
static bool shares_domain(const struct world *w, const struct entry *entry, uint32_t member) {
    for (size_t i = 0; i < entry->n; i++)
        if (same_domain(w, member, entry->replicas[i].member))
            return true;
    return false;
}

static void entry_place(struct world *w, const struct cluster *c, struct entry *entry, uint32_t replicas) {
    for (unsigned tries = 0; entry->n < replicas && tries < 200; tries++) {
        uint32_t member = c->first + (uint32_t)(world_random(w, FAULTS) % c->n_members);
        if (!holds(entry, member) && (tries >= 150 || !shares_domain(w, entry, member)))
            entry->replicas[entry->n++] =
                (struct replica){.member = member, .synced = true, .believed = true};
    }
    entry->need = c->system == SYSTEM_QUORUM ? entry->n / 2 + 1 : 1;
}

static uint32_t wave_limit_most(const struct cluster *c) {
    uint32_t most = 1;
    for (size_t i = 0; i < c->plans[0]->shape.n_waves; i++)
        if (c->plans[0]->shape.waves[i].limit_count > most)
            most = c->plans[0]->shape.waves[i].limit_count;
    return most;
}

void cluster_init(struct world *w, struct cluster *c) {
    uint32_t limit = wave_limit_most(c), replicas = limit + 1, detection_ms = 0;
    c->system = (enum model_system)(world_random(w, FAULTS) % 3);
    if (w->config->elects || (c->system == SYSTEM_QUORUM && c->n_members < 2 * limit + 1))
        c->system = SYSTEM_LEDGERS;
    c->n_entries = c->system == SYSTEM_QUORUM ? 1 : ENTRIES;
    if (c->system == SYSTEM_QUORUM)
        replicas = 2 * limit + 1;
    replicas = replicas < REPLICAS_MAX ? replicas : REPLICAS_MAX;
    replicas = replicas < c->n_members ? replicas : c->n_members;
    for (size_t i = 0; i < c->n_entries; i++)
        entry_place(w, c, &c->entries[i], replicas);
    for (size_t i = 0; i < c->plans[0]->n_gates; i++)
        if (c->plans[0]->gates[i].detection_ms > detection_ms)
            detection_ms = c->plans[0]->gates[i].detection_ms;
    c->detection_us = (uint64_t)detection_ms * MS;
    cluster_look(w, c);
}

/* ---- what is so, and what is believed ---- */

static bool serves(const struct world *w, const struct replica *replica) {
    const struct service *service = &w->members[replica->member].service;
    return replica->synced && service->running && service->ready && !service->stopping;
}

static bool is_of(const struct herd *herd, uint32_t member) {
    for (size_t i = 0; herd && i < herd->n; i++)
        if (herd->members[i] == member)
            return true;
    return false;
}

/* True when its stop, with that of the herd, would take nothing away that is still there. With a cluster of one there is
 * nothing to ask. */
bool cluster_may_stop(const struct member *m, const struct herd *herd) {
    const struct cluster *c = m->cluster;
    for (size_t e = 0; e < c->n_entries && c->n_members > 1; e++) {
        const struct entry *entry = &c->entries[e];
        size_t others = 0, going = 0;
        bool mine = false;
        for (size_t i = 0; i < entry->n; i++) {
            const struct replica *r = &entry->replicas[i];
            mine = mine || (r->member == m->index && r->believed);
            if (r->member == m->index || is_of(herd, r->member))
                going += r->believed;
            else
                others += r->believed;
        }
        if (mine && others < entry->need && others + going >= entry->need)
            return false;
    }
    return true;
}

bool cluster_has_recovered(const struct world *w, const struct cluster *c) {
    for (size_t e = 0; e < c->n_entries; e++)
        for (size_t i = 0; i < c->entries[e].n; i++)
            if (!c->entries[e].replicas[i].believed &&
                w->members[c->entries[e].replicas[i].member].machine.record.state != MACHINE_HELD)
                return false;
    return true;
}

void cluster_look(struct world *w, const struct cluster *c) {
    for (uint32_t i = 0; i < c->n_members; i++) {
        struct member *m = &w->members[c->first + i];
        bool safe = cluster_may_stop(m, NULL);
        if (safe)
            m->unsafe_since_us = 0;
        else if (m->unsafe_since_us == 0)
            m->unsafe_since_us = w->now_us;
    }
}

/* ---- blame ---- */

/* Of the entry, without the member: what serves, what was taken by Kedge, what is gone for another reason. */
static void count(const struct world *w, const struct entry *entry, uint32_t member, size_t *serving,
                  size_t *taken, size_t *others) {
    *serving = *taken = *others = 0;
    for (size_t i = 0; i < entry->n; i++) {
        const struct replica *r = &entry->replicas[i];
        if (r->member == member)
            continue;
        bool by_kedge = (r->by_kedge || (w->members[r->member].service.stopping && r->synced)) &&
                        w->members[r->member].lies_until_us == 0;
        if (serves(w, r))
            ++*serving;
        else if (by_kedge)
            ++*taken;
        else
            ++*others;
    }
}

bool cluster_loses(const struct world *w, const struct member *m, const char **otherp) {
    const struct cluster *c = m->cluster;
    for (size_t e = 0; e < c->n_entries; e++) {
        const struct entry *entry = &c->entries[e];
        size_t serving, taken, others;
        bool mine = false;
        for (size_t i = 0; i < entry->n; i++)
            mine = mine || (entry->replicas[i].member == m->index && entry->replicas[i].synced &&
                            m->service.running && m->service.ready);
        count(w, entry, m->index, &serving, &taken, &others);
        if (!mine || serving + 1 != entry->need || taken == 0 || others > 0)
            continue;
        for (size_t i = 0; i < entry->n; i++)
            if (entry->replicas[i].member != m->index && !serves(w, &entry->replicas[i]))
                *otherp = w->members[entry->replicas[i].member].order->member;
        return true;
    }
    return false;
}

const char *cluster_what(const struct cluster *c) {
    static const char *const texts[] = {"a ledger", "a partition", "the quorum"};
    return texts[c->system];
}

/* ---- what happens to it ---- */

/* Its service has ended. */
void cluster_lost(struct world *w, struct member *m, bool by_kedge) {
    struct cluster *c = m->cluster;
    for (size_t e = 0; e < c->n_entries; e++)
        for (size_t i = 0; i < c->entries[e].n; i++) {
            struct replica *r = &c->entries[e].replicas[i];
            if (r->member != m->index)
                continue;
            r->by_kedge = by_kedge && (r->synced || r->by_kedge);
            r->synced = false;
        }
    m->noticed = false;
    if (c->detection_us == 0) {
        cluster_notice(w, m);
        return;
    }
    struct item *item = item_add(w, ITEM_NOTICE, world_between(w, FAULTS, 0, c->detection_us - 1));
    item->index = m->index;
    item->token = ++m->n_losses;
}

/* The cluster knows it now. */
void cluster_notice(struct world *w, struct member *m) {
    struct cluster *c = m->cluster;
    m->noticed = true;
    for (size_t e = 0; e < c->n_entries; e++)
        for (size_t i = 0; i < c->entries[e].n; i++)
            if (c->entries[e].replicas[i].member == m->index)
                c->entries[e].replicas[i].believed = c->entries[e].replicas[i].synced;
    cluster_look(w, c);
    if (c->system == SYSTEM_QUORUM)
        return;
    struct item *item = item_add(w, ITEM_AUDIT, world_between(w, FAULTS, 50 * MS, 500 * MS));
    item->index = m->index;
    item->token = m->n_losses;
}

static bool has_source(const struct world *w, const struct entry *entry) {
    for (size_t i = 0; i < entry->n; i++)
        if (serves(w, &entry->replicas[i]))
            return true;
    return false;
}

static void copy_to_other(struct world *w, struct entry *entry, struct replica *r) {
    const struct cluster *c = w->members[r->member].cluster;
    for (uint32_t k = 1; k < c->n_members; k++) {
        uint32_t spare = c->first + (r->member - c->first + k) % c->n_members;
        const struct service *service = &w->members[spare].service;
        if (holds(entry, spare) || !service->running || !service->ready || service->stopping ||
            w->members[spare].gone || shares_domain(w, entry, spare))
            continue;
        *r = (struct replica){.member = spare, .synced = true, .believed = true};
        return;
    }
}

/* What it held is copied from others to a third, unless a side action of ours holds that off. */
void cluster_audit(struct world *w, struct member *m) {
    struct cluster *c = m->cluster;
    bool off = c->plans[0]->shape.n_side_actions > 0 && c->side_ours[0];
    for (size_t e = 0; e < c->n_entries && !off; e++) {
        struct entry *entry = &c->entries[e];
        for (size_t i = 0; i < entry->n; i++)
            if (entry->replicas[i].member == m->index && !entry->replicas[i].synced && has_source(w, entry))
                copy_to_other(w, entry, &entry->replicas[i]);
    }
    cluster_look(w, c);
}

/* Partitions move to whoever joins: the copy is complete before the old one is dropped. */
static void rebalance(struct world *w, const struct member *m) {
    struct cluster *c = m->cluster;
    struct entry *entry = &c->entries[world_random(w, FAULTS) % c->n_entries];
    struct replica *r = entry->n ? &entry->replicas[world_random(w, FAULTS) % entry->n] : NULL;
    if (r && !holds(entry, m->index) && serves(w, r) && !shares_domain(w, entry, m->index))
        r->member = m->index;
}

/* It is up again and catches up. False: not yet, its loss was not even noticed. */
bool cluster_heal(struct world *w, struct member *m) {
    struct cluster *c = m->cluster;
    if (!m->noticed && c->system == SYSTEM_LEDGERS)
        return false;
    for (size_t e = 0; e < c->n_entries; e++) {
        struct entry *entry = &c->entries[e];
        bool kept = !m->data_lost && c->system != SYSTEM_PARTITIONS;
        bool source = entry->n < 2 || kept || has_source(w, entry);
        for (size_t i = 0; i < entry->n; i++)
            if (entry->replicas[i].member == m->index && source)
                entry->replicas[i] = (struct replica){.member = m->index, .synced = true, .believed = true};
    }
    if (c->system == SYSTEM_PARTITIONS)
        rebalance(w, m);
    m->data_lost = false;
    cluster_look(w, c);
    return true;
}

/* Its disk is empty, or of no use to what runs there: it says so itself. */
void cluster_empty(struct world *w, struct member *m) {
    struct cluster *c = m->cluster;
    for (size_t e = 0; e < c->n_entries; e++)
        for (size_t i = 0; i < c->entries[e].n; i++)
            if (c->entries[e].replicas[i].member == m->index)
                c->entries[e].replicas[i] = (struct replica){.member = m->index};
    cluster_look(w, c);
}

/* It is gone for good: its replicas are given up; those of others have to do. */
void cluster_forget(struct world *w, const struct member *m) {
    struct cluster *c = m->cluster;
    for (size_t e = 0; e < c->n_entries; e++) {
        struct entry *entry = &c->entries[e];
        size_t n = 0;
        for (size_t i = 0; i < entry->n; i++)
            if (entry->replicas[i].member != m->index)
                entry->replicas[n++] = entry->replicas[i];
        entry->n = n;
        entry->need = c->system == SYSTEM_QUORUM ? n / 2 + 1 : 1;
    }
    cluster_look(w, c);
}
