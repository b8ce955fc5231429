/* What the operations on index tensors share. */
#include "pick.h"
#include <string.h>

cr_status cr__check_indices(const cr_kernel *kernel, int64_t dim)
{
    const cr_array *index = &kernel->in[1];
    int64_t size = cr__size_at(&kernel->in[0].dims, dim), at;
    int64_t i = cr__index_outside(index, size, NULL, &at);
    char place[160];
    if (i < 0)
        return CR_OK;
    snprintf(kernel->message, kernel->capacity,
             "index %lld at %s is outside dim %lld, which has size %lld%s", (long long)at,
             cr__place_text(index, i, place, sizeof place), (long long)dim,
             (long long)size, at < 0 ? " (indices do not count from the end)" : "");
    return CR_ERR_INDEX;
}

cr_status cr__check_along_dim(const cr_kernel *kernel)
{
    return cr__check_indices(kernel, ((const cr__dim_attrs *)kernel->attrs)->dim);
}

#define ADD(T, U)                   \
    for (int64_t i = 0; i < n; i++) \
    ((T *)to)[at + i] =             \
        (T)((U)((T *)to)[at + i] + (U)alpha * (U)((const T *)from)[first + i])

void cr__add_integers(cr_dtype dtype, void *to, int64_t at, const void *from,
                      int64_t first, int64_t n, int64_t alpha)
{
    if (dtype == CR_I64)
        ADD(int64_t, uint64_t);
    else if (dtype == CR_I32)
        ADD(int32_t, uint32_t);
    else
        ADD(uint8_t, uint32_t);
}

/* ---- shape rules ---- */

bool cr__addable(cr_infer *infer)
{
    cr_dtype x = infer->in_dtype[0], src = infer->in_dtype[2];
    if (x == src && (cr__is_float(x) || cr__is_int(x)))
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                "x is %s and what is added %s, not numbers of one type", cr_dtype_name(x),
                cr_dtype_name(src));
    return false;
}

static int rank_of(const cr_dims *dims)
{
    return dims->n ? dims->n : 1;
}

cr_status cr__pick_shape(cr_infer *infer, int64_t *dim)
{
    const cr_dims *x = &infer->in_dims[0], *index = &infer->in_dims[1];
    bool fits = rank_of(x) == rank_of(index), empty = false;
    if (!cr__index_dtype(infer, 1))
        return CR_ERR_DTYPE;
    if (!cr__resolve_dim(infer, dim, x->n))
        return CR_ERR_SHAPE;
    for (int i = 0; i < index->n; i++) {
        empty = empty || index->v[i] == 0;
        fits = fits && (i == *dim || index->v[i] <= cr__size_at(x, i));
    }
    if (!fits && !empty)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "index %s does not fit into x %s outside dim %lld",
                           cr__dims_text(infer->ctx, *index),
                           cr__dims_text(infer->ctx, *x), (long long)*dim);
    if (infer->n < 3 || empty)
        return CR_OK;
    const cr_dims *src = &infer->in_dims[2];
    fits = rank_of(src) == rank_of(index);
    for (int i = 0; i < index->n && fits; i++)
        fits = index->v[i] <= cr__size_at(src, i);
    if (fits)
        return CR_OK;
    return cr__op_fail(
        infer->ctx, infer->op, CR_ERR_SHAPE, NULL, "index %s does not fit into src %s",
        cr__dims_text(infer->ctx, *index), cr__dims_text(infer->ctx, *src));
}

/* ---- the walk ---- */

cr__pick cr__pick_begin(const cr_kernel *kernel, const cr_array *each,
                        const cr_array *other, int64_t dim)
{
    const cr_array *index = &kernel->in[1];
    cr__pick w = { .kernel = kernel, .dim = (int)dim, .axis = -1 };
    w.ndim = rank_of(&index->dims);
    w.step = cr__stride_at(other, dim);
    for (int i = w.ndim - 1; i >= 0; i--) {
        w.dims[i] = cr__size_at(&index->dims, i);
        w.index.strides[i] = cr__stride_at(index, i);
        w.each.strides[i] = cr__stride_at(each, i);
        w.other.strides[i] = i == dim ? 0 : cr__stride_at(other, i);
        if (i != dim && (w.axis < 0 || w.dims[i] >= w.dims[w.axis]))
            w.axis = i;
    }
    w.chunks =
        w.axis < 0 ? 1 : cr__kernel_chunks(kernel, 2 * index->numel, w.dims[w.axis]);
    w.axis = w.axis < 0 ? 0 : w.axis;
    return w;
}

