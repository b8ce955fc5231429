/* Reductions cut into chunks, and chunks into blocks, lines of lanes and tiles, in the order of
 * sums that kernel.h defines. Strips of up to CR__STRIP neighbouring outputs are each cut into
 * spans of blocks if there are fewer strips than the threads want. A span is a power of two of
 * blocks, so that its result is a node of the strip's tree, and the spans' results are joined in
 * the same tree. */
#include "reducer.h"

#include <string.h>

/* The reducer's part of a worker's scratch memory. */
#define ACC_BYTES    (CR__LANES * CR__STRIP * CR__ACCUMULATOR)
#define LEVELS       56 /* of a tree of blocks */
#define STACK_BYTES  (LEVELS * CR__STRIP * CR__ACCUMULATOR)
#define GATHER_BYTES (CR__BLOCK * 8)
#define SHARED_BYTES (32 << 10) /* of worker 0: the spans' results, [strip][span] */
_Static_assert(ACC_BYTES + STACK_BYTES + 2 * GATHER_BYTES + SHARED_BYTES <=
                   CR__REDUCER_SCRATCH,
               "scratch memory");

typedef struct reducer_places {
    char *made, *acc, *stack, *gather, *gather_y, *shared;
} reducer_places;

static reducer_places places_of(const cr__reducer *p, int worker)
{
    reducer_places at = { .made = cr__team_scratch(p->team, worker) };
    at.acc = at.made + CR__SCRATCH_BYTES - CR__REDUCER_SCRATCH;
    at.stack = at.acc + ACC_BYTES;
    at.gather = at.stack + STACK_BYTES;
    at.gather_y = at.gather + GATHER_BYTES;
    at.shared = at.gather_y + GATHER_BYTES;
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

static char *element_of(const cr__reducer *p, const cr__strided *x, const void *data,
                        int64_t i)
{
    return (char *)(uintptr_t)data + cr__offset_of(x, i) * p->r.kernel.size;
}

/* Output o's operands: the elements' first ones, or the value. */
static const void *x_of(const cr__reducer *p, int64_t o)
{
    return element_of(p, &p->kept, p->kept.data, o);
}

static const void *y_of(const cr__reducer *p, int64_t o)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    return k->operand == CR__REDUCES_VALUE ? (const char *)p->r.values + o * k->size
           : k->operand == CR__REDUCES_ARRAY
               ? element_of(p, &p->kept_y, p->kept_y.data, o)
               : NULL;
}

static char *out_of(const cr__reducer *p, int64_t o)
{
    return (char *)p->r.out + o * p->r.kernel.out_size;
}

/* ---- a block ---- */

static void add_made(const cr__reducer *p, int64_t output, int64_t from, int64_t to,
                     const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    for (int64_t i = from, n; i < to; i += n) {
        const void *y = NULL;
        n = less_of(p->r.tile, to - i);
        const void *x = p->r.make(p->r.arg, output * p->length + i, n, at->made, &y);
        k->add(k, at->acc, x, k->operand == CR__REDUCES_VALUE ? y_of(p, output) : y, i,
               n);
    }
}

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

static void add_stored(const cr__reducer *p, int64_t output, int64_t from, int64_t to,
                       const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const bool both = k->operand == CR__REDUCES_ARRAY;
    const void *x = x_of(p, output), *y = y_of(p, output);
    if (p->run < LONG_RUN && p->run < p->length && p->run % CR__LANES) {
        x = gathered(&p->reduced, x, k->size, from, to - from, at->gather);
        if (both)
            y = gathered(&p->reduced_y, y, k->size, from, to - from, at->gather_y);
        k->add(k, at->acc, x, y, from, to - from);
        return;
    }
    for (int64_t i = from, n; i < to; i += n) {
        n = less_of(p->run - i % p->run, to - i);
        k->add(k, at->acc, element_of(p, &p->reduced, x, i),
               both ? element_of(p, &p->reduced_y, y, i) : y, i, n);
    }
}

/* `width` neighbouring outputs: line by line of the innermost reduced dim. */
static void add_columns(const cr__reducer *p, int64_t output, int64_t width, int64_t from,
                        int64_t to, const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const bool both = k->operand == CR__REDUCES_ARRAY;
    const void *x = x_of(p, output), *y = y_of(p, output);
    const int last = p->reduced.ndim - 1;
    for (int64_t i = from, n; i < to; i += n) {
        n = less_of(p->reduced.dims[last] - i % p->reduced.dims[last], to - i);
        k->columns(k, at->acc, element_of(p, &p->reduced, x, i), p->reduced.strides[last],
                   both ? element_of(p, &p->reduced_y, y, i) : y,
                   both ? p->reduced_y.strides[last] : 0, width, i, n);
    }
}

/* The block of `width` outputs: what it comes to lies in at->acc, of the pitch that is
 * returned. */
static int64_t reduce_block(const cr__reducer *p, int64_t output, int64_t width,
                            int64_t block, const reducer_places *at)
{
    const cr__reduce_kernel *k = &p->r.kernel;
    const int64_t from = block * CR__BLOCK, end = less_of(from + CR__BLOCK, p->length);
    if (p->width > 1) {
        const int64_t pitch = (int64_t)k->lanes * CR__STRIP;
        cr__reduce_begin_columns(k, at->acc, width);
        add_columns(p, output, width, from, end, at);
        cr__reduce_fold_columns(k, at->acc, width);
        return pitch;
    }
    cr__reduce_begin(k, at->acc, k->lanes);
    if (p->r.make)
        add_made(p, output, from, end, at);
    else
        add_stored(p, output, from, end, at);
    cr__reduce_fold(k, at->acc);
    return k->lanes;
}

