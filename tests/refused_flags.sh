#!/bin/sh
# Compilers that are told to change the arithmetic: refused when compiling where that can be
# seen, else when a context opens. With each compiler of COMPILERS (default: gcc and clang,
# where installed).
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

cat >"$work/open.c" <<'END'
#include <chainrule.h>
#include <stdio.h>
static void say(void *user, const char *line)
{
    (void)user;
    printf("%.27s\n", line);
}
int main(void)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .log = say });
    printf(ctx ? "opens\n" : "");
    cr_close(ctx);
    return 0;
}
END

# result PASSED TEXT
result() {
    count=$((count + 1))
    [ "$1" = 1 ] || { echo "not ok $count - $2"; echo "1..$count"; exit 1; }
    echo "ok $count - $2"
}

# What a build with these flags prints; "refused" if it does not compile. Of the library the file
# that looks is built so; the rest, which does not look, is that of the build.
outcome() {
    "$@" -O1 -Iinclude "$work/open.c" src/kernel/sound.c "$build/libchainrule.a" -lm -lpthread \
        -o "$work/open" \
        2>"$work/errors" || { grep -q "defined to the bit" "$work/errors" && echo refused; return; }
    "$work/open"
}

for cc in ${COMPILERS:-gcc clang}; do
    if ! command -v "$cc" >/dev/null; then
        count=$((count + 1))
        echo "ok $count # SKIP $cc is not installed"
        continue
    fi
    got=$(outcome "$cc" -ffinite-math-only -fsyntax-only || true)
    result $([ "$got" = refused ] && echo 1 || echo 0) "$cc -ffinite-math-only: $got"
    case $("$cc" --version) in
    *clang*)
        for flag in -ffp-contract=fast -funsafe-math-optimizations; do
            got=$(outcome "$cc" $flag)
            result $([ "$got" = "open: the compiler did not " ] && echo 1 || echo 0) \
                "$cc $flag: $got"
        done ;;
    *)
        got=$(outcome "$cc" -funsafe-math-optimizations -fsyntax-only || true)
        result $([ "$got" = refused ] && echo 1 || echo 0) \
            "$cc -funsafe-math-optimizations: $got" ;;
    esac
done
echo "1..$count"
