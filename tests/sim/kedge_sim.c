/* usage: kedge-sim [--seeds A..B | --seed N [--transcript] | --regressions FILE] [--without FAULT]... [--seconds S]
 *        kedge-sim --for S             as many seeds as S seconds allow, others on every day
 *        kedge-sim --seeds A..B --at-least N   also fails below N events in a second of one core
 *        kedge-sim --mutants all|common|NAME [--most N]
 *
 * Exit code 0: what must hold held; 1: a seed broke it, and is printed, with as few faults as break it still. */
#include "coordinator/rehearsal/rehearsal.h"
#include "tests/sim/mutants.h"
#include "tests/sim/sim_plan.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    uint64_t from, to;
    bool one, transcript;
    uint64_t faults;
    unsigned seconds;
    const char *regressions, *mutants;
    uint64_t most, at_least;
};

struct tally {
    uint64_t n_seeds, n_events, n_done, n_failed, n_aborted, n_back, n_paused, digest;
};

static struct rehearsal_result run_seed(uint64_t seed, uint64_t faults, FILE *transcript) {
    struct sim_shape shape = sim_shape_of(seed);
    struct rehearsal_config config = {.seed = seed,
                                      .faults = faults,
                                      .plan = sim_plan,
                                      .context = &shape,
                                      .n_clusters = shape.n_clusters,
                                      .n_plans = shape.n_plans,
                                      .transcript = transcript};
    struct rehearsal_result result;
    rehearsal_run(&config, &result);
    return result;
}

static void run_for_mutant(uint64_t seed, struct rehearsal_result *result) {
    *result = run_seed(seed, UINT64_MAX, NULL);
}

static void print_faults(uint64_t faults) {
    for (unsigned f = 0; f < FAULTS; f++)
        if (faults & 1ull << f)
            printf(" %s", fault_text((enum fault)f));
    printf("%s\n", faults ? "" : " none");
}

/* Faults are switched off one by one for as long as the same seed still breaks something. */
static uint64_t shrink(uint64_t seed, uint64_t faults) {
    for (unsigned f = 0; f < FAULTS; f++)
        if (faults & 1ull << f && run_seed(seed, faults & ~(1ull << f), NULL).failed)
            faults &= ~(1ull << f);
    return faults;
}

static int report(uint64_t seed, const struct rehearsal_result *result) {
    uint64_t faults = shrink(seed, result->faults);
    struct rehearsal_result small = run_seed(seed, faults, NULL);
    printf("seed %llu breaks: %s\n", (unsigned long long)seed, result->what);
    printf("  with fewer faults: %s\n  faults:", small.what);
    print_faults(faults);
    printf("  again: kedge-sim --seed %llu --transcript", (unsigned long long)seed);
    for (unsigned f = 0; f < FAULTS; f++)
        if (result->faults & 1ull << f && !(faults & 1ull << f))
            printf(" --without %s", fault_text((enum fault)f));
    printf("\n");
    return 1;
}