/* ---- the tree of blocks ---- */

/* Bytes of what a strip comes to. */
static int64_t slot_bytes(const cr__reducer *p)
{
    return p->r.kernel.parts * p->width * p->r.kernel.part_size;
}

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
    if (wanted > p->strips && p->strips < 4 * cr__team_size(p->team)) {
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

/* Strips of elements in memory. */
static void cut_strips(cr__reducer *p, int kept)
{
    const bool both = p->r.kernel.operand == CR__REDUCES_ARRAY;
    const cr__strided *x = &p->r.x, *y = both ? &p->r.y : x;
    merge_dims(x, y, 0, kept, &p->kept, &p->kept_y);
    merge_dims(x, y, kept, x->ndim, &p->reduced, &p->reduced_y);
    p->outputs = numel_of(&p->kept);
    p->length = numel_of(&p->reduced);

    const int inner = p->kept.ndim - 1, last = p->reduced.ndim - 1;
    const int64_t step = p->kept.strides[inner], step_y = p->kept_y.strides[inner];
    const int64_t line = p->kept.dims[inner];
    const bool runs = p->reduced.strides[last] == 1 && p->reduced_y.strides[last] == 1;
    p->run = p->length != 1 && runs ? p->reduced.dims[last] : 1;
    p->rows = p->run == p->length && p->length <= CR__BLOCK && inner == 0 &&
              ((step == p->length && step_y == step) || p->outputs == 1);
    if (p->rows)
        return;
    if (step == 1 && step_y == 1 && line > 1) {
        p->width = less_of(line, CR__STRIP);
        p->row_strips = (line - 1) / p->width + 1;
        p->strips = p->outputs / line * p->row_strips;
    } else {
        p->gathered = p->run < LONG_RUN && p->length && p->length <= CR__BLOCK / 2;
        p->rows = p->gathered;
    }
}

int64_t cr__reducer_cut(cr__reducer *p, const cr__reduction *reduction, cr__team *team)
{
    *p = (cr__reducer){ .r = *reduction, .team = team, .width = 1, .spans = 1 };
    if (p->r.make) {
        p->outputs = p->r.outputs;
        p->length = p->r.length;
        p->rows = p->length && p->length <= p->r.tile;
    } else {
        cut_strips(p, p->r.kept);
    }
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

/* The reduction of one output with another kernel: its result as it is. */
static cr__reducer alone(const cr__reducer *p, int64_t output, cr__reduce_code code)
{
    cr__reducer one = *p;
    cr__reduce_find(code, p->r.ending.dtype, &one.r.kernel);
    one.r.ending = (cr__ending){ .code = CR__AS_IT_IS };
    one.first = output;
    one.outputs = one.width = one.strips = one.spans = 1;
    one.rows = one.gathered = false;
    return one;
}

/* Ends the results of outputs first .. first + n - 1; what cannot be ended as it is gets
 * computed again, alone: by this worker, or, outside of a job (worker -1), by all. */
static void end_outputs(const cr__reducer *p, int64_t first, int64_t n, int worker)
{
    cr__reduce_code again = p->r.ending.with;
    for (int64_t o = first, end = first + n; o < end; o++) {
        o += cr__ending_apply(&p->r.ending, out_of(p, o), end - o, &again);
        if (o == end)
            return;
        cr__reducer one = alone(p, o, again);
        if (worker < 0) {
            cut_spans(&one);
            cr__parallel(one.team, one.chunks, cr__reducer_chunk, &one);
            cr__reducer_finish(&one);
        } else {
            one.chunks = one.spans = 1, one.span = one.blocks;
            cr__reducer_chunk(&one, 0, worker);
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
        if (k->operand == CR__REDUCES_VALUE || (!p->r.make && !p->gathered))
            y = y_of(p, o);
        else if (p->gathered && k->operand == CR__REDUCES_ARRAY)
            y = gathered(&p->r.y, p->r.y.data, k->size, start, count, at.gather_y);
        x = p->r.make ? p->r.make(p->r.arg, start, count, at.made, &y)
            : p->gathered
                ? gathered(&p->r.x, p->r.x.data, k->size, start, count, at.gather)
                : x_of(p, o);
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
    int64_t width, from = 0, to = 0; /* outputs that are done */
    for (int64_t task = begin; task < end; task++) {
        const int64_t first = strip_at(p, task / p->spans, &width);
        const int64_t block = task % p->spans * p->span;
        int64_t pitch;
        char *result = reduce_span(p, first, width, block,
                                   less_of(block + p->span, p->blocks), &at, &pitch);
        if (p->spans > 1) {
            copy_slot(p, shared + task * slot_bytes(p), result, pitch, width);
            continue;
        }
        cr__reduce_end(&p->r.kernel, result, pitch, out_of(p, first), width, p->length);
        from = task == begin ? first : from;
        to = first + width;
    }
    end_outputs(p, from, to - from, worker);
}

void cr__reducer_finish(cr__reducer *p)
{
    if (p->spans == 1)
        return;
    char *shared = places_of(p, 0).shared;
    for (int64_t strip = 0; strip < p->strips; strip++)
        join_spans(p, strip, shared + strip * p->spans * slot_bytes(p));
    end_outputs(p, p->first, p->outputs, -1);
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
