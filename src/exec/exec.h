/* What the files of src/exec share: the plan of a run.
 *
 *     targets -> groups (schedule.c) -> buffers (buffers.c) -> computing (run.c, with
 *     program.c for maps and product.c for products) -> values of nodes
 *
 * A plan holds the nodes to compute in ascending order of creation, so inputs come first.
 * Groups are made backwards, from the consumers, and run in descending order of number:
 * see schedule.c. */
#ifndef CR_EXEC_EXEC_H
#define CR_EXEC_EXEC_H

#include "../graph/graph.h"

#define CR__NO_GROUP 0u

enum {
    CR__STORE = 1,    /* its value gets memory of its own */
    CR__INDIRECT = 2, /* its first group does not read it element by element */
    CR__OUTLIVES = 4, /* its value stays with the node after the run */
    CR__COPIED = 8,   /* a view that is copied, not read through */
    CR__ALIAS = 16,   /* a target view that shares its base's buffer */
    CR__PINNED = 32,  /* its memory is that of an alias, which outlives the run */
    CR__FREED = 64,   /* the plan has passed its last use */
    CR__AGAIN = 128,  /* let go once, and read by something new: kept from now on */
};

/* What a plan knows of a node. */
typedef struct cr__entry {
    uint32_t group; /* while planning: the first group to use it so far */
    uint32_t last;  /* the last group to read its memory */
    uint32_t next;  /* of the same group: place plus 1 */
    uint32_t flags : 8;
    uint32_t slot : 24; /* of a view: its place in views; else of its buffer in buffers;
                           plus 1 */
} cr__entry;

/* A view as read: the node whose memory it looks at, and where in it. */
typedef struct cr__seen {
    cr_tensor *base;
    cr__layout layout;
    uint32_t copy; /* CR__COPIED: its buffer's place in buffers plus 1 */
} cr__seen;

/* Nodes computed together: a tile program of maps that may end in a reduction, or one
 * node. */
typedef struct cr__group {
    cr_tensor *reduce;      /* the reduction that a program ends in, or NULL */
    const cr__shape *shape; /* what it iterates over; NULL: one node that is no program */
    uint32_t first;         /* its first entry's place plus 1; they ascend */
    uint32_t count;
} cr__group;

typedef struct cr__plan {
    cr_ctx *ctx;
    cr_tensor **nodes;
    cr__entry *entries;
    uint32_t n;
    cr__group *groups; /* from 1 */
    uint32_t n_groups; /* one past the last */
    cr__seen *views;
    uint32_t n_views;
    cr__buffer **buffers; /* all that were obtained; nodes may use one in turn */
    uint32_t n_buffers;
    uint32_t scratch; /* the place, plus 1, of what opaque kernels ask for; 0: nothing */
    bool unpended;    /* its nodes are counted as readers no more */
    const cr_tensor *stale; /* a value that is wanted, and cannot be had any more */
} cr__plan;

/* Where the elements of an operand are. */
typedef struct cr__source {
    cr_tensor *base;  /* the node whose memory it is */
    const char *data; /* its first element's place, the layout's offset not yet added */
    const cr__layout *layout; /* NULL: contiguous, in the operand's shape */
    bool borrowed;            /* nothing may be read behind the end */
} cr__source;

CR__INLINE cr__entry *cr__entry_of(const cr__plan *plan, const cr_tensor *x)
{
    return x->run ? &plan->entries[x->run - 1] : NULL;
}

/* The entry of what holds x's elements: its own, or that of its base if x is a view. NULL
 * if the value is known already. */
cr__entry *cr__entry_of_base(const cr__plan *plan, const cr_tensor *x);

/* x, or what it is another name for: a view that shows all of a value as it is. */
cr_tensor *cr__original(const cr__plan *plan, cr_tensor *x);

cr__source cr__source_of(const cr__plan *plan, cr_tensor *x);

/* The place in buffers, plus 1, of the memory that the plan stores x in; 0: none. */
uint32_t cr__buffer_slot(const cr__plan *plan, const cr_tensor *x);

/* Where to write the value of x, which the plan stores. */
void *cr__destination(const cr__plan *plan, cr_tensor *x);

bool cr__layout_contiguous(const cr__layout *layout);

cr__layout cr__layout_of(const cr__source *source, const cr_tensor *x);

/* x as kernels take it, with the layout's offset added; size of an element. */
cr__strided cr__strided_of(const cr__source *source, const cr_tensor *x);

/* Whether the node's group is a reduction that a program may end in: over the innermost
 * dims. */
bool cr__reduces_inner(const cr_tensor *x);

/* Whether it is the mean of integers, which is no sum that ends. */
bool cr__means_integers(const cr_tensor *x);

/* How a reduction node's sums end. */
cr__ending cr__ending_of(cr_tensor *x);

/* The lists of the context that hold a plan, and what a program is built in. */
enum {
    CR__NODES,
    CR__ENTRIES,
    CR__GROUPS,
    CR__VIEWS,
    CR__BUFFERS,
    CR__ARRAYS,
    CR__PROGRAM
};

/* Collects, sorts, groups: schedule.c. Obtains all memory: buffers.c. False with the
 * error. */
bool cr__plan_groups(cr__plan *plan, cr_tensor *const *targets, size_t n, bool commit);
bool cr__plan_memory(cr__plan *plan);

/* Computes the matrix product that x is, of the operands with these elements, into out
 * (contiguous): product.c. It obtains no memory and cannot fail. */
void cr__run_contract(cr_tensor *x, const cr__strided *a, const cr__strided *b, void *out,
                      cr__team *team);

/* Runs a group of maps, with the reduction that it may end in: program.c. */
bool cr__run_program(const cr__plan *plan, const cr__group *group);

#endif
