#!/bin/sh
# The library as two files, chainrule.c and chainrule.h, in a folder of their own: one command of
# each compiler of COMPILERS (default: gcc and clang, where installed) builds the tiny graph with
# them, without a warning, and its gradient is 52.1711.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

tools/amalgamate.sh "$work"
cp bench/tiny.c "$work/program.c"
cd "$work"
for cc in ${COMPILERS:-gcc clang}; do
    count=$((count + 1))
    if ! command -v "$cc" >/dev/null; then
        echo "ok $count # SKIP $cc is not installed"
        continue
    fi
    "$cc" -Wall -Wextra -Werror -I. program.c chainrule.c -lm -lpthread -o tiny
    printed=$(./tiny) || true
    if [ "$printed" != 52.1711 ]; then
        echo "not ok $count - $cc: printed \"$printed\", not 52.1711"
        exit 1
    fi
    echo "ok $count - $cc"
done
echo "1..$count"
