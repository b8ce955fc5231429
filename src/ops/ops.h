/* What the families of operations share. A family is a file of table entries that ends
 * with the list of them; operations are called through the public functions, inside
 * composites and vjps too (the context's site then overrides the one of the macro). */
#ifndef CR_OPS_OPS_H
#define CR_OPS_OPS_H

#include "../graph/graph.h"

/* ---- the families: lists that end with NULL ---- */

extern const cr_op *const cr__ops_unary[];
extern const cr_op *const cr__ops_binary[];
extern const cr_op *const cr__ops_create[];
extern const cr_op *const cr__ops_random[];
extern const cr_op *const cr__ops_reduce[];
extern const cr_op *const cr__ops_view[];
extern const cr_op *const cr__ops_slice[];
extern const cr_op *const cr__ops_contract[];
extern const cr_op *const cr__ops_index[];
extern const cr_op *const cr__ops_loss[];
extern const cr_op *const cr__ops_norm[];

/* ---- attribute tables ---- */

/* cr_attr.initial of lists whose default is "not given", a zeroed struct. */
#define CR__NOT_GIVEN ""

/* The rows of reductions, T being the attribute struct, whose first member, `reduce`, is
 * cr__reduce_attrs. */
#define CR__REDUCE_ROWS(T)                                                     \
    { "dim", CR_ATTR_DIMS, offsetof(T, reduce.dim), CR__NOT_GIVEN, NULL, 0 },  \
    {                                                                          \
        "keepdim", CR_ATTR_BOOL, offsetof(T, reduce.keepdim), "false", NULL, 0 \
    }

/* ---- dims ---- */

CR__INLINE bool cr__dims_equal(cr_dims a, cr_dims b)
{
    bool equal = a.n == b.n;
    for (int i = 0; equal && i < a.n; i++)
        equal = a.v[i] == b.v[i];
    return equal;
}

CR__INLINE void cr__dims_remove(cr_dims *dims, int at)
{
    dims->n--;
    for (int i = at; i < dims->n; i++)
        dims->v[i] = dims->v[i + 1];
}

/* There is room for another one. */
CR__INLINE void cr__dims_insert(cr_dims *dims, int at, int64_t size)
{
    for (int i = dims->n++; i > at; i--)
        dims->v[i] = dims->v[i - 1];
    dims->v[at] = size;
}

/* dims without those listed (resolved, ascending), or with size 1 there: the shape of a
 * reduction. */
cr_dims cr__reduced_dims(cr_dims dims, cr_dims over, bool keepdim);

/* How many elements are reduced to one. */
int64_t cr__reduced_count(cr_dims dims, cr_dims over);

/* r, the result of a reduction of something of shape dims, or its cotangent, repeated to
 * dims. */
cr_tensor *cr__spread(cr_tensor *r, cr_dims dims, const cr__reduce_attrs *attrs);

/* ---- dtypes and shape rules ---- */

CR__INLINE bool cr__is_int(cr_dtype dtype)
{
    return dtype == CR_I64 || dtype == CR_I32 || dtype == CR_U8;
}

/* The default (f32) for 0, then the result's dtype; an error if its bit, 1u << dtype, is
 * not among those allowed. */
cr_status cr__resolve_dtype(cr_infer *infer, cr_dtype *dtype, unsigned allowed);

/* A bool, shaped like the first input. */
cr_status cr__shape_bool(cr_infer *infer);

/* ---- bodies ---- */

/* The kinds' part of an entry: .internal = CR__MAP_OF(exp, .dtypes = CR__FLOATS). */
#define CR__MAP_OF(name, ...) (&(const cr__map){ .code = CR__MAP_##name, __VA_ARGS__ })

#endif
