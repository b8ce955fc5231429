/* The graph: nodes, shapes, leaves, recording. What src/ops, src/exec and src/grad build
 * on. */
#ifndef CR_GRAPH_GRAPH_H
#define CR_GRAPH_GRAPH_H

#include "../base/context.h"
#include "../kernel/kernel.h"

#include <string.h>

/* ---- shapes ---- */

/* Sizes. Interned: equal shapes of a context are one, so that `==` compares them. */
typedef struct cr__shape {
    int64_t refs; /* 0: it waits in the table for the next that has these sizes */
    int64_t numel;
    int32_t ndim;
    uint32_t hash;
    int64_t dims[CR_MAX_DIMS]; /* zero behind the last */
    struct cr__shape *next;    /* in its bucket of the table */
} cr__shape;

/* ---- nodes ---- */

enum {
    CR__NEEDS_GRAD = 1,  /* a gradient flows through (or, of a leaf's version, into) it */
    CR__KNOWN = 2,       /* its value is stored */
    CR__KEEP = 4,        /* the value is not let go: constants, what was read, watched */
    CR__COMPUTED = 8,    /* has been computed before: the next time, it is kept */
    CR__HANDLE = 16,     /* stands for its leaf's present version: see cr__leaf */
    CR__VERSION = 32,    /* a value of a leaf; backward ends here */
    CR__WATCHED = 64,    /* its cotangent is kept as its gradient */
    CR__SAVES = 128,     /* counts in `readers` of what its vjp reads */
    CR__SCOPED = 256,    /* a scope holds a reference */
    CR__CONSUMED = 512,  /* something was recorded that reads it */
    CR__CUT = 1024,      /* it has no inputs any more: see cr__cut() */
    CR__FAILED = 2048,   /* a run could not compute it */
    CR__KEPT = 4096,     /* it is to outlive its scope, and leaf->keeps more of them */
    CR__RETAINED = 8192, /* cr_retain() has counted it, and leaf->retains times more */
    CR__GRADIENT = 16384, /* it is, or was before what is pending, a leaf's gradient */
    CR__READ = 32768,     /* the user has asked for its value, and may ask again */

    /* what the user holds the tensor by */
    CR__HELD = CR__SCOPED | CR__KEPT | CR__RETAINED | CR__GRADIENT,
};

/* A value, known or to be computed, and how. Immutable once recorded, apart from the
 * value coming and going; at most 128 bytes. */
struct cr_tensor {
    union {
        cr_tensor *link;   /* the next of its scope */
        const char *ended; /* its scope has ended: where, or NULL */
    };
    int32_t refs; /* see node.c; 0: dead; ended, refs, ctx and site stay as they are */
    int32_t n_inputs;
    uint32_t readers; /* what is to come and reads its value: operations that are not
                         computed yet, vjps, and views of it that such read: node.c */
    uint16_t flags;
    uint8_t dtype;
    uint8_t
        kinds; /* of inputs, 2 bits each; of more than 3 all are tensors: cr__kind() */
    cr_ctx *ctx;
    const cr_op *op; /* NULL: data */
    union {
        const cr_op *within; /* the composite it is part of, or NULL */
        cr_tensor *next_dead;
    };
    const char *site;
    uint64_t seq; /* inputs have smaller ones */
    cr__shape *shape;
    union {
        cr__buffer *buffer;
        double scalar; /* numel 1: the element itself, whatever its type */
    } value;           /* if CR__KNOWN: contiguous, row-major */
    union {
        cr_tensor *tensor;
        double real;
        int64_t i;
        uint64_t u;
        cr_tensor **list; /* in[0] if n_inputs > 3 */
    } in[3];
    void *attrs; /* of op->attrs_size bytes, or NULL */
    struct cr__leaf
        *leaf;         /* of handles and versions, and for names and watched gradients */
    uint32_t run : 24; /* place in the run in progress, plus 1; 0: not in it */
    uint32_t pending : 1; /* not computed yet: counts in `readers` of its inputs */
    uint32_t shown : 1;   /* a leaf has its value, or is to get it: see cr__leaf.shown */
    uint32_t barred : 1;  /* beneath it a gradient that was needed does not flow */
    uint32_t moved : 1;   /* cr_keep() has moved it to the scope that it is in */
    uint32_t
        given_back : 1;  /* cr_release() has ended that: its scope lists it, no more */
    uint32_t result : 1; /* of the composite that is being recorded */
    uint32_t wanted : 1; /* a backward pass with .inputs adds to its gradient */
    uint32_t recomputed : 1; /* CR_RECOMPUTE(ctx) has marked it: recompute.c */
    uint32_t walk;           /* place in the walk in progress, plus 1; 0: not in it */
};
_Static_assert(sizeof(cr_tensor) <= 128, "a node is at most two cache lines");
#define CR__NODE_BYTES ((sizeof(cr_tensor) + 15) / 16 * 16)

