"""kws: spot spoken command words on the device itself.

>>> from kws import KeywordSpotter, Listener
>>> spotter = KeywordSpotter.from_model("default")
>>> spotter.process(samples)  # doctest: +SKIP
[Detection(keyword='yes', score=0.97, time_s=1.895)]
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kws.config import DecisionConfig, FrontendConfig
    from kws.decision.policy import Detection
    from kws.errors import KwsError
    from kws.features.streaming import LogMelFrontend, log_mel
    from kws.live.listener import Listener
    from kws.live.sinks import Sink
    from kws.manifest import ModelManifest
    from kws.spotter import KeywordSpotter

__version__ = "0.2.0"

__all__ = [
    "DecisionConfig",
    "Detection",
    "FrontendConfig",
    "KeywordSpotter",
    "KwsError",
    "Listener",
    "LogMelFrontend",
    "ModelManifest",
    "Sink",
    "__version__",
    "log_mel",
]

# Public names are imported when first used, so that `import kws` costs nothing and the command
# line can settle numpy's threads before numpy loads.
_MODULES = {
    "DecisionConfig": "kws.config",
    "Detection": "kws.decision.policy",
    "FrontendConfig": "kws.config",
    "KeywordSpotter": "kws.spotter",
    "KwsError": "kws.errors",
    "Listener": "kws.live.listener",
    "LogMelFrontend": "kws.features.streaming",
    "ModelManifest": "kws.manifest",
    "Sink": "kws.live.sinks",
    "log_mel": "kws.features.streaming",
}
# Modules that the pages of release 0.1 imported.
_RENAMED = {
    "kws.audio_file": "kws.audio.files",
    "kws.interpreter": "kws.inference.interpreter",
    "kws.quantization": "kws.inference.quantization",
    "kws.service": "kws.live.systemd",
}


class _RenamedModules:
    """Refuses an old module with the name of the new one; the other finders come first."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name in _RENAMED:
            raise ModuleNotFoundError(f"{name}: renamed to {_RENAMED[name]}", name=name)


sys.meta_path.append(_RenamedModules)


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
