/* Reading: what is known without computing, and what a run is needed for. */
#include "graph.h"

#include <string.h>

int cr_ndim(const cr_tensor *x)
{
    return cr__readable(x, "ndim") ? x->shape->ndim : 0;
}

int64_t cr_size(const cr_tensor *x, int dim)
{
    int ndim = cr__readable(x, "size") ? x->shape->ndim : 0;
    dim += dim < 0 ? ndim : 0;
    return dim >= 0 && dim < ndim ? x->shape->dims[dim] : -1;
}

/* Written where it is returned: a copy of what was just written in parts waits for them. */
cr_dims cr_shape(const cr_tensor *x)
{
    if (!cr__readable(x, "shape"))
        return (cr_dims){ .given = true };
    const int64_t *v = x->shape->dims;
    return (cr_dims){ .v = { v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7] },
                      .n = x->shape->ndim,
                      .given = true };
}

int64_t cr_numel(const cr_tensor *x)
{
    return cr__readable(x, "numel") ? x->shape->numel : 0;
}

cr_dtype cr_dtype_of(const cr_tensor *x)
{
    return cr__readable(x, "dtype_of") ? (cr_dtype)x->dtype : CR_DTYPE_DEFAULT;
}

cr_ctx *cr_ctx_of(const cr_tensor *x)
{
    return x ? x->ctx : NULL;
}

cr_status cr_eval_at(cr_tensor *const *xs, int n, const char *site)
{
    cr_ctx *ctx = NULL;
    for (int i = 0; i < n && xs && !ctx; i++)
        ctx = cr_ctx_of(xs[i]);
    if (!ctx)
        return n > 0 ? CR_ERR_NULL : n < 0 ? CR_ERR_ARGUMENT : CR_OK;
    cr__list *list = &ctx->targets;
    if (ctx->status != CR_OK || !cr__list_reserve(ctx, list, (size_t)n * sizeof *xs))
        return ctx->status;
    cr_tensor **targets = list->at;
    for (int i = 0; i < n; i++) {
        if (!cr__usable(ctx, xs[i], "eval", site))
            return ctx->status;
        targets[i] = cr__resolve(xs[i]);
        targets[i]->flags |= CR__KEEP | CR__READ;
    }
    cr__save_again(ctx);
    if (cr__run(ctx, targets, (size_t)n, true) != CR_OK)
        return ctx->status;
    for (int i = 0; i < n; i++)
        cr__settle(cr__resolve(xs[i]));
    cr__call_due_hooks(ctx);
    return ctx->status;
}

/* Whether a known node would be known in lazy mode too: it was read before, or belongs to
 * a leaf. Reading it commits nothing, and so cannot lose it: a committed gradient is
 * nobody's once another has replaced it. */
static bool lazily_known(const cr_tensor *node)
{
    return node->flags & CR__READ || (node->flags & CR__VERSION) ||
           (node->flags & CR__GRADIENT && node->flags & CR__CUT);
}

static cr_tensor *known(cr_tensor *x, const char *what);

/* A run has made hooks due, which may assign to x, or release it. */
static cr_tensor *known_behind_hooks(cr_tensor *x, const char *what)
{
    cr_ctx *ctx = x->ctx;
    cr__retain(x);
    bool called = cr__call_due_hooks(ctx);
    cr_tensor *node = cr__resolve(x);
    bool gone = x->refs == 1;
    if (called && !gone)
        node = known(x, what);
    cr__drop(x);
    if (gone)
        (void)cr__usable(ctx, x, what, NULL);
    return ctx->status == CR_OK ? node : NULL;
}

/* The node that holds the value of x, computed; NULL with the error. */
static cr_tensor *known(cr_tensor *x, const char *what)
{
    if (!x || !cr__usable(x->ctx, x, what, NULL))
        return NULL;
    cr_ctx *ctx = x->ctx;
    cr_tensor *node = cr__resolve(x);
    bool is_known = node->flags & CR__KNOWN;
    /* Eagerly computed values are read without a run; what is pending is committed as in
     * one, if lazily there were one. */
    if (is_known && ctx->eager && (ctx->dirty || ctx->traces) && !lazily_known(node))
        is_known = false;
    node->flags |= CR__KEEP | CR__READ;
    cr__save_again(ctx);
    if (!is_known && cr__run(ctx, &node, 1, true) != CR_OK)
        return NULL;
    cr__settle(node);
    return CR__UNLIKELY(ctx->accumulated != NULL) ? known_behind_hooks(x, what) : node;
}

