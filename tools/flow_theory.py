#!/usr/bin/env python3
"""Writes tests/flow_theory.txt: what tests/flow_theory.c compares theory with. Wants mpmath and numpy.

    tools/flow_theory.py >tests/flow_theory.txt

Expectations over one variable in 25 digits by mpmath; over two by products of Gauss-Legendre rules
in the coordinates (z1, c z1 + sqrt(1 - c^2) z2), split at kinks: other ways than the library's."""
import mpmath as mp
import numpy as np

mp.mp.dps = 25
SELU_SCALE = mp.mpf("1.0507009873554804934193349852946")
SELU_ALPHA = mp.mpf("1.6732632423543772848170429916717")


def sigmoid(m, x):
    return 1 / (1 + m.exp(-x))


class Numpy:
    """The functions of mpmath on arrays."""
    exp, tanh, sqrt = np.exp, np.tanh, np.sqrt
    erfc = staticmethod(np.vectorize(lambda x: float(mp.erfc(x))))


def where(m, condition, a, b):
    return np.where(condition, a, b) if m is Numpy else a if condition else b


def negative(m, x):
    return np.minimum(x, 0) if m is Numpy else min(x, mp.mpf(0))


def gelu_cdf(m, x):
    return m.erfc(-x / 2 ** 0.5) / 2 if m is Numpy else mp.ncdf(x)


def gelu_slope(m, x):
    root = m.sqrt(2 * float(mp.pi)) if m is Numpy else mp.sqrt(2 * mp.pi)
    return gelu_cdf(m, x) + x * m.exp(-x * x / 2) / root


# value, slope, kinks
ACTIVATIONS = {
    "sigmoid": (sigmoid, lambda m, x: sigmoid(m, x) * sigmoid(m, -x), []),
    "tanh": (lambda m, x: m.tanh(x), lambda m, x: 1 - m.tanh(x) ** 2, []),
    "relu": (lambda m, x: where(m, x > 0, x, 0 * x), lambda m, x: where(m, x > 0, 1 + 0 * x, 0 * x), [0]),
    "leaky_relu": (lambda m, x: where(m, x > 0, x, x / 100),
                   lambda m, x: where(m, x > 0, 1 + 0 * x, 0 * x + mp.mpf(1) / 100 if m is mp else 0.01), [0]),
    "elu": (lambda m, x: where(m, x > 0, x, m.exp(negative(m, x)) - 1),
            lambda m, x: m.exp(negative(m, x)), [0]),
    "selu": (lambda m, x: where(m, x > 0, x, (SELU_ALPHA if m is mp else float(SELU_ALPHA)) * (m.exp(negative(m, x)) - 1))
             * (SELU_SCALE if m is mp else float(SELU_SCALE)),
             lambda m, x: where(m, x > 0, 1 + 0 * x, (SELU_ALPHA if m is mp else float(SELU_ALPHA)) * m.exp(negative(m, x)))
             * (SELU_SCALE if m is mp else float(SELU_SCALE)), [0]),
    "gelu": (lambda m, x: x * gelu_cdf(m, x), gelu_slope, []),
    "silu": (lambda m, x: x * sigmoid(m, x),
             lambda m, x: sigmoid(m, x) + x * sigmoid(m, x) * sigmoid(m, -x), []),
    "hardtanh": (lambda m, x: where(m, x > 1, 1 + 0 * x, where(m, x < -1, -1 + 0 * x, x)),
                 lambda m, x: where(m, abs(x) < 1, 1 + 0 * x, 0 * x), [-1, 1]),
    "softsign": (lambda m, x: x / (1 + abs(x)), lambda m, x: 1 / (1 + abs(x)) ** 2, [0]),
}
GRID = [(w2, b2) for w2 in ("1/3", "1", "2", "25/9", "6") for b2 in ("0", "0.09")]


