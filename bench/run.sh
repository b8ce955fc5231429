#!/bin/sh
# Compares build/bench/peer with every peer that is there, with 1 and 2 threads, and writes
# build/bench-report.md, and the tables of bench/RESULTS.md. Nothing else should use the cores
# meanwhile.
#
#     THREADS="1 2"  ROUNDS=7  SECONDS_EACH=0.25  ONLY=mlp,chain  bench/run.sh
#
# COMPILE= leaves torch.compile out, which takes minutes to warm up.
#
# Python peers: build/peers/torch and build/peers/jax (make bench-peers), or PEERS_DIR's.
set -eu
cd "$(dirname "$0")/.."

threads=${THREADS:-1 2}
rounds=${ROUNDS:-7}
seconds=${SECONDS_EACH:-0.25}
report=build/bench-report.md
venvs=${PEERS_DIR:-build/peers}
here=bench/peers
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE || true

if ! [ -x build/bench/peer ]; then
    echo "bench/run.sh: build/bench/peer is missing: run make first" >&2
    exit 1
fi

# The peers, as arguments of compare.py. No path here holds a blank.
set -- "ours=build/bench/peer"
versions=""
for name in torch jax; do
    python=$venvs/$name/bin/python
    [ -x "$python" ] || continue
    set -- "$@" "$name=$python $here/peer_$name.py"
    versions="$versions$name $("$python" -c "import $name; print($name.__version__)"), "
    [ "$name" = torch ] && [ -n "${COMPILE-1}" ] &&
        set -- "$@" "compile=$python $here/peer_torch.py --compile"
done
for name in openblas onednn; do
    [ -x "build/bench/peer_$name" ] || continue
    set -- "$@" "$name=build/bench/peer_$name"
    versions="$versions$name, "
done

processor() {
    sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1
}

# Text goes to the report and to the terminal.
say() {
    printf '%s\n' "$*" | tee -a "$report"
}

: >"$report"
say "# Benchmarks"
say ""
say "- machine: $(processor), $(nproc) cores, $(uname -srm)"
say "- chainrule: $(build/bench/peer --version), $(git describe --always --dirty 2>/dev/null)"
say "- peers: ${versions%, }"
say "- method: $here/compare.py, $rounds rounds of ${seconds} s, peers in turn; medians, and lowest,"
say "  median and highest of our time / theirs in the same round; one thread is bound to core 0;"
say "  OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset"
cp "$report" build/bench-head.md
if [ -x build/bench/gemm ]; then
    say "" && say '```'
    for dtype in f32 bf16; do
        build/bench/gemm --dtype $dtype | tee -a "$report"
    done
    say '```'
fi
for n in $threads; do
    say "" && say "## threads: $n" && say "" && say '```'
    python3 "$here/compare.py" --threads "$n" --rounds "$rounds" --seconds "$seconds" \
        --only "${ONLY:-}" --json "build/bench-$n.json" "$@" | tee -a "$report"
    say '```'
done
{
    echo "## Memory" && echo
    echo "How much the resident set grows by a workload, parameters and state included (bench/memory.py)."
    echo
    python3 bench/memory.py "ours=build/bench/peer" \
        "torch=$venvs/torch/bin/python $here/peer_torch.py"
    echo && echo "## Backward" && echo && echo '```'
    build/bench/backward
    echo '```'
} | tee build/bench-tail.md
tables=""
for n in $threads; do
    tables="$tables $n=build/bench-$n.json"
done
# shellcheck disable=SC2086
python3 bench/results.py build/bench-head.md build/bench-tail.md $tables
say "" && say "## start and memory" && say "" && say '```'
build/bench/start build/bench/tiny | tee -a "$report"
build/bench/chain_memory | tee -a "$report"
if library=$(ls build/libchainrule.so.*.*.* build/libchainrule.so 2>/dev/null | head -n 1) &&
    [ -n "$library" ]; then
    strip -o build/libchainrule.stripped.so "$library"
    say "stripped shared library: $(wc -c <build/libchainrule.stripped.so) bytes"
fi
say '```'
echo "written to $report and bench/RESULTS.md"
