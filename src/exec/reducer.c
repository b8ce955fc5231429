/* Reductions cut into chunks, and chunks into blocks, lines of lanes and tiles, in the order of
 * sums that kernel.h defines. Strips of neighbouring outputs are each cut into spans of blocks if
 * there are fewer strips than the threads want. A span is a power of two of blocks, so that its
 * result is a node of the strip's tree, and the spans' results are joined in the same tree. */
#include "reducer.h"

#include <string.h>

/* Outputs of a strip, at least where threads share them, also of such that are made, and at
 * most. */
#define LEAST_STRIP 64
#define LEAST_MADE  512
#define MOST_STRIP  4096

/* The reducer's part of a worker's scratch memory. */
#define LEVELS       56 /* of a tree of blocks */
#define GATHER_BYTES (CR__BLOCK * 8)
#define SHARED_BYTES (32 << 10) /* of worker 0: the spans' results, [strip][span] */
#define ACC_BYTES    ((int64_t)CR__REDUCER_SCRATCH - SHARED_BYTES) /* and of the tree */
_Static_assert((CR__LANES + LEVELS) * CR__ACCUMULATOR + 2 * GATHER_BYTES <=
                   CR__REDUCER_SCRATCH - SHARED_BYTES,
               "scratch memory");

typedef struct reducer_places {
    char *made, *acc, *stack, *gather, *gather_y, *shared;
} reducer_places;

/* Bytes of what a strip comes to. */
static int64_t slot_bytes(const cr__reducer *p)
{
    return p->r.kernel.parts * p->width * p->r.kernel.part_size;
}

static reducer_places places_of(const cr__reducer *p, int worker)
{
    reducer_places at = { .made = cr__team_scratch(p->team, worker) };
    at.acc = at.made + CR__SCRATCH_BYTES - CR__REDUCER_SCRATCH;
    at.stack = at.acc + p->r.kernel.lanes * slot_bytes(p);
    at.shared = at.acc + ACC_BYTES;
    at.gather_y = at.shared - GATHER_BYTES;
    at.gather = at.gather_y - GATHER_BYTES;
    return at;
}

static int64_t less_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- where elements are ---- */

/* dims [from, to) of x without those of size 1, neighbours merged where one stride spans both,
 * in y too. */
static void merge_dims(const cr__strided *x, const cr__strided *y, int from, int to,
                       cr__strided *mx, cr__strided *my)
{
    int n = 0;
    for (int d = from; d < to; d++) {
        const int64_t dim = x->dims[d], sx = x->strides[d], sy = y->strides[d];
        if (dim == 1)
            continue;
        bool joins =
            n && mx->strides[n - 1] == sx * dim && my->strides[n - 1] == sy * dim;
        n += !joins;
        mx->dims[n - 1] = joins ? mx->dims[n - 1] * dim : dim;
        mx->strides[n - 1] = sx;
        my->strides[n - 1] = sy;
    }
    if (n == 0)
        mx->dims[0] = mx->strides[0] = my->strides[0] = n = 1;
    memcpy(my->dims, mx->dims, sizeof my->dims);
    mx->ndim = my->ndim = n;
    mx->data = x->data;
    my->data = y->data;
}

static int64_t numel_of(const cr__strided *x)
{
    int64_t n = 1;
    for (int d = 0; d < x->ndim; d++)
        n *= x->dims[d];
    return n;
}

static const char *element_of(const cr__reducer *p, const void *data, int64_t offset)
{
    return (const char *)data + offset * p->r.kernel.size;
}

/* Output o's value y. */
static const char *value_at(const cr__reducer *p, int64_t o)
{
    return p->r.kernel.operand == CR__REDUCES_VALUE ? element_of(p, p->r.values, o)
                                                    : NULL;
}

static char *out_of(const cr__reducer *p, int64_t o)
{
    return (char *)p->r.out + o * p->r.kernel.out_size;
}

/* Where x and y of output o begin, and elements that are read from there. */
typedef struct operands {
    int64_t at, at_y;
    const char *x, *y;
} operands;

