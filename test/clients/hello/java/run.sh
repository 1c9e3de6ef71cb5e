#!/usr/bin/env bash
# Generates from the folder of protos given, compiles and runs Hello.java, in a temporary folder. Maven fetches protoc and its
# plugin too, and keeps them in ~/.m2.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r pom.xml src "$work"
cd "$work"
# Maven resets the colours of its output even where it is no terminal.
mvn --batch-mode --quiet -Dproto="$proto" compile exec:java | sed $'s/\e\\[0m//g'
