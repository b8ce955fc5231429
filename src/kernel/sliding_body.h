/* The inner loops of convolutions (sliding.h) in one instruction set: a template over vec.h. */

/* A tile's sums fill the registers. */
#if CR__REGISTERS == 32 && !defined(CR__SANITIZED)
#define D_THREES  4
#define D_EACH(X) X(4) X(8) X(12) X(14)
#elif CR__HAS_FMA && !defined(CR__SANITIZED)
#define D_THREES  2
#define D_EACH(X) X(4) X(6)
#else
#define D_THREES  1
#define D_EACH(X) X(4)
#endif
#define D_FEW   CR__HAS_FMA
#define D(name) CR__V(sliding_##name)

/* ---- positions ---- */

/* Of rows and vectors the fewer are held, and the others pass. */
CR__FN void D(tile)(const cr__sliding_tile *t, const int rows, const int vectors)
{
    vf acc[28], held[CR__SLIDING_VECTORS], one;
    const bool high = rows > vectors || CR__REGISTERS == 32;
    const int hold = high ? vectors : rows, pass = high ? rows : vectors;
    const float *a = t->a;
    const int32_t *tap = t->taps;
    const char *b[CR__SLIDING_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        b[v] = t->b[v];
#pragma GCC unroll 28
    for (int i = 0; i < rows * vectors; i++)
        acc[i] = v_set(0);
    for (int64_t k = t->k; k > 0; k--) {
        const int64_t at = *tap++;
#pragma GCC unroll 4
        for (int i = 0; i < hold; i++)
            held[i] =
                high ? v_load((const float *)(const void *)(b[i] + at)) : v_fill(a + i);
#pragma GCC unroll 14
        for (int i = 0; i < pass; i++) {
            one = high ? v_fill(a + i) : v_load((const float *)(const void *)(b[i] + at));
            if (!high)
                CR__LOADED(one);
#pragma GCC unroll 4
            for (int j = 0; j < hold; j++) {
                const int at_sum = high ? i * vectors + j : j * vectors + i;
                acc[at_sum] = v_fma(held[j], one, acc[at_sum]);
            }
        }
        a += rows;
    }
    if (t->add) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const float *c = t->c[v];
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++, c += t->c_row)
                acc[r * vectors + v] = v_load(c) + acc[r * vectors + v];
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        float *c = t->c[v];
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++, c += t->c_row)
            v_store(c, acc[r * vectors + v]);
    }
}

