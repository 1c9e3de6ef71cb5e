#!/usr/bin/env bash
# Runs publish.py in an environment of its own with the SDK of this repository. Needs Python 3.10 with venv.
# The environment is kept under node_modules/.cache, so only the first run installs.
set -euo pipefail
cd "$(dirname "$0")"
sdk=../../sdk/python

cache=../../node_modules/.cache/tidings-example-python
if ! cmp -s "$sdk/pyproject.toml" "$cache/installed.toml"; then
  rm -rf "$cache"
  python3 -m venv "$cache"
  # Editable, so that the environment follows the sources. Outside of this repository: pip install ./sdk/python
  "$cache/bin/pip" install --quiet --disable-pip-version-check -e "$sdk"
  cp "$sdk/pyproject.toml" "$cache/installed.toml"
fi
"$cache/bin/python" publish.py
