"""`python -m kws` equals `kws-listen`."""

import sys
from importlib import import_module

EXIT_INTERRUPTED = 130


def main() -> int:
    """Run `kws-listen` and return its exit code."""
    try:
        # Imported here, so that Ctrl-C during the imports ends without a traceback too.
        return int(import_module("kws.cli.listen").main())
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