/* What was assigned: another name for the leaf's value, and readable at no cost as long
 * as the leaf has it. Not counted: it may be gone, and then its seq is another. */
typedef struct cr__shown {
    cr_tensor *x;
    uint64_t seq;
} cr__shown;

/* The host's code that is called with cotangents of a tensor, or, after a gradient of a
 * leaf has been committed, with the leaf: hooks.c. */
typedef struct cr__hook {
    struct cr__hook *next;
    uint64_t id;   /* ascending in the list */
    cr_hook *call; /* one of the two; */
    cr_post_accumulate_hook *after;
    bool removed; /* by a hook while hooks were called */
    void *user;
} cr__hook;

/* A leaf: what cr_requires_grad() and cr_assign() make of a tensor. The user's tensor
 * becomes a handle; each value that it has had is a version, a node of its own, so that
 * what was recorded before an assignment sees the old value. Also holds the name and the
 * gradient of others. What holds of its members: leaf.c. */
typedef struct cr__leaf {
    int32_t refs; /* the handle and its versions */
    bool requires_grad;
    bool dirty;
    cr_tensor *handle; /* NULL: gone */
    cr_tensor *first;  /* the version for what was recorded before there was a handle;
                          NULL if nothing was */
    cr_tensor *version, *committed;
    cr_tensor *grad, *grad_committed;
    cr__shown shown, grad_shown;
    struct cr__leaf *next_dirty, *prev_dirty;
    cr__hook *hooks;
    bool
        accumulated; /* the pending gradient is a backward pass's, and hooks are to know */
    struct cr__leaf *next_accumulated; /* whose hooks are due */
    uint64_t keeps, retains; /* of the handle, or of what bears the name: see CR__KEPT and
                                CR__RETAINED */
    char *name;
} cr__leaf;

/* Whether the user may look at x: neither NULL nor let go. What an ended scope has let go
 * is not the user's any more, whoever else still refers to it; vjps and what a run calls
 * keep their way to it. Versions are nobody's but the graph's. */
CR__INLINE bool cr__alive(const cr_tensor *x)
{
    return x && x->refs > 0 &&
           (x->flags & (CR__HELD | CR__VERSION) || x->ctx->walking || x->ctx->running);
}

/* The node that holds x's value now: its version, if x is a handle. */
CR__INLINE cr_tensor *cr__resolve(const cr_tensor *x)
{
    return x->flags & CR__HANDLE ? x->leaf->version : (cr_tensor *)(uintptr_t)x;
}

/* What the i-th input is: a number, or a tensor, which is NULL if it is absent. */
CR__INLINE cr_arg_kind cr__kind(const cr_tensor *x, int i)
{
    return (cr_arg_kind)(CR_ARG_TENSOR + (x->kinds >> 2 * i & 3));
}
/* The i-th input as recorded: NULL if it is absent or a number. */
CR__INLINE cr_tensor *cr__input(const cr_tensor *x, int i)
{
    cr_tensor *in;
    if (x->n_inputs > 3)
        in = x->in[0].list[i];
    else
        in = cr__kind(x, i) == CR_ARG_TENSOR ? x->in[i].tensor : NULL;
    /* recorded before it became a leaf */
    return in && in->flags & CR__HANDLE ? in->leaf->first : in;
}

