/* What the phases of a run share: its plan.
 *
 *     targets.c   which nodes have to be computed
 *     collect.c   nodes -> units, and uses of them through layouts
 *     recall.c    whether a plan that is kept decides the next three
 *     fuse.c      units -> groups, each computed in one go (afterthoughts.c, levels.c)
 *     order.c     the order in which groups run
 *     slots.c     where values lie, what is overwritten, and the peak, before any memory
 *                 is asked for; then all of it is obtained
 *     by_parts.c  stretches of groups that compute one part of their values after the other
 *     verify.c    in debug builds: that the plan is sound
 *     emit.c      a group -> instructions over tiles
 *     launch.c    computes: groups and chunks of them, on all threads
 *     commit.c    values -> nodes
 *
 *     direct.c    in place of all but the first, if there are only maps of single elements
 *
 * After collecting no phase of planning looks at a node. What has one element lies in its
 * node; all other values lie in slots. */
#ifndef CR_EXEC_EXEC_H
#define CR_EXEC_EXEC_H

#include "../base/text.h"
#include "../graph/graph.h"

/* What a unit is: operations of these kinds, one with a kernel of its own whose elements a program
 * makes, a view that is copied, or a value of a leaf that the run replaces, which may be
 * overwritten once nothing reads it any more. */
typedef enum cr__unit_kind {
    CR__UNIT_MAP,
    CR__UNIT_MADE,
    CR__UNIT_REDUCE,
    CR__UNIT_CONTRACT,
    CR__UNIT_OPAQUE,
    CR__UNIT_COPY,
    CR__UNIT_OLD
} cr__unit_kind;

enum {
    CR__STORED = 1,   /* its value gets memory of its own: a slot, or the node */
    CR__INDIRECT = 2, /* the first group to read it does not do so element by element */
    CR__OUTLIVES = 4, /* its value stays with the node after the run */
    CR__PINNED = 8,   /* so does its memory, for another node's sake */
    CR__AGAIN = 16,   /* let go once, and read by something new: kept from now on */
    CR__READ_BY_OTHERS = 32, /* than the group that computes it */
    CR__CAN_FAIL = 64,
    CR__FREED = 128,  /* its slot is another's from now on */
    CR__TRACED = 256, /* that it is finite */
    CR__ACROSS = 512, /* a reduction over the outer dims: of columns */
    CR__DRAWN =
        1024, /* an opaque kernel that may have it made as it fetches it reads it */
    CR__AWAITED = 2048,   /* by what is no afterthought: afterthoughts.c */
    CR__AFTER = 4096,     /* it is one */
    CR__FOR_AFTER = 8192, /* one reads it */
    CR__UPDATES =
        16384 /* a leaf's next value, or a map of which only such a one is made */
};

/* What a unit has of the domain of its group, whose elements are rows of the group's length. */
typedef enum cr__role {
    CR__EACH, /* an element for each: maps of the group's shape */
    CR__ROW,  /* one for each row: reductions over rows, and maps of such */
    /* Reductions that nothing in the group reads: */
    CR__COLUMN, /* over all rows, one for each column; */
    CR__ALL     /* and of everything */
} cr__role;

/* How the elements of a value are looked at. */
typedef struct cr__look {
    cr__layout layout;
    bool whole; /* all of them, in order: another shape at most */
} cr__look;

typedef enum cr__use_kind {
    CR__USE_NONE,   /* an absent operand */
    CR__USE_NUMBER, /* as an element of the dtype */
    CR__USE_KNOWN,  /* a value that the run finds */
    CR__USE_UNIT    /* one that it computes, or an old one */
} cr__use_kind;

/* An operand as it is read. */
typedef struct cr__use {
    uint8_t kind, dtype;
    uint32_t unit; /* its place */
    uint32_t look; /* its place plus 1; 0: as it is, in the shape of the operand */
    union {
        uint64_t number;
        const void *data; /* CR__USE_KNOWN */
    } at;
} cr__use;

