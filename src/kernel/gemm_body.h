/* A product of matrices in one instruction set and type: a template over vec.h and the
 * macros of gemm_floats.h. A tile of the result stays in registers over a block of k; its
 * rows broadcast elements of a, which may have any strides, and its vectors lie along
 * rows of b: read where they are, or packed into a sliver, CR__GEMM_BLOCK lines of two
 * vectors. */

#define G_LOAD   CR__L(G_L, _load)
#define G_STORE  CR__L(G_L, _store)
#define G_FILL   CR__L(G_L, _fill)
#define G_SET    CR__L(G_L, _set)
#define G_SLIVER (2 * G_N)
#define G_SQUARE (32 / G_SIZE)

/* The first n lanes. */
CR__FN G_M G(first)(int64_t n)
{
    G_VT lane = { 0 };
#pragma GCC unroll 16
    for (int i = 0; i < G_N; i++)
        lane[i] = (G_T)i;
    return CR__L(G_L, _lt)(lane, G_SET((G_T)n));
}

#ifndef G_LOAD_PART
CR__FN G_VT G(load_part)(const G_T *p, G_M mask)
{
    G_VT v = { 0 };
    for (int i = 0; i < G_N; i++)
        if (mask[i])
            v[i] = p[i];
    return v;
}
CR__FN void G(store_part)(G_T *p, G_M mask, G_VT v)
{
    for (int i = 0; i < G_N; i++)
        if (mask[i])
            p[i] = v[i];
}
#define G_LOAD_PART(p, mask)     G(load_part)(p, mask)
#define G_STORE_PART(p, mask, v) G(store_part)(p, mask, v)
#endif

CR__FN G_VT G(read)(const char *p, bool part, G_M mask)
{
    if (part)
        return G_LOAD_PART((const G_T *)p, mask);
    return G_LOAD((const G_T *)p);
}

/* ---- tiles ---- */

/* Writes the tile, or adds it to what earlier blocks left. */
CR__FN void G(tile_end)(const tile *t, G_VT (*acc)[2], const int rows, const int vectors,
                        const bool part, G_M mask)
{
    char *line = t->c;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++, line += t->c_row) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            G_T *c = (G_T *)line + v * G_N;
            bool masked = part && v == vectors - 1;
            G_VT sum = acc[r][v];
            if (t->add)
                sum = G(read)((const char *)c, masked, mask) + sum;
            if (masked)
                G_STORE_PART(c, mask, sum);
            else
                G_STORE(c, sum);
        }
    }
}

/* One pointer for four rows of a, so that addresses need no chain of additions. */
CR__FN void G(tile)(const tile *t, const int rows, const int vectors, const bool part)
{
    G_VT acc[G_ROWS > G_ROWS_1 ? G_ROWS : G_ROWS_1][2];
    const char *a[4], *b = t->b;
    const int64_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    const G_M mask = G(first)(t->rest);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            acc[r][v] = G_SET(0);
    }
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 3) / 4; i++)
        a[i] = t->a + 4 * i * a_row;
    for (int64_t k = t->k; k > 0; k--) {
        G_VT y[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            bool masked = part && v == vectors - 1;
            y[v] = G(read)(b + v * G_N * G_SIZE, masked, mask);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            G_VT x = G_FILL((const G_T *)(a[r / 4] + r % 4 * a_row));
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                acc[r][v] = G_FMA(x, y[v], acc[r][v]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < (rows + 3) / 4; i++)
            a[i] += a_col;
        b += b_row;
    }
    G(tile_end)(t, acc, rows, vectors, part, mask);
}

