"""Workers meet before TensorFlow joins them: it would wait an hour, deaf even to Ctrl-C.

Every worker tells the chief, at the chief's address, that it is there; the chief lets all go on
once it has heard of each. TensorFlow's own servers take over the addresses then.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from kws.errors import KwsError
from training.config.cluster import Cluster

REMEDY = "start all workers again with --resume"
GO = b"go\n"
RETRY_S = 0.2
# Long enough for a message of a few bytes that was sent already, or for a server to answer.
MESSAGE_S = 5.0


class TeamError(KwsError):
    """The workers cannot go on together: one is lost, failed, or does something else."""


def meet(cluster: Cluster, *, timeout_s: float) -> None:
    """Return when all workers are there.

    Raises
    ------
    TeamError
        If some did not come in time, or the chief's port is taken.
    """
    end = time.monotonic() + timeout_s
    if cluster.is_chief:
        missing = _let_all_go(cluster, end)
    else:
        missing = [] if _reach_chief(cluster, end) else [0]
    if missing:
        who = ", ".join(map(cluster.name, missing))
        raise TeamError(f"{cluster.name()}: {who} did not come within {timeout_s:g} s; {REMEDY}")


def unreachable(cluster: Cluster) -> list[int]:
    """Return the other workers at whose address nobody answers.

    One that has ended because another one was lost is no longer there either.
    """
    # The system may still be closing the sockets of one that was killed just now.
    time.sleep(RETRY_S)
    others = [index for index in range(cluster.n_workers) if index != cluster.index]
    with ThreadPoolExecutor(len(others)) as pool:
        answers = pool.map(_answers, (cluster.addresses[index] for index in others))
        return [index for index, answered in zip(others, answers) if not answered]


def _answers(address: str) -> bool:
    try:
        _connect(address).close()
    except OSError:
        return False
    return True


def _let_all_go(cluster: Cluster, end: float) -> list[int]:
    """Wait for all others and tell them; return those that did not come."""
    port = int(cluster.addresses[0].rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(socket.create_server(("", port)))
        except OSError as error:
            raise TeamError(f"{cluster.name()}: cannot open the port: {error.strerror}") from error
        came: dict[int, socket.socket] = {}
        while len(came) < cluster.n_workers - 1:
            server.settimeout(max(0.001, end - time.monotonic()))
            try:
                other = stack.enter_context(server.accept()[0])
            except socket.timeout:
                return [n for n in range(1, cluster.n_workers) if n not in came]
            index = _hear(other)
            if 0 < index < cluster.n_workers:
                came[index] = other
        for other in came.values():
            with contextlib.suppress(OSError):
                other.sendall(GO)
                # The other side closes first: a port that did is taken for another minute.
                other.recv(1)
    return []


def _hear(other: socket.socket) -> int:
    """Return the number that a worker tells; -1 from anybody else."""
    other.settimeout(MESSAGE_S)
    try:
        told = re.fullmatch(rb"kws-train (\d+)\n", other.recv(64))
    except OSError:
        return -1
    return int(told[1]) if told else -1


def _reach_chief(cluster: Cluster, end: float) -> bool:
    """Tell the chief that this worker is there; return whether it let all go."""
    while time.monotonic() < end:
        with contextlib.suppress(OSError), _connect(cluster.addresses[0]) as chief:
            chief.sendall(b"kws-train %d\n" % cluster.index)
            chief.settimeout(max(0.001, end - time.monotonic()))
            if chief.recv(len(GO)) == GO:
                return True
        time.sleep(RETRY_S)
    return False


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=MESSAGE_S)
