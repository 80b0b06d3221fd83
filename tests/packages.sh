#!/bin/sh
# Install the Debian packages whose programs the tests drive, where we may (root, or sudo without a password).
# Says what it does. Starts no daemon and stops none. With MAILCOTE_TESTS=strict, not being able to is an error.
set -eu

wanted="dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd postfix
    mutt neomutt isync swaks msmtp fetchmail getmail6 procmail curl mandoc strace openssl gsasl ca-certificates socat python3
    libio-socket-ssl-perl libnet-ssleay-perl libauthen-sasl-perl libdigest-hmac-perl"

give_up() {
    echo "packages: $1" >&2
    if [ "${MAILCOTE_TESTS:-}" = strict ]; then exit 1; fi
    echo "packages: tests that need these programs will say \"skipped\"" >&2
    exit 0
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    give_up "this is not Debian; install by its own means: $(echo $wanted)"
fi

# npm comes with Debian's nodejs package or with Node's own; only one of them can be installed.
command -v npm >/dev/null || wanted="$wanted nodejs npm"
python3 -m pip --version >/dev/null 2>&1 || wanted="$wanted python3-pip"

missing=
for package in $wanted; do
    # Another package may bring the program too (a curl built here, say), but CI wants exactly these.
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done

# Clients that Debian does not have, or not of today. They lie in the build directory, with all they need.
libraries() {
    there="$(dirname "$0")/../target/test-clients"
    if [ ! -e "$there/node_modules/imapflow" ]; then
        echo "packages: installing imapflow into target/test-clients"
        mkdir -p "$there"
        npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$there" imapflow@2.1.0 ||
            give_up "npm could not install imapflow"
    fi
    if [ ! -e "$there/python/imapclient" ]; then
        echo "packages: installing imapclient into target/test-clients"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$there/python" imapclient==4.1.0 ||
            give_up "pip could not install imapclient"
    fi
}

[ -n "$missing" ] || {
    libraries
    exit 0
}

if [ "$(id -u)" = 0 ]; then
    as= who="root"
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as="sudo" who="sudo"
else
    give_up "not root, and sudo wants a password; missing:$missing"
fi
echo "packages: installing as $who:$missing"

# Packages start their daemons when they are installed; these are for the tests to start.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as tee "$policy" >/dev/null
    $as chmod 755 "$policy"
    trap '$as rm -f "$policy"' EXIT
fi
if command -v debconf-set-selections >/dev/null; then
    echo "postfix postfix/main_mailer_type select No configuration" | $as debconf-set-selections
fi
$as env DEBIAN_FRONTEND=noninteractive apt-get update -q || give_up "apt-get update failed"
$as env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing ||
    give_up "apt-get install failed"
libraries
