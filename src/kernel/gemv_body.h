/* Products of a matrix and a vector, in one instruction set and type: every result is a
 * sum over k in the order of reductions. A template like gemm_body.h, whose macros it
 * shares. The matrix is read along its rows, or along its columns with the lanes of many
 * results in memory, whichever is contiguous. */

#define G_VECTORS (CR__LANES / G_N)
#define G_FOLD4   CR__L(G_L, _fold4)
/* Results that are summed up together: along rows of the matrix, and along columns. */
#define G_GROUP 16
/* As many, of a matrix that is no plain array. */
#define G_READ    8
#define G_COLUMNS (2048 / G_SIZE)
/* Rows of the matrix, CR__LANES apart, that one pass over the lanes takes. */
#define G_DEPTH 8

/* ---- along rows ---- */

/* The last elements of a block, fewer than CR__LANES. Lanes without an element take no
 * part: adding a product of zeros would turn -0 into +0. */
CR__FN void G(dot_rest)(G_VT (*acc)[4], const G_T *x, const char *rows, int64_t step,
                        int64_t n, const int count)
{
#pragma GCC unroll 16
    for (int v = 0; v < G_VECTORS; v++) {
        int64_t left = n - v * G_N;
        if (left <= 0)
            break;
        G_M mask = G_FIRST(left < G_N ? left : G_N);
        G_VT y = G_LOAD_PART(x + v * G_N, mask);
#pragma GCC unroll 4
        for (int r = 0; r < count; r++) {
            G_VT m = G_LOAD_PART((const G_T *)(rows + r * step) + v * G_N, mask);
            acc[v][r] = CR__L(G_L, _sel)(mask, G_FMA(y, m, acc[v][r]), acc[v][r]);
        }
    }
}

/* out[r] = the sum of one block, n elements of x times those of row r, r < count <= 4. */
CR__FN void G(dot)(const G_T *x, const char *rows, int64_t step, int64_t n, G_T *out,
                   const int count)
{
    G_VT acc[G_VECTORS][4];
    G_T sums[4];
    int64_t i = 0;
#pragma GCC unroll 16
    for (int v = 0; v < G_VECTORS; v++) {
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++)
            acc[v][r] = G_SET(0);
    }
    for (; i + CR__LANES <= n; i += CR__LANES, rows += CR__LANES * G_SIZE) {
#pragma GCC unroll 16
        for (int v = 0; v < G_VECTORS; v++) {
            G_VT y = G_LOAD(x + i + v * G_N);
#pragma GCC unroll 4
            for (int r = 0; r < count; r++)
                acc[v][r] =
                    G_FMA(y, G_LOAD((const G_T *)(rows + r * step) + v * G_N), acc[v][r]);
        }
    }
    if (i < n)
        G(dot_rest)(acc, x + i, rows, step, n - i, count);
        /* Vector v joins the one a power of two below: the halves, the quarters, .. */
#pragma GCC unroll 16
    for (int v = G_VECTORS - 1; v > 0; v--) {
#pragma GCC unroll 4
        for (int r = 0; r < count; r++)
            acc[v - (v >= 8 ? 8 : v >= 4 ? 4 : v >= 2 ? 2 : 1)][r] += acc[v][r];
    }
    G_FOLD4(acc[0], sums);
    memcpy(out, sums, (size_t)count * sizeof *out);
}

CR__T static void G(dot_1)(const G_T *x, const char *row, int64_t n, G_T *out)
{
    G(dot)(x, row, 0, n, out, 1);
}
#if CR__HAS_FMA
CR__T static void G(dot_4)(const G_T *x, const char *rows, int64_t step, int64_t n,
                           G_T *out)
{
    G(dot)(x, rows, step, n, out, 4);
}
#endif

/* n elements one after the other: where they are, or copied. */
CR__FN const char *G(in_order)(const char *from, int64_t step, int64_t n, char *room)
{
    G_T *to = (G_T *)room;
    if (step == G_SIZE)
        return from;
    for (int64_t i = 0; i < n; i++)
        to[i] = *(const G_T *)(from + i * step);
    return room;
}

/* Elements k.. of a block of x, one after the other. */
CR__FN const G_T *G(x_block)(const gemv *g, int64_t k, int64_t n)
{
    G_T *to = (G_T *)g->scratch;
    const region of = { .line = 0, .lines = 1, .lane = k, .lanes = n };
    if (!g->x_read)
        return (const G_T *)G(in_order)(g->x + k * g->x_step, g->x_step, n, g->scratch);
    G(unpack)(g->x_read, g->side, &of, to, 0, (G_T *)(g->scratch + BLOCK_BYTES));
    return to;
}

