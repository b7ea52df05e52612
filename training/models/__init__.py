"""Network architectures, one a file, each registered by name."""

from training.models import (
    bc_resnet,
    ds_cnn,
    ds_tc_resnet,
    matchboxnet,
    maxpool4,
    resnet18,
    strided8,
    tc_resnet,
)
from training.models.registry import build, names

__all__ = [
    "bc_resnet",
    "build",
    "ds_cnn",
    "ds_tc_resnet",
    "matchboxnet",
    "maxpool4",
    "names",
    "resnet18",
    "strided8",
    "tc_resnet",
]
