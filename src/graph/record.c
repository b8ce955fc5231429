/* Recording: from an operation and its operands to a node. */
#include "../base/text.h"
#include "graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FEW = 4 }; /* operands that need no memory */

/* One call of an operation on its way to a node. */
typedef struct call {
    cr_ctx *ctx;
    const cr_op *op;
    const char *site;
    cr_arg *operands;
    int n;
    cr_dtype *dtypes;
    cr_dims *dims;
    cr_arg few_operands[FEW];
    cr_dtype few_dtypes[FEW];
    cr_dims few_dims[FEW];
    void *memory;
    cr_tensor **outputs; /* of a composite: where its results belong */
    int capacity, count; /* how many fit, and how many there are */
} call;

/* ---- errors ---- */

cr_status cr__op_fail(cr_ctx *ctx, const cr_op *op, cr_status status, const char *advice,
                      const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    cr__vformat(what, sizeof what, format, args);
    va_end(args);
    return cr_fail(ctx, status, "%s: %s (%s)%s%s",
                   ctx->within ? ctx->within->name : op->name, what,
                   ctx->site ? ctx->site : "?", advice ? "; " : "", advice ? advice : "");
}

void cr__say_whose(cr_ctx *ctx, const char *name, const char *site)
{
    char why[sizeof ctx->message];
    bool named = strstr(ctx->message, name), placed = !site || strstr(ctx->message, site);
    memcpy(why, ctx->message, sizeof why);
    snprintf(ctx->message, sizeof ctx->message, "%s%s%.700s%s%.200s%s", named ? "" : name,
             named ? "" : ": ", why, placed ? "" : " (", placed ? "" : site,
             placed ? "" : ")");
}

void cr__say_for_what(const cr_tensor *x)
{
    cr_ctx *ctx = x->ctx;
    char why[sizeof ctx->message];
    memcpy(why, ctx->message, sizeof why);
    snprintf(ctx->message, sizeof ctx->message, "%s %s: %.900s (%s)", cr__called(x),
             cr__shape_text(x), why, x->site);
}

/* The last of the comma-separated names of inputs stands for all that follow. */
const char *cr__input_text(const cr_op *op, int i, char *text, size_t size)
{
    const char *at = op->inputs ? op->inputs : "", *next;
    for (int k = i; k > 0 && (next = strchr(at, ',')); k--)
        at = next + 1;
    if (*at)
        snprintf(text, size, "input %d (%.*s)", i, (int)strcspn(at, ","), at);
    else
        snprintf(text, size, "input %d", i);
    return text;
}

/* ---- operands ---- */

static bool check_count(const call *c)
{
    const cr_op *op = c->op;
    int least = op->min_inputs, most = op->max_inputs < 0       ? INT32_MAX
                                       : op->max_inputs > least ? op->max_inputs
                                                                : least;
    if (c->n >= least && c->n <= most)
        return true;
    cr__op_fail(c->ctx, op, CR_ERR_ARGUMENT, NULL, "%d inputs; it takes %s%d", c->n,
                most == least ? ""
                : c->n > most ? "at most "
                              : "at least ",
                c->n > most ? most : least);
    return false;
}

static bool check_tensor(const call *c, int i)
{
    const cr_tensor *x = c->operands[i].v.tensor;
    char name[64];
    if (!x) {
        if (i >= c->op->min_inputs && c->op->max_inputs >= 0)
            return true;
        cr__op_fail(c->ctx, c->op, CR_ERR_NULL, NULL, "%s is NULL",
                    cr__input_text(c->op, i, name, sizeof name));
        return false;
    }
    if (CR__LIKELY(cr__alive(x) && x->ctx == c->ctx))
        return true;
    bool gone = !cr__alive(x);
    cr__op_fail(c->ctx, c->op, CR_ERR_SCOPE,
                gone ? "cr_keep() moves a tensor to the enclosing scope" : NULL,
                gone ? "%s was %s" : "%s %s", cr__input_text(c->op, i, name, sizeof name),
                gone ? cr__released_text(x) : "belongs to another context");
    return false;
}