/* One node to compute, or an old value. */
typedef struct cr__unit {
    cr_tensor *node;
    const cr_op *op;
    const cr__shape *shape;
    union {
        cr__map_fn *map;        /* CR__UNIT_MAP: the kernel */
        const cr__shape *inner; /* CR__UNIT_REDUCE: what it is of, if over the innermost
                                   dims, or across others, and a group of maps may hold
                                   it; or NULL */
        cr_tensor *name;        /* CR__UNIT_OLD: what it is another name for, or NULL */
    };
    uint32_t uses; /* its operands, then a map's parameters: place of the first */
    uint32_t n_uses;
    uint32_t
        group;     /* where it is computed; until it is placed, the first that reads it */
    uint32_t next; /* of its group, behind what it reads there: place plus 1 */
    uint32_t slot; /* where it is stored: place plus 1; 0: in the node, or nowhere */
    uint32_t last; /* how many groups have run when it has been read for the last time */
    uint32_t
        run; /* elements of a row that lie one after the other: of a reduction over rows, or
                      as its first reader takes a map of rows' values */
    uint16_t place, reg; /* in the program of its group: emit.c */
    uint8_t kind, dtype;
    uint16_t flags;
    uint8_t role, level; /* in its group; the level counts from 0 */
} cr__unit;

/* Units computed together, of five kinds:
 *
 * - one unit, the root, which is a contraction, opaque, a copy, or a reduction of something
 *   that is in memory;
 * - a contraction, the root, and maps of as many elements, some of which read it as it is: they
 *   run over each panel of it as soon as that is complete. If nothing else reads the product,
 *   it is nowhere in memory; a convolution is, and may be written over by what reads it last;
 * - an opaque unit, the root, and maps of one shape which make what it fetches of one input, some
 *   elements at a time;
 * - maps of one shape, which may end in one reduction, the root, that nothing in the group
 *   reads and that all others are for: reducer.c asks for its elements, tile by tile;
 * - a row program, if it has `reductions` or `length`: maps of one shape, which is the domain,
 *   and any number of reductions, over its rows of `length`, over its columns, as many as a row
 *   has elements, or over all of it; and maps of the rows' values. Rows may be channels. It runs
 *   row by row, and a row level by level: a unit's level is that of its operands in the group, and
 *   one more behind a reduction over rows. There is no root. */
typedef struct cr__group {
    const cr__shape *shape; /* of the maps, or what the reduction is of; NULL: no maps */
    uint32_t root;          /* the unit that has code of its own: place plus 1, or 0 */
    uint32_t first;         /* its first unit: place plus 1 */
    uint32_t count;
    uint32_t places; /* operands, parameters and results of all */
    uint32_t reads;  /* operands of more than one element that no maps make */
    uint32_t late;   /* in the order: the first of those that wait for it; 0: none */
    uint32_t next;   /* the next of those that wait for the same; 0: none. Before: what it
                        waits for */
    uint32_t length; /* of rows that have values; 0: none have */
    uint32_t run; /* of a row, elements that lie one after the other: all, unless rows are
                              channels, of which there is a run in each image */
    size_t buffer_bytes;   /* of such rows, which all threads have; */
    uint16_t batch;        /* and how many there are at a time */
    uint32_t columns;      /* that are reduced; 0: none are */
    uint16_t column_bytes; /* of elements, one of each reduction of columns */
    uint16_t reductions;   /* that are not the root; */
    uint16_t of_all;       /* and of these over everything */
    uint16_t width;        /* bytes of all elements in registers, of one place */
    bool crosses;          /* maps of the shape read rows' values */
    bool waits;
    uint16_t together; /* of a stretch the first: how many groups run together, in */
    int64_t parts;     /* so many parts, one after the other: by_parts.c; */
    bool by_parts;     /* it is one of them, and they do */
#ifdef CR_DEBUG
    uint32_t ran; /* the place at which it does: verify.c */
#endif
} cr__group;

CR__INLINE bool cr__is_row_program(const cr__group *group)
{
    return group->reductions || group->length;
}

/* Memory that values lie in, one after the other. */
typedef struct cr__slot {
    size_t bytes;
    cr__buffer *buffer;           /* NULL: not obtained yet */
    uint32_t unit;                /* the first to lie in it */
    uint32_t next;                /* free slots of a size class: place plus 1 */
    bool old;                     /* that is an old value */
    bool taken;                   /* an old value has been overwritten */
    uint32_t read_in, written_in; /* jobs: launch.c; stretches of groups, by */
    size_t part_bytes;            /* parts of so many bytes: by_parts.c */
#ifdef CR_DEBUG
    uint32_t holds;      /* verify.c: the unit whose value it holds, place plus 1; */
    uint32_t reads;      /* which unit of the group is the last to read that; */
    uint32_t written_by; /* and the last place at which a group of a job writes it */
#endif
} cr__slot;

/* A view that is not computed but read through; what it looks at. */
typedef struct cr__seen {
    cr_tensor *node;
    cr_tensor *base; /* the node that is looked at */
    cr__use use;     /* of the base */
    uint32_t copy;   /* the unit that copies it: place plus 1; 0: none */
    bool alias;      /* its value stays, and is that of the base */
} cr__seen;

