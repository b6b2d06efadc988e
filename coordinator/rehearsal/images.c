/* Disks that are not what they were: a host that comes back with its disk as it was a while ago (journal, generations and
 * data of that time), with an empty one, or with a journal that is damaged, which its agent refuses to read until somebody
 * has restored an older copy. What the coordinator believes of such a member is wrong, and it has to survive that. */
#include "coordinator/rehearsal/internal.h"

static struct image image_of(const struct member *m) {
    struct image image = {.is = true,
                          .disk = m->synced,
                          .link = m->link,
                          .prepared = m->prepared,
                          .new_started = m->new_started,
                          .new_promoted = m->new_promoted};
    return image;
}

static void image_put(struct member *m, const struct image *image) {
    m->written = image->disk;
    disk_sync(m);
    m->link = image->link;
    m->prepared = image->prepared;
    m->new_started = image->new_started;
    m->new_promoted = image->new_promoted;
    m->epoch_obeyed = image->disk.seen.epoch;
    m->serial_obeyed = image->disk.seen.serial;
    m->latched = image->disk.seen.aborted;
    m->judged_serial = image->disk.seen.serial;
    m->stopped_by_kedge = false;
    m->touched = true;
    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        const struct kept_outcome *kept = &image->disk.outcomes[i];
        m->concluded[i] =
            kept->is && kept->serial == m->judged_serial && !outcome_changed_nothing(kept->outcome) ? 2 : 0;
    }
}

void image_keep(struct world *w, struct member *m) {
    for (struct member *each = NULL; (each = next_on_host(w, m, each));)
        each->old = image_of(each);
}

/* The host dies and comes back with the disk of the time when it was copied. */
static void old_disk(struct world *w, struct member *m) {
    world_say(w, "disk     of %s is put back to an older copy", m->order->node);
    agent_host_dies(w, m);
    for (struct member *each = NULL; (each = next_on_host(w, m, each));) {
        image_put(each, &each->old);
        each->old.is = false;
    }
}

void old_disk_strike(struct world *w, struct member *m) {
    if (!m->old.is)
        image_keep(w, m);
    else
        old_disk(w, m);
}

/* The same key and name, and nothing else: no charter, no generation, no data. */
void image_strike(struct world *w, struct member *m) {
    static const struct image empty = {.is = false};
    world_say(w, "host     %s is made anew, its disk is empty", m->order->node);
    agent_host_dies(w, m);
    for (struct member *each = NULL; (each = next_on_host(w, m, each));) {
        image_put(each, &empty);
        each->no_charter = true;
        model_destroy(w, each, "its disk is empty");
    }
}

/* The agent finds a record that does not check, and later ones that do: it does not start. */
void bit_flip_strike(struct world *w, struct member *m) {
    if (m->damaged)
        return;
    world_say(w, "disk     of %s: a bit of the journal flips; its agent does not start any more",
              m->order->node);
    agent_kill(w, m);
    for (struct member *each = NULL; (each = next_on_host(w, m, each));)
        each->damaged = true;
}

/* Somebody adopts what was made anew, and restores what was damaged. */
void images_mend(struct world *w, struct member *m) {
    bool damaged = m->damaged;
    for (struct member *each = NULL; damaged && (each = next_on_host(w, m, each));)
        each->old = each->old.is ? each->old : image_of(each);
    if (damaged)
        old_disk(w, m);
    for (struct member *each = NULL; (each = next_on_host(w, m, each));)
        each->no_charter = each->damaged = false;
}
