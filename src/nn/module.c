/* The module tree: who owns whom, parameters and their names, training mode, forward.
 * What the single kinds of modules do is in layers.c. Walks over the tree use its links,
 * not recursion. */
#include "nn.h"

#include <stdio.h>
#include <string.h>

/* ---- the tree ---- */

static cr_module *root_of(cr_module *module)
{
    while (module->parent)
        module = module->parent;
    return module;
}

/* The module after this one in construction order (parents first) below root; NULL at the
 * end. */
static cr_module *next_below(const cr_module *root, const cr_module *module)
{
    if (module->n_children)
        return module->children[0];
    for (; module != root; module = module->parent)
        if (module->place + 1 < module->parent->n_children)
            return module->parent->children[module->place + 1];
    return NULL;
}

static const char *kind_of(const cr_module *module)
{
    return module->custom_kind ? module->custom_kind : module->kind->name;
}

/* Frees one module that has no children left. */
static void free_one(cr_module *module)
{
    cr_ctx *ctx = module->ctx;
    for (int i = 0; i < module->n_entries; i++) {
        cr_release(module->entries[i].tensor);
        cr__free(ctx, module->entries[i].name);
    }
    if (module->free_user)
        module->free_user(module->user);
    cr__free(ctx, module->entries);
    cr__free(ctx, module->children);
    cr__free(ctx, module->params.rows);
    cr__free(ctx, module->buffers.rows);
    cr__free(ctx, module->custom_kind);
    cr__free(ctx, module);
}

/* Frees a module and all below it, the last leaf of the tree first. */
static void free_tree(cr_module *root)
{
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

void cr_nn_free(cr_module *module)
{
    if (!module)
        return;
    if (module->parent)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_free: this %s belongs to a %s, which frees it", kind_of(module),
                kind_of(module->parent));
    else
        free_tree(module);
}

/* The array with room for one more row: itself, or a larger copy in its place; NULL on
 * failure, and the array stays. */
static void *grow(cr_ctx *ctx, void *array, int n, int *capacity, size_t row)
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