static bool check_inputs(call *c)
{
    if (!check_count(c))
        return false;
    for (int i = 0; i < c->n; i++) {
        cr_arg *a = &c->operands[i];
        if (a->kind == CR_ARG_NONE)
            *a = cr_arg_tensor(NULL);
        if (a->kind == CR_ARG_TENSOR) {
            if (!check_tensor(c, i))
                return false;
            if (a->v.tensor && c->op->kind != CR_OP_COMPOSITE)
                a->v.tensor = cr__resolve(a->v.tensor);
        } else if (c->op->kind != CR_OP_MAP) {
            cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT,
                        "cr_scalar() makes one of a number", "input %d must be a tensor",
                        i);
            return false;
        }
    }
    return true;
}

static cr_tensor *tensor_at(const call *c, int i)
{
    return c->operands[i].kind == CR_ARG_TENSOR ? c->operands[i].v.tensor : NULL;
}

/* ---- maps: equal dtypes, equal shapes ---- */

static bool check_number(const call *c, int i, cr_dtype dtype)
{
    const cr_arg *a = &c->operands[i];
    uint64_t bits;
    if (cr__number_store(*a, dtype, &bits))
        return true;
    cr__op_fail(c->ctx, c->op, CR_ERR_DTYPE, "cr_cast() the tensor",
                "%s is not a value of %s", cr__number_text(c->ctx, *a),
                cr_dtype_name(dtype));
    return false;
}

static bool accepts(const call *c, const cr__map *map, cr_dtype dtype)
{
    if (!map->dtypes || map->dtypes >> dtype & 1)
        return true;
    char takes[64] = "";
    for (int t = CR_F32; t < CR_DTYPES; t++)
        if (map->dtypes >> t & 1)
            snprintf(takes + strlen(takes), sizeof takes - strlen(takes), "%s%s",
                     takes[0] ? ", " : "", cr_dtype_name((cr_dtype)t));
    cr__op_fail(c->ctx, c->op, CR_ERR_DTYPE, "cr_cast() converts",
                "a %s tensor; it takes %s", cr_dtype_name(dtype), takes);
    return false;
}

/* Checks that all operands but the map's own have one dtype, which is returned; 0 on
 * failure. */
static cr_dtype common_dtype(const call *c, const cr__map *map)
{
    cr_dtype dtype = CR_DTYPE_DEFAULT;
    for (int i = 0; i < c->n; i++) {
        const cr_tensor *x = tensor_at(c, i);
        if (!x || map->own >> i & 1)
            continue;
        if (dtype && dtype != x->dtype) {
            cr__op_fail(c->ctx, c->op, CR_ERR_DTYPE, "cr_cast() one of them",
                        "dtypes differ: %s and %s", cr_dtype_name(dtype),
                        cr_dtype_name((cr_dtype)x->dtype));
            return CR_DTYPE_DEFAULT;
        }
        dtype = (cr_dtype)x->dtype;
    }
    if (!dtype) { /* where(condition, 1.0, 0.0) */
        dtype = CR_I64;
        for (int i = 0; i < c->n; i++)
            if (c->operands[i].kind == CR_ARG_REAL)
                dtype = CR_F32;
    }
    if (!accepts(c, map, dtype))
        return CR_DTYPE_DEFAULT;
    for (int i = 0; i < c->n; i++)
        if (c->operands[i].kind != CR_ARG_TENSOR && !check_number(c, i, dtype))
            return CR_DTYPE_DEFAULT;
    return dtype;
}

