"""Fuzzers of what comes from outside: audio files, manifests with their models, raw PCM."""