/* One block of `count` results from result o on. */
CR__T static void G(group_block)(const gemv *g, const G_T *x, int64_t o, int64_t k,
                                 int64_t count, int64_t n, G_T *out)
{
    char *room = g->scratch + BLOCK_BYTES;
    const char *row = g->matrix + o * g->out_step + k * g->k_step;
    int64_t r = 0, step = g->out_step;
    bool in_order = g->k_step == G_SIZE;
    if (g->matrix_read) {
        const region of = { g->first + o, count, k, n };
        G(unpack)
        (g->matrix_read, !g->side, &of, (G_T *)room, CR__BLOCK,
         (G_T *)(room + G_READ * BLOCK_BYTES));
        row = room, step = CR__BLOCK * G_SIZE, in_order = true;
    }
#if CR__HAS_FMA
    const bool several = in_order && (!g->is_far || g->matrix_read);
    for (; several && r + 4 <= count; r += 4, row += 4 * step)
        G(dot_4)(x, row, step, n, out + r);
#endif
    for (; r < count; r++, row += step)
        G(dot_1)(x, in_order ? row : G(in_order)(row, g->k_step, n, room), n, out + r);
}

/* Adds `width` results of a block to a stack: after `done` blocks it holds a subtree for
 * each bit of done, the largest first, which is the pairwise tree of neighbours. With
 * `done` the last block, joins all that is left. Returns the stack's height. */
CR__T static int G(join)(G_T *stack, int height, int64_t done, bool last, int64_t pitch,
                         int64_t width)
{
    for (; height > 1 && (last || done % 2 == 0); height--, done /= 2) {
        G_T *a = stack + (height - 2) * pitch, *b = a + pitch;
        for (int64_t i = 0; i < width; i++)
            a[i] += b[i];
    }
    return height;
}

CR__T static void G(along_rows)(const gemv *g)
{
    G_T stack[STACK_LEVELS][G_GROUP];
    const G_T *x = NULL;
    const bool one = g->k <= CR__BLOCK;
    if (one)
        x = G(x_block)(g, 0, g->k);
    const int64_t group = g->matrix_read ? G_READ : G_GROUP;
    for (int64_t o = 0; o < g->outputs; o += group) {
        int64_t count = g->outputs - o < group ? g->outputs - o : group, done = 0;
        G_T *out = (G_T *)g->out + o;
        if (one) {
            G(group_block)(g, x, o, 0, count, g->k, out);
            continue;
        }
        int height = 0;
        for (int64_t k = 0; k < g->k; k += CR__BLOCK) {
            int64_t n = g->k - k < CR__BLOCK ? g->k - k : CR__BLOCK;
            x = G(x_block)(g, k, n);
            G(group_block)(g, x, o, k, count, n, stack[height]);
            height = G(join)(stack[0], height + 1, ++done, k + n == g->k, G_GROUP, count);
        }
        memcpy(out, stack, (size_t)count * sizeof *out);
    }
}

/* ---- along columns ---- */

_Static_assert((1 + G_READ) * BLOCK_BYTES + SLIVER_BYTES <= CR__SCRATCH_BYTES,
               "scratch memory");
#define G_LANES_BYTES ((CR__LANES + STACK_LEVELS) * G_COLUMNS * G_SIZE)
_Static_assert(G_LANES_BYTES + G_DEPTH * G_COLUMNS * G_SIZE + 2 * BLOCK_BYTES <=
                   CR__SCRATCH_BYTES,
               "scratch memory");

/* Adds `depth` rows of the matrix, CR__LANES apart, to one lane of the results. */
CR__FN void G(lane)(const gemv *g, const char *x, const char *row, G_T *lane,
                    int64_t width, bool fresh, const int depth)
{
    const int64_t step = CR__LANES * g->k_step;
    G_VT y[G_DEPTH];
    int64_t c = 0;
#pragma GCC unroll 8
    for (int d = 0; d < depth; d++)
        y[d] = G_FILL((const G_T *)(x + d * CR__LANES * g->x_step));
    for (; c + G_N <= width; c += G_N) {
        G_VT sum = fresh ? G_SET(0) : G_LOAD(lane + c);
#pragma GCC unroll 8
        for (int d = 0; d < depth; d++)
            sum = G_FMA(y[d], G_LOAD((const G_T *)(row + d * step) + c), sum);
        G_STORE(lane + c, sum);
    }
    if (c < width) {
        G_M mask = G_FIRST(width - c);
        G_VT sum = fresh ? G_SET(0) : G_LOAD(lane + c);
#pragma GCC unroll 8
        for (int d = 0; d < depth; d++)
            sum = G_FMA(y[d], G_LOAD_PART((const G_T *)(row + d * step) + c, mask), sum);
        G_STORE(lane + c, sum);
    }
}
CR__T static void G(lane_deep)(const gemv *g, const char *x, const char *row, G_T *lane,
                               int64_t width, bool fresh)
{
    G(lane)(g, x, row, lane, width, fresh, G_DEPTH);
}
CR__T static void G(lane_1)(const gemv *g, const char *x, const char *row, G_T *lane,
                            int64_t width, bool fresh)
{
    G(lane)(g, x, row, lane, width, fresh, 1);
}

