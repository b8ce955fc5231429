#!/usr/bin/env python3
"""How much a peer's memory grows by a workload: parameters, state and the highest peak of its steps.

    memory.py NAME=COMMAND...

Each in a process of its own: what lies in memory (VmHWM) behind a few steps, less what did (VmRSS)
before the workload was asked for.
"""
import sys

sys.path.insert(0, sys.path[0] + "/peers")
from compare import Peer

WORKLOADS = ("mlp", "cnn", "resnet20", "lstm", "gpt", "gpt_wide")


def megabytes(process, field):
    with open(f"/proc/{process.pid}/status") as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


def growth(name, command, workload):
    peer = Peer(name, command, 1)
    peer.time("tiny", 1)  # what the first run of all loads is not the workload's
    before = megabytes(peer.process, "VmRSS")
    answered = peer.time(workload, 3)
    after = megabytes(peer.process, "VmHWM")
    peer.process.kill()
    return after - before if answered else None


def main():
    peers = [p.split("=", 1) for p in sys.argv[1:]]
    print("| workload | " + " | ".join(f"{name}, MB" for name, _ in peers) + " |")
    print("|---|" + "---|" * len(peers))
    for workload in WORKLOADS:
        cells = [growth(*p, workload) for p in peers]
        print(f"| {workload} | "
              + " | ".join("-" if c is None else f"{c:.0f}" for c in cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
