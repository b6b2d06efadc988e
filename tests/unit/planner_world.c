/* See planner_world.h. Why real documents: what the planner writes is verified here by the same code that agents use. */
#include "tests/unit/planner_world.h"

#include "common/base/file.h"
#include "common/plan/encoding.h"

#include <string.h>

static void must(int r, const struct error *err) {
    if (r == 0)
        return;
    fprintf(stderr, "world: %d: %s\n", r, err->text);
    abort();
}

static const char cluster_text[] =
    "cluster: shop\n"
    "system: demo-store\n"
    "values: {ensemble: 3}\n"
    "groups:\n"
    "  a: {domain: zone-a}\n"
    "  b: {domain: zone-b}\n"
    "  c: {domain: zone-c}\n"
    "members:\n"
    "  - {name: store@n1, role: store, node: n1, group: a, values: {port: 7101}}\n"
    "  - {name: store@n2, role: store, node: n2, group: a, values: {port: 7102}}\n"
    "  - {name: store@n3, role: store, node: n3, group: b, values: {port: 7103}}\n"
    "  - {name: store@n4, role: store, node: n4, group: b, values: {port: 7104}}\n"
    "  - {name: store@n5, role: store, node: n5, group: c, values: {port: 7105}}\n"
    "strategy-defaults: {canary: 1, soak-read-only: 10s, soak: 5s}\n";

char *world_file(const char *path) {
    const char *top = getenv("KEDGE_SOURCE");
    struct error err;
    struct buffer content = {0};
    char full[4096];
    snprintf(full, sizeof(full), "%s/%s", top ? top : ".", path);
    must(file_read(full, 1024 * 1024, &content, &err), &err);
    return buffer_take(&content);
}

/* Puts words in place of others; the caller frees. */
static char *reworded(const char *text, const struct world_words *words) {
    struct buffer out = {0};
    while (*text) {
        size_t i = 0;
        while (words && i < words->n && strncmp(text, words->pairs[i][0], strlen(words->pairs[i][0])) != 0)
            i++;
        if (words && i < words->n) {
            buffer_text(&out, words->pairs[i][1]);
            text += strlen(words->pairs[i][0]);
        } else {
            buffer_append(&out, text++, 1);
        }
    }
    return buffer_take(&out);
}

static const char *word(struct world *world, const struct world_words *words, const char *text) {
    char *changed = reworded(text, words);
    const char *kept = arena_text(world->arena, changed);
    free(changed);
    return kept;
}

static void release_make(struct world *world, const char *version) {
    key_pair_generate(&world->operator);
    key_pair_generate(&world->release);
    world->files[0] = (struct release_file){.path = "bin/demo-store", .size = 4096, .mode = 0755};
    world->files[1] = (struct release_file){.path = "conf/demo-store.conf.sample", .size = 100, .mode = 0644};
    world->component =
        (struct component){.name = "demo-store", .size = 2048, .files = world->files, .n_files = 2};
    world->manifest = (struct manifest){.format = 1,
                                        .system = world->recipe->name,
                                        .version = version,
                                        .serial = 2,
                                        .components = &world->component,
                                        .n_components = 1};
    struct buffer bytes = {0}, file = {0};
    must(codec_encode(&manifest_codec, &world->manifest, &bytes, &world->err), &world->err);
    struct signed_blob blob = {.context = TRUST_RELEASE_MANIFEST, .bytes = buffer_bytes(&bytes)};
    must(signed_blob_sign(&blob, &world->release, &world->err), &world->err);
    signed_blob_encode(&file, &blob);
    world->blob = (struct bytes){arena_copy(world->arena, file.data, file.len), file.len};
    buffer_deinit(&bytes);
    buffer_deinit(&file);
}

static void charter_make(struct world *world) {
    struct roster_entry nodes[WORLD_MEMBERS_MAX];
    for (size_t i = 0; i < world->n_members; i++) {
        nodes[i] = (struct roster_entry){.node = arena_format(world->arena, "n%zu", i + 1)};
        memset(nodes[i].key.b, (int)i + 1, sizeof(nodes[i].key.b));
    }
    struct charter_input input = {world->cluster, nodes, world->n_members, 1};
    must(charter_build(&input, world->arena, &world->charter, &world->err), &world->err);
}

void world_fact(struct world *world, size_t member, const char *name, const char *value) {
    struct planner_member *m = &world->members[member];
    size_t at = 0;
    while (at < m->n_facts && strcmp(world->facts[member][at].name, name) != 0)
        at++;
    world->facts[member][at] = (struct fact){arena_text(world->arena, name), arena_text(world->arena, value)};
    m->n_facts += at == m->n_facts;
}

void world_unfact(struct world *world, size_t member, const char *name) {
    struct planner_member *m = &world->members[member];
    for (size_t i = 0; i < m->n_facts; i++)
        if (strcmp(world->facts[member][i].name, name) == 0)
            world->facts[member][i] = world->facts[member][--m->n_facts];
}

