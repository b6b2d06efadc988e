"""SIGKILL of executor, link, prober and stager, each at points spread over a switch (stager: over prepare). One member,
so that a point takes seconds: its run must end as the one in which nobody died."""
import pytest

from faults import SHORT_FORM, FaultFleet, Sweep

STRUCK_AT_LEAST = 0.8  # no two runs make the same calls: a point may lie behind the end of the switch


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """sweeps(program, trigger) is the sweep of that program, counted once."""
    known = {}

    def sweep(program, trigger=FaultFleet.prepared):
        if program not in known:
            known[program] = Sweep(tmp_path_factory.mktemp(program), program, trigger=trigger)
            print(f"{program}: {known[program].count} system calls")
            assert known[program].clean["starts"] == [2] and known[program].clean["stops"] == [1], known[program].clean
        return known[program]
    return sweep


@pytest.mark.parametrize("point", SHORT_FORM)
def test_F04_F27_executor_killed_in_a_switch(point, sweeps, tmp_path):
    sweeps("kedge-agent").strike(tmp_path, point)


@pytest.mark.parametrize("point", SHORT_FORM)
def test_F27_link_killed_in_a_switch(point, sweeps, tmp_path):
    sweeps("kedge-link").strike(tmp_path, point)


@pytest.mark.parametrize("point", SHORT_FORM)
def test_F27_prober_killed_in_a_switch(point, sweeps, tmp_path):
    sweeps("kedge-prober").strike(tmp_path, point)


@pytest.mark.parametrize("point", SHORT_FORM)
def test_F32_stager_killed_while_it_prepares(point, sweeps, tmp_path):
    sweeps("kedge-stager", trigger=None).strike(tmp_path, point)


@pytest.mark.parametrize("program", ["kedge-agent", "kedge-link", "kedge-prober", "kedge-stager"])
def test_the_points_were_reached(program, sweeps):
    struck = sweeps(program, None).struck[1:]
    assert sum(struck) >= STRUCK_AT_LEAST * len(struck), f"{program} died at {sum(struck)} of {len(struck)} points"
