/* The backward walk, shared by backward passes and functional gradients; and what the
 * explanations offer to error messages. */
#ifndef CR_GRAD_GRAD_H
#define CR_GRAD_GRAD_H

#include "../graph/graph.h"

/* The walk's lists, which the context keeps for the next walk. */
enum {
    CR__WALK_NODES,
    CR__WALK_COTANGENTS,
    CR__WALK_DOWN,
    CR__WALK_ENDS,
    CR__WALK_COPIES,
    CR__WALK_BATCH
};

/* One walk: begin, roots, collect, perhaps prune, seed, down, end. While it lasts, a node
 * that takes part has its place in `nodes` plus 1 as its `walk`; all others have 0. */
typedef struct cr__walk {
    cr_ctx *ctx;
    const char *what, *site; /* for messages: "backward", the caller's place */
    uint64_t since;          /* what the walk makes has no smaller seq */
    size_t n;
    cr_tensor **nodes; /* the versions of leaves, then the others by seq, ascending */
    cr_tensor **cotangents; /* of the nodes; NULL: none has arrived */
    cr_tensor **copies;     /* of nodes that are recomputed; NULL: there are none */
    size_t n_ends;
    size_t *ends;  /* places of the versions, and of watched nodes that are reached */
    bool releases; /* each node's saves and mark go as soon as its vjp has been called */
    bool wasteful; /* vjps have recorded cotangents that nothing takes */
    bool some;     /* only what is `wanted` gets a gradient */
    int no_grad;   /* the context's, to be restored, and so the following */
    bool recomputes;
    const char *context_site;
    const cr_op *within;
} cr__walk;

/* False, with the error, inside another walk. */
bool cr__may_walk(cr_ctx *ctx, const char *what, const char *site);
/* Recording has gradients on with create_graph, off without. */
void cr__walk_begin(cr__walk *walk, cr_ctx *ctx, bool create_graph, const char *what,
                    const char *site);
/* A node to start from, unless it needs no gradient. */
bool cr__walk_root(cr__walk *walk, cr_tensor *node);
/* Finds and orders what lies beneath the roots and needs a gradient. */
bool cr__walk_collect(cr__walk *walk);
/* Keeps only what lies between the roots and the n nodes, which are those of xs: of a leaf,
 * all the values that it has had. */
void cr__walk_prune(cr__walk *walk, cr_tensor *const *nodes, cr_tensor *const *xs,
                    size_t n);
/* A cotangent arrives at a node of the walk. Here paths meet: cotangents add up. */
bool cr__walk_arrive(cr__walk *walk, const cr_tensor *node, cr_tensor *cotangent);
/* The same before any other has. */
bool cr__walk_seed(cr__walk *walk, cr_tensor *node, cr_tensor *cotangent);
/* The chain rule, from the roots down. */
bool cr__walk_down(cr__walk *walk);
/* What the vjp of nodes[i], which is recomputed, is given in its place; NULL with the error. And
 * the walk ends: recompute_walk.c. */
cr_tensor *cr__walk_again(cr__walk *walk, size_t i);
void cr__walk_forget_copies(cr__walk *walk);
/* With let_go, what was saved for the vjps that have been called is not saved any more.
 */
void cr__walk_end(cr__walk *walk, bool let_go);

/* The cotangent to start with at y: given, after checks, or ones. NULL with the error. */
cr_tensor *cr__walk_start(cr_tensor *y, cr_tensor *given, bool create_graph,
                          const char *what, const char *site);

/* Between 1/4 and 2, of either sign, no two alike: no element of an output hides behind another.
 * gradcheck.c. */
double cr__check_weight(int output, int64_t i);

/* Like y, all zeros but for element i. functional.c. */
cr_tensor *cr__unit_vector(cr_tensor *y, int64_t i, const char *site);

/* Records the error "what: why (site); advice". advice may be NULL. Returns status. */
CR__COLD cr_status cr__grad_fail(cr_ctx *ctx, cr_status status, const char *what,
                                 const char *site, const char *advice, const char *format,
                                 ...) CR_FORMAT(6, 7);

#endif
