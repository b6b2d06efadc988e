#include "tests/unit/test.h"

#include "coordinator/engine/member.h"
#include "coordinator/engine/run_machine.h"

/* Every (state, event) pair has an answer, and each answer can be shown to a person. */

TEST("every pair of a member's machine is answered") {
    for (unsigned s = 0; s < MEMBER_STATES; s++)
        for (unsigned e = 0; e < MEMBER_EVENTS; e++) {
            struct member_move move = member_move((enum member_state)s, (enum member_event)e);
            bool silent = move.kind == MOVE_IGNORED || move.kind == MOVE_REFUSED;
            if (move.kind == MOVE_UNANSWERED || (silent && !move.why) || (unsigned)move.to >= MEMBER_STATES)
                test_fail(__FILE__, __LINE__, "%s + %s: no answer", member_state_text((enum member_state)s),
                          member_event_text((enum member_event)e));
        }
}

TEST("every pair of a run's machine is answered") {
    for (unsigned s = 0; s < RUN_STATES; s++)
        for (unsigned e = 0; e < RUN_EVENTS; e++) {
            struct run_move move = run_move((enum run_state)s, (enum run_event)e);
            bool silent = move.kind != RUN_MOVE_TO && move.kind != RUN_MOVE_MEMBER;
            if (move.kind == RUN_MOVE_UNANSWERED || (silent && !move.why))
                test_fail(__FILE__, __LINE__, "%s + %s: no answer", run_state_text((enum run_state)s),
                          run_event_text((enum run_event)e));
        }
}

TEST("F08 abort is taken in every state in which something could begin, and latches") {
    for (unsigned s = 0; s < RUN_STATES; s++)
        check(s == RUN_CLOSING || s == RUN_ENDED ||
              run_move((enum run_state)s, RUN_EVENT_ABORT).kind == RUN_MOVE_FLAG);
    check(run_move(RUN_CLOSING, RUN_EVENT_ABORT).kind == RUN_MOVE_IGNORED);
    check(run_move(RUN_ENDED, RUN_EVENT_ABORT).kind == RUN_MOVE_REFUSED);
}

TEST("a run ends through its closing moves only") {
    for (unsigned s = 0; s < RUN_STATES; s++)
        for (unsigned e = 0; e < RUN_EVENTS; e++) {
            struct run_move move = run_move((enum run_state)s, (enum run_event)e);
            if (move.kind == RUN_MOVE_TO && move.to == RUN_ENDED)
                check(s == RUN_CLOSING && e == RUN_EVENT_CLOSED);
        }
}

TEST("F32 nothing but a prepared member is switched") {
    for (unsigned s = 0; s < MEMBER_STATES; s++) {
        struct member_move move = member_move((enum member_state)s, MEMBER_EVENT_ORDERED_SWITCH);
        check((move.kind == MOVE_TO) == (s == MEMBER_PREPARED || s == MEMBER_SWITCHING));
    }
}

TEST("only a soak leads to done") {
    for (unsigned s = 0; s < MEMBER_STATES; s++)
        for (unsigned e = 0; e < MEMBER_EVENTS; e++) {
            struct member_move move = member_move((enum member_state)s, (enum member_event)e);
            if (move.kind == MOVE_TO && move.to == MEMBER_DONE)
                check(s == MEMBER_SOAKING && e == MEMBER_EVENT_SOAKED);
        }
}

TEST("an order in flight is always answered by done, and in-flight states are those with orders") {
    for (unsigned s = 0; s < MEMBER_STATES; s++) {
        struct member_move move = member_move((enum member_state)s, MEMBER_EVENT_REPORTED_DONE);
        enum move_kind answered =
            s == MEMBER_ACTING ? MOVE_BEFORE : MOVE_TO; /* an action leaves it where it was */
        check((move.kind == answered) == member_state_is_ordered((enum member_state)s));
    }
}

TEST("F06 a member may be retired from every state, and what is retired stays so") {
    for (unsigned s = 0; s < MEMBER_STATES; s++) {
        struct member_move move = member_move((enum member_state)s, MEMBER_EVENT_RETIRE);
        check(s == MEMBER_RETIRED ? move.kind == MOVE_IGNORED
                                  : move.kind == MOVE_TO && move.to == MEMBER_RETIRED);
    }
    for (unsigned e = 0; e < MEMBER_EVENTS; e++) {
        enum move_kind kind = member_move(MEMBER_RETIRED, (enum member_event)e).kind;
        check(kind == MOVE_IGNORED || kind == MOVE_REFUSED);
    }
    for (unsigned s = 0; s < RUN_STATES; s++)
        check(run_move((enum run_state)s, RUN_EVENT_RETIRE).kind == RUN_MOVE_MEMBER);
}

TEST("F08 a member is left out only when nothing of it is changed, or its agent has ended it") {
    for (unsigned s = 0; s < MEMBER_STATES; s++) {
        bool may = s == MEMBER_PLANNED || s == MEMBER_PREPARED || s == MEMBER_FAILED ||
                   s == MEMBER_RETURNED || s == MEMBER_HELD || s == MEMBER_QUARANTINED;
        check((member_move((enum member_state)s, MEMBER_EVENT_SKIP).kind == MOVE_TO) == may);
    }
}

TEST("F03 F18 promote is a word about a read-only soak, or about a canary that is done") {
    for (unsigned s = 0; s < MEMBER_STATES; s++)
        check((member_move((enum member_state)s, MEMBER_EVENT_PROMOTE).kind == MOVE_FLAG) ==
              (s == MEMBER_SOAKING_READ_ONLY || s == MEMBER_DONE));
}
