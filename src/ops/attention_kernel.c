/* The kernels of attention. Forward a band of queries holds its whole score rows in a worker's
 * memory; backward a block of queries and one of keys hold theirs. Nothing of the size [queries,
 * keys] is stored.
 *
 * The order of sums is that of products, each of a block of queries (rows_in_block()): scores and
 * their gradients over the width, results and gradients of q over the keys, those of k and v over
 * the queries of a block, whose results are added in order. Keys that no row of a group of
 * GROUP_ROWS sees are skipped. */
#include "attention_parts.h"
#include "opaque.h"

#include <math.h>
#include <string.h>

#define SCORE_BYTES (256 << 10) /* of a block of queries: they stay in the second cache */
#define MOST_ROWS   128
#define LEAST_ROWS  8
#define BAND_ROWS   64 /* a band has so many, if its rows take no more than twice that */
#define GROUP_ROWS  8
#define LINE        64 /* bytes of a line of the cache */

cr__attention_sizes cr__attention_sizes_of(const cr_dims *q, const cr_dims *k,
                                           const cr_dims *v)
{
    cr__attention_sizes s = { 1, q->v[q->n - 2], k->v[k->n - 2], q->v[q->n - 1],
                              v->v[v->n - 1] };
    for (int d = 0; d < q->n - 2; d++)
        s.heads *= q->v[d];
    return s;
}

typedef struct attention {
    const cr_kernel *kernel;
    int mask; /* the input, or -1 */
    cr_dtype dtype;
    int64_t size; /* of an element */
    cr__attention_sizes s;
    int64_t rows;   /* queries of a block */
    int64_t band;   /* queries that are worked off together: some blocks */
    int64_t pieces; /* of a head, and how many of them are bands, the last ones */
    int64_t bands;
    int64_t pitch; /* of score rows */
    double scale;
    bool causal;
    size_t bytes; /* of scratch, for each worker */
    cr__strips strips;
    cr__attend row;
    cr__map_fn *add, *mul, *log;
    cr__reduce_kernel amax, sum, dot;
} attention;

/* ---- sizes ---- */

static int64_t rows_in_block(const cr__attention_sizes *s, int64_t size)
{
    int64_t rows = SCORE_BYTES / size / (s->keys ? s->keys : 1);
    rows = rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
    return rows < s->queries ? rows : s->queries;
}

/* Blocks of a band. */
static int64_t rows_in_band(const cr__attention_sizes *s, int64_t size)
{
    const int64_t rows = rows_in_block(s, size);
    const int64_t band = rows >= BAND_ROWS ? rows : 2 * rows;
    return band < s->queries ? band : s->queries;
}

/* Rows are read by columns, too: not a power of two apart. */
static int64_t pitch_of(int64_t keys, int64_t size)
{
    const int64_t line = LINE / size;
    return keys > INT64_MAX - 2 * line ? keys : (keys + line - 1) / line * line + line;
}

/* Products of a single row or column have an order of their own. */
static bool is_narrow(const cr__attention_sizes *s)
{
    return s->keys < 2 || s->width < 2 || s->values < 2;
}

/* Rows of the largest block that is not cut along the keys, in the gradient. */
static int64_t rows_of_narrow(const cr__attention_sizes *s, int64_t size)
{
    const int64_t rows = rows_in_block(s, size);
    return is_narrow(s) || rows < 2 ? rows : s->queries % rows == 1;
}

/* So many elements, as bytes, on a cache line of their own; SIZE_MAX if there are too many. */
static size_t room(int64_t a, int64_t b, int64_t size)
{
    int64_t n;
    if (__builtin_mul_overflow(a, b, &n) || n > (INT64_MAX - LINE) / size)
        return SIZE_MAX;
    return ((size_t)(n * size) + LINE - 1) / LINE * LINE;
}

