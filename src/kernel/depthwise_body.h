/* The loops of depthwise convolutions, in one instruction set (depthwise.c): a line is
 * what lies one behind the other in the buffer, or in a tensor. */

/* Vectors of two lines that are summed up at the same time, and taps whose lanes stay in
 * registers. */
#define ACROSS       4
#define LANE_VECTORS (CR__LANES / CR__W)
#define TAPS_AT_ONCE 3

/* Lines of zeros, n elements, and zeros; the last elements by a vector that overlaps. `ahead` is
 * where what is read next lies. */
CR__T static void CR__V(depth_copy)(const line_copy *c)
{
    float *to = c->to;
    const float *from = c->from;
    for (int64_t l = 0; l < c->lines; l++, to += c->pitch, from += c->step) {
        float *at = to + c->before;
        int64_t i = 0;
        for (int64_t z = 0; z < c->before; z++)
            to[z] = 0;
        for (; i + CR__W <= c->n; i += CR__W) {
            v_store(at + i, v_load(from + i));
            __builtin_prefetch((const char *)(from + i) + c->ahead);
        }
        if (i < c->n && c->n >= CR__W)
            v_store(at + c->n - CR__W, v_load(from + c->n - CR__W));
        else
            for (; i < c->n; i++)
                at[i] = from[i];
        for (int64_t z = 0; z < c->after; z++)
            at[c->n + z] = 0;
    }
}

/* `lines` times `across` vectors of results, of the last vector those below n. */
CR__FN void CR__V(depth_sum)(const tap_list *t, const float *x, int64_t step, float *out,
                             int64_t pitch, int64_t n, const int lines, const int across)
{
    vf sum[2][ACROSS];
#pragma GCC unroll 2
    for (int r = 0; r < lines; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < across; v++)
            sum[r][v] = v_set(0);
    }
    for (int i = 0; i < t->n; i++) {
        const float *from = x + t->at[i];
        const vf w = v_fill((const float *)t->weight + i);
#pragma GCC unroll 2
        for (int r = 0; r < lines; r++) {
#pragma GCC unroll 4
            for (int v = 0; v < across; v++)
                sum[r][v] = v_fma(v_load(from + r * step + v * CR__W), w, sum[r][v]);
        }
    }
#pragma GCC unroll 2
    for (int r = 0; r < lines; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < across; v++)
            if (n > v * CR__W)
                v_give(out + r * pitch + v * CR__W, n - v * CR__W, sum[r][v]);
    }
}
CR__T static void CR__V(depth_sum_wide)(const tap_list *t, const float *x, int64_t step,
                                        float *out, int64_t pitch, int64_t n)
{
    CR__V(depth_sum)(t, x, step, out, pitch, n, 2, ACROSS);
}
CR__T static void CR__V(depth_sum_narrow)(const tap_list *t, const float *x, float *out,
                                          int64_t n)
{
    CR__V(depth_sum)(t, x, 0, out, 0, n, 1, 1);
}

/* Lines of n results. Two at once, an odd last one with the one before it once more; of one line
 * alone two parts. Behind a line's elements the buffer has room for whole vectors. */
CR__T static void CR__V(depth_sum_lines)(const tap_list *t, const float *x, int64_t step,
                                         float *out, int64_t pitch, int64_t lines,
                                         int64_t n)
{
    const int64_t wide = ACROSS * CR__W;
    int64_t done = 0;
    if (lines == 1)
        for (; n - done > 2 * wide; done += 2 * wide)
            CR__V(depth_sum_wide)(t, x + done, wide, out + done, wide, wide);
    for (; lines > 1 && n - done > CR__W; done += wide)
        for (int64_t r = 0; r < lines; r += 2) {
            const int64_t at = r + 1 < lines ? r : r - 1;
            CR__V(depth_sum_wide)
            (t, x + at * step + done, step, out + at * pitch + done, pitch, n - done);
        }
    for (; done < n; done += CR__W)
        for (int64_t r = 0; r < lines; r++)
            CR__V(depth_sum_narrow)
    (t, x + r * step + done, out + r * pitch + done, n - done);
}