static operands elements_of(const cr__reducer *p, int64_t o)
{
    const bool array = p->r.kernel.operand == CR__REDUCES_ARRAY;
    return (operands){ .at = cr__offset_of(&p->kept, o),
                       .at_y = array ? cr__offset_of(&p->kept_y, o) : 0,
                       .y = value_at(p, o) };
}

/* x and y of element i of the reduction, and of n that lie behind it; at most a tile, if they
 * are made. */
static void find_elements(const cr__reducer *p, operands *e, int64_t i, int64_t n,
                          const reducer_places *at)
{
    const bool array = p->r.kernel.operand == CR__REDUCES_ARRAY;
    const int64_t offset = e->at + cr__offset_of(&p->reduced, i);
    if (p->r.make) {
        const void *y = NULL;
        e->x = p->r.make(p->r.arg, offset, n, at->made, &y);
        e->y = array ? y : e->y;
        return;
    }
    e->x = element_of(p, p->r.x.data, offset);
    if (array)
        e->y = element_of(p, p->r.y.data, e->at_y + cr__offset_of(&p->reduced_y, i));
}

/* ---- a block ---- */

static const void *gathered(const cr__strided *from, const void *data, int size,
                            int64_t start, int64_t n, char *to)
{
    cr__strided x = *from;
    x.data = (char *)(uintptr_t)data;
    cr__copy_range(to, &x, (size_t)size, start, n);
    return to;
}

/* Runs of such length are not worth copying. */
#define LONG_RUN 256

static void add_row(const cr__reducer *p, int64_t output, int64_t from, int64_t to,
                    const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    operands e = elements_of(p, output);
    if (!p->r.make && p->run < LONG_RUN && p->run < p->length && p->run % CR__LANES) {
        e.x = gathered(&p->reduced, element_of(p, p->r.x.data, e.at), k->size, from,
                       to - from, at->gather);
        if (k->operand == CR__REDUCES_ARRAY)
            e.y = gathered(&p->reduced_y, element_of(p, p->r.y.data, e.at_y), k->size,
                           from, to - from, at->gather_y);
        k->add(k, at->acc, e.x, e.y, from, to - from);
        return;
    }
    for (int64_t i = from, n; i < to; i += n) {
        n = less_of(p->run - i % p->run, to - i);
        n = p->r.make ? less_of(p->r.tile, n) : n;
        find_elements(p, &e, i, n, at);
        k->add(k, at->acc, e.x, e.y, i, n);
    }
}

/* Rows i .. i + n - 1 of a strip: those of a lane one after the other. */
static void add_rows(const cr__reducer *p, char *acc, const operands *e, int64_t stride,
                     int64_t y_stride, int64_t width, int64_t i, int64_t n)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t lanes = k->lanes, pitch = lanes * width;
    y_stride = k->operand == CR__REDUCES_ARRAY ? y_stride : 0;
    for (int64_t l = 0; l < lanes && l < n; l++)
        k->columns(k, acc + (i + l) % lanes * width * k->part_size, pitch,
                   element_of(p, e->x, l * stride), lanes * stride,
                   e->y ? element_of(p, e->y, l * y_stride) : NULL, lanes * y_stride,
                   width, i + l, (n - l - 1) / lanes + 1);
}

/* Elements of a strip that is dense, from the i'th on: they are to their accumulators what rows
 * of all lanes are to columns. */
static void add_dense(const cr__reducer *p, char *acc, const operands *e, int64_t i,
                      int64_t n)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t line = k->lanes * p->width;
    for (int64_t done = 0, some; done < n; done += some) {
        const int64_t at = (i + done) % line, left = n - done;
        const int64_t lines = at || left < line ? 1 : left / line;
        some = less_of(line - at, left / lines) * lines;
        k->columns(k, acc + at * k->part_size, line, element_of(p, e->x, done), line,
                   e->y ? element_of(p, e->y, done) : NULL, line, some / lines, 0, lines);
    }
}