/* Expands the tensors among the operands to their common shape. */
static bool broadcast(call *c)
{
    cr_dims common;
    const cr_tensor *first = NULL;
    bool equal = true;
    for (int i = 0; i < c->n; i++) {
        const cr_tensor *x = tensor_at(c, i);
        if (x && !first)
            first = x;
        else if (x && x->shape != first->shape)
            equal = false;
    }
    if (equal)
        return true;
    common = cr_shape(first);
    for (int i = 0; i < c->n; i++) {
        const cr_tensor *x = tensor_at(c, i);
        if (x && !cr__broadcast_dims(common, cr_shape(x), &common)) {
            cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE,
                        "aligned at the last dimension, sizes must be equal or 1",
                        "shapes do not broadcast: %s and %s", cr__shape_text(first),
                        cr__shape_text(x));
            return false;
        }
    }
    for (int i = 0; i < c->n; i++) {
        cr_tensor *x = tensor_at(c, i);
        if (x && !(c->operands[i].v.tensor = cr__expand_to(x, common)))
            return false;
    }
    return true;
}

/* ---- the node ---- */

static void free_call(call *c)
{
    cr__pooled_free(c->memory);
}

/* Copies the operands, since preparing changes them. */
static bool init_call(call *c, cr_ctx *ctx, const cr_op *op, const cr_arg *operands,
                      int n)
{
    c->ctx = ctx;
    c->op = op;
    c->n = n;
    c->memory = NULL;
    c->count = 1;
    c->operands = c->few_operands;
    c->dtypes = c->few_dtypes;
    c->dims = c->few_dims;
    if (n > FEW) {
        size_t count = (size_t)n;
        c->memory = cr__pooled_new(
            ctx, count * (sizeof(cr_arg) + sizeof(cr_dims) + sizeof(cr_dtype)));
        if (!c->memory)
            return false;
        c->operands = c->memory;
        c->dims = (cr_dims *)(void *)(c->operands + n);
        c->dtypes = (cr_dtype *)(void *)(c->dims + n);
    }
    if (n > 0)
        memcpy(c->operands, operands, (size_t)n * sizeof *operands);
    return true;
}

static cr_tensor *first_tensor(const call *c)
{
    cr_tensor *first = NULL;
    for (int i = 0; i < c->n && !first; i++)
        first = tensor_at(c, i);
    return first;
}

/* Asks the shape rule. dims of numbers are those of the tensors. */
static bool infer_shape(call *c, cr_dtype common, void *attrs, cr_dtype *dtype,
                        cr_dims *dims)
{
    const cr_tensor *first = first_tensor(c);
    for (int i = 0; i < c->n; i++) {
        const cr_tensor *x = tensor_at(c, i);
        const bool number = c->operands[i].kind != CR_ARG_TENSOR;
        const cr_tensor *like = number ? first : x;
        c->dtypes[i] = x ? (cr_dtype)x->dtype : number ? common : CR_DTYPE_DEFAULT;
        if (!like) {
            c->dims[i] = CR_NO_DIMS;
            continue;
        }
        memcpy(c->dims[i].v, like->shape->dims, sizeof like->shape->dims);
        c->dims[i].n = like->shape->ndim;
        c->dims[i].given = true;
    }
    cr_infer infer = { .ctx = c->ctx,
                       .op = c->op,
                       .n = c->n,
                       .in_dtype = c->dtypes,
                       .in_dims = c->dims,
                       .attrs = attrs,
                       .dtype = c->n ? c->dtypes[0] : CR_F32,
                       .dims = c->n ? c->dims[0] : CR_NO_DIMS };
    int64_t numel;
    const char *busy = c->ctx->busy;
    c->ctx->busy = "a shape rule";
    cr_status status = c->op->shape(&infer);
    c->ctx->busy = busy;
    if (status != CR_OK && c->ctx->status == CR_OK)
        cr__op_fail(c->ctx, c->op, status, NULL, "the inputs do not fit");
    else if (c->ctx->status != CR_OK)
        cr__say_whose(c->ctx, c->ctx->within ? c->ctx->within->name : c->op->name,
                      c->site);
    if (c->ctx->status == CR_OK && !cr_dtype_size(infer.dtype))
        cr__op_fail(c->ctx, c->op, CR_ERR_DTYPE, NULL, "its shape rule gives no dtype");
    *dtype = infer.dtype;
    *dims = infer.dims;
    return c->ctx->status == CR_OK &&
           cr__dims_numel(c->ctx, c->op, infer.dims, infer.dtype, &numel);
}

