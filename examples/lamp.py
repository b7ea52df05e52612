#!/usr/bin/env python3
"""Switch a lamp (or a relay) on a GPIO pin with the words "on" and "off", by Python callbacks.

Needs `pip install gpiozero lgpio`. At the end of the program the pin goes back to an input, so the
lamp goes out.
"""

import argparse
import sys

from kws import Detection, KeywordSpotter, KwsError, Listener
from kws.audio.files import read_file


def main() -> int:
    """Listen until Ctrl-C, or to the end of the file, and return the exit code."""
    arguments = parse()
    try:
        from gpiozero import LED, BadPinFactory
    except ImportError:
        print("lamp.py: error: no gpiozero; pip install gpiozero lgpio", file=sys.stderr)
        return 1

    try:
        spotter = KeywordSpotter.from_model(arguments.model, keywords=["on", "off"])
        with LED(arguments.pin) as lamp:

            def switch(detection: Detection) -> None:
                lamp.value = detection.keyword == "on"
                print(f"{detection.time_s:8.2f} s  lamp {detection.keyword}", flush=True)

            if arguments.input:
                for chunk in read_file(arguments.input):
                    for detection in spotter.process(chunk):
                        switch(detection)
                for detection in spotter.flush():
                    switch(detection)
            else:
                with Listener(spotter, arguments.device) as listener:
                    listener.on_any(switch)
                    listener.wait()
    except KeyboardInterrupt:
        return 130
    except (BadPinFactory, KwsError) as error:
        print(f"lamp.py: error: {error}", file=sys.stderr)
        return 1
    return 0


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pin", type=int, default=17, help="GPIO number (default: 17)")
    parser.add_argument("--model", default="default", help="name or manifest (default: default)")
    parser.add_argument("--device", help="microphone: index or part of its name")
    parser.add_argument("--input", metavar="FILE", help="an audio file instead of the microphone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
