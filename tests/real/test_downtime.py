"""F30 on real bookies: all four go down together, one barrier, all start on the new release. What a client feels inside the
declared window it may feel; outside of it nothing fails, and every entry that was ever acknowledged reads back."""
import time

import jars

PAIR = jars.pair()


def failures(load):
    figures = load.stats()
    return figures["failed_writes"] + figures["failed_reads"]


def works_again(load, seconds, what):
    """Both clients get on: something is written and something is read, and nothing fails meanwhile."""
    def better(figures, seen=[None]):
        now = (figures["written"], figures["reads"], figures["failed_writes"] + figures["failed_reads"])
        if seen[0] is None or now[2] > seen[0][2]:
            seen[0] = now
            return False
        return now[0] >= seen[0][0] + 20 and now[1] >= seen[0][1] + 20
    return load.wait_for(better, seconds, what)


def test_F30_four_bookies_go_down_together_and_come_back_on_the_new_release(bookies, load, fleet):
    works_again(load, 60, "it works before")
    assert failures(load) == 0
    before = len(bookies.ledgers())
    fleet.release(PAIR.new)
    fleet.plan(PAIR.new, "--strategy", "downtime", "--hold-limit", "3m")
    assert failures(load) == 0, "planning harms nobody"
    fleet.approve()
    began = time.monotonic()
    report = fleet.wait_ended(fleet.apply(), 300)
    window = time.monotonic() - began
    assert report["verdict"]["result"] == "done", report["verdict"]
    assert fleet.versions() == [PAIR.new] * 4 and len(bookies.rw()) == 4 and bookies.ro() == []
    assert fleet.stops() == [1] * 4, "each once, by their own logs"
    assert bookies.recovery_delay() == 0 and not bookies.autorecovery_disabled()
    works_again(load, 120, "clients work again behind the window")
    after = failures(load)
    works_again(load, 60, "and go on")
    assert failures(load) == after, "nothing fails outside of the window"
    figures = load.finish(240)
    print(f"window {window:.1f} s, failed inside it: {after}; written {figures['written']}, read {figures['reads']}")
    for member in report["members"]:
        print(f"{member['name']}: down for {member['interruption_us'] / 1000:.0f} ms")
    assert figures["lost"] == 0 and figures["final_reads"] > 0, figures
    assert len(bookies.ledgers()) >= before
