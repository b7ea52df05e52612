#!/bin/sh
# Switch a lamp on a Raspberry Pi's GPIO pin: kws-listen --keywords on,off --exec ./lamp.sh
# pinctrl comes with Raspberry Pi OS, and the pin stays as it is set when it has ended.
set -eu
pin=${LAMP_PIN:-17}

case ${1:-} in
-h | --help)
    echo "usage: kws-listen --keywords on,off --exec $0"
    echo "LAMP_PIN names another GPIO than 17; it may also be run by hand: KWS_KEYWORD=on $0"
    exit
    ;;
esac
case ${KWS_KEYWORD:-} in
on) level=dh ;;
off) level=dl ;;
*)
    echo "$0: KWS_KEYWORD: expected on or off, got '${KWS_KEYWORD:-}'" >&2
    exit 2
    ;;
esac
exec pinctrl set "$pin" op "$level"