/* The i-th operand as recorded, without a look at i; CR_ARG_NONE if it is absent. */
CR__INLINE cr_arg cr__operand(const cr_tensor *x, int i)
{
    cr_arg arg = { .kind = x->n_inputs > 3 ? CR_ARG_TENSOR : cr__kind(x, i) };
    if (arg.kind != CR_ARG_TENSOR) {
        arg.v.u = x->in[i].u;
        return arg;
    }
    arg.v.tensor = cr__input(x, i);
    arg.kind = arg.v.tensor ? CR_ARG_TENSOR : CR_ARG_NONE;
    return arg;
}
/* Whether the i-th input is a tensor that wants a cotangent. The walk marks what it visits; outside
 * of one, every flow of gradients counts. */
CR__INLINE bool cr__wants_grad(const cr_tensor *x, int i)
{
    const cr_tensor *in = cr__input(x, i);
    return in && (x->walk ? in->walk != 0 : (in->flags & CR__NEEDS_GRAD) != 0);
}

/* The operation as the user called it. */
CR__INLINE const char *cr__called(const cr_tensor *node)
{
    return node->within ? node->within->name : node->op ? node->op->name : "data";
}

/* What x is a view of, NULL if it is none. */
CR__INLINE cr_tensor *cr__viewed(const cr_tensor *x)
{
    bool view = !(x->flags & CR__VERSION) && x->op && x->op->kind == CR_OP_VIEW;
    return view && x->n_inputs ? cr__input(x, 0) : NULL;
}

/* Whether the value of x is known and not let go any more. */
CR__INLINE bool cr__stays(const cr_tensor *x)
{
    const unsigned both = CR__KNOWN | CR__KEEP;
    return (x->flags & both) == both;
}

CR__INLINE bool cr__has_dims(const cr__shape *shape, const cr_dims *dims)
{
    return shape->ndim == dims->n &&
           memcmp(shape->dims, dims->v, (size_t)dims->n * sizeof *dims->v) == 0;
}

/* The same shape and dtype. */
CR__INLINE bool cr__same_type(const cr_tensor *x, const cr_tensor *y)
{
    return x->dtype == y->dtype && x->shape == y->shape;
}

CR__INLINE int64_t cr__numel(const cr_tensor *x)
{
    return x->shape->numel;
}

/* Where the known value of x is. */
CR__INLINE void *cr__value(cr_tensor *x)
{
    return x->shape->numel == 1 ? &x->value.scalar : x->value.buffer->data;
}

/* ---- what the kinds of operations have in cr_op.internal ---- */

/* Makes operands fit each other, before the shape rule sees them: casts, checks of
 * dtypes. May replace operands by recorded nodes. False with the error recorded. */
typedef bool cr__prepare(cr_ctx *ctx, const cr_op *op, cr_arg *operands, int n);

/* CR_OP_MAP. Recording makes the dtypes of all operands equal (numbers take the tensors')
 * unless prepare does it, and broadcasts; float tensors of one type and shape, and numbers
 * of it, fit as they are. Operands go to the kernel in order, then the
 * parameters. */
typedef struct cr__map {
    cr__map_code code;
    unsigned dtypes; /* bits 1u << cr_dtype: what operands may be; 0: any */
    unsigned own;    /* bits 1u << i: operands with a dtype of their own (a condition) */
    cr__prepare *prepare;
    unsigned
        reads_in_f64; /* what the vjp reads there, in place of cr_op.reads; 0: the same */
    int n_params;     /* uniform parameters, in the dtype of the operands */
    void (*params)(const void *attrs, cr_arg *params);
    /* Of maps without operands (from indices): what the kernel gets as src[1], at most 32
     * bytes. */
    void (*source)(const void *attrs, void *params);
} cr__map;

/* What the vjp of op reads for whatever input of the dtype: bits CR_READS_... What it reads for
 * one of them alone comes on top (op->reads_for). */
CR__INLINE unsigned cr__reads_always(const cr_op *op, unsigned dtype)
{
    const cr__map *map = dtype == CR_F64 && op->kind == CR_OP_MAP ? op->internal : NULL;
    return map && map->reads_in_f64 ? map->reads_in_f64 : op->reads;
}

