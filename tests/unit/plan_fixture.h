/* A small signed plan for tests: one member, one step, one gate, one release of one file. Fields may be changed between
 * plan_fixture_init and plan_fixture_sign; sign again after a change. Everything lies in the fixture. */
#ifndef KEDGE_TESTS_PLAN_FIXTURE_H
#define KEDGE_TESTS_PLAN_FIXTURE_H

#include "common/plan/encoding.h"
#include "common/plan/merkle.h"
#include "common/plan/verify.h"
#include "common/trust/keys.h"

struct plan_fixture {
    struct key_pair operator_key, release_key, node_key;
    struct trust_anchors anchors;

    struct probe probe;
    struct check check;
    struct gate gate;
    struct release_file file;
    struct component component;
    struct manifest manifest;
    struct row rows[3];
    struct step steps[2];
    struct generation generation;
    struct work_order order;
    struct wave wave;
    uint32_t wave_member;
    struct shape shape;
    struct header header;

    struct buffer gate_bytes, manifest_blob, order_bytes, shape_bytes, header_blob, file_bytes;
    struct bytes gate_view, order_view;
    struct digest gate_digest;
    struct digest path[KEDGE_MERKLE_DEPTH_MAX];
    size_t n_path;
    struct verify_context context;
    struct order_claim claim;
};

void plan_fixture_init(struct plan_fixture *f);
void plan_fixture_sign(struct plan_fixture *f);
void plan_fixture_deinit(struct plan_fixture *f);

#endif
