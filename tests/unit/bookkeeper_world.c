/* The facts are those that agents of a hand-started BookKeeper 4.5.0 sent (tests/real). */
#include "tests/unit/bookkeeper_world.h"

#include <string.h>

static const char recipe_path[] = "coordinator/recipes/bookkeeper.yaml";
static const char cluster_text[] =
    "cluster: bk-test\n"
    "system: bookkeeper\n"
    "values: {zookeeper: '127.0.0.1:2181', ensemble: 3, zk-timeout: 5s, recovery-delay: 60s}\n"
    "members:\n"
    "  - {name: bookie@n1, role: bookie, node: n1, domain: a, values: {port: 3181, id: '127.0.0.1:3181'}}\n"
    "  - {name: bookie@n2, role: bookie, node: n2, domain: a, values: {port: 3182, id: '127.0.0.1:3182'}}\n"
    "  - {name: bookie@n3, role: bookie, node: n3, domain: b, values: {port: 3183, id: '127.0.0.1:3183'}}\n"
    "  - {name: bookie@n4, role: bookie, node: n4, domain: b, values: {port: 3184, id: '127.0.0.1:3184'}}\n";

static void bookie_tell(struct world *w, size_t i) {
    char config[32], port[16], path[80];
    snprintf(config, sizeof(config), "n%zu/bk.conf", i + 1);
    snprintf(port, sizeof(port), "%zu", 3181 + i);
    snprintf(path, sizeof(path), "/var/lib/kedge-agent/members/bk-test_bookie_n%zu", i + 1);
    char classes[32];
    snprintf(classes, sizeof(classes), "n%zu/current/lib/*:log", i + 1);
    const char *const facts[][2] = {{"found", "yes"},
                                    {"executable", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java"},
                                    {"directory", "/srv/bk"},
                                    {"user", "bk"},
                                    {"arguments", "9"},
                                    {"argument.0", "java"},
                                    {"argument.1", "-Xms32m"},
                                    {"argument.2", "-Xmx128m"},
                                    {"argument.3", "-Dsecret=****"},
                                    {"argument.4", "-cp"},
                                    {"argument.5", classes},
                                    {"argument.6", "org.apache.bookkeeper.proto.BookieServer"},
                                    {"argument.7", "--conf"},
                                    {"argument.8", config},
                                    {"release.folder", "/srv/bk/rel/4.5.0/lib"},
                                    {"release.version", "4.5.0"},
                                    {"config.path", config},
                                    {"config.digest", "b2:11"},
                                    {"config.bookiePort", port},
                                    {"config.zkTimeout", "5000"},
                                    {"mode", "read-write"},
                                    {"origin", "none"},
                                    {"socket", "yes"},
                                    {"adopted", "yes"},
                                    {"releases.path", "/var/lib/kedge-agent/releases"},
                                    {"helper.znode", "/usr/libexec/kedge/kedge-znode"},
                                    {"member.path", path},
                                    {"disk.free", "100000000000"},
                                    {"clock.ms", "1700000000000"}};
    for (size_t k = 0; k < ARRAY_LEN(facts); k++)
        world_fact(w, i, facts[k][0], facts[k][1]);
}

static void tell(struct world *w, const struct world_words *words) {
    (void)words;
    for (size_t i = 0; i < w->n_members; i++) {
        bookie_tell(w, i);
        world_member_answer(w, i, "auditor", i == 3 ? ANSWER_YES : ANSWER_NO);
    }
    world_answer(w, "writable", ANSWER_YES, "");
    world_answer(w, "nothing-under-replicated", ANSWER_YES, "");
    world_answer(w, "items:nothing-under-replicated", ANSWER_YES, "");
    world_answer(w, "value:recovery-delay", ANSWER_NO, "0");
    world_answer(w, "value:autorecovery-off", ANSWER_YES, "");
}

struct world *bookkeeper_world(const char *to_version) {
    const struct world_setup setup = {recipe_path, cluster_text, to_version, 4, tell};
    return world_make(&setup, NULL);
}

struct world *bookkeeper_world_of(size_t n, const char *to_version) {
    char text[WORLD_MEMBERS_MAX * 128 + 256];
    const struct world_setup setup = {recipe_path, text, to_version, n, tell};
    int at =
        snprintf(text, sizeof(text),
                 "cluster: bk-test\nsystem: bookkeeper\n"
                 "values: {zookeeper: '127.0.0.1:2181', ensemble: 3, zk-timeout: 5s, recovery-delay: 60s}\n"
                 "members:\n");
    for (size_t i = 0; i < n && (size_t)at < sizeof(text); i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at,
                       "- {name: bookie@n%zu, role: bookie, node: n%zu, domain: %c, "
                       "values: {port: %zu, id: 127.0.0.1:%zu}}\n",
                       i + 1, i + 1, "abc"[i % 3], 3181 + i, 3181 + i);
    return world_make(&setup, NULL);
}