#define CR__FLOATS  (1u << CR_F32 | 1u << CR_F64 | 1u << CR_BF16 | 1u << CR_F16)
#define CR__INTS    ((1u << CR_I64) | (1u << CR_I32) | (1u << CR_U8))
#define CR__NUMBERS (CR__FLOATS | CR__INTS)

/* CR_OP_REDUCE. Attribute structs begin with cr__reduce_attrs; the shape rule resolves
 * dims to a list of distinct dims, ascending, from 0 up (all of them, if not given). */
typedef struct cr__reduce_attrs {
    cr_dims dim;
    bool keepdim;
} cr__reduce_attrs;
typedef struct cr__reduce_info {
    cr__reduce_code code;
    cr__ending_code ending;
    /* What the ending takes from the attributes. count is the number of elements reduced
     * to one. */
    void (*end)(const void *attrs, cr__ending *ending);
} cr__reduce_info;

/* CR_OP_VIEW. How elements lie in a value: element (i0, i1, ..) at offset + sum i*stride.
 */
typedef struct cr__layout {
    int ndim;
    int64_t offset;
    int64_t dims[CR_MAX_DIMS], strides[CR_MAX_DIMS];
} cr__layout;
void cr__layout_init(cr__layout *layout, const cr__shape *shape); /* contiguous */
void cr__lay_out(const cr__shape *shape, int64_t *dims, int64_t *strides); /* so */
/* Turns the layout of the input into that of out. False if it cannot (then layout is
 * unchanged, and the input is copied; a contiguous layout always works). */
typedef bool cr__view(const cr_tensor *out, cr__layout *layout);
typedef struct cr__view_info {
    cr__view *view;
} cr__view_info;

/* CR_OP_CONTRACT. Attributes of products: which operands are read with their last two dims
 * exchanged. Convolutions have others. */
typedef struct cr__contract_attrs {
    bool turned[2];
} cr__contract_attrs;

/* The product that out is, of the inputs with these elements: fills in sizes and batches, and
 * the strides of a and b. Or the convolution, of inputs with these dims: fills in its pass and
 * sizes. */
typedef struct cr__contract_info {
    void (*job)(const cr_tensor *out, const cr__strided *a, const cr__strided *b,
                cr__gemm_job *job);
    void (*conv)(const cr_tensor *out, const int64_t *a, const int64_t *b,
                 cr__conv *conv);
    bool panels; /* maps may run over parts of it that are complete */
} cr__contract_info;

/* Whether x, of that kind, reads its k-th operand so. */
CR__INLINE bool cr__is_turned(const cr_tensor *x, int k)
{
    const cr__contract_info *info = x->op->internal;
    return info->job && ((const cr__contract_attrs *)x->attrs)->turned[k];
}

/* CR_OP_OPAQUE. What an operation declares of a node: NULL: what is in cr_op. */
typedef struct cr__traits {
    unsigned strided, fetched, checks, once;
    int n;        /* inputs that these are about; those behind are contiguous */
    bool checked; /* it has a check */
    bool never_fails;
} cr__traits;
typedef struct cr__opaque_info {
    cr__traits (*traits)(const cr_tensor *x); /* NULL: as without any of this */
    double (*flops)(const cr_tensor *x);      /* for profiles; NULL: none are counted */
    /* Or NULL: the kernel that makes any of the value's elements, like maps from indices, NULL if
     * there is none for x; its src[1] are 64 bytes at most, which `source` writes: where its inputs
     * are, each contiguous. */
    cr__map_fn *(*elements)(const cr_tensor *x);
    void (*source)(const cr_tensor *x, const void *const *in, void *to);
} cr__opaque_info;

/* cr_array.source of a kernel's input; the array has dims and strides. */
typedef struct cr__fetched {
    const void *data;
    int64_t run; /* so many elements lie one behind the other, and again so many; >= 1 */
    cr__team *team;
    int room;
    /* NULL: they lie there. Else puts n elements from `start` on there, with the worker's scratch
     * memory. */
    void (*make)(const void *arg, char *to, int64_t start, int64_t n, int worker);
    const void *arg;
} cr__fetched;