/* The same of rows that are made. */
static void add_made_rows(const cr__reducer *p, int64_t output, int64_t width,
                          int64_t from, int64_t to, const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    for (int64_t i = from; i < to; i++) {
        char *acc = at->acc + i % k->lanes * width * k->part_size;
        for (int64_t c = 0, n; c < width; c += n) {
            operands e = elements_of(p, output + c);
            n = less_of(p->r.tile, width - c);
            find_elements(p, &e, i, n, at);
            k->columns(k, acc + c * k->part_size, k->lanes * width, e.x, 0, e.y, 0, n, i,
                       1);
        }
    }
}

static void add_columns(const cr__reducer *p, int64_t output, int64_t width, int64_t from,
                        int64_t to, const reducer_places *at)
{
    const int last = p->reduced.ndim - 1;
    const int64_t all = p->dense ? (to - from) * width : 0;
    operands e = elements_of(p, output);
    const int64_t start = e.at;
    if (p->r.make && !p->dense) {
        add_made_rows(p, output, width, from, to, at);
        return;
    }
    for (int64_t i = 0, n; i < all; i += n) {
        n = p->r.make ? less_of(p->r.tile, all - i) : all;
        e.at = start + i;
        find_elements(p, &e, from, n, at);
        add_dense(p, at->acc, &e, i, n);
    }
    for (int64_t i = from, n; i < to && !p->dense; i += n) {
        n = less_of(p->reduced.dims[last] - i % p->reduced.dims[last], to - i);
        find_elements(p, &e, i, n, at);
        add_rows(p, at->acc, &e, p->reduced.strides[last], p->reduced_y.strides[last],
                 width, i, n);
    }
}

/* The block of `width` outputs: what it comes to lies in at->acc, of the pitch that is
 * returned. */
static int64_t reduce_block(const cr__reducer *p, int64_t output, int64_t width,
                            int64_t block, const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t from = block * CR__BLOCK, end = less_of(from + CR__BLOCK, p->length);
    const int64_t lanes = p->width > 1 && k->parts == 1 && end > from
                              ? less_of(k->lanes, end - from)
                              : k->lanes;
    cr__reduce_begin(k, at->acc, lanes * width);
    if (p->width > 1) {
        add_columns(p, output, width, from, end, at);
        cr__reduce_fold_columns(k, at->acc, width, lanes);
    } else {
        add_row(p, output, from, end, at);
        cr__reduce_fold(k, at->acc);
    }
    return k->lanes * width;
}

/* ---- the tree of blocks ---- */

/* Accumulators of that pitch, of a strip, into a slot. */
static void copy_slot(const cr__reducer *p, char *slot, const char *acc, int64_t pitch,
                      int64_t width)
{
    const int size = p->r.kernel.part_size;
    for (int part = 0; part < p->r.kernel.parts; part++)
        memcpy(slot + part * p->width * size, acc + part * pitch * size,
               (size_t)(width * size));
}

/* Blocks [from, to) of a strip, at least one. Results wait on a stack: after `done` blocks it
 * holds a subtree for each bit of done, the largest first, which is how a tree of neighbours
 * grows. What is left at the end is joined from the smallest up: the odd ones that were
 * carried. Returns what they come to, of *pitch. */
static char *reduce_span(const cr__reducer *p, int64_t output, int64_t width,
                         int64_t from, int64_t to, const reducer_places *at,
                         int64_t *pitch)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t slot = slot_bytes(p);
    int depth = 0;
    char *top = at->stack;
    if (to - from == 1) {
        *pitch = reduce_block(p, output, width, from, at);
        return at->acc;
    }
    for (int64_t b = from; b < to; b++, top += slot) {
        copy_slot(p, top, at->acc, reduce_block(p, output, width, b, at), width);
        depth++;
        for (int64_t done = b - from + 1; !(done & 1); done >>= 1, depth--, top -= slot)
            k->join(k, top - slot, top - slot, top, width, p->width);
    }
    for (top -= slot; depth > 1; depth--, top -= slot)
        k->join(k, top - slot, top - slot, top, width, p->width);
    *pitch = p->width;
    return at->stack;
}

