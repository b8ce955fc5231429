/* Matrix products against plain loops over the order of sums that kernel.h defines, bit
 * for bit: shapes around every edge of the tiles and blocks, any strides, batches, one
 * thread and four. Operands lie in memory of just their size, so
 * that a sanitizer sees what is read outside. */
#include "../src/base/context.h"
#include "../src/kernel/rows.h"
#include "tap.h"
#include <stdlib.h>

static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

/* ---- operands ---- */

typedef union pointer {
    void *any;
    float *f32;
    double *f64;
} pointer;

static double load(cr_dtype t, pointer p, int64_t at)
{
    return t == CR_F32 ? (double)p.f32[at] : p.f64[at];
}

typedef enum values {
    ORDINARY,  /* within 1 */
    EXTREME,   /* also products that underflow, and some numbers that are not finite */
    VANISHING, /* every product underflows to -0, which sums must keep */
} values;

static double number(cr_dtype t, values kind, double sign)
{
    double x = (below(1u << 24) - 8388608.0) * 0x1p-23;
    if (kind == VANISHING)
        return sign * (t == CR_F32 ? 0x1p-80 : 0x1p-600);
    if (kind == EXTREME && below(2))
        x *= 0x1p-80;
    if (kind == EXTREME && below(2000) == 0)
        x = below(2) ? (double)INFINITY : (double)NAN;
    return x;
}

/* An array of exactly the elements that the dims reach, with the address of its first. */
typedef struct array {
    void *memory;
    pointer first;
    int64_t count;
} array;

static array new_array(cr_dtype t, const int64_t *dims, const int64_t *strides, int ndim,
                       values kind, double sign)
{
    const size_t size = t == CR_F32 ? 4 : 8;
    int64_t lowest = 0, highest = 0;
    bool empty = false;
    for (int d = 0; d < ndim; d++) {
        int64_t far = (dims[d] - 1) * strides[d];
        *(far < 0 ? &lowest : &highest) += far;
        empty = empty || dims[d] == 0;
    }
    int64_t count = empty ? 0 : highest - lowest + 1;
    array a = { .memory = malloc((size_t)count * size), .count = count };
    pointer p = { a.memory };
    if (count && !a.memory) {
        diag("no memory");
        exit(1);
    }
    for (int64_t i = 0; i < count; i++) {
        double x = number(t, kind, sign);
        if (t == CR_F32)
            p.f32[i] = (float)x;
        else
            p.f64[i] = x;
    }
    a.first.any = (char *)a.memory - (empty ? 0 : lowest * (int64_t)size);
    return a;
}

typedef enum layout {
    ROWS,
    COLUMNS,
    ROWS_APART,
    ALL_APART,
    SAME_ROWS,
    SAME_COLUMNS,
    ROWS_BACK,
    COLUMNS_BACK,
    PAGES, /* rows a multiple of 4 KiB apart */
    LAYOUTS
} layout;

/* Strides of a rows x columns matrix. */
static void lay_out(layout l, int64_t rows, int64_t columns, int64_t *row,
                    int64_t *column)
{
    const int64_t strides[LAYOUTS][2] = {
        [ROWS] = { columns, 1 },
        [COLUMNS] = { 1, rows },
        [ROWS_APART] = { columns + 5, 1 },
        [ALL_APART] = { 2 * columns + 3, 2 },
        [SAME_ROWS] = { 0, 1 },
        [SAME_COLUMNS] = { 1, 0 },
        [ROWS_BACK] = { -columns, 1 },
        [COLUMNS_BACK] = { columns, -1 },
        [PAGES] = { (columns + 1023) / 1024 * 1024, 1 },
    };
    *row = strides[l][0];
    *column = strides[l][1];
}

typedef struct problem {
    cr__gemm_job job;
    array a, b;
    int64_t batches;
} problem;

