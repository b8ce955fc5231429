/* Shapes: the table of them, the rules that operations share, and shapes as text. */
#include "../base/text.h"
#include "graph.h"

#include <stdio.h>
#include <string.h>

/* ---- the table ---- */

/* Chains from buckets, a power of two of them. What nothing refers to any more stays, uncounted,
 * until the table is full; so a step finds the shapes of the one before. */
#define FEWEST_BUCKETS 64

static cr__shape **bucket_of(const cr_ctx *ctx, uint32_t hash)
{
    return (cr__shape **)ctx->shape_table.at + (hash & (ctx->shape_buckets - 1));
}

static uint32_t hash_dims(const cr_dims *dims)
{
    uint64_t hash = (uint64_t)dims->n;
    for (int i = 0; i < dims->n; i++) {
        hash = (hash ^ (uint64_t)dims->v[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

/* Takes out what nothing refers to. */
static void sweep_shapes(cr_ctx *ctx)
{
    ctx->plan_bytes = 0; /* keys know shapes by their addresses */
    for (size_t i = 0; i < ctx->shape_buckets; i++) {
        cr__shape **link = bucket_of(ctx, (uint32_t)i), *shape;
        while ((shape = *link)) {
            if (shape->refs) {
                link = &shape->next;
                continue;
            }
            *link = shape->next;
            ctx->n_shapes--;
            ctx->memory.kept -=
                ctx->shapes.size; /* it was counted when it was released */
            cr__slab_free(&ctx->memory, &ctx->shapes, shape);
        }
    }
}

/* Each chain comes apart into two. */
static bool more_buckets(cr_ctx *ctx)
{
    size_t old = ctx->shape_buckets, n = old ? 2 * old : FEWEST_BUCKETS;
    if (!cr__list_reserve(ctx, &ctx->shape_table, n * sizeof(cr__shape *)))
        return false;
    ctx->shape_buckets = n;
    for (size_t i = 0; i < old; i++) {
        cr__shape *chain = *bucket_of(ctx, (uint32_t)i);
        *bucket_of(ctx, (uint32_t)i) = *bucket_of(ctx, (uint32_t)(i + old)) = NULL;
        for (cr__shape *shape; (shape = chain);) {
            cr__shape **bucket = bucket_of(ctx, shape->hash);
            chain = shape->next;
            shape->next = *bucket;
            *bucket = shape;
        }
    }
    return true;
}

/* Sweeping pays for itself: at least half as many shapes as there are buckets come before the
 * next time. */
static bool make_room(cr_ctx *ctx)
{
    if (ctx->n_shapes < ctx->shape_buckets)
        return true;
    sweep_shapes(ctx);
    return ctx->n_shapes < ctx->shape_buckets / 2 || more_buckets(ctx);
}

static cr__shape *new_shape(cr_ctx *ctx, const cr_dims *dims, uint32_t hash)
{
    cr__shape *shape = make_room(ctx) ? cr__slab_new(ctx, &ctx->shapes) : NULL;
    if (!shape)
        return NULL;
    cr__shape **bucket = bucket_of(ctx, hash);
    *shape = (cr__shape){
        .refs = 1, .numel = 1, .ndim = dims->n, .hash = hash, .next = *bucket
    };
    for (int i = 0; i < dims->n; i++) {
        shape->dims[i] = dims->v[i];
        shape->numel *= dims->v[i];
    }
    *bucket = shape;
    ctx->n_shapes++;
    return shape;
}

cr__shape *cr__shape_of(cr_ctx *ctx, cr_dims dims)
{
    uint32_t hash = hash_dims(&dims);
    cr__shape *shape = ctx->shape_buckets ? *bucket_of(ctx, hash) : NULL;
    while (shape && !(shape->hash == hash && cr__has_dims(shape, &dims)))
        shape = shape->next;
    if (!shape)
        return new_shape(ctx, &dims, hash);
    if (!shape->refs) {
        if (!cr__may_use(&ctx->memory, ctx->shapes.size)) {
            cr__fail_limit(ctx, ctx->shapes.size);
            return NULL;
        }
        ctx->memory.kept -= ctx->shapes.size;
    }
    shape->refs++;
    return shape;
}

/* ---- rules ---- */

bool cr__resolve_dim(cr_infer *infer, int64_t *dim, int ndim)
{
    int64_t rank = ndim ? ndim : 1;
    if (*dim >= -rank && *dim < rank) {
        *dim += *dim < 0 ? rank : 0;
        return true;
    }
    cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                "dim %lld of a tensor with %d dimensions; from %lld to %lld",
                (long long)*dim, ndim, (long long)-rank, (long long)rank - 1);
    return false;
}

bool cr__resolve_dims(cr_infer *infer, cr_dims *dims, int ndim)
{
    bool used[CR_MAX_DIMS] = { false };
    if (!dims->given)
        for (dims->n = 0; dims->n < ndim; dims->n++)
            dims->v[dims->n] = dims->n;
    dims->given = true;
    if (dims->n < 0 || dims->n > CR_MAX_DIMS) {
        cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL, "%d dims; at most %d",
                    dims->n, CR_MAX_DIMS);
        return false;
    }
    for (int i = 0; i < dims->n; i++) {
        if (!cr__resolve_dim(infer, &dims->v[i], ndim))
            return false;
        if (used[dims->v[i]]) {
            cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                        "dim %lld is named twice", (long long)dims->v[i]);
            return false;
        }
        used[dims->v[i]] = true;
    }
    dims->n = 0;
    for (int d = 0; d < ndim; d++)
        if (used[d])
            dims->v[dims->n++] = d;
    return true;
}

bool cr__dims_numel(cr_ctx *ctx, const cr_op *op, cr_dims dims, cr_dtype dtype,
                    int64_t *numel)
{
    int64_t bytes = (int64_t)cr_dtype_size(dtype);
    bool fits = true, empty = false;
    if (dims.n < 0 || dims.n > CR_MAX_DIMS) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "%d dimensions; a tensor has at most %d",
                    dims.n, CR_MAX_DIMS);
        return false;
    }
    for (int i = 0; i < dims.n; i++) {
        if (dims.v[i] < 0) {
            cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "a negative size in %s",
                        cr__dims_text(ctx, dims));
            return false;
        }
        empty |= dims.v[i] == 0;
    }
    /* Strides are products of some of the sizes: of an empty tensor too they must fit. */
    *numel = 1;
    for (int i = 0; i < dims.n && fits; i++)
        fits = dims.v[i] == 0 || (cr__size_mul(bytes, dims.v[i], &bytes) &&
                                  cr__size_mul(*numel, dims.v[i], numel));
    if (empty)
        *numel = 0;
    if (!fits)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "%s has more than 2^62 bytes",
                    cr__dims_text(ctx, dims));
    return fits;
}