/* ---- lines ---- */

/* Elements of a strip whose runs lie one behind the other, n of them from the j'th of the runs
 * that begin with element i on. Each output has accumulators of a block, and what its blocks
 * come to. */
static void add_lines(const cr__reducer *p, const reducer_places *at, const char *x,
                      int64_t i, int64_t j, int64_t n)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    for (int64_t some; n > 0; n -= some, j += some, x += some * k->size) {
        const int64_t output = j / p->run, place = i + j % p->run;
        const int64_t in_block = place % CR__BLOCK;
        char *acc = at->acc + output * k->lanes * k->part_size;
        some = less_of(less_of(n, p->run - j % p->run), CR__BLOCK - in_block);
        if (in_block == 0)
            cr__reduce_begin(k, acc, k->lanes);
        k->add(k, acc, x, NULL, in_block, some);
        if (in_block + some < CR__BLOCK && place + some < p->length)
            continue;
        cr__reduce_fold(k, acc);
        memcpy(at->stack + (output * p->blocks + place / CR__BLOCK) * k->part_size, acc,
               k->part_size);
    }
}

/* The tree of n neighbours, in place; the odd one is carried. */
static void join_blocks(const cr__reduce_kernel *k, char *blocks, int64_t n)
{
    for (; n > 1; n = (n + 1) / 2)
        for (int64_t i = 0; i < n; i += 2) {
            char *to = blocks + i / 2 * k->part_size;
            const char *from = blocks + i * k->part_size;
            if (i + 1 < n)
                k->join(k, to, from, from + k->part_size, 1, n);
            else
                memmove(to, from, k->part_size);
        }
}

/* What all blocks of `width` outputs come to, in the order in which the elements lie. */
static char *reduce_lines(const cr__reducer *p, int64_t output, int64_t width,
                          const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t all = width * p->run;
    operands e = elements_of(p, output);
    const int64_t start = e.at;
    for (int64_t i = 0; i < p->length; i += p->run)
        for (int64_t j = 0, n; j < all; j += n) {
            n = p->r.make ? less_of(p->r.tile, all - j) : all;
            e.at = start + j;
            find_elements(p, &e, i, n, at);
            add_lines(p, at, e.x, i, j, n);
        }
    for (int64_t o = 0; o < width; o++) {
        char *blocks = at->stack + o * p->blocks * k->part_size;
        join_blocks(k, blocks, p->blocks);
        memcpy(at->acc + o * k->part_size, blocks, k->part_size);
    }
    return at->acc;
}

/* What a strip, or some of its blocks, comes to. */
static char *reduce_strip(const cr__reducer *p, int64_t output, int64_t width,
                          int64_t from, int64_t to, const reducer_places *at,
                          int64_t *pitch)
{
    *pitch = width;
    return p->lined ? reduce_lines(p, output, width, at)
                    : reduce_span(p, output, width, from, to, at, pitch);
}

/* The first output of a strip, and how many it has. */
static int64_t strip_at(const cr__reducer *p, int64_t strip, int64_t *width)
{
    if (p->width == 1) {
        *width = 1;
        return p->first + strip;
    }
    int64_t line = p->kept.dims[p->kept.ndim - 1];
    int64_t column = strip % p->row_strips * p->width;
    *width = less_of(line - column, p->width);
    return strip / p->row_strips * line + column;
}

/* ---- cutting ---- */

/* Nanoseconds of an element; a guess that decides about chunks only. */
static double reducer_cost(const cr__reducer *p)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    double cost = 0.06 * k->size;
    if (k->lanes == 1)
        cost += 0.5;
    if (k->code == CR__REDUCE_logsumexp)
        cost += k->size == 4 ? 1 : 10;
    if (p->r.make)
        return cost + p->r.cost;
    return p->width > 1 || p->run >= CR__LANES ? cost : cost + 1;
}