/* A reference to the shape dims: an input's, if it is the same. */
static cr__shape *shape_of(const call *c, const cr_dims *dims)
{
    for (int i = 0; i < c->n && i < FEW; i++) {
        const cr_tensor *x = tensor_at(c, i);
        if (x && cr__has_dims(x->shape, dims)) {
            x->shape->refs++;
            return x->shape;
        }
    }
    return cr__shape_of(c->ctx, *dims);
}

/* That of an operation without a shape rule. */
static cr__shape *shape_of_first(const call *c, cr_dtype *dtype)
{
    const cr_tensor *first = first_tensor(c);
    if (!first) {
        cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT, NULL,
                    "no input to take the shape from, and no shape rule");
        return NULL;
    }
    *dtype = (cr_dtype)first->dtype;
    first->shape->refs++;
    return first->shape;
}

/* *flags gets those of all inputs. */
static bool attach_inputs(cr_tensor *x, const call *c, unsigned *flags)
{
    bool barred = false;
    *flags = 0;
    if (c->n > 3) {
        x->in[0].list = cr__pooled_new(c->ctx, (size_t)c->n * sizeof(cr_tensor *));
        if (!x->in[0].list)
            return false;
    }
    unsigned kinds = 0;
    x->n_inputs = c->n;
    for (int i = 0; i < c->n; i++) {
        const cr_arg *a = &c->operands[i];
        cr_tensor *in = tensor_at(c, i);
        if (in) {
            cr__retain(in);
            cr__count_reader(in, 1);
            *flags |= in->flags;
            barred |= in->barred;
            /* Another name for a value is no use of it. */
            if (c->op != &cr__op_detach)
                in->flags |= CR__CONSUMED;
        }
        if (c->n > 3) {
            x->in[0].list[i] = in;
            continue;
        }
        kinds |= ((unsigned)a->kind - CR_ARG_TENSOR) << 2 * i;
        x->in[i].u = a->v.u;
    }
    x->kinds = (uint8_t)kinds;
    cr__set_pending(x, true);
    x->barred = barred;
    return true;
}

/* Whether gradients flow through the node, whose inputs have these flags; if so, what its
 * vjp reads is saved for it. */
static void note_gradient(cr_tensor *x, unsigned inputs)
{
    if (CR__UNLIKELY(x->ctx->recomputes)) {
        cr__mark_recomputed(x);
        cr__save(x);
    }
    if (!(inputs & CR__NEEDS_GRAD))
        return;
    if (x->ctx->no_grad || !x->op->vjp || !cr__is_float((cr_dtype)x->dtype)) {
        x->barred = true;
        return;
    }
    x->flags |= CR__NEEDS_GRAD;
    if (!x->recomputed)
        cr__save(x);
}

/* Takes over attrs, also on failure. */
static cr_tensor *make_node(call *c, cr_dtype dtype, cr__shape *shape, void *attrs)
{
    cr_tensor *x = cr__node_new(c->ctx, dtype, shape, c->site);
    if (!x) {
        cr__attrs_free(c->ctx, attrs, c->op->attrs_size);
        return NULL;
    }
    x->op = c->op;
    x->attrs = attrs;
    unsigned flags;
    if (!attach_inputs(x, c, &flags)) {
        x->flags |= CR__FAILED;
        return NULL;
    }
    note_gradient(x, flags);
    return x;
}