static void count(struct tally *tally, const struct rehearsal_result *r) {
    tally->n_seeds++;
    tally->n_events += r->n_events;
    tally->digest = tally->digest * 0x100000001b3u ^ r->digest;
    tally->n_done += r->ended && strcmp(r->verdict, "done") == 0;
    tally->n_failed += r->ended && strcmp(r->verdict, "failed") == 0;
    tally->n_aborted += r->ended && strcmp(r->verdict, "aborted") == 0;
    tally->n_back += r->ended && strcmp(r->verdict, "rolled-back") == 0;
    tally->n_paused += r->paused;
}

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_time(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Per second of one core, whatever else the machine does. */
static bool is_fast_enough(const struct tally *tally, double cpu, uint64_t at_least) {
    double events = (double)tally->n_events / cpu;
    printf("a second of one core: %.0f seeds, %.0f events", (double)tally->n_seeds / cpu, events);
    if (at_least > 0)
        printf(" (at least %llu are promised)", (unsigned long long)at_least);
    printf("\n");
    return events >= (double)at_least;
}

static int run_many(const struct options *o) {
    struct tally tally = {0};
    double begun = now(), cpu = cpu_time();
    for (uint64_t seed = o->from; seed <= o->to && (!o->seconds || now() - begun < o->seconds); seed++) {
        struct rehearsal_result result = run_seed(seed, o->faults, NULL);
        if (result.failed)
            return report(seed, &result);
        count(&tally, &result);
    }
    double took = now() - begun;
    cpu = cpu_time() - cpu;
    printf("%llu seeds, %llu events in %.1f s (%.0f a second): %llu done, %llu failed, %llu aborted, %llu "
           "rolled back\n",
           (unsigned long long)tally.n_seeds, (unsigned long long)tally.n_events, took,
           (double)tally.n_events / took, (unsigned long long)tally.n_done,
           (unsigned long long)tally.n_failed, (unsigned long long)tally.n_aborted,
           (unsigned long long)tally.n_back);
    printf("digest %016llx\n", (unsigned long long)tally.digest);
    if (!is_fast_enough(&tally, cpu, o->at_least))
        return 1;
    if (tally.n_seeds >= 300 && (!tally.n_done || !tally.n_failed || !tally.n_aborted || !tally.n_back)) {
        printf("the faults are too much or too little: some verdict never came\n");
        return 1;
    }
    return 0;
}

static int run_one(const struct options *o) {
    struct rehearsal_result result = run_seed(o->from, o->faults, o->transcript ? stdout : NULL);
    printf("seed %llu: %llu events, %s: %s\n  faults:", (unsigned long long)o->from,
           (unsigned long long)result.n_events, result.verdict, result.failed ? result.what : result.end);
    print_faults(result.faults);
    printf("  digest %016llx\n", (unsigned long long)result.digest);
    return result.failed;
}

/* Lines: a seed, then why it is kept. */
static int run_kept(const struct options *o) {
    char line[512];
    int bad = 0;
    unsigned n = 0;
    FILE *file = fopen(o->regressions, "re");
    if (!file) {
        perror(o->regressions);
        return 2;
    }
    while (fgets(line, sizeof(line), file)) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end == line)
            continue;
        struct rehearsal_result result = run_seed(seed, o->faults, NULL);
        n++;
        if (result.failed)
            bad = report(seed, &result);
    }
    fclose(file);
    printf("%u kept seeds\n", n);
    return bad;
}

static uint64_t fault_bit(const char *name) {
    for (unsigned f = 0; f < FAULTS; f++)
        if (strcmp(fault_text((enum fault)f), name) == 0)
            return 1ull << f;
    fprintf(stderr, "kedge-sim: there is no fault \"%s\"\n", name);
    exit(2);
}

static bool take(struct options *o, const char *name, const char *value) {
    char *end = NULL;
    if (strcmp(name, "--seeds") == 0) {
        o->from = strtoull(value, &end, 10);
        o->to = strncmp(end, "..", 2) == 0 ? strtoull(end + 2, &end, 10) : o->from;
        return *end == 0;
    }
    if (strcmp(name, "--seed") == 0) {
        o->one = true;
        o->from = strtoull(value, &end, 10);
        return *end == 0;
    }
    if (strcmp(name, "--for") == 0) {
        o->seconds = (unsigned)strtoul(value, &end, 10);
        o->from = (uint64_t)time(NULL) / 86400 * 1000000000u;
        o->to = UINT64_MAX;
        printf("seeds from %llu on\n", (unsigned long long)o->from);
        return *end == 0 && o->seconds > 0;
    }
    if (strcmp(name, "--seconds") == 0)
        o->seconds = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--without") == 0)
        o->faults &= ~fault_bit(value);
    else if (strcmp(name, "--regressions") == 0)
        o->regressions = value;
    else if (strcmp(name, "--mutants") == 0)
        o->mutants = value;
    else if (strcmp(name, "--most") == 0)
        o->most = strtoull(value, NULL, 10);
    else if (strcmp(name, "--at-least") == 0)
        o->at_least = strtoull(value, NULL, 10);
    else
        return false;
    return true;
}

int main(int argc, char **argv) {
    struct options o = {.from = 1, .to = 1000, .faults = UINT64_MAX, .most = 20000};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--transcript") == 0)
            o.transcript = true;
        else if (i + 1 >= argc || !take(&o, argv[i], argv[i + 1])) {
            fprintf(stderr, "usage: kedge-sim [--seeds A..B | --seed N [--transcript] | --regressions FILE] "
                            "[--without FAULT]... [--seconds S]\n"
                            "       kedge-sim --for S | --seeds A..B --at-least N\n"
                            "       kedge-sim --mutants all|common|NAME [--most N]\n");
            return 2;
        } else
            i++;
    }
    if (o.mutants)
        return mutants_run(o.mutants, o.most, run_for_mutant);
    return o.regressions ? run_kept(&o) : o.one ? run_one(&o) : run_many(&o);
}
