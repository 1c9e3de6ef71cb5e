#!/usr/bin/env bash
# Generates from the folder of protos given, compiles and runs main.rs. What is compiled stays in a cache of this machine.
set -euo pipefail
export TIDINGS_PROTO=$1
cd "$(dirname "$0")"

export CARGO_TARGET_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/tidings-clients/rust"
cargo run --quiet --locked
