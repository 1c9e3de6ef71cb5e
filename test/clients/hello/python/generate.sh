#!/usr/bin/env bash
# Generates from one folder of protos into another. Installs the generators, and what hello.py needs, into a cache of this
# machine.
set -euo pipefail
proto=$1
out=$2
cd "$(dirname "$0")"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tidings-clients/python"
mkdir -p "$cache"
exec 9>"$cache.lock"
flock 9
if ! cmp -s requirements.txt "$cache/requirements.txt"; then
  python3 -m venv --clear "$cache"
  "$cache/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$cache/requirements.txt"
fi
flock --unlock 9

# The stubs of mypy-protobuf have the contract's comments, which those of protoc lack.
PATH="$cache/bin:$PATH" "$cache/bin/python" -m grpc_tools.protoc -I "$proto" --python_out="$out" --grpc_python_out="$out" \
  --mypy_out="quiet:$out" --mypy_grpc_out="quiet:$out" "$proto"/tidings/v1/*.proto
