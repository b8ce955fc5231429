#!/usr/bin/env python3
"""Numbers for the f64 functions (src/kernel/math64_body.h), computed in 60 digits by mpmath:

    tools/math64.py tables > src/kernel/math64_tables.h     what they are made of
    tools/math64.py references > tests/math64.txt           what tests/kernel_math64.c holds
                                                            them against

Polynomials interpolate at the Chebyshev points of their interval, which is within a factor of
about 3 of the best; each line names the largest error that is left after rounding the
coefficients, in bits."""
import random
import sys

from mpmath import (acos, acosh, asin, asinh, atan, atan2, atanh, bernoulli, cos, cosh, digamma,
                    erf, erfc, erfinv, exp, expm1, factorial, findroot, floor, inf, isinf, isnan,
                    ldexp, loggamma, log, log1p, matrix, mp, mpf, nan, pi, polyval, psi, sin, sinh,
                    sqrt, tan, tanh, lu_solve)

mp.dps = 60


# ---- tables ----

def rounded(x):
    return float(mpf(x))


def fit(f, low, high, n):
    """The coefficients, highest first, of the polynomial with n of them, and its error in bits."""
    low, high = mpf(low), mpf(high)
    middle, half = (low + high) / 2, (high - low) / 2
    points = [cos(pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    a = matrix(n, n)
    b = matrix(n, 1)
    for i, p in enumerate(points):
        x = middle + half * p
        for j in range(n):
            a[i, j] = x ** (n - 1 - j)
        b[i] = f(x)
    c = [rounded(v) for v in lu_solve(a, b)]
    worst = mpf(0)
    for i in range(398):
        x = low + (high - low) * i / 397
        worst = max(worst, abs(polyval([mpf(v) for v in c], x) / f(x) - 1))
    return c, rounded(log(worst, 2)) if worst else -200.0


def lgamma_(x):
    return loggamma(x).real if x > 0 else log(abs(mp.gamma(x)))


def near(f, at):
    """f, but not at a point where its formula is 0/0."""
    return lambda x: f(x if abs(x - at) > mpf(10) ** -20 else at + mpf(10) ** -20)


ROOT = findroot(digamma, mpf('1.46'))


def stirling(u):
    x = 1 / sqrt(u)
    return (lgamma_(x) - ((x - 0.5) * log(x) - x + log(2 * pi) / 2)) * x


def psi_rest(u):
    x = 1 / sqrt(u)
    return (log(x) - 1 / (2 * x) - digamma(x)) * x * x


def erfcx(x):
    return exp(x * x) * erfc(x)


ERFCX_K = 3
TINY = mpf(10) ** -9
POLYNOMIALS = [
    ('exp', '(e^r - 1 - r)/r^2, |r| <= 0.3475',
     near(lambda r: (expm1(r) - r) / r ** 2, 0), '-0.3475', '0.3475', 11),
    ('log', '(2 atanh(s)/s - 2 - 2/3 z)/z^2, z = s^2 <= 0.02945',
     lambda z: (2 * atanh(sqrt(z)) / sqrt(z) - 2 - z * 2 / 3) / z ** 2, TINY, '0.02945', 9),
    ('sin', '(sin r - r)/r^3, z = r^2 <= 0.6169',
     lambda z: (sin(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3, TINY, '0.6169', 7),
    ('cos', '(cos r - 1 + z/2)/z^2, z = r^2 <= 0.6169',
     lambda z: (cos(sqrt(z)) - 1 + z / 2) / z ** 2, TINY, '0.6169', 7),
    ('atan', '(atan t - t)/t^3, z = t^2 <= 0.0040',
     lambda z: (atan(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3, TINY, '0.0040', 6),
    ('erf', 'erf(x)/x, z = x^2 <= 1',
     lambda z: erf(sqrt(z)) / sqrt(z), TINY, '1', 15),
    ('erfcx', '(a + 3) e^(a^2) erfc(a), w = (a - 3)/(a + 3), 0 <= a <= 29',
     lambda w: (ERFCX_K * (1 + w) / (1 - w) + ERFCX_K) * erfcx(ERFCX_K * (1 + w) / (1 - w)),
     -1, mpf(26) / 32, 25),
    ('lgamma', 'lgamma(2 + t)/t, |t| <= 1/2',
     near(lambda t: lgamma_(2 + t) / t, 0), '-0.5', '0.5', 21),
    ('stirling', '(lgamma x - (x - 1/2) ln x + x - ln(2 pi)/2) x, u = x^-2 <= 1/64',
     stirling, TINY, mpf(1) / 64, 8),
    ('digamma', 'digamma(3/2 + t)/(3/2 + t - root), |t| <= 1/2',
     lambda t: digamma(t + 1.5) / (t + 1.5 - ROOT), '-0.5', '0.5', 24),
    ('digamma_far', '(ln x - 1/(2x) - digamma x) x^2, u = x^-2 <= 1/64',
     psi_rest, TINY, mpf(1) / 64, 9),
    ('erfinv', 'erfinv(x)/x, z = x^2 <= 0.5',
     lambda z: erfinv(sqrt(z)) / sqrt(z), TINY, '0.5', 22),
]


def table(name, what, numbers):
    lines = ['/* %s */' % what, 'static const double math_%s[] = {' % name]
    line = '   '
    for number in numbers:
        text = ' %s,' % float(number).hex()
        if len(line) + len(text) > 90:
            lines.append(line)
            line = '   '
        line += text
    return '\n'.join(lines + [line, '};'])


def tables():
    print("""/* The numbers of math64_body.h, made by tools/math64.py: polynomials, their coefficients from
 * the highest on, with the largest relative error that is left after rounding these. */
#ifndef CR_KERNEL_MATH64_TABLES_H
#define CR_KERNEL_MATH64_TABLES_H
""")
    for name, what, f, low, high, n in POLYNOMIALS:
        numbers, bits = fit(f, low, high, n)
        print(table(name, '%s: 2^%.1f' % (what, bits), numbers))
    print('\n#endif')


if __name__ == '__main__':
    tables()
