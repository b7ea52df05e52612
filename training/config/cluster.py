"""Who trains together: what the variable TF_CONFIG says of this worker and the others."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kws.errors import ConfigError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:4711", "10.0.0.2:4711"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Cluster:
    """The workers' addresses, the chief's first, and which of them this process is."""

    addresses: tuple[str, ...]
    index: int

    @property
    def n_workers(self) -> int:
        """How many train together."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this is the one that writes the run folder."""
        return self.index == 0

    def name(self, index: int | None = None) -> str:
        """Return how to speak of a worker; of this one where no index is given."""
        number = self.index if index is None else index
        return f"worker {number} of {self.n_workers} ({self.addresses[number]})"

    def rows(self, n_rows: int) -> slice:
        """Return this worker's part of `n_rows`; the parts of all workers are all rows."""
        first, end = (n_rows * n // self.n_workers for n in (self.index, self.index + 1))
        return slice(first, end)


ALONE = Cluster(("",), 0)


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Return the cluster of TF_CONFIG; None where there is none, or a single worker.

    Raises
    ------
    ConfigError
        If the variable does not say who the workers are and which of them this is.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong("JSON", f"{error} in {text!r}") from error
    jobs = _object(_object(table, "an object").get("cluster", {}), "cluster: an object")
    if not jobs:
        return None
    strange = sorted(set(jobs) - {"chief", "worker"})
    if strange:
        raise _wrong("cluster: worker, and maybe chief", ", ".join(strange))
    members = [(job, n, at) for job in ("chief", "worker") for n, at in _addresses(jobs, job)]
    cluster = Cluster(tuple(at for _, _, at in members), _index(table, members))
    return cluster if cluster.n_workers > 1 else None


def _addresses(jobs: Mapping[str, Any], job: str) -> list[tuple[int, str]]:
    given = jobs.get(job, [])
    if not isinstance(given, list) or not all(map(_is_address, given)):
        raise _wrong(f'cluster: {job}: a list of "host:port"', repr(given))
    if job == "chief" and len(given) > 1:
        raise _wrong("cluster: one chief", repr(given))
    return list(enumerate(given))


def _is_address(value: object) -> bool:
    if not isinstance(value, str):
        return False
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65_536


def _index(table: Mapping[str, Any], members: list[tuple[str, int, str]]) -> int:
    addresses = [address for _, _, address in members]
    if len(set(addresses)) < len(addresses):
        raise _wrong("an address of its own for each worker", ", ".join(addresses))
    task = _object(table.get("task", {}), "task: an object")
    # Some schedulers write the number as text; TensorFlow takes that too.
    index = task.get("index")
    number = int(index) if isinstance(index, str) and index.isdecimal() else index
    known = [(job, n) for job, n, _ in members]
    if isinstance(number, bool) or (task.get("type"), number) not in known:
        choices = " or ".join(
            f"{job} 0..{max(n for other, n in known if other == job)}"
            for job in dict.fromkeys(job for job, _ in known)
        )
        raise _wrong(f"task: type and index, {choices}", json.dumps(task))
    return known.index((task["type"], number))


def _object(value: object, expected: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(expected, repr(value))
    return value


def _wrong(expected: str, got: str) -> ConfigError:
    return ConfigError(f"{VARIABLE}: expected {expected}, got {got}; for example {EXAMPLE}")
