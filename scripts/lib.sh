# Sourced by every script here: finds the repository and makes the machine ready.
# shellcheck shell=bash
#
# Nothing in this file writes to stdout: what a script prints there is the
# output of the program it runs, and may be a pipe's input.
#
#   PINFOLD_NO_INSTALL=1   never install system packages, only say which are missing
#   CARGO_TARGET_DIR       honoured as cargo does; the default is target/ in the repository

PINFOLD_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s\n' "$*" >&2; }

# die STATUS MESSAGE...: 2 means "could not start", as it does for the tool itself.
die() {
    local status=$1
    shift
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$status"
}

# The target directory, absolute, so that it means the same from any directory.
# CARGO_BUILD_TARGET would move the binaries to a place the scripts do not look in.
case ${CARGO_TARGET_DIR:-} in
'') CARGO_TARGET_DIR=$PINFOLD_ROOT/target ;;
/*) ;;
*) CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;;
esac
export CARGO_TARGET_DIR
unset CARGO_BUILD_TARGET

# in_root COMMAND...: runs it at the repository's top, so that cargo reads this
# project's settings and not those of the directory the caller happens to be in.
in_root() { (cd -- "$PINFOLD_ROOT" && "$@"); }

# The Debian packages whose contents are not here. Asks the tools that will use
# them, not the package manager: that is quicker (about 20 ms for all), and also right on
# systems which name their packages differently.
missing_packages() {
    if ! command -v cc >/dev/null; then
        # `cc` without the C library's start files and headers cannot link a Rust program.
        printf '%s\n' gcc libc6-dev
    elif ! printf '#include <stdlib.h>\n' | cc -E -x c - >/dev/null 2>&1; then
        printf '%s\n' libc6-dev
    fi
    if ! command -v pkg-config >/dev/null; then
        printf '%s\n' pkg-config libhwloc-dev libudev-dev
        return
    fi
    pkg-config --exists 'hwloc >= 2.8' || printf '%s\n' libhwloc-dev
    pkg-config --exists libudev || printf '%s\n' libudev-dev
}

install_packages() {
    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then as_root=(sudo -n); fi
    # apt waits for a lock that another run holds, rather than failing at once.
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
    "${apt[@]}" update >&2 </dev/null &&
        "${apt[@]}" install -y --no-install-recommends "$@" >&2 </dev/null
}

may_install() {
    [[ -z ${PINFOLD_NO_INSTALL:-} ]] && command -v apt-get >/dev/null || return 1
    [[ $(id -u) -eq 0 ]] || sudo -n true 2>/dev/null
}

need_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} -eq 0 ]] && return
    local command="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if may_install; then
        say "installing system packages: ${missing[*]}"
        install_packages "${missing[@]}" ||
            die 2 "could not install them; try as root: $command"
        mapfile -t missing < <(missing_packages)
        [[ ${#missing[@]} -eq 0 ]] ||
            die 2 "installed, yet still not usable: ${missing[*]} (hwloc must be 2.8 or newer)"
        return
    fi
    if command -v apt-get >/dev/null; then
        die 2 "missing system packages: ${missing[*]}
Install them as root, then run this again:
    $command"
    fi
    die 2 "missing system packages, by their Debian names: ${missing[*]}
Install what your system calls them (a C compiler with the C library's headers,
pkg-config, and the development files of hwloc 2.8 or newer and of libudev), then run this again."
}

# Succeeds when the cargo on PATH is as new as Cargo.toml's rust-version.
cargo_is_new_enough() {
    local have
    command -v cargo >/dev/null || return 1
    have=$(in_root cargo --version 2>/dev/null) || return 1
    have=${have#cargo }
    have=${have%%[ -]*}
    # The older of the two sorts first; it must be the one we ask for.
    [[ $(printf '%s\n' "$RUST_NEEDED" "$have" | sort -V | head -n 1) == "$RUST_NEEDED" ]]
}

need_rust() {
    RUST_NEEDED=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$PINFOLD_ROOT/Cargo.toml" | head -n 1)
    cargo_is_new_enough && return
    # rustup puts cargo on PATH for new shells only, and a distribution's
    # older cargo may stand before it.
    local env_file=${CARGO_HOME:-${HOME:-}/.cargo}/env
    if [[ -r $env_file ]]; then
        # shellcheck disable=SC1090 # written by rustup, not part of this repository
        . "$env_file"
        PATH=${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH
        hash -r
        cargo_is_new_enough && return
    fi
    local found="there is no cargo on PATH"
    if command -v cargo >/dev/null; then found="found only $(in_root cargo --version 2>&1 | head -n 1)"; fi
    die 2 "Rust $RUST_NEEDED or newer is needed; $found.
Get it from https://rustup.rs :
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y
or, where rustup is already here:
    rustup update stable"
}

# Everything a build needs. The second time it only looks, in a few hundredths of a second.
set_up() {
    [[ $(uname -s) == Linux ]] || die 2 "pinfold runs on Linux only"
    need_packages
    need_rust
}

# c_program PROFILE SOURCE DIRECTORY [FLAG...]: compiles a test program of ffi/tests, in C or C++, with the library
# of target/PROFILE to DIRECTORY/program; it finds the library in DIRECTORY.
c_program() {
    local profile=$1 source=$2 directory=$3 compiler=(cc -std=c11)
    shift 3
    if [[ $source == *.cpp ]]; then compiler=(c++ -std=c++17); fi
    ln -sf "$CARGO_TARGET_DIR/$profile/libpinfold_c.so" "$directory/libpinfold.so"
    ln -sf "$CARGO_TARGET_DIR/$profile/libpinfold_c.so" "$directory/libpinfold.so.0"
    in_root "${compiler[@]}" -D_GNU_SOURCE -g -O2 -pthread -Wall -Wextra -Wpedantic -Werror \
        -Iffi/include -Iffi/tests/c -Iffi/tests "$@" "$source" -o "$directory/program" \
        -L "$directory" -lpinfold "-Wl,-rpath,$directory"
}