static size_t sum_of(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

/* For each worker: of no keys, too, there is a place. */
static size_t forward_room(const cr__attention_sizes *s, int64_t size)
{
    const size_t scores = room(rows_in_band(s, size), pitch_of(s->keys, size), size);
    return sum_of(sum_of(scores, LINE), room(s->width, LINE / size * 2, size));
}

/* What the gradient keeps in a worker's room. */
typedef struct backward {
    void *mean;          /* of each query: of what its row is moved by */
    void *k, *v;         /* packed */
    void *p, *ds, *part; /* of a block; part: of narrow ones */
} backward;

static size_t backward_room(const cr__attention_sizes *s, int64_t size, char *at,
                            backward *to)
{
    const int64_t block = s->keys < CR__GEMM_BLOCK ? s->keys : CR__GEMM_BLOCK,
                  rows = rows_in_block(s, size), narrow = rows_of_narrow(s, size),
                  pitch = pitch_of(block, size), all = pitch_of(s->keys, size);
    const int64_t lanes =
        (block + LINE / size * 2 - 1) / (LINE / size * 2) * (LINE / size * 2);
    const size_t scores = room(rows, pitch, size), whole = room(narrow, all, size);
    const size_t parts[] = {
        room(s->queries, 1, size),
        room(lanes, s->width, size),
        room(lanes, s->values, size),
        scores > whole ? scores : whole,
        scores > whole ? scores : whole,
        narrow ? room(s->keys, s->width > s->values ? s->width : s->values, size) : 0
    };
    void **places[] = { &to->mean, &to->k, &to->v, &to->p, &to->ds, &to->part };
    size_t bytes = 0;
    for (int i = 0; i < CR__COUNT(parts); i++) {
        *places[i] = at && bytes != SIZE_MAX ? at + bytes : NULL;
        bytes = sum_of(bytes, parts[i]);
    }
    return sum_of(bytes, LINE);
}

static size_t of_all_workers(const cr_tensor *out, bool is_backward)
{
    const cr_dims q = cr_shape(cr_input(out, Q)), k = cr_shape(cr_input(out, K)),
                  v = cr_shape(cr_input(out, V));
    const int64_t size = (int64_t)cr_dtype_size((cr_dtype)out->dtype);
    const cr__attention_sizes s = cr__attention_sizes_of(&q, &k, &v);
    const size_t workers = (size_t)cr__team_size(out->ctx->team);
    backward places;
    const size_t bytes =
        is_backward ? backward_room(&s, size, NULL, &places) : forward_room(&s, size);
    return bytes > SIZE_MAX / workers ? SIZE_MAX : bytes * workers;
}

size_t cr__attention_scratch(const cr_tensor *out)
{
    return of_all_workers(out, false);
}

size_t cr__attention_grad_scratch(const cr_tensor *out)
{
    return of_all_workers(out, true);
}

static attention attention_begin(const cr_kernel *kernel, int mask)
{
    const cr_array *in = kernel->in;
    const attention_attrs *attrs = kernel->attrs;
    const cr_dtype t = kernel->out.dtype;
    attention a = { .kernel = kernel,
                    .mask = kernel->n > mask ? mask : -1,
                    .dtype = t,
                    .size = (int64_t)cr_dtype_size(t),
                    .s = cr__attention_sizes_of(&in[Q].dims, &in[K].dims, &in[V].dims),
                    .scale = attrs->scale,
                    .causal = attrs->is_causal,
                    .strips = cr__strips_find(t),
                    .row = cr__attend_find(t),
                    .add = cr__map_find(CR__MAP_add, t, t),
                    .mul = cr__map_find(CR__MAP_mul, t, t),
                    .log = cr__map_find(CR__MAP_log, t, t) };
    (void)cr__reduce_find(CR__REDUCE_amax, t, &a.amax);
    (void)cr__reduce_find(CR__REDUCE_sum, t, &a.sum);
    (void)cr__reduce_find(CR__REDUCE_dot, t, &a.dot);
    a.rows = rows_in_block(&a.s, a.size);
    return a;
}

/* ---- elements and rows ---- */

/* Equal elements, as maps want them; and one for each row of a block. */
typedef union uniform {
    float f32[CR__PAD];
    double f64[CR__PAD];
} uniform;
typedef union of_rows {
    float f32[MOST_ROWS];
    double f64[MOST_ROWS];
} of_rows;

static void *element(const attention *a, const void *data, int64_t i)
{
    return (char *)(uintptr_t)data + i * a->size;
}

static double number(const attention *a, const void *x)
{
    return a->dtype == CR_F32 ? (double)*(const float *)x : *(const double *)x;
}

static void store(const attention *a, void *x, double value)
{
    if (a->dtype == CR_F32)
        *(float *)x = (float)value;
    else
        *(double *)x = value;
}

static uniform all_of(const attention *a, double x)
{
    uniform u;
    for (int i = 0; i < CR__PAD && a->dtype == CR_F32; i++)
        u.f32[i] = (float)x;
    for (int i = 0; i < CR__PAD && a->dtype == CR_F64; i++)
        u.f64[i] = x;
    return u;
}

/* n elements from there on are 0. */
static void clear_elements(const attention *a, void *x, int64_t n)
{
    memset(x, 0, (size_t)(n * a->size));
}

/* x[0..n) becomes x combined with y: with its elements, or with one. */
static void with_each(cr__map_fn *map, void *x, const void *y, int64_t n)
{
    map(x, (const void *[]){ x, y }, (const int64_t[]){ 1, 1 }, n);
}

static void with_one(const attention *a, cr__map_fn *map, void *x, double y, int64_t n)
{
    const uniform u = all_of(a, y);
    map(x, (const void *[]){ x, &u }, (const int64_t[]){ 1, 0 }, n);
}

/* One row, of any length: by blocks, whose results are joined in order. */
static double reduced_row(const attention *a, const cr__reduce_kernel *k, const void *x,
                          const void *y, int64_t n)
{
    double parts[2] = { 0 };
    for (int64_t at = 0, some; at < n; at += some) {
        some = n - at < CR__BLOCK ? n - at : CR__BLOCK;
        k->rows(k, at ? element(a, parts, 1) : parts, element(a, x, at),
                y ? element(a, y, at) : NULL, 1, some);
        if (at)
            k->join(k, parts, parts, element(a, parts, 1), 1, 1);
    }
    return number(a, parts);
}

/* ---- heads and blocks ---- */

/* Rows of a matrix, whose elements are neighbours. */
typedef struct query_lines {
    const void *data;
    int64_t row; /* elements from one to the next */
} query_lines;

static query_lines lines_from(const attention *a, query_lines x, int64_t row)
{
    return (query_lines){ element(a, x.data, row * x.row), x.row };
}

/* Where head h of an input begins. */
static const void *head(const attention *a, int input, int64_t h)
{
    const cr_array *x = &a->kernel->in[input];
    int64_t at = 0;
    for (int d = x->dims.n - 3; d >= 0; h /= x->dims.v[d--])
        at += h % x->dims.v[d] * x->strides[d];
    return (const char *)x->data + at * (int64_t)cr_dtype_size(x->dtype);
}

static query_lines query_lines_of(const attention *a, int input, int64_t h)
{
    const cr_array *x = &a->kernel->in[input];
    return (query_lines){ head(a, input, h), x->strides[x->dims.n - 2] };
}

/* Of a head: queries first .. first + n - 1, and keys from .. from + keys - 1, of which the last
 * may be seen by the last query only. */
typedef struct block {
    int64_t head, first, n, from, keys;
} block;

/* Those queries, up to `most`, and all keys that they see. */
static block block_at(const attention *a, int64_t h, int64_t first, int64_t most)
{
    block b = { h, first, most, 0, a->s.keys };
    if (b.n > a->s.queries - b.first)
        b.n = a->s.queries - b.first;
    if (a->causal && b.first + b.n < b.keys)
        b.keys = b.first + b.n;
    return b;
}

/* How many keys of the block row r sees: the first ones. */
static int64_t seen(const attention *a, const block *b, int64_t r)
{
    const int64_t n = b->first + r + 1 - b->from;
    return !a->causal || n > b->keys ? b->keys : n > 0 ? n : 0;
}

/* The first row that sees the block's key j. */
static int64_t first_to_see(const attention *a, const block *b, int64_t j)
{
    const int64_t r = b->from + j - b->first;
    return a->causal && r > 0 ? r : 0;
}

/* How many keys are seen by some of GROUP_ROWS rows from r on. */
static int64_t seen_by_group(const attention *a, const block *b, int64_t r)
{
    return seen(a, b, r + GROUP_ROWS - 1);
}

/* -inf where the mask of bools is false; what a mask of floats adds. */
static void mask_row(const attention *a, const block *b, int64_t r, void *scores,
                     int64_t n)
{
    const cr_array *mask = &a->kernel->in[a->mask];
    const query_lines of_head = query_lines_of(a, a->mask, b->head);
    const int64_t at = (b->first + r) * of_head.row + b->from;
    if (mask->dtype != CR_BOOL) {
        with_each(a->add, scores, element(a, of_head.data, at), n);
        return;
    }
    const uint8_t *takes_part = (const uint8_t *)of_head.data + at;
    for (int64_t j = 0; j < n; j++)
        if (!takes_part[j])
            store(a, element(a, scores, j), -(double)INFINITY);
}

/* What a product became is scaled, and masked. */
static void mask_scores(const attention *a, const block *b, int64_t r, void *row,
                        int64_t n)
{
    with_one(a, a->mul, row, a->scale, n);
    mask_row(a, b, r, row, n);
}

/* ---- products ---- */

/* c[m,n] = a b, in the order of sums that these sizes have. */
static void multiply_whole(const attention *a, int worker, void *c, int64_t m, int64_t n,
                           int64_t k, cr__reader x, cr__reader y)
{
    x.dtype = y.dtype = a->dtype;
    const cr__gemm_job job = {
        .dtype = a->dtype, .m = m, .n = n, .k = k, .a = x, .b = y, .c = c
    };
    cr__gemm_by(&job, a->kernel->workers, worker);
}

static cr__reader reads_rows(query_lines x)
{
    return (cr__reader){ .data = x.data, .row = x.row, .col = 1 };
}

static cr__reader by_columns(query_lines x)
{
    return (cr__reader){ .data = x.data, .row = 1, .col = x.row };
}

/* Rows of keys, packed a sliver after another. */
static void pack_keys(const attention *a, query_lines y, int64_t keys, int64_t width,
                      void *to)
{
    const int64_t sliver = a->strips.sliver;
    for (int64_t j = 0; j < keys; j += sliver)
        a->strips.pack(element(a, to, j * width), element(a, y.data, j * y.row), y.row,
                       width, keys - j < sliver ? keys - j : sliver);
}

/* c[:, j ..] = x y^T, of a sliver of keys that is packed. Rows that see none of them are left. */
static void score_sliver(const attention *a, const block *b, query_lines x,
                         const void *packed, int64_t width, int64_t j, void *c,
                         int64_t pitch)
{
    const int64_t sliver = a->strips.sliver, r = first_to_see(a, b, j);
    cr__strip s = { .a_row = x.row,
                    .a_col = 1,
                    .b_row = sliver,
                    .c = element(a, c, r * pitch + j),
                    .c_row = pitch,
                    .rows = b->n - r,
                    .columns = b->keys - j < sliver ? b->keys - j : sliver };
    for (int64_t i = 0; i == 0 || i < width; i += CR__GEMM_BLOCK) {
        s.a = element(a, x.data, r * x.row + i);
        s.b = element(a, packed, i * sliver);
        s.k = width - i < CR__GEMM_BLOCK ? width - i : CR__GEMM_BLOCK;
        s.add = i > 0;
        a->strips.multiply(&s);
    }
}

/* to[n,width] = or += weights y, over the block's keys, CR__GEMM_BLOCK at most. */
static void weigh(const attention *a, const block *b, query_lines weights, query_lines y,
                  query_lines to, int64_t width)
{
    const int64_t step = a->causal ? GROUP_ROWS : b->n;
    cr__strip s = { .a_row = weights.row,
                    .a_col = 1,
                    .b_row = y.row,
                    .c_row = to.row,
                    .add = b->from > 0 };
    for (int64_t j = 0; j < width; j += s.columns) {
        s.columns = width - j < a->strips.sliver ? width - j : a->strips.sliver;
        s.b = element(a, y.data, j);
        for (int64_t r = 0; r < b->n; r += step) {
            s.k = seen_by_group(a, b, r);
            s.rows = b->n - r < step ? b->n - r : step;
            s.a = element(a, weights.data, r * weights.row);
            s.c = element(a, to.data, r * to.row + j);
            if (s.k)
                a->strips.multiply(&s);
        }
    }
}

/* to[keys,width] = or += weights^T x: what the block adds to a gradient of its keys. */
static void weigh_back(const attention *a, const block *b, query_lines weights,
                       query_lines x, query_lines to, int64_t width)
{
    const int64_t step = a->causal ? GROUP_ROWS : b->keys;
    cr__strip s = { .a_row = 1,
                    .a_col = weights.row,
                    .b_row = x.row,
                    .c_row = to.row,
                    .add = b->first > 0 };
    for (int64_t i = 0; i < width; i += s.columns) {
        s.columns = width - i < a->strips.sliver ? width - i : a->strips.sliver;
        for (int64_t j = 0; j < b->keys; j += step) {
            const int64_t r = first_to_see(a, b, j);
            s.k = b->n - r;
            s.rows = b->keys - j < step ? b->keys - j : step;
            s.a = element(a, weights.data, r * weights.row + j);
            s.b = element(a, x.data, r * x.row + i);
            s.c = element(a, to.data, j * to.row + i);
            a->strips.multiply(&s);
        }
    }
}

/* ---- forward ---- */

/* Rows of more than a block of a reduction, one by one: see cr__attend. */
static void long_weights(const attention *a, const cr__attend_rows *w)
{
    for (int64_t r = 0; r < w->rows; r++) {
        const int64_t n = cr__attend_length(w, r);
        void *row = element(a, w->x, r * w->pitch);
        with_one(a, a->mul, row, w->scale, n);
        const double most =
            n ? reduced_row(a, &a->amax, row, NULL, n) : -(double)INFINITY;
        a->row.exp(row, n, 1, most > -(double)INFINITY ? most : 0);
        store(a, element(a, w->most, r), most);
        store(a, element(a, w->sums, r), reduced_row(a, &a->sum, row, NULL, n));
    }
}

/* Rows of scores become exponentials, the greatest of which is 1, and *sums theirs. What is saved is
 * the logarithm of the sum of the scores' own: inf of a row that sees nothing, all of which is 0
 * then, so that e^(score - inf) is 0 in the gradient, too. */
static void weights_of_block(const attention *a, const block *b, void *scores,
                             int64_t pitch, of_rows *sums)
{
    const cr__attention_sizes *s = &a->s;
    void *saved =
        element(a, a->kernel->out.data,
                s->heads * s->queries * s->values + b->head * s->queries + b->first);
    of_rows most, logs;
    const cr__attend_rows w = { .x = scores,
                                .rows = b->n,
                                .pitch = pitch,
                                .first = seen(a, b, 0),
                                .step = a->causal,
                                .most_keys = b->keys,
                                .scale = a->mask < 0 ? a->scale : 1,
                                .most = &most,
                                .sums = sums };
    for (int64_t r = 0; a->mask >= 0 && r < b->n; r++)
        mask_scores(a, b, r, element(a, scores, r * pitch), seen(a, b, r));
    if (b->keys > CR__BLOCK)
        long_weights(a, &w);
    else
        a->row.weights(&w);
    a->log(&logs, (const void *[]){ sums }, (const int64_t[]){ 1 }, b->n);
    for (int64_t r = 0; r < b->n; r++) {
        const int64_t n = seen(a, b, r), hidden = b->keys - n;
        const double from = number(a, element(a, &most, r));
        double log = from + number(a, element(a, &logs, r));
        if (from == -(double)INFINITY && number(a, element(a, sums, r)) == 0) {
            store(a, element(a, sums, r), 1);
            log = (double)INFINITY;
        }
        store(a, element(a, saved, r), log);
        clear_elements(a, element(a, scores, r * pitch + n),
                       hidden < GROUP_ROWS ? hidden : GROUP_ROWS);
    }
}

/* A block, whose products are of a single row or column, or none. */
static void attend_whole(const attention *a, int worker, const block *b, void *scores,
                         of_rows *sums, void *out)
{
    const query_lines q = lines_from(a, query_lines_of(a, Q, b->head), b->first);
    const query_lines weights = { scores, b->keys };
    multiply_whole(a, worker, scores, b->n, b->keys, a->s.width, reads_rows(q),
                   by_columns(query_lines_of(a, K, b->head)));
    weights_of_block(a, b, scores, b->keys, sums);
    for (int64_t r = 0; r < b->n; r++)
        clear_elements(a, element(a, scores, r * b->keys + seen(a, b, r)),
                       b->keys - seen(a, b, r));
    multiply_whole(a, worker, out, b->n, a->s.values, b->keys, reads_rows(weights),
                   reads_rows(query_lines_of(a, V, b->head)));
}

static void attend_band(const attention *a, const block *b, char *scores, of_rows *sums,
                        void *out)
{
    const cr__attention_sizes *s = &a->s;
    const int64_t sliver = a->strips.sliver;
    const query_lines q = lines_from(a, query_lines_of(a, Q, b->head), b->first),
                      k = query_lines_of(a, K, b->head),
                      v = query_lines_of(a, V, b->head);
    void *packed = scores + room(a->band, a->pitch, a->size);
    for (int64_t j = 0; j < b->keys; j += sliver) {
        const int64_t left = b->keys - j;
        pack_keys(a, lines_from(a, k, j), left < sliver ? left : sliver, s->width,
                  packed);
        score_sliver(a, b, q, packed, s->width, j, scores, a->pitch);
    }
    weights_of_block(a, b, scores, a->pitch, sums);
    for (block some = *b; some.from < b->keys; some.from += CR__GEMM_BLOCK) {
        const query_lines weights = { element(a, scores, some.from), a->pitch };
        const int64_t left = b->keys - some.from;
        some.keys = left < CR__GEMM_BLOCK ? left : CR__GEMM_BLOCK;
        weigh(a, &some, weights, lines_from(a, v, some.from),
              (query_lines){ out, s->values }, s->values);
    }
}

/* Whether the block's products have an order of their own. */
static bool is_whole(const attention *a, const block *b)
{
    return b->n == 1 || is_narrow(&a->s);
}

static void attend(void *arg, int64_t chunk, int worker)
{
    const attention *a = arg;
    const cr__attention_sizes *s = &a->s;
    char *scores = (char *)a->kernel->scratch + (size_t)worker * a->bytes;
    const int64_t end = s->queries % a->rows == 1 ? s->queries - 1 : s->queries;
    const int64_t from = chunk % a->pieces * a->band;
    const int64_t to = s->queries - from < a->band ? s->queries : from + a->band;
    of_rows sums;
    block b = { .head = chunk / a->pieces };
    for (int64_t first = from; first < to; first += b.n) {
        b = block_at(a, b.head, first, (first < end && end < to ? end : to) - first);
        void *out =
            element(a, a->kernel->out.data, (b.head * s->queries + b.first) * s->values);
        if (is_whole(a, &b))
            attend_whole(a, worker, &b, scores, &sums, out);
        else
            attend_band(a, &b, scores, &sums, out);
        for (int64_t r = 0; r < b.n; r++)
            a->row.divide(element(a, out, r * s->values), s->values,
                          number(a, element(a, &sums, r)));
    }
}

cr_status cr__attention_kernel(const cr_kernel *kernel)
{
    attention a = attention_begin(kernel, MASK);
    a.band = rows_in_band(&a.s, a.size);
    a.pieces = a.band ? (a.s.queries + a.band - 1) / a.band : 0;
    a.pitch = pitch_of(a.s.keys, a.size);
    a.bytes = forward_room(&a.s, a.size);
    cr_kernel_chunks(kernel, a.s.heads * a.pieces, attend, &a);
    return CR_OK;
}

/* ---- backward ---- */

/* Which gradients are computed. */
enum { OF_QUERIES = 1, OF_KEYS = 2 };

/* Of a head: what is read and written. */
typedef struct head_back {
    query_lines q, k, v, g, dq, dk, dv;
    const void *logs, *g_logs;
    backward room;
} head_back;

static head_back head_back_at(const attention *a, int64_t h, char *room_at)
{
    const cr__attention_sizes *s = &a->s;
    const cr_array *g = &a->kernel->in[G], *out = &a->kernel->in[OUT];
    const int64_t behind = s->heads * s->queries * s->values + h * s->queries,
                  k_at = s->heads * s->queries + h * s->keys,
                  v_at = s->heads * (s->queries + s->keys) * s->width +
                         h * s->keys * s->values;
    void *to = a->kernel->out.data;
    head_back b = { .q = query_lines_of(a, Q, h),
                    .k = query_lines_of(a, K, h),
                    .v = query_lines_of(a, V, h),
                    .g = { element(a, g->data, h * s->queries * s->values), s->values },
                    .dq = { element(a, to, h * s->queries * s->width), s->width },
                    .dk = { element(a, to, k_at * s->width), s->width },
                    .dv = { element(a, to, v_at), s->values },
                    .logs = element(a, out->data, behind),
                    .g_logs = element(a, g->data, behind) };
    (void)backward_room(s, a->size, room_at, &b.room);
    return b;
}

/* g out - the cotangent of log, of queries first .. end - 1. */
static void means_of_rows(const attention *a, int64_t h, const head_back *x,
                          int64_t first, int64_t end)
{
    const int64_t values = a->s.values, at = h * a->s.queries * values;
    const void *out = element(a, a->kernel->in[OUT].data, at);
    if (values <= CR__BLOCK)
        a->dot.rows(&a->dot, element(a, x->room.mean, first),
                    element(a, x->g.data, first * values),
                    element(a, out, first * values), end - first, values);
    for (int64_t i = first; i < end; i++) {
        void *mean = element(a, x->room.mean, i);
        if (values > CR__BLOCK)
            store(a, mean,
                  reduced_row(a, &a->dot, element(a, x->g.data, i * values),
                              element(a, out, i * values), values));
        store(a, mean, number(a, mean) - number(a, element(a, x->g_logs, i)));
    }
}

/* p = e^(score - log), ds = p (g v^T - mean) scale, row by row. */
static void slopes(const attention *a, const block *b, const head_back *x, void *p,
                   void *ds, int64_t pitch, int64_t cleared)
{
    for (int64_t r = first_to_see(a, b, 0) / GROUP_ROWS * GROUP_ROWS; r < b->n; r++) {
        const int64_t n = seen(a, b, r), i = b->first + r;
        const int64_t hidden = b->keys - n < cleared ? b->keys - n : cleared;
        void *row = element(a, p, r * pitch), *to = element(a, ds, r * pitch);
        if (a->mask >= 0)
            mask_scores(a, b, r, row, n);
        a->row.exp(row, n, a->mask < 0 ? a->scale : 1, number(a, element(a, x->logs, i)));
        a->row.slopes(to, row, n, number(a, element(a, x->room.mean, i)), a->scale);
        clear_elements(a, element(a, row, n), hidden);
        clear_elements(a, element(a, to, n), hidden);
    }
}

/* What a block adds to the gradients of k or v: to += matrix^T x, of which the first block's is
 * written. */
static void add_product(const attention *a, int worker, query_lines to, const block *b,
                        const void *matrix, query_lines x, int64_t width, void *part)
{
    void *c = b->first ? part : element(a, to.data, 0);
    multiply_whole(a, worker, c, b->keys, width, b->n,
                   by_columns((query_lines){ matrix, b->keys }), reads_rows(x));
    if (b->first)
        with_each(a->add, element(a, to.data, 0), c, b->keys * width);
    else
        clear_elements(a, element(a, to.data, b->keys * width),
                       (a->s.keys - b->keys) * width);
}

/* A block of queries, all keys. */
static void attend_back_whole(const attention *a, int worker, const head_back *x,
                              const block *b)
{
    const cr__attention_sizes *s = &a->s;
    const query_lines q = lines_from(a, x->q, b->first),
                      g = lines_from(a, x->g, b->first);
    void *p = x->room.p, *ds = x->room.ds;
    multiply_whole(a, worker, p, b->n, b->keys, s->width, reads_rows(q),
                   by_columns(x->k));
    multiply_whole(a, worker, ds, b->n, b->keys, s->values, reads_rows(g),
                   by_columns(x->v));
    slopes(a, b, x, p, ds, b->keys, b->keys);
    multiply_whole(a, worker, element(a, x->dq.data, b->first * s->width), b->n, s->width,
                   b->keys, reads_rows((query_lines){ ds, b->keys }), reads_rows(x->k));
    add_product(a, worker, x->dk, b, ds, q, s->width, x->room.part);
    add_product(a, worker, x->dv, b, p, g, s->values, x->room.part);
}

/* A block of queries and of keys, which are packed. */
static void attend_back_block(const attention *a, const head_back *x, const block *b,
                              int of)
{
    const cr__attention_sizes *s = &a->s;
    const int64_t sliver = a->strips.sliver, pitch = a->pitch;
    const query_lines q = lines_from(a, x->q, b->first),
                      g = lines_from(a, x->g, b->first), p = { x->room.p, pitch },
                      ds = { x->room.ds, pitch };
    for (int64_t j = 0; j < b->keys; j += sliver) {
        score_sliver(a, b, q, element(a, x->room.k, j * s->width), s->width, j, x->room.p,
                     pitch);
        score_sliver(a, b, g, element(a, x->room.v, j * s->values), s->values, j,
                     x->room.ds, pitch);
    }
    slopes(a, b, x, x->room.p, x->room.ds, pitch, GROUP_ROWS);
    if (of & OF_KEYS) {
        weigh_back(a, b, p, g, lines_from(a, x->dv, b->from), s->values);
        weigh_back(a, b, ds, q, lines_from(a, x->dk, b->from), s->width);
    }
    if (of & OF_QUERIES)
        weigh(a, b, ds, lines_from(a, x->k, b->from), lines_from(a, x->dq, b->first),
              s->width);
}

/* Keys that the first block of queries does not see are only added to. */
static void clear_hidden(const attention *a, const head_back *x, int64_t from, int64_t n)
{
    const cr__attention_sizes *s = &a->s;
    const int64_t shown = block_at(a, 0, 0, a->rows).keys - from;
    const int64_t at = shown > 0 ? shown : 0, left = n - at;
    if (left > 0) {
        clear_elements(a, element(a, x->dk.data, (from + at) * s->width),
                       left * s->width);
        clear_elements(a, element(a, x->dv.data, (from + at) * s->values),
                       left * s->values);
    }
}

/* Gradients of the queries first .. end - 1 and of the keys from .. last - 1, as far as each comes
 * from the others. */
static void attend_back_part(const attention *a, int64_t h, const head_back *x,
                             int64_t first, int64_t end, int64_t from, int64_t last,
                             int of)
{
    const cr__attention_sizes *s = &a->s;
    if (a->causal && of == OF_QUERIES && end < last)
        last = end;
    for (int64_t n; from < last; from += n) {
        n = last - from < CR__GEMM_BLOCK ? last - from : CR__GEMM_BLOCK;
        pack_keys(a, lines_from(a, x->k, from), n, s->width, x->room.k);
        pack_keys(a, lines_from(a, x->v, from), n, s->values, x->room.v);
        if (of & OF_KEYS)
            clear_hidden(a, x, from, n);
        for (int64_t i = first; i < end; i += a->rows) {
            block b = block_at(a, h, i, a->rows < end - i ? a->rows : end - i);
            b.from = from;
            b.keys = b.keys - from < n ? b.keys - from : n;
            if (b.keys > 0)
                attend_back_block(a, x, &b, of);
        }
    }
}

/* The queries before this one are of blocks whose products have the order of chains. */
static int64_t end_of_wide(const attention *a)
{
    const int64_t queries = a->s.queries;
    return is_narrow(&a->s) || a->rows < 2 ? 0 : queries - (queries % a->rows == 1);
}

/* Heads are chunks; or, where these are too few, blocks of keys and some of queries, each of which
 * computes the weights that it needs. */
static void attend_back(void *arg, int64_t chunk, int worker)
{
    const attention *a = arg;
    const cr__attention_sizes *s = &a->s;
    const int64_t h = chunk / a->pieces, piece = chunk % a->pieces;
    const int64_t of_keys = a->pieces - a->bands;
    const head_back x =
        head_back_at(a, h, (char *)a->kernel->scratch + (size_t)worker * a->bytes);
    const int64_t end = end_of_wide(a);
    if (a->bands == 0) {
        means_of_rows(a, h, &x, 0, s->queries);
        if (end)
            attend_back_part(a, h, &x, 0, end, 0, s->keys, OF_KEYS | OF_QUERIES);
        for (int64_t first = end; first < s->queries; first += a->rows) {
            const block b = block_at(a, h, first, a->rows);
            attend_back_whole(a, worker, &x, &b);
        }
    } else if (piece < of_keys) {
        const int64_t from = piece * CR__GEMM_BLOCK, left = s->keys - from;
        means_of_rows(a, h, &x, 0, end);
        attend_back_part(a, h, &x, 0, end, from,
                         left < CR__GEMM_BLOCK ? s->keys : from + CR__GEMM_BLOCK,
                         OF_KEYS);
    } else {
        const int64_t first = (piece - of_keys) * a->band, left = end - first;
        const int64_t last = left < a->band ? end : first + a->band;
        means_of_rows(a, h, &x, first, last);
        attend_back_part(a, h, &x, first, last, 0, s->keys, OF_QUERIES);
    }
}

/* A head's pieces: five products together, or seven apart. */
static void cut_heads(attention *a)
{
    const cr__attention_sizes *s = &a->s;
    const int64_t team = a->kernel->workers ? cr__team_size(a->kernel->workers) : 1;
    const int64_t rounds = (s->heads + team - 1) / team;
    const int64_t keys = (s->keys + CR__GEMM_BLOCK - 1) / CR__GEMM_BLOCK;
    a->pieces = 1, a->bands = 0;
    if (end_of_wide(a) < s->queries || keys < 2 || 5 * rounds * team <= 8 * s->heads)
        return;
    a->band = a->rows < MOST_ROWS ? MOST_ROWS / a->rows * a->rows : a->rows;
    a->bands = (s->queries + a->band - 1) / a->band;
    a->pieces = keys + a->bands;
}

cr_status cr__attention_grad_kernel(const cr_kernel *kernel)
{
    attention a = attention_begin(kernel, GRAD_MASK);
    backward places;
    a.pitch = pitch_of(a.s.keys < CR__GEMM_BLOCK ? a.s.keys : CR__GEMM_BLOCK, a.size);
    a.bytes = backward_room(&a.s, a.size, NULL, &places);
    cut_heads(&a);
    if (a.rows)
        cr_kernel_chunks(kernel, a.s.heads * a.pieces, attend_back, &a);
    else
        clear_elements(&a, kernel->out.data, kernel->out.numel);
    return CR_OK;
}
