"""kedge rehearse on the real plan: what an operator reads the evening before is what the recipe and the cluster say."""
import jars


def first(timeline, member, words, after=-1):
    """The place of the first event of this member ("": of the run) with these words."""
    return next(i for i, event in enumerate(timeline)
                if i > after and event["member"] == member and words in event["text"])


def test_F41_the_plan_of_the_real_cluster_is_rehearsed(bookies, fleet):
    pair = jars.pair()
    before, auditor = fleet.pids(), f"books/bookie@n{bookies.auditor()}"
    fleet.release(pair.new)
    fleet.plan(pair.new, "--strategy", "canary,rolling")
    print(fleet.kedge("rehearse", "books.plan"))
    calm = fleet.ask("rehearse", "books.plan")
    timeline, members = calm["timeline"], [member["name"] for member in calm["members"]]
    assert calm["end"]["result"] == "done" and "broken" not in calm, calm["end"]
    assert calm["most_away"] == 1 and sorted(m["stops"] for m in calm["members"]) == [1, 1, 1, 2]
    assert {m["version"] for m in calm["members"]} == {pair.new} and {m["mode"] for m in calm["members"]} == {"read-write"}

    canary = next(m["name"] for m in calm["members"] if m["stops"] == 2)
    assert canary != auditor, "the canary is not the auditor"
    read_only = first(timeline, canary, f"starts {pair.new}, read-only")
    soak = first(timeline, canary, "soaks read-only for", read_only)
    promoted = first(timeline, canary, f"starts {pair.new}, read-write", soak)
    done = first(timeline, canary, "is done", promoted)
    stops = {name: first(timeline, name, "is told to stop", done) for name in members if name != canary}
    assert max(stops, key=stops.get) == auditor, "the auditor goes last"
    opened = first(timeline, "", "side action recovery-delay is opened")
    put_back = first(timeline, "", "side action recovery-delay is put back")
    assert opened < first(timeline, canary, "is told to stop") and put_back > first(timeline, auditor, "is done")
    modelled = {gate["gate"]: gate["model"] for gate in calm["gates"]}
    assert "one leader" in modelled["auditor"] and "lost its data" in modelled["entries-read-back"]

    held = fleet.ask("rehearse", "books.plan", "--fault", f"empty-disk:{auditor}", code=None)
    assert held["end"]["result"] == "PAUSED" and auditor in held["end"]["text"], held["end"]
    many = fleet.ask("rehearse", "books.plan", "--seeds", "200", timeout=300)
    print(fleet.kedge("rehearse", "books.plan", "--seeds", "200", timeout=300))
    assert many["n_broken"] == 0 and sum(end["runs"] for end in many["ends"]) == 200
    assert fleet.pids() == before and fleet.versions() == [pair.old] * 4, "nothing was touched"
