"""The main job on demo-store: found services are adopted, upgraded by canary and rolling while they are in use, and nobody
notices. What Kedge reports is held against what services and clients say themselves."""
import json


def test_F01_F02_F03_F07_F16_F18_F22_F32_clean_canary_then_rolling(make_fleet):
    fleet = make_fleet(members=5)
    fleet.start()
    before = [fleet.pid(i) for i in range(5)]
    assert all(fleet.health(i)["version"] == "1.0.0" for i in range(5))

    run_id = fleet.upgrade("1.1.0")
    run = fleet.wait_ended(run_id)

    assert run["verdict"]["result"] == "done", run["verdict"]
    for i in range(5):
        health = fleet.health(i)
        assert (health["version"], health["mode"]) == ("1.1.0", "read-write")
        assert fleet.pid(i) != before[i]
    canary = [m for m in run["members"] if m["wave"] == "canary"]
    assert len(canary) == 1
    # The canary is stopped twice, read-only and read-write, the others once; by Kedge's word and by the services' own.
    for i in range(5):
        member = next(m for m in run["members"] if m["name"] == fleet.member(i))
        planned = 2 if member in canary else 1
        assert member["stops"] == planned
        assert fleet.starts(i) == 1 + planned
        assert member["interruption_us"] > 0 and member["state"] == "done" and member["mode"] == "read-write"
    assert len(run["approved_by"]) == 1

    clients = fleet.end_load()
    assert clients["failed_writes"] == clients["failed_reads"] == clients["lost"] == 0, clients
    assert clients["writes"] > 500

    # F22: nothing is finalized by itself, so the way back is still open.
    assert "ended" in fleet.kedge("run", "report", run_id)
    fleet.wait(lambda: fleet.kedge("status", code=None) and fleet.last.returncode == 0, what="status says that all is well")
    json.loads(fleet.kedge("status", "--json"))


def test_F05_F29_a_broken_release_is_returned_by_its_canary(make_fleet):
    fleet = make_fleet(members=4)
    fleet.start()
    run_id = fleet.upgrade("1.2.0", "--config", "release")
    run = fleet.wait_ended(run_id)

    assert run["verdict"]["result"] == "failed"
    canary = next(m for m in run["members"] if m["wave"] == "canary")
    assert canary["state"] == "returned" and canary["reason"]
    assert canary["name"] in run["verdict"]["text"]
    assert '"compaction" is an unknown key' in run["verdict"]["text"]  # why, in the service's own words
    assert [m["stops"] for m in run["members"] if m is not canary] == [0, 0, 0]
    for i in range(4):
        assert fleet.health(i)["version"] == "1.0.0" and fleet.health(i)["mode"] == "read-write"
    clients = fleet.end_load()
    assert clients["failed_writes"] == clients["failed_reads"] == clients["lost"] == 0, clients


def test_a_secret_in_the_last_words_of_a_service_stays_on_its_node(make_fleet):
    fleet = make_fleet(members=4, service_environment={"DEMO_PASSWORD": "compaction"})
    fleet.start()
    run = fleet.wait_ended(fleet.upgrade("1.2.0", "--config", "release"))
    assert '"**********" is an unknown key' in run["verdict"]["text"]
    assert "compaction" not in json.dumps(run["members"])
