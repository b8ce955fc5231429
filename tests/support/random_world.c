/* What a random program works with: its chance, the tensors it may use, data, operands
 * that fit each other. */
#define _DEFAULT_SOURCE
#include "random_world.h"
#include "half.h"
#include "tap.h"
#ifdef _WIN32 /* without pages that nobody may touch */
#define mmap(at, bytes, ...)     malloc(bytes)
#define munmap(at, bytes)        free(at)
#define mprotect(at, bytes, ...) ((void)0)
#else
#include <sys/mman.h>
#endif

/* ---- chance ---- */

int64_t below(world *w, int64_t n)
{
    return n > 0 ? (int64_t)(next_random(&w->rng) % (uint64_t)n) : 0;
}

bool chance(world *w, int percent)
{
    return below(w, 100) < percent;
}

/* ---- the pool ---- */

void unpin(world *w, const cr_tensor *t)
{
    for (int i = 0; i < PINS; i++)
        if (w->pins[i].t == t)
            w->pins[i].t = NULL;
}

void forget(world *w, int i)
{
    if (w->pool[i].retained) {
        unpin(w, w->pool[i].t);
        cr_release(w->pool[i].t);
    }
    w->n--;
    memmove(&w->pool[i], &w->pool[i + 1], (size_t)(w->n - i) * sizeof *w->pool);
}

void put(world *w, cr_tensor *t, bool leaf)
{
    for (int i = 0; i < w->n && t; i++)
        if (w->pool[i].t == t)
            return;
    if (!t)
        return;
    if (w->n == POOL) { /* not what is retained: it would die in the caller's hands */
        int gone = (int)below(w, POOL / 2);
        while (gone < POOL - 1 && w->pool[gone].retained)
            gone++;
        if (w->pool[gone].retained)
            return;
        forget(w, gone);
    }
    w->pool[w->n++] = (slot){ .t = t, .level = w->level, .leaf = leaf };
}

cr_tensor *grad_of(cr_tensor *t)
{
    return t && t->flags & (CR__HANDLE | CR__WATCHED) ? cr_grad(t) : NULL;
}

slot *pick_slot(world *w, unsigned types, int rank)
{
    int fits[POOL], n = 0;
    for (int i = 0; i < w->n; i++)
        if (types & TYPE(cr_dtype_of(w->pool[i].t)) && cr_ndim(w->pool[i].t) >= rank)
            fits[n++] = i;
    if (!n)
        return NULL;
    int64_t a = below(w, n), b = below(w, n);
    return &w->pool[fits[chance(w, 50) ? a : a > b ? a : b]];
}

int64_t extent(cr_dims dims)
{
    int64_t n = 1, limit = (int64_t)1 << 40;
    for (int i = 0; i < dims.n && n < limit; i++)
        n *= dims.v[i] ? dims.v[i] : 1;
    return n < limit ? n : limit;
}

/* ---- data ---- */

/* Memory that ends where none is, begins where none is, and cannot be written. */
typedef struct loan {
    world *w;
    char *map;
    size_t bytes;
} loan;

static void end_loan(void *user, const void *data)
{
    loan *l = user;
    (void)data;
    munmap(l->map, l->bytes);
    l->w->returned++;
    free(l);
}