/* Spans, if there are too few strips for all threads; and chunks of strips and spans. */
static void cut_spans(cr__reducer *p)
{
    const double cost = (double)p->outputs * (double)p->length * reducer_cost(p);
    const int64_t strip_bytes = p->strips * slot_bytes(p);
    const int64_t wanted = cr__chunks(cost, INT64_MAX, p->team);
    p->span = p->blocks;
    if (!p->lined && wanted > p->strips && p->strips < 4 * cr__team_size(p->team)) {
        p->span = 1;
        for (int64_t n; p->span < p->blocks; p->span *= 2) {
            n = (p->blocks - 1) / p->span + 1;
            if (n <= SHARED_BYTES / strip_bytes && n * p->strips < 2 * wanted)
                break;
        }
        p->span = less_of(p->span, p->blocks);
    }
    p->spans = (p->blocks - 1) / p->span + 1;
    p->chunks = cr__chunks(cost, p->strips * p->spans, p->team);
}

/* The outputs of a strip, of a line that are neighbours: as many as there is room for, and no
 * more than that all threads get some, unless blocks do that. */
static int64_t strip_width(const cr__reducer *p, int64_t line)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t blocks = p->length ? (p->length - 1) / CR__BLOCK + 1 : 1;
    const int64_t spans =
        less_of(blocks, SHARED_BYTES / (k->parts * k->part_size) / p->outputs + 1);
    int64_t levels = 2, parts, width;
    for (int64_t n = blocks; n > 1; n /= 2)
        levels++;
    width = ACC_BYTES / (k->parts * k->part_size * (k->lanes + levels)) / LEAST_STRIP *
            LEAST_STRIP;
    width = less_of(width, MOST_STRIP);
    parts = 2 * cr__team_size(p->team) / (p->outputs / line * spans);
    const int64_t least = p->r.make ? LEAST_MADE : LEAST_STRIP;
    if (cr__team_size(p->team) > 1 && parts > 1)
        width = less_of(width, ((line - 1) / parts / least + 1) * least);
    return less_of(line, width);
}

/* The same of lines. */
static int64_t lines_width(const cr__reducer *p, int64_t line)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t blocks = (p->length - 1) / CR__BLOCK + 1;
    const int64_t most = ACC_BYTES / (k->part_size * (k->lanes + blocks));
    const int64_t parts = cr__team_size(p->team) > 1 ? 2 * cr__team_size(p->team) : 1;
    return less_of(less_of(line, most), line > 2 ? (line - 1) / parts + 1 : line);
}

/* Whether outputs' runs lie one behind the other, for each index of the other reduced dim. */
static bool lies_in_lines(const cr__reducer *p)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int inner = p->kept.ndim - 1;
    return p->length && p->reduced.ndim == 2 && p->kept.dims[inner] > 1 && p->run > 1 &&
           p->kept.strides[inner] == p->run && (p->r.make || p->run >= LONG_RUN) &&
           k->operand == CR__REDUCES_ALONE && k->parts == 1 && lines_width(p, 2) == 2;
}

