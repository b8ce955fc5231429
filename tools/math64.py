#!/usr/bin/env python3
"""Numbers for the f64 functions (src/kernel/math64_body.h), computed in 60 digits by mpmath:

    tools/math64.py tables > src/kernel/math64_tables.h     what they are made of
    tools/math64.py references > tests/math64.txt           what tests/kernel_math64.c holds
                                                            them against

Polynomials interpolate at the Chebyshev points of their interval, which is within a factor of
about 3 of the best; each line names the largest error that is left after rounding the
coefficients, in bits."""
import math
import random
import sys

from mpmath import (acos, acosh, asin, asinh, atan, atan2, atanh, bernoulli, cos, cosh, digamma,
                    erf, erfc, erfinv, exp, expm1, factorial, findroot, floor, inf, ldexp, log,
                    log1p, loggamma, lu_solve, matrix, mp, mpf, nan, pi, polyval, psi, sin, sinh, sinpi,
                    sqrt, tan, tanh, workdps)

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
    return loggamma(x).real


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


def erfcx_scaled(w):
    a = 3 * (1 + w) / (1 - w)
    return (a + 3) * erfcx(a)


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
    ('erfcx', '(f - f(0))/w, f = (a + 3) e^(a^2) erfc(a), w = (a - 3)/(a + 3), 0 <= a <= 29',
     near(lambda w: (erfcx_scaled(w) - erfcx_scaled(0)) / w, 0), -1, mpf(26) / 32, 24),
    ('lgamma', 'lgamma(2 + t)/t, -3/4 <= t <= 1/2',
     near(lambda t: lgamma_(2 + t) / t, 0), '-0.75', '0.5', 23),
    ('stirling', '(lgamma x - (x - 1/2) ln x + x - ln(2 pi)/2) x, u = x^-2 <= 1/64',
     stirling, TINY, mpf(1) / 64, 8),
    ('digamma', 'digamma(3/2 + t)/(3/2 + t - root), |t| <= 1/2',
     lambda t: digamma(t + 1.5) / (t + 1.5 - ROOT), '-0.5', '0.5', 24),
    ('digamma_far', '(ln x - 1/(2x) - digamma x) x^2, u = x^-2 <= 1/64',
     psi_rest, TINY, mpf(1) / 64, 9),
    ('erfinv', 'erfinv(x)/x, z = x^2 <= 0.475',
     lambda z: erfinv(sqrt(z)) / sqrt(z), TINY, '0.475', 20),
]


# erfinv(x)/s, s = sqrt(-ln(1 - x)): centre and half the width of each piece
FAR = [('1.5', '0.5'), ('2.75', '0.75'), ('4.75', '1.36')]


def erfinv_far():
    columns = []
    for middle, half in FAR:
        def f(v):
            s = mpf(middle) + v
            return erfinv(1 - exp(-s * s)) / s
        columns.append(fit(f, -mpf(half), mpf(half), 20))
    return [c for row in zip(*(c for c, _ in columns)) for c in row], max(b for _, b in columns)


def eighths():
    high = [rounded(atan(mpf(i) / 8)) for i in range(9)] + [0.0] * 7
    return high + [rounded(atan(mpf(i) / 8) - high[i]) for i in range(9)] + [0.0] * 7


def two_over_pi():
    with workdps(450):
        words = int(floor(ldexp(2 / pi, 32 * 42)))
    return [words >> 32 * (41 - i) & 0xffffffff for i in range(42)]


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

