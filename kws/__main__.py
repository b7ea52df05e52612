"""`python -m kws` equals `kws-listen`."""

import sys

EXIT_INTERRUPTED = 130


def main() -> int:
    """Run `kws-listen` and return its exit code."""
    try:
        # Imported here, so that Ctrl-C during these imports ends without a traceback too.
        from kws.cli.listen import main as listen

        return listen()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
