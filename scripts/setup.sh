# Sourced by the other scripts: goes to the repository's root and sees to what the build needs. That is Rust, and for
# libjpeg-turbo, which is compiled along, a C compiler, cmake and (on x86-64) nasm.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v cargo >/dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
if ! command -v cargo >/dev/null; then
    echo "cargo is missing. Install Rust from https://rustup.rs, then run this again." >&2
    exit 1
fi
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(rustc --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n1)" != "$wanted" ]; then
    echo "Rust $wanted or newer is needed, this is $found: run 'rustup update', or get it from https://rustup.rs." >&2
    exit 1
fi

# A script that needs more names the packages in needs_too.
missing=(${needs_too[@]+"${needs_too[@]}"})
command -v cc >/dev/null && command -v make >/dev/null || missing+=(build-essential)
command -v cmake >/dev/null || missing+=(cmake)
[ "$(uname -m)" != x86_64 ] || command -v nasm >/dev/null || missing+=(nasm)
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
        echo "Installing ${missing[*]}" >&2
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >&2
    else
        echo "The build needs ${missing[*]}. Install them, on Debian and Ubuntu with" >&2
        echo "    sudo apt-get install ${missing[*]}" >&2
        echo "then run this again." >&2
        exit 1
    fi
fi

release="${CARGO_TARGET_DIR:-target}/release"
