"""What TF_CONFIG says of the workers that train together."""

from __future__ import annotations

import json

import pytest

from kws.errors import ConfigError
from training.config.cluster import Cluster, read_cluster

ADDRESSES = ["10.0.0.1:4711", "10.0.0.2:4711"]


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
    Without TF_CONFIG, or with nobody else in it, training is the usual one.
    """
    assert read_cluster(environment) is None


@pytest.mark.parametrize("index", [1, "1"])
def test_a_worker_knows_itself_and_the_others(index):
    """
    The addresses and this worker's number come out, also where a scheduler wrote it as text.
    """
    read = read_cluster(variable({"worker": ADDRESSES}, {"type": "worker", "index": index}))

    assert Cluster(tuple(ADDRESSES), 1) == read
    assert read.name() == "worker 1 of 2 (10.0.0.2:4711)"
    assert not read.is_chief


def test_a_chief_job_comes_first():
    """
    Where the cluster names a chief, it is worker 0 and the others follow.
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
def test_the_parts_of_all_workers_are_all_rows(n_rows):
    """
    Each row belongs to one worker, and no worker has more than one row above another.
    """
    parts = [list(range(n_rows))[Cluster(("a", "b", "c"), n).rows(n_rows)] for n in range(3)]

    assert [row for part in parts for row in part] == list(range(n_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{worker: 1}"}, "expected JSON, got Expecting property name"),
        ({"TF_CONFIG": "[1]"}, r"expected an object, got \[1\]"),
        (variable([], {}), r"expected cluster: an object, got \[\]"),
        (variable({"ps": ADDRESSES}, {}), "expected cluster: worker, and maybe chief, got ps"),
        (variable({"worker": "a:1"}, {}), "cluster: worker: a list of \"host:port\", got 'a:1'"),
        (variable({"worker": ["here"]}, {}), r"a list of \"host:port\", got \['here'\]"),
        (variable({"worker": ["a:99999", "b:1"]}, {}), 'a list of "host:port"'),
        (variable({"worker": ["a:1", "a:1"]}, {}), "an address of its own for each worker"),
        (variable({"chief": ["a:1", "b:1"]}, {}), "expected cluster: one chief"),
        (variable({"worker": ADDRESSES}, 3), "expected task: an object, got 3"),
        (variable({"worker": ADDRESSES}, {}), r"task: type and index, worker 0\.\.1, got \{\}"),
        (
            variable({"worker": ADDRESSES}, {"type": "worker", "index": 2}),
            r'task: type and index, worker 0\.\.1, got \{"type": "worker", "index": 2\}',
        ),
        (
            variable({"worker": ADDRESSES}, {"type": "worker", "index": True}),
            r"task: type and index, worker 0\.\.1",
        ),
    ],
)
def test_a_malformed_variable_is_one_clear_error(environment, message):
    """
    Each mistake is told with what was expected, what was got, and an example that works.
    """
    with pytest.raises(ConfigError, match=message) as raised:
        read_cluster(environment)

    assert str(raised.value).startswith("TF_CONFIG: expected ")
    example = str(raised.value).partition("for example ")[2]
    assert read_cluster({"TF_CONFIG": example}) is not None