/* The second operand of several products, which is packed once for them. */
typedef struct cr__pack {
    uint32_t first; /* of the products: place plus 1; */
    uint32_t count; /* how many there are */
    uint32_t slot;  /* place plus 1; 0: it is not worth it */
    bool done;
} cr__pack;
#define CR__PACKS 8

typedef struct cr__plan {
    cr_ctx *ctx;
    cr_tensor **nodes; /* to compute, views included, in order of creation */
    uint32_t n;
    uint32_t n_inputs, n_views, n_products; /* of all nodes */
    int64_t n_pending;                      /* of them */
    cr__unit *units;                        /* in order of creation, the old ones first */
    cr__use *uses;
    cr__look *looks;
    cr__seen *views;
    cr__group *groups; /* from 1, numbered as they are made: from the last to the first */
    uint32_t *order;   /* numbers of groups */
    cr__slot *slots;
    uint32_t n_units, n_uses, n_looks, n_seen, n_groups, n_order, n_slots, n_old;
    bool single; /* all nodes are maps of single elements: direct.c computes them */
    bool commit; /* what is pending on leaves becomes theirs */
    bool any_opaque;
    bool rehearsal;     /* nothing is going to be computed */
    bool traces;        /* at what stays, whether it is finite; nothing is written over */
    bool nonfinite;     /* it is not */
    bool unpended;      /* its nodes are counted as readers no more */
    uint32_t n_changes; /* in a list: see cr__note_change() */
    uint32_t fails;     /* the last group that can fail; 0: none can */
    uint32_t commits;   /* how many groups run before nothing can fail any more; */
    uint32_t overwrites;  /* and before one writes over an old value: at least as many */
    uint32_t scratch;     /* the slot, plus 1, of what kernels ask for */
    size_t scratch_bytes; /* the most they ask for; asks: who does */
    uint32_t asks;
    size_t new_bytes;       /* of all slots that are not old */
    const cr_tensor *stale; /* a value that is wanted, and cannot be had any more */
    cr__pack packs[CR__PACKS];
} cr__plan;

/* Row buffers of a worker, at most: what one level makes and another reads. */
#define CR__ROW_BYTES ((size_t)192 << 10)

/* Maps of a channel, at most; and its shortest run that is worth a program's calls. */
#define CR__CHANNEL_BYTES ((size_t)2 << 20)
#define CR__SHORT_RUN     48

/* The accumulators of columns, at most, of CR__BLOCK rows. */
#define CR__COLUMN_BYTES ((size_t)512 << 10)

/* A program's size, in units: long enough to fuse whatever occurs, short enough for its code
 * and registers to stay in the cache. */
#define CR__MAX_PROGRAM 128

/* Places of nodes, views and units have 24 bits in a node. */
#define CR__MAX_PLACES ((1u << 24) - 1)

/* The lists of the context that hold a plan. */
enum {
    CR__NODES,
    CR__SEQS, /* of the nodes, as they are found */
    CR__UNITS,
    CR__USES,
    CR__LOOKS,
    CR__VIEWS,
    CR__GROUPS,
    CR__ORDER,
    CR__SLOTS,
    CR__FREE_SLOTS,
    CR__ARRAYS,
    CR__PROGRAM,
    CR__CHANGES,
    CR__KEY
};

/* What planning has changed about a node: it is pending no more (flag 0), or has that flag. */
typedef struct cr__change {
    cr_tensor *node;
    uint16_t flag;
} cr__change;

/* ---- the phases; false with the error ---- */

bool cr__find_nodes(cr__plan *plan, cr_tensor *const *targets, size_t n);
bool cr__collect(cr__plan *plan);
bool cr__add_uses(cr__plan *plan); /* its second half: uses.c */
bool cr__decide(cr__plan *plan); /* all up to slots, or what they did before: recall.c */
void cr__find_updates(cr__plan *plan); /* its first part: afterthoughts.c */
bool cr__fuse(cr__plan *plan);
void cr__find_afterthoughts(cr__plan *plan); /* its first part: afterthoughts.c */
void cr__find_levels(cr__plan *plan, cr__group *group); /* its last: levels.c */
bool cr__order(cr__plan *plan);
bool cr__find_slots(cr__plan *plan);
void cr__find_stretches(cr__plan *plan);
bool cr__obtain_slots(cr__plan *plan);
bool cr__launch(cr__plan *plan);
void cr__end_run(cr__plan *plan, bool success);

