#!/usr/bin/env bash
# Generates from the folder of protos given, compiles and runs Hello.cs with Mono. With .NET, the runtime is the package
# Google.Protobuf; Debian has only its source, which is compiled into a cache of this machine.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tidings-clients/csharp"
[ -e "$cache/Google.Protobuf.dll" ] || ./runtime.sh "$cache"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$cache/Google.Protobuf.dll" "$work"
protoc -I "$proto" --csharp_out="$work" "$proto"/tidings/v1/*.proto
mcs -langversion:latest -warn:0 -r:"$work/Google.Protobuf.dll" -out:"$work/Hello.exe" Hello.cs "$work"/*.cs
mono "$work/Hello.exe"
