"""The harness proves itself: it sees a good roll as good, and it can see failure, loss and a wrong jar."""

import os
import signal
import subprocess
import sys

import pytest

import bookkeeper
import jars
from load import Load

PAIR = jars.pair()
HERE = os.path.dirname(os.path.abspath(__file__))


def other_than_auditor(cluster):
    return next(i for i in cluster.bookies if i != cluster.auditor())


def codes(cluster, i, sample):
    return {cluster.read_entry(i, ledger, entry)[0] for ledger, entry in sample}


def test_cluster_is_seen_as_it_is(cluster):
    assert cluster.rw() == cluster.bookies and cluster.ro() == []
    assert not cluster.autorecovery_disabled() and cluster.under_replicated() == []
    assert cluster.auditor() in cluster.bookies
    for i in cluster.bookies:
        assert cluster.running_version(i) == PAIR.old
        assert cluster.port_owner(i) == cluster.pid(i)
    with cluster.zk() as zk:
        assert zk.get("/ledgers/absent") is None and not zk.exists("/ledgers/absent")
        assert zk.children("/ledgers/absent") == []
    shell = cluster.bksh("listbookies", "-rw")
    assert shell.returncode == 0 and all(f"127.0.0.1:{port}" in shell.stdout for port in cluster.ports.values())


def test_roll_of_one_bookie_by_hand_fails_nothing(cluster):
    cluster.install(PAIR.new)
    with Load(cluster.folder, cluster.zk_address) as load:
        i = other_than_auditor(cluster)
        sample = cluster.sample(i)
        assert len(sample) >= 20

        assert cluster.stop(i).code == 143
        assert i not in cluster.rw()
        cluster.swap(i, PAIR.new)
        cluster.start(i, "-readOnly")
        cluster.wait_up(i, read_only=True)
        assert cluster.running_version(i) == PAIR.new
        assert codes(cluster, i, sample) == {0}

        cluster.stop(i)
        cluster.start(i)
        cluster.wait_up(i)
        assert cluster.rw() == cluster.bookies and cluster.running_version(i) == PAIR.new
        assert codes(cluster, i, sample) == {0}
        rolled = load.stats()["written"]
        load.wait_for(lambda figures: figures["written"] > rolled + 50, 30, "it writes on after the roll")
        figures = load.finish()
    print(figures)
    assert (figures["failed_writes"], figures["failed_reads"], figures["lost"]) == (0, 0, 0), figures
    assert figures["final_reads"] == figures["written"] and figures["reads"] > 0


def test_empty_data_folder_is_seen(cluster):
    with Load(cluster.folder, cluster.zk_address) as load:
        load.finish()
    i = other_than_auditor(cluster)
    version = cluster.running_version(i)
    sample = cluster.sample(i)
    assert len(sample) >= 20

    loss = cluster.lose_data_when_stopped(i)
    cluster.stop(i)
    cluster.start(i)
    loss.join(10)
    if jars.VERSIONS[version].starts_empty:
        cluster.wait_up(i)                              # green: registered, port open, nothing behind it
        assert codes(cluster, i, sample) == {1}
        cluster.stop(i)
    else:
        with pytest.raises(bookkeeper.Failed, match="ended while starting"):
            cluster.wait_up(i)

    cluster.repoint_data(i, f"n{i}")
    cluster.start(i)
    cluster.wait_up(i)
    assert codes(cluster, i, sample) == {0}


def test_load_can_fail(cluster):
    with Load(cluster.folder, cluster.zk_address) as load:
        for i in cluster.bookies[:2]:
            cluster.kill(i)
        load.wait_for(lambda figures: figures["failed_writes"] and figures["failed_reads"], 60, "operations fail")
        figures = load.finish()
    print(figures)
    assert figures["lost"] > 0 and figures["first_loss"]
    for i in cluster.bookies[:2]:
        cluster.start(i)
        cluster.wait_up(i)


def test_jar_with_another_digest_is_refused(tmp_path, monkeypatch):
    jars.lib(PAIR.old)
    name = f"{PAIR.old}/lib/bookkeeper-server-{PAIR.old}.jar"
    lines = [line if not line.endswith(name) else "0" * 64 + "  " + name
             for line in jars.LOCK.read_text().splitlines()]
    other = tmp_path / "jars.lock"
    other.write_text("\n".join(lines))
    monkeypatch.setattr(jars, "LOCK", other)
    with pytest.raises(jars.Refused, match="jars.lock says 0000.*must not be run"):
        jars.lib(PAIR.old)


def test_what_the_release_ships_does_not_start(cluster):
    """The fault that an operator meets: the new version's own configuration names a class that it does not have."""
    if not jars.VERSIONS[PAIR.new].archive:
        pytest.skip(f"no archive of {PAIR.new} is published, so nothing ships a configuration")
    i = other_than_auditor(cluster)
    conf = cluster.folder / f"n{i}/bk.conf"
    own = conf.read_text()
    cluster.install(PAIR.new)
    cluster.stop(i)
    cluster.swap(i, PAIR.new)
    conf.write_text(own + "".join(line + "\n" for line in jars.shipped_conf(PAIR.new).splitlines()
                                  if line.startswith("statsProviderClass=")))
    cluster.start(i)
    with pytest.raises(bookkeeper.Failed, match="ended while starting"):
        cluster.wait_up(i)
    assert "ClassNotFoundException" in (cluster.folder / f"n{i}/out.log").read_text()
    conf.write_text(own)
    cluster.start(i)
    cluster.wait_up(i)


def test_nothing_outlives_a_killed_test():
    script = ("import bookkeeper, tempfile, time\n"
              "c = bookkeeper.Cluster(tempfile.mkdtemp(prefix='kedge-bk-'))\n"
              "c.guard(); c.create(); c.start_zookeeper(); print(c.folder, flush=True); time.sleep(600)\n")
    environment = {name: value for name, value in os.environ.items() if name != "KEDGE_TEST_KEEP"}
    with subprocess.Popen([sys.executable, "-c", script], cwd=HERE, env=environment, stdout=subprocess.PIPE,
                          text=True) as test:
        folder = test.stdout.readline().strip()
        try:
            assert len(bookkeeper.java_in(folder)) == 1
        finally:
            os.kill(test.pid, signal.SIGKILL)
    bookkeeper.wait_for(lambda: not os.path.exists(folder), 20, "the cluster of a killed test is gone")
    assert bookkeeper.java_in(folder) == []