static problem new_problem(cr_dtype t, int64_t m, int64_t n, int64_t k, layout la,
                           layout lb, int batch_ndim, values kind)
{
    problem p = { .job = { .dtype = t, .m = m, .n = n, .k = k, .batch_ndim = batch_ndim },
                  .batches = 1 };
    cr__gemm_job *job = &p.job;
    lay_out(la, m, k, &job->a.row, &job->a.col);
    lay_out(lb, k, n, &job->b.row, &job->b.col);
    int64_t a_dims[CR_MAX_DIMS + 2], b_dims[CR_MAX_DIMS + 2];
    int64_t a_strides[CR_MAX_DIMS + 2], b_strides[CR_MAX_DIMS + 2];
    int64_t a_next = m * k, b_next = k * n;
    if (la != ROWS && la != COLUMNS)
        a_next = (m + 1) * (llabs(job->a.row) + 1) + k * llabs(job->a.col);
    if (lb != ROWS && lb != COLUMNS)
        b_next = (k + 1) * (llabs(job->b.row) + 1) + n * llabs(job->b.col);
    for (int d = batch_ndim - 1; d >= 0; d--) {
        uint32_t shared = below(4); /* 0: by a, 1: by b, 2: by both */
        job->batch_dims[d] = 1 + below(3);
        job->a_batch[d] = shared == 0 || shared == 2 ? 0 : a_next;
        job->b_batch[d] = shared == 1 || shared == 2 ? 0 : b_next;
        a_next += job->a_batch[d] * (job->batch_dims[d] - 1);
        b_next += job->b_batch[d] * (job->batch_dims[d] - 1);
        p.batches *= job->batch_dims[d];
        a_dims[d] = b_dims[d] = job->batch_dims[d];
        a_strides[d] = job->a_batch[d];
        b_strides[d] = job->b_batch[d];
    }
    a_dims[batch_ndim] = m, a_strides[batch_ndim] = job->a.row;
    a_dims[batch_ndim + 1] = k, a_strides[batch_ndim + 1] = job->a.col;
    b_dims[batch_ndim] = k, b_strides[batch_ndim] = job->b.row;
    b_dims[batch_ndim + 1] = n, b_strides[batch_ndim + 1] = job->b.col;
    p.a = new_array(t, a_dims, a_strides, batch_ndim + 2, kind, 1);
    p.b = new_array(t, b_dims, b_strides, batch_ndim + 2, kind, -1);
    job->a.data = p.a.first.any, job->a.dtype = t;
    job->b.data = p.b.first.any, job->b.dtype = t;
    return p;
}

static void free_problem(problem *p)
{
    free(p->a.memory);
    free(p->b.memory);
}

/* ---- the definition ---- */

/* x*y + sum in the arithmetic of t: doubles hold f32 exactly. */
static double step(cr_dtype t, double x, double y, double sum)
{
    return t == CR_F32 ? (double)fmaf((float)x, (float)y, (float)sum) : fma(x, y, sum);
}

static double plus(cr_dtype t, double x, double y)
{
    return t == CR_F32 ? (double)((float)x + (float)y) : x + y;
}

static double reduction_block(const problem *p, int64_t a, int64_t b, int64_t n)
{
    const cr__gemm_job *job = &p->job;
    double lanes[CR__LANES] = { 0 };
    for (int64_t i = 0; i < n; i++)
        lanes[i % CR__LANES] =
            step(job->dtype, load(job->dtype, p->a.first, a + i * job->a.col),
                 load(job->dtype, p->b.first, b + i * job->b.row), lanes[i % CR__LANES]);
    for (int half = CR__LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] = plus(job->dtype, lanes[l], lanes[l + half]);
    return lanes[0];
}

/* The sum over k of elements at a and b. */
static double defined_sum(const problem *p, int64_t a, int64_t b)
{
    const cr__gemm_job *job = &p->job;
    static double partials[64];
    double sum = 0;
    if (job->m == 1 || job->n == 1) {
        int64_t blocks = 0;
        partials[0] = 0;
        for (int64_t k = 0; k < job->k; k += CR__BLOCK)
            partials[blocks++] =
                reduction_block(p, a + k * job->a.col, b + k * job->b.row,
                                job->k - k < CR__BLOCK ? job->k - k : CR__BLOCK);
        for (; blocks > 1; blocks = (blocks + 1) / 2)
            for (int64_t i = 0; i < blocks; i += 2)
                partials[i / 2] = i + 1 < blocks
                                      ? plus(job->dtype, partials[i], partials[i + 1])
                                      : partials[i];
        return partials[0];
    }
    for (int64_t from = 0; from < job->k; from += CR__GEMM_BLOCK) {
        double block = 0;
        for (int64_t k = from; k < job->k && k < from + CR__GEMM_BLOCK; k++)
            block = step(job->dtype, load(job->dtype, p->a.first, a + k * job->a.col),
                         load(job->dtype, p->b.first, b + k * job->b.row), block);
        sum = from ? plus(job->dtype, sum, block) : block;
    }
    return sum;
}

