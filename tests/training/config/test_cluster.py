"""The workers that TF_CONFIG lists, and waiting for them."""

from __future__ import annotations

import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from kws.errors import ConfigError
from training.config.cluster import ALONE, Cluster, WorkerError, read_cluster, wait_for_workers

ADDRESSES = ["10.0.0.1:4711", "10.0.0.2:4711"]
WORKER_0 = {"type": "worker", "index": 0}


def variable(cluster, task):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TF_CONFIG": " "},
        {"TF_CONFIG": "{}"},
        variable({"worker": ADDRESSES[:1]}, {"type": "worker", "index": 0}),
    ],
)
def test_one_worker_is_no_cluster(environment):
    """
    Without TF_CONFIG, or with one worker in it, training is not distributed.
    """
    assert read_cluster(environment) is ALONE


@pytest.mark.parametrize("index", [1, "1"])
def test_the_cluster_has_all_addresses_and_this_index(index):
    """
    An index that a scheduler wrote as text counts too.
    """
    read = read_cluster(variable({"worker": ADDRESSES}, {"type": "worker", "index": index}))

    assert Cluster(tuple(ADDRESSES), 1) == read
    assert read.name() == "worker 1 of 2 (10.0.0.2:4711)"
    assert not read.is_chief


def test_a_chief_job_comes_first():
    """
    A chief of the cluster is worker 0; the others follow.
    """
    cluster = {"worker": ADDRESSES, "chief": ["10.0.0.9:4711"]}
    read = [
        read_cluster(variable(cluster, {"type": kind, "index": index}))
        for kind, index in (("chief", 0), ("worker", 0), ("worker", 1))
    ]

    assert [0, 1, 2] == [worker.index for worker in read]
    assert read[2].addresses == ("10.0.0.9:4711", *ADDRESSES)
    assert [True, False, False] == [worker.is_chief for worker in read]


@pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 128])
def test_the_rows_of_all_workers_cover_the_batch(n_rows):
    """
    Each row belongs to one worker, and the shares differ by at most one row.
    """
    parts = [list(range(n_rows))[Cluster(("a", "b", "c"), n).rows(n_rows)] for n in range(3)]

    assert [row for part in parts for row in part] == list(range(n_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{worker: 1}"}, "expected JSON with all workers .*, got {worker: 1}"),
        ({"TF_CONFIG": "[1]"}, r"expected JSON with all workers .*, got \[1\]"),
        (variable([], {}), "expected JSON with all workers"),
        (variable({"ps": ADDRESSES, "worker": ADDRESSES}, WORKER_0), "expected only workers"),
        (variable({"worker": ["here", "b:1"]}, WORKER_0), 'each as "host:port", got .*here'),
        (variable({"worker": ["a:99999", "b:1"]}, WORKER_0), 'each as "host:port"'),
        (variable({"worker": ["a:1", "a:1"]}, WORKER_0), "a different address for each worker"),
        (variable({"worker": ADDRESSES}, 3), "the task of this one, got .*3"),
        (variable({"worker": ADDRESSES}, {}), "the task of this one"),
        (variable({"worker": ADDRESSES}, {"type": "worker", "index": 2}), r'"index": 2\}'),
    ],
)
def test_a_malformed_variable_is_one_clear_error(environment, message):
    """
    Each mistake gives what was expected, what was found, and an example that works.
    """
    with pytest.raises(ConfigError, match=message) as raised:
        read_cluster(environment)

    assert str(raised.value).startswith("TF_CONFIG: expected ")
    example = str(raised.value).partition("for example ")[2]
    assert read_cluster({"TF_CONFIG": example}) is not ALONE


@pytest.fixture
def addresses() -> tuple[str, ...]:
    """Three free addresses of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    free = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    return free


def test_a_worker_starts_when_all_others_answer(addresses):
    """
    It waits for a late worker, and leaves its own port free for TensorFlow's server.
    """
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as servers:
        waiting = pool.submit(wait_for_workers, Cluster(addresses, 0), timeout_s=60)
        for address in addresses[1:]:
            assert not waiting.done()
            server = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
            servers.enter_context(server)
        assert waiting.result() is None

    socket.create_server(("127.0.0.1", int(addresses[0].rpartition(":")[2]))).close()


def test_missing_workers_are_named(addresses):
    """
    Two of three are absent: the error names both.
    """
    with pytest.raises(WorkerError, match=r"worker 0 of 3 .* from worker 1 of 3 .* worker 2 of 3"):
        wait_for_workers(Cluster(addresses, 0), timeout_s=0.1)


def test_a_port_in_use_is_one_clear_error(addresses):
    """
    Two processes started as the same worker give another error than a missing worker.
    """
    with (
        socket.create_server(("", int(addresses[0].rpartition(":")[2]))),
        pytest.raises(WorkerError, match="cannot open the port: Address already in use"),
    ):
        wait_for_workers(Cluster(addresses, 0), timeout_s=1)
