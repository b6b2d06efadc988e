import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import bookkeeper  # noqa: E402
import jars  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """Four bookies of the pair's old version, for one module."""
    with bookkeeper.running_cluster(version=jars.pair().old) as running:
        yield running