static char *copy_text(cr_ctx *ctx, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = cr__alloc(ctx, bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

static void lists_changed(cr_module *module)
{
    for (; module; module = module->parent)
        module->params.current = module->buffers.current = false;
}

/* ---- making modules ---- */

cr_module *cr__nn_new(cr_ctx *ctx, const cr__nn_kind *kind)
{
    if (!ctx || cr_error(ctx))
        return NULL;
    cr_module *module = cr__alloc(ctx, sizeof *module);
    if (!module)
        return NULL;
    module->ctx = ctx;
    module->kind = kind;
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

static cr_status check_entry(cr_module *module, const char *name, cr_tensor *value)
{
    cr_ctx *ctx = module->ctx;
    if (!name || !name[0] || strchr(name, '.'))
        return cr_fail(
            ctx, CR_ERR_ARGUMENT,
            "nn: \"%s\" is no name for a part of a %s: it must not be empty, nor "
            "have a dot in it",
            name ? name : "(NULL)", kind_of(module));
    if (!value)
        return cr_fail(ctx, CR_ERR_NULL, "nn: the value of %s is NULL", name);
    if (cr_ctx_of(value) != ctx)
        return cr_fail(ctx, CR_ERR_SCOPE, "nn: %s is a tensor of another context", name);
    for (int i = 0; i < module->n_entries; i++)
        if (strcmp(module->entries[i].name, name) == 0)
            return cr_fail(ctx, CR_ERR_ARGUMENT,
                           "nn: this %s has a part named %s already", kind_of(module),
                           name);
    return CR_OK;
}

static cr_status add_entry(cr_module *module, const char *name, cr_tensor *value,
                           bool buffer)
{
    cr_ctx *ctx = module->ctx;
    if (cr_error(ctx) || check_entry(module, name, value) != CR_OK)
        return cr_error(ctx);
    cr__nn_entry *entries = grow(ctx, module->entries, module->n_entries,
                                 &module->entries_capacity, sizeof *entries);
    if (!entries)
        return cr_error(ctx);
    module->entries = entries;
    char *copy = copy_text(ctx, name);
    if (!copy || (!buffer && !cr_requires_grad(value)) || !cr_named(value, name)) {
        cr__free(ctx, copy);
        return cr_error(ctx);
    }
    module->entries[module->n_entries++] =
        (cr__nn_entry){ .name = copy, .tensor = cr_retain(value), .buffer = buffer };
    lists_changed(module);
    return CR_OK;
}

void cr__nn_own(cr_module *module, const char *name, cr_tensor *value, bool buffer)
{
    if (module && value)
        add_entry(module, name, value, buffer);
}

cr_status cr_nn_add_param(cr_module *module, const char *name, cr_tensor *value)
{
    return module ? add_entry(module, name, value, false) : CR_ERR_NULL;
}

cr_status cr_nn_add_buffer(cr_module *module, const char *name, cr_tensor *value)
{
    return module ? add_entry(module, name, value, true) : CR_ERR_NULL;
}

/* Why child cannot become a child of parent, if so; *ours says whether it is ours to
 * free. */
static cr_status check_child(cr_module *parent, cr_module *child, bool *ours)
{
    cr_ctx *ctx = parent->ctx;
    *ours = false;
    if (!child)
        return cr_fail(ctx, CR_ERR_NULL, "nn: the module to add to a %s is NULL",
                       kind_of(parent));
    if (child->parent)
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "nn: this %s belongs to a %s already; a module has one owner",
                       kind_of(child), kind_of(child->parent));
    if (child == root_of(parent))
        return cr_fail(ctx, CR_ERR_ARGUMENT, "nn: a %s cannot hold itself",
                       kind_of(child));
    *ours = true;
    if (child->ctx != ctx)
        return cr_fail(ctx, CR_ERR_SCOPE, "nn: this %s is of another context",
                       kind_of(child));
    return cr_error(ctx);
}

cr_status cr__nn_adopt(cr_module *parent, cr_module *child)
{
    bool ours;
    cr_module **children = NULL;
    if (check_child(parent, child, &ours) == CR_OK)
        children = grow(parent->ctx, parent->children, parent->n_children,
                        &parent->children_capacity, sizeof *children);
    if (!children) {
        if (ours)
            free_tree(child);
        return cr_error(parent->ctx);
    }
    parent->children = children;
    child->parent = parent;
    child->place = parent->n_children;
    parent->children[parent->n_children++] = child;
    lists_changed(parent);
    return CR_OK;
}

cr_status cr_nn_add(cr_module *module, cr_module *child)
{
    if (module && module->kind->holds_children)
        return cr__nn_adopt(module, child);
    cr_status status = CR_ERR_NULL;
    if (module)
        status = cr_fail(module->ctx, CR_ERR_ARGUMENT,
                         "nn_add: a %s holds no modules; add to a sequential",
                         kind_of(module));
    if (child && !child->parent && child != module)
        free_tree(child);
    return status;
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
    return module ? kind_of(module) : "";
}

bool cr_nn_is_training(const cr_module *module)
{
    return module && !module->evaluating;
}

void cr_nn_train(cr_module *module, bool training)
{
    for (cr_module *m = module; m; m = next_below(module, m))
        m->evaluating = !training;
}

/* ---- names ---- */

/* What a module is called by its parent: its place, or "inner" where there is only one.
 */
static int own_name(const cr_module *module, char *text, size_t capacity)
{
    if (!module->parent->kind->holds_children)
        return snprintf(text, capacity, "inner");
    return snprintf(text, capacity, "%d", module->place);
}

/* Writes the path of module below root backwards, so that it ends before end; every name
 * is followed by a dot. Returns its length; end NULL: only that. */
static size_t write_path(const cr_module *root, const cr_module *module, char *end)
{
    size_t length = 0;
    for (; module != root; module = module->parent) {
        char name[16];
        size_t n = (size_t)own_name(module, name, sizeof name);
        length += n + 1;
        if (end) {
            memcpy(end - length, name, n);
            *(end - length + n) = '.';
        }
    }
    return length;
}

size_t cr__nn_path(const cr_module *module, char *text, size_t capacity)
{
    const cr_module *root = module;
    while (root->parent)
        root = root->parent;
    size_t length = write_path(root, module, NULL);
    if (length + 1 > capacity || !length) {
        snprintf(text, capacity, "%s", length ? ".." : "");
        return strlen(text);
    }
    write_path(root, module, text + length);
    text[length - 1] = '\0'; /* the last dot */
    return length - 1;
}

static void measure_list(const cr_module *root, bool buffers, int *n, size_t *bytes)
{
    *n = 0;
    *bytes = 1;
    for (const cr_module *m = root; m; m = next_below(root, m)) {
        size_t path = write_path(root, m, NULL);
        for (int i = 0; i < m->n_entries; i++)
            if (m->entries[i].buffer == buffers) {
                ++*n;
                *bytes += sizeof(cr_param) + path + strlen(m->entries[i].name) + 1;
            }
    }
}

static void fill_list(const cr_module *root, bool buffers, int n, cr_param *rows)
{
    char *text = (char *)(rows + n);
    for (const cr_module *m = root; m; m = next_below(root, m)) {
        size_t path = write_path(root, m, NULL);
        for (int i = 0; i < m->n_entries; i++) {
            const cr__nn_entry *entry = &m->entries[i];
            size_t length = strlen(entry->name) + 1;
            if (entry->buffer != buffers)
                continue;
            write_path(root, m, text + path);
            memcpy(text + path, entry->name, length);
            *rows++ = (cr_param){ .name = text, .tensor = entry->tensor };
            text += path + length;
        }
    }
}

/* The list, made again if something was added since the last time. */
static const cr_params *list_of(cr_module *module, bool buffers)
{
    if (!module)
        return NULL;
    cr__nn_list *list = buffers ? &module->buffers : &module->params;
    if (list->current)
        return &list->view;
    int n;
    size_t bytes;
    measure_list(module, buffers, &n, &bytes);
    cr_param *rows = cr__alloc(module->ctx, bytes);
    if (!rows)
        return NULL;
    fill_list(module, buffers, n, rows);
    cr__free(module->ctx, list->rows);
    list->rows = rows;
    list->view = (cr_params){ .ctx = module->ctx, .n = n, .list = rows };
    list->current = true;
    return &list->view;
}

const cr_params *cr_nn_params(cr_module *module)
{
    return list_of(module, false);
}

const cr_params *cr_nn_buffers(cr_module *module)
{
    return list_of(module, true);
}

cr_tensor *cr_nn_param(cr_module *module, const char *name)
{
    for (int buffers = 0; name && module && buffers < 2; buffers++) {
        const cr_params *list = list_of(module, buffers);
        for (int i = 0; list && i < list->n; i++)
            if (strcmp(list->list[i].name, name) == 0)
                return list->list[i].tensor;
    }
    if (module)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_param: this %s has no parameter or buffer named \"%s\"",
                kind_of(module), name ? name : "(NULL)");
    return NULL;
}

/* ---- forward ---- */

cr_tensor *cr__nn_run(cr_module *module, cr_tensor *x, const char *site)
{
    return module->kind->forward(module, x, site);
}

cr_tensor *cr_nn_forward_at(cr_module *module, cr_tensor *x, const char *site)
{
    if (!module)
        return NULL;
    if (!x)
        cr_fail(module->ctx, CR_ERR_NULL, "nn_forward: the input of %s is NULL (%s)",
                kind_of(module), site ? site : "?");
    if (cr_error(module->ctx))
        return NULL;
    cr_module *root = root_of(module);
    root->running++;
    cr_tensor *y = cr__nn_run(module, x, site);
    root->running--;
    /* What comes out of a network is what users look at, also after the optimiser's step.
     */
    return y && !root->running ? cr_watch(y) : y;
}