cr_tensor *cr__record_again(const cr_tensor *x, const cr_arg *operands, cr_dtype dtype)
{
    call c = { .ctx = x->ctx,
               .op = x->op,
               .site = x->site,
               .operands = (cr_arg *)(uintptr_t)operands,
               .n = x->n_inputs };
    void *attrs = NULL;
    if (x->attrs && !(attrs = cr__attrs_new(x->ctx, x->op->attrs_size)))
        return NULL;
    if (attrs)
        memcpy(attrs, x->attrs, x->op->attrs_size);
    x->shape->refs++;
    return make_node(&c, dtype, x->shape, attrs);
}

/* What preparing records has the operation's name, as the parts of a composite have. */
static bool prepare(call *c, const cr__map *map)
{
    const cr_op *outer = c->ctx->within;
    if (!map->prepare)
        return true;
    if (!outer)
        c->ctx->within = c->op;
    bool done = map->prepare(c->ctx, c->op, c->operands, c->n);
    c->ctx->within = outer;
    return done;
}

static cr_tensor *record_node(call *c, const void *attrs)
{
    const cr_op *op = c->op;
    cr_dtype common = CR_DTYPE_DEFAULT, dtype;
    void *copy = NULL;
    if (op->kind == CR_OP_MAP) {
        const cr__map *map = op->internal;
        if (!prepare(c, map))
            return NULL;
        if (c->n &&
            ((common = common_dtype(c, map)) == CR_DTYPE_DEFAULT || !broadcast(c)))
            return NULL;
    }
    if (op->attrs_size) {
        if (!(copy = cr__attrs_new(c->ctx, op->attrs_size)))
            return NULL;
        if (attrs)
            memcpy(copy, attrs, op->attrs_size);
        else
            memset(copy, 0, op->attrs_size);
    }
    cr__shape *shape = NULL;
    if (op->shape) {
        cr_dims dims;
        if (infer_shape(c, common, copy, &dtype, &dims))
            shape = shape_of(c, &dims);
    } else {
        shape = shape_of_first(c, &dtype);
    }
    if (!shape) {
        cr__attrs_free(c->ctx, copy, op->attrs_size);
        return NULL;
    }
    return make_node(c, dtype, shape, copy);
}

/* How many of several results there was room for. */
static int written(const call *c)
{
    return c->count < c->capacity ? c->count : c->capacity;
}

/* Of several results the first, or NULL if there are none. */
static cr_tensor *expand_all(call *c, cr_tensor *const *inputs, const void *attrs)
{
    c->outputs[0] = NULL;
    c->count = c->op->expand_all(c->ctx, inputs, c->n, attrs, c->outputs, c->capacity);
    return c->count > 0 ? c->outputs[0] : NULL;
}

static cr_tensor *expand_composite(call *c, const void *attrs)
{
    cr_tensor *few[FEW], **inputs = few, *x = NULL;
    if (c->n > FEW) {
        inputs = cr__pooled_new(c->ctx, (size_t)c->n * sizeof *inputs);
        if (!inputs)
            return NULL;
    }
    for (int i = 0; i < c->n; i++)
        inputs[i] = tensor_at(c, i);
    cr__scope *floor = cr__floor_set(c->ctx);
    x = c->op->expand_all ? expand_all(c, inputs, attrs)
                          : c->op->expand(c->ctx, inputs, c->n, attrs);
    cr__floor_end(c->ctx, floor, c->op->name);
    if (inputs != few)
        cr__pooled_free(inputs);
    if (!x && c->count != 0 && c->ctx->status == CR_OK)
        cr__op_fail(c->ctx, c->op, CR_ERR_NULL, NULL, "its expansion gave nothing");
    else if (!x)
        cr__say_whose(c->ctx, c->ctx->within->name, c->site);
    return c->ctx->status == CR_OK ? x : NULL;
}

static bool has_tensor(const call *c)
{
    return c->n == 0 || first_tensor(c);
}

