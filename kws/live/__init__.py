"""Live listening: samples from a microphone come in, detections go out to sinks and callbacks.

`listener` runs the spotter on a microphone; a `sinks.Sink` receives the samples, gaps, detections
and status events (command, recorder, systemd, callbacks).
"""
