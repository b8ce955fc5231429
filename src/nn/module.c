/* The module tree: who owns whom, what a module is made of, and how it is freed. Names are in
 * module_names.c, forwards in forward.c, what the single kinds do in the files that end in layers.c.
 * Walks over the tree use its links, not recursion. */
#include "nn.h"

#include "../base/dtype.h"
#include "../base/fp.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- the tree ---- */

cr_module *cr__nn_root(cr_module *module)
{
    while (module->parent)
        module = module->parent;
    return module;
}

cr_module *cr__nn_next(const cr_module *root, const cr_module *module)
{
    if (module->n_children)
        return module->children[0];
    for (; module != root; module = module->parent)
        if (module->place + 1 < module->parent->n_children)
            return module->parent->children[module->place + 1];
    return NULL;
}

/* Frees one module that has no children left. */
static void free_one(cr_module *module)
{
    cr_ctx *ctx = module->ctx;
    for (int i = 0; i < module->n_entries; i++) {
        cr_release(module->entries[i].tensor);
        cr__free(ctx, module->entries[i].name);
    }
    if (module->kind->end)
        module->kind->end(module);
    cr__free(ctx, module->entries);
    cr__lookup_free(ctx, &module->names);
    cr__free(ctx, module->children);
    cr__free(ctx, module->hooks);
    cr__free(ctx, module->params.rows);
    cr__free(ctx, module->buffers.rows);
    cr__free(ctx, module);
}

/* Frees a module and all below it, the last leaf of the tree first. */
static void free_tree(cr_module *root)
{
    root->closing = true;
    for (cr_module *module = root;;) {
        if (module->n_children) {
            module = module->children[--module->n_children];
            continue;
        }
        cr_module *parent = module == root ? NULL : module->parent;
        free_one(module);
        if (!parent)
            return;
        module = parent;
    }
}

/* Why a module without a parent must stay as it is now, NULL if it need not. */
static const char *in_use(const cr_module *root)
{
    return root->closing ? "is being freed" : root->running ? "is running" : NULL;
}

void cr_nn_free(cr_module *module)
{
    if (!module)
        return;
    const char *why = module->parent ? NULL : in_use(module);
    if (module->parent)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_free: this %s belongs to a %s, which frees it", module->name,
                module->parent->name);
    else if (why)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_free: this %s %s; free it outside of its own forward", module->name,
                why);
    else
        free_tree(module);
}

void cr__nn_discard(cr_module *child)
{
    if (child && !child->parent && !in_use(child))
        free_tree(child);
}

void *cr__nn_grow(cr_ctx *ctx, void *array, int n, int *capacity, size_t row)
{
    if (n < *capacity)
        return array;
    if (n > INT32_MAX / 2) {
        cr_fail(ctx, CR_ERR_ARGUMENT, "nn: a module has at most 2^30 parts");
        return NULL;
    }
    int larger = n ? 2 * n : 4;
    void *copy = cr__alloc(ctx, (size_t)larger * row);
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, array, (size_t)n * row);
    cr__free(ctx, array);
    *capacity = larger;
    return copy;
}

static void lists_changed(cr_module *module)
{
    for (; module; module = module->parent)
        module->params.current = module->buffers.current = false;
}

/* ---- making modules ---- */

cr_module *cr__nn_new(cr_ctx *ctx, const cr__nn_kind *kind, const void *settings)
{
    if (!ctx || cr_error(ctx))
        return NULL;
    /* The settings lie behind the module, aligned like anything that cr__alloc() gives. */
    size_t head = (sizeof(cr_module) + 15) & ~(size_t)15;
    cr_module *module = cr__alloc(ctx, head + kind->settings_size);
    if (!module)
        return NULL;
    module->ctx = ctx;
    module->kind = kind;
    module->name = kind->name;
    module->height = 1;
    module->settings = (char *)module + head;
    if (kind->settings_size)
        memcpy(module->settings, settings, kind->settings_size);
    if (cr_scope_push(ctx) != CR_OK) {
        cr__free(ctx, module);
        return NULL;
    }
    return module;
}

cr_module *cr__nn_done(cr_module *module)
{
    if (!module)
        return NULL;
    cr_ctx *ctx = module->ctx;
    cr_scope_pop(ctx);
    if (cr_error(ctx)) {
        free_tree(module);
        return NULL;
    }
    return module;
}

