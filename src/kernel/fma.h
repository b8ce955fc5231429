/* a*b + c of doubles, rounded once, in integers: for machines without the instruction, and
 * there for the operands that quicker ways do not allow. No libm: not everyone's fma() is
 * right. */
#ifndef CR_KERNEL_FMA_H
#define CR_KERNEL_FMA_H

#include "../base/compiler.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* 128 bits. */
typedef struct cr__wide {
    uint64_t high, low;
} cr__wide;

static inline cr__wide cr__wide_left(cr__wide x, int n)
{
    if (n >= 64)
        return (cr__wide){ x.low << (n - 64), 0 };
    if (n == 0)
        return x;
    return (cr__wide){ x.high << n | x.low >> (64 - n), x.low << n };
}

/* The last bit of the result tells whether a bit was lost. */
static inline cr__wide cr__wide_right(cr__wide x, int n)
{
    if (n == 0)
        return x;
    if (n >= 128)
        return (cr__wide){ 0, (x.high | x.low) != 0 };
    if (n > 64)
        return (cr__wide){ 0, x.high >> (n - 64) | ((x.high << (128 - n) | x.low) != 0) };
    if (n == 64)
        return (cr__wide){ 0, x.high | (x.low != 0) };
    return (cr__wide){ x.high >> n,
                       x.high << (64 - n) | x.low >> n | ((x.low << (64 - n)) != 0) };
}

static inline cr__wide cr__wide_add(cr__wide x, cr__wide y)
{
    uint64_t low = x.low + y.low;
    return (cr__wide){ x.high + y.high + (low < x.low), low };
}

static inline cr__wide cr__wide_sub(cr__wide x, cr__wide y)
{
    return (cr__wide){ x.high - y.high - (x.low < y.low), x.low - y.low };
}

static inline bool cr__wide_less(cr__wide x, cr__wide y)
{
    return x.high < y.high || (x.high == y.high && x.low < y.low);
}

/* Of two numbers below 2^53. */
static inline cr__wide cr__wide_product(uint64_t x, uint64_t y)
{
    uint64_t x0 = x & UINT32_MAX, x1 = x >> 32, y0 = y & UINT32_MAX, y1 = y >> 32;
    uint64_t middle = x0 * y1 + x1 * y0; /* below 2^54 */
    cr__wide sum = { x1 * y1 + (middle >> 32), x0 * y0 };
    return cr__wide_add(sum, (cr__wide){ 0, middle << 32 });
}

/* |x| = mantissa * 2^exponent with a mantissa in [2^52, 2^53); x is finite and not 0. */
static inline uint64_t cr__parts_of(double x, int *exponent)
{
    uint64_t bits, mantissa;
    memcpy(&bits, &x, sizeof bits);
    mantissa = bits & ((UINT64_C(1) << 52) - 1);
    *exponent = (int)(bits >> 52 & 0x7ff) - 1075;
    if (*exponent > -1075)
        return mantissa | UINT64_C(1) << 52;
    int shift = __builtin_clzll((unsigned long long)mantissa) - 11;
    *exponent = -1074 - shift;
    return mantissa << shift;
}

/* x * 2^exponent, rounded to nearest, ties to even; x is not 0. */
static inline double cr__rounded(cr__wide x, int exponent, bool negative)
{
    int top = x.high ? 127 - __builtin_clzll((unsigned long long)x.high)
                     : 63 - __builtin_clzll((unsigned long long)x.low);
    int e = top + exponent; /* of the first bit; the last one kept has e - 52 or -1074 */
    int drop = e < -1022 ? -1074 - exponent : top - 52;
    uint64_t bits, rest = 0;
    double out;
    if (drop <= 2) { /* two more bits are what rounding looks at */
        bits = cr__wide_left(x, -drop + 2).low;
    } else {
        bits = cr__wide_right(x, drop - 2).low;
    }
    rest = bits & 3;
    bits >>= 2;
    bits += rest == 3 || (rest == 2 && bits & 1);
    if (e >= -1022) /* a carry goes into the exponent; the first bit adds 1 to it */
        bits = e > 1023 ? UINT64_C(0x7ff) << 52 : ((uint64_t)(e + 1022) << 52) + bits;
    bits |= (uint64_t)negative << 63;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static __attribute__((noinline, unused)) double cr__fma(double a, double b, double c)
{
    int ea, eb, ec;
    uint64_t a_bits, b_bits, c_bits;
    memcpy(&a_bits, &a, sizeof a_bits);
    memcpy(&b_bits, &b, sizeof b_bits);
    memcpy(&c_bits, &c, sizeof c_bits);
    const bool infinite = !(a - a == 0 && b - b == 0 && c - c == 0);
    if (infinite || a == 0 || b == 0)
        return a - a == 0 && b - b == 0 && infinite ? c : a * b + c;
    bool negative = (a_bits ^ b_bits) >> 63, other = c_bits >> 63;
    uint64_t ma = cr__parts_of(a, &ea), mb = cr__parts_of(b, &eb);
    cr__wide x = cr__wide_left(cr__wide_product(ma, mb), 20), y = { 0, 0 };
    int e = ea + eb - 20; /* x in [2^124, 2^126) */
    if (c != 0) {
        y = cr__wide_left((cr__wide){ 0, cr__parts_of(c, &ec) }, 72);
        ec -= 72; /* y in [2^124, 2^125): the sum is below 2^127 */
        if (ec > e) {
            x = cr__wide_right(x, ec - e);
            e = ec;
        } else {
            y = cr__wide_right(y, e - ec);
        }
    }
    if (negative == other) {
        x = cr__wide_add(x, y);
    } else if (cr__wide_less(x, y)) {
        x = cr__wide_sub(y, x);
        negative = other;
    } else {
        x = cr__wide_sub(x, y);
    }
    return x.high | x.low ? cr__rounded(x, e, negative) : 0.0;
}

#endif