static cr_tensor *record_call(call *c, const void *attrs)
{
    cr_ctx *ctx = c->ctx;
    if (!check_inputs(c))
        return NULL;
    if (c->op->kind == CR_OP_COMPOSITE)
        return expand_composite(c, attrs);
    if (!has_tensor(c)) {
        cr__op_fail(ctx, c->op, CR_ERR_ARGUMENT, "cr_scalar() makes a tensor of a number",
                    "no input is a tensor");
        return NULL;
    }
    cr_tensor *x = record_node(c, attrs);
    if (x && ctx->eager && c->op->kind != CR_OP_VIEW &&
        cr__run(ctx, &x, 1, false) != CR_OK)
        return NULL;
    return x;
}

/* ---- bf16 and f16 ---- */

/* The bf16 or f16 among the operands of an operation that widens such, or 0; the other floats are
 * to be of the same type. */
static cr_dtype half_among(const call *c)
{
    cr_dtype half = CR_DTYPE_DEFAULT, other = CR_DTYPE_DEFAULT;
    for (int i = 0; i < c->n && c->op->widens; i++) {
        const cr_tensor *x = tensor_at(c, i);
        cr_dtype dtype = cr__alive(x) ? (cr_dtype)x->dtype : CR_DTYPE_DEFAULT;
        if (!half && cr__is_half(dtype))
            half = dtype;
        else if (cr__is_float(dtype) && dtype != half)
            other = dtype;
    }
    if (half && other)
        cr__op_fail(c->ctx, c->op, CR_ERR_DTYPE, "cr_cast() one of them",
                    "dtypes differ: %s and %s", cr_dtype_name(half),
                    cr_dtype_name(other));
    return half;
}

static cr_tensor *cast(cr_tensor *x, cr_dtype dtype)
{
    return x ? cr_cast_at(x, dtype, NULL) : NULL;
}

static cr_tensor *cast_back(cr_tensor *x, cr_dtype half)
{
    return x && x->dtype == CR_F32 ? cast(x, half) : x;
}

static cr_tensor *record_widened(call *c, const void *attrs, cr_dtype half)
{
    for (int i = 0; i < c->n; i++) {
        cr_tensor *x = tensor_at(c, i);
        if (cr__alive(x) && x->dtype == half &&
            !(c->operands[i].v.tensor = cast(x, CR_F32)))
            return NULL;
    }
    cr_tensor *x = record_call(c, attrs);
    for (int i = 1; c->op->expand_all && i < written(c); i++)
        c->outputs[i] = cast_back(c->outputs[i], half);
    return cast_back(x, half);
}

/* ---- the everyday map ---- */

/* Whether a number is one of the float type, without a look at each of its digits. */
CR__INLINE bool surely_fits(cr_arg number, cr_dtype dtype)
{
    const int64_t exact = dtype == CR_F16 ? 1 << 15 : 1 << 24;
    if (number.kind == CR_ARG_INT)
        return number.v.i <= exact && number.v.i >= -exact;
    if (number.kind != CR_ARG_REAL)
        return false;
    uint64_t exponent = number.v.u << 1 >> 53; /* of the double's bits: 1023 is 2^0 */
    return exponent < (dtype == CR_F64   ? 2047u
                       : dtype == CR_F16 ? 1023u + 15
                                         : 1023u + 127);
}

/* Whether the operation takes n operands and has no attributes, no rule for the shape and no
 * operand of another type. */
CR__INLINE bool is_plain(const cr_op *op, int n)
{
    return op->kind == CR_OP_MAP && !op->shape && !op->attrs_size &&
           n == op->min_inputs && n >= op->max_inputs &&
           !((const cr__map *)op->internal)->own;
}

CR__INLINE bool takes_float(const cr_op *op, unsigned dtype)
{
    unsigned takes = ((const cr__map *)op->internal)->dtypes;
    return cr__is_float((cr_dtype)dtype) && (!takes || takes >> dtype & 1);
}

/* Whether an operand fits as it is: a tensor like `first`, or a number of its type. Then there is
 * nothing to prepare, to broadcast or to infer. */
