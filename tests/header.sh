#!/bin/sh
# The public header: compiles alone and without a warning, as C11 and as C++17, with every
# compiler that is here; and tests/header/macros.c, which uses all its macros, runs in each.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
count=0

# check NAME COMMAND...
check() {
    name=$1
    shift
    count=$((count + 1))
    if ! "$@" >"$work/log" 2>&1; then
        echo "not ok $count - $name"
        sed 's/^/#   /' "$work/log" | grep -v '#   ok'
        exit 1
    fi
    echo "ok $count - $name"
}

# No documented macro is missing in macros.c. What ends in _ or declares prototypes is no part
# of the interface; the rest of the exceptions are its building blocks, which all others use.
sed -n 's/^#define \(cr_[a-z0-9_]*\|CR_[A-Z0-9_]*\)(.*/\1/p' include/chainrule.h include/chainrule/*.h | sort -u |
    grep -vE '_$|^CR_(UNARY$|BINARY$|DECLARE_|SET_|OPTS|BEHIND_|SIGNED$|UNSIGNED$|COUNT$|SECOND$|SET$|DIM_OR_ALL$|DIM_ARG$|API$|FORMAT$|TEXT$|JOIN$|FIRST$|ARG$|READS_INPUT$)' \
        >"$work/macros"
while read -r macro; do
    grep -q "\\<$macro(" tests/header/macros.c tests/header/*.inc ||
        echo "$macro is not used in macros.c"
done <"$work/macros" >"$work/missing"
check "$(wc -l <"$work/macros") macros are used" test ! -s "$work/missing"

# refused COMPILER LANGUAGE STANDARD: no call of refused.txt compiles. Each is a function on a line of
# its own, and there is an error on every line.
refused() {
    case $1 in
    g*) all="-fmax-errors=0 -ftrack-macro-expansion=0" ;;
    *) all="-ferror-limit=0" ;;
    esac
    grep -v '^#' tests/header/refused.txt | awk 'BEGIN { print "#include <chainrule.h>" } {
        printf "void f%d(cr_ctx *ctx, cr_tensor *x, int n, const cr_params *params) ", NR
        printf "{ (void)ctx, (void)x, (void)n, (void)params; (void)(%s); }\n", $0
    }' >"$work/calls.c"
    # shellcheck disable=SC2086 # words are meant to be split here
    LC_ALL=C "$1" -std="$3" -Iinclude -w $all -x "$2" -fsyntax-only "$work/calls.c" 2>&1 |
        sed -n 's/^[^ ]*calls\.c:\([0-9]*\):.*error: .*/\1/p' >"$work/errors"
    awk 'NR == FNR { wrong[$1] = 1; next } FNR > 1 && !(FNR in wrong) { print "compiles: " $0 }' \
        "$work/errors" "$work/calls.c" >"$work/accepted"
    cat "$work/accepted"
    test ! -s "$work/accepted" -a -s "$work/errors"
}

# remarked COMPILER LANGUAGE STANDARD: a plain number for an optional one is an error, or a warning
# that nobody has to ask for.
remarked() {
    for call in "cr_embedding(x, x, .padding_idx = 0)" "cr_nll_loss(x, x, .ignore_index = 1)" \
        "cr_softplus(x, .threshold = 0)" "cr_var(x, 1, .correction = 0)"; do
        printf '#include <chainrule.h>\nvoid f(cr_tensor *x);\nvoid f(cr_tensor *x) { %s; }\n' \
            "$call" >"$work/call.c"
        ! "$1" -std="$3" -Iinclude -Werror -x "$2" -fsyntax-only "$work/call.c" 2>/dev/null ||
            echo "$call passes without a word"
    done >"$work/accepted"
    cat "$work/accepted"
    test ! -s "$work/accepted"
}

libraries="$build/libchainrule.a -lm -lpthread"
if nm "$build/libchainrule.a" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_'; then
    libraries="" # built with sanitizers: the programs are compiled only
fi
check "the harness" cc -std=c11 -c -o "$work/tap.o" tests/support/tap.c
for language in "gcc c c11 -Wstrict-prototypes" "clang c c11 -Wstrict-prototypes" \
    "g++ c++ c++17" "clang++ c++ c++17" "g++ c++ c++20" "clang++ c++ c++20"; do
    # shellcheck disable=SC2086 # words are meant to be split here
    set -- $language
    command -v "$1" >/dev/null || continue
    compile="$1 -std=$3 $warnings ${4:-} -Iinclude"
    echo '#include <chainrule.h>' >"$work/alone.c"
    [ "$3" = c++20 ] || check "calls that are none: $1, $3" refused "$1" "$2" "$3"
    check "plain numbers for optional ones: $1, $3" remarked "$1" "$2" "$3"
    check "the header alone: $1, $3" $compile -x "$2" -fsyntax-only "$work/alone.c"
    check "its macros: $1, $3" $compile -x "$2" -c -o "$work/macros.o" tests/header/macros.c
    if [ -n "$libraries" ]; then
        check "linked: $1, $3" "$1" -o "$work/program" "$work/macros.o" "$work/tap.o" $libraries
        check "run: $1, $3" "$work/program"
    fi
done
echo "1..$count"
