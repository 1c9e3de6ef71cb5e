#!/usr/bin/env bash
# Unpacks the runtimes for C# and Objective-C into a cache of this machine, and prints their folder. Debian has no packages of
# them, but their source is in that of protoc.
set -euo pipefail

source="${XDG_CACHE_HOME:-$HOME/.cache}/tidings-clients/protobuf-source"
mkdir -p "$(dirname "$source")"
exec 9>"$source.lock"
flock 9
if [ ! -e "$source" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/parts" "$work/lists/partial" "$work/source"
  # Debian's part of the machine's sources, for source packages, which the machine may have left out.
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ ! -e "$file" ] ||
      sed -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$file" >"$work/parts/debian.${file##*.}"
  done
  apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts"
    -o "Dir::State::Lists=$work/lists" -o APT::Sandbox::User=root)
  "${apt[@]}" update >&2
  cd "$work"
  "${apt[@]}" source --download-only protobuf >&2
  tar -xzf protobuf_*.orig.tar.gz -C source --strip-components=1 --wildcards '*/csharp/src/Google.Protobuf' '*/objectivec'
  mv source "$source"
fi
echo "$source"