/* Strips of elements in memory. */
static void cut_strips(cr__reducer *p, int kept)
{
    const bool both = p->r.kernel.operand == CR__REDUCES_ARRAY;
    const cr__strided *x = &p->r.x, *y = both && !p->r.make ? &p->r.y : x;
    merge_dims(x, y, 0, kept, &p->kept, &p->kept_y);
    merge_dims(x, y, kept, x->ndim, &p->reduced, &p->reduced_y);
    p->outputs = numel_of(&p->kept);
    p->length = numel_of(&p->reduced);
    if (p->outputs == 0)
        return;
    const int inner = p->kept.ndim - 1, last = p->reduced.ndim - 1;
    const int64_t step = p->kept.strides[inner], step_y = p->kept_y.strides[inner];
    const int64_t line = p->kept.dims[inner];
    const bool runs = p->reduced.strides[last] == 1 && p->reduced_y.strides[last] == 1;
    p->run = p->length != 1 && runs ? p->reduced.dims[last] : 1;
    p->rows =
        p->run == p->length && inner == 0 &&
        (p->r.make ? p->length && p->length <= p->r.tile : p->length <= CR__BLOCK) &&
        ((step == p->length && step_y == step) || p->outputs == 1);
    if (p->rows)
        return;
    if (step == 1 && step_y == 1 && line > 1) {
        p->width = strip_width(p, line);
        p->row_strips = (line - 1) / p->width + 1;
        p->strips = p->outputs / line * p->row_strips;
        p->dense = p->width == line && last == 0 && p->reduced.strides[0] == line &&
                   p->reduced_y.strides[0] == line && p->r.kernel.lanes > 1 &&
                   p->r.kernel.operand != CR__REDUCES_VALUE;
    } else if (lies_in_lines(p)) {
        p->lined = true;
        p->width = lines_width(p, line);
        p->row_strips = (line - 1) / p->width + 1;
        p->strips = p->outputs / line * p->row_strips;
    } else if (!p->r.make) {
        p->gathered = p->run < LONG_RUN && p->length && p->length <= CR__BLOCK / 2;
        p->rows = p->gathered;
    }
}

int64_t cr__reducer_cut(cr__reducer *p, const cr__reduction *reduction, cr__team *team)
{
    memset(p, 0, sizeof *p);
    p->r = *reduction, p->team = team, p->width = p->spans = 1;
    cut_strips(p, p->r.kept);
    if (p->outputs == 0)
        return 0;
    p->blocks = p->length ? (p->length - 1) / CR__BLOCK + 1 : 1;
    p->strips = p->strips ? p->strips : p->outputs;
    if (p->rows)
        p->chunks = cr__chunks((double)p->outputs * (double)p->length * reducer_cost(p),
                               (p->outputs - 1) / CR__PAD + 1, team);
    else
        cut_spans(p);
    return p->chunks;
}

/* ---- endings ---- */

/* The reduction with another kernel: its results as they are. */
static cr__reducer again_with(const cr__reducer *p, cr__reduce_code code)
{
    cr__reducer one = *p;
    cr__reduce_find(code, p->r.ending.dtype, &one.r.kernel);
    one.r.ending = (cr__ending){ .code = CR__AS_IT_IS };
    return one;
}

/* One output, outside of a job (worker -1) by all threads. */
static void reduce_alone(const cr__reducer *p, int64_t output, cr__reduce_code code,
                         int worker)
{
    cr__reducer one = again_with(p, code);
    one.first = output;
    one.outputs = one.width = one.strips = one.spans = 1;
    one.rows = one.gathered = one.lined = false;
    if (worker < 0) {
        cut_spans(&one);
        cr__parallel(one.team, one.chunks, cr__reducer_chunk, &one);
        cr__reducer_finish(&one);
    } else {
        one.chunks = 1, one.span = one.blocks;
        cr__reducer_chunk(&one, 0, worker);
    }
}

/* Ends the results of outputs first .. first + n - 1, which are a strip's if there are strips.
 * What cannot be ended as it is is computed again, with its strip: another one of that may be
 * asked for in the same way. */
static void end_outputs(const cr__reducer *p, int64_t first, int64_t n, int worker)
{
    const reducer_places at = places_of(p, worker < 0 ? 0 : worker);
    cr__reduce_code again = p->r.ending.with, have = CR__REDUCE_CODES;
    const char *sums = NULL;
    for (int64_t o = first, end = first + n, pitch; o < end; o++) {
        o += cr__ending_apply(&p->r.ending, out_of(p, o), end - o, &again);
        if (o == end)
            return;
        if (p->width == 1) {
            reduce_alone(p, o, again, worker);
        } else {
            const cr__reducer strip = again_with(p, again);
            if (again != have)
                sums = reduce_strip(&strip, first, n, 0, p->blocks, &at, &pitch);
            have = again;
            memcpy(out_of(p, o), element_of(p, sums, o - first), p->r.kernel.size);
        }
        cr__ending_scaled(&p->r.ending, again, out_of(p, o));
    }
}

