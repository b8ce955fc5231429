/* A product of matrices in one instruction set and type: a template over vec.h and the
 * macros of gemm_floats.h. A tile of the result stays in registers over a block of k: its
 * rows broadcast elements of a, its vectors lie along rows of b. Of b, tiles read
 * slivers: CR__GEMM_BLOCK lines of two vectors, where they are if rows of b are
 * contiguous, else packed. Rows of a are read where they are, or packed, a tile's rows
 * line by line. */

#define G_LOAD       CR__L(G_L, _load)
#define G_STORE      CR__L(G_L, _store)
#define G_FILL       CR__L(G_L, _fill)
#define G_SET        CR__L(G_L, _set)
#define G_FMA        CR__L(G_L, _fma)
#define G_FIRST      CR__L(G_L, _first)
#define G_ANY        CR__L(G_L, _any)
#define G_EQ         CR__L(G_L, _eq)
#define G_NE         CR__L(G_L, _ne)
#define G_SEL        CR__L(G_L, _sel)
#define G_LOAD_PART  CR__L(G_L, _load_part)
#define G_STORE_PART CR__L(G_L, _store_part)
#define G_TRANSPOSE  CR__L(G_L, _square)
#define G_SLIVER     (2 * G_N)
#define G_MOST_ROWS  (G_ROWS > G_ROWS_1 ? G_ROWS : G_ROWS_1)
/* Rows that are pages apart share their places in the first level cache. */
#define G_MOST_WAYS (G_ROWS < WAYS ? G_ROWS : WAYS)
/* Elements of a line of packed rows of a: a tile's. */
#define G_LINE (G_ROWS > CR__W ? 16 : CR__W)
/* Columns that a tile packs while it computes. */
#define G_DRIP       4
#define G_TILE_BYTES (CR__GEMM_BLOCK * G_LINE * G_SIZE)
#define G_SQUARE     (32 / G_SIZE)
/* How elements of f32's operands are widened, or NULL; f64 has none that are. */
#define G_HALF(o) (G_SIZE == 4 ? (o)->half : NULL)
_Static_assert(!G_PACKS || G_SQUARE == 2 * G_DRIP, "two tiles drip a square");
_Static_assert(G_LINE >= G_ROWS && G_SLIVER * G_SIZE <= SLIVER_LINE, "room");
_Static_assert(PANEL_BYTES / G_TILE_BYTES <= MOST_TILES && G_ROWS >= 4, "room for tiles");

enum {
    G(lanes) = G_N,
    G(packs) = G_PACKS,
    G(tile_rows) = G_ROWS,
    G(tile_bytes) = G_TILE_BYTES
};

CR__FN G_VT G(read)(const char *p, bool part, G_M mask)
{
    if (part)
        return G_LOAD_PART((const G_T *)p, mask);
    return G_LOAD((const G_T *)p);
}

/* ---- tiles ---- */

/* Tiles have an even number of rows, but for a few. If that of the matrix is odd, its last row
 * is computed twice, and written once. */

/* Writes the tile, or adds it to what earlier blocks left. The second vector begins `second` bytes
 * behind the first and ends where the line does, so that some columns may be in both: a mask would
 * cost as much as arithmetic, wherever the vector is loaded. */
CR__FN void G(tile_end)(const tile *t, G_VT (*acc)[2], const int rows, const int vectors,
                        const int64_t second, const bool part, G_M mask)
{
    char *line = t->c;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++, line += t->c_row) {
        if (rows % 2 == 0 && r == rows - 1 && t->odd)
            break;
        if (t->add) {
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                acc[r][v] = G(read)(line + v * second, part, mask) + acc[r][v];
        }
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            G_T *c = (G_T *)(line + v * second);
            if (part)
                G_STORE_PART(c, mask, acc[r][v]);
            else
                G_STORE(c, acc[r][v]);
        }
    }
}

CR__FN void G(fetch)(const char *at)
{
    __builtin_prefetch(at, 0, 2);
}

CR__FN void G(tile_begin)(G_VT (*acc)[2], const int rows, const int vectors)
{
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            acc[r][v] = G_SET(0);
    }
}

/* The rows of a tile, any strides apart: one pointer for four of them, so that addresses
 * need no chain of additions. A part is one vector that is not full. */
