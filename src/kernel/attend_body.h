/* What attention does to its rows, for one float type (for_each_float.h) in one instruction set. The
 * exponential of f64 is a long one, which doubles.c has: a map of the whole row. */

#define ROW_EXP_LATER (sizeof(T) == 8)
#define ROW_EXP(x, n) CR__L(ROW_EXP_, T)(x, n)
#define ROW_EXP_float(x, n)
#define ROW_EXP_double(x, n)                                            \
    cr__map_find(CR__MAP_exp, CR_F64, CR_F64)(x, (const void *[]){ x }, \
                                              (const int64_t[]){ 1 }, n)
#define EXP(x)        CR__L(EXP_, T)(x)
#define EXP_float(x)  ma_exp(x)
#define EXP_double(x) (x)

/* The largest of x[0..n) times the scale, which they are replaced by. NaNs are none. */
CR__FN T NAME(attend_largest)(T *x, int64_t n, VT scale)
{
    const VT none = F(set)(-(T)INFINITY);
    VT most = none;
    T lanes[N];
    int64_t i = 0;
    for (; i + N <= n; i += N) {
        VT a = F(load)(x + i) * scale;
        F(store)(x + i, a);
        most = F(max)(a, most);
    }
    if (i < n) {
        const VT a = F(take)(x + i, n - i) * scale;
        F(give)(x + i, n - i, a);
        most = F(max)(F(sel)(F(first)(n - i), a, none), most);
    }
    F(store)(lanes, most);
#pragma GCC unroll 8
    for (int width = N / 2; width >= 1; width /= 2) {
#pragma GCC unroll 8
        for (int k = 0; k < width; k++)
            lanes[k] = lanes[k] > lanes[k + width] ? lanes[k] : lanes[k + width];
    }
    return lanes[0];
}

/* to[i] = e^(x[i] - *less), for i < n, added to lane i mod CR__LANES. */
CR__T static void NAME(attend_add_exp)(void *to, const void *from, int64_t n,
                                       const void *less, void *lanes)
{
    T *out = to;
    const T *x = from;
    const VT sub = F(fill)(less);
    for (int64_t i = 0; ROW_EXP_LATER && i < n; i += N)
        F(give)(out + i, n - i, F(take)(x + i, n - i) - sub);
    ROW_EXP(out, n);
    for (int64_t i = 0; i < n; i += N) {
        T *lane = (T *)lanes + i % CR__LANES;
        VT a = F(take)((ROW_EXP_LATER ? out : x) + i, n - i);
        if (!ROW_EXP_LATER) {
            a = EXP(a - sub);
            F(give)(out + i, n - i, a);
        }
        if (n - i < N)
            a = F(sel)(F(first)(n - i), a, F(set)(0));
        F(store)(lane, F(load)(lane) + a);
    }
}

/* The lanes of four rows, folded. */
CR__FN void NAME(attend_fold)(T (*lanes)[CR__LANES], T *sums)
{
    VT folded[4];
    for (int r = 0; r < 4; r++) {
#pragma GCC unroll 8
        for (int width = CR__LANES / 2; width >= N; width /= 2)
            for (int i = 0; i < width; i += N)
                F(store)
        (lanes[r] + i, F(load)(lanes[r] + i) + F(load)(lanes[r] + i + width));
        folded[r] = F(load)(lanes[r]);
    }
    F(fold4)(folded, sums);
}

CR__T static void NAME(attend_weights)(const cr__attend_rows *w)
{
    const VT scale = F(set)((T)w->scale);
    T *most = w->most, *sums = w->sums, lanes[4][CR__LANES], four[4];
    memset(lanes, 0, sizeof lanes);
    for (int64_t r = 0; r < w->rows; r++) {
        const int64_t n = cr__attend_length(w, r);
        T *x = (T *)w->x + r * w->pitch;
        most[r] = NAME(attend_largest)(x, n, scale);
        const T less = most[r] > -(T)INFINITY ? most[r] : 0;
        memset(lanes[r % 4], 0, sizeof lanes[0]);
        NAME(attend_add_exp)(x, x, n, &less, lanes[r % 4]);
        if (r % 4 == 3 || r == w->rows - 1) {
            NAME(attend_fold)(lanes, four);
            memcpy(sums + r / 4 * 4, four, (size_t)(r % 4 + 1) * sizeof(T));
        }
    }
}

/* x[i] /= by. */
CR__T static void NAME(attend_divide)(void *row, int64_t n, double by)
{
    const VT sum = F(set)((T)by);
    T *x = row;
    for (int64_t i = 0; i < n; i += N)
        F(give)(x + i, n - i, F(take)(x + i, n - i) / sum);
}

/* x[i] = e^(x[i] scale - less). */
CR__T static void NAME(attend_exp)(void *row, int64_t n, double scale, double less)
{
    const VT by = F(set)((T)scale), sub = F(set)((T)less);
    T *x = row;
    for (int64_t i = 0; i < n; i += N)
        F(give)(x + i, n - i, EXP(F(take)(x + i, n - i) * by - sub));
    ROW_EXP(row, n);
}

/* y[i] = (y[i] - less) x[i] scale. */
CR__T static void NAME(attend_slopes)(void *to, const void *row, int64_t n, double less,
                                      double scale)
{
    const VT by = F(set)((T)scale), sub = F(set)((T)less);
    const T *x = row;
    T *y = to;
    for (int64_t i = 0; i < n; i += N)
        F(give)(y + i, n - i, (F(take)(y + i, n - i) - sub) * F(take)(x + i, n - i) * by);
}

#undef ROW_EXP_LATER
#undef ROW_EXP
#undef ROW_EXP_float
#undef ROW_EXP_double
#undef EXP
#undef EXP_float
#undef EXP_double
