#!/bin/bash
# Fetch the files of microscopes that tests/io/readers/test_vendor_files.py reads, into .vendor/ (38 MB).
# HyperSpy 1.7.6 is the last release whose source package holds them; its readers became RosettaSciIO.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .vendor && cd .vendor
PIP=../.venv/bin/pip
[ -d hyperspy-1.7.6 ] || {
    $PIP download --quiet --no-deps --no-build-isolation --no-binary :all: hyperspy==1.7.6
    tar xzf hyperspy-1.7.6.tar.gz --wildcards '*/tests/io/*'
    rm hyperspy-1.7.6.tar.gz
}
[ -d nionswift_io-15.5.0 ] || {
    $PIP download --quiet --no-deps --no-build-isolation --no-binary :all: nionswift-io==15.5.0
    tar xzf nionswift_io-15.5.0.tar.gz --wildcards '*/DM_IO/test/*'
    rm nionswift_io-15.5.0.tar.gz
}
cd hyperspy-1.7.6/hyperspy/tests/io
for packed in emd_files/*.zip tiff_files/*.zip; do ../../../../../.venv/bin/python -m zipfile -e "$packed" "$(dirname "$packed")"; done
gunzip --keep --force tiff_files/*.gz