static cr_tensor *lend(world *w, cr_dtype dtype, cr_dims dims, const void *data,
                       size_t bytes)
{
    const size_t page = 4096, body = (bytes + page) / page * page;
    loan *l = malloc(sizeof *l);
    *l = (loan){ w, NULL, body + 2 * page };
    l->map = mmap(NULL, l->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *at = l->map + page + (chance(w, 70) ? body - bytes : 0);
    mprotect(l->map + page, body, PROT_READ | PROT_WRITE);
    memcpy(at, data, bytes);
    mprotect(l->map + page, body, PROT_READ);
    w->lent++;
    cr_tensor *t = cr_borrow(w->ctx, dtype, dims, (const void *)at, end_loan, l);
    if (!t)
        end_loan(l, at);
    return t;
}

double real_value(world *w, int style)
{
    static const double odd[] = { INFINITY, -INFINITY, NAN, -0.0, 1e-40, 3e38, 0, 1 };
    double smooth = (double)below(w, 1 << 20) / (1 << 18) - 2;
    if (style == 0)
        return smooth;
    if (style == 1 || !chance(w, 10))
        return floor(smooth * 4) / 4; /* with ties, and exact */
    return odd[below(w, 8)];
}

void fill(world *w, cr_dtype dtype, int64_t n, void *data)
{
    int style = chance(w, 60) ? 0 : chance(w, 85) ? 1 : 2;
    for (int64_t i = 0; i < n; i++) {
        int64_t whole = below(w, 9) - 3;
        switch (dtype) {
        case CR_F32:
            ((float *)data)[i] = (float)real_value(w, style);
            break;
        case CR_F64:
            ((double *)data)[i] = real_value(w, style);
            break;
        case CR_BF16:
        case CR_F16:
            ((uint16_t *)data)[i] = half_nearest(dtype, real_value(w, style));
            break;
        case CR_I64:
            ((int64_t *)data)[i] = whole;
            break;
        case CR_I32:
            ((int32_t *)data)[i] = (int32_t)whole;
            break;
        case CR_U8:
            ((uint8_t *)data)[i] = (uint8_t)(whole + 3);
            break;
        default:
            ((uint8_t *)data)[i] = whole & 1;
        }
    }
}

static cr_tensor *from_data(world *w, cr_dtype dtype, cr_dims dims)
{
    size_t bytes = (size_t)count_of(dims) * cr_dtype_size(dtype);
    void *data = malloc(bytes + 1);
    fill(w, dtype, count_of(dims), data);
    cr_tensor *t = chance(w, 60) ? lend(w, dtype, dims, data, bytes)
                                 : cr_from(w->ctx, dtype, dims, data);
    free(data);
    return t;
}

cr_tensor *fresh(world *w, cr_dtype dtype, cr_dims dims)
{
    cr_ctx *ctx = w->ctx;
    if (TYPE(dtype) & FLOATS && chance(w, 15))
        return chance(w, 50) ? cr_rand(ctx, dims, .dtype = dtype)
                             : cr_randn(ctx, dims, .dtype = dtype);
    if (chance(w, 10))
        return cr_full(ctx, dims, below(w, 2), .dtype = dtype);
    if (dims.n == 1 && dims.v[0] > 0 && TYPE(dtype) & FLOATS && chance(w, 10))
        return cr_linspace(ctx, -1, 1, dims.v[0], .dtype = dtype);
    if (dims.n == 1 && TYPE(dtype) & (FLOATS | TYPE(CR_I64)) && chance(w, 10))
        return cr_arange(ctx, 0, dims.v[0], 1, .dtype = dtype);
    if (dims.n == 2 && dims.v[0] == dims.v[1] && TYPE(dtype) & FLOATS && chance(w, 20))
        return cr_eye(ctx, dims.v[0], .dtype = dtype);
    return from_data(w, dtype, dims);
}

int64_t some_size(world *w)
{
    return chance(w, 4)    ? 0
           : chance(w, 20) ? 1
           : chance(w, 25) ? 1 + below(w, 4)
                           : w->sizes[below(w, 6)];
}

static cr_dims some_dims(world *w)
{
    static const int ranks[] = { 0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 4 };
    cr_dims dims = CR_NO_DIMS;
    dims.n = ranks[below(w, (int64_t)(sizeof ranks / sizeof *ranks))];
    for (int i = 0; i < dims.n; i++)
        dims.v[i] = some_size(w);
    while (extent(dims) > w->most)
        dims.v[below(w, dims.n)] = 1 + below(w, 3);
    return dims;
}

cr_tensor *make_input(world *w)
{
    static const cr_dtype types[] = { CR_F32, CR_F32,  CR_F32,  CR_F32,  CR_F32,
                                      CR_F64, CR_F64,  CR_I64,  CR_I64,  CR_I32,
                                      CR_U8,  CR_BOOL, CR_BF16, CR_BF16, CR_F16 };
    cr_dtype dtype = types[below(w, (int64_t)(sizeof types / sizeof *types))];
    cr_tensor *t = fresh(w, dtype, some_dims(w));
    bool leaf = t && is_float(t) && chance(w, 60);
    if (leaf)
        t = cr_requires_grad(t);
    put(w, t, leaf);
    return NULL; /* it is in the pool */
}

cr_tensor *pick(world *w, unsigned types, int rank)
{
    slot *s = pick_slot(w, types, rank);
    return s ? s->t : NULL;
}

/* ---- operands that fit ---- */

bool broadcasts(cr_dims a, cr_dims b, cr_dims *out)
{
    *out = a.n > b.n ? a : b;
    for (int i = 1; i <= out->n; i++) {
        int64_t x = i <= a.n ? a.v[a.n - i] : 1, y = i <= b.n ? b.v[b.n - i] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        out->v[out->n - i] = x == 1 ? y : x;
    }
    return true;
}

/* dims that broadcast to these. */
static cr_dims lesser_dims(world *w, cr_dims dims)
{
    while (dims.n > 0 && chance(w, 20)) {
        dims.n--;
        memmove(dims.v, dims.v + 1, (size_t)dims.n * sizeof *dims.v);
    }
    for (int i = 0; i < dims.n; i++)
        if (chance(w, 20))
            dims.v[i] = 1;
    return dims;
}

cr_tensor *mirrored(world *w, cr_tensor *x)
{
    cr_dims dims = cr_shape(x);
    int dim = (int)below(w, dims.n);
    if (dims.n == 0 || dims.v[dim] == 0)
        return x;
    switch (below(w, 4)) {
    case 0:
        return cr_reshape(cr_transpose(x, dim, 0), dims);
    case 1:
        return cr_expand(
            cr_slice(x, dim, below(w, dims.v[dim]) / 2, INT64_MAX, .step = dims.v[dim]),
            dims);
    case 2:
        return cr_reshape(cr_flip(cr_reshape(x, CR_DIMS(-1)), CR_DIMS(0)), dims);
    default:
        return cr_flip(x, CR_DIMS(dim));
    }
}

cr_tensor *fitting(world *w, cr_tensor *x, unsigned types)
{
    cr_dims out;
    if (types & TYPE(cr_dtype_of(x)) && chance(w, 25))
        return cr_numel(x) && chance(w, 70) ? mirrored(w, x) : x;
    for (int tries = 0; tries < 5; tries++) {
        cr_tensor *y = pick(w, types, 0);
        if (y && broadcasts(cr_shape(x), cr_shape(y), &out) && extent(out) <= w->most)
            return y;
    }
    cr_dtype dtype = types & TYPE(cr_dtype_of(x)) ? cr_dtype_of(x) : CR_BOOL;
    return fresh(w, dtype, lesser_dims(w, cr_shape(x)));
}

cr_tensor *alike(world *w, cr_tensor *x)
{
    for (int tries = 0; tries < 5; tries++) {
        cr_tensor *y = pick(w, TYPE(cr_dtype_of(x)), cr_ndim(x));
        if (y && same_dims(cr_shape(x), cr_shape(y)))
            return y;
    }
    if (is_float(x) && chance(w, 30))
        return cr_mul(x, 0.5);
    if (cr_numel(x) && chance(w, 30))
        return mirrored(w, x);
    return chance(w, 20) ? x : fresh(w, cr_dtype_of(x), cr_shape(x));
}