cr__pick_place cr__pick_at(const cr__pick *w, const int64_t *at)
{
    cr__pick_place p = { 0, 0, 0 };
    for (int i = 0; i < w->ndim; i++) {
        p.index += at[i] * w->index.strides[i];
        p.each += at[i] * w->each.strides[i];
        p.other += at[i] * w->other.strides[i];
    }
    return p;
}

#define PLACES(T)                                   \
    for (int64_t k = 0; k < n; k++, first += along) \
    places[k] = first + (int64_t)((const T *)index)[k] * step

void cr__pick_others(const cr__pick *w, cr__pick_place p, int64_t i, int64_t n,
                     int64_t *places)
{
    const cr_array *x = &w->kernel->in[1];
    const int64_t along = w->other.strides[w->ndim - 1], step = w->step;
    const void *index =
        (const char *)x->data + (p.index + i) * (int64_t)cr_dtype_size(x->dtype);
    int64_t first = p.other + i * along;
    if (x->dtype == CR_I64)
        PLACES(int64_t);
    else if (x->dtype == CR_I32)
        PLACES(int32_t);
    else
        PLACES(uint8_t);
}

static void pick_chunk(void *arg, int64_t chunk, int worker)
{
    const cr__pick *w = arg;
    int last = w->ndim - 1;
    int64_t begin, end, rows = 1, dims[CR_MAX_DIMS], from[CR_MAX_DIMS] = { 0 };
    (void)worker;
    memcpy(dims, w->dims, sizeof dims);
    cr__part(dims[w->axis], 1, chunk, w->chunks, &begin, &end);
    dims[w->axis] = end - begin;
    from[w->axis] = begin;
    for (int i = 0; i < last; i++)
        rows *= dims[i];
    for (int64_t row = 0; row < rows && dims[last] > 0; row++) {
        int64_t at[CR_MAX_DIMS], left = row;
        at[last] = from[last];
        for (int i = last - 1; i >= 0; i--) {
            at[i] = from[i] + left % dims[i];
            left /= dims[i];
        }
        w->row(w, cr__pick_at(w, at), dims[last]);
    }
}

void cr__pick_all(cr__pick *w, cr__pick_row *row)
{
    w->row = row;
    cr_kernel_chunks(w->kernel, w->chunks, pick_chunk, w);
}

/* ---- gradients ---- */

cr_tensor *cr__pick_source(cr_tensor *g, cr_tensor *src)
{
    cr_dims want = cr_shape(src);
    if (cr_numel(g) == 0)
        return cr_zeros_like(src);
    if (cr_ndim(g) != want.n)
        g = cr_reshape(g, want.n ? CR_DIMS(1) : CR_NO_DIMS);
    for (int d = 0; d < want.n; d++) {
        cr_dims dims = cr_shape(g);
        int64_t n = dims.v[d];
        dims.v[d] = want.v[d];
        if (n < want.v[d])
            g = cr_slice_scatter(cr_zeros(cr_ctx_of(g), dims, .dtype = cr_dtype_of(g)), g,
                                 d, 0, n);
    }
    return g;
}

/* Positions are scattered, of which the last stay, and looked up again. */
cr_tensor *cr__pick_last(cr_tensor *index, cr_dims dims, int64_t dim)
{
    cr_ctx *ctx = cr_ctx_of(index);
    cr_dims shape = cr_shape(index), along = shape;
    int64_t n = cr__size_at(&shape, dim);
    for (int i = 0; i < along.n; i++)
        along.v[i] = i == dim ? n : 1;
    cr_tensor *places = cr_arange(ctx, 0, n, 1, .dtype = CR_I64);
    places = cr__expand_to(cr_reshape(places, along), shape);
    cr_tensor *found =
        cr_scatter(cr_zeros(ctx, dims, .dtype = CR_I64), (int)dim, index, places);
    return cr_eq(cr_gather(found, (int)dim, index), places);
}