CR__INLINE bool fits_as_it_is(cr_arg a, const cr_tensor *first)
{
    const cr_tensor *x = a.v.tensor;
    if (a.kind != CR_ARG_TENSOR)
        return surely_fits(a, (cr_dtype)first->dtype);
    return cr__alive(x) && x->ctx == first->ctx && cr__same_type(x, first);
}

/* What the inputs of a new node hand on to it. */
typedef struct heritage {
    unsigned flags, kinds;
    unsigned reads; /* what the vjp reads for those that are tensors */
    bool barred;
} heritage;

/* Operand a becomes the i-th input. */
CR__INLINE void attach_input(cr_tensor *x, int i, cr_arg a, heritage *from)
{
    from->kinds |= ((unsigned)a.kind - CR_ARG_TENSOR) << 2 * i;
    x->in[i].u = a.v.u;
    if (a.kind != CR_ARG_TENSOR)
        return;
    cr_tensor *in = cr__resolve(a.v.tensor);
    x->in[i].tensor = in;
    from->flags |= in->flags;
    from->barred |= in->barred;
    from->reads |= x->op->reads_for[i];
}

/* The i-th input is counted, and so is its read by the vjp that may come. */
CR__INLINE void count_input(const cr_tensor *x, int i, cr_arg a, unsigned reads)
{
    if (a.kind != CR_ARG_TENSOR)
        return;
    cr_tensor *in = x->in[i].tensor;
    in->refs++;
    in->flags |= CR__CONSUMED;
    cr__count_reader(in, 1);
    in->readers += reads >> i & 1;
}

CR__INLINE void link_inputs(cr_tensor *x, cr_arg a, cr_arg b, int n)
{
    heritage from = { 0 };
    unsigned reads = 0;
    attach_input(x, 0, a, &from);
    if (n == 2)
        attach_input(x, 1, b, &from);
    bool flows = from.flags & CR__NEEDS_GRAD,
         saves = flows && !x->ctx->no_grad && x->op->vjp;
    if (saves) {
        x->flags |= CR__NEEDS_GRAD | CR__SAVES;
        reads = from.reads | cr__reads_always(x->op, x->dtype);
        x->readers = reads >> 31; /* its own: CR_READS_OUTPUT */
    }
    count_input(x, 0, a, reads);
    if (n == 2)
        count_input(x, 1, b, reads);
    x->kinds = (uint8_t)from.kinds;
    x->barred = from.barred | (flows & !saves);
}

/* The node of a plain operation on one or two operands (n) that fit as they are; NULL if they are
 * others, or with the error. */
CR__INLINE cr_tensor *record_plain(const cr_op *op, cr_arg a, cr_arg b, int n,
                                   const char *site)
{
    const cr_tensor *first = a.kind == CR_ARG_TENSOR             ? a.v.tensor
                             : n == 2 && b.kind == CR_ARG_TENSOR ? b.v.tensor
                                                                 : NULL;
    if (!first)
        return NULL;
    cr_ctx *ctx = first->ctx;
    if (ctx->status != CR_OK || ctx->busy || ctx->eager || ctx->recomputes ||
        !is_plain(op, n) || !takes_float(op, first->dtype) || !fits_as_it_is(a, first) ||
        (n == 2 && !fits_as_it_is(b, first)))
        return NULL;
    cr_tensor *x = cr__node_memory(ctx);
    if (CR__UNLIKELY(!x))
        return NULL;
    first->shape->refs++;
    cr__node_init(x, ctx, first->dtype, first->shape, site ? site : op->name);
    x->op = op;
    x->n_inputs = n;
    cr__set_pending(x, true);
    link_inputs(x, a, b, n);
    cr__scope_take(x);
    return x;
}

/* ---- all others ---- */

static void mark_results(const call *c, bool marked)
{
    for (int i = 0; i < written(c); i++)
        if (c->outputs[i])
            c->outputs[i]->result = marked;
}

