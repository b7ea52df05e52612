"""The errors a user can meet; the command line turns each into one line on stderr."""

from __future__ import annotations


class KwsError(Exception):
    """Root of every error this package raises on purpose.

    A message tells where, what was expected, what was found and, where there is one, the remedy.
    """


class ConfigError(KwsError, ValueError):
    """A setting lies outside its range or contradicts another one."""


class ManifestError(KwsError, ValueError):
    """A manifest is unreadable, or does not describe the file beside it."""


class ModelError(KwsError, ValueError):
    """A model file cannot be found, loaded or run."""


class AudioError(KwsError, ValueError):
    """Audio input cannot be read or has the wrong form."""


class DeviceError(KwsError, OSError):
    """The microphone cannot be found or opened, or was lost."""


class SoundServerGoneError(DeviceError):
    """The sound server ended in a way that only a new process can get over."""


class MissingDependencyError(KwsError, ImportError):
    """A library or system package that this step needs is not installed."""
