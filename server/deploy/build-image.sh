#!/bin/sh
# Builds target/packages/connection-counter.oci.tar from the static binary: an OCI image for Docker, Podman and others.
# It needs umoci, and no daemon.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=$work/image:latest

umoci init --layout "$work/image"
umoci new --image "$image"
umoci unpack --image "$image" "$work/bundle"
install -D -m 755 target/packages/connection-counter "$work/bundle/rootfs/usr/bin/connection-counter"
install -d -m 755 "$work/bundle/rootfs/etc"
echo "connection-counter:x:65532:65532::/data:/" >"$work/bundle/rootfs/etc/passwd"
# The data folder belongs to the user that the server runs as.
install -d -m 700 -o 65532 -g 65532 "$work/bundle/rootfs/data"
umoci repack --image "$image" "$work/bundle"
umoci config --image "$image" \
    --config.entrypoint /usr/bin/connection-counter \
    --config.user 65532:65532 \
    --config.env CONNECTION_COUNTER_LISTEN=0.0.0.0:1999 \
    --config.env CONNECTION_COUNTER_DATA=/data \
    --config.exposedports 1999/tcp \
    --config.volume /data \
    --config.stopsignal SIGTERM \
    --config.label org.opencontainers.image.title=connection-counter \
    --config.label org.opencontainers.image.licenses="MIT OR Apache-2.0"
tar --create --file target/packages/connection-counter.oci.tar --directory "$work/image" .
