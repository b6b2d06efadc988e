/* Why a process for each bug: some end it (an assertion of ours is as good an oracle as any), and some would never end. A
 * seed that breaks is run once more without the bug, so that nothing is said to be found by a tester that cries wolf. */
#include "tests/sim/mutants.h"
#include "common/base/mutant.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEED_SECONDS_MAX = 20, SAID_MAX = 512, JOBS_MAX = 16 };

static const struct {
    const char *name, *text;
    enum mutant_kind kind;
} mutants[] = {
#define ROW(name, kind, text) {#name, text, MUTANT_##kind},
    KEDGE_MUTANTS_LIST(ROW)
#undef ROW
};
enum { N_MUTANTS = sizeof(mutants) / sizeof(mutants[0]) };

/* What a child says of its bug; the memory is shared, so that it is still there when the child is not. */
struct finding {
    pid_t pid;
    bool wanted, over;
    int status;
    FILE *errors;
    uint64_t seed; /* the one that runs, or broke; 0: none broke */
    bool found, without;
    char what[SAID_MAX];
};

/* ---- the child ---- */

static void child(unsigned m, uint64_t most, mutants_seed_fn *run_seed, struct finding *f) {
    struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)dup2(fileno(f->errors), STDERR_FILENO);
    for (uint64_t seed = 1; seed <= most; seed++) {
        struct rehearsal_result result;
        f->seed = seed;
        mutant_now = (enum mutant)m;
        (void)alarm(SEED_SECONDS_MAX);
        run_seed(seed, &result);
        if (!result.failed)
            continue;
        snprintf(f->what, sizeof(f->what), "%.500s", result.what);
        f->found = true;
        mutant_now = MUTANT_NONE;
        run_seed(seed, &result);
        f->without = result.failed;
        _exit(0);
    }
    _exit(0);
}

/* ---- the parent ---- */

static int begin(unsigned m, uint64_t most, mutants_seed_fn *run_seed, struct finding *f) {
    (void)fflush(stdout);
    f->errors = tmpfile();
    pid_t pid = f->errors ? fork() : -1;
    if (pid == 0)
        child(m, most, run_seed, f);
    if (pid < 0)
        perror("kedge-sim: a process for a deliberate bug");
    f->pid = pid; /* the memory is the child's too, so not before it is one */
    return pid < 0 ? -1 : 0;
}

static void end(struct finding *f, int status) {
    f->over = true;
    f->pid = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        f->found = true;
        snprintf(f->what, sizeof(f->what), "liveness: one event never came to its end");
    } else if (WIFSIGNALED(status)) {
        char line[SAID_MAX] = "";
        rewind(f->errors);
        char *got = fgets(line, sizeof(line), f->errors);
        const char *said = got ? strstr(line, "Assertion") : NULL;
        f->found = true;
        snprintf(f->what, sizeof(f->what), "its own invariant: %.400s",
                 said ? said : strsignal(WTERMSIG(status)));
        f->what[strcspn(f->what, "\n")] = 0;
    }
    (void)fclose(f->errors);
    f->errors = NULL;
}

static void wait_one(struct finding *findings) {
    int status = 0;
    pid_t pid = wait(&status);
    for (unsigned m = 0; m < N_MUTANTS; m++)
        if (pid > 0 && findings[m].pid == pid)
            end(&findings[m], status);
}

static unsigned jobs(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : (unsigned)n;
}

/* ---- the table ---- */

static int print(unsigned m, const struct finding *f, uint64_t most) {
    if (!f->found) {
        printf("%-28s %7s  not seen in %llu seeds: %s\n", mutants[m].name, "-", (unsigned long long)most,
               mutants[m].text);
        return 1;
    }
    printf("%-28s %7llu  %s\n", mutants[m].name, (unsigned long long)f->seed, f->what);
    if (f->without)
        printf("%-28s %7s  this seed breaks without the bug as well\n", "", "");
    return f->without;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print_sum(const struct finding *findings, unsigned n_wanted, time_t took) {
    uint64_t seeds[N_MUTANTS];
    size_t n = 0;
    for (unsigned m = 0; m < N_MUTANTS; m++)
        if (findings[m].found && !findings[m].without)
            seeds[n++] = findings[m].seed;
    qsort(seeds, n, sizeof(seeds[0]), compare);
    printf("%u deliberate bugs, %zu seen; seeds needed: median %llu, most %llu; %lld s\n", n_wanted, n,
           n ? (unsigned long long)seeds[n / 2] : 0, n ? (unsigned long long)seeds[n - 1] : 0,
           (long long)took);
}

static unsigned choose(const char *which, struct finding *findings) {
    unsigned n = 0;
    for (unsigned m = 0; m < N_MUTANTS; m++) {
        findings[m].wanted = strcmp(which, "all") == 0 || strcmp(which, mutants[m].name) == 0 ||
                             (strcmp(which, "common") == 0 && mutants[m].kind == MUTANT_COMMON);
        n += findings[m].wanted;
    }
    return n;
}

int mutants_run(const char *which, uint64_t most, mutants_seed_fn *run_seed) {
    struct finding *findings =
        mmap(NULL, sizeof(*findings) * N_MUTANTS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (findings == MAP_FAILED)
        return 2;
    unsigned n_wanted = choose(which, findings), n_running = 0, printed = 0;
    time_t begun = time(NULL);
    int bad = 0;
    if (n_wanted == 0) {
        fprintf(stderr, "kedge-sim: there is no deliberate bug \"%s\"; see common/base/mutant.h\n", which);
        return 2;
    }
    printf("%-28s %7s  %s\n", "bug", "seeds", "seen by");
    for (unsigned m = 0; m <= N_MUTANTS; m++) {
        while (n_running > 0 && (m == N_MUTANTS || n_running == jobs())) {
            wait_one(findings);
            n_running--;
            for (; printed < m && (findings[printed].over || !findings[printed].wanted); printed++)
                bad |= findings[printed].wanted && print(printed, &findings[printed], most);
        }
        if (m < N_MUTANTS && findings[m].wanted) {
            if (begin(m, most, run_seed, &findings[m]) < 0)
                return 2;
            n_running++;
        }
    }
    print_sum(findings, n_wanted, time(NULL) - begun);
    return bad;
}
