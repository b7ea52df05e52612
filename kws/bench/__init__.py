"""Measure a model on this machine (`kws-bench`).

In: options of `KeywordSpotter.from_model`, and audio. Out: a report of plain JSON values with
latency, CPU, memory, cold start, the machine and warnings, also as text. No live audio.
"""
