/* What the parts of a module are called: paths, the lists of parameters and buffers, finding by
 * name, and copying from one module to another. */
#include "nn.h"

#include <stdio.h>
#include <string.h>

static bool same_name(const void *entries, int place, const void *name)
{
    return strcmp(((const cr__nn_entry *)entries)[place].name, name) == 0;
}

const cr__nn_entry *cr__nn_entry_named(const cr_module *module, const char *name)
{
    int place = cr__lookup_find(&module->names, cr__hash_text(name), same_name,
                                module->entries, name);
    return place < 0 ? NULL : &module->entries[place];
}

/* What a module is called by its parent: a label, or its place, written to digits. */
static const char *own_name(const cr_module *module, char digits[16])
{
    if (module->label)
        return module->label;
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
    for (const cr_module *m = root; m; m = cr__nn_next(root, m)) {
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
    for (const cr_module *m = root; m && n >= 0; m = cr__nn_next(root, m)) {
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

static bool is_called(const cr_module *module, const char *name, size_t length)
{
    char digits[16];
    const char *own = own_name(module, digits);
    return strlen(own) == length && memcmp(own, name, length) == 0;
}

/* The child that bears this name, NULL if there is none: a number is the place where it can
 * be, and who gives labels has few. */
static const cr_module *child_named(const cr_module *module, const char *name,
                                    size_t length)
{
    int64_t place = 0;
    for (int i = 0; i < module->n_children && !module->kind->holds_children; i++)
        if (is_called(module->children[i], name, length))
            return module->children[i];
    for (size_t i = 0; i < length && i < 9; i++)
        place = 10 * place + (name[i] - '0');
    if (place < 0 || place >= module->n_children)
        return NULL;
    const cr_module *child = module->children[place];
    return is_called(child, name, length) ? child : NULL;
}

cr_tensor *cr_nn_param_at(cr_module *module, const char *name, const char *site)
{
    const char *at = name, *dot;
    const cr_module *owner = name ? module : NULL;
    while (owner && (dot = strchr(at, '.'))) {
        owner = child_named(owner, at, (size_t)(dot - at));
        at = dot + 1;
    }
    const cr__nn_entry *entry = owner ? cr__nn_entry_named(owner, at) : NULL;
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
