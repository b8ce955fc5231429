#!/bin/sh
# The libraries as plain sources: one compiler command, no flags for any file. With each compiler
# of COMPILERS (default: that of the build) the tiny graph's gradient is 52.1711.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

for cc in ${COMPILERS:-${CC:-cc}}; do
    count=$((count + 1))
    if ! command -v "$cc" >/dev/null; then
        echo "ok $count # SKIP $cc is not installed"
        continue
    fi
    "$cc" -Iinclude src/*/*.c bench/tiny.c -lm -lpthread -o "$work/tiny"
    printed=$("$work/tiny") || true
    if [ "$printed" != 52.1711 ]; then
        echo "not ok $count - $cc: printed \"$printed\", not 52.1711"
        exit 1
    fi
    echo "ok $count - $cc"
done
echo "1..$count"
