#!/bin/sh
# Install the system packages that the tests use, unless they are there or KWS_NO_APT=1.
set -eu
packages="libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins alsa-utils jackd2 espeak-ng flite"

if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian system: without what Debian calls $packages, some tests are skipped" >&2
    exit 0
fi
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "${KWS_NO_APT:-}" = 1 ]; then
    echo "KWS_NO_APT=1: not installing$missing; the tests that need them are skipped" >&2
    exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo"
else
    echo "some tests are skipped without these: sudo apt install$missing" >&2
    exit 0
fi
echo "tests of live audio need system packages; apt-get installs$missing (KWS_NO_APT=1 skips this)"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
