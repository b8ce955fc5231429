/* The module tree: who owns whom, parameters and their names, training mode, forward and the
 * hooks on it. What the single kinds of modules do is in layers.c. Walks over the tree use its
 * links, not recursion. */
#include "nn.h"

#include "../base/dtype.h"
#include "../base/fp.h"

#include <math.h>
#include <stdarg.h>
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

/* Records an error about a constructor's argument; false. */
CR_FORMAT(4, 5)
static bool wrong_argument(const cr_module *module, cr_status status, const char *site,
                           const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    cr_fail(module->ctx, status, "nn_%s: %s (%s)", module->name, what, site ? site : "?");
    return false;
}

bool cr__nn_size(const cr_module *module, const char *what, int64_t size,
                 const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    return size >= 1 || wrong_argument(module, CR_ERR_SHAPE, site,
                                       "%s is %lld; 1 or more", what, (long long)size);
}

bool cr__nn_number(const cr_module *module, const char *what, double x, double least,
                   double most, const char *range, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(x);
    if (!module || cr_error(module->ctx))
        return false;
    return (isfinite(x) && x >= least && x <= most) ||
           wrong_argument(module, CR_ERR_ARGUMENT, site, "%s is %g; %s", what, x, range);
}

bool cr__nn_float(const cr_module *module, cr_dtype dtype, const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    return dtype == CR_DTYPE_DEFAULT || cr__is_float(dtype) ||
           wrong_argument(module, CR_ERR_DTYPE, site, "dtype is %s, which is no float",
                          cr_dtype_name(dtype));
}

bool cr__nn_fits(const cr_module *module, cr_dims dims, const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    int64_t bytes = (int64_t)cr_dtype_size(CR_F64);
    for (int i = 0; i < dims.n; i++)
        if (!cr__size_mul(bytes, dims.v[i], &bytes))
            return wrong_argument(module, CR_ERR_SHAPE, site,
                                  "its parameters would have more than 2^62 bytes");
    return true;
}

static bool same_name(const void *entries, int place, const void *name)
{
    return strcmp(((const cr__nn_entry *)entries)[place].name, name) == 0;
}

static const cr__nn_entry *find_entry(const cr_module *module, const char *name)
{
    int place = cr__lookup_find(&module->names, cr__hash_text(name), same_name,
                                module->entries, name);
    return place < 0 ? NULL : &module->entries[place];
}

