#!/usr/bin/env bash
# Train a network in chunks on a machine that is lent for minutes; the same command goes on where it stopped.
#
#   scripts/train_in_chunks.sh CONFIG RUN [SECONDS] [OPTIONS of stemprior train ...]
#
# CONFIG is small, continued, paper or a TOML file; RUN is the folder of the run, to be kept between chunks
# (state.safetensors, log.csv, weights.safetensors). A chunk ends after SECONDS (500) between two steps, with the
# state saved. Exit status 0: the run is done; 75: go on with the same command. PYTHON names the interpreter,
# WORKERS the processes that draw scenes (one less than there are cores).
set -u
if [ $# -lt 2 ]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
fi
config=$1 run=$2 seconds=${3:-500}
shift $(($# < 3 ? $# : 3))
cores=$(nproc)
workers=${WORKERS:-$((cores > 1 ? cores - 1 : 0))}
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}"
# only the command gets the signal (--foreground): the processes that draw scenes must outlive its last step
timeout --foreground --signal=TERM --kill-after=60 "$seconds" \
    "${PYTHON:-python}" -m napari_stemprior train --config "$config" --workers "$workers" -o "$run" "$@"
status=$?
tail -n 1 "$run/log.csv" 2>/dev/null
case $status in
    0) echo "done: $run/weights.safetensors" ;;
    124 | 130 | 143) echo "stopped after $seconds s: go on with the same command"; exit 75 ;;
    *) exit $status ;;
esac