/* Element i of the whole result. */
static double defined(const problem *p, int64_t i)
{
    const cr__gemm_job *job = &p->job;
    int64_t column = i % job->n, row = i / job->n % job->m, batch = i / job->n / job->m;
    int64_t a = row * job->a.row, b = column * job->b.col;
    for (int d = job->batch_ndim - 1; d >= 0; d--) {
        a += batch % job->batch_dims[d] * job->a_batch[d];
        b += batch % job->batch_dims[d] * job->b_batch[d];
        batch /= job->batch_dims[d];
    }
    return defined_sum(p, a, b);
}

/* ---- cases ---- */

#define GUARD 32 /* elements around a result, which keep their value */

typedef struct result {
    void *memory;
    pointer c;
    int64_t count;
} result;

static result compute(problem *p, cr__isa isa, cr__team *team)
{
    const cr_dtype t = p->job.dtype;
    const size_t size = t == CR_F32 ? 4 : 8;
    result r = { .count = p->batches * p->job.m * p->job.n };
    size_t bytes = (size_t)(r.count + 2 * GUARD) * size;
    r.memory = malloc(bytes);
    if (!r.memory)
        exit(1);
    memset(r.memory, 0x5a, bytes);
    r.c.any = (char *)r.memory + GUARD * size;
    p->job.c = r.c.any;
    cr__gemm_for(isa, &p->job, team);
    return r;
}

static bool same(double x, double y)
{
    return memcmp(&x, &y, sizeof x) == 0 || (isnan(x) && isnan(y));
}

static bool same_results(const result *x, const result *y, cr_dtype t)
{
    for (int64_t i = 0; i < x->count; i++)
        if (!same(load(t, x->c, i), load(t, y->c, i)))
            return false;
    return true;
}

/* What is told of a product: its elements, each once, as they lie when it is told. */
typedef struct told {
    cr_dtype dtype;
    result r;
    unsigned char *times; /* each has been told */
    bool wrong;
} told;

static void hear(void *arg, const cr__panel *panel)
{
    told *t = arg;
    const size_t size = t->dtype == CR_F32 ? 4 : 8;
    memset(panel->scratch, 0x5a, CR__PANEL_SCRATCH);
    for (int64_t i = 0; i < panel->rows; i++)
        for (int64_t j = 0; j < panel->columns; j++) {
            const int64_t to = panel->start + i * panel->step + j;
            if (to < 0 || to >= t->r.count) {
                t->wrong = true;
                return;
            }
            t->times[to]++;
            memcpy((char *)t->r.c.any + (size_t)to * size,
                   (const char *)panel->data + (size_t)(i * panel->pitch + j) * size,
                   size);
        }
}

/* Whether who follows is told of the product x, which is in memory or nowhere. */
static bool is_told(problem *p, cr__isa isa, cr__team *team, const result *x, bool held)
{
    told t = { .dtype = p->job.dtype, .r = { .count = x->count } };
    const cr__follower then = { .fn = hear, .arg = &t, .cost = 0.5 };
    t.r.memory = malloc((size_t)x->count * 8 + 1);
    t.times = calloc((size_t)x->count + 1, 1);
    result in_memory = { 0 };
    if (!t.r.memory || !t.times)
        exit(1);
    t.r.c.any = t.r.memory;
    p->job.then = &then;
    if (held)
        in_memory = compute(p, isa, team);
    else
        p->job.c = NULL, cr__gemm_for(isa, &p->job, team);
    p->job.then = NULL;
    for (int64_t i = 0; i < x->count; i++)
        t.wrong |= t.times[i] != 1;
    t.wrong = t.wrong || !same_results(&t.r, x, t.dtype) ||
              (held && !same_results(&in_memory, x, t.dtype));
    free(in_memory.memory);
    free(t.r.memory);
    free(t.times);
    return !t.wrong;
}

/* Whether the product x is added to what is there. */
static bool is_added(problem *p, cr__isa isa, cr__team *team, const result *x)
{
    const cr_dtype t = p->job.dtype;
    const size_t bytes = (size_t)x->count * (t == CR_F32 ? 4 : 8);
    pointer sums = { malloc(bytes + 1) };
    bool right = sums.any != NULL;
    for (int64_t i = 0; i < x->count && right; i++)
        if (t == CR_F32)
            sums.f32[i] = (float)(i % 1000) - 1.5f;
        else
            sums.f64[i] = (double)(i % 1000) - 1.5;
    p->job.c = sums.any;
    p->job.adds = true;
    cr__gemm_for(isa, &p->job, team);
    p->job.adds = false;
    for (int64_t i = 0; i < x->count && right; i++)
        right =
            same(load(t, sums, i), plus(t, (double)(i % 1000) - 1.5, load(t, x->c, i)));
    free(sums.any);
    return right;
}

