"""`python -m kws` equals `kws-listen`."""

import sys

from kws.cli.listen import main

if __name__ == "__main__":
    sys.exit(main())
