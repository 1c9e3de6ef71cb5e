#!/usr/bin/env bash
# Generates from the folder of protos given, and runs hello.py.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"

gen=$(mktemp -d)
trap 'rm -rf "$gen"' EXIT
./generate.sh "$proto" "$gen"
PYTHONPATH="$gen" "${XDG_CACHE_HOME:-$HOME/.cache}/tidings-clients/python/bin/python" hello.py
