/* The end of the story: what Kedge reports, and what the services and their clients say themselves. Both must agree, or
 * the demonstration has failed. */
#include "coordinator/demo/demo.h"
#include "common/base/file.h"

#include <signal.h>
#include <string.h>

struct load {
    unsigned long long writes, failed_writes, reads, failed_reads, lost, longest_pause_us;
    char first_failure[256];
};

static unsigned long long number_of(const char *text, const char *name) {
    char value[64];
    return demo_value(text, name, value, sizeof(value)) ? strtoull(value, NULL, 10) : 0;
}

static int load_ended(struct demo *demo) {
    return demo->load->pid == 0;
}

/* Ends the clients; they read back every key that was ever acknowledged before they say their last figures. */
static int load_end(struct demo *demo, struct load *out) {
    _cleanup_(buffer_deinit) struct buffer stats = {0};
    char final[8] = "";
    if (demo->load->pid > 0)
        kill(demo->load->pid, SIGTERM);
    int r = demo_wait(demo, load_ended, "the clients have read everything back", 30);
    if (r == 0)
        r = file_read("load.stats", 65536, &stats, demo->err);
    if (r < 0)
        return r;
    const char *text = (const char *)stats.data;
    if (!demo_value(text, "final", final, sizeof(final)) || strcmp(final, "yes") != 0)
        return error_set(demo->err, -EIO, "the clients ended without their last figures");
    *out = (struct load){number_of(text, "writes"),
                         number_of(text, "failed_writes"),
                         number_of(text, "reads"),
                         number_of(text, "failed_reads"),
                         number_of(text, "lost"),
                         number_of(text, "longest_pause_us"),
                         ""};
    (void)!demo_value(text, "first_failure", out->first_failure, sizeof(out->first_failure));
    return 0;
}

/* What replica i says of itself; "?" when it does not answer. */
static void store_ask(const struct demo *demo, unsigned i, char *version, char *mode, size_t size) {
    _cleanup_(buffer_deinit) struct buffer health = {0};
    snprintf(version, size, "?");
    snprintf(mode, size, "down");
    if (!demo_http_get(demo->ports[i], "/health", &health))
        return;
    (void)!demo_value((const char *)health.data, "version", version, size);
    (void)!demo_value((const char *)health.data, "mode", mode, size);
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static double ms_of(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key)) / 1000;
}

/* Planned: one stop for a rolled member, two for a canary (read-only, read-write), one and the return for a failed one. */
static int member_judge(struct demo *demo, const json_t *run, unsigned i, bool *wellp) {
    char name[32], version[32], mode[32];
    size_t k;
    const json_t *member = NULL, *item;
    snprintf(name, sizeof(name), "demo/store@n%u", i + 1);
    json_array_foreach(json_object_get(run, "members"), k, item) {
        if (strcmp(text_of(item, "name"), name) == 0)
            member = item;
    }
    if (!member)
        return error_set(demo->err, -EIO, "%s is not in the report", name);
    store_ask(demo, i, version, mode, sizeof(version));
    const char *want = demo->fail ? "1.0.0" : "1.1.0";
    bool well = strcmp(version, want) == 0 && strcmp(mode, "read-write") == 0;
    *wellp = *wellp && well;
    demo_say(demo, "  %-10s %-10s %s, %s%s  interrupted %8.1f ms, stopped %lld times", name + 5,
             text_of(member, "state"), version, mode, well ? "" : " (WRONG)",
             ms_of(member, "interruption_us"),
             (long long)json_integer_value(json_object_get(member, "stops")));
    return 0;
}

static int kills_judge(struct demo *demo) {
    unsigned n = demo_kills_count(demo);
    if (!demo->kill)
        return 0;
    demo_say(demo, "  kills      %u processes were killed with SIGKILL on the way", n);
    return n >= 3 ? 0 : error_set(demo->err, -EIO, "only %u processes were killed, that proves little", n);
}

static int load_judge(struct demo *demo, const struct load *load) {
    demo_say(demo, "  clients    %llu writes, %llu failed; %llu reads, %llu failed; %llu of %llu keys lost;",
             load->writes, load->failed_writes, load->reads, load->failed_reads, load->lost, load->writes);
    demo_say(demo, "             the longest pause that a client saw was %.1f ms",
             (double)load->longest_pause_us / 1000);
    if (load->failed_writes + load->failed_reads + load->lost > 0)
        return error_set(demo->err, -EIO, "the clients saw failures: %s", load->first_failure);
    return 0;
}

int demo_verdict(struct demo *demo, int apply_code) {
    json_t *json = NULL;
    struct load load;
    bool well = true;
    demo_head(demo, "The verdict: what Kedge reports, and what services and clients say themselves");
    int r = load_end(demo, &load);
    if (r == 0)
        r = demo_kedged_wait(demo);
    if (r == 0)
        r = demo_ask(demo, &json, "run report %s", demo->run);
    if (r < 0)
        return r;
    const json_t *run = json_object_get(json, "run"), *verdict = json_object_get(run, "verdict");
    demo_say(demo, "  verdict    %s: %s", text_of(verdict, "result"), text_of(verdict, "text"));
    for (unsigned i = 0; r == 0 && i < demo->n_members; i++)
        r = member_judge(demo, run, i, &well);
    if (r == 0)
        r = kills_judge(demo);
    bool as_told = strcmp(text_of(verdict, "result"), demo->fail ? "failed" : "done") == 0 &&
                   apply_code == (demo->fail ? 1 : 0);
    json_decref(json);
    int clients = load_judge(demo, &load);
    if (r == 0)
        r = clients;
    if (r == 0 && !well)
        r = error_set(demo->err, -EIO, "not every replica is as it should be");
    if (r == 0 && !as_told)
        r = error_set(demo->err, -EIO, "the run did not end as it should");
    return r;
}
