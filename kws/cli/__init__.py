"""Command lines of the runtime: parse, call, print, exit codes."""

import os

# The matrices of a hop are small: BLAS threads would only spin on cores that others need.
# Settled here because it must stand before numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
