# What people do with a clone. cargo and a C compiler are enough for build and demo.

CARGO ?= cargo
# Where cargo builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Options for the demo: make demo DEMO="--users 5 --port-base 20000"
DEMO ?=
PREFIX ?= /usr/local
DESTDIR ?=

MAKEFLAGS += --no-print-directory

.PHONY: build demo test packages lint fmt bench soak fuzz install

build:
	$(CARGO) build --locked --release

# What the demo prints is the first thing on standard output: DEMO=--json is read by programs.
demo:
	@$(CARGO) build --locked --release >&2
	@$(TARGET)/release/mailcote demo $(DEMO)

# Everything, after installing the programs that the tests drive. With MAILCOTE_TESTS=strict (CI) an absent program is
# an error and the lints count too.
test: packages
	$(if $(filter strict,$(MAILCOTE_TESTS)),$(MAKE) lint)
	$(CARGO) test --locked --no-fail-fast

packages:
	sh tests/packages.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt:
	$(CARGO) fmt

# The same work on us and on the installed Dovecot and Postfix, as ratios.
bench: build
	$(CARGO) bench --locked

# The long run: random walks of four IMAP clients and other programs, some hours of them. PROPTEST_CASES makes the random
# inputs of the parsers more, too.
soak:
	MODEL_SEEDS=20000 $(CARGO) test --locked --release --test model
	PROPTEST_CASES=100000 $(CARGO) test --locked --release --lib

# Each fuzz target for so many minutes, on what was found before: see tests/fuzz/run.sh.
MINUTES ?= 1
fuzz:
	tests/fuzz/run.sh $(MINUTES)

install: build
	install -D -m 755 $(TARGET)/release/mailcote $(DESTDIR)$(PREFIX)/sbin/mailcote
	install -D -m 644 etc/mailcote.toml $(DESTDIR)$(PREFIX)/share/mailcote/mailcote.toml
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 man/*.5
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 man/*.8
	install -D -m 644 packaging/mailcote.service $(DESTDIR)$(PREFIX)/lib/systemd/system/mailcote.service
	install -D -m 644 packaging/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/mailcote.conf
	install -D -m 644 packaging/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/mailcote.conf