/* Whether a mask of CR_READS_INPUT(i) has input i: CR_READS_INPUTS has all. */
CR__INLINE bool cr__has_input(unsigned mask, int i)
{
    return i < 31 ? mask >> i & 1 : ~mask << 1 == 0;
}

/* CR_OP_COMPOSITE has none. */

/* ---- recording (record.c) ---- */

/* The node of op on n operands, whose attribute struct (copied) is attrs. Checks the
 * pending error, operands, dtypes; broadcasts maps; expands composites; in eager mode
 * computes. NULL on failure. ctx may be NULL if there is a tensor among the operands. */
cr_tensor *cr__record(cr_ctx *ctx, const cr_op *op, const cr_arg *operands, int n,
                      const void *attrs, const char *site);

/* The same for tensors only; absent ones are NULL. */
cr_tensor *cr__record_n(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
                        const void *attrs, const char *site);
cr_tensor *cr__record_1(const cr_op *op, cr_tensor *x, const void *attrs,
                        const char *site);
cr_tensor *cr__record_2(const cr_op *op, cr_arg x, cr_arg y, const char *site);

/* The same for operations of several results, too: writes them as far as capacity goes. Returns
 * how many there are, -1 on failure. */
int cr__record_all(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
                   const void *attrs, cr_tensor **outputs, int capacity,
                   const char *site);

/* Records an error about the operation in progress: "op: what (site); advice", where op
 * is the composite's name if there is one. advice may be NULL. Returns status. */
CR__COLD cr_status cr__op_fail(cr_ctx *ctx, const cr_op *op, cr_status status,
                               const char *advice, const char *format, ...)
    CR_FORMAT(5, 6);

/* The pending error came from a part of an operation that may be the user's: what it lacks
 * of the operation's name and the caller's place is added. */
void cr__say_whose(cr_ctx *ctx, const char *name, const char *site);

/* The pending error is that x got no memory, from the allocator, which knows sizes only:
 * its message gets x's operation, shape and place. */
void cr__say_for_what(const cr_tensor *x);

/* As text, "[2, 3]" or "0.5", in one of a few buffers of the context: good for one
 * message.
 */
const char *cr__dims_text(cr_ctx *ctx, cr_dims dims);
const char *cr__shape_text(const cr_tensor *x);
const char *cr__number_text(cr_ctx *ctx, cr_arg number);

/* "input 1 (y)" */
const char *cr__input_text(const cr_op *op, int i, char *text, size_t size);

/* ---- helpers of shape rules ---- */

/* A dim of a tensor of rank ndim, negative ones from the end: *dim becomes 0.. ; false
 * with the error. Rank 0 takes 0 and -1. */
bool cr__resolve_dim(cr_infer *infer, int64_t *dim, int ndim);
/* dims (default all) to distinct ones, ascending. */
bool cr__resolve_dims(cr_infer *infer, cr_dims *dims, int ndim);
/* The product of dims; false with the error if it overflows. */
bool cr__dims_numel(cr_ctx *ctx, const cr_op *op, cr_dims dims, cr_dtype dtype,
                    int64_t *numel);
/* NumPy's common shape of a and b; false if there is none. */
bool cr__broadcast_dims(cr_dims a, cr_dims b, cr_dims *out);

/* x expanded to dims, x itself if it has them already. */
cr_tensor *cr__expand_to(cr_tensor *x, cr_dims dims);
extern const cr_op cr__op_expand;

/* Whether x is a number everywhere, as cr_full_like() makes it, this one. */
bool cr__is_filled(const cr_tensor *x, int number);
/* A view of everything, through which no gradient flows. */
extern const cr_op cr__op_detach;

/* ---- data (make.c) ---- */

/* Whether the number is a value of the dtype (floats: after rounding, if it does not
 * overflow); stores it as one at dst. */
bool cr__number_store(cr_arg number, cr_dtype dtype, void *dst);
/* A number operand (not a tensor) as a double. */
double cr__arg_double(cr_arg number);

