#!/bin/sh
# Makes the virtual environments of the Python peers under build/peers: torch and jax, from PyPI.
# Needs python3 with venv, the network, and several gigabytes: PyPI's torch for x86-64 brings CUDA
# along, which the benchmarks do not use.
# PEERS="torch jax" chooses.
set -eu
cd "$(dirname "$0")/.."

for peer in ${PEERS:-torch jax}; do
    home=build/peers/$peer
    if "$home/bin/python" -c "import $peer, numpy" 2>/dev/null; then
        echo "$home: there already"
        continue
    fi
    echo "$home: installing $peer and numpy"
    python3 -m venv "$home"
    "$home/bin/pip" install --quiet "$peer" numpy
done
