/* What a plan costs: BookKeeper clusters of 100, 1,000 and 10,000 bookies on paper, by the shipped recipe. Printed for each
 * size: the planner alone (facts, answers and configurations are there), and the check of the plan with its signatures, as
 * at apply and on every agent's side of it. CPU time. */
#include "tests/unit/bookkeeper_world.h"

#include "common/plan/encoding.h"
#include "common/plan/merkle.h"

#include <stdlib.h>
#include <time.h>

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What people signed is what is there: the signatures, and the root over all documents, unread. */
static double approval_s(struct world *w) {
    double begun = clock_s();
    struct plan *plan;
    struct signed_blob blob;
    struct header *header;
    bool good = codec_decode(&plan_codec, w->result.plan, w->arena, &plan, &w->err) == 0 &&
                signed_blob_decode(&blob, plan->header, &w->err) == 0 &&
                codec_decode(&header_codec, blob.bytes, w->arena, &header, &w->err) == 0;
    struct digest *leaves = good ? calloc(plan->n_work_orders + 1, sizeof(*leaves)) : NULL;
    if (!leaves)
        abort();
    leaves[0] = merkle_leaf(plan->shape);
    for (size_t i = 0; i < plan->n_work_orders; i++)
        leaves[i + 1] = merkle_leaf(plan->work_orders[i]);
    struct digest root = merkle_root(leaves, plan->n_work_orders + 1);
    free(leaves);
    if (!digest_equal(&root, &header->root))
        abort();
    return clock_s() - begun;
}

static bool measure(size_t n) {
    _cleanup_(world_freep) struct world *w = bookkeeper_world_of(n, "4.5.1");
    double begun = clock_s();
    if (world_plan(w) != 0) {
        for (size_t i = 0; i < w->result.n_problems && i < 5; i++)
            fprintf(stderr, "refused: %s\n", w->result.problems[i].says);
        for (size_t i = 0; i < w->result.n_warnings && i < 5; i++)
            fprintf(stderr, "wants consent: %s\n", w->result.warnings[i].name);
        return false;
    }
    double planned = clock_s();
    struct verified_plan *plan = world_verify(w);
    double verified = clock_s();
    printf(
        "%6zu members: plan %.3f s, %.1f KiB a member; root of what was signed %.3f s, whole check %.3f s\n",
        plan->n_orders, planned - begun, (double)w->result.plan.len / 1024 / (double)n, approval_s(w),
        verified - planned);
    fflush(stdout);
    verified_plan_free(plan);
    return true;
}

int main(int argc, char **argv) {
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    bool done = true;
    for (size_t n = 100; done && n <= most; n *= 10)
        done = measure(n);
    return done ? 0 : 1;
}