static cr_status check_entry(cr_module *module, const char *name, cr_tensor *value,
                             const char *site)
{
    cr_ctx *ctx = module->ctx;
    if (!cr__nn_name(module, name, site))
        return cr_error(ctx);
    if (!value)
        return cr_fail(ctx, CR_ERR_NULL, "nn: the value of %s is NULL (%s)", name, site);
    if (!cr_dtype_of(value))
        return cr_fail(ctx, CR_ERR_SCOPE, "nn: %s was released with its scope (%s)", name,
                       site);
    if (cr_ctx_of(value) != ctx)
        return cr_fail(ctx, CR_ERR_SCOPE, "nn: %s is a tensor of another context (%s)",
                       name, site);
    if (cr__nn_entry_named(module, name))
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "nn: this %s has a part named %s already (%s)", module->name, name,
                       site);
    return CR_OK;
}

static cr_status add_entry(cr_module *module, const char *name, cr_tensor *value,
                           bool buffer, const char *site)
{
    cr_ctx *ctx = module->ctx;
    site = site ? site : "?";
    if (cr_error(ctx) || check_entry(module, name, value, site) != CR_OK)
        return cr_error(ctx);
    cr__nn_entry *entries = cr__nn_grow(ctx, module->entries, module->n_entries,
                                        &module->entries_capacity, sizeof *entries);
    if (!entries)
        return cr_error(ctx);
    module->entries = entries;
    char *copy = cr__alloc(ctx, strlen(name) + 1);
    if (!copy || (!buffer && !cr_requires_grad_at(value, true, site)) ||
        !cr_named(value, name) ||
        !cr__lookup_add(ctx, &module->names, cr__hash_text(name), module->n_entries)) {
        cr__free(ctx, copy);
        return cr_error(ctx);
    }
    module->entries[module->n_entries++] = (cr__nn_entry){ .name = strcpy(copy, name),
                                                           .tensor = cr_retain(value),
                                                           .buffer = buffer };
    lists_changed(module);
    return CR_OK;
}

cr_tensor *cr__nn_own(cr_module *module, const char *name, cr_tensor *value, bool buffer,
                      const char *site)
{
    bool owned = module && value && add_entry(module, name, value, buffer, site) == CR_OK;
    return owned ? value : NULL;
}

cr_status cr_nn_add_param_at(cr_module *module, const char *name, cr_tensor *value,
                             const char *site)
{
    return module ? add_entry(module, name, value, false, site) : CR_ERR_NULL;
}

cr_status cr_nn_add_buffer_at(cr_module *module, const char *name, cr_tensor *value,
                              const char *site)
{
    return module ? add_entry(module, name, value, true, site) : CR_ERR_NULL;
}

static int level_of(const cr_module *module)
{
    int level = 1;
    for (; module->parent; module = module->parent)
        level++;
    return level;
}

/* Fails if child cannot become a child of parent. */
static cr_status check_child(cr_module *parent, const cr_module *child, const char *site)
{
    cr_ctx *ctx = parent->ctx;
    if (!child)
        return cr_fail(ctx, CR_ERR_NULL, "nn: the module to add to a %s is NULL (%s)",
                       parent->name, site);
    if (child->parent)
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "nn: this %s belongs to a %s already; a module has one owner (%s)",
                       child->name, child->parent->name, site);
    const cr_module *root = cr__nn_root(parent);
    if (child == root)
        return cr_fail(ctx, CR_ERR_ARGUMENT, "nn: a %s cannot hold itself (%s)",
                       child->name, site);
    if (in_use(child) || root->closing)
        return cr_fail(ctx, CR_ERR_ARGUMENT, "nn: this %s %s: it cannot be added (%s)",
                       root->closing ? root->name : child->name,
                       root->closing ? "is being freed" : in_use(child), site);
    if (child->ctx != ctx)
        return cr_fail(ctx, CR_ERR_SCOPE, "nn: this %s is of another context (%s)",
                       child->name, site);
    if (level_of(parent) + child->height > CR_NN_MAX_DEPTH)
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "nn: a %s in a %s would be %d modules in each other; at most %d "
                       "(%s)",
                       child->name, parent->name, level_of(parent) + child->height,
                       CR_NN_MAX_DEPTH, site);
    return cr_error(ctx);
}

