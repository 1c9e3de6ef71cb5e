#!/usr/bin/env bash
# Generates from the folder of protos given, and runs hello.rb. The runtime is Debian's package ruby-google-protobuf.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"

gen=$(mktemp -d)
trap 'rm -rf "$gen"' EXIT
protoc -I "$proto" --ruby_out="$gen" "$proto"/tidings/v1/*.proto
ruby -I "$gen" hello.rb
