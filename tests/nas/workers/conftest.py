"""A Ray that several tests share."""

import pytest


@pytest.fixture(scope="module")
def local_ray():
    """Ray on this machine, for all tests that do not start it themselves."""
    pytest.importorskip("ray")
    from nas.workers.ray_cluster import connected

    with connected(cpus=2):
        yield
