"""kws: spot spoken command words on the device itself."""

__version__ = "0.1.0"
