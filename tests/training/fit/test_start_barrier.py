"""Workers find each other before they train, or say who is missing."""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.config.cluster import Cluster
from training.fit.start_barrier import TeamError, meet, unreachable


@pytest.fixture
def addresses() -> tuple[str, ...]:
    """Three free addresses of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    free = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    return free


def test_all_go_on_when_all_are_there(addresses):
    """
    Three workers meet, whoever is first, and the chief's port is free again at once.
    """
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            meeting = [
                pool.submit(meet, Cluster(addresses, index), timeout_s=60) for index in (2, 1, 0)
            ]
            assert [None] * 3 == [one.result() for one in meeting]


def test_the_chief_names_those_that_are_missing(addresses):
    """
    Worker 1 came and worker 2 did not: both that wait end, and the chief says who is missing.
    """
    with ThreadPoolExecutor(2) as pool:
        chief, other = (
            pool.submit(meet, Cluster(addresses, index), timeout_s=2) for index in (0, 1)
        )

        with pytest.raises(TeamError, match=r"worker 2 of 3 \(\S+\) did not come within 2 s; st"):
            chief.result()
        with pytest.raises(TeamError, match=r"worker 0 of 3 \(\S+\) did not come within 2 s"):
            other.result()


def test_a_stranger_is_no_worker(addresses):
    """
    Somebody else who speaks to the port is not counted.
    """
    host, port = addresses[0].split(":")
    cluster = Cluster(addresses[:2], 0)
    with ThreadPoolExecutor(1) as pool:
        chief = pool.submit(meet, cluster, timeout_s=3)
        heard = False
        while not (heard or chief.done()):
            # Refused as long as the chief has not opened its port.
            with (
                contextlib.suppress(ConnectionRefusedError),
                socket.create_connection((host, int(port)), timeout=1) as stranger,
            ):
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                heard = True

        with pytest.raises(TeamError, match="worker 1 of 2"):
            chief.result()


def test_a_port_that_is_taken_is_one_clear_error():
    """
    Two chiefs on one address are told apart from workers that did not come.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(TeamError, match="cannot open the port: Address already in use"):
            meet(Cluster((address, "127.0.0.1:1"), 0), timeout_s=1)


def test_who_is_lost_is_found_out(addresses):
    """
    Of two others one answers: the other one is named, by its number.
    """
    host, _, port = addresses[2].rpartition(":")
    with socket.create_server((host, int(port))):
        assert [1] == unreachable(Cluster(addresses, 0))
        assert [0] == unreachable(Cluster(addresses, 1))
    assert [1, 2] == unreachable(Cluster(addresses, 0))
