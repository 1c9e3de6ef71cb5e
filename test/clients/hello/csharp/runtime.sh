#!/usr/bin/env bash
# Compiles Google.Protobuf.dll into the folder given, from the source of the Debian package whose protoc is installed.
set -euo pipefail
cd "$(dirname "$0")"
into=$1
shim=$PWD/Unsafe.cs

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/parts" "$work/lists/partial"
# Debian's part of the machine's sources, for source packages, which the machine may have left out.
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
  [ ! -e "$file" ] || sed -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$file" >"$work/parts/$(basename "$file" .list).${file##*.}"
done
apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts" -o "Dir::State::Lists=$work/lists"
  -o APT::Sandbox::User=root)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" source --download-only protobuf && tar -xzf protobuf_*.orig.tar.gz)

cd "$work"/protobuf-*/csharp/src/Google.Protobuf
mkdir -p "$into"
# The generated part of a class comes first: Mono's compiler looks up a namespace's alias in the first part only.
mapfile -t files < <(ls Reflection/Descriptor.cs WellKnownTypes/*.cs | grep -v Partial &&
  find . -name '*.cs' ! -path ./Reflection/Descriptor.cs ! -path './WellKnownTypes/*' && ls WellKnownTypes/*Partial.cs)
mcs -target:library -unsafe -langversion:latest -warn:0 -r:System.Numerics -out:"$work/Google.Protobuf.dll" \
  "$shim" "${files[@]}"
mv "$work/Google.Protobuf.dll" "$into"
