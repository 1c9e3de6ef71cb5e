#!/usr/bin/env bash
# Generates from the folder of protos given, and runs hello.py. Installs into a cache of this machine.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tidings-clients/python"
if ! cmp -s requirements.txt "$cache/requirements.txt"; then
  python3 -m venv --clear "$cache"
  "$cache/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$cache/requirements.txt"
fi

gen=$(mktemp -d)
trap 'rm -rf "$gen"' EXIT
"$cache/bin/python" -m grpc_tools.protoc -I "$proto" --python_out="$gen" --pyi_out="$gen" --grpc_python_out="$gen" \
  "$proto"/tidings/v1/*.proto
PYTHONPATH="$gen" "$cache/bin/python" hello.py