CR__FN void G(tile)(const tile *t, const int rows, const int vectors, const bool part)
{
    G_VT acc[G_MOST_ROWS][2];
    const char *a[4], *b = t->b;
    const int64_t a_row = t->a_row, a_col = t->a_col;
    const int64_t last = (rows - 2) % 4 * a_row + (t->odd ? 0 : a_row);
    const int64_t second = t->rest * G_SIZE;
    const G_M mask = G_FIRST(t->rest);
    G(tile_begin)(acc, rows, vectors);
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 3) / 4; i++)
        a[i] = t->a + 4 * i * a_row;
    const char *fetch = t->fetch;
    int64_t b_row = t->b_row, fetch_step = t->fetch_step;
    for (int64_t k = t->k; k > 0; k--) {
        G_VT y[2];
        CR__IN_MEMORY(b_row);
        CR__IN_MEMORY(fetch_step);
        if (G_PACKS && vectors == 2) {
            G(fetch)(fetch);
            fetch += fetch_step;
        }
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            y[v] = G(read)(b + v * second, part, mask);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const bool once_more = rows % 2 == 0 && r == rows - 1;
            G_VT x = G_FILL((const G_T *)(a[r / 4] + (once_more ? last : r % 4 * a_row)));
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                acc[r][v] = G_FMA(x, y[v], acc[r][v]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < (rows + 3) / 4; i++)
            a[i] += a_col;
        b += b_row;
    }
    G(tile_end)(t, acc, rows, vectors, second, part, mask);
}

#if G_PACKS
/* One line of a packed a and one of b. */
CR__FN void G(line)(G_VT (*acc)[2], const char *a, const char *b, const int rows)
{
    const G_VT y0 = G_LOAD((const G_T *)b), y1 = G_LOAD((const G_T *)b + G_N);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        G_VT x = G_FILL((const G_T *)a + r);
        acc[r][0] = G_FMA(x, y0, acc[r][0]);
        acc[r][1] = G_FMA(x, y1, acc[r][1]);
    }
}

/* Four elements of a line. Moved as bits, which leaves the vector registers alone. */
CR__FN void G(drip)(char *to, const char *from, int64_t step)
{
#pragma GCC unroll 4
    for (int i = 0; i < G_DRIP; i++)
        memcpy(to + i * G_SIZE, from + i * step, G_SIZE);
}

/* A tile whose rows of a are packed. Either it fetches, with every line that it computes,
 * half of a line that will be wanted: its own of c, then some of b. Or (drip_to; its own
 * sliver of b is packed then) it packs G_DRIP columns of the next sliver, which costs
 * little between the arithmetic. Not both: one prefetch more in these loops is felt. */
CR__FN void G(tile_packed)(const tile *t, const int rows)
{
    G_VT acc[G_ROWS][2];
    const char *a = t->a, *b = t->b, *next = t->c;
    const int64_t b_row = t->b_row;
    G(tile_begin)(acc, rows, 2);
    if (t->drip_to) {
        char *to = t->drip_to;
        for (int r = 0; r < rows; r++, next += t->c_row) {
            G(fetch)(next);
            G(fetch)(next + 64);
        }
        next = t->next;
        const int64_t line_step = t->next_line, lane_step = t->next_lane;
        for (int64_t k = t->k; k > 0; k--) {
            G(line)(acc, a, b, rows);
            G(drip)(to, next, lane_step);
            next += line_step;
            to += G_SLIVER * G_SIZE;
            a += G_LINE * G_SIZE;
            b += b_row;
        }
    } else {
        int64_t left = t->k, step = t->c_row, wanted = 2 * rows;
        for (int i = 0; i < 3; i++) {
            int64_t n = wanted < left ? wanted : left, hop = 64;
            for (left -= n; n > 0; n--) {
                G(fetch)(next);
                next += hop;
                hop = step - hop;
                G(line)(acc, a, b, rows);
                a += G_LINE * G_SIZE;
                b += b_row;
            }
            next = t->next, step = t->next_line, wanted = 2 * t->next_lines;
            if (i == 1)
                next = a, step = 64, wanted = left;
        }
    }
    G(tile_end)(t, acc, rows, 2, G_N * G_SIZE, false, G_FIRST(G_N));
}
#endif

