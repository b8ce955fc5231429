#!/bin/sh
# The lines of C that a remedy's trial prints are what was tried: a program made of them compiles
# without warnings, and its networks are those of the trials, parameter by parameter.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if nm "$build/libchainrule.a" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_'; then
    echo "1..0 # SKIP the library is built with sanitizers"
    exit 0
fi
"$build/tests/flow_repair" --code >"$work/code.c"
"$build/tests/flow_repair" --networks >"$work/tried"
echo "1..2"
if ${CC:-cc} -std=c11 -Wall -Wextra -Wno-unused-parameter -Werror -Iinclude -Itests/support \
    -o "$work/code" "$work/code.c" ${LDFLAGS:-} "$build/libchainrule.a" -lm -lpthread; then
    echo "ok 1 - $(grep -c '^static void apply' "$work/code.c") remedies compile"
else
    echo "not ok 1 - the lines of the remedies compile"
    exit 1
fi
if "$work/code" >"$work/applied" && cmp "$work/tried" "$work/applied"; then
    echo "ok 2 - $(wc -l <"$work/tried") networks are those that were tried"
else
    diff "$work/tried" "$work/applied" | head -20 | sed 's/^/# /'
    echo "not ok 2 - the networks are those that were tried"
    exit 1
fi
