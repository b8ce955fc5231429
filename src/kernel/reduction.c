/* Reductions in the order of sums that kernel.h defines, whatever the strides, the
 * threads and the instruction set. The kernels are instances of reduce_body.h (floats)
 * and the plain loops below (integers, for which every order gives the same); the rest of
 * the file cuts a reduction into tasks and finds its blocks. */
#include "rows.h"
#include <math.h>
#include <string.h>

/* Columns are reduced up to so many at a time: lanes of this many elements, 16 KiB in
 * f32. */
#define COLUMNS 128
/* Strips lie a whole row apart, where the processor does not prefetch: so many rows
 * ahead. */
#define AHEAD 8

/* A kernel with its forms over `width` neighbouring outputs at once: acc holds CR__LANES
 * rows of COLUMNS elements. */
typedef struct reduction {
    cr__reduce_kernel blocks; /* first: what callers hold points here */
    void (*columns_begin)(void *acc, int64_t width);
    /* Element r is at x + r*stride and goes to lane (lane + r) mod CR__LANES. */
    void (*columns)(void *acc, const void *x, int64_t stride, int64_t width, int lane,
                    int64_t count);
    void (*columns_end)(void *acc, void *out, int64_t width);
    void (*columns_join)(void *out, const void *x, const void *y, int64_t width);
} reduction;
typedef const reduction *const of_types[CR_DTYPES];

