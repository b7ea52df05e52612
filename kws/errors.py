"""Errors for users; the command line prints each as one line on stderr."""

from __future__ import annotations


class KwsError(Exception):
    """Base class of all errors that this package raises on purpose.

    A message names the place, what was expected, what was found and, if there is one, the remedy.
    """


class ConfigError(KwsError, ValueError):
    """A setting is out of range or contradicts another one."""


class ManifestError(KwsError, ValueError):
    """A manifest is unreadable, or does not describe the file beside it."""


class ModelError(KwsError, ValueError):
    """A model file cannot be found, loaded or run."""


class AudioError(KwsError, ValueError):
    """Audio input cannot be read or has the wrong form."""


class DeviceError(KwsError, OSError):
    """The microphone cannot be found or opened, or was lost."""


class SoundServerGoneError(DeviceError):
    """The sound server ended, and only a new process can connect again."""


class MissingDependencyError(KwsError, ImportError):
    """A library or system package that this step needs is not installed."""