/* Lanes [lane, lane + n) of one row of lanes, for every tap. */
CR__CALL void CR__V(depth_add_part)(const tap_list *t, const float *y, const float *x,
                                    float *lanes, int64_t lane, int64_t n)
{
    y -= lane, x -= lane;
    for (int64_t v = lane / CR__W * CR__W; v < lane + n; v += CR__W) {
        const int64_t from = lane > v ? lane - v : 0, to = lane + n - v;
        const vm in = v_first(to < CR__W ? to : CR__W) & v_not(v_first(from));
        const vf factor = v_load_part(y + v, in);
        for (int i = 0; i < t->n; i++) {
            float *sum = lanes + i * CR__LANES + v;
            const vf more = v_fma(factor, v_load_part(x + t->at[i] + v, in), v_load(sum));
            v_store(sum, v_sel(in, more, v_load(sum)));
        }
    }
}

#if CR__HAS_FMA
/* Whole rows of lanes; what is at `next`, if anything, will be wanted. */
CR__FN void CR__V(depth_add_rows)(const float *y, const float *x, const int64_t *at,
                                  float *lanes, int64_t n, const char *next,
                                  const int taps)
{
    vf sum[TAPS_AT_ONCE][LANE_VECTORS];
#pragma GCC unroll 3
    for (int i = 0; i < taps; i++) {
#pragma GCC unroll 16
        for (int v = 0; v < LANE_VECTORS; v++)
            sum[i][v] = v_load(lanes + i * CR__LANES + v * CR__W);
    }
    for (; n >= CR__LANES; n -= CR__LANES, y += CR__LANES, x += CR__LANES) {
        if (next) {
            __builtin_prefetch(next);
            __builtin_prefetch(next + 64);
            next += CR__LANES * sizeof(float);
        }
#pragma GCC unroll 16
        for (int v = 0; v < LANE_VECTORS; v++) {
            const vf factor = v_load(y + v * CR__W);
#pragma GCC unroll 3
            for (int i = 0; i < taps; i++)
                sum[i][v] = v_fma(factor, v_load(x + at[i] + v * CR__W), sum[i][v]);
        }
    }
#pragma GCC unroll 3
    for (int i = 0; i < taps; i++) {
#pragma GCC unroll 16
        for (int v = 0; v < LANE_VECTORS; v++)
            v_store(lanes + i * CR__LANES + v * CR__W, sum[i][v]);
    }
}
#endif

/* Adds n products to the lanes of every tap, the first on this lane. As many elements at each `next`
 * will be wanted: the first taps have those fetched. */
CR__T static void CR__V(depth_add_lanes)(const tap_list *t, const float *y,
                                         const float *x, float *lanes, int64_t lane,
                                         int64_t n, const char *const *next)
{
    int64_t m = CR__LANES - lane < n ? CR__LANES - lane : n;
    if (lane || m < CR__LANES) {
        CR__V(depth_add_part)(t, y, x, lanes, lane, m);
        y += m, x += m, n -= m;
    }
#if CR__HAS_FMA
    const char *const *of = next;
    int i = 0;
    for (; i + TAPS_AT_ONCE <= t->n; i += TAPS_AT_ONCE, of += of < next + 2)
        CR__V(depth_add_rows)
    (y, x, t->at + i, lanes + i * CR__LANES, n, *of, TAPS_AT_ONCE);
    for (; i < t->n; i++)
        CR__V(depth_add_rows)(y, x, t->at + i, lanes + i * CR__LANES, n, NULL, 1);
    m = n / CR__LANES * CR__LANES;
    y += m, x += m, n -= m;
#endif
    (void)next;
    for (; n > 0; y += CR__LANES, x += CR__LANES, n -= CR__LANES)
        CR__V(depth_add_part)(t, y, x, lanes, 0, n < CR__LANES ? n : CR__LANES);
}

#undef ACROSS
#undef LANE_VECTORS
#undef TAPS_AT_ONCE