#include <stdint.h>
""")
    for name, what, f, low, high, n in POLYNOMIALS:
        numbers, bits = fit(f, low, high, n)
        print(table(name, '%s: 2^%.1f' % (what, bits), numbers))
    numbers, bits = erfinv_far()
    print(table('erfinv_far', 'erfinv(x)/s, s = sqrt(-ln(1 - x)), in s - %s, s - %s and s - %s: 2^%.1f'
                % (*(m for m, _ in FAR), bits), numbers))
    print(table('eighths', 'the angles whose tangents are eighths, from place 16 on their rests',
                eighths()))
    print(table('bernoulli', 'B_2k/(2k)!, k = 1, 2, ..',
                [bernoulli(2 * k) / factorial(2 * k) for k in range(1, 11)]))
    print('/* 2/pi, 32 bits a word */\nstatic const uint32_t math_two_over_pi[] = {')
    words = two_over_pi()
    for i in range(0, len(words), 7):
        print('    ' + ' '.join('0x%08x,' % w for w in words[i:i + 7]))
    print('};\n\n#endif')


# ---- references ----

def sinc_nth(x, n):
    """The n-th derivative of sin(pi x)/(pi x), from the one before."""
    u, sn = pi * x, sinpi(x) / (pi * x)
    for k in range(1, n + 1):
        sn = (sin(u + k * pi / 2) - k * sn) / u
    return sn * pi ** n


def logistic(x):
    return 1 / (1 + exp(-x))


def phi(x):
    return exp(-x * x / 2) / sqrt(2 * pi)


def erfc_(x):
    """mpmath's, which does not take large numbers."""
    return erfc(x) if abs(x) < 1000 else mpf(0 if x > 0 else 2)


def above(x):
    return erfc_(x / sqrt(mpf(2))) / 2


def steep(x):
    c, k = mpf('0.044715'), sqrt(8 / pi)
    return k * (x + c * x ** 3), k * (1 + 3 * c * x * x), 6 * c * k * x


def gelu_tanh(order, x):
    v, d, dd = steep(x)
    s = logistic(v)
    s1 = s * logistic(-v)
    s2 = s1 * (logistic(-v) - s)
    return [x * s, s + x * s1 * d, 2 * s1 * d + x * (s2 * d * d + s1 * dd)][order]


def silu_derivative(order, x):
    s, r = logistic(x), logistic(-x)
    return [x * s, s * (1 + x * r), s * r * (2 + x * (r - s))][order]