/* ---- chunks ---- */

/* Whole outputs, as many as lie one after the other, or can be made so at once. */
static void reduce_rows(const cr__reducer *p, int64_t begin, int64_t end, int worker)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const reducer_places at = places_of(p, worker);
    const int64_t many = p->r.make     ? p->r.tile / p->length
                         : p->gathered ? CR__BLOCK / p->length
                                       : end - begin;
    for (int64_t o = begin, n; o < end; o += n) {
        const void *x, *y = NULL;
        n = less_of(many, end - o);
        const int64_t start = o * p->length, count = n * p->length;
        if (k->operand == CR__REDUCES_VALUE)
            y = value_at(p, o);
        else if (k->operand == CR__REDUCES_ARRAY && !p->r.make)
            y = p->gathered
                    ? gathered(&p->r.y, p->r.y.data, k->size, start, count, at.gather_y)
                    : element_of(p, p->r.y.data, cr__offset_of(&p->kept_y, o));
        x = p->r.make ? p->r.make(p->r.arg, start, count, at.made, &y)
            : p->gathered
                ? gathered(&p->r.x, p->r.x.data, k->size, start, count, at.gather)
                : element_of(p, p->r.x.data, cr__offset_of(&p->kept, o));
        k->rows(k, out_of(p, o), x, y, n, p->length);
        end_outputs(p, o, n, worker);
    }
}

void cr__reducer_chunk(void *arg, int64_t chunk, int worker)
{
    const cr__reducer *p = arg;
    int64_t begin, end;
    if (p->rows) {
        cr__part(p->outputs, CR__PAD, chunk, p->chunks, &begin, &end);
        reduce_rows(p, begin, end, worker);
        return;
    }
    const reducer_places at = places_of(p, worker);
    char *shared = places_of(p, 0).shared;
    cr__part(p->strips * p->spans, 1, chunk, p->chunks, &begin, &end);
    int64_t width;
    for (int64_t task = begin; task < end; task++) {
        const int64_t first = strip_at(p, task / p->spans, &width);
        const int64_t block = task % p->spans * p->span;
        int64_t pitch;
        char *result = reduce_strip(p, first, width, block,
                                    less_of(block + p->span, p->blocks), &at, &pitch);
        if (p->spans > 1) {
            copy_slot(p, shared + task * slot_bytes(p), result, pitch, width);
            continue;
        }
        cr__reduce_end(&p->r.kernel, result, pitch, out_of(p, first), width, p->length);
        end_outputs(p, first, width, worker);
    }
}

/* Joins the spans of a strip. */
static void join_spans(const cr__reducer *p, int64_t strip, char *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t slot = slot_bytes(p);
    int64_t width, first = strip_at(p, strip, &width);
    for (int64_t n = p->spans; n > 1; n = (n + 1) / 2) {
        for (int64_t i = 0; i + 1 < n; i += 2)
            k->join(k, at + i * slot, at + i * slot, at + (i + 1) * slot, width,
                    p->width);
        for (int64_t i = 1; i < (n + 1) / 2; i++)
            memcpy(at + i * slot, at + 2 * i * slot, (size_t)slot);
    }
    cr__reduce_end(k, at, p->width, out_of(p, first), width, p->length);
    end_outputs(p, first, width, -1);
}

void cr__reducer_finish(cr__reducer *p)
{
    if (p->spans == 1)
        return;
    char *shared = places_of(p, 0).shared;
    for (int64_t strip = 0; strip < p->strips; strip++)
        join_spans(p, strip, shared + strip * p->spans * slot_bytes(p));
}

void cr__reduce(const cr__reduction *reduction, cr__team *team)
{
    cr__reducer reducer;
    const int64_t chunks = cr__reducer_cut(&reducer, reduction, team);
    if (chunks == 0)
        return;
    cr__parallel(team, chunks, cr__reducer_chunk, &reducer);
    cr__reducer_finish(&reducer);
}
