#!/usr/bin/env python3
"""Post each detection as JSON to a URL, from the JSON lines of kws-listen.

    kws-listen --json | examples/webhook.py http://192.168.1.20:8123/api/webhook/voice

Keyword, score and time are sent, and no audio: this program never has any. It is a program of its
own so that the one with the microphone needs no network (docs/service.md).
"""

import argparse
import http.client
import json
import sys
import urllib.request


def main() -> int:
    """Post detections until the end of standard input, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="where to post to, http:// or https://")
    parser.add_argument(
        "--timeout-s",
        type=float,
        default=3.0,
        metavar="S",
        help="how long to wait for a connection, and then for an answer (default: 3)",
    )
    arguments = parser.parse_args()
    if not arguments.url.startswith(("http://", "https://")):
        parser.error(f"{arguments.url}: expected http:// or https://")
    if sys.stdin.isatty():
        parser.error("expected JSON lines on stdin: kws-listen --json | webhook.py URL")
    try:
        for line in sys.stdin:
            record = json.loads(line)
            if record["type"] == "detection":
                post(arguments.url, record, timeout_s=arguments.timeout_s)
    except KeyboardInterrupt:
        return 130
    except (ValueError, KeyError):
        parser.error("expected JSON lines on stdin: kws-listen --json | webhook.py URL")
    return 0


def post(url: str, record: dict, *, timeout_s: float) -> None:
    """Send keyword, score and time; a failure is reported and ignored."""
    detection = {name: record[name] for name in ("keyword", "score", "time_s")}
    request = urllib.request.Request(
        url,
        data=json.dumps(detection).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "kws"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            print(f"{detection['keyword']}: {answer.status}", flush=True)
    except (OSError, http.client.HTTPException) as error:
        # urllib's own errors are OSErrors: refused, timed out, or an answer of 400 and above.
        print(f"webhook.py: {detection['keyword']} was not accepted: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