WHOLE, POSITIVE, UNIT = (-inf, inf), (0, inf), (-1, 1)
# name: function, domain, what comes of infinities and zeros, critical points
ODD = {0.0: 0.0, '-0.0': -0.0}
FUNCTIONS = {
    'exp': (exp, WHOLE, {inf: inf, -inf: 0.0}, [0, 709.782712893384, -708.3964185322641,
                                                -745.1332191019411, 0.34657, 1]),
    'exp2': (lambda x: mpf(2) ** x, WHOLE, {inf: inf, -inf: 0.0}, [0, 1024, -1022, -1074, 0.5, 3]),
    'expm1': (expm1, WHOLE, {inf: inf, -inf: -1.0, **ODD}, [0, 709.782712893384, -37, 0.34657, 1]),
    'log': (log, POSITIVE, {inf: inf, 0.0: -inf, -0.0: -inf}, [1, 0.7071, 1.4142, 2, 2.0 ** -1022]),
    'log2': (lambda x: log(x) / log(2), POSITIVE, {inf: inf, 0.0: -inf, -0.0: -inf},
             [1, 0.7071, 1.4142, 2, 8, 2.0 ** -1022, 2.0 ** 1000]),
    'log10': (lambda x: log(x) / log(10), POSITIVE, {inf: inf, 0.0: -inf, -0.0: -inf},
              [1, 0.7071, 10, 1000, 1e22, 2.0 ** -1022]),
    'log1p': (log1p, (-1, inf), {inf: inf, -1.0: -inf, **ODD}, [0, -1, 1, -0.2929, 0.4142]),
    'sin': (sin, WHOLE, {inf: nan, -inf: nan, **ODD},
            [0, 0.7854, 1.5707963267948966, 3.141592653589793, 2.0 ** 20, 6381956970095103 * 2.0 ** 797,
             1e22]),
    'cos': (cos, WHOLE, {inf: nan, -inf: nan},
            [0, 0.7854, 1.5707963267948966, 3.141592653589793, 2.0 ** 20, 6381956970095103 * 2.0 ** 797,
             1e22]),
    'tan': (tan, WHOLE, {inf: nan, -inf: nan, **ODD},
            [0, 0.7854, 1.5707963267948966, 3.141592653589793, 2.0 ** 20, 6381956970095103 * 2.0 ** 797]),
    'asin': (asin, UNIT, ODD, [0, 0.5, 1, -1, 0.7071]),
    'acos': (acos, UNIT, {}, [0, 0.5, 1, -1, 0.7071]),
    'atan': (atan, WHOLE, {inf: float(pi / 2), -inf: -float(pi / 2), **ODD},
             [0, 0.0625, 0.125, 0.9375, 1, 1.0667, 16]),
    'atan_slope': (lambda x: 1 / (1 + x * x), WHOLE, {inf: 0.0, -inf: 0.0}, [0, 1, 1e8]),
    'asinh_slope': (lambda x: 1 / sqrt(1 + x * x), WHOLE, {inf: 0.0, -inf: 0.0}, [0, 1, 1e8]),
    'sinh': (sinh, WHOLE, {inf: inf, -inf: -inf, **ODD}, [0, 0.34657, 1, 22, 710.4758600739439]),
    'cosh': (cosh, WHOLE, {inf: inf, -inf: inf}, [0, 0.34657, 1, 22, 710.4758600739439]),
    'tanh': (tanh, WHOLE, {inf: 1.0, -inf: -1.0, **ODD}, [0, 0.1733, 0.55, 19.0615]),
    'asinh': (asinh, WHOLE, {inf: inf, -inf: -inf, **ODD}, [0, 0.75, 1, 2.0 ** 30]),
    'acosh': (acosh, (1, inf), {inf: inf}, [1, 1.06, 2, 2.0 ** 30]),
    'atanh': (atanh, UNIT, {1.0: inf, -1.0: -inf, **ODD}, [0, 0.1716, 0.5, 1, -1]),
    'sigmoid': (logistic, WHOLE, {inf: 1.0, -inf: 0.0}, [0, 36.7, -36.7, -709.1, -745.13]),
    'logit_of': (lambda x: log(x / (1 - x)), (0, 1), {0.0: -inf, -0.0: -inf, 1.0: inf}, [0.5, 1, 0]),
    'erf': (lambda x: erf(min(max(x, -1000), 1000)), WHOLE, {inf: 1.0, -inf: -1.0, **ODD}, [0, 0.5, 1, 5.9]),
    'erfc': (erfc_, WHOLE, {inf: 0.0, -inf: 2.0}, [0, 0.5, -0.5, 1, -1, 26.5, 27.2, 5]),
    'bell': (lambda x: exp(-x * x), WHOLE, {inf: 0.0, -inf: 0.0}, [0, 1, 26, 27.2]),
    'erfinv': (erfinv, UNIT, {1.0: inf, -1.0: -inf, **ODD}, [0, 0.6875, 0.9817, 1, -1]),
    'erfinv_slope': (lambda x: sqrt(pi) / 2 * exp(erfinv(x) ** 2), UNIT, {1.0: inf, -1.0: inf},
                     [0, 0.6875, 0.9817, 1, -1]),
    'lgamma': (lgamma_, WHOLE, {inf: inf, -inf: inf, 0.0: inf, -0.0: inf},
               [0, 0.5, 1, 1.5, 2, 2.5, 3, 8, 2.559983327851638e305, -0.5, -1, -3.5]),
    'digamma': (digamma, WHOLE, {inf: inf, -inf: nan, 0.0: -inf, '-0.0': inf},
                [0, 0.5, 1, 1.4616321449683622, 2, 3, 8, -0.5, -3.5, 1.5e308]),
    'polygamma1': (lambda x: psi(1, x), WHOLE, {inf: 0.0, 0.0: inf, -0.0: inf}, [0, 1, 16, -0.5, -3.25]),
    'polygamma2': (lambda x: psi(2, x), WHOLE, {inf: -0.0, 0.0: -inf, -0.0: -inf}, [0, 1, 16, -0.5]),
    'polygamma3': (lambda x: psi(3, x), WHOLE, {inf: 0.0, 0.0: inf, -0.0: inf}, [0, 1, 16]),
    'sinc': (lambda x: sinc_nth(x, 0), WHOLE, {inf: nan, -inf: nan, 0.0: 1.0, -0.0: 1.0},
             [0, 0.5, 1, 2, 1e6]),
    'sinc_nth1': (lambda x: sinc_nth(x, 1), WHOLE, {inf: nan, -inf: nan}, [0.6, 1.43]),
    'sinc_nth2': (lambda x: sinc_nth(x, 2), WHOLE, {inf: nan, -inf: nan}, [0.66, 0.8]),
    'silu': (lambda x: silu_derivative(0, x), WHOLE, {inf: inf, -inf: -0.0, **ODD}, [0, -36, 36, -745]),
    'silu_grad': (lambda x: silu_derivative(1, x), WHOLE, {inf: 1.0, -inf: -0.0}, [0, -36, 36, -745]),
    'silu_curve': (lambda x: silu_derivative(2, x), WHOLE, {inf: -0.0, -inf: -0.0}, [0, -36, 36, -745]),
    'logistic_grad': (lambda x: logistic(x) * logistic(-x), WHOLE, {inf: 0.0, -inf: 0.0}, [0, 36, -36]),
    'logistic_curve': (lambda x: logistic(x) * logistic(-x) * (logistic(-x) - logistic(x)), WHOLE,
                       {inf: -0.0, -inf: 0.0}, [36, -36]),
    'gelu_erf': (lambda x: x * above(-x), WHOLE, {inf: inf, -inf: -0.0, **ODD}, [0, 1, -1, -8, -37, 8]),
    'gelu_erf_grad': (lambda x: above(-x) + x * phi(x), WHOLE, {inf: 1.0, -inf: -0.0},
                      [0, 1, -1, -8, -37, 8]),
    'gelu_erf_curve': (lambda x: phi(x) * (2 - x * x), WHOLE, {inf: -0.0, -inf: -0.0}, [0, 1, -8, 37]),
    'gelu_tanh': (lambda x: gelu_tanh(0, x), WHOLE, {inf: inf, -inf: -0.0, **ODD}, [0, 1, -1, -8, -20]),
    'gelu_tanh_grad': (lambda x: gelu_tanh(1, x), WHOLE, {inf: 1.0, -inf: -0.0}, [0, 1, -1, -8, -20]),
    'gelu_tanh_curve': (lambda x: gelu_tanh(2, x), WHOLE, {inf: -0.0, -inf: -0.0}, [0, 1, -1, -8, -20]),
}
DIGITS = {'sin': 400, 'cos': 400, 'tan': 400, 'sinc': 400, 'sinc_nth1': 900, 'sinc_nth2': 1300, 'logistic_curve': 400, 'log1p': 400,
          'expm1': 400, 'logit_of': 400, 'atanh': 400, 'asinh': 400, 'lgamma': 400, 'digamma': 400,
          'tanh': 400, 'sinh': 400}


