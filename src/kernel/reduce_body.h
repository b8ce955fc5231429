/* One reduction of f32 or f64 in one instruction set: a template over the vocabulary of
 * vec.h. The file that includes it defines R(name)        the name of this instance of a
 * function R_T R_VT R_N   the element, its vector, elements in a vector R_L            v
 * or d, the vocabulary's prefix R_IDENTITY     what lanes begin with R_OP(a, b)     of
 * vectors, a before b; R_ONE(a, b) of elements, the same bits */

#define R_VECTORS (CR__LANES / R_N)
#define R_LOAD    CR__L(R_L, _load)
#define R_STORE   CR__L(R_L, _store)

CR__T static void R(begin)(void *lanes)
{
    R_T *l = lanes;
    for (int i = 0; i < CR__LANES; i += R_N)
        R_STORE(l + i, CR__L(R_L, _set)(R_IDENTITY));
}

/* Whole lines of lanes stay in registers; what is left is added in memory. */
CR__FN void R(lines)(R_T *l, const R_T *x, int64_t n)
{
    R_VT acc[R_VECTORS];
    int64_t i = 0;
#pragma GCC unroll 16
    for (int v = 0; v < R_VECTORS; v++)
        acc[v] = R_LOAD(l + v * R_N);
    for (; i + CR__LANES <= n; i += CR__LANES) {
#pragma GCC unroll 16
        for (int v = 0; v < R_VECTORS; v++)
            acc[v] = R_OP(acc[v], R_LOAD(x + i + v * R_N));
    }
#pragma GCC unroll 16
    for (int v = 0; v < R_VECTORS; v++) {
        if (i + (v + 1) * R_N <= n)
            acc[v] = R_OP(acc[v], R_LOAD(x + i + v * R_N));
        R_STORE(l + v * R_N, acc[v]);
    }
    for (int64_t j = n / R_N * R_N; j < n; j++)
        l[j - i] = R_ONE(l[j - i], x[j]);
}

CR__T static void R(add)(void *lanes, const void *x, int64_t n)
{
    R(lines)(lanes, x, n);
}

CR__FN R_T R(fold)(R_T *l)
{
    int width = CR__LANES / 2;
#pragma GCC unroll 8
    for (; width >= R_N; width /= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < width; i += R_N)
            R_STORE(l + i, R_OP(R_LOAD(l + i), R_LOAD(l + i + width)));
    }
#pragma GCC unroll 8
    for (; width >= 1; width /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < width; i++)
            l[i] = R_ONE(l[i], l[i + width]);
    }
    return l[0];
}

CR__T static void R(end)(const void *lanes, void *out)
{
    CR__ALIGNED(64) R_T l[CR__LANES];
    memcpy(l, lanes, sizeof l);
    *(R_T *)out = R(fold)(l);
}

CR__T static void R(join)(void *out, const void *a, const void *b)
{
    R_T p = *(const R_T *)a, q = *(const R_T *)b;
    *(R_T *)out = R_ONE(p, q);
}

CR__T static void R(rows)(void *out, const void *x, int64_t rows, int64_t len)
{
    CR__ALIGNED(64) R_T l[CR__LANES];
    R_T *o = out;
    const R_T *from = x;
    for (int64_t r = 0; r < rows; r++) {
        R(begin)(l);
        R(lines)(l, from + r * len, len);
        o[r] = R(fold)(l);
    }
}

CR__T static void R(columns)(void *acc, const void *x, int64_t stride, int64_t width,
                             int lane, int64_t count)
{
    const R_T *from = x;
    for (int64_t r = 0; r < count; r++, from += stride) {
        R_T *a = (R_T *)acc + ((lane + r) % CR__LANES) * COLUMNS;
        int64_t c = 0, ahead = r + AHEAD < count ? AHEAD * stride : 0;
        for (; c + R_N <= width; c += R_N) {
            __builtin_prefetch(from + ahead + c);
            R_STORE(a + c, R_OP(R_LOAD(a + c), R_LOAD(from + c)));
        }
        for (; c < width; c++)
            a[c] = R_ONE(a[c], from[c]);
    }
}

CR__T static void R(columns_begin)(void *acc, int64_t width)
{
    R_T *a = acc;
    for (int l = 0; l < CR__LANES; l++)
        for (int64_t c = 0; c < width; c += R_N)
            R_STORE(a + l * COLUMNS + c, CR__L(R_L, _set)(R_IDENTITY));
}

CR__T static void R(columns_join)(void *out, const void *x, const void *y, int64_t width)
{
    R_T *o = out;
    const R_T *p = x, *q = y;
    int64_t c = 0;
    for (; c + R_N <= width; c += R_N)
        R_STORE(o + c, R_OP(R_LOAD(p + c), R_LOAD(q + c)));
    for (; c < width; c++)
        o[c] = R_ONE(p[c], q[c]);
}

CR__T static void R(columns_end)(void *acc, void *out, int64_t width)
{
    R_T *a = acc;
    for (int half = CR__LANES / 2; half >= 1; half /= 2)
        for (int l = 0; l < half; l++)
            R(columns_join)
    (a + l * COLUMNS, a + l * COLUMNS, a + (l + half) * COLUMNS, width);
    memcpy(out, a, (size_t)width * sizeof(R_T));
}

static const reduction R(kernel) = {
    { sizeof(R_T), R(begin), R(add), R(end), R(join), R(rows) },
    R(columns_begin),
    R(columns),
    R(columns_end),
    R(columns_join),
};

#undef R_VECTORS
#undef R_LOAD
#undef R_STORE