/* What must hold of the plan, and of groups that run at once: n from place i of the order. */
#ifdef CR_DEBUG
void cr__verify_plan(cr__plan *plan);
void cr__verify_job(cr__plan *plan, uint32_t i, uint32_t n);
#else
#define cr__verify_plan(plan)      ((void)(plan))
#define cr__verify_job(plan, i, n) ((void)(plan))
#endif

/* The number, which is a value of the dtype, as that. */
CR__INLINE void cr__store_operand(cr_arg number, cr_dtype dtype, uint64_t *to)
{
    float narrow = number.kind == CR_ARG_REAL ? (float)number.v.real : 0;
    *to = 0;
    if (CR__LIKELY(dtype == CR_F32 && number.kind == CR_ARG_REAL))
        memcpy(to, &narrow, sizeof narrow);
    else
        cr__number_store(number, dtype, to);
}

/* x is computed: commit.c; again: it had to be once more, and is kept. */
void cr__note_computed(cr_tensor *x, bool again);

/* x could not be: it is not tried again for being held, unless the run was cancelled. */
void cr__note_failed(cr_tensor *x);

/* What was held and known is cut, behind a run that succeeded: commit.c; see targets.c. */
void cr__settle_held(const cr__plan *plan);

/* In place of collecting and all that follows: direct.c. */
bool cr__run_directly(cr__plan *plan);

/* blame.c: looks at a value that has been computed; finds the first that is not finite among the
 * n nodes of a run that has failed for that, in order of creation, and where it comes from, which
 * becomes the error; and looks at all that an eager run is about to commit or to be read. */
void cr__trace_unit(cr__plan *plan, const cr__unit *unit);
void cr__blame(cr_ctx *ctx, cr_tensor *const *nodes, size_t n);
bool cr__look_at_known(cr_ctx *ctx, cr_tensor *const *targets, size_t n);

/* ---- what they ask ---- */

/* The run, if the look repeats each of numel elements for a row, in order, or for a channel; else
 * 0. */
int64_t cr__looks_by_rows(const cr__look *look, int64_t numel);

/* Whether a program makes its elements. */
CR__INLINE bool cr__is_made_by_tiles(const cr__unit *unit)
{
    return unit->kind == CR__UNIT_MAP || unit->kind == CR__UNIT_MADE;
}

/* The bytes that an element takes in a register. */
CR__INLINE size_t cr__register_size(const cr__unit *unit)
{
    return cr_dtype_size(cr__register_dtype((cr_dtype)unit->dtype));
}

/* What the results of a reduction that joins its operand are there. */
CR__INLINE cr__role cr__reduction_role(const cr__unit *unit)
{
    return unit->shape->numel == 1    ? CR__ALL
           : unit->flags & CR__ACROSS ? CR__COLUMN
                                      : CR__ROW;
}

CR__INLINE size_t cr__unit_bytes(const cr__unit *unit)
{
    return (size_t)unit->shape->numel * cr_dtype_size((cr_dtype)unit->dtype);
}

/* Where the unit's value lies, once there is memory. */
CR__INLINE void *cr__unit_data(const cr__plan *plan, const cr__unit *unit)
{
    if (unit->shape->numel == 1)
        return &unit->node->value;
    return plan->slots[unit->slot - 1].buffer->data;
}

/* Whether the root is a contraction that maps of the group read. */
CR__INLINE bool cr__is_epilogue(const cr__plan *plan, const cr__group *group)
{
    return group->root && group->shape &&
           plan->units[group->root - 1].kind == CR__UNIT_CONTRACT;
}

/* Whether the elements that are used are the unit's, in order: of a contraction, in any shape. */
CR__INLINE bool cr__uses_each(const cr__plan *plan, const cr__use *use)
{
    return !use->look || (plan->looks[use->look - 1].whole && use->kind == CR__USE_UNIT &&
                          plan->units[use->unit].kind == CR__UNIT_CONTRACT);
}

/* Where the value lies that is used, the look's offset not yet added. */
CR__INLINE const void *cr__use_data(const cr__plan *plan, const cr__use *use)
{
    return use->kind == CR__USE_NUMBER  ? &use->at.number
           : use->kind == CR__USE_KNOWN ? use->at.data
                                        : cr__unit_data(plan, &plan->units[use->unit]);
}

CR__INLINE const cr__look *cr__use_look(const cr__plan *plan, const cr__use *use)
{
    return use->look ? &plan->looks[use->look - 1] : NULL;
}