/* Fails if the parts of a module cannot change places now, or if it has no place i. */
static bool check_place(const cr_module *module, const char *what, int i, int places,
                        const char *site)
{
    const char *why = in_use(cr__nn_root((cr_module *)module));
    if (why)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_%s: this %s %s; change it outside of its own forward (%s)", what,
                module->name, why, site);
    else if (i < 0 || i >= places)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_%s: there is no place %d in this %s, which holds %d modules (%s)",
                what, i, module->name, module->n_children, site);
    return !cr_error(module->ctx);
}

cr_status cr__nn_adopt(cr_module *parent, cr_module *child, int place, const char *site)
{
    cr_module **children = NULL;
    site = site ? site : "?";
    if (check_child(parent, child, site) == CR_OK &&
        (place == parent->n_children ||
         check_place(parent, "insert", place, parent->n_children + 1, site)))
        children = cr__nn_grow(parent->ctx, parent->children, parent->n_children,
                               &parent->children_capacity, sizeof *children);
    if (!children) {
        if (child != cr__nn_root(parent))
            cr__nn_discard(child);
        return cr_error(parent->ctx);
    }
    parent->children = children;
    child->parent = parent;
    for (int i = parent->n_children++; i > place; i--) {
        children[i] = children[i - 1];
        children[i]->place = i;
    }
    children[place] = child;
    child->place = place;
    for (cr_module *m = child; m->parent && m->parent->height <= m->height; m = m->parent)
        m->parent->height = m->height + 1;
    lists_changed(parent);
    return CR_OK;
}

/* Whether the user may change what a module holds; false with the error. */
static bool holds_children(const cr_module *module, const char *what, const char *site)
{
    if (module && !module->kind->holds_children)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_%s: a %s holds no modules; add to a sequential (%s)", what,
                module->name, site ? site : "?");
    return module && module->kind->holds_children;
}

/* Takes over child in front of the place-th. */
static cr_status take_over(cr_module *module, cr_module *child, int place,
                           const char *what, const char *site)
{
    if (holds_children(module, what, site))
        return cr__nn_adopt(module, child, place, site);
    if (!module && child)
        cr_fail(child->ctx, CR_ERR_NULL, "nn_%s: the module to add to is NULL (%s)", what,
                site ? site : "?");
    if (!module || child != cr__nn_root(module))
        cr__nn_discard(child);
    return module ? cr_error(module->ctx) : CR_ERR_NULL;
}

cr_status cr_nn_add_at(cr_module *module, cr_module *child, const char *site)
{
    return take_over(module, child, cr_nn_count(module), "add", site);
}

cr_status cr_nn_insert_at(cr_module *module, int i, cr_module *child, const char *site)
{
    return take_over(module, child, i, "insert", site);
}

cr_module *cr_nn_remove_at(cr_module *module, int i, const char *site)
{
    if (!module || cr_error(module->ctx) || !holds_children(module, "remove", site) ||
        !check_place(module, "remove", i, module->n_children, site ? site : "?"))
        return NULL;
    cr_module *child = module->children[i];
    module->n_children--;
    for (; i < module->n_children; i++) {
        module->children[i] = module->children[i + 1];
        module->children[i]->place = i;
    }
    child->parent = NULL;
    child->place = 0;
    for (cr_module *m = module; m; m = m->parent) {
        m->height = 1;
        for (int k = 0; k < m->n_children; k++)
            if (m->children[k]->height >= m->height)
                m->height = m->children[k]->height + 1;
    }
    lists_changed(module);
    return child;
}

/* ---- asking ---- */

int cr_nn_count(const cr_module *module)
{
    return module ? module->n_children : 0;
}

cr_module *cr_nn_child(const cr_module *module, int i)
{
    return module && i >= 0 && i < module->n_children ? module->children[i] : NULL;
}

const char *cr_nn_kind(const cr_module *module)
{
    return module ? module->name : "";
}

bool cr_nn_is_training(const cr_module *module)
{
    return module && !module->evaluating;
}

void cr_nn_train(cr_module *module, bool training)
{
    for (cr_module *m = module; m; m = cr__nn_next(module, m))
        m->evaluating = !training;
}
