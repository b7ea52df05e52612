"""Commands of the runtime: arguments come in, results go to stdout, all else to stderr.

One module a command (`listen`, `bench`, `models`); `program` holds what they share.
"""

import os

# The matrices of a hop are small: BLAS threads would only waste CPU. Set before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
