#!/bin/sh
# Checks the house rules that a machine can check: layout, calls that a library must not make,
# sizes of files, and, where BUILD (build) holds the libraries, what they export and weigh.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
report=$(mktemp)
trap 'rm -f "$report" "$report.so" "$report.names"' EXIT

# complain WHAT: the offending lines are on standard input; nothing there is a pass.
complain() {
    awk -v what="$1" 'NR == 1 { print "style: " what ":" } { print "    " $0 }' >>"$report"
}

files=$(find include src cli examples tests bench -name '*.[ch]' -o -name '*.cpp' | sort)

# The public headers are laid out by hand: as a manual, with tables.
if command -v clang-format >/dev/null; then
    for file in $files; do
        [ "${file#include/}" != "$file" ] ||
            clang-format --dry-run -Werror "$file" >/dev/null 2>&1 || echo "$file"
    done | complain "clang-format -i would change"
else
    echo "style: clang-format is not installed: layout not checked"
fi

# The preprocessor takes the comments out, so that they may speak of what code must not do.
for file in src/*/*.[ch]; do
    code=$(${CC:-cc} -fpreprocessed -dD -E -w "$file" | grep -v '^#')
    [ "$file" = src/base/compiler.h ] || printf '%s\n' "$code" |
        grep -E '(^|[^>._a-z])(exit|_exit|_Exit|quick_exit|abort|assert|signal|sigaction|raise) *\(' |
        complain "$file: a library never ends its host"
    # but for a profile that the environment asks for
    printf '%s\n' "$code" | grep -v 'cr__write_profile\|fopen(name, "w") : stderr' |
        grep -E '\<(printf|puts|putchar|perror|vprintf) *\(|stdout|stderr' |
        complain "$file: a library prints nothing"
    case $file in src/base/* | src/flow/*) continue ;; esac # flow is a user of the library
    printf '%s\n' "$code" | grep -E '(^|[^>._a-z])(malloc|calloc|realloc|strdup|alloca) *\(' |
        complain "$file: memory comes from the context"
done

# Other names than folders make: what is one file in the amalgamation, and in a debugger.
find src include -type f | sed 's|.*/||' | sort | uniq -d | complain "two files have this name"

git ls-files 2>/dev/null | grep -E '(^|/)CMake(Cache|Files)|\.(o|d|a|so|exe|log)$' |
    complain "made by a build, and committed"

grep -nE '\<(TOD[O]|FIXM[E]|XX[X])\>|^ *# *if +0\>' $files | complain "no notes, no dead code"
grep -nE '^(static )?const cr_op +[a-z_0-9]+ *=' src/ops/*.[ch] | complain "entries are opened by CR__OP()"
grep -nE '	| $' $files | complain "tabs or blanks at the end"
grep -LE '^/\*' $files | complain "a file opens with what it owns"
wc -l $files | awk '$2 != "total" && $1 > 1200' |
    complain "a file has at most 1200 lines"
awk 'length > 100 { print FILENAME ":" FNR ": " length }' include/*.h include/*/*.h |
    complain "a public header has at most 100 columns"

shared=$build/libchainrule.so
if [ -e "$shared" ] && ! nm "$shared" | grep -qE '__(asan|tsan)_'; then
    nm -D --defined-only "$shared" | awk '$3 !~ /^cr_[a-z]/' | complain "exported, and not cr_*"
    nm -D --defined-only "$shared" | awk '$3 ~ /^cr__/' | complain "private, and exported"
    nm -g --defined-only "$build/libchainrule.a" | awk 'NF == 3 && $3 !~ /^cr_/' |
        complain "visible to the linker, and neither cr_* nor cr__*"
    nm -D --defined-only "$shared" >"$report.names"
    grep '^OP(' src/ops/ops.inc | grep -oE '\<OP\([a-z0-9_]+\)' | tr -d ')' | cut -d'(' -f2 |
        while read -r op; do
            grep -q " cr_${op}_at\$" "$report.names" || echo "cr_${op}_at"
        done | complain "an operation that is listed has no public function"
    grep -aoE "$PWD/[a-z_/]+\.[ch]" "$shared" | sort -u |
        complain "the library names the folder where it was built"
    strip -o "$report.so" "$shared"
    bytes=$(wc -c <"$report.so")
    echo "style: the stripped shared library has $bytes bytes"
    [ "$bytes" -le 1415577 ] || echo "$bytes bytes" | complain "a library of more than 1.35 MiB"
fi

cat "$report"
if [ -s "$report" ]; then
    exit 1
fi
echo "style: no complaints"