bool cr__nn_name(const cr_module *module, const char *name, const char *site)
{
    if (!name || !name[0] || strchr(name, '.'))
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn: \"%s\" is no name for a part of a %s: it must not be empty, nor "
                "have a dot in it (%s)",
                name ? name : "(NULL)", module->name, site ? site : "?");
    return !cr_error(module->ctx);
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
    if (find_entry(module, name))
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
    cr__nn_entry *entries = grow(ctx, module->entries, module->n_entries,
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
    const cr_module *root = root_of(parent);
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
    const char *why = in_use(root_of((cr_module *)module));
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
        children = grow(parent->ctx, parent->children, parent->n_children,
                        &parent->children_capacity, sizeof *children);
    if (!children) {
        if (child != root_of(parent))
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
    if (!module || child != root_of(module))
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
    for (cr_module *m = module; m; m = next_below(module, m))
        m->evaluating = !training;
}

/* ---- names ---- */

/* What a module is called by its parent: its place, written to digits, or the name of the only
 * branch. */
static const char *own_name(const cr_module *module, char digits[16])
{
    if (!module->parent->kind->holds_children)
        return module->parent->branch ? module->parent->branch : "inner";
    snprintf(digits, 16, "%d", module->place);
    return digits;
}

/* Writes what fits below capacity of the path of module below root, every name followed by a
 * dot. Returns its whole length. */
static size_t write_path(const cr_module *root, const cr_module *module, char *text,
                         size_t capacity)
{
    char digits[16];
    size_t length = 0;
    for (const cr_module *m = module; m != root; m = m->parent)
        length += strlen(own_name(m, digits)) + 1;
    size_t end = length;
    for (const cr_module *m = module; m != root && capacity; m = m->parent) {
        const char *name = own_name(m, digits);
        const size_t n = strlen(name);
        end -= n + 1;
        for (size_t i = 0; i <= n && end + i < capacity; i++)
            text[end + i] = i < n ? name[i] : '.';
    }
    return length;
}

size_t cr_nn_path(const cr_module *module, char *text, size_t capacity)
{
    const cr_module *root = module;
    while (root && root->parent)
        root = root->parent;
    size_t length = write_path(root, module, text, capacity);
    length -= length > 0; /* the last dot */
    if (capacity)
        text[length < capacity ? length : capacity - 1] = '\0';
    return length;
}

/* How many entries there are, and the memory that a list of them takes. */
static void measure_list(const cr_module *root, bool buffers, int *n, size_t *bytes)
{
    *n = 0;
    *bytes = 1;
    for (const cr_module *m = root; m; m = next_below(root, m)) {
        size_t path = write_path(root, m, NULL, 0);
        for (int i = 0; i < m->n_entries; i++)
            if (m->entries[i].buffer == buffers) {
                ++*n;
                *bytes += sizeof(cr_param) + path + strlen(m->entries[i].name) + 1;
            }
    }
}

static bool same_tensor(const void *rows, int place, const void *tensor)
{
    return ((const cr_param *)rows)[place].tensor == tensor;
}

/* Fills rows, which has room for most; how many there are: a tensor that modules share is
 * listed once. -1 without memory. */
static int fill_list(const cr_module *root, bool buffers, int most, cr_param *rows)
{
    cr__lookup seen = { 0 };
    char *text = (char *)(rows + most);
    int n = 0;
    for (const cr_module *m = root; m && n >= 0; m = next_below(root, m)) {
        size_t path = write_path(root, m, NULL, 0);
        for (int i = 0; i < m->n_entries && n >= 0; i++) {
            const cr__nn_entry *entry = &m->entries[i];
            uint32_t hash = cr__hash_pointer(entry->tensor);
            size_t length = strlen(entry->name) + 1;
            if (entry->buffer != buffers ||
                cr__lookup_find(&seen, hash, same_tensor, rows, entry->tensor) >= 0)
                continue;
            write_path(root, m, text, path);
            memcpy(text + path, entry->name, length);
            rows[n] = (cr_param){ .name = text, .tensor = entry->tensor };
            text += path + length;
            n = cr__lookup_add(root->ctx, &seen, hash, n) ? n + 1 : -1;
        }
    }
    cr__lookup_free(root->ctx, &seen);
    return n;
}

/* The list, made again if something was added since the last time. */
static const cr_params *list_of(cr_module *module, bool buffers)
{
    if (!module)
        return NULL;
    cr_ctx *ctx = module->ctx;
    cr__nn_list *list = buffers ? &module->buffers : &module->params;
    if (list->current)
        return &list->view;
    int n;
    size_t bytes;
    measure_list(module, buffers, &n, &bytes);
    cr_param *rows = cr__alloc(ctx, bytes);
    if (!rows || (n = fill_list(module, buffers, n, rows)) < 0) {
        cr__free(ctx, rows);
        return NULL;
    }
    cr__free(ctx, list->rows);
    list->rows = rows;
    list->view = (cr_params){ .ctx = ctx, .n = n, .list = rows };
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

/* The child that bears this name, NULL if there is none: a number is the place where it can
 * be. */
static const cr_module *child_named(const cr_module *module, const char *name,
                                    size_t length)
{
    char digits[16];
    int64_t place = 0;
    for (size_t i = 0; i < length && i < 9 && module->kind->holds_children; i++)
        place = 10 * place + (name[i] - '0');
    if (place < 0 || place >= module->n_children)
        return NULL;
    cr_module *child = module->children[place];
    const char *own = own_name(child, digits);
    return strlen(own) == length && memcmp(own, name, length) == 0 ? child : NULL;
}

cr_tensor *cr_nn_param_at(cr_module *module, const char *name, const char *site)
{
    const char *at = name, *dot;
    const cr_module *owner = name ? module : NULL;
    while (owner && (dot = strchr(at, '.'))) {
        owner = child_named(owner, at, (size_t)(dot - at));
        at = dot + 1;
    }
    const cr__nn_entry *entry = owner ? find_entry(owner, at) : NULL;
    if (!entry && module)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_param: this %s has no parameter or buffer named \"%s\" (%s)",
                module->name, name ? name : "(NULL)", site ? site : "?");
    return entry ? entry->tensor : NULL;
}

/* ---- copying ---- */

/* Whether the two lists have the same names, dtypes and shapes; false with the error. */
static bool same_lists(const cr_params *to, const cr_params *from, const char *site)
{
    cr_ctx *ctx = to->ctx;
    if (to->n != from->n)
        cr_fail(ctx, CR_ERR_SHAPE,
                "nn_copy: there are %d parameters or buffers to copy, and %d places (%s)",
                from->n, to->n, site);
    for (int i = 0; i < to->n && !cr_error(ctx); i++) {
        const cr_param *a = &to->list[i], *b = &from->list[i];
        cr_dims x = cr_shape(a->tensor), y = cr_shape(b->tensor);
        if (strcmp(a->name, b->name) != 0)
            cr_fail(ctx, CR_ERR_ARGUMENT,
                    "nn_copy: %s has no place: %s stands there (%s)", b->name, a->name,
                    site);
        else if (cr_dtype_of(a->tensor) != cr_dtype_of(b->tensor))
            cr_fail(ctx, CR_ERR_DTYPE, "nn_copy: %s is %s, and its place %s (%s)",
                    a->name, cr_dtype_name(cr_dtype_of(b->tensor)),
                    cr_dtype_name(cr_dtype_of(a->tensor)), site);
        else if (x.n != y.n || memcmp(x.v, y.v, (size_t)x.n * sizeof *x.v) != 0)
            cr_fail(ctx, CR_ERR_SHAPE, "nn_copy: the shape of %s differs (%s)", a->name,
                    site);
    }
    return !cr_error(ctx);
}

cr_status cr_nn_copy_at(cr_module *to, cr_module *from, const char *site)
{
    if (!to || !from)
        return to || from ? cr_fail(to ? to->ctx : from->ctx, CR_ERR_NULL,
                                    "nn_copy: a module is NULL (%s)", site ? site : "?")
                          : CR_ERR_NULL;
    cr_ctx *ctx = to->ctx;
    site = site ? site : "?";
    if (from->ctx != ctx)
        cr_fail(ctx, CR_ERR_SCOPE, "nn_copy: this %s is of another context (%s)",
                from->name, site);
    if (cr_error(ctx))
        return cr_error(ctx);
    const cr_params *lists[][2] = { { list_of(to, false), list_of(from, false) },
                                    { list_of(to, true), list_of(from, true) } };
    for (int k = 0; k < 2; k++)
        if (!lists[k][0] || !lists[k][1] || !same_lists(lists[k][0], lists[k][1], site))
            return cr_error(ctx);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < lists[k][0]->n && !cr_error(ctx); i++) {
            cr_tensor *place = lists[k][0]->list[i].tensor,
                      *value = lists[k][1]->list[i].tensor;
            if (place != value)
                cr_assign_at(place, value, site);
        }
    return cr_error(ctx);
}

