/* What the files of src/nn share: the module itself. */
#ifndef CR_NN_NN_H
#define CR_NN_NN_H

#include "../base/memory.h"

/* What a module is. */
typedef struct cr__nn_kind {
    const char *name;
    cr_tensor *(*forward)(cr_module *module, cr_tensor *x, const char *site);
    bool holds_children; /* cr_nn_add() may add to it */
} cr__nn_kind;

/* A parameter or a buffer. The module holds one reference to the tensor. */
typedef struct cr__nn_entry {
    char *name;
    cr_tensor *tensor;
    bool buffer;
} cr__nn_entry;

/* A list handed out: one block of memory, the rows before the characters of their names.
 */
typedef struct cr__nn_list {
    cr_params view;
    cr_param *rows;
    bool current; /* nothing was added since it was made */
} cr__nn_list;

struct cr_module {
    cr_ctx *ctx;
    const cr__nn_kind *kind;
    cr_module *parent; /* NULL: nobody's; the user frees it */
    int place;         /* parent->children[place] is this */
    bool evaluating;
    int running; /* of a root: calls of forward in progress in its tree */

    cr_module **children;
    int n_children, children_capacity;
    cr__nn_entry *entries;
    int n_entries, entries_capacity;
    cr__nn_list params, buffers;

    int64_t features; /* of normalisations and linear: the size they take */
    double number;    /* dropout: p; leaky_relu: the slope */
    cr_tensor *(*activation)(cr_tensor *x, const char *site);

    char *custom_kind; /* modules of the user's own */
    cr_nn_forward_fn *custom_forward;
    void *user;
    void (*free_user)(void *user);
};

/* A constructor is cr__nn_new(), what fills the module, cr__nn_done(). Between the two
 * what is made belongs to a scope of its own, and after a failure nothing happens any
 * more; cr__nn_done() then frees the module and returns NULL. */
cr_module *cr__nn_new(cr_ctx *ctx, const cr__nn_kind *kind);
cr_module *cr__nn_done(cr_module *module);

/* Adds a leaf, or a buffer, which the module then holds a reference to. */
void cr__nn_own(cr_module *module, const char *name, cr_tensor *value, bool buffer);

/* Makes child the last child of parent, which frees it from now on; also on failure. */
cr_status cr__nn_adopt(cr_module *parent, cr_module *child);

/* The module's forward, without what the outermost one does besides. */
cr_tensor *cr__nn_run(cr_module *module, cr_tensor *x, const char *site);

/* The path of a module below its root, like "2.inner", written like snprintf does. */
size_t cr__nn_path(const cr_module *module, char *text, size_t capacity);

/* U[low, high) as operations. */
cr_tensor *cr__nn_uniform(cr_ctx *ctx, cr_dims dims, double low, double high,
                          cr_dtype dtype, const char *site);

#endif
