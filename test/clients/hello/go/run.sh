#!/usr/bin/env bash
# Generates from the folder of protos given, builds and runs main.go, in a temporary folder. Go keeps what it downloads and
# compiles in its caches.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp go.mod go.sum main.go "$work"
cd "$work"
plugin() { go tool -n "$1"; }
# The code becomes a package of this module, not of the one that the option go_package names.
package=hello/tidings/v1\;tidingsv1
options=(paths=source_relative)
for file in "$proto"/tidings/v1/*.proto; do options+=("Mtidings/v1/$(basename "$file")=$package"); done
joined=$(IFS=,; echo "${options[*]}")
protoc -I "$proto" --plugin="$(plugin protoc-gen-go)" --plugin="$(plugin protoc-gen-connect-go)" \
  --go_out=. --go_opt="$joined" --connect-go_out=. --connect-go_opt="$joined" "$proto"/tidings/v1/*.proto
# Without -trimpath the cache would miss in every new folder.
go run -trimpath .