/* ---- forward ---- */

uint64_t cr_nn_register_forward_hook_at(cr_module *module, cr_nn_forward_hook *hook,
                                        void *user, const char *site)
{
    if (!module || cr_error(module->ctx))
        return 0;
    site = site ? site : "?";
    if (!hook) {
        cr_fail(module->ctx, CR_ERR_NULL, "nn_register_forward_hook: hook is NULL (%s)",
                site);
        return 0;
    }
    if (root_of(module)->closing) {
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_register_forward_hook: this %s is being freed (%s)", module->name,
                site);
        return 0;
    }
    cr__nn_hook *hooks = grow(module->ctx, module->hooks, module->n_hooks,
                              &module->hooks_capacity, sizeof *hooks);
    if (!hooks)
        return 0;
    module->hooks = hooks;
    hooks[module->n_hooks++] = (cr__nn_hook){ ++module->last_hook, hook, user };
    return module->last_hook;
}

/* Takes the rows away whose hooks were removed. */
static void close_ranks(cr_module *module)
{
    int kept = 0;
    for (int i = 0; i < module->n_hooks; i++)
        if (module->hooks[i].hook)
            module->hooks[kept++] = module->hooks[i];
    module->n_hooks = kept;
}

cr_status cr_nn_remove_forward_hook(cr_module *module, uint64_t id)
{
    if (!module)
        return CR_ERR_NULL;
    for (int i = 0; i < module->n_hooks; i++)
        if (module->hooks[i].hook && module->hooks[i].id == id) {
            module->hooks[i].hook = NULL;
            if (!module->calling)
                close_ranks(module);
            return CR_OK;
        }
    return cr_fail(module->ctx, CR_ERR_ARGUMENT,
                   "nn_remove_forward_hook: this %s has no hook %llu", module->name,
                   (unsigned long long)id);
}

