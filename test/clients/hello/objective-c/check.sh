#!/usr/bin/env bash
# Generates from the folder of protos given, and checks the code with clang against the runtime and GNUstep's Foundation. It does
# not link: the runtime needs Apple's.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"
source=$(../protobuf-source.sh)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Of GCC's headers, only those of Objective-C.
ln -s /usr/lib/gcc/*/*/include/objc "$work/objc"
protoc -I "$proto" --objc_out="$work" "$proto"/tidings/v1/*.proto
for file in "$work"/tidings/v1/*.m; do
  clang -fsyntax-only -fblocks -fobjc-runtime=gnustep-2.0 -w -include stubs/prefix.h -Istubs -I"$work" \
    -I/usr/include/GNUstep -I"$source/objectivec" "$file"
  echo "compiles: $(basename "$file")"
done