#define G_TILE(R, V)                                          \
    CR__T static void G(tile_##R##x##V)(const tile *t)        \
    {                                                         \
        G(tile)(t, R, V, false);                              \
    }                                                         \
    CR__T static void G(tile_##R##x##V##_part)(const tile *t) \
    {                                                         \
        G(tile)(t, R, V, true);                               \
    }
#define G_NAME(R, V)    { G(tile_##R##x##V), G(tile_##R##x##V##_part) },
#define G_UP_TO_6(X, V) X(1, V) X(2, V) X(3, V) X(4, V) X(5, V) X(6, V)
#define G_UP_TO_12(X, V) \
    G_UP_TO_6(X, V) X(7, V) X(8, V) X(9, V) X(10, V) X(11, V) X(12, V)
#define G_UP_TO_14(X, V) G_UP_TO_12(X, V) X(13, V) X(14, V)
#define G_UP_TO_(N)      G_UP_TO_##N
#define G_UP_TO(N)       G_UP_TO_(N)

G_UP_TO(G_ROWS)
(G_TILE, 2) G_UP_TO(G_ROWS_1)(G_TILE, 1)

    /* By vectors - 1, rows - 1, and whether the last vector is not full. */
    static tile_fn *const G(tiles)[2][G_ROWS > G_ROWS_1 ? G_ROWS : G_ROWS_1][2] = {
        { G_UP_TO(G_ROWS_1)(G_NAME, 1) },
        { G_UP_TO(G_ROWS)(G_NAME, 2) },
    };

/* ---- packing b ---- */

#if CR__ISA > 0
/* A square of 32 bytes: line i of to is column i of from. */
CR__FN void G(transpose)(G_T *to, const char *from, int64_t step)
{
#define G_AT(i) (const G_T *)(from + (i)*step)
#if G_SIZE == 4
#define G_HALVES(i, j, at)                                                   \
    _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(G_AT(i) + at)), \
                         _mm_loadu_ps(G_AT(j) + at), 1)
#pragma GCC unroll 2
    for (int at = 0; at < 8; at += 4, to += 4 * G_SLIVER) {
        __m256 r0 = G_HALVES(0, 4, at), r1 = G_HALVES(1, 5, at);
        __m256 r2 = G_HALVES(2, 6, at), r3 = G_HALVES(3, 7, at);
        __m256 s0 = _mm256_unpacklo_ps(r0, r1), s1 = _mm256_unpackhi_ps(r0, r1);
        __m256 s2 = _mm256_unpacklo_ps(r2, r3), s3 = _mm256_unpackhi_ps(r2, r3);
        _mm256_storeu_ps(to, _mm256_shuffle_ps(s0, s2, 0x44));
        _mm256_storeu_ps(to + G_SLIVER, _mm256_shuffle_ps(s0, s2, 0xee));
        _mm256_storeu_ps(to + 2 * G_SLIVER, _mm256_shuffle_ps(s1, s3, 0x44));
        _mm256_storeu_ps(to + 3 * G_SLIVER, _mm256_shuffle_ps(s1, s3, 0xee));
    }
#else
#define G_HALVES(i, j, at)                                                   \
    _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(G_AT(i) + at)), \
                         _mm_loadu_pd(G_AT(j) + at), 1)
#pragma GCC unroll 2
    for (int at = 0; at < 4; at += 2, to += 2 * G_SLIVER) {
        __m256d r0 = G_HALVES(0, 2, at), r1 = G_HALVES(1, 3, at);
        _mm256_storeu_pd(to, _mm256_unpacklo_pd(r0, r1));
        _mm256_storeu_pd(to + G_SLIVER, _mm256_unpackhi_pd(r0, r1));
    }
#endif
#undef G_HALVES
#undef G_AT
}
#endif

/* Elements one by one: [from, to) of the sliver's lines, [left, right) of its columns. */
CR__FN void G(pack_elements)(const product *p, const char *b, G_T *to, int64_t from,
                             int64_t lines, int64_t left, int64_t right)
{
    for (int64_t k = from; k < lines; k++)
        for (int64_t j = left; j < right; j++)
            to[k * G_SLIVER + j] = *(const G_T *)(b + k * p->b_row + j * p->b_col);
}