#undef G_TILE
#undef G_PART
#undef G_NAME
#define G_TILE(R, V)                                   \
    CR__T static void G(tile_##R##x##V)(const tile *t) \
    {                                                  \
        G(tile)(t, R, V, V == 1 && CR__HAS_MASKS);     \
    }
#define G_PART(R, V)                                          \
    CR__T static void G(tile_##R##x##V##_part)(const tile *t) \
    {                                                         \
        G(tile)(t, R, V, true);                               \
    }
#define G_NAME(R, V)      G(tile_##R##x##V),
#define G_PART_NAME(R, V) G(tile_##R##x##V##_part),
#define G_PACKED(R, V)                                  \
    CR__T static void G(tile_packed_##R)(const tile *t) \
    {                                                   \
        G(tile_packed)(t, R);                           \
    }
#define G_PACKED_NAME(R, V) G(tile_packed_##R),

G_EACH(G_TILE, 2)
G_EACH_1(G_TILE, 1)
#if !CR__HAS_MASKS
G_EACH_1(G_PART, 1)
#endif
/* By rows / 2 - 1: one vector that is full, one that is not, two. */
static tile_fn *const G(tiles)[3][G_MOST_ROWS / 2] = {
    { G_EACH_1(G_NAME, 1) },
#if CR__HAS_MASKS
    { G_EACH_1(G_NAME, 1) },
#else
    { G_EACH_1(G_PART_NAME, 1) },
#endif
    { G_EACH(G_NAME, 2) },
};
#if G_SIZE == 4 && G_ROWS_ODD
G_EACH_ODD(G_TILE, 2)
/* By (rows - 3) / 2. */
static tile_fn *const G(odd_tiles)[] = { G_EACH_ODD(G_NAME, 2) };
#endif
#if G_PACKS
G_EACH(G_PACKED, 2)
/* By rows / 2 - 1; two full vectors. */
static tile_fn *const G(packed_tiles)[] = { G_EACH(G_PACKED_NAME, 2) };
#endif

/* ---- packing ---- */

/* Elements one by one: lines [from, to), lanes [left, right). */
CR__FN void G(pack_elements)(const pack *p, G_T *to, int64_t from, int64_t left,
                             int64_t right)
{
    for (int64_t k = from; k < p->lines; k++)
        for (int64_t i = left; i < right; i++)
            to[k * p->pitch + i] =
                *(const G_T *)(p->from + k * p->line_step + i * p->lane_step);
}

/* Lanes that lie one after the other. */
CR__FN void G(pack_vectors)(const pack *p, G_T *to)
{
    const int64_t last = (p->lanes - 1) / G_N * G_N;
    const G_M mask = G_FIRST(p->lanes - last);
    for (int64_t k = 0; k < p->lines; k++, to += p->pitch) {
        const char *from = p->from + k * p->line_step;
        for (int64_t i = 0; i < last; i += G_N)
            G_STORE(to + i, G_LOAD((const G_T *)from + i));
        G_STORE(to + last, G_LOAD_PART((const G_T *)from + last, mask));
    }
}

/* Lines of the same k, one after the other: a sliver of b, whose lanes are columns, or a
 * tile's rows of a, whose lanes are rows. */
CR__T static void G(pack)(const pack *what, G_T *to)
{
    const pack here = *what, *p = &here; /* which no store changes */
    int64_t i = 0;
    if (p->lane_step == G_SIZE) {
        G(pack_vectors)(p, to);
        return;
    }
#if CR__HAS_LINES && G_SIZE == 4
    if (p->line_step == G_SIZE)
        for (; i < p->lanes && i + G_N <= p->readable; i += G_N) {
            const char *from = p->from + i * p->lane_step;
            int64_t k = 0;
            for (; k + 4 <= p->lines; k += 4)
                v_lines(to + k * p->pitch + i, p->pitch, from + k * G_SIZE, p->lane_step);
            G(pack_elements)(p, to, k, i, i + G_N);
        }
#endif
#if CR__HAS_SQUARES
    if (p->line_step == G_SIZE)
        for (; i < p->lanes && i + G_SQUARE <= p->readable; i += G_SQUARE) {
            const char *from = p->from + i * p->lane_step;
            int64_t k = 0;
            for (; k + G_SQUARE <= p->lines; k += G_SQUARE)
                G_TRANSPOSE(to + k * p->pitch + i, p->pitch, from + k * G_SIZE,
                            p->lane_step);
            G(pack_elements)(p, to, k, i, i + G_SQUARE);
        }
#endif
    G(pack_elements)(p, to, 0, i, p->lanes);
}

/* A vector times the scale, and where it goes. Floats by way of doubles, exact until they are
 * rounded: a product that is subnormal, or of what is, takes fifty times longer than others; a
 * conversion does not. */
CR__FN void G(scale_vector)(const G_T *from, G_T *to, double scale)
{
#if G_SIZE == 4
    for (int64_t i = 0; i < G_N; i += G_N / 2) {
        vh half;
        memcpy(&half, from + i, sizeof half);
        half =
            __builtin_convertvector(__builtin_convertvector(half, vd) * d_set(scale), vh);
        memcpy(to + i, &half, sizeof half);
    }
#else
    G_STORE(to, G_LOAD(from) * G_SET(scale));
#endif
}

/* x[0..n) *= scale. */
CR__T static void G(scale)(G_T *x, int64_t n, double scale)
{
    int64_t i = 0;
    for (; i + G_N <= n; i += G_N)
        G(scale_vector)(x + i, x + i, scale);
    for (; i < n; i++)
        x[i] = (G_T)(x[i] * scale);
}

/* ---- reading what is no plain array ---- */

/* n elements of bf16 or f16, one behind the other. */
CR__CALL void G(widen)(const operand *o, G_T *to, const char *from, int64_t n)
{
#if G_SIZE == 4
    o->half->widen(to, (const uint16_t *)(const void *)from, n);
#else
    (void)from; /* f64 is of neither */
#endif
    if (o->scale != 1)
        G(scale)(to, n, o->scale);
}

/* Lines of them, lanes one behind the other. */
CR__CALL void G(widen_lines)(const operand *o, const pack *p, G_T *to)
{
    const char *from = p->from;
    for (int64_t l = p->lines; l > 0; l--, to += p->pitch, from += p->line_step)
        G(widen)(o, to, from, p->lanes);
}

/* Runs that are converted: where they lie, or copied before. */
typedef struct G(reading) {
    cr__runs runs;
    const char *at; /* or NULL */
    int64_t step;
} G(reading);

/* cr__runs_open(), of a block at most. */
CR__CALL int64_t G(open)(G(reading) * r, const operand *o, int side, int64_t from,
                         int64_t count, int64_t other)
{
    const cr__matrix *x = &o->matrix;
    r->at = NULL;
    if (!G_HALF(o) || !o->strided || x->step[side][0] != 1)
        return cr__runs_open(&r->runs, x, side, from, count, other);
    r->step = x->step[!side][0] * x->size;
    r->at = x->data + from * x->size + other * r->step;
    return count;
}

CR__CALL void G(next)(const operand *o, G(reading) * r, G_T *to, int64_t n)
{
    uint16_t halves[CR__GEMM_BLOCK];
    if (G_SIZE == 4 && r->at) {
        G(widen)(o, to, r->at, n);
        r->at += r->step;
    } else if (G_HALF(o)) {
        cr__runs_next(&r->runs, halves);
        G(widen)(o, to, (const char *)halves, n);
    } else {
        cr__runs_next(&r->runs, to);
        if (o->scale != 1)
            G(scale)(to, n, o->scale);
    }
}

/* to[l*pitch + i] = the element of line `line` + l and lane `lane` + i, where lanes are
 * columns, or rows. `room` is for G_SLIVER runs of a block. */
CR__T static void G(unpack)(const operand *o, int lanes_are, const region *at, G_T *to,
                            int64_t pitch, G_T *room)
{
    const cr__matrix *x = &o->matrix;
    G(reading) runs;
    if (x->along == lanes_are) {
        for (int64_t i = 0, n; i < at->lanes; i += n) {
            const int64_t left = at->lanes - i;
            n = G(open)(&runs, o, lanes_are, at->lane + i,
                        left < CR__GEMM_BLOCK ? left : CR__GEMM_BLOCK, at->line);
            for (int64_t l = 0; l < at->lines; l++)
                G(next)(o, &runs, to + l * pitch + i, n);
        }
        return;
    }
    for (int64_t i = 0, some; i < at->lanes; i += some) {
        some = at->lanes - i < G_SLIVER ? at->lanes - i : G_SLIVER;
        for (int64_t l = 0, n; l < at->lines; l += n) {
            n = G(open)(&runs, o, !lanes_are, at->line + l, at->lines - l, at->lane + i);
            for (int64_t j = 0; j < some; j++)
                G(next)(o, &runs, room + j * CR__GEMM_BLOCK + l, n);
        }
        const pack p = { .from = (const char *)room,
                         .lines = at->lines,
                         .lanes = some,
                         .line_step = G_SIZE,
                         .lane_step = CR__GEMM_BLOCK * G_SIZE,
                         .readable = G_SLIVER,
                         .pitch = pitch };
        G(pack)(&p, to + i);
    }
}

/* The band of channels first.., which the taps of a block have. */
CR__T static void G(fill_band)(const operand *o, const cr__band *b, int64_t first,
                               int64_t channels, G_T *band)
{
    const bool direct = !o->half;
    for (int64_t group = 0; group < b->groups; group++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t i = 0; i < b->planes * b->lines * b->phases; i++) {
                cr__band_line line;
                cr__band_find(b, group, first + c, i / b->phases / b->lines,
                              i / b->phases % b->lines, i % b->phases, &line);
                G_T *to = band + line.at + c * b->channel;
                for (int64_t j = 0; j < line.lo; j++)
                    to[j] = 0;
                for (int64_t j = line.hi; j < b->pitch; j++)
                    to[j] = 0;
                to += line.lo;
                int64_t n = line.hi - line.lo;
                if (direct && line.step == G_SIZE)
                    memcpy(to, line.from, (size_t)n * G_SIZE);
                else if (direct)
                    for (int64_t j = 0; j < n; j++)
                        to[j] = *(const G_T *)(line.from + j * line.step);
#if G_SIZE == 4
                for (int64_t j = 0, some; !direct && j < n; j += some) {
                    uint16_t halves[CR__GEMM_BLOCK];
                    some = n - j < CR__GEMM_BLOCK ? n - j : CR__GEMM_BLOCK;
                    for (int64_t l = 0; l < some; l++)
                        memcpy(&halves[l], line.from + (j + l) * line.step, 2);
                    o->half->widen(to + j, halves, some);
                }
#endif
                if (o->scale != 1)
                    G(scale)(to, n, o->scale);
            }
}

/* A sliver of the band: the lines of these taps. Vectors may reach over what a run has, into
 * places that the next run writes, but not over the sliver's line. */
CR__T static void G(pack_band)(const cr__band *b, const G_T *band, const int64_t *taps,
                               const region *of, G_T *to)
{
    for (int64_t i = 0, n, at; i < of->lanes; i += n) {
        n = cr__band_run(b, of->lane + i, of->lanes - i, &at);
        const G_T *from = band + at;
        for (int64_t v = 0; v < n; v += G_N) {
            G_T *line = to + i + v;
            if (i + v + G_N <= G_SLIVER) {
                for (int64_t k = 0; k < of->lines; k++)
                    G_STORE(line + k * G_SLIVER, G_LOAD(from + taps[k] + v));
            } else {
                const G_M mask = G_FIRST(n - v < G_N ? n - v : G_N);
                for (int64_t k = 0; k < of->lines; k++)
                    G_STORE_PART(line + k * G_SLIVER, mask,
                                 G_LOAD_PART(from + taps[k] + v, mask));
            }
        }
    }
}

/* The lines of an operand that is a plain array, and what is done to its elements. */
CR__FN void G(pack_operand)(const operand *o, const pack *what, G_T *to)
{
    G(pack)(what, to);
    for (int64_t k = 0; o && k < what->lines; k++)
        G(scale)(to + k * what->pitch, what->lanes, o->scale);
}

/* Rows of a that lie one after the other: some lines for all tiles, so that memory is read in
 * order, and those of a tile, which lie one behind the other, are written together. A tile's
 * rows are one vector at most. */
#if G_PACKS
#define G_TOGETHER 8
CR__CALL void G(pack_lines)(const pack *p, const tiling *rows, G_T *to)
{
    for (int64_t k = 0, some; k < p->lines; k += some, to += some * G_LINE) {
        const char *from = p->from + k * p->line_step;
        some = p->lines - k < G_TOGETHER ? p->lines - k : G_TOGETHER;
        for (int64_t i = 0, n; i < rows->tiles; i++, from += n * G_SIZE) {
            G_T *line = to + i * (G_TILE_BYTES / G_SIZE);
            n = rows_of(rows, i);
            const G_M mask = G_FIRST(n);
            for (int64_t l = 0; l < some; l++)
                G_STORE(line + l * G_LINE,
                        G_LOAD_PART((const G_T *)(from + l * p->line_step), mask));
        }
    }
}
#endif

/* The rows of a panel over a block of k, by tiles: element (i, k) of a tile at k*G_LINE + i. */
CR__T static void G(pack_panel)(const product *p, const place *at, const tiling *rows,
                                char *to, char *room)
{
    pack part = { .from = p->a + at->i * p->a_row + at->k * p->a_col,
                  .lines = at->lines,
                  .line_step = p->a_col,
                  .lane_step = p->a_row,
                  .readable = p->m - at->i,
                  .pitch = G_LINE };
    region of = { .line = at->k, .lines = at->lines, .lane = p->row + at->i };
#if G_PACKS
    if (!p->a_read && p->a_row == G_SIZE) {
        G(pack_lines)(&part, rows, (G_T *)to);
        return;
    }
    if (p->a_read && p->a_read->strided && G_HALF(p->a_read) &&
        p->a_row == p->a_read->matrix.size) {
        const int64_t most = SLIVER_BYTES / G_SIZE / at->rows;
        pack some = part, wide = part;
        some.lanes = some.pitch = at->rows;
        wide.from = room, wide.line_step = at->rows * G_SIZE;
        for (int64_t k = 0; k < at->lines; k += some.lines) {
            some.lines = wide.lines = at->lines - k < most ? at->lines - k : most;
            G(widen_lines)(p->a_read, &some, (G_T *)room);
            G(pack_lines)(&wide, rows, (G_T *)to + k * G_LINE);
            some.from += some.lines * p->a_col;
        }
        return;
    }
#endif
    for (int64_t i = 0; i < rows->tiles; i++, to += G_TILE_BYTES) {
        part.lanes = of.lanes = rows_of(rows, i);
        if (p->a_read && !p->a_read->plain)
            G(unpack)(p->a_read, CR__ROWS, &of, (G_T *)to, G_LINE, (G_T *)room);
        else
            G(pack_operand)(p->a_read, &part, (G_T *)to);
        part.from += part.lanes * p->a_row;
        part.readable -= part.lanes;
        of.lane += of.lanes;
    }
}

/* The same rows, scaled or widened, as they lie: t's. */
CR__FN void G(copy_panel)(const product *p, const place *at, char *to, tile *t)
{
    const bool by_rows = p->a_col == p->a_read->matrix.size;
    const int64_t lanes = by_rows ? at->lines : at->rows;
    const pack lines = { .from = p->a + at->i * p->a_row + at->k * p->a_col,
                         .lines = by_rows ? at->rows : at->lines,
                         .lanes = lanes,
                         .line_step = by_rows ? p->a_row : p->a_col,
                         .lane_step = G_SIZE,
                         .pitch = (lanes + G_N - 1) / G_N * G_N };
    if (G_HALF(p->a_read))
        G(widen_lines)(p->a_read, &lines, (G_T *)to);
    else
        G(pack_operand)(p->a_read, &lines, (G_T *)to);
    t->a_row = by_rows ? lines.pitch * G_SIZE : G_SIZE;
    t->a_col = by_rows ? G_SIZE : lines.pitch * G_SIZE;
}

/* ---- what of a is 0 ---- */

#if G_PACKS
/* Whether so many lines from k on, a vector of them at most, are 0 in the tile's rows: of which, or of
 * the lines, one is contiguous, and not more than a vector either. */
CR__CALL bool G(are_zero)(const tile *t, int64_t rows, int64_t k, int64_t lines)
{
    const bool along = t->a_col == G_SIZE;
    const int64_t step = along ? t->a_row : t->a_col;
    const char *a = t->a + k * t->a_col;
    const G_M mask = G_FIRST(along ? lines : rows);
    vi bits = v_int(0);
    for (int64_t i = along ? rows : lines; i > 0; i--, a += step)
        bits |= (vi)G_LOAD_PART((const G_T *)a, mask);
    return !G_ANY(G_NE((vf)(bits & INT32_MAX), G_SET(0)));
}

/* Those that hold all that is not 0, and maybe a few more. */
CR__FN kept_lines G(find_lines)(const tile *t, int64_t rows)
{
    int64_t from = 0, to = t->k;
    const bool seen = t->a_col == G_SIZE || (t->a_row == G_SIZE && rows <= G_N);
    for (int64_t n; seen && from < to; from += n) {
        n = to - from < G_N ? to - from : G_N;
        if (!G(are_zero)(t, rows, from, n))
            break;
    }
    for (int64_t n; seen && from < to; to -= n) {
        n = to - from < G_N ? to - from : G_N;
        if (!G(are_zero)(t, rows, to - n, n))
            break;
    }
    return (kept_lines){ (int16_t)from, (int16_t)to };
}

/* Whether an element of so many lines at x is 0; or, if asked for that, is not finite. */
CR__CALL bool G(has)(const char *x, int64_t step, int64_t lines, int64_t columns,
                     bool infinite)
{
    bool found = false;
    for (; lines > 0; lines--, x += step)
        for (int64_t j = 0; j < columns; j += G_N) {
            const G_M mask = G_FIRST(columns - j < G_N ? columns - j : G_N);
            const G_VT v = G_LOAD_PART((const G_T *)x + j, mask);
            found |= infinite ? G_ANY(G_NE(v * 0, G_SET(0)))
                              : G_ANY(G_EQ(G_SEL(mask, v, G_SET(1)), G_SET(0)));
        }
    return found;
}

CR__FN bool G(ends_in_zero)(const tile *t)
{
    const char *last = t->a + (t->k - 1) * t->a_col;
    return t->zeros && (*(const G_T *)t->a == 0 || *(const G_T *)last == 0);
}

/* The tile by that function, with what of it may be left out. */
CR__COLD CR__CALL void G(run_lines)(tile *t, tile_fn *fn, int64_t rows, int64_t columns,
                                    kept_lines *found)
{
    tile part = *t;
    if (found->to < 0)
        *found = G(find_lines)(t, rows);
    int64_t from = found->from, to = found->to;
    if ((t->k - (to - from)) * LEAVE_SHARE < t->k) {
        run_tile(fn, t);
        return;
    }
    if (t->zeros == LEAVE_UNKNOWN)
        t->zeros = G(has)(t->b, t->b_row, t->k, columns, true) ? LEAVE_NONE : LEAVE_BOTH;
    if (t->zeros == LEAVE_NONE)
        from = 0, to = t->k;
    const bool cut = t->zeros == LEAVE_BOTH && from < to && to < t->k &&
                     !(t->add && G(has)(t->c, t->c_row, rows, columns, false));
    if (!cut && from < to)
        to = t->k;
    part.a += from * t->a_col;
    part.b += from * t->b_row;
    part.k = to - from;
    run_tile(fn, &part);
    memcpy(t->ahead, part.ahead, sizeof t->ahead);
    if (cut && !t->add && G(has)(t->c, t->c_row, rows, columns, false)) {
        t->zeros = LEAVE_FIRST;
        run_tile(fn, t);
    }
}
#endif

/* ---- the product ---- */

/* All tiles of one sliver, a in place. */
CR__CALL void G(sliver)(tile *t, const char *a, int64_t rows, int64_t columns)
{
    const int wide = columns > G_N;
    const int64_t high = t->a_row % PAGE ? G_ROWS : G_MOST_WAYS;
    const tiling by = cut_rows(rows, wide ? high : G_ROWS_1);
    t->rest = columns - wide * G_N;
    tile_fn *const *of = G(tiles)[wide ? 2 : t->rest < G_N];
    t->a = a;
#if G_SIZE == 4 && G_ROWS_ODD
    if (wide && rows % 2 && rows <= G_ROWS_ODD && rows > 1) {
        run_tile(G(odd_tiles)[(rows - 3) / 2], t);
        return;
    }
#endif
    for (int64_t i = 0; i < by.tiles; i++) {
        const int64_t n = rows_of(&by, i);
        if (t->of)
            fetch_streams(t, n, columns);
        t->odd = n % 2;
#if G_PACKS
        if (G(ends_in_zero)(t))
            G(run_lines)
        (t, of[(n - 1) / 2], n, columns, wide ? &t->found[i] : &(kept_lines){ 0, -1 });
        else
#endif
            run_tile(of[(n - 1) / 2], t);
        t->a += n * t->a_row;
        t->c += n * t->c_row;
    }
}

CR__T static void G(strip)(const cr__strip *s)
{
    tile t = { .b = s->b,
               .c = s->c,
               .a_row = s->a_row * G_SIZE,
               .a_col = s->a_col * G_SIZE,
               .b_row = s->b_row * G_SIZE,
               .c_row = s->c_row * G_SIZE,
               .k = s->k,
               .add = s->add };
    G(sliver)(&t, s->a, s->rows, s->columns);
}

CR__T static void G(pack_strip)(void *to, const void *from, int64_t row, int64_t lines,
                                int64_t columns)
{
    const pack p = { .from = from,
                     .lines = lines,
                     .lanes = columns,
                     .line_step = G_SIZE,
                     .lane_step = row * G_SIZE,
                     .readable = columns,
                     .pitch = G_SLIVER };
    G(pack)(&p, to);
}

/* All tiles of a sliver, a packed. Where there are tiles for it, they fetch the next sliver, or, if b is
 * to be packed, the first ones drip from it what they can; returns how many columns. */
CR__CALL int64_t G(packed_sliver)(tile *t, const char *a, const tiling *rows,
                                  int64_t columns, const pack *next, bool drips, char *to)
{
    const int wide = columns > G_N;
    const int64_t tiles = rows->tiles, high = wide ? G_ROWS : G_ROWS_1;
    int64_t most = 0;
    t->rest = columns - wide * G_N;
#if G_PACKS
    const bool full = columns == G_SLIVER;
    most = drips && full && next->lines == t->k ? next->lanes / G_DRIP : 0;
    most = most < tiles ? most : tiles;
    most -= most % 2; /* what is left is packed in squares */
    t->next_line = next->line_step, t->next_lane = next->lane_step;
#endif
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t n = rows_of(rows, i);
        if (t->of)
            fetch_streams(t, n, columns);
        t->a = a + i * G_TILE_BYTES;
#if G_PACKS
        const int64_t lines = drips ? 0 : next->lines, line = lines * i / tiles;
        t->next = next->from + line * next->line_step;
        t->next_lines = lines * (i + 1) / tiles - line;
        t->drip_to = NULL;
        if (i < most) {
            t->next = next->from + i * G_DRIP * next->lane_step;
            t->drip_to = to + i * G_DRIP * G_SIZE;
        }
        if (full) {
            t->odd = n % 2;
            tile_fn *const fn = G(packed_tiles)[(n - 1) / 2];
            if (!t->drip_to && G(ends_in_zero)(t))
                G(run_lines)(t, fn, n, columns, &t->found[i]);
            else
                fn(t);
            t->c += n * t->c_row;
            continue;
        }
#else
        (void)next, (void)drips, (void)to;
#endif
        for (int64_t r = 0, some; r < n; r += some) {
            some = n - r < high ? n - r : high;
            t->odd = some % 2;
            run_tile(G(tiles)[wide ? 2 : t->rest < G_N][(some - 1) / 2], t);
            t->a += some * G_SIZE;
            t->c += some * t->c_row;
        }
    }
    return most * G_DRIP;
}

CR__T static void G(product)(const product *p)
{
    char *sliver = p->scratch,
         *other = sliver + SLIVER_BYTES, *const panel = other + SLIVER_BYTES;
    kept_lines found[MOST_TILES];
    tile t = { .a_row = p->a_row, .a_col = p->a_col, .c_row = p->c_row, .found = found };
    int64_t done = 0; /* columns of the sliver that are packed already */
    memcpy(t.ahead, p->ahead, sizeof t.ahead);
    int64_t taps[CR__GEMM_BLOCK];
    tiling rows = { 0 };
    if (p->pack_a)
        t.a_row = G_SIZE, t.a_col = G_LINE * G_SIZE;
    for (place at = first_place(p), next; at.lines; at = next) {
        const pack now = sliver_at(p, &at, G_SLIVER);
        next = next_place(p, &at);
        t.k = at.lines, t.add = at.k > 0 || p->adds;
        t.b = now.from, t.b_row = p->b_row;
        t.c = p->c + at.i * p->c_row + at.j * G_SIZE;
        t.zeros = at.rows < LEAVE_ROWS ? LEAVE_NONE : LEAVE_UNKNOWN;
        if (t.zeros && at.j == 0)
            memset(found, -1, sizeof found);
        t.of = p->then && at.k + at.lines == p->k ? p : NULL;
        t.row = at.i, t.column = at.j;
        if (p->copy_a && at.j == 0) {
            G(copy_panel)(p, &at, panel, &t);
        } else if (p->pack_a && at.j == 0) {
            rows = cut_rows(at.rows, G_ROWS);
            G(pack_panel)(p, &at, &rows, panel, other);
        }
        if (p->band && at.j == 0) {
            const int64_t first = at.k / p->band->taps;
            cr__band_taps(p->band, at.k, at.lines, first, taps);
            G(fill_band)
            (p->b_read, p->band, first, (at.k + at.lines - 1) / p->band->taps - first + 1,
             (G_T *)p->band_at);
        }
        if (p->pack_b) {
            pack left = now;
            left.from += done * now.lane_step, left.lanes -= done, left.readable -= done;
            const region of = { at.k, at.lines, p->column + at.j, now.lanes };
            if (p->band) {
                G(pack_band)(p->band, (G_T *)p->band_at, taps, &of, (G_T *)sliver);
            } else if (p->b_read && !p->b_read->plain) {
                G(unpack)
                (p->b_read, CR__COLUMNS, &of, (G_T *)sliver, G_SLIVER, (G_T *)other);
            } else if (left.lanes) {
                G(pack_operand)(p->b_read, &left, (G_T *)sliver + done);
            }
            t.b = sliver, t.b_row = G_SLIVER * G_SIZE;
        }
        if (p->copy_a || !p->pack_a) {
            if (at.j == 0 && t.ahead[1].bytes <= 0)
                t.ahead[1] = span_of(t.c, at.rows, p->n, p->c_row, G_SIZE, G_SIZE);
            if (next.lines && next.panel != at.panel && p->k <= CR__GEMM_BLOCK &&
                !p->copy_a)
                t.ahead[0] = span_of(p->a + next.i * p->a_row, next.rows, p->k, p->a_row,
                                     p->a_col, G_SIZE);
            const char *in_place = p->a + at.i * p->a_row + at.k * p->a_col;
            G(sliver)(&t, p->copy_a ? panel : in_place, at.rows, now.lanes);
            continue;
        }
        const pack after = sliver_at(p, &next, G_SLIVER);
        done = G(packed_sliver)(&t, panel, &rows, now.lanes, &after,
                                p->pack_b && !p->b_read && p->b_col != G_SIZE, other);
        char *swap = sliver;
        sliver = other, other = swap;
    }
}

/* c[0..n) of each row *= scale: in two steps, if one is no double. */
CR__T static void G(finish)(const product *p)
{
    const bool whole = p->c_row == p->n * G_SIZE;
    const int64_t lines = whole ? 1 : p->m, n = whole ? p->m * p->n : p->n;
    for (int64_t i = 0; i < lines; i++)
        for (int s = 0; s < 2 && p->scales[s] != 1; s++)
            G(scale)((G_T *)(p->c + i * p->c_row), n, p->scales[s]);
}