/* What takes the place of y, as the hooks want it. They may register and remove hooks, so that
 * rows move, and none goes before the calls are over. */
static cr_tensor *call_hooks(cr_module *module, cr_tensor *x, cr_tensor *y,
                             const char *site)
{
    cr_ctx *ctx = module->ctx;
    const int n = module->n_hooks;
    module->calling++;
    for (int i = 0; i < n && !cr_error(ctx); i++) {
        const cr__nn_hook hook = module->hooks[i];
        cr_tensor *other = hook.hook ? hook.hook(module, x, y, hook.user) : NULL;
        if (other && cr_ctx_of(other) != ctx)
            cr_fail(ctx, CR_ERR_SCOPE,
                    "nn_forward: hook %llu of a %s returned a tensor of another context "
                    "(%s)",
                    (unsigned long long)hook.id, module->name, site);
        y = other ? other : y;
    }
    if (!--module->calling)
        close_ranks(module);
    return cr_error(ctx) ? NULL : y;
}

cr_tensor *cr__nn_run(cr_module *module, cr_tensor *x, const char *site)
{
    cr_tensor *y = module->kind->forward(module, x, site);
    return y && module->n_hooks ? call_hooks(module, x, y, site) : y;
}

cr_tensor *cr_nn_forward_at(cr_module *module, cr_tensor *x, const char *site)
{
    if (!module)
        return NULL;
    site = site ? site : "?";
    cr_module *root = root_of(module);
    if (!x)
        cr_fail(module->ctx, CR_ERR_NULL, "nn_forward: the input of %s is NULL (%s)",
                module->name, site);
    else if (root->closing)
        cr_fail(module->ctx, CR_ERR_ARGUMENT, "nn_forward: this %s is being freed (%s)",
                module->name, site);
    else if (root->running >= CR_NN_MAX_DEPTH)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_forward: %s runs inside of itself: forwards are %d deep, the most "
                "there may be (%s)",
                module->name, root->running, site);
    if (cr_error(module->ctx))
        return NULL;
    root->running++;
    cr_tensor *y = cr__nn_run(module, x, site);
    root->running--;
    if (cr_error(module->ctx))
        return NULL;
    /* What comes out of a network is what users look at, also after the optimiser's step. */
    return y && !root->running ? cr_watch(y) : y;
}
