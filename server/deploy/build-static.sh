#!/bin/sh
# Builds one binary that needs no libraries of the system: target/packages/connection-counter.
set -eu
cd "$(dirname "$0")/../.."
host=$(rustc --print host-tuple)
# With a target named, the flag is for the program only and not for what is built along the way.
RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --target "$host" --package connection-counter --bin connection-counter
mkdir -p target/packages
cp "target/$host/release/connection-counter" target/packages/
strip target/packages/connection-counter
