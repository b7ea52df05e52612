"""Network architectures, one a file, each registered by name."""

from training.architectures import (
    bc_resnet,
    cnn2d,
    conv1d,
    conv1d_skip,
    ds_cnn,
    ds_tc_resnet,
    matchboxnet,
    maxpool4,
    mel_in_graph,
    resnet18,
    speech_embedding,
    strided8,
    tc_resnet,
)
from training.architectures.registry import all_params, build, names

__all__ = [
    "all_params",
    "bc_resnet",
    "build",
    "cnn2d",
    "conv1d",
    "conv1d_skip",
    "ds_cnn",
    "ds_tc_resnet",
    "matchboxnet",
    "maxpool4",
    "mel_in_graph",
    "names",
    "resnet18",
    "speech_embedding",
    "strided8",
    "tc_resnet",
]
