"""The workers that train together, as the variable TF_CONFIG lists them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kws.errors import ConfigError, KwsError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:4711", "10.0.0.2:4711"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
ADDRESS = re.compile(r"[^\s/]+:(\d{1,5})")
CONNECT_S = 2.0
RETRY_S = 0.2


class WorkerError(KwsError):
    """The workers cannot train together: one is missing, lost, or runs another recipe."""


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers, the chief's first, and the index of this process."""

    addresses: tuple[str, ...]
    index: int

    @property
    def n_workers(self) -> int:
        """Number of workers."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run folder."""
        return self.index == 0

    def name(self, index: int | None = None) -> str:
        """Return the name of a worker in messages (default: of this one)."""
        number = self.index if index is None else index
        return f"worker {number} of {self.n_workers} ({self.addresses[number]})"

    def rows(self, n_rows: int) -> slice:
        """Return this worker's share of `n_rows`; the shares of all workers cover every row."""
        first, end = (n_rows * n // self.n_workers for n in (self.index, self.index + 1))
        return slice(first, end)

    def unreachable(self) -> list[int]:
        """Return the indices of the other workers whose address accepts no connection."""
        others = [index for index in range(self.n_workers) if index != self.index]
        return [index for index in others if not _accepts(self.addresses[index])]


ALONE = Cluster(("",), 0)


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Return the cluster of TF_CONFIG; `ALONE` without the variable or with a single worker.

    Raises
    ------
    ConfigError
        If the variable does not list the workers or does not identify this one.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return ALONE
    try:
        table = json.loads(text)
        jobs = table.get("cluster", {})
        members = {
            (job, index): address
            for job in ("chief", "worker")
            for index, address in enumerate(jobs.get(job, ()))
        }
        if not members:
            return ALONE
        task = table["task"]
        # Some schedulers write the index as text, which TensorFlow accepts too.
        place = list(members).index((task["type"], int(task["index"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong("JSON with all workers and the task of this one", text) from error
    addresses = tuple(members.values())
    if set(jobs) - {"chief", "worker"} or not all(map(_is_address, addresses)):
        raise _wrong('only workers, each as "host:port"', text)
    if len(set(addresses)) < len(addresses):
        raise _wrong("a different address for each worker", text)
    return Cluster(addresses, place) if len(addresses) > 1 else ALONE


def _is_address(one: Any) -> bool:
    found = ADDRESS.fullmatch(one) if isinstance(one, str) else None
    return found is not None and 0 < int(found[1]) < 65_536


def _wrong(expected: str, got: str) -> ConfigError:
    return ConfigError(f"{VARIABLE}: expected {expected}, got {got}; for example {EXAMPLE}")


def wait_for_workers(cluster: Cluster, *, timeout_s: float) -> None:
    """Return once every other worker accepts connections at its address.

    TensorFlow itself would wait for an hour and ignore SIGINT meanwhile. Its server opens the same
    port later, so a worker that is already further counts as present.

    Raises
    ------
    WorkerError
        If a worker is missing after `timeout_s`, or this worker's own port is taken.
    """
    end = time.monotonic() + timeout_s
    try:
        server = socket.create_server(("", int(cluster.addresses[cluster.index].split(":")[-1])))
    except OSError as error:
        raise WorkerError(f"{cluster.name()}: cannot open the port: {error.strerror}") from error
    with contextlib.closing(server):
        while missing := cluster.unreachable():
            if time.monotonic() > end:
                names = ", ".join(map(cluster.name, missing))
                raise WorkerError(
                    f"{cluster.name()}: no answer from {names} within {timeout_s:g} s; "
                    "start all workers with the same addresses"
                )
            time.sleep(RETRY_S)


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True
