#!/bin/sh
# Installs the build into a folder of its own, moves that folder, and builds a program against
# it as a user would: with CMake's find_package and with pkg-config, shared and static.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
cc=${CC:-cc}
program=bench/tiny.c
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

if nm "$build/libchainrule.a" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_'; then
    echo "1..0 # SKIP the library is built with sanitizers"
    exit 0
fi

# check NAME COMMAND...: the command prints the tiny graph's gradient.
check() {
    name=$1
    shift
    count=$((count + 1))
    printed=$("$@") || true
    if [ "$printed" != 52.1711 ]; then
        echo "not ok $count - $name: printed \"$printed\", not 52.1711"
        exit 1
    fi
    echo "ok $count - $name"
}

cmake --install "$build" --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/prefix"
lib=$(dirname "$(find "$work/prefix" -name libchainrule.a)")
for file in include/chainrule.h include/chainrule/core.h bin/chainrule \
    share/man/man1/chainrule.1 share/bash-completion/completions/chainrule \
    share/zsh/site-functions/_chainrule; do
    [ -e "$work/prefix/$file" ] || { echo "not ok - $file is not installed"; exit 1; }
done
check "version of the installed program" sh -c \
    "'$work/prefix/bin/chainrule' --version | grep -q '^chainrule [0-9.]* (' && echo 52.1711"

check "which finds the digits in the folder that was moved" sh -c \
    "cd / && '$work/prefix/bin/chainrule' flow map --grid 1x1 --y depth=2:3 --steps 1 >'$work/log' && echo 52.1711"

cmake -S tests/install -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DCMAKE_C_COMPILER="$cc" -DSOURCE="$PWD/$program" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/cmake" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
check "find_package, shared" "$work/cmake/tiny_chainrule"
check "find_package, static" "$work/cmake/tiny_static"
check "find_package, the diagnosis, shared" "$work/cmake/on_flow"
check "find_package, the diagnosis, static" "$work/cmake/on_flow_static"

if command -v pkg-config >/dev/null; then
    export PKG_CONFIG_PATH="$lib/pkgconfig"
    # shellcheck disable=SC2046 # the answers of pkg-config are lists of words
    $cc -o "$work/shared" "$program" $(pkg-config --cflags --libs chainrule)
    $cc -static -o "$work/static" "$program" $(pkg-config --static --cflags --libs chainrule)
    # shellcheck disable=SC2046
    $cc -o "$work/flow" tests/install/flow.c $(pkg-config --cflags --libs chainrule_flow)
    # shellcheck disable=SC2046
    $cc -static -o "$work/flow_static" tests/install/flow.c \
        $(pkg-config --static --cflags --libs chainrule_flow)
    check "pkg-config, the diagnosis, shared" env LD_LIBRARY_PATH="$lib" "$work/flow"
    check "pkg-config, the diagnosis, static" "$work/flow_static"
    check "pkg-config, shared" env LD_LIBRARY_PATH="$lib" "$work/shared"
    check "pkg-config, static" "$work/static"
fi
echo "1..$count"
