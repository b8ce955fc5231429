/* What the files of src/nn share: the module itself, and what constructors are made of. */
#ifndef CR_NN_NN_H
#define CR_NN_NN_H

#include "../base/lookup.h"

/* What a module is. */
typedef struct cr__nn_kind {
    const char *name;
    cr_tensor *(*forward)(cr_module *module, cr_tensor *x, const char *site);
    size_t settings_size; /* what the kind keeps in module->settings */
    bool holds_children;  /* cr_nn_add() may add to it */
    bool linear;          /* in its parameter weight, which has two dims or more */
    bool residual;        /* its child is a branch beside the identity */
    void (*end)(cr_module *module); /* lets go what settings own; NULL: nothing */
} cr__nn_kind;

/* A parameter or a buffer. The module holds one reference to the tensor. */
typedef struct cr__nn_entry {
    char *name;
    cr_tensor *tensor;
    bool buffer;
} cr__nn_entry;

/* A hook on forward; NULL: it was removed. */
typedef struct cr__nn_hook {
    uint64_t id;
    cr_nn_forward_hook *hook;
    void *user;
} cr__nn_hook;

/* A list handed out: one block of memory, the rows before the characters of their names. */
typedef struct cr__nn_list {
    cr_params view;
    cr_param *rows;
    bool current; /* nothing was added since it was made */
} cr__nn_list;

struct cr_module {
    cr_ctx *ctx;
    const cr__nn_kind *kind;
    const char *name; /* what its kind is called: a custom module has a name of its own */
    cr_module *parent; /* NULL: nobody's; the user frees it */
    int place;         /* parent->children[place] is this */
    const char *label; /* what its parent calls it; NULL: its place */
    int height;        /* levels of modules from this one down, itself included */
    bool evaluating;
    int running;  /* of a root: calls of forward in progress in its tree */
    bool closing; /* of a root: it is being freed */

    cr_module **children;
    int n_children, children_capacity;
    cr__nn_entry *entries;
    int n_entries, entries_capacity;
    cr__lookup names; /* of entries */
    cr__nn_list params, buffers;
    const char
        *branch; /* what a kind that holds no children calls its only one; NULL: inner */

    cr__nn_hook *hooks;
    int n_hooks, hooks_capacity;
    int calling; /* calls of its hooks in progress: rows stay where they are */
    uint64_t last_hook;

    void *settings; /* of kind->settings_size bytes */
};

/* A constructor is cr__nn_new(), what checks the arguments and fills the module, and
 * cr__nn_done(). Between the two what is made belongs to a scope of its own, and after a
 * failure nothing happens any more; cr__nn_done() then frees the module and returns NULL.
 * All of these accept a NULL module. settings are copied. */
cr_module *cr__nn_new(cr_ctx *ctx, const cr__nn_kind *kind, const void *settings);
cr_module *cr__nn_done(cr_module *module);

/* Checks of arguments, false with an error that names the module: a size is 1 or more; a
 * number is finite and in [least, most]; a name is not empty and has no dot; a dtype is a float,
 * 0 standing for f32; a dim may be one of some tensor; a list has one number or one for each of ndim, none below `least`, or is
 * not given, if it need not be. */
bool cr__nn_size(const cr_module *module, const char *what, int64_t size,
                 const char *site);
bool cr__nn_number(const cr_module *module, const char *what, double x, double least,
                   double most, const char *range, const char *site);
bool cr__nn_name(const cr_module *module, const char *name, const char *site);
bool cr__nn_float(const cr_module *module, cr_dtype dtype, const char *site);
bool cr__nn_dim(const cr_module *module, const char *what, int64_t dim, const char *site);
bool cr__nn_numbers(const cr_module *module, const char *what, const cr_dims *list,
                    int ndim, int64_t least, bool needed, const char *site);
/* Whether a parameter of this shape has a number of bytes. */
bool cr__nn_fits(const cr_module *module, cr_dims dims, const char *site);

/* Records an error about a constructor's argument; false. */
bool cr__nn_refuse(const cr_module *module, cr_status status, const char *site,
                   const char *format, ...) CR_FORMAT(4, 5);

/* Walks over the tree: the outermost module, and the one after this in construction order
 * (parents first) below root, NULL at the end. */
cr_module *cr__nn_root(cr_module *module);
cr_module *cr__nn_next(const cr_module *root, const cr_module *module);

/* The array with room for one more row: itself, or a larger copy in its place; NULL on
 * failure, and the array stays. */
void *cr__nn_grow(cr_ctx *ctx, void *array, int n, int *capacity, size_t row);

/* The module's own parameter or buffer of that name, NULL if there is none. */
const cr__nn_entry *cr__nn_entry_named(const cr_module *module, const char *name);

/* Adds a leaf, or a buffer, which the module then holds a reference to. Returns value, NULL
 * on failure. */
cr_tensor *cr__nn_own(cr_module *module, const char *name, cr_tensor *value, bool buffer,
                      const char *site);

/* A parameter, or a buffer, that is the same number everywhere; and a parameter uniform in
 * +-1/sqrt(fan_in). */
cr_tensor *cr__nn_own_full(cr_module *module, const char *name, cr_dims dims,
                           double value, cr_dtype dtype, bool buffer, const char *site);
cr_tensor *cr__nn_own_uniform(cr_module *module, const char *name, cr_dims dims,
                              int64_t fan_in, cr_dtype dtype, const char *site);

/* Checks of a forward's input, false with an error that says which module it is: so many features
 * along dim, so many dimensions. */
bool cr__nn_takes(const cr_module *module, cr_tensor *x, int dim, int64_t features,
                  const char *site);
bool cr__nn_takes_rank(const cr_module *module, cr_tensor *x, int least, int most,
                       const char *site);

/* Makes child parent's child in front of the place-th; parent frees it from now on. Frees child
 * if that fails, unless it is another's, or in use. A parent that holds no children of the user's
 * calls each by a label. */
cr_status cr__nn_adopt(cr_module *parent, cr_module *child, int place, const char *site);
/* Frees what a constructor or cr_nn_add() was given and cannot keep: see above. */
void cr__nn_discard(cr_module *child);

/* The module's forward, without what the outermost one does besides. */
cr_tensor *cr__nn_run(cr_module *module, cr_tensor *x, const char *site);

/* U[low, high) as operations. */
cr_tensor *cr__nn_uniform(cr_ctx *ctx, cr_dims dims, double low, double high,
                          cr_dtype dtype, const char *site);

#endif