#define D_TILE(R)                                            \
    CR__T static void D(tile_##R)(const cr__sliding_tile *t) \
    {                                                        \
        D(tile)(t, R, 2);                                    \
    }
D_EACH(D_TILE)
#if D_FEW
CR__T static void D(few)(const cr__sliding_tile *t)
{
    D(tile)(t, 3, CR__SLIDING_VECTORS);
}
#endif

/* What is not all there. */
CR__T static void D(give)(const cr__sliding_lanes *to, const float *from, int64_t row,
                          int64_t rows, int vectors)
{
    for (int v = 0; v < vectors; v++) {
        vi order;
        memcpy(&order, to->order[v], sizeof order);
        float *c = to->c[v] + row * to->c_row;
        for (int64_t r = 0; r < rows; r++, c += to->c_row)
            v_give(c, to->n[v], v_pick(v_load(from + (r * vectors + v) * CR__W), order));
    }
}

/* Each second place: what is between them goes out, and in again. */
CR__T static void D(spread)(float *to, int64_t step, const float *from, int64_t n)
{
    if (step == 2) {
        const int64_t low = 2 * n - 1, high = low - CR__W;
        vf both[2];
        v_split(v_take(to, low), high > 0 ? v_take(to + CR__W, high) : v_set(0), both);
        v_weave(v_take(from, n), both[1], both);
        v_give(to, low, both[0]);
        if (high > 0)
            v_give(to + CR__W, high, both[1]);
    } else {
        for (int64_t i = 0; i < n; i++)
            to[i * step] = from[i];
    }
}

/* ---- copies ---- */

/* A line of a copy: what is written behind it is of the next, or of no line. */
CR__FN void D(line)(float *to, const float *from, int64_t lo, int64_t hi, int64_t step,
                    int64_t pitch)
{
    int64_t i = lo;
    for (int64_t j = 0; j < lo; j++)
        to[j] = 0;
    if (step == 1) {
        for (; i + CR__W <= hi; i += CR__W, from += CR__W)
            v_store(to + i, v_load(from));
        if (i < hi) {
            v_store(to + i, v_load_part(from, v_first(hi - i)));
            i += CR__W;
        }
    } else if (step == 2) {
        for (int64_t left; (left = hi - i) > 0; i += CR__W, from += 2 * CR__W) {
            const int64_t high = 2 * left - 1 - CR__W;
            vf parts[2];
            v_split(v_take(from, 2 * left - 1),
                    high > 0 ? v_take(from + CR__W, high) : v_set(0), parts);
            v_store(to + i, parts[0]);
        }
    } else {
        for (; i < hi; i++, from += step)
            to[i] = *from;
    }
    for (; i < pitch; i++)
        to[i] = 0;
}
CR__T static void D(lines)(float *to, const float *from, int64_t lo, int64_t hi,
                           int64_t step, int64_t pitch, int64_t down, int64_t n)
{
    for (; n > 0; n--, to += pitch, from += down)
        D(line)(to, from, lo, hi, step, pitch);
}

#if CR__HAS_SQUARES
CR__T static void D(square)(float *to, int64_t pitch, const float *from, int64_t step)
{
    v_square(to, pitch, (const char *)from, step * 4);
}
#endif

/* ---- weights ---- */

CR__FN void D(weights)(const cr__sliding_threes *t, const int vectors)
{
    vf acc[6 * D_THREES];
    const char *a[D_THREES];
    const float *y = t->y;
    const int32_t *hop = t->hops;
    const int64_t second = t->apart[0], third = t->apart[1];
#pragma GCC unroll 4
    for (int g = 0; g < D_THREES; g++)
        a[g] = t->x + t->at[g];
#pragma GCC unroll 24
    for (int i = 0; i < 3 * D_THREES * vectors; i++)
        acc[i] = v_set(0);
    for (int64_t k = t->k; k > 0; k--) {
        const int64_t step = *hop++;
        vf held[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            held[v] = v_load(y + v * CR__W);
#pragma GCC unroll 12
        for (int i = 0; i < 3 * D_THREES; i++) {
            const char *at = a[i / 3] + (i % 3 == 0 ? 0 : i % 3 == 1 ? second : third);
            const vf one = v_fill((const float *)(const void *)at);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                acc[i * vectors + v] = v_fma(one, held[v], acc[i * vectors + v]);
        }
#pragma GCC unroll 4
        for (int g = 0; g < D_THREES; g++)
            a[g] += step;
        y += vectors * CR__W;
    }
    float *sum = t->sums;
    if (t->add) {
#pragma GCC unroll 24
        for (int i = 0; i < 3 * D_THREES * vectors; i++)
            acc[i] = v_load(sum + i * CR__W) + acc[i];
    }
#pragma GCC unroll 24
    for (int i = 0; i < 3 * D_THREES * vectors; i++)
        v_store(sum + i * CR__W, acc[i]);
}

CR__T static void D(weights_1)(const cr__sliding_threes *t)
{
    D(weights)(t, 1);
}
CR__T static void D(weights_2)(const cr__sliding_threes *t)
{
    D(weights)(t, 2);
}

#define D_HEIGHT(R) R,
#define D_NAME(R)   D(tile_##R),
static const cr__sliding_kernel D(kernel) = {
    .lanes = CR__W,
    .threes = D_THREES,
    .heights = { D_EACH(D_HEIGHT) },
    .tiles = { D_EACH(D_NAME) },
#if D_FEW
    .few = D(few),
#endif
    .give = D(give),
    .spread = D(spread),
    .lines = D(lines),
#if CR__HAS_SQUARES
    .square = D(square),
#endif
    .weights = { D(weights_1), D(weights_2) },
};

#undef D
#undef D_FEW
#undef D_THREES
#undef D_EACH
#undef D_TILE
#undef D_HEIGHT
#undef D_NAME