/* Whether the product with a b that was packed before is x. */
static bool is_packed(problem *p, cr__team *team, const result *x)
{
    const cr_dtype t = p->job.dtype;
    void *packed = malloc(cr__gemm_packed_bytes(t, p->job.k, p->job.n) + 1);
    if (!packed)
        exit(1);
    cr__gemm_pack(&p->job, packed, team);
    p->job.packed = packed;
    result r = compute(p, cr__isa_in_use(), team);
    p->job.packed = NULL;
    const bool right = same_results(&r, x, t);
    free(r.memory);
    free(packed);
    return right;
}

static bool guarded(const result *r, cr_dtype t)
{
    const size_t guard = GUARD * (t == CR_F32 ? 4u : 8u);
    const unsigned char *before = r->memory;
    const unsigned char *behind = before + guard + (size_t)r->count * guard / GUARD;
    bool kept = true;
    for (size_t i = 0; i < guard; i++)
        kept = kept && before[i] == 0x5a && behind[i] == 0x5a;
    return kept;
}

/* Every element, or some of a large result, its ends among them. */
static bool as_defined(const problem *p, const result *r)
{
    const int64_t steps = r->count * p->job.k, stride = 1 + steps / 40000;
    for (int64_t i = 0; i < r->count; i += stride)
        if (!same(load(p->job.dtype, r->c, i), defined(p, i)))
            return false;
    return r->count == 0 ||
           same(load(p->job.dtype, r->c, r->count - 1), defined(p, r->count - 1));
}

/* Says what failed; frees the problem. */
static bool check(problem *p, cr__team *one, cr__team *four)
{
    const cr__gemm_job *job = &p->job;
    const char *wrong = NULL;
    result first = { 0 };
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        result alone = compute(p, isa, one), shared = compute(p, isa, four);
        if (!guarded(&alone, job->dtype) || !guarded(&shared, job->dtype))
            wrong = "writes outside";
        else if (!as_defined(p, &alone))
            wrong = "not as defined";
        else if (!same_results(&alone, &shared, job->dtype))
            wrong = "depends on threads";
        else if (first.memory && !same_results(&alone, &first, job->dtype))
            wrong = "depends on the instruction set";
        else if (!is_told(p, isa, below(2) ? one : four, &alone, below(2)))
            wrong = "tells something else";
        else if (job->k && job->k <= CR__GEMM_BLOCK && job->m > 1 && job->n > 1 &&
                 !is_added(p, isa, below(2) ? one : four, &alone))
            wrong = "adds something else";
        else if (isa == cr__isa_in_use() && job->b.row == 1 && job->k && job->m > 1 &&
                 job->n > 1 && p->batches == 1 &&
                 !is_packed(p, below(2) ? one : four, &alone))
            wrong = "is another if b was packed before";
        free(shared.memory);
        if (isa == CR__GENERIC)
            first = alone;
        else
            free(alone.memory);
        if (wrong) {
            diag("%s: %s: %s, m %d n %d k %d, a %d %d, b %d %d, %d batches",
                 cr__isa_name(isa), wrong, cr_dtype_name(job->dtype), (int)job->m,
                 (int)job->n, (int)job->k, (int)job->a.row, (int)job->a.col,
                 (int)job->b.row, (int)job->b.col, (int)p->batches);
            break;
        }
    }
    free(first.memory);
    free_problem(p);
    return !wrong;
}

static values any_kind(void)
{
    return below(3) ? ORDINARY : below(3) ? EXTREME : VANISHING;
}

static int64_t any_size(void)
{
    static const int64_t sizes[] = { 0,  1,  2,  3,   5,   7,   8,   12,  13,  14,  15,
                                     16, 17, 27, 28,  29,  31,  32,  33,  48,  63,  64,
                                     65, 96, 97, 128, 130, 255, 256, 257, 300, 512, 513 };
    return sizes[below((uint32_t)CR__COUNT(sizes))];
}

/* Shapes of at most so many steps. */
static void test_shapes(cr_dtype t, cr__team *one, cr__team *four)
{
    bool passed = true;
    for (int i = 0; passed && i < tap_share(1500); i++) {
        int64_t m = any_size(), n = any_size(), k = any_size();
        const int64_t most = i % 10 ? 300000 : 8000000;
        while (m * n * k > most)
            *(below(2) ? &m : below(2) ? &n : &k) = 1 + below(20);
        layout la = below(2) ? (layout)below(2) : (layout)below(LAYOUTS);
        layout lb = below(2) ? (layout)below(2) : (layout)below(LAYOUTS);
        problem p = new_problem(t, m, n, k, la, lb, 0, any_kind());
        passed = check(&p, one, four);
    }
    ok(passed, "products of %s: shapes and strides", cr_dtype_name(t));
}

