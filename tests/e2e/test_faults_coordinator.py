"""SIGKILL of the coordinator at points spread over a run, counted in its writes to the disk; it is started again as a
service manager would. A fleet of four in use: canary, then rolling."""
import pytest

from faults import SHORT_FORM, CoordinatorSweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    sweep = CoordinatorSweep(tmp_path_factory.mktemp("kedged"), "kedged", words=(), members=4, load=True,
                             strategy={"soak-read-only": "100ms", "soak": "100ms"})
    print(f"kedged: {sweep.count} writes to the disk")
    clean = sweep.clean
    assert clean["verdict"]["result"] == "done" and sorted(clean["stops"]) == [1, 1, 1, 2], clean
    assert clean["clients"] == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}
    return sweep


@pytest.mark.parametrize("point", SHORT_FORM)
def test_F04_F31_coordinator_killed_in_a_run(point, sweep, tmp_path):
    sweep.strike(tmp_path, point)


def test_the_points_were_reached(sweep):
    struck = sweep.struck[1:]
    assert sum(struck) >= 0.9 * len(struck), f"kedged died at {sum(struck)} of {len(struck)} points"
