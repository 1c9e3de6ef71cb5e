#!/usr/bin/env bash
# Builds and runs main.go with code generated from the contract, in a temporary folder. Needs Go 1.26 and `npm ci` (buf).
# The plugins are tools of go.mod, pinned in go.sum. Go's build cache makes every run but the first fast.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp go.mod go.sum main.go buf.gen.yaml "$work"
cd "$work"
"$root/node_modules/.bin/buf" generate "$root/gen/descriptor.binpb" --path tidings/v1 \
  --exclude-type buf.validate.field --exclude-type buf.validate.message --exclude-type buf.validate.oneof
# Without -trimpath the build cache would miss in every new folder.
go run -trimpath .
