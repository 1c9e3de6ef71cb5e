#!/usr/bin/env bash
# Runs publish.py in an environment of its own with stubs generated from the contract. Needs Python 3.10 with venv.
# The environment is kept under node_modules/.cache, so only the first run installs; the stubs are made each time.
set -euo pipefail
cd "$(dirname "$0")"
root=../..

cache="$root/node_modules/.cache/tidings-example-python"
if ! cmp -s requirements.txt "$cache/installed.txt"; then
  rm -rf "$cache"
  python3 -m venv "$cache"
  "$cache/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$cache/installed.txt"
fi

stubs=$(mktemp -d)
trap 'rm -rf "$stubs"' EXIT
# The contract as the package ships it: without validation rules, which only the server applies.
"$root/node_modules/.bin/node" "$root/scripts/public-protos.ts" "$stubs" >/dev/null
"$cache/bin/python" -m grpc_tools.protoc -I "$stubs" --python_out="$stubs" --grpc_python_out="$stubs" \
  tidings/v1/message.proto tidings/v1/push_service.proto
PYTHONPATH="$stubs" "$cache/bin/python" publish.py
