# shellcheck shell=bash
# The set-up that every script shares. Source it; it starts nothing by itself.
#
# Environment: SPK_VENV is the folder of the virtual environment (default: .venv in the checkout),
# SPK_PYTHON the Python that makes it (default: the first suitable one on PATH).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SPK_VENV=${SPK_VENV:-$ROOT/.venv}

# What building pyscard and running virtual readers takes.
READER_PACKAGES=(gcc libpcsclite-dev pcscd pkg-config swig vsmartcard-vpcd)
# The foreign tools that the tests call.
# shellcheck disable=SC2034 # the scripts that source this file name it
TEST_PACKAGES=(faketime opensc openssl softhsm2 ykcs11 yubico-piv-tool)

say() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf 'spk: %s\n' "$*" >&2
    exit 1
}

on_debian() { [[ -e /etc/debian_version ]] && command -v dpkg-query apt-get >/dev/null; }

on_debian_as_root() { on_debian && [[ $(id -u) == 0 ]]; }

# Runs a command with its output in a log, one dot per line that matches; shows the log if it fails.
run_with_dots() {
    local pattern=$1 log status=0
    shift
    log=$(mktemp)
    "$@" 2>&1 | tee "$log" | awk -v pattern="$pattern" \
        '$0 ~ pattern { printf "."; dots++; fflush() } END { if (dots) print "" }' >&2 || status=$?
    if ((status)); then
        tail -n 60 "$log" >&2
        rm -f "$log"
        return "$status"
    fi
    rm -f "$log"
}

# The first Python on PATH of 3.11 or newer that passes the probe given, if any.
find_python() {
    local candidate probe="import sys; assert sys.version_info >= (3, 11); ${1:-}"
    for candidate in "${SPK_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [[ -n $candidate ]] && "$candidate" -c "$probe" >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# A Python that can make a virtual environment and compile against its headers.
find_complete_python() {
    find_python 'import ensurepip, os, sysconfig, venv
assert os.path.exists(sysconfig.get_path("include") + "/Python.h")'
}

missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            printf '%s\n' "$package"
    done
}

# Installs the Debian packages named when root may; says what is missing otherwise.
set_up_debian() {
    on_debian || return 0
    local missing wanted=("$@")
    find_complete_python >/dev/null || wanted+=(python3 python3-dev python3-venv)
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    ((${#missing[@]})) || return 0
    if ! on_debian_as_root; then
        say "Debian packages missing: ${missing[*]}"
        say "going on without them; root installs them with: apt-get install ${missing[*]}"
        return 0
    fi
    say "installing Debian packages: ${missing[*]}"
    run_with_dots '^(Get|Hit)' apt-get -q update
    DEBIAN_FRONTEND=noninteractive run_with_dots '^(Unpacking|Setting up)' \
        apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" 9>&-
}

can_build_pyscard() {
    [[ $(uname -s) != Linux ]] && return 0
    command -v gcc swig >/dev/null && [[ -e /usr/include/PCSC/winscard.h ]]
}

# What the installation depends on: a change of any of it installs again.
installation_hash() {
    { cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" && "$1" -VV && printf '%s' "$ROOT"; } |
        sha256sum | cut -d' ' -f1
}

# Makes the virtual environment and installs this checkout into it with the extras named.
set_up_python() {
    local extras=$1 python stamp hash
    if ! can_build_pyscard; then
        [[ $extras != *dev* ]] ||
            fail "the tests need PC/SC; install the Debian packages: ${READER_PACKAGES[*]}"
        extras=archive,centre,hsm,softcard,station
        say "no PC/SC library to build against: the software card will be called in process"
    fi
    python=$(find_complete_python || find_python) ||
        fail "needs Python 3.11 or newer; name one with SPK_PYTHON=/path/to/python3"
    if [[ ! -x $SPK_VENV/bin/python ]] || ! "$SPK_VENV/bin/python" -m pip --version >/dev/null 2>&1
    then
        say "creating the virtual environment with $("$python" --version)"
        # A half-made environment is made anew; a folder that is something else is left as it is.
        [[ ! -e $SPK_VENV/pyvenv.cfg ]] || rm -rf "$SPK_VENV"
        "$python" -m venv "$SPK_VENV"
    fi
    hash=$(installation_hash "$SPK_VENV/bin/python")
    for stamp in "$extras" all,dev; do
        [[ $(cat "$SPK_VENV/.spk-$stamp" 2>/dev/null) == "$hash" ]] && return 0
    done
    say "installing spk[$extras] and what it needs"
    run_with_dots '^ *(Collecting|Building wheel|Installing)' \
        "$SPK_VENV/bin/python" -m pip install --disable-pip-version-check --no-input \
        --constraint "$ROOT/constraints.txt" --editable "${ROOT}[$extras]"
    printf '%s' "$hash" >"$SPK_VENV/.spk-$extras"
}

# Sets everything up once, even when several scripts start together.
# Arguments: the extras, then the Debian packages.
set_up() {
    local extras=$1
    shift
    mkdir -p "$(dirname "$SPK_VENV")"
    (
        ! command -v flock >/dev/null || flock 9
        set_up_debian "$@"
        set_up_python "$extras"
    ) 9>"$SPK_VENV.lock"
}
