"""How pytest-xdist shares the tests among its processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xdist.scheduler import LoadFileScheduling

LIVE = Path(__file__).parents[1] / "live"


class FilesAndLive(LoadFileScheduling):
    """Keep the tests of a file in one process, and all live ones in a row in one.

    A file's tests share what its fixtures have made. A test that hears a real sound server waits
    most of the time, while others compute; two at once would disturb each other. The mark
    `xdist_group` would say the same, but pytest-xdist 3.8 overlooks it under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(super()._split_scope(nodeid))
        return str(LIVE if LIVE in (self.config.rootpath / file).parents else file)

    def remove_node(self, node: Any) -> str | None:
        """Give to others what a process that died has not run; return the test it died in.

        pytest-xdist 3.8 gives them what it has run, too. A process that has nothing else then
        never reports an end, and the whole run waits for ever.
        """
        left = {
            scope: {test: False for test, done in tests.items() if not done}
            for scope, tests in self.assigned_work.pop(node).items()
        }
        died_in: str | None = next((test for tests in left.values() for test in tests), None)
        if died_in is None:
            return None
        for tests in left.values():
            tests.pop(died_in, None)
        self.workqueue.update({scope: tests for scope, tests in left.items() if tests})
        for other in self.assigned_work:
            self._reschedule(other)
        return died_in