static void test_batches(cr_dtype t, cr__team *one, cr__team *four)
{
    bool passed = true;
    for (int i = 0; passed && i < tap_share(600); i++) {
        int64_t m = any_size(), n = any_size(), k = any_size();
        if (below(4) == 0)
            *(below(2) ? &m : &n) = 1;
        while (m * n * k > 60000)
            *(below(2) ? &m : below(2) ? &n : &k) = 1 + below(20);
        layout la = below(2) ? ROWS : (layout)below(LAYOUTS);
        layout lb = below(2) ? (layout)below(2) : (layout)below(LAYOUTS);
        problem p = new_problem(t, m, n, k, la, lb, 1 + (int)below(3), any_kind());
        passed = check(&p, one, four);
    }
    ok(passed, "products of %s: batches", cr_dtype_name(t));
}

/* A row or a column alone, over several blocks of the reduction. */
static void test_vectors(cr_dtype t, cr__team *one, cr__team *four)
{
    static const int64_t lengths[] = { 1,    31,   32,   33,    255,   256,
                                       257,  287,  513,  784,   4095,  4096,
                                       4097, 8192, 9000, 12289, 20480, 28673 };
    static const int64_t others[] = { 1, 2, 3, 4, 5, 15, 16, 17, 33, 130, 259 };
    bool passed = true;
    for (int i = 0; passed && i < tap_share(800); i++) {
        int64_t k = lengths[below((uint32_t)CR__COUNT(lengths))];
        int64_t outputs = others[below((uint32_t)CR__COUNT(others))];
        outputs = outputs * k > 600000 ? 5 : outputs;
        const bool row = below(2);
        layout la = (layout)below(PAGES), lb = (layout)below(PAGES);
        problem p = new_problem(t, row ? 1 : outputs, row ? outputs : 1, k, la, lb, 0,
                                any_kind());
        passed = check(&p, one, four);
    }
    ok(passed, "products of %s: one row or column", cr_dtype_name(t));
}

/* Zeros of either sign in a triangle of a, or in some of its rows from a column on. */
static void put_zeros(problem *p)
{
    const cr__gemm_job *job = &p->job;
    const bool above = below(2), steep = below(3);
    for (int64_t i = 0; i < job->m; i++) {
        const int64_t edge = steep ? i * job->k / job->m : job->k * (int64_t)below(5) / 4;
        for (int64_t k = above ? edge : 0; k < (above ? job->k : edge); k++) {
            const int64_t at = i * job->a.row + k * job->a.col;
            const double zero = below(2) ? 0.0 : -0.0;
            if (job->dtype == CR_F32)
                p->a.first.f32[at] = (float)zero;
            else
                p->a.first.f64[at] = zero;
        }
    }
}

/* Such a matrix is multiplied as if its zeros were numbers like others: by infinity, to NaN. */
static void test_zeros(cr_dtype t, cr__team *one, cr__team *four)
{
    bool passed = true;
    for (int i = 0; passed && i < tap_share(150); i++) {
        int64_t m = 60 + below(80), n = 2 + below(70);
        int64_t k = below(2) ? any_size() : 257 + below(300);
        layout la = below(3) ? (layout)below(2) : (layout)below(LAYOUTS);
        problem p = new_problem(t, m, n, k, la, (layout)below(2), 0, (values)below(3));
        put_zeros(&p);
        passed = check(&p, one, four);
    }
    ok(passed, "products of %s: what is zero in part", cr_dtype_name(t));
}

/* Several panels of rows, packed and not, and all layouts of a network's products. */
static void test_large(cr_dtype t, cr__team *one, cr__team *four)
{
    static const int64_t shapes[][5] = {
        /* m, n, k, layouts of a and b */
        { 1030, 70, 300, ROWS, ROWS },       { 600, 300, 513, PAGES, ROWS },
        { 600, 300, 513, PAGES, COLUMNS },   { 128, 512, 784, ROWS, COLUMNS },
        { 512, 784, 128, COLUMNS, ROWS },    { 128, 784, 512, ROWS, ROWS },
        { 513, 513, 513, COLUMNS, COLUMNS }, { 1024, 70, 1037, COLUMNS, ROWS },
        { 1, 1155, 1999, ROWS, COLUMNS },    { 2087, 1, 1037, ROWS, COLUMNS },
        { 512, 67, 2053, COLUMNS, ROWS },
    };
    bool passed = true;
    for (int i = 0; passed && i < CR__COUNT(shapes); i++) {
        const int64_t *s = shapes[i];
        problem p =
            new_problem(t, s[0], s[1], s[2], (layout)s[3], (layout)s[4], 0, ORDINARY);
        passed = check(&p, one, four);
    }
    ok(passed, "products of %s: large products", cr_dtype_name(t));
}

