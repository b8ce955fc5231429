#!/usr/bin/env python3
"""Writes bench/RESULTS.md from what bench/run.sh has measured.

    results.py HEAD TAIL THREADS=JSON...

HEAD and TAIL are the texts around the tables: machine, versions, method; memory. The JSON files are compare.py's; their
first peer is ours. For each row: medians, our time over the best peer's as the median of the ratios
of each round, the machine's limit, and how far we are from it. The limit is the larger of the
workload's floating-point operations over the measured peak and of its least traffic over the
measured bandwidth; both are measured by build/bench/machine right before, the bandwidth as the best
of reading 64 MiB in order and of a map in place, so what is written elsewhere takes longer.
"""
import json
import math
import subprocess
import sys

F = 4  # bytes of a float


def product(m, n, k, batch=1):
    return 2 * m * n * k * batch


def network(*products, first):
    """Forward and both gradients of products; of the first the weights' alone."""
    return 3 * sum(products) - (product(*first) if first else 0)


def convolution(images, ins, size, outs, kernel, groups=1):
    return product(images * size * size, outs, ins // groups * kernel * kernel)


def mlp(batch, *sizes):
    layers = [product(batch, o, i) for i, o in zip(sizes, sizes[1:])]
    return network(*layers, first=(batch, sizes[1], sizes[0]))


def resnet20():
    stem = convolution(32, 3, 32, 16, 3)
    total, ins = 2 * stem, 16
    for width, size in ((16, 32), (32, 16), (64, 8)):
        for block in range(3):
            total += 3 * (convolution(32, ins, size, width, 3) + convolution(32, width, size, width, 3))
            if ins != width:
                total += 3 * convolution(32, ins, size, width, 1)
            ins = width
    return total + 3 * product(32, 10, 64)


def cnn():
    first = convolution(64, 1, 28, 32, 3)
    return (2 * first + 3 * convolution(64, 32, 28, 64, 3)
            + 3 * (product(64, 128, 12544) + product(64, 10, 128)))


def lstm(batch=32, steps=64, embedded=64, hidden=256, symbols=65):
    return 3 * (product(batch * steps, 4 * hidden, embedded)
                + product(batch * steps, 4 * hidden, hidden)
                + product(batch * steps, symbols, hidden))


def attention(batch, heads, steps, width):
    """Causal: half of the scores; two products forward, five backward."""
    return 7 * product(steps, steps, width, batch * heads) / 2


def gpt(width, heads, layers, steps, batch, symbols=65):
    tokens = steps * batch
    block = 3 * product(tokens, 12 * width, width) + attention(batch, heads, steps, width // heads)
    return layers * block + 3 * product(tokens, symbols, width)


def conv(images, ins, size, outs, kernel, stride=1, groups=1):
    out = size // stride
    flops = 3 * product(images * out * out, outs, ins // groups * kernel * kernel)
    traffic = 2 * images * ins * size * size + images * outs * out * out
    return flops, F * traffic


# Name: operations, bytes that are read or written at least once; 0 where neither is the point.
WORK = {
    "deep_sigmoid": (50 * 3 * product(8, 64, 64), 0),
    "mlp_small": (mlp(32, 64, 32, 10), 0),
    "mlp": (mlp(128, 784, 512, 512, 10), 0),
    "mlp_infer": (0, F * (784 * 512 + 512 * 512 + 512 * 10)),
    "cnn": (cnn(), 0),
    "resnet20": (resnet20(), 0),
    "lstm": (lstm(), 0),
    "gpt": (gpt(128, 4, 4, 64, 12), 0),
    "gpt_wide": (gpt(384, 6, 6, 256, 4), 0),
    "chain_small": (0, 3 * F * 16384),
    "chain_large": (0, 3 * F * (4 << 20)),
    "gelu": (0, 3 * F * 4096 * 1024),
    "softmax": (0, 3 * F * 4096 * 1024),
    "layer_norm": (0, 3 * F * 4096 * 768),
    "cross_entropy": (0, 2 * F * 2048 * 8192),
    "batch_norm": (0, 3 * F * 32 * 64 * 32 * 32),
    "attention": (attention(4, 8, 512, 64), 0),
    "embedding": (0, F * (50000 * 256 + 2 * 4096 * 256)),
    "reduce_rows": (0, 2 * F * 4096 * 4096),
    "reduce_columns": (0, 2 * F * 4096 * 4096),
    "conv_3x3": conv(8, 64, 56, 64, 3),
    "conv_1x1": conv(8, 64, 56, 256, 1),
    "conv_depthwise": conv(8, 128, 56, 128, 3, groups=128),
    "conv_stem": conv(4, 3, 224, 64, 7, stride=2),
    "max_pool": (0, F * 32 * 64 * (2 * 56 * 56 + 28 * 28)),
    "adam_step": (0, 7 * F * 50 * 200000),
    "gemm_1024": (product(1024, 1024, 1024), 0),
    "gemm_mlp_nn": (product(128, 512, 784), 0),
    "gemm_mlp_nt": (product(128, 512, 784), 0),
    "gemm_mlp_tn": (product(512, 784, 128), 0),
    "gemm_skinny": (product(4096, 64, 64), 0),
    "gemm_batched": (product(64, 64, 64, 256), 0),
    "gemv": (0, F * 4096 * 4096),
}

# Ours / best that prototypes of the kernels had reached before they were built.
AIM = {
    "tiny": .2, "deep_sigmoid": .3, "mlp_small": .5, "mlp": .85, "mlp_infer": .65, "cnn": .8,
    "resnet20": .9, "lstm": .98, "gpt": .85, "gpt_wide": .8, "chain_small": .5, "chain_large": .25,
    "gelu": .65, "layer_norm": .5, "softmax": .35, "cross_entropy": .2, "batch_norm": .5,
    "attention": .5, "embedding": .15, "reduce_rows": .2, "reduce_columns": .2, "conv_3x3": .95,
    "conv_1x1": .8, "conv_depthwise": .6, "conv_stem": .5, "max_pool": .15, "adam_step": 1.0,
    "gemm_1024": 1.05, "gemm_mlp_nn": .95, "gemm_mlp_nt": 1.0, "gemm_mlp_tn": .95,
    "gemm_skinny": 1.0, "gemm_batched": .95, "gemv": .6,
}


# JAX compiles the chain of scalars away, so that row is judged by PyTorch.
JUDGE = {"chain": "torch"}


def time_text(seconds):
    us = seconds * 1e6
    return f"{us:.2f} us" if us < 100 else f"{us:.0f} us" if us < 1e4 else f"{us / 1e3:.1f} ms"


def table(rows, threads, say):
    words = subprocess.run(["build/bench/machine", "--threads", str(threads)], check=True,
                           capture_output=True, text=True).stdout.split()
    flops, bandwidth = float(words[0]) * 1e9, float(words[1]) * 1e9
    peers = []
    for row in rows.values():
        peers += [p for p in row["median"] if p not in peers]
    ours, others = peers[0], peers[1:]
    say(f"\n## {threads} thread{'s' if threads > 1 else ''}: "
        f"{flops * 1e-9:.0f} GFLOP/s, {bandwidth * 1e-9:.0f} GB/s\n")
    say("| workload | ours | " + " | ".join(others)
        + " | ours / best | aim | limit | ours / limit |")
    say("|---|" + "---|" * (len(others) + 5))
    log_sum, n = 0.0, 0
    for name, row in rows.items():
        times = row["median"]
        ratios = {p: r[1] for p, r in row["ratio"].items()}
        operations, traffic = WORK.get(name, (0, 0))
        limit = max(operations / flops if flops else 0, traffic / bandwidth)
        cells = [name, time_text(times[ours])]
        cells += [time_text(times[p]) if p in times else "-" for p in others]
        if ratios:
            best = JUDGE[name] if JUDGE.get(name) in ratios else max(ratios, key=ratios.get)
            log_sum, n = log_sum + math.log(ratios[best]), n + 1
            cells.append(f"{ratios[best]:.2f} {best}")
        else:
            cells.append("-")
        cells.append(f"{AIM[name]:.2f}" if name in AIM else "-")
        cells += [time_text(limit), f"{times[ours] / limit:.2f}"] if limit else ["-", "-"]
        say("| " + " | ".join(cells) + " |")
    if n:
        say(f"\nGeometric mean of ours / best over {n} rows: **{math.exp(log_sum / n):.3f}**")


def main():
    with open(sys.argv[1]) as f:
        head = f.read()
    lines = [head.rstrip()]
    for argument in sys.argv[3:]:
        threads, path = argument.split("=", 1)
        with open(path) as f:
            table(json.load(f)["rows"], int(threads), lines.append)
    with open(sys.argv[2]) as f:
        lines.append("\n" + f.read().rstrip())
    with open("bench/RESULTS.md", "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
