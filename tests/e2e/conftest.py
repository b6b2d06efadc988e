"""Fixtures of the tests over real programs."""
import pytest

from kedge import Fleet


@pytest.fixture
def make_fleet(tmp_path):
    """make_fleet(members=5, ...) gives a Fleet that is stopped at the end of the test, whatever happens."""
    fleets = []

    def make(**options):
        folder = tmp_path / f"fleet{len(fleets)}"
        folder.mkdir()
        fleets.append(Fleet(folder, **options))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.stop()