bool cr__broadcast_dims(cr_dims a, cr_dims b, cr_dims *out)
{
    *out = a.n >= b.n ? a : b;
    out->given = true;
    for (int i = 1; i <= a.n && i <= b.n; i++) {
        int64_t p = a.v[a.n - i], q = b.v[b.n - i];
        if (p != q && p != 1 && q != 1)
            return false;
        out->v[out->n - i] = p == 1 ? q : p;
    }
    return true;
}

void cr__lay_out(const cr__shape *shape, int64_t *dims, int64_t *strides)
{
    int64_t stride = 1;
    for (int d = shape->ndim - 1; d >= 0; d--) {
        dims[d] = shape->dims[d];
        strides[d] = stride;
        stride *= shape->dims[d];
    }
}

void cr__layout_init(cr__layout *layout, const cr__shape *shape)
{
    layout->ndim = shape->ndim;
    layout->offset = 0;
    cr__lay_out(shape, layout->dims, layout->strides);
}

cr_tensor *cr__expand_to(cr_tensor *x, cr_dims dims)
{
    if (!x)
        return NULL;
    if (cr__has_dims(x->shape, &dims))
        return x;
    return cr_expand_at(x, dims, x->site);
}

/* ---- text ---- */

static char *next_text(cr_ctx *ctx)
{
    ctx->next_text = (ctx->next_text + 1) % CR__COUNT(ctx->texts);
    return ctx->texts[ctx->next_text];
}

const char *cr__dims_text(cr_ctx *ctx, cr_dims dims)
{
    char *text = next_text(ctx);
    size_t size = sizeof ctx->texts[0], length = 1;
    text[0] = '[';
    for (int i = 0; i < dims.n && i < CR_MAX_DIMS && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? ", " : "",
                                   (long long)dims.v[i]);
    if (length < size)
        snprintf(text + length, size - length, "]");
    return text;
}

const char *cr__shape_text(const cr_tensor *x)
{
    return cr__dims_text(x->ctx, cr_shape(x));
}

const char *cr__number_text(cr_ctx *ctx, cr_arg number)
{
    char *text = next_text(ctx);
    size_t size = sizeof ctx->texts[0];
    if (number.kind == CR_ARG_REAL)
        cr__format(text, size, "%g", number.v.real);
    else if (number.kind == CR_ARG_INT)
        snprintf(text, size, "%lld", (long long)number.v.i);
    else
        snprintf(text, size, "%llu", (unsigned long long)number.v.u);
    return text;
}

const char *cr__released_text(const cr_tensor *x)
{
    cr_ctx *ctx = x->ctx;
    char *text = next_text(ctx);
    size_t size = sizeof ctx->texts[0];
    if (x->ended && !x->given_back)
        snprintf(text, size, "released with its scope: made at %s, it ended at %s",
                 x->site, x->ended);
    else
        snprintf(text, size, "released: made at %s", x->site);
    return text;
}
