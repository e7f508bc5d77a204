# Headworks: everything a newcomer or a machine types. Each target sets up what it needs; as root on Debian, missing
# packages are installed without questions.

export CARGO_TARGET_DIR ?= $(HOME)/.cache/headworks/target
export DEBIAN_FRONTEND = noninteractive

CARGO ?= cargo
DEMO_ARGS ?=
COMPLETIONS = $(CARGO_TARGET_DIR)/release/completions

# What the console is made of, and what says that it has been made.
CONSOLE := $(shell find console -path console/node_modules -prune -o -path console/dist -prune -o -type f -print)
PACKED := console/dist/index.html.gz

.PHONY: run test lint unit console chaos-minute chaos soak fuzz bench bench-quick build release deb packages clean

# The demo: a real shop, three instances, one load balancer.
run: toolchain console
	$(CARGO) run --quiet --locked -p headworks-server -- demo $(DEMO_ARGS)

# Everything that must hold before a change lands.
test: packages lint unit chaos-minute fuzz

build: toolchain console
	$(CARGO) build --locked --workspace --all-targets

# The console goes into the binary. Without Node.js and without the right to install it, the program is built all the same, and
# says at /console/ how to get it.
console: $(PACKED)

$(PACKED): $(CONSOLE)
	@command -v npm >/dev/null || ./.ci/packages nodejs npm || true
	@if command -v npm >/dev/null; then ./.ci/console; else echo "no npm: the program will have no console" >&2; fi

release: toolchain console
	$(CARGO) build --locked --release -p headworks-server
	@echo "$(CARGO_TARGET_DIR)/release/headworks"

# A Debian package: the binary, a unit with a sandbox, a file that is safe to start with.
deb: release
	@command -v dpkg-deb >/dev/null || ./.ci/packages dpkg
	@$(CARGO) deb --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deb
	@mkdir -p $(COMPLETIONS)
	$(CARGO_TARGET_DIR)/release/headworks completions bash > $(COMPLETIONS)/headworks
	$(CARGO_TARGET_DIR)/release/headworks completions zsh > $(COMPLETIONS)/_headworks
	$(CARGO_TARGET_DIR)/release/headworks completions fish > $(COMPLETIONS)/headworks.fish
	$(CARGO) deb --locked --no-build --strip -p headworks-server --output $(CARGO_TARGET_DIR)/debian/

lint: toolchain console
	cd console && npm run --silent check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) run --quiet --locked -p xtask -- tidy

unit: packages console
	$(CARGO) nextest run --locked --workspace --no-fail-fast

# Everything behind the program, and the program itself, killed, frozen and exchanged under load: nothing that may be asked twice
# fails. CHAOS_ARGS for other seeds, rates and lengths. The picture is written where --out says.
chaos-minute: toolchain console
	$(CARGO) build --quiet --locked -p headworks-server -p xtask
	$(CARGO) run --quiet --locked -p xtask -- chaos --binary $(CARGO_TARGET_DIR)/debug/headworks --rate 600 $(CHAOS_ARGS)

chaos: release
	$(CARGO) run --quiet --locked -p xtask -- chaos --binary $(CARGO_TARGET_DIR)/release/headworks --seconds 600 --upgrades 60 --out bench/results $(CHAOS_ARGS)

# An hour of the same without exchanging the program: it must not hold ever more memory, descriptors, threads or tasks.
soak: release
	$(CARGO) run --quiet --locked -p xtask -- chaos --binary $(CARGO_TARGET_DIR)/release/headworks --seconds 3600 --soak $(CHAOS_ARGS)

# Short, seeded, on stable Rust; FUZZ_SECONDS for longer runs, of all targets (fuzz/src/lib.rs lists them). FUZZ_SAVE=fuzz/corpus
# leaves there what they find, for all runs to begin with. What has no door for others is fuzzed where it is, and for a short while
# by each run of the unit tests.
fuzz: toolchain
	$(FUZZ_ENV) CARGO_TARGET_DIR=$(CARGO_TARGET_DIR) $(CARGO) run --locked --quiet --release --manifest-path fuzz/Cargo.toml
	$(if $(FUZZ_SECONDS),$(FUZZ_ENV) $(CARGO) nextest run --locked -p headworks-control -p headworks-edge -p headworks-iam -p headworks-model -p headworks-server --success-output final fuzz::)

FUZZ_ENV = $(if $(FUZZ_SAVE),FUZZ_SAVE=$(abspath $(FUZZ_SAVE)))

bench: packages release
	$(CARGO) run --quiet --locked -p xtask -- bench --binary $(CARGO_TARGET_DIR)/release/headworks $(BENCH_ARGS)

bench-quick:
	$(MAKE) bench BENCH_ARGS=--quick

# A C compiler and linker for the crates that bring C (TLS primitives, SQLite); for tests the test runner, Pebble, the
# authority that issues certificates by ACME to them, and Redis, PostgreSQL, MariaDB and NSD, targets that speak no HTTP, and
# slowhttptest, clients that mean harm. Tests start their own: nothing that Debian starts is used, or in the way.
toolchain:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || ./.ci/packages gcc libc6-dev

packages: toolchain
	@command -v pebble >/dev/null || ./.ci/packages pebble
	@$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-nextest
	@./.ci/python >/dev/null
	@command -v testssl >/dev/null || ./.ci/packages testssl.sh
	@PATH=$$PATH:/usr/sbin command -v haproxy >/dev/null || ./.ci/packages haproxy
	@command -v redis-server >/dev/null || ./.ci/packages redis-server
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || ./.ci/packages postgresql
	@test -x /usr/sbin/mariadbd || ./.ci/packages mariadb-server
	@command -v nsd >/dev/null && command -v dnsperf >/dev/null || ./.ci/packages nsd dnsperf
	@command -v slowhttptest >/dev/null || ./.ci/packages slowhttptest
	@command -v openssl >/dev/null || ./.ci/packages openssl
	@command -v chromium >/dev/null || ./.ci/packages chromium
	@command -v npm >/dev/null || ./.ci/packages nodejs npm
	@./.ci/packages iproute2 nftables util-linux

clean:
	$(CARGO) clean

.PHONY: toolchain
