#!/usr/bin/env bash
# Builds and runs main.go with code generated from the contract, in a temporary folder. Needs Go 1.26 and `npm ci` (buf).
# The plugins are tools of go.mod, pinned in go.sum; Go's build cache makes all runs but the first quick.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp go.mod go.sum main.go buf.gen.yaml "$work"
cd "$work"
# The contract as the package ships it: without validation rules, which only the server applies.
"$root/node_modules/.bin/node" "$root/scripts/public-protos.ts" proto >/dev/null
"$root/node_modules/.bin/buf" generate proto
# Paths left out, or the cache would miss in every new folder.
go run -trimpath .
