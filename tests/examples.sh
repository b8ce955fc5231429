#!/bin/sh
# Runs the examples as a reader would, and checks what they claim: the tiny graph's gradient, the
# custom operation's check, the line fitted in C++, and at least 97.5% of the held out digits for
# five seeds.
set -eu
cd "$(dirname "$0")/.."
examples=${BUILD:-build}/examples
count=0

# check NAME CONDITION...: one line of TAP.
check() {
    name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        failed=1
    fi
}

failed=0
printed=$("$examples/01_chain_rule")
check "by hand and by machine: 52.1711" \
    test "$(printf '%s\n' "$printed" | grep -c ' 52\.1711$')" = 2
printed=$("$examples/02_deep_sigmoid")
check "fifty sigmoids: subnormal" test -n "$(printf '%s\n' "$printed" | grep subnormal)"
printed=$("$examples/03_vanishing")
check "thirty layers: seven stacks of each, batch norm alive" \
    test "$(printf '%s\n' "$printed" | grep -c '  \(alive\|fades\|vanishes\|explodes\)$')" = 14 \
    -a -n "$(printf '%s\n' "$printed" | grep 'sigmoid, batch norm.*alive$')"
check "the custom operation's gradients" "$examples/04_custom_op"
printed=$("$examples/07_diagnosis")
check "the diagnosis: it vanishes; residual branches are proven, clipping is not" \
    test -n "$(printf '%s\n' "$printed" | grep '^ALARM *vanishing')" \
    -a -n "$(printf '%s\n' "$printed" | grep '^accepted *residual')" \
    -a -n "$(printf '%s\n' "$printed" | grep '^rejected *clip')"
if [ -x "$examples/06_cpp" ]; then
    printed=$("$examples/06_cpp")
    check "C++: the line in spite of the point far off" \
        test -n "$(printf '%s\n' "$printed" | grep '^y = 2\.0. x -1\.00$')"
fi
for seed in 1 2 3 4 5; do
    accuracy=$("$examples/05_digits" $seed | sed -n 's/^test accuracy \([0-9.]*\)%.*/\1/p')
    check "digits, seed $seed: $accuracy%" \
        awk -v a="$accuracy" 'BEGIN { exit !(a >= 97.5) }'
done
echo "1..$count"
exit $failed