/* Narrows an array of f32, whose elements become those of the narrow one. */
static uint16_t *narrowed(array *x, cr_dtype half, const void **first)
{
    uint16_t *memory = malloc((size_t)x->count * sizeof *memory);
    if (x->count && !memory)
        exit(1);
    cr__half_find(half)->narrow(memory, x->memory, x->count);
    cr__half_find(half)->widen(x->memory, memory, x->count);
    *first = memory + (x->first.f32 - (float *)x->memory);
    return memory;
}

/* The product of the same numbers as f32, rounded, or not if the result is f32. */
static bool check_half(problem *p, cr_dtype half, bool rounded, cr__team *team)
{
    problem narrow = *p;
    cr__gemm_job *job = &narrow.job;
    uint16_t *a = narrowed(&p->a, half, &job->a.data), *b = NULL;
    bool same_bits = true;
    job->a.dtype = half;
    if (below(4)) {
        b = narrowed(&p->b, half, &job->b.data);
        job->b.dtype = half;
    }
    if (rounded)
        job->dtype = half;
    const size_t size = rounded ? 2 : 4;
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        result want = compute(p, isa, team);
        const size_t bytes = (size_t)want.count * size;
        char *got = malloc(bytes + 2);
        if (!got)
            exit(1);
        got[bytes] = 0x5a, got[bytes + 1] = 0x5a;
        job->c = got;
        cr__gemm_for(isa, job, team);
        if (rounded)
            cr__half_find(half)->narrow(want.memory, want.c.f32, want.count);
        same_bits = same_bits && got[bytes] == 0x5a && got[bytes + 1] == 0x5a &&
                    memcmp(got, rounded ? want.memory : want.c.any, bytes) == 0;
        free(got);
        free(want.memory);
    }
    if (!same_bits)
        diag("%s%s: m %d n %d k %d, a %d %d, b %d %d", cr_dtype_name(half),
             rounded ? " rounded" : "", (int)job->m, (int)job->n, (int)job->k,
             (int)job->a.row, (int)job->a.col, (int)job->b.row, (int)job->b.col);
    free(a);
    free(b);
    free_problem(p);
    return same_bits;
}

static void test_halves(cr_dtype half, cr__team *one, cr__team *four)
{
    static const int64_t shapes[][3] = { { 300, 700, 300 }, { 1, 9000, 70 },
                                         { 9000, 1, 70 },   { 1, 40, 9000 },
                                         { 113, 513, 257 }, { 20, 1100, 40 } };
    bool passed = true;
    for (int i = 0; passed && i < tap_share(500); i++) {
        int64_t m = any_size(), n = any_size(), k = any_size();
        while (m * n * k > 200000)
            *(below(2) ? &m : below(2) ? &n : &k) = 1 + below(20);
        if (i < CR__COUNT(shapes))
            m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        layout la = (layout)below(PAGES), lb = (layout)below(PAGES);
        problem p = new_problem(CR_F32, m, n, k, la, lb, (int)below(2), ORDINARY);
        passed = check_half(&p, half, below(2), below(2) ? one : four);
    }
    ok(passed, "products of %s: as f32, rounded once", cr_dtype_name(half));
}

int main(void)
{
    cr_ctx *one = cr_open(&(cr_options){ .threads = 1 });
    cr_ctx *four = cr_open(&(cr_options){ .threads = 4 });
    for (int i = 0; i < 2; i++) {
        cr_dtype t = i ? CR_F64 : CR_F32;
        test_shapes(t, one->team, four->team);
        test_batches(t, one->team, four->team);
        test_vectors(t, one->team, four->team);
        test_large(t, one->team, four->team);
        test_zeros(t, one->team, four->team);
    }
    test_halves(CR_BF16, one->team, four->team);
    test_halves(CR_F16, one->team, four->team);
    cr_close(one);
    cr_close(four);
    return done_testing();
}
