#!/usr/bin/env bash
# Sets up everything that `make demo` and `make test` need, on a fresh Debian machine with Python 3.11+:
# the system libraries of Qt 6 and OpenGL, a virtual environment in .venv, and the package in it.
# Safe to run again; with --system it installs the system libraries alone. Settings: PYTHON (interpreter for
# .venv) and the variables of pip, for instance to take torch from an index whose builds leave CUDA out.
set -euo pipefail
cd "$(dirname "$0")/.."

# What Qt 6 and OpenGL need on a bare Debian 12, and a display for a machine without one.
system_packages=(
    xvfb xauth libegl1 libgl1 libgl1-mesa-dri libglib2.0-0 libdbus-1-3 libfontconfig1
    libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0
    libxcb-render-util0 libxcb-shape0 libxcb-sync1 libxcb-xfixes0 libxcb-xkb1
)

say() { printf 'setup: %s\n' "$*" >&2; }

as_root=none
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo"
    fi
fi

apt_updated=no
apt_install() { # PACKAGE... ; fails where packages may not be installed
    [ "$as_root" != none ] || return 1
    if [ "$apt_updated" = no ]; then
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true # an old index may still do
        apt_updated=yes
    fi
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

installed() { # Debian 13 has renamed some packages to ...t64
    local states
    states=$(dpkg-query -W -f='${Status}\n' "$1" "$1t64" 2>/dev/null || true)
    grep -q '^install ok installed$' <<<"$states"
}

install_system_libraries() {
    if ! command -v dpkg-query >/dev/null; then
        say "this is no Debian; if no window opens, install what these Debian packages hold: ${system_packages[*]}"
        return
    fi
    local missing=() package
    for package in "${system_packages[@]}"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing system libraries: ${missing[*]}"
    apt_install "${missing[@]}" ||
        say "could not install them; as root run: apt-get install ${missing[*]}"
}

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if command -v "$candidate" >/dev/null && usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    say "no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3 ..."
    return 1
}

make_environment() {
    if [ -x .venv/bin/python ] && usable .venv/bin/python && .venv/bin/python -c 'import pip' 2>/dev/null; then
        return
    fi
    local python version
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then # Debian keeps these in a package of their own
        version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        say "installing the venv module of $version"
        apt_install "$version-venv" || {
            say "could not install it; as root run: apt-get install $version-venv"
            return 1
        }
    fi
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

install_system_libraries
[ "${1:-}" != --system ] || exit 0
make_environment
say "installing the package and what its tests need (torch is large: this takes some minutes)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
touch .venv/.set-up
