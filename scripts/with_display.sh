#!/usr/bin/env bash
# Runs a command on the display that there is, or on a virtual one.
set -euo pipefail
if [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ]; then
    exec "$@"
fi
if ! command -v xvfb-run >/dev/null; then
    echo "There is no display and no xvfb-run; as root run: apt-get install xvfb xauth" >&2
    exit 1
fi
exec xvfb-run --auto-servernum --server-args="-screen 0 1920x1080x24" "$@"
