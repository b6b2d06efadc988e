import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import bookkeeper  # noqa: E402
import jars  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """Four bookies of the pair's old version, for one module."""
    with bookkeeper.running_cluster(version=jars.pair().old) as running:
        yield running


@pytest.fixture
def bookies():
    """The same for one test, which may do with them what it wants."""
    with bookkeeper.running_cluster(version=jars.pair().old) as running:
        yield running


@pytest.fixture
def load(bookies):
    """Clients that write and read, from before the fleet is there."""
    from load import Load
    with Load(bookies.folder, bookies.zk_address) as running:
        yield running


@pytest.fixture
def fleet(bookies):
    """A kedged and an agent per bookie, up to the adopted cluster; what every test owes is checked when it has ended."""
    import books
    fleet = books.BookFleet(bookies, tempfile.mkdtemp(prefix="kedge-real-"))
    try:
        yield fleet.start()
        fleet.nothing_touched()
    finally:
        fleet.close()
