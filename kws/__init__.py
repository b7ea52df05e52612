"""kws: spot spoken command words on the device itself.

>>> from kws import KeywordSpotter
>>> spotter = KeywordSpotter.from_model("default")
>>> detections = spotter.process(samples)  # int16 (n_samples,), 16 kHz  # doctest: +SKIP
"""

from kws.config import DecisionConfig, FrontendConfig
from kws.decision import Detection
from kws.errors import KwsError
from kws.frontend import LogMelFrontend, log_mel
from kws.listener import Listener
from kws.manifest import ModelManifest
from kws.spotter import KeywordSpotter

__version__ = "0.1.0"

__all__ = [
    "DecisionConfig",
    "Detection",
    "FrontendConfig",
    "KeywordSpotter",
    "KwsError",
    "Listener",
    "LogMelFrontend",
    "ModelManifest",
    "__version__",
    "log_mel",
]