/* The operand's first element: the look's offset is added. */
CR__INLINE char *cr__use_start(const cr__plan *plan, const cr__use *use)
{
    const cr__look *look = cr__use_look(plan, use);
    char *data = (char *)(uintptr_t)cr__use_data(plan, use);
    return look
               ? data + look->layout.offset * (int64_t)cr_dtype_size((cr_dtype)use->dtype)
               : data;
}

/* Elements that lie like this, the first of them at data. */
CR__INLINE cr__strided cr__lying(const cr__layout *layout, char *data)
{
    cr__strided s; /* of which nothing is cleared in vain */
    s.data = data;
    s.ndim = layout->ndim;
    memcpy(s.dims, layout->dims, sizeof s.dims);
    memcpy(s.strides, layout->strides, sizeof s.strides);
    return s;
}

CR__INLINE int64_t cr__layout_numel(const cr__layout *layout)
{
    int64_t numel = 1;
    for (int d = 0; d < layout->ndim; d++)
        numel *= layout->dims[d];
    return numel;
}

CR__INLINE bool cr__layout_contiguous(const cr__layout *layout)
{
    int64_t stride = 1;
    for (int d = layout->ndim - 1; d >= 0; d--) {
        if (layout->dims[d] != 1 && layout->strides[d] != stride)
            return layout->dims[d] == 0;
        stride *= layout->dims[d];
    }
    return true;
}

/* Whether all of a value of numel elements is seen, in order: collect.c. */
bool cr__shows_all(const cr__layout *layout, int64_t numel);

/* The error that the operation has no kernel for operands of the dtype: uses.c. */
void cr__fail_kernel(cr_ctx *ctx, const cr_op *op, cr_dtype dtype);

/* Bytes of memory that a unit reads, and those before it in its group have not, and writes; or as
 * if it were alone: plan_text.c. */
void cr__unit_traffic(const cr__plan *plan, const cr__unit *unit, bool alone, size_t *in,
                      size_t *out);

/* Plans what cr_eval() of xs would do, has it said, and forgets it: run.c. */
bool cr__rehearse(cr_ctx *ctx, cr_tensor *const *xs, int n, cr__text *out,
                  void (*say)(cr__text *out, const cr__plan *plan));

/* Takes note of a change, which a rehearsal takes back: targets.c. */
bool cr__note_change(cr__plan *plan, cr_tensor *x, unsigned flag);

/* How x, an operand of the unit at a place, is read. Old values are known and in the run;
 * the copy of a view serves the units behind it. Written in place: a copy of what was just
 * written in parts would wait for them. */
CR__INLINE void cr__find_use(const cr__plan *plan, const cr_tensor *x, uint32_t place,
                             cr__use *use)
{
    const bool known = x->flags & CR__KNOWN;
    const cr__seen *seen = NULL;
    uint32_t unit = x->run - 1u;
    if (known && !x->run) {
        const void *data =
            x->shape->numel == 1 ? (const void *)&x->value.scalar : x->value.buffer->data;
        *use =
            (cr__use){ .kind = CR__USE_KNOWN, .dtype = x->dtype, .at = { .data = data } };
        return;
    }
    if (!known && x->op->kind == CR_OP_VIEW) {
        seen = &plan->views[x->run - 1];
        unit = seen->copy - 1;
    }
    if (seen && !(seen->copy && seen->copy <= place))
        *use = seen->use;
    else
        *use = (cr__use){ .kind = CR__USE_UNIT, .dtype = x->dtype, .unit = unit };
}

/* Operand k of the unit, as kernels take it: with the look's offset added. */
void cr__operand_of(const cr__plan *plan, const cr__unit *unit, int k, cr__strided *s);

/* Whether a reduction may be in a group of maps: over the innermost dims, or, being of floats,
 * over all but channels, with *run innermost elements of each; or over columns, *run being 0. */
bool cr__reduces_maps(const cr_tensor *x, int64_t *run);

/* Whether it is the mean of integers, which is no sum that ends. */
bool cr__means_integers(const cr_tensor *x);

/* Whether maps can run over panels of the contraction: product.c. */
bool cr__takes_panels(const cr__unit *unit);

/* Whether it is a convolution: then panels are of its result, in memory. */
bool cr__is_convolution(const cr__unit *unit);

/* Finds what is to be packed once; how many bytes that takes, or 0: packs.c. */
void cr__find_packs(cr__plan *plan);
size_t cr__pack_bytes(const cr__plan *plan, const cr__pack *pack);

/* How a reduction node's sums end. */
cr__ending cr__ending_of(cr_tensor *x);

#endif