/* Whether numbers of the C type of that name (NULL: any) lie in memory as those of the
 * dtype do. */
bool cr__type_fits(const char *type, cr_dtype dtype);

/* ---- lifetime (node.c) ---- */

/* A node without inputs, of which the caller holds the only reference; takes over one to
 * shape, also on failure. cr__node_new() gives that reference to the present scope. */
cr_tensor *cr__node_alone(cr_ctx *ctx, cr_dtype dtype, cr__shape *shape,
                          const char *site);
cr_tensor *cr__node_new(cr_ctx *ctx, cr_dtype dtype, cr__shape *shape, const char *site);
/* A reference to the shape of these sizes, whose product has been checked; NULL with the
 * error. */
cr__shape *cr__shape_of(cr_ctx *ctx, cr_dims dims);
CR__INLINE void cr__shape_release(cr_ctx *ctx, cr__shape *shape)
{
    if (--shape->refs == 0)
        ctx->memory.kept += ctx->shapes.size;
}
void *cr__attrs_new(cr_ctx *ctx, size_t size); /* not zeroed */
void cr__attrs_free(cr_ctx *ctx, void *attrs, size_t size);

/* Users hold handles of dead nodes by mistake: what was released, or what it has become,
 * must not be taken for another tensor. So memory of nodes is used again in the order in
 * which they died, and not before this many others have died. */
#define CR__LONG_DEAD 2048

/* Memory for a node, with undefined content; NULL with the error. */
cr_tensor *cr__node_memory_fresh(cr_ctx *ctx);
CR__INLINE cr_tensor *cr__node_memory(cr_ctx *ctx)
{
    cr_tensor *x = ctx->dead;
    if (CR__UNLIKELY(ctx->n_dead <= CR__LONG_DEAD ||
                     !cr__may_use(&ctx->memory, CR__NODE_BYTES)))
        return cr__node_memory_fresh(ctx);
    ctx->dead = x->next_dead;
    ctx->n_dead--;
    ctx->memory.kept -= CR__NODE_BYTES;
    __builtin_prefetch(ctx->dead, 1);
    __builtin_prefetch((char *)((uintptr_t)ctx->dead + 64), 1);
    return x;
}

/* A new node in that memory, of which the caller holds the only reference: no operation, inputs or
 * value, nor any marks. */
CR__INLINE void cr__node_init(cr_tensor *x, cr_ctx *ctx, unsigned dtype, cr__shape *shape,
                              const char *site)
{
    ctx->n_nodes++;
    x->link = NULL;
    x->refs = 1;
    x->n_inputs = 0;
    x->readers = 0;
    x->flags = 0;
    x->dtype = (uint8_t)dtype;
    x->kinds = 0;
    x->ctx = ctx;
    x->op = NULL;
    x->within = ctx->within;
    x->site = ctx->site ? ctx->site : site;
    x->seq = ctx->next_seq++;
    x->shape = shape;
    x->attrs = NULL;
    x->leaf = NULL;
    x->run = 0;
    x->pending = x->shown = x->barred = x->moved = x->given_back = false;
    x->result = x->wanted = x->recomputed = false;
    x->walk = 0;
}

CR__INLINE void cr__set_pending(cr_tensor *x, bool pending)
{
    x->ctx->n_pending += (int64_t)pending - x->pending;
    x->pending = pending;
}

/* x, which is new, becomes the present scope's: its reference is the scope's. */
CR__INLINE void cr__scope_take(cr_tensor *x)
{
    cr__scope *scope = x->ctx->scope;
    x->flags |= CR__SCOPED;
    x->link = scope->first;
    scope->first = x;
    scope->count++;
}
/* x leaves a scope, which ended there (NULL: it was released), and dies if that was all. */
void cr__scope_release(cr_ctx *ctx, cr_tensor *x, const char *site);
void cr__retain(cr_tensor *x);
void cr__drop(cr_tensor *x); /* NULL is allowed */

/* The next tensor, x or behind it, of the open scopes that was made since a leaf's value
 * was replaced for the last time; NULL if there is none. Begin with the present scope and
 * its first tensor. Costs the recent tensors and scopes only, however many are open. */
