/* The vocabulary of one instruction set (src/kernel/vec.h) against plain C: a template,
 * included by kernel_vec.c behind each set's file. */

/* fma in every lane, against that of the machine or libm. */
CR__T static bool CR__V(check_fma)(const double *x, const double *y, const double *z)
{
    double got[CR__W / 2];
    bool right = true;
    d_store(got, d_fma(d_load(x), d_load(y), d_load(z)));
    for (int i = 0; i < CR__W / 2; i++)
        right = right && same_f64(got[i], fused_f64(x[i], y[i], z[i]), x[i], y[i], z[i]);
    return right;
}

CR__T static bool CR__V(check_fmaf)(const float *x, const float *y, const float *z)
{
    float got[CR__W];
    bool right = true;
    v_store(got, v_fma(v_load(x), v_load(y), v_load(z)));
    for (int i = 0; i < CR__W; i++)
        right = right && same_f32(got[i], fused_f32(x[i], y[i], z[i]), x[i], y[i], z[i]);
    return right;
}

/* n elements that end where memory ends, and n that begin where it begins, for every n:
 * read and written exactly. */
#define CHECK_PARTS(name, T, N, L)                                                   \
    CR__T static bool CR__V(name)(char *from, char *end)                             \
    {                                                                                \
        bool right = true;                                                           \
        for (int n = 0; n <= N; n++) {                                               \
            T *at[2] = { (T *)(void *)from, (T *)(void *)end - n }, got[N];          \
            for (int side = 0; side < 2; side++) {                                   \
                T *p = at[side];                                                     \
                for (int i = 0; i < n; i++)                                          \
                    p[i] = (T)(i + 1);                                               \
                CR__L(L, _store)(got, CR__L(L, _load_part)(p, CR__L(L, _first)(n))); \
                for (int i = 0; i < N; i++)                                          \
                    right = right && got[i] == (i < n ? (T)(i + 1) : 0);             \
                memset(from, 0x5a, PAGE);                                            \
                CR__L(L, _store_part)(p, CR__L(L, _first)(n), CR__L(L, _set)((T)7)); \
                for (int i = 0; i < n; i++)                                          \
                    right = right && p[i] == 7;                                      \
                for (char *c = from; c < end; c++)                                   \
                    right = right &&                                                 \
                            (*c == 0x5a || (c >= (char *)p && c < (char *)(p + n))); \
            }                                                                        \
        }                                                                            \
        return right;                                                                \
    }
CHECK_PARTS(check_parts, float, CR__W, v)
CHECK_PARTS(check_parts_f64, double, (CR__W / 2), d)

/* Lanes folded by halving; the powers of two make every order but that one visible in
 * rounding. */
#define CHECK_FOLD(name, T, VT, N, L)                                 \
    CR__T static bool CR__V(name)(const T *x)                         \
    {                                                                 \
        VT rows[4];                                                   \
        T got[4], want[N];                                            \
        bool right = true;                                            \
        for (int r = 0; r < 4; r++)                                   \
            rows[r] = CR__L(L, _load)(x + r * N);                     \
        CR__L(L, _fold4)(rows, got);                                  \
        for (int r = 0; r < 4; r++) {                                 \
            memcpy(want, x + r * N, sizeof want);                     \
            for (int half = N / 2; half; half /= 2)                   \
                for (int i = 0; i < half; i++)                        \
                    want[i] += want[i + half];                        \
            right = right && memcmp(&got[r], want, sizeof *got) == 0; \
        }                                                             \
        return right;                                                 \
    }
CHECK_FOLD(check_fold, float, vf, CR__W, v)
CHECK_FOLD(check_fold_f64, double, vd, (CR__W / 2), d)

/* `lines` of `columns`, whichever the set has. */
CR__T static bool CR__V(check_squares)(const float *x, const double *y)
{
    bool right = true;
#if CR__HAS_SQUARES
    float to[8 * 17];
    double to_f64[4 * 9];
    v_square(to, 17, (const char *)x, 11 * sizeof *x);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            right = right && to[i * 17 + j] == x[j * 11 + i];
    d_square(to_f64, 9, (const char *)y, 5 * sizeof *y);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            right = right && to_f64[i * 9 + j] == y[j * 5 + i];
#endif
#if CR__HAS_LINES
    float lines[4 * 19];
    v_lines(lines, 19, (const char *)x, 5 * sizeof *x);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < CR__W; j++)
            right = right && lines[i * 19 + j] == x[j * 5 + i];
#endif
    vf parts[2], pairs[2];
    v_split(v_load(x), v_load(x + CR__W), parts);
    v_weave(parts[0], parts[1], pairs);
    for (int i = 0; i < CR__W; i++)
        right = right && parts[0][i] == x[2 * i] && parts[1][i] == x[2 * i + 1] &&
                pairs[0][i] == x[i] && pairs[1][i] == x[CR__W + i];
    (void)y;
    return right;
}

static const checks CR__V(all) = {
    CR__V(check_fma),       CR__V(check_fmaf), CR__V(check_parts),
    CR__V(check_parts_f64), CR__V(check_fold), CR__V(check_fold_f64),
    CR__V(check_squares),
};

#undef CHECK_PARTS
#undef CHECK_FOLD
