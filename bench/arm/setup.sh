#!/usr/bin/env bash
# Makes, once, all that it takes to run kws as on ARM without a board: an aarch64 Python under
# QEMU user mode, the same packages for aarch64 and for this machine, and the instruction counter.
#
#     HOST_PYTHON=python3.11 [RUNTIMES=ai-edge-litert] bench/arm/setup.sh CACHE [WHEEL]
#
# Nothing of the ARM system is installed or configured: its packages are unpacked, and QEMU gets
# their folder. What is there already is kept; kws itself is installed again every time.
set -euo pipefail

# debootstrap lives in sbin, which not every user has in the path.
PATH=$PATH:/usr/sbin:/sbin
cache=${1:?usage: setup.sh CACHE [WHEEL]}
wheel=${2:-}
project=$(cd "$(dirname "$0")/../.." && pwd)

# The emulated Python is that of this Debian release, so the packages must be for 3.11.
release=bookworm
python_version=3.11
platforms=(manylinux2014 manylinux_2_17 manylinux_2_24 manylinux_2_26 manylinux_2_27
    manylinux_2_28 manylinux_2_31 manylinux_2_34)

say() { echo "== $SECONDS s: $*" >&2; }
fail() {
    echo "setup.sh: $*" >&2
    exit 1
}

# Runs a command with its output in a log, which is shown only if it fails.
quietly() {
    "$@" >"$cache/setup.log" 2>&1 || {
        tail -n 20 "$cache/setup.log" >&2
        fail "failed: $*"
    }
}

install_system_packages() {
    local missing=()
    command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)
    command -v gcc >/dev/null || missing+=(gcc libc6-dev)
    if [[ ! -d $cache/rootfs ]]; then
        command -v debootstrap >/dev/null || missing+=(debootstrap)
        [[ $(id -u) -eq 0 ]] || command -v fakeroot >/dev/null || missing+=(fakeroot)
        [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    fi
    ((${#missing[@]})) || return 0
    [[ $(id -u) -eq 0 ]] || fail "missing; run: sudo apt-get install ${missing[*]}"
    command -v apt-get >/dev/null || fail "missing, and no apt-get to install them: ${missing[*]}"
    say "apt-get install ${missing[*]}"
    quietly apt-get update
    quietly apt-get install -y --no-install-recommends "${missing[@]}"
}

# The qemu-user-static package cannot load plugins; Debian's qemu-user can.
build_counter() {
    local major api=1
    major=$(qemu-aarch64 --version | sed -nE '1s/.*version ([0-9]+)\..*/\1/p')
    ((${major:-0} < 9)) || api=2
    quietly gcc -shared -fPIC -O2 -Wall -Wextra "-DPLUGIN_API=$api" \
        -o "$cache/icount.so" "$project/bench/arm/icount.c"
}

unpack_arm_python() {
    [[ ! -d $cache/rootfs ]] || return 0
    local package fake=()
    # It wants to make device files, which nothing here needs.
    [[ $(id -u) -eq 0 ]] || fake=(fakeroot)
    say "an aarch64 Python of Debian $release"
    rm -rf "$cache"/rootfs*
    quietly "${fake[@]}" debootstrap --arch=arm64 --variant=minbase --foreign --include=python3 \
        "$release" "$cache/rootfs.unpacking"
    for package in "$cache"/rootfs.unpacking/var/cache/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$cache/rootfs.unpacking"
    done
    rm -rf "$cache"/rootfs.unpacking/var/cache/apt/archives/*.deb
    mv "$cache/rootfs.unpacking" "$cache/rootfs"
}

make_host_environment() {
    [[ ! -x $cache/host/bin/python ]] || return 0
    [[ -n ${HOST_PYTHON:-} ]] || fail "expected HOST_PYTHON to name a Python $python_version"
    say "an environment of $HOST_PYTHON"
    rm -rf "$cache/host.making"
    quietly "$HOST_PYTHON" -m venv "$cache/host.making"
    mv "$cache/host.making" "$cache/host"
}

pip_install() { # FOLDER ARGUMENTS...
    local folder=$1
    shift
    rm -rf "$folder" "$folder.making"
    quietly "$cache/host/bin/python" -m pip --disable-pip-version-check install --no-compile \
        --only-binary=:all: --target "$folder.making" "$@"
    mv "$folder.making" "$folder"
}

# A copy is built, so that the working tree stays as it is and nothing left in it gets in.
install_wheel() {
    if [[ -z $wheel ]]; then
        say "the wheel of this checkout"
        rm -rf "$cache/source" "$cache/wheel"
        mkdir -p "$cache/source"
        (cd "$project" && cp -r kws training firmware_models setup.cfg pyproject.toml README.md \
            LICENSE "$cache/source")
        quietly "$cache/host/bin/python" -m pip --disable-pip-version-check wheel --no-deps \
            --wheel-dir "$cache/wheel" "$cache/source"
        wheel=$(echo "$cache"/wheel/*.whl)
    fi
    [[ -f $wheel ]] || fail "$wheel: no such wheel"
    pip_install "$cache/kws" --no-deps "$wheel"
}

# One folder an architecture and interpreter, with what the wheel asks for.
install_dependencies() { # ARCHITECTURE NAME EXTRA
    local folder=$cache/packages/$1-$2 target=() platform stamp
    # Only what is installed here: extras come and go.
    stamp="$(sed -nE '/^Requires-Dist/{/extra ==/!p;/"tflite"/p}' \
        "$cache"/kws/kws-*.dist-info/METADATA | sha256sum)"
    [[ ! -e $folder/.made_of || $(cat "$folder/.made_of") != "$stamp" ]] || return 0
    say "packages of $2 for $1"
    if [[ $1 != "$(uname -m)" ]]; then
        target=(--implementation cp --python-version "$python_version")
        for platform in "${platforms[@]}"; do target+=(--platform "${platform}_$1"); done
    fi
    mkdir -p "$cache/packages"
    pip_install "$folder" "${target[@]}" "$wheel$3"
    # kws comes from its own folder, which is never out of date.
    rm -rf "$folder"/{kws,training,firmware_models} "$folder"/kws-*.dist-info
    echo "$stamp" >"$folder/.made_of"
}

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
install_system_packages
build_counter
unpack_arm_python
make_host_environment
install_wheel
for architecture in aarch64 "$(uname -m)"; do
    for runtime in ${RUNTIMES:-ai-edge-litert tflite-runtime}; do
        extra=
        [[ $runtime != tflite-runtime ]] || extra="[tflite]"
        install_dependencies "$architecture" "$runtime" "$extra"
    done
done
say "ready: $cache"
