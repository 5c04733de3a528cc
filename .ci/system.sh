#!/bin/sh
# Makes sure that the system libraries Qt needs, a font, and Python's venv module are there.
# With root on Debian or Ubuntu it installs what is missing; elsewhere it prints the one command.
# Usage: system.sh venv PYTHON | system.sh qt PYTHON_OF_THE_VENV | system.sh qt-packages | system.sh checkers
set -eu

QT_PACKAGES="libegl1 libgl1 libglib2.0-0 libfontconfig1 libfreetype6 libdbus-1-3 libxkbcommon0 libxkbcommon-x11-0 libwayland-client0 libwayland-cursor0 libwayland-egl1 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-sync1 libxcb-util1 libxcb-xfixes0 libxcb-xkb1 libx11-xcb1 fontconfig fonts-dejavu-core"

install() {
    if command -v apt-get >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ]; then
            echo "Installing system packages: $*"
            export DEBIAN_FRONTEND=noninteractive
            apt-get update -qq
            # shellcheck disable=SC2086
            apt-get install -y -qq --no-install-recommends $* >/dev/null
            return 0
        fi
        echo "System packages are missing. Type this once, then make again:" >&2
        echo "  sudo apt-get update && sudo apt-get install -y $*" >&2
    else
        echo "System libraries are missing: $1." >&2
        echo "Install your system's packages for: $*" >&2
    fi
    exit 1
}

case "$1" in
venv)
    if ! "$2" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        version=$("$2" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        install "python$version-venv"
    fi
    ;;
qt)
    [ "$(uname -s)" = Linux ] || exit 0
    plugins=$("$2" -c 'import importlib.util as u, os; print(os.path.dirname(u.find_spec("PySide6").origin))')
    missing=$(
        for library in "$plugins"/QtWidgets.abi3.so "$plugins"/Qt/plugins/platforms/libqxcb.so \
            "$plugins"/Qt/plugins/platforms/libqoffscreen.so; do
            ldd "$library" 2>/dev/null | grep 'not found' || true
        done
    )
    fonts=$(command -v fc-list >/dev/null 2>&1 && fc-list | head -n 1 || true)
    if [ -n "$missing" ] || [ -z "$fonts" ]; then
        # shellcheck disable=SC2086
        install $QT_PACKAGES
    fi
    ;;
qt-packages)
    # shellcheck disable=SC2086
    install $QT_PACKAGES
    ;;
checkers)
    # dciodvfy holds the DICOM that we write against the standard; without it one test skips.
    if ! command -v dciodvfy >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        install dicom3tools
    fi
    ;;
*)
    echo "usage: $0 venv PYTHON | qt PYTHON | qt-packages | checkers" >&2
    exit 2
    ;;
esac
