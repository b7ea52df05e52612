"""A manifest of made-up values, and the bytes that stand for its model file."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from kws.config import DecisionConfig, FrontendConfig
from kws.manifest import (
    ModelManifest,
    WindowForm,
)

CONTENT = b"\0\0\0\0TFL3 stands for a model"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def example(**changes: Any) -> ModelManifest:
    return dataclasses.replace(
        ModelManifest(
            name="lamp",
            version="3",
            labels=("on", "off", "_unknown_", "_silence_"),
            frontend=FrontendConfig(n_mels=32, mean=-4.25, std=0.1),
            window=WindowForm("lamp.tflite", SHA256, 16_000, 98),
            decision=DecisionConfig(smoothing_ms=200, thresholds={"on": 0.9}),
            description="Größer als ö",
            licence="Apache-2.0",
            attribution=("a", "b"),
            metrics={"accuracy": 0.9},
            training={"seed": 1},
        ),
        **changes,
    )
