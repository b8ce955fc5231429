/* What the families of operations share. A family is a file of entries, listed in ops.inc;
 * operations are called through the public functions, inside
 * composites and vjps too (the context's site then overrides the one of the macro). */
#ifndef CR_OPS_OPS_H
#define CR_OPS_OPS_H

#include "../graph/graph.h"

/* ---- entries ---- */

#define OP(NAME)       extern const cr_op cr__op_##NAME;
#define INTERNAL(NAME) OP(NAME)
#include "ops.inc"

enum {
#define OP(NAME)       CR__LISTED_##NAME = 1,
#define INTERNAL(NAME) OP(NAME)
#include "ops.inc"
};

/* Opens an operation's entry: CR__OP(exp) = { .name = "exp", .. }; it is cr__op_exp then, and a
 * row of ops.inc. */
#define CR__OP(NAME)                                       \
    _Static_assert(CR__LISTED_##NAME, "a row of ops.inc"); \
    const cr_op cr__op_##NAME

/* .attrs and .samples of an entry: the rows, CR__ATTR(..), and { inputs, attributes }. */
#define CR__ATTRS(...)   ((const cr_attr[]){ __VA_ARGS__, CR__ATTRS_END })
#define CR__SAMPLES(...) ((const cr_sample[]){ __VA_ARGS__, { NULL, NULL } })

/* The library's operations that cr_op_list() leaves out; NULL past the last. */
const cr_op *cr__op_internal(int i);

/* ---- attribute tables ---- */

/* A row: CR__ATTR(slice_attrs, step, INT, .initial = "1", .flags = CR_ATTR_POSITIVE). The
 * member has the attribute's name. */
#define CR__ATTR(T, member, TYPE, ...)                                          \
    {                                                                           \
        .name = #member, .type = CR_ATTR_##TYPE, .offset = offsetof(T, member), \
        __VA_ARGS__                                                             \
    }
#define CR__ATTRS_END \
    {                 \
        .name = NULL  \
    }

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

/* Resolves the dims of a reduction: none listed means all, as in PyTorch. False with the
 * error. */
bool cr__resolve_over(cr_infer *infer, cr_dims *dims, int ndim);

/* How many elements are reduced to one. */
int64_t cr__reduced_count(cr_dims dims, cr_dims over);

/* r, the result of a reduction of something of shape dims, or its cotangent, repeated to
 * dims. */
cr_tensor *cr__spread(cr_tensor *r, cr_dims dims, const cr__reduce_attrs *attrs);

/* g, the cotangent of value, which some elements of x are equal to: shared evenly by them. */
cr_tensor *cr__shared_by_ties(cr_tensor *x, cr_tensor *value, cr_tensor *g,
                              const cr__reduce_attrs *attrs);

/* x with the dims listed (resolved, ascending) as one, its last; *order: its dims before that. */
cr_tensor *cr__merged_last(cr_tensor *x, cr_dims over, cr_dims *order);

/* For each element the product of the others that are reduced with it: dims resolved. */
cr_tensor *cr__cofactors(cr_tensor *x, cr_dims over);

/* ---- values and places ---- */

/* What a composite gives that picks elements of x along dim: what is at `places`, and these;
 * with the dim, which has size 1, dropped if asked for. Returns 2, or -1 after an error. */
int cr__picked(cr_tensor *x, int dim, cr_tensor *places, bool drop, cr_tensor **outputs,
               int capacity);

/* Records an operation of one input and two results: the first, and the other through `second`,
 * unless that is NULL. */
cr_tensor *cr__record_pair(const cr_op *op, cr_tensor *x, const void *attrs,
                           cr_tensor **second, const char *site);

/* ---- moments ---- */

/* x without its mean over the dims, which is subtracted twice: rounded, and what that leaves
 * of it. *mean (may be NULL) is their sum, with the dims kept. */
cr_tensor *cr__centred(cr_tensor *x, cr_dims dim, cr_tensor **mean);

/* sum x^2 / max(0, count - correction), 1 / sqrt(sum x^2 / count + eps) with the dims
 * kept, and sqrt(sum x^2 / divisor): squares overflow or vanish only if the result does. */
cr_tensor *cr__mean_square(cr_tensor *x, cr_dims dim, bool keepdim, double correction);
cr_tensor *cr__rrms(cr_tensor *x, cr_dims dim, double eps);
cr_tensor *cr__euclidean(cr_tensor *x, cr_dims dim, bool keepdim, double divisor);

/* x - largest, the largest of x in its row, and 0 where both are infinite; x y, and 0 where x
 * is 0, whatever y. */
cr_tensor *cr__below_largest(cr_tensor *x, cr_tensor *largest);
cr_tensor *cr__zero_times(cr_tensor *x, cr_tensor *y);

/* ---- values ---- */

typedef enum cr__rule_of_values {
    CR__DIVISOR,       /* integers, none of them 0 */
    CR__PROBABILITY_X, /* 0 to 1 */
    CR__PROBABILITY_TARGET,
    CR__VARIANCE /* not below 0 */
} cr__rule_of_values;

/* x, or an error of the run where the rule does not hold. */
cr_tensor *cr__require(cr_tensor *x, cr__rule_of_values rule);

/* ---- parameters, numbers or tensors ---- */

/* The operand as a tensor: a number becomes one of rank 0, of the type of `like`. NULL if it is
 * absent, or with the error. */
cr_tensor *cr__as_tensor(cr_arg a, cr_tensor *like, const char *site);

/* An operation on two of which one at least is a tensor. */
cr_tensor *cr__record_parameters(const cr_op *op, cr_arg a, cr_arg b, const char *site);

/* Both to their common shape; false with the error of that operation. */
bool cr__expand_both(cr_ctx *ctx, const cr_op *op, cr_tensor **a, cr_tensor **b);

/* ---- products ---- */

/* [.., m, k] @ [.., k, n], whose leading dimensions are equal. */
cr_tensor *cr__contract(cr_tensor *x, cr_tensor *y);

/* ---- dtypes and shape rules ---- */

/* Operands of one float type, as division has them: cr__map.prepare. Integers become f32. */
bool cr__prepare_floats(cr_ctx *ctx, const cr_op *op, cr_arg *x, int n);

CR__INLINE bool cr__is_int(cr_dtype dtype)
{
    return dtype == CR_I64 || dtype == CR_I32 || dtype == CR_U8;
}

/* The default (f32) for 0, then the result's dtype; an error if its bit, 1u << dtype, is
 * not among those allowed. */
cr_status cr__resolve_dtype(cr_infer *infer, cr_dtype *dtype, unsigned allowed);

/* Whether dtype is a float; the error if it is not. */
bool cr__takes_floats(cr_ctx *ctx, const cr_op *op, cr_dtype dtype);

/* Whether a list, which may be made by hand, is one. */
bool cr__good_list(cr_infer *infer, const char *name, const cr_dims *dims);

/* Whether the first input has a dimension that a dim, resolved, may be: not so for rank 0. */
bool cr__has_a_dim(cr_infer *infer);

/* Whether the two operands of a product are floats of one type; false with the error. */
bool cr__products_fit(cr_infer *infer);

/* A bool, shaped like the first input. */
cr_status cr__shape_bool(cr_infer *infer);

/* ---- bodies ---- */

/* The kinds' part of an entry: .internal = CR__MAP_OF(exp, .dtypes = CR__FLOATS). */
#define CR__MAP_OF(name, ...) (&(const cr__map){ .code = CR__MAP_##name, __VA_ARGS__ })

#endif
