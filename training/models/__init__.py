"""Network architectures, one a file, each registered by name."""

from training.models import ds_cnn, ds_tc_resnet
from training.models.registry import build, names

__all__ = ["build", "ds_cnn", "ds_tc_resnet", "names"]
