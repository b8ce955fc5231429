/* Shapes: the rules that operations share, and shapes as text. */
#include "../base/text.h"
#include "graph.h"

#include <stdio.h>
#include <string.h>

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

void cr__layout_init(cr__layout *layout, const cr__shape *shape)
{
    int64_t stride = 1;
    layout->ndim = shape->ndim;
    layout->offset = 0;
    for (int d = shape->ndim - 1; d >= 0; d--) {
        layout->dims[d] = shape->dims[d];
        layout->strides[d] = stride;
        stride *= shape->dims[d];
    }
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