def expect(f, q, kinks):
    """E f(sqrt(q) z)"""
    s = mp.sqrt(q)
    inner = sorted([k / s for k in kinks if abs(k) < 12 * s] + [mp.mpf(x) for x in (-4, -1, 1, 4)])
    points = [mp.mpf(-12)] + inner + [mp.mpf(12)]
    return mp.quad(lambda z: f(mp, s * z) * mp.npdf(z), points)


def fixed_variance(value, w2, b2, kinks):
    """Iterates the map from q0 = 1, Steffensen's acceleration in between. inf: it grows to the end;
    None: it falls too slowly."""
    def step(q):
        return w2 * expect(lambda m, x: value(m, x) ** 2, q, kinks) + b2
    q = w2 + b2
    for _ in range(400):
        a = step(q)
        if abs(a - q) < mp.mpf(10) ** -16 * abs(q):
            return a
        if a > 1e5:
            return mp.inf
        if a < mp.mpf(10) ** -4 and b2 == 0 and a < q:
            return mp.mpf(0)
        b = step(a)
        bend = b - 2 * a + q
        jump = q - (a - q) ** 2 / bend if bend else b
        q = jump if abs(b - a) < abs(a - q) * mp.mpf("0.9") and 0 < jump < 2 * b + q and abs(b - a) < b / 50 else b
    return mp.inf if a > w2 + b2 else None


NODE, WEIGHT = np.polynomial.legendre.leggauss(48)


def pieces(points):
    points = np.clip(np.sort(points, axis=-1), -11, 11)
    half = np.diff(points, axis=-1)[..., None] / 2
    z = points[..., :-1, None] + half * (1 + NODE)
    return z, half * WEIGHT * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def expect_pair(f, q, c, kinks):
    s, own = float(q) ** 0.5, (1 - c * c) ** 0.5
    marks = np.array([-11, -4, -1.5, 0, 1.5, 4, 11])
    z1, w1 = pieces(np.concatenate([marks, [k / s for k in kinks]]))
    z1, w1 = z1.ravel(), w1.ravel()
    inner = [np.full(z1.shape, m) for m in marks] + [(k / s - c * z1) / own for k in kinks]
    z2, w2 = pieces(np.stack(inner, -1))
    v = f(Numpy, s * (c * z1[:, None, None] + own * z2))
    return float(np.sum(w1 * f(Numpy, s * z1) * np.sum(w2 * v, (1, 2))))


def fixed_correlation(value, q, w2, b2, kinks):
    low, high = 0.0, 1 - 1e-6
    def over(c):
        return (float(w2) * expect_pair(value, q, c, kinks) + float(b2)) / float(q) - c
    if over(0.0) < 1e-12:
        return 0.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if over(middle) > 0 else (low, middle)
    return low


print("# activation sigma_w2 sigma_b2 q* chi c* (nan: none) slope of the correlation map at c*")
for name, (value, slope, kinks) in ACTIVATIONS.items():
    for w2_text, b2_text in GRID:
        w2 = mp.mpf(w2_text.split("/")[0]) / mp.mpf((w2_text + "/1").split("/")[1])
        b2 = mp.mpf(b2_text)
        q = fixed_variance(value, w2, b2, kinks)
        if q is None:
            continue
        if q == mp.inf:
            print(name, mp.nstr(w2, 17), b2_text, "nan nan nan nan")
            continue
        at = q if q > 0 else mp.mpf(10) ** -30
        chi = w2 * expect(lambda m, x: slope(m, x) ** 2, at, kinks)
        c = rate = float("nan")
        if q > 0 and chi < 1 - 1e-9:
            c, rate = 1.0, float(chi)
        elif q > 0 and chi > 1 + 1e-9:
            c = fixed_correlation(value, q, w2, b2, kinks)
            rate = float(w2) * expect_pair(slope, q, c, kinks)
        print(name, mp.nstr(w2, 17), b2_text, mp.nstr(q, 15), mp.nstr(chi, 15), "%.11g" % c, "%.10g" % rate, flush=True)
