#!/usr/bin/env bash
# Generates from the folder of protos given, and runs hello.php. The runtime is Debian's package php-google-protobuf.
set -euo pipefail
proto=$1
cd "$(dirname "$0")"

gen=$(mktemp -d)
trap 'rm -rf "$gen"' EXIT
protoc -I "$proto" --php_out="$gen" "$proto"/tidings/v1/*.proto
# This version of the runtime is older than PHP 8.2, and uses what that deprecates.
php -d error_reporting=E_ALL^E_DEPRECATED hello.php "$gen"
