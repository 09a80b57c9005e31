#!/bin/sh
# Builds target/packages/connection-counter_<version>_<architecture>.deb from the static binary, for any Debian or Ubuntu.
set -eu
cd "$(dirname "$0")/../.."
version=$(cargo metadata --no-deps --format-version=1 | sed 's/.*"name":"connection-counter","version":"\([^"]*\)".*/\1/')
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
deploy=server/deploy
maintainer="The connection-counter project <maintainers@connection-counter.invalid>"

install -D -m 755 target/packages/connection-counter "$root/usr/bin/connection-counter"
for unit in service socket; do
    install -D -m 644 "$deploy/connection-counter.$unit" "$root/lib/systemd/system/connection-counter.$unit"
done
install -D -m 644 "$deploy/connection-counter.sysusers" "$root/usr/lib/sysusers.d/connection-counter.conf"
install -D -m 644 "$deploy/connection-counter.default" "$root/etc/default/connection-counter"

cargo run --quiet --locked --package connection-counter --example pages_for_packages -- "$root/pages"
install -D -m 644 "$root/pages/connection-counter.8" "$root/usr/share/man/man8/connection-counter.8"
install -D -m 644 "$root/pages/connection-counter.bash" "$root/usr/share/bash-completion/completions/connection-counter"
install -D -m 644 "$root/pages/_connection-counter" "$root/usr/share/zsh/vendor-completions/_connection-counter"
install -D -m 644 "$root/pages/connection-counter.fish" \
    "$root/usr/share/fish/vendor_completions.d/connection-counter.fish"
rm -r "$root/pages"

doc=$root/usr/share/doc/connection-counter
mkdir -p "$doc"
{
    echo "This package may be used under either of two licences, at your option:"
    echo "the Apache License 2.0, see /usr/share/common-licenses/Apache-2.0, or this one:"
    echo
    cat LICENSE-MIT
} >"$doc/copyright"
cp CHANGELOG.md "$doc/"
{
    echo "connection-counter ($version) stable; urgency=medium"
    echo
    echo "  * See CHANGELOG.md beside this file."
    echo
    echo " -- $maintainer  $(git log -1 --format=%cD)"
} >"$doc/changelog"
gzip -9n "$doc/changelog" "$root/usr/share/man/man8/connection-counter.8"

mkdir "$root/DEBIAN"
echo /etc/default/connection-counter >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<END
Package: connection-counter
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: systemd | systemd-standalone-sysusers
Section: web
Priority: optional
Description: live viewer counts on the links of any web page
 One tag on a page, and every link shows how many people are viewing the linked
 page right now. This is the server, with the widget and a manual inside.
END
install -m 755 "$deploy/postinst" "$deploy/prerm" "$deploy/postrm" "$root/DEBIAN/"
dpkg-deb --build --root-owner-group "$root" "target/packages/connection-counter_${version}_$architecture.deb"