cr_tensor *cr__recent(const cr_ctx *ctx, cr__scope **scope, cr_tensor *x);
/* A leaf's value has been replaced: what is made from now on is recent. */
void cr__nothing_recent(cr_ctx *ctx);
/* x is to be found by cr__recent(), however old it is. */
void cr__make_recent(const cr_tensor *x);

/* Ends the present scope, at this place: releases its tensors, apart from the kept ones,
 * which move to the enclosing scope. Of the root scope all go, and it stays. */
void cr__scope_end(cr_ctx *ctx, const char *site);

/* Around calls of the host's code that may record: scopes that were open before are not
 * its to end, and what it has left open is ended, with an error. */
CR__INLINE cr__scope *cr__floor_set(cr_ctx *ctx)
{
    cr__scope *outer = ctx->floor;
    ctx->floor = ctx->scope;
    return outer;
}
void cr__end_left_open(cr_ctx *ctx, const char *what);
CR__INLINE void cr__floor_end(cr_ctx *ctx, cr__scope *outer, const char *what)
{
    if (CR__UNLIKELY(ctx->scope != ctx->floor))
        cr__end_left_open(ctx, what);
    ctx->floor = outer;
}

/* Lets the inputs go: the value is known and will stay. */
void cr__cut(cr_tensor *x);
/* What stays, is known, and has no gradient to hand down is data from now on: without
 * inputs, so that a value carried from step to step costs itself only. */
void cr__settle(cr_tensor *x);
CR__INLINE bool cr__settles(const cr_tensor *x)
{
    bool version = x->flags & CR__VERSION;
    bool hands_down = !version && x->flags & CR__NEEDS_GRAD;
    /* A leaf's pending value or gradient is cut when it is committed. */
    return cr__stays(x) && x->n_inputs && !hands_down &&
           (version ? x->leaf->committed == x : !(x->flags & CR__GRADIENT));
}
/* Something to come reads x (by is 1), or does no more (-1). */
void cr__count_viewed(cr_tensor *x, int by);
CR__INLINE void cr__count_reader(cr_tensor *x, int by)
{
    x->readers += (uint32_t)by;
    if (x->readers == (by > 0 ? 1u : 0u) && x->op && x->op->kind == CR_OP_VIEW)
        cr__count_viewed(x, by);
}
/* x is to be computed: what it reads is to be kept. And: it is being computed, or will
 * never be. */
void cr__pend(cr_tensor *x);
void cr__unpend(cr_tensor *x);
/* What was recorded from this seq on in the present scope, on the way to what is marked as a `result`, is
 * the library's alone: what nothing reads of it is not held for the user, nor does it hold
 * anything. */
void cr__disown(cr_ctx *ctx, uint64_t since);
/* A vjp of x may come: what it reads is to be kept, or, of what is recomputed, what its region
 * reads of the rest. And: it has been recorded for good.
 */
void cr__save(cr_tensor *x);
void cr__unsave_now(cr_tensor *x);
CR__INLINE void cr__unsave(cr_tensor *x)
{
    if (x->flags & CR__SAVES)
        cr__unsave_now(x);
}
/* In a walk: the vjp of x has been called. What it saves is taken back at once, and saved again if
 * the walk fails, or before a run in the midst of it, which lets values go. False with the
 * error. */
bool cr__unsave_soon(cr_tensor *x);
void cr__save_again(cr_ctx *ctx);
/* The walk is over: it has failed, or not. */
void cr__unsave_end(cr_ctx *ctx, bool failed);
/* x is no view any more: what it was a view of is not saved on its account. */
void cr__leave_viewed(cr_tensor *x);
/* Forgets the value of x, if it is known and nothing keeps it: neither a flag, nor what is
 * to come and reads it, nor a leaf that has it. One element takes no memory, and stays. */
void cr__let_go(cr_tensor *x);
/* Forgets it whatever keeps it: it has been overwritten. */
void cr__forget_value(cr_tensor *x);

/* ---- leaves (leaf.c) ---- */

/* Errors for NULL (in the context, if given), a released tensor, another context; then
 * the pending error. True: x may be used. */