/* Returns how many results there are, -1 after an error; capacity is 1 or more. */
static int record_any(cr_ctx *ctx, const cr_op *op, const cr_arg *operands, int n,
                      const void *attrs, cr_tensor **outputs, int capacity,
                      const char *site)
{
    if (!ctx || ctx->status != CR_OK || !cr__may_change(ctx, op->name))
        return -1;
    bool composed = op->kind == CR_OP_COMPOSITE || op->widens;
    /* Operands that are numbers are converted without arithmetic. */
    CR__STATE_GUARD(ctx, op->attrs_size || composed);
    /* The outermost operation gives its name and site to all that it is made of. */
    const char *outer_site = ctx->site;
    const cr_op *outer = ctx->within;
    call c;
    if (!init_call(&c, ctx, op, operands, n))
        return -1;
    c.outputs = outputs;
    c.capacity = capacity;
    c.site = outer_site ? outer_site : site ? site : op->name;
    ctx->site = c.site;
    const cr_dtype half = half_among(&c);
    composed = op->kind == CR_OP_COMPOSITE || half;
    if (!outer && composed)
        ctx->within = op;
    uint64_t since = ctx->next_seq;
    outputs[0] = half ? record_widened(&c, attrs, half) : record_call(&c, attrs);
    if (!outer && composed) {
        mark_results(&c, true);
        cr__disown(ctx, since);
        mark_results(&c, false);
    }
    ctx->site = outer_site;
    ctx->within = outer;
    free_call(&c);
    for (int i = 0; ctx->status != CR_OK && i < written(&c); i++)
        outputs[i] = NULL;
    return outputs[0] || (c.count == 0 && ctx->status == CR_OK) ? c.count : -1;
}

cr_tensor *cr__record(cr_ctx *ctx, const cr_op *op, const cr_arg *operands, int n,
                      const void *attrs, const char *site)
{
    cr_tensor *x = NULL;
    for (int i = 0; i < n && !ctx; i++)
        if (operands[i].kind == CR_ARG_TENSOR && operands[i].v.tensor)
            ctx = operands[i].v.tensor->ctx;
    (void)record_any(ctx, op, operands, n, attrs, &x, 1, site);
    return x;
}

int cr__record_all(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
                   const void *attrs, cr_tensor **outputs, int capacity, const char *site)
{
    cr_arg few[FEW] = { { 0 } }, *operands = few;
    cr_tensor *first = NULL;
    if (capacity < 1) {
        outputs = &first;
        capacity = 1;
    }
    for (int i = 0; i < n && inputs && !ctx; i++)
        ctx = inputs[i] ? inputs[i]->ctx : NULL;
    if (!ctx || ctx->status != CR_OK)
        return -1;
    if (n > FEW && !(operands = cr__pooled_new(ctx, (size_t)n * sizeof *operands)))
        return -1;
    for (int i = 0; i < n; i++)
        operands[i] = cr_arg_tensor(inputs[i]);
    int count = record_any(ctx, op, operands, n, attrs, outputs, capacity, site);
    if (operands != few)
        cr__pooled_free(operands);
    return count;
}

cr_tensor *cr__record_n(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
                        const void *attrs, const char *site)
{
    cr_tensor *x = NULL;
    (void)cr__record_all(ctx, op, inputs, n, attrs, &x, 1, site);
    return x;
}

cr_tensor *cr__record_1(const cr_op *op, cr_tensor *x, const void *attrs,
                        const char *site)
{
    const cr_arg operand = cr_arg_tensor(x);
    cr_tensor *plain = record_plain(op, operand, operand, 1, site);
    return CR__LIKELY(plain) ? plain : cr__record(NULL, op, &operand, 1, attrs, site);
}

cr_tensor *cr__record_2(const cr_op *op, cr_arg x, cr_arg y, const char *site)
{
    cr_tensor *plain = record_plain(op, x, y, 2, site);
    if (CR__LIKELY(plain))
        return plain;
    const cr_arg operands[] = { x, y };
    return cr__record(NULL, op, operands, 2, NULL, site);
}