def points(low, high, critical, density):
    """Doubles over the whole range, and around what is critical."""
    rng = random.Random(1)
    found = []
    for e in range(-1074, 1024, 97 // density):
        found += [sign * float(ldexp(mpf(1 + rng.random()), e)) for sign in (1, -1)]
    for _ in range(30 * density):
        found += [sign * 2.0 ** rng.uniform(-12, 10) for sign in (1, -1)]
    for at in map(float, critical):
        step = math.ulp(at)
        found += [at + k * step for k in (-2, -1, 0, 1, 3)]
        found += [at + sign * abs(at or 1) * 2.0 ** -k for k in range(4, 50, 24 // density)
                  for sign in (1, -1)]
    return sorted({x for x in found if low <= x <= high and x != 0 and math.isfinite(x)})


def line(xs, y):
    """The inputs, the nearest double, and what is left of it in its last place."""
    near = float(y) if not isinstance(y, float) else y
    rest = 0.0
    if math.isfinite(near) and not isinstance(y, float):
        rest = float((y - mpf(near)) / mpf(math.ulp(near)))
    return ' '.join([*(x.hex() for x in xs), near.hex(), '%.2f' % rest])


ATAN2_SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan]


def pairs(name, density):
    rng = random.Random(2)
    wide = [sign * 2.0 ** e for e in (-1074, -1060, -1022, -600, -500, -3, 0, 2, 499, 501, 1000)
            for sign in (1.25, -1.5)]
    some = [(rng.uniform(-4, 4), rng.uniform(-4, 4)) for _ in range(60 * density)]
    if name == 'atan2':
        for y in ATAN2_SPECIAL:
            for x in ATAN2_SPECIAL:
                yield (y, x), math.atan2(y, x)
        for y, x in some + [(y, x) for y in wide for x in wide[::2]]:
            yield (y, x), atan2(mpf(y), mpf(x))
    elif name == 'logaddexp':
        for x, y in some + [(x * 100, y * 100) for x, y in some] + [(x, x) for x, _ in some[:20]]:
            yield (x, y), log(exp(mpf(x)) + exp(mpf(y)))
        for x, y in ((math.inf, 1.0), (1.0, -math.inf), (math.inf, -math.inf), (math.inf, math.inf),
                     (-math.inf, -math.inf)):
            yield (x, y), max(x, y)
    else:
        for x in [math.exp(rng.uniform(-700, 700)) for _ in range(40 * density)]:
            y = rng.uniform(-745, 709) / math.log(x)
            yield (x, y), mpf(x) ** mpf(y)
            yield (-x, float(round(y))), (-mpf(x)) ** int(round(y))
        for x, y in [(1 + rng.uniform(-1, 1) * 2.0 ** -k, rng.uniform(-700, 700) * 2.0 ** min(k, 40))
                     for k in range(2, 50)]:
            yield (x, y), mpf(x) ** mpf(y)
        special = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, math.inf, -math.inf, math.nan,
                   2.0 ** 53 + 2, 2.0 ** 53 - 1, -2.0 ** 52 - 1]
        for x in special:
            for y in special:
                try:
                    value = math.pow(x, y)
                except OverflowError:
                    value = -math.inf if x < 0 and y % 2 == 1 else math.inf
                except ValueError:
                    value = math.nan if x != 0 else (
                        math.copysign(math.inf, x) if y % 2 == 1 else math.inf)
                yield (x, y), value


def references(density):
    for name, (f, (low, high), special, critical) in FUNCTIONS.items():
        print(name)
        print(line([math.nan], math.nan))
        with workdps(DIGITS.get(name, 60)):
            for x in [math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0]:
                if x in special or repr(x) in special:
                    print(line([x], float(special[repr(x) if repr(x) in special else x])))
                elif not low <= x <= high and 'gamma' not in name:
                    print(line([x], math.nan))
            for x in points(low, high, critical, density):
                if x in special or ('gamma' in name and x < 0 and
                                    (x == math.floor(x) or x < -1e4 or name == 'polygamma2')) or (name == 'sinc' and x == math.floor(x)):
                    continue
                y = f(mpf(x))
                if y != 0:
                    print(line([x], y))
    for name in ('atan2', 'logaddexp', 'pow'):
        print(name)
        for xs, y in pairs(name, density):
            print(line(xs, y))


if __name__ == '__main__':
    if sys.argv[1:] == ['tables']:
        tables()
    elif sys.argv[1:2] == ['references']:
        references(int(sys.argv[2]) if sys.argv[2:] else 1)
    else:
        sys.exit(__doc__)