bool cr__usable(cr_ctx *ctx, const cr_tensor *x, const char *what, const char *site);

/* Why x may not be used: "released with its scope (...)", or "released", in a buffer of
 * the context. */
const char *cr__released_text(const cr_tensor *x);

/* Whether x may be looked at. In check mode it is an error if it was released. */
bool cr__complain(const cr_tensor *x, const char *what);
CR__INLINE bool cr__readable(const cr_tensor *x, const char *what)
{
    return CR__LIKELY(cr__alive(x)) || cr__complain(x, what);
}

/* The leaf record of x, made if need be; NULL with the error. */
cr__leaf *cr__leaf_of(cr_tensor *x);
/* grad, which is nobody else's, becomes the leaf's gradient (NULL: none): pending, like
 * an assignment. */
void cr__leaf_set_grad(cr__leaf *leaf, cr_tensor *grad);
/* Whether values or gradients of leaves are to be replaced by the next run. */
bool cr__replacements_pending(const cr_ctx *ctx);
/* Of a value or gradient that is pending, the tensor that it is another name for, if it is
 * one: readable as long as the leaf has the value. NULL is allowed. */
cr_tensor *cr__shown_by(const cr_tensor *node);
/* The leaf has the value no longer. */
void cr__hide(cr__shown *shown);
/* Nothing is pending on the leaf any more. */
void cr__leaf_settled(cr__leaf *leaf, cr_ctx *ctx);
/* All pending values and gradients are computed: they are the committed ones now. Or they
 * are forgotten. */
void cr__commit(cr_ctx *ctx);
void cr__rollback(cr_ctx *ctx);
/* Forgets what is pending because of the pending error, unless that is about a read. */
void cr__undo(cr_ctx *ctx);

/* ---- recomputing (recompute.c) ---- */

/* x, which is new, is of the open region; and: it goes. */
void cr__mark_recomputed(cr_tensor *x);
void cr__unmark_recomputed(cr_tensor *x);
/* Where the region of x, which is marked, begins; and whether a node older than another of it is
 * of the same. */
uint64_t cr__recomputed_since(const cr_tensor *x);
CR__INLINE bool cr__is_recomputed(const cr_tensor *x, uint64_t since)
{
    return x->recomputed && x->seq >= since;
}
/* Counts what x, which is marked, reads of the rest up or down. */
void cr__count_boundary(cr_tensor *x, int by);
/* A node like x, which was recorded, with these operands, as many, and this dtype. */
cr_tensor *cr__record_again(const cr_tensor *x, const cr_arg *operands, cr_dtype dtype);

/* ---- hooks (hooks.c) ---- */

/* What the hooks of x make of its cotangent g, in a walk; NULL with the error. */
cr_tensor *cr__call_hooks(cr_tensor *x, cr_tensor *g, const char *what);
/* x, whose leaf record this is, goes, and its hooks with it. */
void cr__free_hooks(cr__leaf *leaf);
/* The leaf has got its gradient: its hooks are due. */
void cr__note_accumulated(cr_ctx *ctx, cr__leaf *leaf);
/* Calls what is due, unless the host's code is being called already. False if nothing was. */
bool cr__call_due_hooks(cr_ctx *ctx);
/* Forgets what is due: the context closes. */
void cr__forget_due_hooks(cr_ctx *ctx);

/* ---- profiles (exec/profile.c) ---- */

/* Begins one if the environment asks for it; tells it, and gives back what profiles hold. */
void cr__profile_open(cr_ctx *ctx);
void cr__profile_close(cr_ctx *ctx);

/* Sorts n nodes by seq, ascending; in linear time if the nodes are dense among all that
 * were recorded. False with the error if there is no memory. */
bool cr__sort_nodes(cr_ctx *ctx, cr_tensor **nodes, const uint64_t *seqs, size_t n);

/* ---- the executor, src/exec/run.c ---- */

/* Computes the n targets and, with commit, all that is pending on leaves. */
cr_status cr__run(cr_ctx *ctx, cr_tensor *const *targets, size_t n, bool commit);

#endif