/* Packs `lines` lines of `columns` columns of b into the sliver. */
CR__T static void G(pack)(const product *p, const char *b, G_T *to, int64_t lines,
                          int64_t columns)
{
    int64_t k = 0, j = 0;
    if (p->b_col == G_SIZE) {
        for (; k < lines; k++)
            memcpy(to + k * G_SLIVER, b + k * p->b_row, (size_t)columns * G_SIZE);
        return;
    }
#if CR__ISA > 0
    if (p->b_row == G_SIZE)
        for (; j + G_SQUARE <= columns; j += G_SQUARE) {
            const char *from = b + j * p->b_col;
            for (k = 0; k + G_SQUARE <= lines; k += G_SQUARE)
                G(transpose)(to + k * G_SLIVER + j, from + k * G_SIZE, p->b_col);
            G(pack_elements)(p, b, to, k, lines, j, j + G_SQUARE);
        }
#endif
    G(pack_elements)(p, b, to, 0, lines, j, columns);
}

/* ---- the product ---- */

/* Rows of a over one block of k, packed one after the other. */
CR__T static void G(pack_rows)(const char *a, int64_t a_row, char *to, int64_t rows,
                               int64_t lines)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * PACKED_ROW(G_SIZE), a + r * a_row, (size_t)lines * G_SIZE);
}

/* All tiles of one sliver; their numbers of rows differ by one at most. */
CR__FN void G(sliver)(tile *t, int64_t rows, int64_t columns)
{
    const int wide = columns > G_N;
    const int64_t most = wide ? G_ROWS : G_ROWS_1, tiles = (rows + most - 1) / most;
    const int64_t least = rows / tiles, larger = rows % tiles;
    const char *a = t->a;
    char *c = t->c;
    t->rest = columns - wide * G_N;
    tile_fn *const(*of)[2] = G(tiles)[wide];
    for (int64_t i = 0; i < tiles; i++) {
        int64_t n = least + (i < larger);
        of[n - 1][t->rest < G_N](t);
        t->a += n * t->a_row;
        t->c += n * t->c_row;
    }
    t->a = a;
    t->c = c;
}

/* One panel of rows over one block of k. */
CR__T static void G(panel)(const product *p, int64_t i, int64_t rows, int64_t from)
{
    const int64_t left = p->k - from, n = p->n;
    tile t = { .a = p->a + i * p->a_row + from * p->a_col,
               .a_row = p->a_row,
               .a_col = p->a_col,
               .c_row = p->c_row,
               .k = left < CR__GEMM_BLOCK ? left : CR__GEMM_BLOCK,
               .add = from > 0 };
    const char *b = p->b + from * p->b_row;
    char *c = p->c + i * p->c_row;
    if (p->pack_a) {
        char *packed = p->scratch + SLIVER_BYTES;
        G(pack_rows)(t.a, t.a_row, packed, rows, t.k);
        t.a = packed, t.a_row = PACKED_ROW(G_SIZE);
    }
    for (int64_t j = 0; j < n; j += G_SLIVER) {
        int64_t columns = n - j < G_SLIVER ? n - j : G_SLIVER;
        t.b = b + j * p->b_col, t.b_row = p->b_row;
        t.c = c + j * G_SIZE;
        if (p->pack_b) {
            G(pack)(p, t.b, (G_T *)p->scratch, t.k, columns);
            t.b = p->scratch, t.b_row = G_SLIVER * G_SIZE;
        }
        G(sliver)(&t, rows, columns);
    }
}

CR__T static void G(product)(const product *p)
{
    const int64_t panels = (p->m + p->panel_rows - 1) / p->panel_rows;
    for (int64_t i = 0; i < panels; i++) {
        int64_t begin = p->m * i / panels, end = p->m * (i + 1) / panels;
        for (int64_t k = 0; k < p->k; k += CR__GEMM_BLOCK)
            G(panel)(p, begin, end - begin, k);
    }
}