static cr_tensor *known_single(cr_tensor *x, const char *what)
{
    if (x && cr__usable(x->ctx, x, what, NULL) && cr__numel(x) != 1) {
        cr_fail(x->ctx, CR_ERR_SHAPE,
                "%s: %s has %lld elements (%s); it reads the one element of a "
                "tensor",
                what, cr__shape_text(x), (long long)cr__numel(x), x->site);
        return NULL;
    }
    return known(x, what);
}

/* The one element of a known node of an integer type. */
static int64_t integer_of(const cr_tensor *node)
{
    int64_t wide = 0;
    int32_t narrow;
    uint8_t byte;
    if (node->dtype == CR_I64) {
        memcpy(&wide, &node->value, sizeof wide);
    } else if (node->dtype == CR_I32) {
        memcpy(&narrow, &node->value, sizeof narrow);
        wide = narrow;
    } else {
        memcpy(&byte, &node->value, sizeof byte);
        wide = byte;
    }
    return wide;
}

double cr_item(cr_tensor *x)
{
    const cr_tensor *node = known_single(x, "item");
    float narrow;
    uint16_t half;
    if (!node)
        return NAN;
    if (node->dtype == CR_F64)
        return node->value.scalar;
    if (cr__is_half((cr_dtype)node->dtype)) {
        memcpy(&half, &node->value, sizeof half);
        return cr__half_value((cr_dtype)node->dtype, half);
    }
    if (node->dtype != CR_F32)
        return cr__arg_double(cr_arg_int(integer_of(node)));
    memcpy(&narrow, &node->value, sizeof narrow);
    return (double)narrow;
}

int64_t cr_item_i64(cr_tensor *x)
{
    const cr_tensor *node = known_single(x, "item_i64");
    if (!node)
        return 0;
    if (!cr__is_float((cr_dtype)node->dtype))
        return integer_of(node);
    cr_fail(x->ctx, CR_ERR_DTYPE,
            "item_i64: %s is not an integer type (%s); see cr_item()",
            cr_dtype_name((cr_dtype)node->dtype), x->site);
    return 0;
}

const void *cr_data(cr_tensor *x)
{
    cr_tensor *node = known(x, "data");
    return node ? cr__value(node) : NULL;
}

cr_status cr_read_at(cr_tensor *x, void *dst, size_t bytes, const char *type,
                     const char *site)
{
    if (!x)
        return CR_ERR_NULL;
    if (!cr__usable(x->ctx, x, "read", site))
        return x->ctx->status;
    /* Bytes hold anything: their number is given. */
    if (!cr__type_fits(type, (cr_dtype)x->dtype) && !cr__type_fits(type, CR_U8))
        return cr_fail(x->ctx, CR_ERR_DTYPE,
                       "read: the destination is %s, and %s %s is not (%s); cr_cast() it",
                       type, cr_dtype_name((cr_dtype)x->dtype), cr__shape_text(x),
                       site ? site : "?");
    cr_tensor *node = known(x, "read");
    if (!node)
        return x->ctx->status;
    size_t wanted = (size_t)cr__numel(node) * cr_dtype_size((cr_dtype)node->dtype);
    if (bytes < wanted)
        return cr_fail(x->ctx, CR_ERR_ARGUMENT,
                       "read: %s %s has %zu bytes, and there is room for %zu (%s)",
                       cr_dtype_name((cr_dtype)node->dtype), cr__shape_text(node), wanted,
                       bytes, site ? site : "?");
    if (wanted && !dst)
        return cr_fail(x->ctx, CR_ERR_NULL, "read: the destination is NULL (%s)",
                       site ? site : "?");
    if (wanted)
        memcpy(dst, cr__value(node), wanted);
    return CR_OK;
}