/* The kernel made of the functions NAME(name_begin), NAME(name_add), .. */
#define KERNEL_OF(NAME, name, OUT)                                                      \
    {                                                                                   \
        { sizeof(OUT),      NAME(name##_begin), NAME(name##_add),                       \
          NAME(name##_end), NAME(name##_join),  NAME(name##_rows) },                    \
            NAME(name##_columns_begin), NAME(name##_columns), NAME(name##_columns_end), \
            NAME(name##_columns_join)                                                   \
    }

/* ---- integers ---- */

/* Every order gives the same, so that everything is gathered in lane 0. */
#define LOOPS(NAME, name, T, OUT, IDENTITY, OP)                                        \
    static void NAME(name##_begin)(void *lanes)                                        \
    {                                                                                  \
        for (int i = 0; i < CR__LANES; i++)                                            \
            ((OUT *)lanes)[i] = IDENTITY;                                              \
    }                                                                                  \
    static void NAME(name##_add)(void *lanes, const void *x, int64_t n)                \
    {                                                                                  \
        OUT a = *(OUT *)lanes;                                                         \
        for (int64_t i = 0; i < n; i++) {                                              \
            OUT b = ((const T *)x)[i];                                                 \
            a = (OUT)(OP);                                                             \
        }                                                                              \
        *(OUT *)lanes = a;                                                             \
    }                                                                                  \
    static void NAME(name##_end)(const void *lanes, void *out)                         \
    {                                                                                  \
        *(OUT *)out = *(const OUT *)lanes;                                             \
    }                                                                                  \
    static void NAME(name##_join)(void *out, const void *x, const void *y)             \
    {                                                                                  \
        OUT a = *(const OUT *)x, b = *(const OUT *)y;                                  \
        *(OUT *)out = (OUT)(OP);                                                       \
    }                                                                                  \
    static void NAME(name##_rows)(void *out, const void *x, int64_t rows, int64_t len) \
    {                                                                                  \
        for (int64_t r = 0; r < rows; r++) {                                           \
            ((OUT *)out)[r] = IDENTITY;                                                \
            NAME(name##_add)((OUT *)out + r, (const T *)x + r * len, len);             \
        }                                                                              \
    }                                                                                  \
    static void NAME(name##_columns_begin)(void *acc, int64_t width)                   \
    {                                                                                  \
        for (int64_t c = 0; c < width; c++)                                            \
            ((OUT *)acc)[c] = IDENTITY;                                                \
    }                                                                                  \
    static void NAME(name##_columns)(void *acc, const void *x, int64_t stride,         \
                                     int64_t width, int lane, int64_t count)           \
    {                                                                                  \
        (void)lane;                                                                    \
        for (int64_t r = 0; r < count; r++)                                            \
            for (int64_t c = 0; c < width; c++) {                                      \
                OUT a = ((OUT *)acc)[c], b = ((const T *)x)[r * stride + c];           \
                ((OUT *)acc)[c] = (OUT)(OP);                                           \
            }                                                                          \
    }                                                                                  \
    static void NAME(name##_columns_end)(void *acc, void *out, int64_t width)          \
    {                                                                                  \
        memcpy(out, acc, (size_t)width * sizeof(OUT));                                 \
    }                                                                                  \
    static void NAME(name##_columns_join)(void *out, const void *x, const void *y,     \
                                          int64_t width)                               \
    {                                                                                  \
        for (int64_t c = 0; c < width; c++)                                            \
            NAME(name##_join)((OUT *)out + c, (const OUT *)x + c, (const OUT *)y + c); \
    }                                                                                  \
    static const reduction NAME(name##_kernel) = KERNEL_OF(NAME, name, OUT);

/* As the unsigned number in which arithmetic wraps. */
/* clang-format off */
#define U(a) _Generic((a), int64_t: (uint64_t)(a), default: (uint32_t)(a))
/* clang-format on */
#define IS_NAN(a) false

#define WIDE_LOOPS(NAME, name, T, ...) LOOPS(NAME, name, T, int64_t, __VA_ARGS__)
#define SAME_LOOPS(NAME, name, T, ...) LOOPS(NAME, name, T, T, __VA_ARGS__)
#define FLOATS_LOOPS(...)
#define I64(name) i64_##name
#define LEAST     INT64_MIN
#define MOST      INT64_MAX
#define REDUCTION(name, RESULT, identity, term, vectors, numel_of) \
    RESULT##_LOOPS(I64, name, int64_t, identity, numel_of)
#include "reductions.inc"
#undef LEAST
#undef MOST

#define I32(name) i32_##name
#define LEAST     INT32_MIN
#define MOST      INT32_MAX
#define REDUCTION(name, RESULT, identity, term, vectors, numel_of) \
    RESULT##_LOOPS(I32, name, int32_t, identity, numel_of)
#include "reductions.inc"
#undef LEAST
#undef MOST

#define U8(name) u8_##name
#define LEAST    0
#define MOST     UINT8_MAX
#define REDUCTION(name, RESULT, identity, term, vectors, numel_of) \
    RESULT##_LOOPS(U8, name, uint8_t, identity, numel_of)
#include "reductions.inc"
#undef MOST

#define BOOL(name) bool_##name
#define MOST       1
#define REDUCTION(name, RESULT, identity, term, vectors, numel_of) \
    RESULT##_LOOPS(BOOL, name, uint8_t, identity, numel_of)
#include "reductions.inc"
#undef LEAST
#undef MOST
#undef U
#undef IS_NAN

/* ---- floats ---- */

#define CR__TEMPLATE "reduce_floats.h"
#include "for_each_set.h"

/* ---- finding one ---- */

const char *const cr__reduce_names[CR__REDUCE_CODES] = {
#define REDUCTION(name, ...) #name,
#include "reductions.inc"
};

#define REDUCTIONS(SET) reductions##SET
static const of_types *const reduction_sets[CR__ISAS] = { CR__EACH_SET(REDUCTIONS) };

const cr__reduce_kernel *cr__reduce_find_for(cr__isa isa, cr__reduce_code code,
                                             cr_dtype in)
{
    if (code >= CR__REDUCE_CODES || in >= CR_DTYPES)
        return NULL;
    const reduction *found = reduction_sets[isa] ? reduction_sets[isa][code][in] : NULL;
    return found ? &found->blocks : NULL;
}

const cr__reduce_kernel *cr__reduce_find(cr__reduce_code code, cr_dtype in)
{
    return cr__reduce_find_for(cr__isa_in_use(), code, in);
}

cr__join_fn *cr__reduce_joins(const cr__reduce_kernel *kernel)
{
    return ((const reduction *)kernel)->columns_join;
}

void cr__reduce_tree(const cr__reduce_kernel *kernel, void *partials, int64_t n)
{
    char *p = partials;
    size_t size = kernel->out_size;
    while (n > 1) {
        for (int64_t i = 0; i + 1 < n; i += 2)
            kernel->join(p + (size_t)(i / 2) * size, p + (size_t)i * size,
                         p + (size_t)(i + 1) * size);
        if (n & 1)
            memmove(p + (size_t)(n / 2) * size, p + (size_t)(n - 1) * size, size);
        n = (n + 1) / 2;
    }
}

/* ---- a whole reduction ---- */

/* The work: strips of up to COLUMNS neighbouring outputs, each cut into spans of blocks
 * if there are fewer strips than threads. A span is a power of two of blocks, so its
 * result is a node of the strip's tree, and the spans' results are joined in the same
 * tree. */
typedef struct reduce_plan {
    const reduction *kernel;
    size_t in_size, out_size;
    cr__strided kept, reduced; /* x's dims, merged; data is x's in both */
    char *out;
    int64_t outputs, length, blocks;
    int64_t width; /* outputs in a strip; more than 1 only if they are neighbours in x */
    int64_t row_strips; /* strips in one line of the innermost kept dim */
    int64_t strips, span, spans;
    int64_t run;  /* elements of the reduced dims that lie one after the other */
    bool rows;    /* all of x in order: kernel.rows takes it as it is */
    char *shared; /* the spans' results: [strip][span][width] */
    cr__team *team;
    int parts;
} reduce_plan;

/* A worker's scratch memory. */
#define ACC_BYTES    (CR__LANES * COLUMNS * 8)
#define STACK_BYTES  (64 * COLUMNS * 8)
#define GATHER_BYTES (CR__BLOCK * 8)
#define SHARED_BYTES (32 << 10)
#define SHARED_AT    (ACC_BYTES + STACK_BYTES + GATHER_BYTES)
_Static_assert(SHARED_AT + SHARED_BYTES <= 256 << 10, "scratch memory");

/* dims [from, to) of x without those of size 1, neighbours merged where one stride spans
 * both. */
static cr__strided merged_dims(const cr__strided *x, int from, int to)
{
    cr__strided m = { .data = x->data };
    for (int d = from; d < to; d++) {
        if (x->dims[d] == 1)
            continue;
        if (m.ndim && m.strides[m.ndim - 1] == x->strides[d] * x->dims[d]) {
            m.dims[m.ndim - 1] *= x->dims[d];
            m.strides[m.ndim - 1] = x->strides[d];
        } else {
            m.dims[m.ndim] = x->dims[d];
            m.strides[m.ndim++] = x->strides[d];
        }
    }
    if (m.ndim == 0)
        m.dims[0] = 1, m.strides[0] = 1, m.ndim = 1;
    return m;
}

static int64_t numel_of(const cr__strided *x)
{
    int64_t n = 1;
    for (int d = 0; d < x->ndim; d++)
        n *= x->dims[d];
    return n;
}

/* Where element i of x in row-major order lies. */
static int64_t offset_of(const cr__strided *x, int64_t i)
{
    int64_t offset = 0;
    for (int d = x->ndim - 1; d > 0; d--) {
        offset += i % x->dims[d] * x->strides[d];
        i /= x->dims[d];
    }
    return offset + i * x->strides[0];
}

/* One block of one output. */
static void row_block(const reduce_plan *p, char *data, int64_t block, char *scratch,
                      char *out)
{
    const cr__reduce_kernel *k = &p->kernel->blocks;
    int64_t start = block * CR__BLOCK, n = p->length - start;
    char *lanes = scratch, *gather = scratch + ACC_BYTES + STACK_BYTES;
    n = n < CR__BLOCK ? n : CR__BLOCK;
    k->begin(lanes);
    if (p->run == p->length) {
        k->add(lanes, data + start * (int64_t)p->in_size, n);
    } else if (p->run % CR__LANES == 0) {
        for (int64_t at = start, end = start + n, piece; at < end; at += piece) {
            piece = p->run - at % p->run;
            piece = piece < end - at ? piece : end - at;
            k->add(lanes, data + offset_of(&p->reduced, at) * (int64_t)p->in_size, piece);
        }
    } else {
        cr__strided x = p->reduced;
        x.data = data;
        cr__copy_range(gather, &x, p->in_size, start, n);
        k->add(lanes, gather, n);
    }
    k->end(lanes, out);
}

/* One block of `width` neighbouring outputs: line by line of the innermost reduced dim.
 */
static void column_block(const reduce_plan *p, char *data, int64_t width, int64_t block,
                         char *acc, char *out)
{
    const cr__strided *x = &p->reduced;
    int last = x->ndim - 1;
    int64_t at = block * CR__BLOCK, end = at + CR__BLOCK;
    end = end < p->length ? end : p->length;
    p->kernel->columns_begin(acc, width);
    for (int64_t n; at < end; at += n) {
        n = x->dims[last] - at % x->dims[last];
        n = n < end - at ? n : end - at;
        p->kernel->columns(acc, data + offset_of(x, at) * (int64_t)p->in_size,
                           x->strides[last], width, (int)(at % CR__LANES), n);
    }
    p->kernel->columns_end(acc, out, width);
}

/* Blocks [begin, end) of a strip. Results wait on a stack: after `done` blocks it holds a
 * subtree for each bit of done, the largest first, which is how a tree of neighbours
 * grows. What is left at the end is joined from the smallest up: the odd ones that were
 * carried. */
static void reduce_span(const reduce_plan *p, char *data, int64_t width, int64_t begin,
                        int64_t end, char *scratch, char *out)
{
    char *stack = scratch + ACC_BYTES;
    int64_t pitch = COLUMNS * 8;
    int depth = 0;
    for (int64_t b = begin; b < end; b++) {
        char *top = stack + depth * pitch;
        if (p->width > 1)
            column_block(p, data, width, b, scratch, top);
        else
            row_block(p, data, b, scratch, top);
        depth++;
        for (int64_t done = b - begin + 1; (done & 1) == 0; done >>= 1, depth--) {
            top = stack + (depth - 1) * pitch;
            p->kernel->columns_join(top - pitch, top - pitch, top, width);
        }
    }
    for (; depth > 1; depth--) {
        char *top = stack + (depth - 1) * pitch;
        p->kernel->columns_join(top - pitch, top - pitch, top, width);
    }
    memcpy(out, stack, (size_t)width * p->out_size);
}

/* The first output of a strip, and how many it has. */
static int64_t strip_at(const reduce_plan *p, int64_t strip, int64_t *width)
{
    int64_t line = p->kept.dims[p->kept.ndim - 1];
    int64_t column = strip % p->row_strips * p->width;
    *width = line - column < p->width ? line - column : p->width;
    return strip / p->row_strips * line + column;
}

static void reduce_part(void *arg, int64_t part, int worker)
{
    const reduce_plan *p = arg;
    char *scratch = cr__team_scratch(p->team, worker);
    int64_t begin, end, size = (int64_t)p->in_size, out_size = (int64_t)p->out_size;
    if (p->rows) {
        cr__part(p->outputs, 16, part, p->parts, &begin, &end);
        if (begin < end)
            p->kernel->blocks.rows(p->out + begin * out_size,
                                   (char *)p->kept.data + begin * p->length * size,
                                   end - begin, p->length);
        return;
    }
    cr__part(p->strips * p->spans, 1, part, p->parts, &begin, &end);
    for (int64_t task = begin; task < end; task++) {
        int64_t width, first = strip_at(p, task / p->spans, &width);
        int64_t block = task % p->spans * p->span, stop = block + p->span;
        char *data = (char *)p->kept.data + offset_of(&p->kept, first) * size;
        char *out = p->spans == 1 ? p->out + first * out_size
                                  : p->shared + task * p->width * out_size;
        reduce_span(p, data, width, block, stop < p->blocks ? stop : p->blocks, scratch,
                    out);
    }
}

/* Joins the spans of every strip. */
static void join_spans(const reduce_plan *p)
{
    int64_t pitch = p->width * (int64_t)p->out_size;
    for (int64_t strip = 0; strip < p->strips; strip++) {
        char *at = p->shared + strip * p->spans * pitch;
        int64_t width, first = strip_at(p, strip, &width);
        for (int64_t n = p->spans; n > 1; n = (n + 1) / 2) {
            for (int64_t i = 0; i + 1 < n; i += 2)
                p->kernel->columns_join(at + i / 2 * pitch, at + i * pitch,
                                        at + (i + 1) * pitch, width);
            if (n & 1)
                memmove(at + n / 2 * pitch, at + (n - 1) * pitch, (size_t)pitch);
        }
        memcpy(p->out + first * (int64_t)p->out_size, at, (size_t)width * p->out_size);
    }
}

static void plan_strips(reduce_plan *p)
{
    const cr__strided *kept = &p->kept, *reduced = &p->reduced;
    int inner = kept->ndim - 1, last = reduced->ndim - 1;
    p->run = reduced->strides[last] == 1 ? reduced->dims[last] : 1;
    if (p->length == 1)
        p->run = 1;
    p->rows = p->run == p->length && p->length <= CR__BLOCK && kept->ndim == 1 &&
              (kept->strides[0] == p->length || p->outputs == 1);
    p->width = 1;
    if (!p->rows && kept->strides[inner] == 1 && kept->dims[inner] > 1)
        p->width = kept->dims[inner] < COLUMNS ? kept->dims[inner] : COLUMNS;
    p->row_strips = (kept->dims[inner] + p->width - 1) / p->width;
    p->strips = p->outputs / kept->dims[inner] * p->row_strips;
    p->span = p->blocks, p->spans = 1;
}

/* Below, waking a thread costs more than it saves. */
#define PARALLEL_ELEMENTS (256 << 10)

static void plan_threads(reduce_plan *p)
{
    int team = cr__team_size(p->team);
    p->parts = p->outputs * p->length < PARALLEL_ELEMENTS ? 1 : team;
    if (p->parts == 1 || p->rows || p->strips >= 4 * team)
        return;
    int64_t most = SHARED_BYTES / (p->strips * p->width * (int64_t)p->out_size);
    int64_t span = 1;
    while ((p->blocks + span - 1) / span > most || p->blocks / span > 8 * team)
        if ((span *= 2) >= p->blocks)
            return;
    p->span = span;
    p->spans = (p->blocks + span - 1) / span;
}

static size_t size_of(cr_dtype dtype)
{
    return dtype == CR_F64 || dtype == CR_I64   ? 8
           : dtype == CR_F32 || dtype == CR_I32 ? 4
                                                : 1;
}

/* What cannot be ended as it is gets computed again, alone. */
static void end_outputs(const cr__reduce_job *job, const reduce_plan *p, cr__team *team)
{
    cr__reduce_code again = job->ending.with;
    for (int64_t o = 0; o < p->outputs; o++) {
        char *out = p->out + o * (int64_t)p->out_size;
        o += cr__ending_apply(&job->ending, out, p->outputs - o, &again);
        if (o == p->outputs)
            return;
        cr__reduce_job one = {
            .kernel = cr__reduce_find(again, job->dtype),
            .dtype = job->dtype,
            .x = p->reduced,
            .out = p->out + o * (int64_t)p->out_size,
        };
        one.x.data = (char *)p->kept.data + offset_of(&p->kept, o) * (int64_t)p->in_size;
        cr__reduce(&one, team);
        cr__ending_scaled(&job->ending, again, one.out);
    }
}

void cr__reduce(const cr__reduce_job *job, cr__team *team)
{
    reduce_plan p = { .kernel = (const reduction *)job->kernel,
                      .in_size = size_of(job->dtype),
                      .out_size = job->kernel->out_size,
                      .kept = merged_dims(&job->x, 0, job->kept),
                      .reduced = merged_dims(&job->x, job->kept, job->x.ndim),
                      .out = job->out,
                      .team = team };
    p.outputs = numel_of(&p.kept);
    p.length = numel_of(&p.reduced);
    p.blocks = (p.length + CR__BLOCK - 1) / CR__BLOCK;
    if (p.outputs == 0)
        return;
    if (p.length == 0) {
        p.kernel->blocks.rows(p.out, p.kept.data, p.outputs, 0);
    } else {
        plan_strips(&p);
        p.shared = (char *)cr__team_scratch(team, 0) + SHARED_AT;
        plan_threads(&p);
        cr__parallel(team, p.parts, reduce_part, &p);
        if (p.spans > 1)
            join_spans(&p);
    }
    if (job->ending.code)
        end_outputs(job, &p, team);
}

/* ---- the place of the largest ---- */

typedef struct place_job {
    cr__strided kept, reduced;
    cr_dtype dtype;
    bool least;
    int64_t *out, outputs, length;
    cr__team *team;
    int parts;
} place_job;

/* Looks at x[0..n), of which x[0] is element `start`; *best is the largest so far, *at
 * its place or -1. A NaN ends the search: it returns true. */
#define PLACE(P, T)                                                               \
    static bool P##_place(const void *data, int64_t n, int64_t start, bool least, \
                          void *best, int64_t *at)                                \
    {                                                                             \
        const T *x = data;                                                        \
        T b;                                                                      \
        memcpy(&b, best, sizeof b);                                               \
        for (int64_t i = 0; i < n; i++) {                                         \
            bool nan = x[i] != x[i];                                              \
            if (*at < 0 || nan || (least ? x[i] < b : x[i] > b)) {                \
                b = x[i];                                                         \
                *at = start + i;                                                  \
                if (nan)                                                          \
                    return true;                                                  \
            }                                                                     \
        }                                                                         \
        memcpy(best, &b, sizeof b);                                               \
        return false;                                                             \
    }
PLACE(f32, float)
PLACE(f64, double)
PLACE(i64, int64_t)
PLACE(i32, int32_t)
PLACE(u8, uint8_t)

typedef bool place_fn(const void *, int64_t, int64_t, bool, void *, int64_t *);
static place_fn *const places[CR_DTYPES] = {
    [CR_F32] = f32_place, [CR_F64] = f64_place, [CR_I64] = i64_place,
    [CR_I32] = i32_place, [CR_U8] = u8_place,   [CR_BOOL] = u8_place,
};

static void place_part(void *arg, int64_t part, int worker)
{
    const place_job *job = arg;
    char *gather = cr__team_scratch(job->team, worker);
    size_t size = size_of(job->dtype);
    cr__strided x = job->reduced;
    int64_t begin, end;
    cr__part(job->outputs, 8, part, job->parts, &begin, &end);
    for (int64_t o = begin; o < end; o++) {
        int64_t at = -1, best = 0;
        x.data = (char *)job->kept.data + offset_of(&job->kept, o) * (int64_t)size;
        for (int64_t start = 0; start < job->length; start += CR__BLOCK) {
            int64_t n = job->length - start < CR__BLOCK ? job->length - start : CR__BLOCK;
            const char *from = gather;
            if (x.ndim == 1 && x.strides[0] == 1)
                from = (char *)x.data + start * (int64_t)size;
            else
                cr__copy_range(gather, &x, size, start, n);
            if (places[job->dtype](from, n, start, job->least, &best, &at))
                break;
        }
        job->out[o] = at;
    }
}

void cr__reduce_place(const cr__strided *x, cr_dtype dtype, int kept, bool least,
                      int64_t *out, cr__team *team)
{
    place_job job = { merged_dims(x, 0, kept),
                      merged_dims(x, kept, x->ndim),
                      dtype,
                      least,
                      out,
                      0,
                      0,
                      team,
                      1 };
    job.outputs = numel_of(&job.kept);
    job.length = numel_of(&job.reduced);
    if (job.outputs * job.length >= PARALLEL_ELEMENTS)
        job.parts = cr__team_size(team);
    cr__parallel(team, job.parts, place_part, &job);
}

/* ---- the mean of integers ---- */

typedef struct mean_job {
    cr__strided kept, reduced;
    cr_dtype dtype;
    float *out;
    int64_t outputs, length;
    cr__team *team;
    int parts;
} mean_job;

/* The next bits of the quotient rest / n, whose rest is below n; `more` of them are those
 * of a dividend that goes on, the rest zeros. */
static uint64_t divide_on(uint64_t *rest, uint64_t n, int bits, uint32_t more)
{
    uint64_t quotient = 0;
    for (int i = 0; i < bits; i++, more <<= 1) {
        *rest = 2 * *rest + (more >> 31);
        quotient = 2 * quotient + (*rest >= n);
        *rest -= *rest >= n ? n : 0;
    }
    return quotient;
}

/* (high 2^32 + low) / n, correctly rounded, for low < 2^32: the quotient is rounded down,
 * with more bits than an f32 has, and its last bit tells whether there is a rest. */
static float rounded_quotient(int64_t high, uint32_t low, int64_t n)
{
    int64_t whole = high / n, rest = high % n;
    whole -= rest < 0;
    uint64_t left = (uint64_t)(rest < 0 ? rest + n : rest);
    whole = (int64_t)((uint64_t)whole << 32 | divide_on(&left, (uint64_t)n, 32, low));
    int shift = whole >= 1 << 26 || whole < -(1 << 26) ? 0
                : whole > 0 || whole < -1              ? 35
                                                       : 61;
    uint64_t bits = (uint64_t)whole << shift | divide_on(&left, (uint64_t)n, shift, 0);
    return ldexpf((float)(int64_t)(bits | (left != 0)), -shift);
}

static int64_t integer_at(const void *x, cr_dtype dtype, int64_t i)
{
    return dtype == CR_I64   ? ((const int64_t *)x)[i]
           : dtype == CR_I32 ? ((const int32_t *)x)[i]
                             : ((const uint8_t *)x)[i];
}

static void mean_part(void *arg, int64_t part, int worker)
{
    const mean_job *job = arg;
    char *gather = cr__team_scratch(job->team, worker);
    cr__strided x = job->reduced;
    size_t size = size_of(job->dtype);
    int64_t begin, end;
    cr__part(job->outputs, 8, part, job->parts, &begin, &end);
    for (int64_t o = begin; o < end; o++) {
        int64_t high = 0;
        uint64_t low = 0;
        x.data = (char *)job->kept.data + offset_of(&job->kept, o) * (int64_t)size;
        for (int64_t start = 0; start < job->length; start += CR__BLOCK) {
            int64_t n = job->length - start < CR__BLOCK ? job->length - start : CR__BLOCK;
            cr__copy_range(gather, &x, size, start, n);
            for (int64_t i = 0; i < n; i++) {
                int64_t value = integer_at(gather, job->dtype, i);
                high += value >> 32;
                low += (uint32_t)value;
            }
            high += (int64_t)(low >> 32);
            low &= UINT32_MAX;
        }
        job->out[o] =
            job->length ? rounded_quotient(high, (uint32_t)low, job->length) : NAN;
    }
}

void cr__reduce_integer_mean(const cr__strided *x, cr_dtype dtype, int kept, float *out,
                             cr__team *team)
{
    mean_job job = {
        merged_dims(x, 0, kept), merged_dims(x, kept, x->ndim), dtype, out, 0, 0, team, 1
    };
    job.outputs = numel_of(&job.kept);
    job.length = numel_of(&job.reduced);
    if (job.outputs * job.length >= PARALLEL_ELEMENTS)
        job.parts = cr__team_size(team);
    cr__parallel(team, job.parts, mean_part, &job);
}
