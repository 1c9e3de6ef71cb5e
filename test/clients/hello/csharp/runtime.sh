#!/usr/bin/env bash
# Compiles Google.Protobuf.dll into the folder given.
set -euo pipefail
cd "$(dirname "$0")"
into=$1
shim=$PWD/Unsafe.cs
source=$(../protobuf-source.sh)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source/csharp/src/Google.Protobuf"
# The generated part of a class comes first: Mono's compiler looks up a namespace's alias in the first part only.
mapfile -t files < <(ls Reflection/Descriptor.cs WellKnownTypes/*.cs | grep -v Partial &&
  find . -name '*.cs' ! -path ./Reflection/Descriptor.cs ! -path './WellKnownTypes/*' && ls WellKnownTypes/*Partial.cs)
mcs -target:library -unsafe -langversion:latest -warn:0 -r:System.Numerics -out:"$work/Google.Protobuf.dll" \
  "$shim" "${files[@]}"
mkdir -p "$into"
mv "$work/Google.Protobuf.dll" "$into"
