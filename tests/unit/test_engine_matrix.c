#include "tests/unit/test.h"

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "coordinator/engine/member.h"
#include "coordinator/engine/run_machine.h"

/* docs/matrix.md is what the tables say. After a change that is meant:
 * KEDGE_MATRIX_WRITE=1 KEDGE_SOURCE=. build/tests/test_engine_matrix, then read the diff. */

static void run_matrix(struct buffer *out) {
    for (unsigned s = 0; s < RUN_STATES; s++) {
        buffer_format(out, "\n### A run that is %s\n\n| event | answer |\n|---|---|\n",
                      run_state_text((enum run_state)s));
        for (unsigned e = 0; e < RUN_EVENTS; e++) {
            struct run_move move = run_move((enum run_state)s, (enum run_event)e);
            buffer_format(out, "| %s | ", run_event_text((enum run_event)e));
            switch (move.kind) {
            case RUN_MOVE_TO: buffer_format(out, "**%s**", run_state_text(move.to)); break;
            case RUN_MOVE_FLAG: buffer_format(out, "noted: %s", move.why); break;
            case RUN_MOVE_MEMBER: buffer_text(out, "as the member's state says"); break;
            case RUN_MOVE_IGNORED: buffer_format(out, "ignored: %s", move.why); break;
            case RUN_MOVE_REFUSED: buffer_format(out, "refused: %s", move.why); break;
            case RUN_MOVE_UNANSWERED: buffer_text(out, "UNANSWERED"); break;
            }
            buffer_text(out, " |\n");
        }
    }
}

static void member_matrix(struct buffer *out) {
    for (unsigned s = 0; s < MEMBER_STATES; s++) {
        buffer_format(out, "\n### A member that is %s\n\n| event | answer |\n|---|---|\n",
                      member_state_text((enum member_state)s));
        for (unsigned e = 0; e < MEMBER_EVENTS; e++) {
            struct member_move move = member_move((enum member_state)s, (enum member_event)e);
            buffer_format(out, "| %s | ", member_event_text((enum member_event)e));
            switch (move.kind) {
            case MOVE_TO: buffer_format(out, "**%s**", member_state_text(move.to)); break;
            case MOVE_BEFORE: buffer_text(out, "**as before the order**"); break;
            case MOVE_FLAG: buffer_format(out, "noted: %s", move.why); break;
            case MOVE_IGNORED: buffer_format(out, "ignored: %s", move.why); break;
            case MOVE_REFUSED: buffer_format(out, "refused: %s", move.why); break;
            case MOVE_UNANSWERED: buffer_text(out, "UNANSWERED"); break;
            }
            buffer_text(out, " |\n");
        }
    }
}

TEST("F06 F08 docs/matrix.md is what the machines do: every state, every event, every operator's word") {
    const char *source = getenv("KEDGE_SOURCE");
    struct buffer out = {0}, kept = {0};
    struct error err;
    char path[512];
    require(source != NULL);
    snprintf(path, sizeof(path), "%s/docs/matrix.md", source);
    buffer_text(&out,
                "# What a run and its members do in every state\n\n"
                "Made from the tables in `coordinator/engine/run_machine.c` and `member.c` by\n"
                "`tests/unit/test_engine_matrix.c`, which also compares; do not edit it by hand.\n"
                "Bold is the state that follows; what is noted leaves the state as it is. What an operator "
                "may say beyond that (a way back that is\n"
                "closed, the last canary) is checked in `coordinator/engine/commands.c`.\n"
                "A pause is a list of reasons: retry, skip and retire take away those about the member (and "
                "a budget\n"
                "that is kept again), waive a wait that was too long; with the last of them the run goes on. "
                "What an\n"
                "operator paused, and all that is left, waits for resume (`coordinator/engine/pauses.c`).\n\n"
                "## Runs\n");
    run_matrix(&out);
    buffer_text(&out, "\n## Members\n");
    member_matrix(&out);
    if (getenv("KEDGE_MATRIX_WRITE")) {
        FILE *f = fopen(path, "w");
        check(f && fwrite(out.data, 1, out.len, f) == out.len);
        if (f)
            fclose(f);
    } else if (check(file_read(path, 1 << 20, &kept, &err) == 0)) {
        check(kept.len == out.len && memcmp(kept.data, out.data, out.len) == 0);
    }
    buffer_deinit(&out);
    buffer_deinit(&kept);
}

TEST("F06 no state of a run is without an operator's exit") {
    for (unsigned s = 0; s < RUN_STATES; s++) {
        struct run_move abort_asked = run_move((enum run_state)s, RUN_EVENT_ABORT);
        struct run_move overtaken = run_move((enum run_state)s, RUN_EVENT_SUPERSEDE);
        struct run_move aborted = run_move((enum run_state)s, RUN_EVENT_ABORTED);
        struct run_move closed = run_move((enum run_state)s, RUN_EVENT_CLOSED);
        if (s == RUN_ENDED)
            continue;
        if (s == RUN_CLOSING) /* closes alone, and what cannot be closed is left by a signed word */
            check(run_move(RUN_CLOSING, RUN_EVENT_LEAVE).kind == RUN_MOVE_FLAG);
        else
            check(abort_asked.kind == RUN_MOVE_FLAG);
        check(overtaken.kind == RUN_MOVE_FLAG || s == RUN_CLOSING);
        check((aborted.kind == RUN_MOVE_TO && aborted.to == RUN_CLOSING) ||
              (closed.kind == RUN_MOVE_TO && closed.to == RUN_ENDED));
    }
}

TEST("F06 no state of a member is without an operator's exit") {
    for (unsigned s = 0; s < MEMBER_STATES; s++) {
        struct member_move move = member_move((enum member_state)s, MEMBER_EVENT_RETIRE);
        check(s == MEMBER_RETIRED ||
              (move.kind == MOVE_TO && member_state_is_over(move.to) && !member_state_is_ordered(move.to)));
    }
}
