"""Writes the page of `kws-eval report`: models side by side, with the source of every figure.

In: models, and what to measure them on (clips, noise, long audio, `kws-bench` files). Out: one
self-contained HTML page, the same tables as Markdown, and all figures as JSON.
"""
