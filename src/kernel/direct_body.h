/* The inner loops of convolutions (direct.h) in one instruction set: a template over vec.h. */

/* A tile's sums fill the registers. */
#if CR__REGISTERS == 32 && !defined(CR__SANITIZED)
#define D_ROWS    14
#define D_THREES  4
#define D_EACH(X) X(2) X(4) X(6) X(8) X(10) X(12) X(14)
#elif CR__HAS_FMA && !defined(CR__SANITIZED)
#define D_ROWS    6
#define D_THREES  2
#define D_EACH(X) X(2) X(4) X(6)
#else
#define D_ROWS    4
#define D_THREES  1
#define D_EACH(X) X(2) X(4)
#endif
#define D(name) CR__V(direct_##name)

/* ---- positions ---- */

/* What is not written whole. */
CR__CALL void D(give)(const cr__direct_tile *t, const vf *sums, int rows, int vectors)
{
    for (int v = 0; v < vectors; v++) {
        vi order;
        memcpy(&order, t->order[v], sizeof order);
        float *c = t->c[v];
        for (int r = 0; r < rows - t->absent; r++, c += t->c_row) {
            const vf sum = v_pick(sums[r * vectors + v], order);
            if (t->n[v] >= CR__W)
                v_store(c, sum);
            else
                v_store_first(c, t->n[v], sum);
        }
    }
}

CR__FN void D(tile)(const cr__direct_tile *t, const int rows, const int vectors)
{
    vf acc[D_ROWS > 6 ? 2 * D_ROWS : 12], all[D_ROWS > 6 ? 2 * D_ROWS : 12];
    const float *a = t->a;
    const int32_t *tap = t->taps;
    const char *b[CR__DIRECT_VECTORS];
    int64_t left = t->k;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        b[v] = t->b[v];
    for (bool first = true;; first = false) {
        int64_t n = left < CR__GEMM_BLOCK ? left : CR__GEMM_BLOCK;
        left -= n;
#pragma GCC unroll 28
        for (int i = 0; i < rows * vectors; i++)
            acc[i] = v_set(0);
        for (; n > 0; n--) {
            const int64_t at = *tap++;
            vf held[CR__DIRECT_VECTORS];
            const int hold = rows > vectors ? vectors : rows;
#pragma GCC unroll 4
            for (int i = 0; i < hold; i++)
                held[i] = rows > vectors
                              ? v_load((const float *)(const void *)(b[i] + at))
                              : v_fill(a + i);
#pragma GCC unroll 14
            for (int i = 0; i < rows * vectors / hold; i++) {
                const vf one = rows > vectors
                                   ? v_fill(a + i)
                                   : v_load((const float *)(const void *)(b[i] + at));
#pragma GCC unroll 4
                for (int j = 0; j < hold; j++) {
                    const int r = rows > vectors ? i : j, v = rows > vectors ? j : i;
                    acc[r * vectors + v] = v_fma(held[j], one, acc[r * vectors + v]);
                }
            }
            a += rows;
        }
        if (!first) {
#pragma GCC unroll 28
            for (int i = 0; i < rows * vectors; i++)
                acc[i] = all[i] + acc[i];
        }
        if (left == 0 && t->plain)
            break;
#pragma GCC unroll 28
        for (int i = 0; i < rows * vectors; i++)
            all[i] = acc[i];
        if (left == 0) {
            D(give)(t, all, rows, vectors);
            return;
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        float *c = t->c[v];
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++, c += t->c_row)
            if (r < (rows == 3 ? 1 : rows - 1) || r < rows - t->absent)
                v_store(c, acc[r * vectors + v]);
    }
}

#define D_TILE(R)                                           \
    CR__T static void D(tile_##R)(const cr__direct_tile *t) \
    {                                                       \
        D(tile)(t, R, 2);                                   \
    }
#define D_NAME(R) D(tile_##R),
D_EACH(D_TILE)
static cr__direct_fn *const D(tiles)[] = { D_EACH(D_NAME) };
CR__T static void D(few)(const cr__direct_tile *t)
{
    vf all[3 * CR__DIRECT_VECTORS];
    (void)all;
    D(tile)(t, 3, CR__DIRECT_VECTORS);
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
    } else {
        for (; i < hi; i++, from += step)
            to[i] = *from;
    }
    for (; i < pitch; i++)
        to[i] = 0;
}

/* Lines of these pieces, of channels, one behind the other in memory. */
CR__T static void D(fill)(const cr__direct *d, const cr__direct_layout *layout,
                          const cr__direct_piece *pieces, int n, int64_t channels,
                          float *band)
{
    const cr__direct_copies *down = &layout->dims[CR__DOWN_THE],
                            *along = &layout->dims[CR__ALONG_THE];
    const int64_t step = d->dims[CR__ALONG_THE].step,
                  down_step = d->dims[CR__DOWN_THE].step;
    const int64_t more = down->length - d->dims[CR__DOWN_THE].n;
    for (int64_t channel = 0; channel < channels; channel++)
        for (int i = 0; i < down->n; i++)
            for (int j = 0; j < along->n; j++, band += layout->copy)
                for (const cr__direct_piece *p = pieces; p < pieces + n; p++) {
                    const float *image = p->image + channel * d->x_channel;
                    float *to = band + p->at * layout->pitch;
                    for (int64_t l = 0; l < p->lines + more; l++, to += layout->pitch) {
                        const int64_t u = down->first[i] + (p->first + l) * down_step;
                        const bool there = u >= 0 && u < d->dims[CR__DOWN_THE].size;
                        const int64_t lo = along->lo[j];
                        D(line)
                        (to, image + u * d->x_line + along->first[j] + lo * step,
                         there ? lo : 0, there ? along->hi[j] : 0, step, layout->pitch);
                    }
                    for (int64_t l = 0; l < layout->overlap; l++)
                        to[l] = 0;
                }
}

/* to[l*pitch + i] = from[i*step + l]. */
CR__T static void D(transpose)(float *to, int64_t pitch, const float *from, int64_t step,
                               int64_t lines, int64_t lanes)
{
    int64_t i = 0;
#if CR__HAS_SQUARES
    for (; i + 8 <= lanes; i += 8) {
        int64_t l = 0;
        for (; l + 8 <= lines; l += 8)
            v_square(to + l * pitch + i, pitch, (const char *)(from + i * step + l),
                     step * 4);
        for (; l < lines; l++)
            for (int64_t j = i; j < i + 8; j++)
                to[l * pitch + j] = from[j * step + l];
    }
#endif
    for (; i < lanes; i++)
        for (int64_t l = 0; l < lines; l++)
            to[l * pitch + i] = from[i * step + l];
}

/* ---- weights ---- */

CR__FN void D(weights)(const cr__direct_threes *t, const int vectors)
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

CR__T static void D(weights_1)(const cr__direct_threes *t)
{
    D(weights)(t, 1);
}
CR__T static void D(weights_2)(const cr__direct_threes *t)
{
    D(weights)(t, 2);
}

enum { D(lanes) = CR__W, D(rows) = D_ROWS, D(threes) = D_THREES };

#undef D
#undef D_ROWS
#undef D_THREES
#undef D_EACH
#undef D_TILE
#undef D_NAME