static void facts_make(struct world *world, const struct world_words *words, size_t i) {
    char config[32], path[64];
    snprintf(config, sizeof(config), "s%zu.conf", i + 1);
    snprintf(path, sizeof(path), "/var/lib/kedge-agent/members/shop_store_n%zu", i + 1);
    const char *const facts[][2] = {
        {"found", "yes"},
        {"pid", "4711"},
        {"executable", word(world, words, "/opt/demo-store-1.0.0/bin/demo-store")},
        {"directory", "/srv/shop"},
        {"user", "shop"},
        {"arguments", "3"},
        {"argument.0", word(world, words, "/opt/demo-store-1.0.0/bin/demo-store")},
        {"argument.1", "--config"},
        {"argument.2", config},
        {"release.folder", word(world, words, "/opt/demo-store-1.0.0")},
        {"release.version", "1.0.0"},
        {"config.path", config},
        {"config.digest", "b2:11"},
        {"config.data", "data"},
        {"mode", "read-write"},
        {"origin", "none"},
        {"socket", "yes"},
        {"generation", "0"},
        {"adopted", "yes"},
        {"managed", "no"},
        {"releases.path", "/var/lib/kedge-agent/releases"},
        {"member.path", path},
        {"data.inside", ""},
        {"disk.free", "100000000000"},
        {"clock.ms", "1700000000500"},
        {"environment.digest", "b2:22"}};
    for (size_t k = 0; k < ARRAY_LEN(facts); k++)
        world_fact(world, i, facts[k][0], facts[k][1]);
}

static void answer_set(struct planner_answer *list, size_t *n, const char *gate, enum answer answer,
                       const char *reason) {
    size_t at = 0;
    while (at < *n && strcmp(list[at].gate, gate) != 0)
        at++;
    list[at] = (struct planner_answer){gate, answer, reason};
    *n += at == *n;
}

void world_answer(struct world *world, const char *gate, enum answer answer, const char *reason) {
    answer_set(world->answers, &world->input.n_answers, gate, answer, reason);
}

void world_member_answer(struct world *world, size_t member, const char *gate, enum answer answer) {
    answer_set(world->member_answers[member], &world->members[member].n_answers, gate, answer, "");
}

void world_consents(struct world *world, const char *const *names, size_t n) {
    world->input.options.consents = names;
    world->input.options.n_consents = n;
}

static void members_make(struct world *world) {
    for (size_t i = 0; i < world->n_members; i++) {
        struct planner_member *m = &world->members[i];
        *m = (struct planner_member){.facts = world->facts[i],
                                     .received_ms = 1700000000000,
                                     .answers = world->member_answers[i],
                                     .preview = {.has = true, .diff = ""}};
        memset(m->preview.old_digest.b, 7, KEDGE_DIGEST_LEN);
        m->preview.new_digest = m->preview.old_digest;
    }
}

static void input_make(struct world *world) {
    world->input = (struct planner_input){.cluster = world->cluster,
                                          .charter = &world->charter,
                                          .manifest = &world->manifest,
                                          .manifest_blob = world->blob,
                                          .members = world->members,
                                          .n_members = world->n_members,
                                          .answers = world->answers};
    memset(world->input.charter_digest.b, 9, KEDGE_DIGEST_LEN);
    struct planner_options *options = &world->input.options;
    planner_options_init(options, world->cluster);
    options->author = "alice";
    options->ticket = "OPS-12";
    options->reason = "regular upgrade";
    options->created_s = 1700000000;
    options->not_after_s = 1700086400;
    options->serial = 7;
}

struct world *world_make(const struct world_setup *setup, const struct world_words *words) {
    struct world *world = calloc(1, sizeof(*world));
    if (!world || !(world->arena = arena_new((size_t)256 * 1024 * 1024 * (1 + WORLD_MEMBERS_MAX / 1000))))
        abort();
    must(trust_init(&world->err), &world->err);
    world->n_members = setup->n_members;
    char *plain = world_file(setup->recipe), *recipe = reworded(plain, words),
         *cluster = reworded(setup->cluster, words);
    must(recipe_parse(world->arena, "recipe.yaml", bytes_of_text(recipe), &world->recipe, &world->err),
         &world->err);
    must(cluster_file_parse(world->arena, "shop.yaml", bytes_of_text(cluster), world->recipe, &world->cluster,
                            &world->err),
         &world->err);
    free(plain);
    free(recipe);
    free(cluster);
    release_make(world, setup->to_version);
    charter_make(world);
    members_make(world);
    input_make(world);
    setup->tell(world, words);
    world->anchors = (struct trust_anchors){&world->operator.public, 1, 1, &world->release.public, 1, 1};
    return world;
}

static void store_tell(struct world *world, const struct world_words *words) {
    for (size_t i = 0; i < world->n_members; i++)
        facts_make(world, words, i);
    world_answer(world, "writable", ANSWER_YES, "");
    world_answer(world, "nothing-missing", ANSWER_YES, "");
    world_answer(world, "items:nothing-missing", ANSWER_YES, "");
    world_answer(world, "value:repair-delay", ANSWER_NO, "2");
}

struct world *world_new(const char *recipe_path, const struct world_words *words) {
    const struct world_setup setup = {recipe_path, cluster_text, "1.1.0", 5, store_tell};
    return world_make(&setup, words);
}

struct world *world_free(struct world *world) {
    if (world)
        arena_free(world->arena);
    free(world);
    return NULL;
}

int world_plan(struct world *world) {
    int r = planner_make(&world->input, world->arena, &world->result, &world->err);
    if (r < 0)
        must(r, &world->err);
    return r;
}

struct verified_plan *world_verify(struct world *world) {
    struct verified_plan *plan;
    must(plan_verify(&world->anchors, world->result.plan, &plan, &world->err), &world->err);
    return plan;
}

bool world_objects(const struct world *world, const char *text) {
    for (size_t i = 0; i < world->result.n_problems; i++)
        if (strstr(world->result.problems[i].says, text))
            return true;
    for (size_t i = 0; i < world->result.n_warnings; i++) {
        const struct planner_warning *warning = &world->result.warnings[i];
        char line[2048];
        snprintf(line, sizeof(line), "%s: %s", warning->name, warning->says);
        if (!warning->consented && strstr(line, text))
            return true;
    }
    return false;
}
