#!/bin/sh
# The chainrule program: it helps when asked, finds names that are nearly right, the C call that
# it shows of each operation compiles, and it prints plans.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
program="$build/chainrule"

# check NAME COMMAND...
check() {
    name=$1
    shift
    count=$((count + 1))
    if ! "$@" >"$work/log" 2>&1; then
        echo "not ok $count - $name"
        sed 's/^/#   /' "$work/log"
        exit 1
    fi
    echo "ok $count - $name"
}

# fails STATUS COMMAND...: with that status, and nothing on stdout.
fails() {
    want=$1
    shift
    got=0
    "$@" >"$work/out" 2>"$work/err" || got=$?
    cat "$work/err"
    test "$got" -eq "$want" && test ! -s "$work/out" && test -s "$work/err"
}

says() {
    "$@" 2>"$work/err" | grep -q . && test ! -s "$work/err"
}

for word in help --help -h version --version -V; do
    check "chainrule $word" says "$program" "$word"
done
check "no command" fails 2 "$program"
check "an unknown command" fails 2 "$program" opps
for pair in sofmax:softmax matmull:matmul crossentropy:cross_entropy agrmax:argmax \
    softma:softmax layernorm:layer_norm; do
    check "${pair%:*} is nearly ${pair#*:}" fails 1 "$program" ops "${pair%:*}"
    check "which is said" grep -q "did you mean .*${pair#*:}.*?" "$work/err"
done
check "nothing is like it" fails 1 "$program" ops qqqqqqqqq
check "and nothing is said to be" test "$(grep -c 'did you mean' "$work/err")" -eq 0

check "chainrule plan" says "$program" plan
check "lists what it has plans of" test "$("$program" plan | grep -c '^[a-z_]*  *[^ ]')" -ge 12
check "a plan" says "$program" plan tiny
for word in "group 1: " "commit point" "memory: peak" "reads " "softmax"; do
    check "which says '$word'" sh -c "'$program' plan softmax | grep -q '$word'"
done
check "of a second step too" sh -c "'$program' plan mlp_small | grep -q 'The second step:'"
check "the same each time" sh -c "test \"\$('$program' plan mlp_small)\" = \"\$('$program' plan mlp_small)\""
check "a plan of nothing known" fails 1 "$program" plan sofmax
check "which is said" grep -q "chainrule plan lists all" "$work/err"

"$program" ops | sed 's/ .*//' >"$work/names"
# shellcheck disable=SC2046 # names are words
"$program" ops $(cat "$work/names") >"$work/calls"
check "every operation has a call" \
    test "$(grep -c '^    C: ' "$work/calls")" -eq "$(wc -l <"$work/names")"

"$program" ops --page >"$work/page"
check "docs/operations.md is what chainrule ops --page writes" diff docs/operations.md "$work/page"

# A function for each operation, with a variable for each name that its call uses.
awk '
function finish() {
    if (call != "")
        declare_rest()
    if (call != "")
        print "static void use_" ++functions "(cr_ctx *ctx)\n{\n" \
            "    (void)ctx;\n" variables "    (void)(" call ");\n}"
    call = ""
}
/^[a-z]/ {
    finish()
    text = $0
    sub(/^[^(]*\(/, "", text)
    several = text ~ /\.\.\./
    gsub(/[][),.]/, " ", text)
    n = split(text, words, " ")
    variables = ""
    for (i = 1; i <= n; i++)
        variables = variables "    cr_tensor *" (several && i == n ? "*" : "") words[i] " = NULL;\n"
    if (several)
        variables = variables "    int n = 0;\n    (void)n;\n"
}
# Names that are no inputs: of lists, and of other results, which go through pointers.
function declare_rest(    n, i, word, words, text) {
    text = call
    gsub(/\.[a-z_0-9]+ =/, " ", text)
    n = split(text, words, /[^A-Za-z_0-9]+/)
    for (i = 2; i <= n; i++) {
        word = words[i]
        if (word ~ /^[a-z]/ && word !~ /^cr_|^ctx$/ && variables !~ ("[* ]" word "[ [;]"))
            variables = variables "    " (word == "n" || word == "capacity" ? "int " word " = 0" : \
                word == "parts" ? "cr_tensor *parts[1]" : "cr_tensor **" word " = NULL") ";\n"
    }
}
/^    C: / { call = substr($0, 8) }
/^    [a-z_0-9]+ +(bool|integer|real|number|integers|reals|word|dtype|text) / {
    type = $2 == "bool" ? "bool" : $2 == "real" || $2 == "number" ? "double" : \
        $2 == "integers" ? "cr_dims" : $2 == "reals" ? "cr_reals" : \
        $2 == "dtype" ? "cr_dtype" : $2 == "text" ? "const char *" : "int"
    if (variables !~ ("[*]" $1 " "))
        variables = variables "    " type " " $1 " = " (type ~ /^cr_[dr][ie][ma]/ ? "{ .n = 0 }" : \
        type == "cr_dtype" ? "CR_F32" : "0") ";\n    (void)" $1 ";\n"
}
END { finish() }
' "$work/calls" >"$work/body"
{
    echo '#include <chainrule.h>'
    cat "$work/body"
    echo 'int main(void)'
    echo '{'
    sed -n 's/^static void \(use_[0-9]*\).*/    (void)\1;/p' "$work/body"
    echo '}'
} >"$work/calls.c"
check "and each compiles" cc -std=c11 -Wall -Wextra -Werror -Iinclude -fsyntax-only "$work/calls.c"
check "all of them" \
    test "$(grep -c '^static void use_' "$work/calls.c")" -eq "$(wc -l <"$work/names")"
echo "1..$count"