/* Rows of the matrix, CR__LANES apart, that are converted: *g has their steps. */
CR__FN const char *G(convert_rows)(const operand *o, gemv *g, const char *rows,
                                   int64_t width, int64_t depth)
{
    char *room = g->scratch + 2 * BLOCK_BYTES + G_LANES_BYTES;
    const pack p = { .from = rows,
                     .lines = depth,
                     .lanes = width,
                     .line_step = CR__LANES * g->k_step,
                     .pitch = G_COLUMNS };
    G(widen_lines)(o, &p, (G_T *)room);
    g->k_step = G_COLUMNS * G_SIZE / CR__LANES;
    return room;
}

/* One block: lanes of G_COLUMNS results in acc. */
CR__T static void G(column_block)(const gemv *g, const char *x, const char *rows,
                                  G_T *acc, int64_t width, int64_t n)
{
    const int64_t vectors = (width + G_N - 1) / G_N;
    for (int64_t k = 0; k < n; k += G_DEPTH * CR__LANES)
        for (int64_t l = 0; l < CR__LANES; l++) {
            int64_t at = k + l;
            G_T *lane = acc + l * G_COLUMNS;
            bool fresh = k == 0;
            const bool deep = at + (G_DEPTH - 1) * CR__LANES < n;
            const int64_t depth = deep ? G_DEPTH : 1;
            for (; at < n && at < k + G_DEPTH * CR__LANES;
                 at += depth * CR__LANES, fresh = false) {
                gemv part = *g;
                const char *row = rows + at * g->k_step;
                if (G_SIZE == 4 && g->matrix_read)
                    row = G(convert_rows)(g->matrix_read, &part, row, width, depth);
                (deep ? G(lane_deep) : G(lane_1))(&part, x + at * g->x_step, row, lane,
                                                  width, fresh);
            }
            if (fresh)
                memset(lane, 0, (size_t)(vectors * G_N * G_SIZE));
        }
    for (int64_t half = CR__LANES / 2; half; half /= 2)
        for (int64_t l = 0; l < half; l++) {
            G_T *a = acc + l * G_COLUMNS, *b = a + half * G_COLUMNS;
            for (int64_t i = 0; i < vectors * G_N; i += G_N)
                G_STORE(a + i, G_LOAD(a + i) + G_LOAD(b + i));
        }
}

CR__T static void G(along_columns)(const gemv *g)
{
    G_T *acc = (G_T *)(g->scratch + 2 * BLOCK_BYTES),
        *stack = acc + CR__LANES * G_COLUMNS;
    gemv part = *g;
    for (int64_t o = 0; o < g->outputs; o += G_COLUMNS) {
        int64_t width = g->outputs - o < G_COLUMNS ? g->outputs - o : G_COLUMNS;
        int64_t done = 0;
        int height = 0;
        for (int64_t k = 0; k < g->k; k += CR__BLOCK) {
            int64_t n = g->k - k < CR__BLOCK ? g->k - k : CR__BLOCK;
            const char *x = g->x + k * g->x_step;
            if (g->x_read)
                x = (const char *)G(x_block)(g, k, n), part.x_step = G_SIZE;
            G(column_block)
            (&part, x, g->matrix + o * g->out_step + k * g->k_step, acc, width, n);
            memcpy(stack + height * G_COLUMNS, acc, G_COLUMNS * G_SIZE);
            height = G(join)(stack, height + 1, ++done, k + n == g->k, G_COLUMNS, width);
        }
        memcpy(g->out + o * G_SIZE, stack, (size_t)width * G_SIZE);
    }
}

CR__T static void G(vector)(const gemv *g)
{
    const operand *o = g->matrix_read;
    const int64_t size = o ? o->matrix.size : G_SIZE;
    if ((!o || (o->strided && G_HALF(o))) && g->k_step != size && g->out_step == size &&
        g->outputs > 1)
        G(along_columns)(g);
    else
        G(along_rows)(g);
}
