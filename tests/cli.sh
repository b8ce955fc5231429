#!/bin/sh
# The chainrule program: it helps when asked, finds names that are nearly right, the C call that
# it shows of each operation compiles, it prints plans and graphs, diagnoses, knows theory, draws
# maps, and what is stored of its help is what it says.
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
for command in flow "flow theory" "flow map" lesson ops plan profile graph check completion version help; do
    # shellcheck disable=SC2086 # commands of two words
    check "help $command" says "$program" help $command
    # shellcheck disable=SC2086
    check "$command --help" says "$program" $command --help
    check "which the overview has" sh -c "'$program' help | grep -q '^  $command  *[^ ]'"
done
"$program" help --man >"$work/man"
check "docs/chainrule.1 is what chainrule help --man writes" diff docs/chainrule.1 "$work/man"
for shell in bash zsh; do
    "$program" completion $shell >"$work/completion"
    check "docs/completion/chainrule.$shell is what chainrule completion $shell writes" \
        diff docs/completion/chainrule.$shell "$work/completion"
done
check "completion of no shell" fails 2 "$program" completion fish
if command -v bash >/dev/null; then
    # completes WANTED WORD...: of the last word.
    cat >"$work/complete" <<'END'
PATH=$1:$PATH
want=$2
shift 2
. docs/completion/chainrule.bash
COMP_WORDS=(chainrule "$@")
COMP_CWORD=$#
_chainrule
case " ${COMPREPLY[*]} " in *" $want "*) exit 0 ;; esac
echo "wanted $want, there are: ${COMPREPLY[*]}"
exit 1
END
    check "completion of a command" bash "$work/complete" "$build" theory flow th
    check "of an option" bash "$work/complete" "$build" --residual flow --res
    check "of an option's word" bash "$work/complete" "$build" gelu flow theory --activation ge
    check "of an operation" bash "$work/complete" "$build" softmax ops softm
    check "of a graph" bash "$work/complete" "$build" mlp_small graph mlp
fi

# Wrong options: status 2, and what was meant.
wrong() {
    said=$1
    shift
    check "chainrule $*" fails 2 "$program" "$@"
    check "which is said: $said" grep -q -e "$said" "$work/err"
}
wrong "did you mean --depth?" flow --dept 3
wrong "did you mean gelu" flow --activation gleu
wrong "it must be from 1 to" flow --depth 0
wrong "that is no number" flow --lr fast
wrong "a whole number" flow --width 1.5
wrong "its value is missing" flow --depth
wrong "is no option" flow now
wrong "it takes no value" ops --page=1
wrong "did you mean depth" flow map --x depht
wrong "a range is two numbers" flow map --x depth=5
wrong "of its words" flow map --x norm=bitch
wrong "both axes are the same" flow map --x depth
wrong "a grid is 20x20" flow map --grid 20
wrong "no_such_file" flow --data "$work/no_such_file"
wrong "64 pixels and a digit" flow --data README.md
wrong "did you mean ops" opps

# The diagnosis: a healthy network, and one that vanishes.
healthy="--depth 3 --activation relu --init he --norm batch --batch 32 --steps 6"
# shellcheck disable=SC2086 # options are words
check "a healthy network" sh -c "'$program' flow $healthy >'$work/out'"
check "says so" grep -qi healthy "$work/out"
check "without colours, since nobody looks" test "$(grep -c "$(printf '\033')" "$work/out")" -eq 0
got=0
"$program" flow --depth 30 --steps 3 --html "$work/report.html" --svg "$work/report.svg" \
    --json "$work/report.json" --csv "$work/report.csv" --tensorboard "$work/report.tb" \
    >"$work/out" 2>"$work/err" || got=$?
check "thirty sigmoids: an alarm" test "$got" -eq 1
check "which is vanishing" grep -q "^ALARM *vanishing" "$work/out"
check "and no progress in a file" test ! -s "$work/err"
for file in html svg json csv tb; do
    check "report.$file" test -s "$work/report.$file"
done
got=0
"$program" flow --depth 30 --steps 1 --json - >"$work/out" || got=$?
check "JSON alone on standard output" sh -c "head -c 1 '$work/out' | grep -q '{' && test $got -eq 1"
check "a report that cannot be written" sh -c \
    "'$program' flow --depth 2 --steps 1 --html '$work/no/report.html' >/dev/null 2>'$work/err'; test \$? -eq 2"
check "random images need no file" sh -c "cd / && CHAINRULE_DIGITS=/nowhere '$(cd "$build" && pwd)/chainrule' flow \
    --depth 2 --activation relu --init he --task random --steps 2 >'$work/out' || test \$? -eq 1"

# Theory: sigmoid with default weights loses 0.85 decades by layer; tanh has its edge at 1.
"$program" flow theory --activation sigmoid --init default --depth 30 >"$work/out"
check "0.85 decades" grep -q "^these  *0.3333  *[0-9.]*  *[0-9.]*  *0.1414  *-0.849" "$work/out"
check "10^-24.6 over 30 layers" grep -q "layer  *1  *-24.6" "$work/out"
"$program" flow theory --activation tanh >"$work/out"
check "the edge of chaos" grep -q "^sigma_w2  *1 .*1.761" "$work/out"
check "all activations" test "$("$program" flow theory --list | wc -l)" -gt 15

# Maps: two threads as one, an interrupted one goes on, another one's cells are refused.
map="--grid 3x2 --y depth=2:8 --steps 20 --width 16 --lr 0.05"
# shellcheck disable=SC2086
{
    "$program" flow map $map --threads 1 --resume "$work/cells1" >"$work/map1" 2>"$work/err"
    "$program" flow map $map --threads 2 --resume "$work/cells2" >"$work/map2" 2>>"$work/err"
}
check "a map" grep -q "depth upwards" "$work/map1"
check "no progress in a file" test ! -s "$work/err"
check "the same for any number of threads" diff "$work/map1" "$work/map2"
sort "$work/cells1" >"$work/sorted1"
sort "$work/cells2" >"$work/sorted2"
check "to the last digit" diff "$work/sorted1" "$work/sorted2"
head -n 4 "$work/cells1" >"$work/cells"
printf '2 1 0.5' >>"$work/cells"
# shellcheck disable=SC2086
"$program" flow map $map --resume "$work/cells" --html "$work/map.html" >"$work/map3"
check "one that was interrupted ends as the others" diff "$work/map1" "$work/map3"
check "each cell once, and what was cut off" test "$(wc -l <"$work/cells")" -eq 8
# shellcheck disable=SC2086
check "cells of another map" fails 2 "$program" flow map $map --steps 21 --resume "$work/cells"
check "the map's page" sh -c "grep -q '</svg>' '$work/map.html' && ! grep -q 'http' '$work/map.html'"

check "a graph" sh -c "'$program' graph mlp_small | grep -q 'linear.*f32 .32, 10.'"
check "whose braces close" sh -c "'$program' graph tiny | tail -n 1 | grep -q '^}'"
check "of nothing known" fails 1 "$program" graph mpl_small
check "which is nearly something" grep -q "did you mean mlp_small" "$work/err"
check "this build" sh -c "'$program' check | grep -q 'as on every machine'"

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

check "chainrule profile" sh -c \
    "'$program' profile tiny --steps 3 --trace '$work/trace.json' | grep -q 'by operation'"
check "and writes a trace" grep -q traceEvents "$work/trace.json"
check "a profile of nothing known" fails 1 "$program" profile sofmax

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
