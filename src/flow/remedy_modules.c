/* Remedies that change a network: its modules, its branches, its weights. */
#include "remedies.h"

#include <stdio.h>

typedef cr__flow_training training;

/* ---- the network in the order of its running ---- */

typedef enum role {
    PART_WEIGHT,
    PART_ACTIVATION,
    PART_NORM,
    PART_SHAPELESS,
    PART_RESIDUAL,
    PART_OTHER
} role;

/* A module without modules in it, or a residual, which stands in front of what it holds. */
typedef struct part {
    cr_module *module;
    cr_module *
        holder; /* the sequential that it stands in, NULL if it stands in something else */
    cr__flow_path path;
    role role;
    int residuals;     /* around it */
    cr_tensor *weight; /* of PART_WEIGHT and PART_NORM */
    int64_t features;  /* of the last weights in front, or its own; 0: unknown */
    int space;         /* dimensions of space that these have */
} part;

typedef struct parts {
    part *list;
    int n, last_weight; /* the place of the last PART_WEIGHT, -1 if there is none */
} parts;

/* Kinds that carry weights, normalise, or keep the shape; activations are those of theory. */
static const struct kind_row {
    const char *name;
    role role;
    int space;
} kind_rows[] = {
    { "linear", PART_WEIGHT, 0 },        { "conv1d", PART_WEIGHT, 1 },
    { "conv2d", PART_WEIGHT, 2 },        { "conv3d", PART_WEIGHT, 3 },
    { "batch_norm1d", PART_NORM, 0 },    { "batch_norm2d", PART_NORM, 2 },
    { "batch_norm3d", PART_NORM, 3 },    { "layer_norm", PART_NORM, 0 },
    { "rms_norm", PART_NORM, 0 },        { "group_norm", PART_NORM, 0 },
    { "instance_norm1d", PART_NORM, 0 }, { "instance_norm2d", PART_NORM, 0 },
    { "instance_norm3d", PART_NORM, 0 }, { "dropout", PART_SHAPELESS, 0 },
    { "residual", PART_RESIDUAL, 0 },
};

static bool is_kind(const cr_module *module, const char *kind)
{
    return strcmp(cr_nn_kind(module), kind) == 0;
}

static struct kind_row row_of(const cr_module *module)
{
    const char *kind = cr_nn_kind(module);
    for (int i = 0; i < CR__FLOW_COUNT(kind_rows); i++)
        if (strcmp(kind_rows[i].name, kind) == 0)
            return kind_rows[i];
    const bool activation = cr_flow_activation_find(kind) != NULL;
    return (struct kind_row){ kind, activation ? PART_ACTIVATION : PART_OTHER, 0 };
}

/* The module's own parameter of that name, NULL if it has none. */
static cr_tensor *own_param(cr_module *module, const char *name)
{
    const cr_params *params = cr_nn_params(module);
    for (int i = 0; params && i < params->n; i++)
        if (strcmp(params->list[i].name, name) == 0)
            return params->list[i].tensor;
    return NULL;
}

/* Counts the parts below module, and writes them if list is there. */
static void collect(cr_module *module, part at, parts *out)
{
    const int children = cr_nn_count(module);
    const bool residual = row_of(module).role == PART_RESIDUAL;
    const bool in_order = residual || is_kind(module, "sequential");
    if (!children || residual) {
        const struct kind_row row = row_of(module);
        part *own = out->list ? &out->list[out->n] : &at;
        *own = at;
        own->role = children && !residual ? PART_OTHER : row.role;
        own->weight = own_param(module, "weight");
        if (own->role == PART_WEIGHT && own->weight) {
            own->features = cr_size(own->weight, 0);
            own->space = row.space;
            out->last_weight = out->n;
        } else if (out->n && out->list && out->list[out->n - 1].role != PART_OTHER) {
            own->features = out->list[out->n - 1].features;
            own->space = out->list[out->n - 1].space;
        }
        if (own->role == PART_OTHER)
            own->features = 0;
        out->n++;
    }
    at.holder = in_order && !residual ? module : NULL;
    at.residuals += residual;
    for (int i = 0; i < children && at.path.n < CR__FLOW_LEVELS; i++) {
        part below = at;
        below.module = cr_nn_child(module, i);
        below.path.place[below.path.n++] = i;
        collect(below.module, below, out);
    }
}

static bool find_parts(training *t, parts *out)
{
    const part root = { .module = t->net };
    *out = (parts){ .last_weight = -1 };
    collect(t->net, root, out);
    const size_t bytes = ((size_t)out->n + 1) * sizeof *out->list;
    *out =
        (parts){ .last_weight = -1, .list = cr__arena_alloc(&t->arena, t->ctx, bytes) };
    if (out->list)
        collect(t->net, root, out);
    return out->list != NULL;
}

/* Hidden: in front of the last weights. */
static bool is_hidden_activation(const parts *p, int i)
{
    return p->list[i].role == PART_ACTIVATION && i < p->last_weight;
}

/* The name of the first hidden activation, NULL if there is none. */
static const char *hidden_activation(const parts *p)
{
    for (int i = 0; i < p->last_weight; i++)
        if (p->list[i].role == PART_ACTIVATION)
            return cr_nn_kind(p->list[i].module);
    return NULL;
}

/* ---- activations ---- */

/* Takes out the part, which stands in a sequential. */
static void discard(const part *p)
{
    cr_nn_free(cr_nn_remove(p->holder, p->path.place[p->path.n - 1]));
}

/* Puts module in front of the part, or, by 1, behind it. */
static void insert(const part *p, int behind, cr_module *module)
{
    cr_nn_insert(p->holder, p->path.place[p->path.n - 1] + behind, module);
}

static int place_activations(training *t, const cr_flow_remedy *self, const parts *p)
{
    int changed = 0;
    for (int i = p->last_weight - 1; i >= 0; i--) {
        const part *at = &p->list[i];
        if (at->role != PART_WEIGHT || !at->holder)
            continue;
        insert(at, 1, self->make(t->ctx));
        cr__flow_code_edit(&t->code, &at->path, "cr_nn_insert(@, # + 1, %s);",
                           self->call);
        changed++;
    }
    return changed;
}

bool cr__flow_change_activations(training *t, const cr_flow_remedy *self)
{
    parts p;
    int changed = 0, same = 0;
    if (!find_parts(t, &p))
        return false;
    if (!hidden_activation(&p))
        changed = place_activations(t, self, &p);
    for (int i = p.last_weight - 1; i >= 0; i--) {
        const part *at = &p.list[i];
        same += is_hidden_activation(&p, i) && is_kind(at->module, self->name);
        if (!is_hidden_activation(&p, i) || !at->holder ||
            is_kind(at->module, self->name))
            continue;
        discard(at);
        insert(at, 0, self->make(t->ctx));
        cr__flow_code_edit(&t->code, &at->path,
                           "cr_nn_free(cr_nn_remove(@, #));\ncr_nn_insert(@, #, %s);",
                           self->call);
        changed++;
    }
    t->is_so = !changed && same;
    if (!changed)
        return same ? cr__flow_does_not_apply(t, "its activations are %s already",
                                              self->name)
                    : cr__flow_does_not_apply(
                          t, "it has no activation modules between layers");
    return true;
}

bool cr__flow_remove_output_activation(training *t, const cr_flow_remedy *self)
{
    (void)self;
    parts p;
    if (!find_parts(t, &p))
        return false;
    const part *last = p.n ? &p.list[p.n - 1] : NULL;
    if (!last || p.n - 1 <= p.last_weight || !last->holder ||
        cr_nn_count(last->holder) < 2 ||
        (last->role != PART_ACTIVATION && !strstr(cr_nn_kind(last->module), "softmax")))
        return cr__flow_does_not_apply(t, "its last module is no activation");
    discard(last);
    cr__flow_code_edit(&t->code, &last->path, "cr_nn_free(cr_nn_remove(@, #));");
    return true;
}

/* ---- norms ---- */

/* The norm that fits behind weights of so many dimensions of space, and its text; NULL if there is
 * none. */
static cr_module *make_norm(training *t, const char *name, int64_t features, int space,
                            char *text, size_t capacity)
{
    const long long n = (long long)features;
    const bool flat = space == 0, batch = strcmp(name, "batch_norm") == 0;
    if (batch && space < 2) {
        snprintf(text, capacity, "cr_nn_batch_norm1d(ctx, %lld)", n);
        return cr_nn_batch_norm1d(t->ctx, features);
    }
    if (batch && space == 2) {
        snprintf(text, capacity, "cr_nn_batch_norm2d(ctx, %lld)", n);
        return cr_nn_batch_norm2d(t->ctx, features);
    }
    if (strcmp(name, "layer_norm") == 0 && flat) {
        snprintf(text, capacity, "cr_nn_layer_norm(ctx, %lld)", n);
        return cr_nn_layer_norm(t->ctx, features);
    }
    if (strcmp(name, "layer_norm") == 0) {
        snprintf(text, capacity, "cr_nn_group_norm(ctx, 1, %lld)", n);
        return cr_nn_group_norm(t->ctx, 1, features);
    }
    if (strcmp(name, "rms_norm") == 0 && flat) {
        snprintf(text, capacity, "cr_nn_rms_norm(ctx, %lld)", n);
        return cr_nn_rms_norm(t->ctx, features);
    }
    return NULL;
}

bool cr__flow_place_norms(training *t, const cr_flow_remedy *self)
{
    parts p;
    int changed = 0, hidden = 0;
    if (!find_parts(t, &p))
        return false;
    for (int i = p.last_weight - 1; i >= 0; i--) {
        const part *at = &p.list[i], *before = i ? at - 1 : NULL;
        char text[64];
        if (!is_hidden_activation(&p, i) || !at->holder || !at->features)
            continue;
        hidden++;
        const bool replaces =
            before && before->role == PART_NORM && before->holder == at->holder;
        if (replaces &&
            strncmp(cr_nn_kind(before->module), self->name, strlen(self->name)) == 0)
            continue;
        cr_module *norm =
            make_norm(t, self->name, at->features, at->space, text, sizeof text);
        if (!norm)
            continue;
        changed++;
        if (replaces) {
            discard(before);
            insert(before, 0, norm);
            cr__flow_code_edit(&t->code, &before->path,
                               "cr_nn_free(cr_nn_remove(@, #));\ncr_nn_insert(@, #, %s);",
                               text);
        } else {
            insert(at, 0, norm);
            cr__flow_code_edit(&t->code, &at->path, "cr_nn_insert(@, #, %s);", text);
        }
    }
    t->is_so = !changed && hidden;
    if (!changed)
        return hidden ? cr__flow_does_not_apply(
                            t, "each hidden activation has one, or takes none")
                      : cr__flow_does_not_apply(
                            t, "no activation module stands behind weights");
    return true;
}

/* ---- residual branches ---- */

/* Whether a branch around the parts from a + 1 to b, the next weights behind a, keeps the shape as
 * far as weights tell; strides show when it runs. */
static bool is_branch(const parts *p, int a, int b)
{
    const part *from = &p->list[a], *to = &p->list[b];
    if (b >= p->last_weight || !from->holder || from->holder != to->holder ||
        from->residuals || from->features != to->features || from->space != to->space ||
        cr_size(to->weight, 1) != cr_size(to->weight, 0))
        return false;
    for (int i = a + 1; i < b; i++)
        if (p->list[i].holder != from->holder || p->list[i].role == PART_OTHER ||
            p->list[i].role == PART_RESIDUAL)
            return false;
    return true;
}

static void make_branch(training *t, const part *first, int count)
{
    const int at = first->path.place[first->path.n - 1];
    cr_module *block = cr_nn_sequential(t->ctx);
    for (int i = 0; i < count; i++)
        cr_nn_add(block, cr_nn_remove(first->holder, at));
    cr_nn_insert(first->holder, at, cr_nn_residual(t->ctx, block));
    cr__flow_code_edit(&t->code, &first->path,
                       "cr_module *block = cr_nn_sequential(ctx);\n"
                       "for (int j = 0; j < %d; j++)\n"
                       "    cr_nn_add(block, cr_nn_remove(@, #));\n"
                       "cr_nn_insert(@, #, cr_nn_residual(ctx, block));",
                       count);
}

bool cr__flow_make_branches(training *t, const cr_flow_remedy *self)
{
    (void)self;
    parts p;
    int changed = 0;
    if (!find_parts(t, &p))
        return false;
    for (int b = p.last_weight; b > 0; b--) {
        if (p.list[b].role != PART_WEIGHT)
            continue;
        int a = b - 1;
        while (a >= 0 && p.list[a].role != PART_WEIGHT)
            a--;
        if (a < 0 || !is_branch(&p, a, b))
            continue;
        make_branch(t, &p.list[a + 1], b - a);
        changed++;
    }
    return changed ||
           cr__flow_does_not_apply(t, "no two layers in a row have the same width");
}

/* Calls each, if it is there, for every residual; how many there are. */
static int for_branches(const parts *p, training *t,
                        void (*each)(training *t, const parts *p, int i, int n))
{
    int n = 0;
    for (int i = 0; i < p->n; i++)
        n += p->list[i].role == PART_RESIDUAL;
    for (int i = 0; i < p->n; i++)
        if (each && p->list[i].role == PART_RESIDUAL)
            each(t, p, i, n);
    return n;
}

static void scale_branch(training *t, const parts *p, int i, int n)
{
    const part *at = &p->list[i];
    const double scale = cr_nn_scale(at->module) / sqrt(n);
    cr_nn_set_scale(at->module, scale);
    cr__flow_code_edit(&t->code, &at->path, "cr_nn_set_scale($, %.4g);", scale);
}

/* Zero for what ends the branch: its last module that has a weight, a norm's too (Goyal et al.,
 * 2017). */
static void zero_branch(training *t, const parts *p, int i, int n)
{
    (void)n;
    const part *last = NULL;
    const int inside = p->list[i].residuals + 1;
    for (int k = i + 1; k < p->n && p->list[k].residuals >= inside; k++)
        if (p->list[k].weight)
            last = &p->list[k];
    cr_tensor *bias = last ? own_param(last->module, "bias") : NULL;
    if (!last)
        return;
    cr_init_constant(last->weight, 0);
    if (bias)
        cr_init_constant(bias, 0);
    cr__flow_code_edit(&t->code, &last->path,
                       bias ? "cr_init_constant(cr_nn_param($, \"weight\"), 0);\n"
                              "cr_init_constant(cr_nn_param($, \"bias\"), 0);"
                            : "cr_init_constant(cr_nn_param($, \"weight\"), 0);");
}

static bool change_branches(training *t,
                            void (*each)(training *, const parts *, int, int))
{
    parts p;
    if (!find_parts(t, &p))
        return false;
    return for_branches(&p, t, each) > 0 ||
           cr__flow_does_not_apply(t, "it has no residual branches");
}

bool cr__flow_scale_branches(training *t, const cr_flow_remedy *self)
{
    (void)self;
    return change_branches(t, scale_branch);
}

bool cr__flow_zero_branches(training *t, const cr_flow_remedy *self)
{
    (void)self;
    return change_branches(t, zero_branch);
}

bool cr__flow_fix_up(training *t, const cr_flow_remedy *self)
{
    (void)self;
    if (!change_branches(t, NULL))
        return false;
    cr_init_fixup(t->net);
    cr__flow_code_line(&t->code, "cr_init_fixup(net);");
    return true;
}

/* ---- weights ---- */

static cr_status draw_default(cr_tensor *w, double gain)
{
    (void)gain;
    return cr_init_default(w);
}

static cr_status draw_xavier(cr_tensor *w, double gain)
{
    return cr_init_xavier_normal(w, gain);
}

static cr_status draw_kaiming(cr_tensor *w, double gain)
{
    return cr_init_kaiming_normal(w, gain);
}

static cr_status draw_orthogonal(cr_tensor *w, double gain)
{
    return cr_init_orthogonal(w, gain);
}

/* Initialisers by the remedy's name. */
static const struct draw {
    const char *name;
    cr_status (*function)(cr_tensor *w, double gain);
    double squared_gain; /* 0: of what relus leave, if the network has them */
} draws[] = {
    { "default", draw_default, 1 },
    { "xavier", draw_xavier, 1 },
    { "he", draw_kaiming, 2 },
    { "lecun", draw_kaiming, 1 },
    { "orthogonal", draw_orthogonal, 0 },
};

/* The text of the loop over all weights but those of embeddings, whose rows are no fan. */
static void write_draws(training *t, const char *call, const char *gain)
{
    char except[300] = "";
    const cr_params *params = cr_nn_params(t->net);
    parts p;
    if (!find_parts(t, &p))
        return;
    for (int i = 0; i < p.n; i++)
        for (int k = 0; is_kind(p.list[i].module, "embedding") && k < params->n; k++)
            if (params->list[k].tensor == p.list[i].weight) {
                const size_t length = strlen(except);
                snprintf(
                    except + length, sizeof except - length,
                    " &&\n        strcmp(cr_nn_params(net)->list[i].name, \"%s\") != 0",
                    params->list[k].name);
            }
    cr__flow_code_line(&t->code,
                       "for (int i = 0; i < cr_nn_params(net)->n; i++) {\n"
                       "    cr_tensor *w = cr_nn_params(net)->list[i].tensor;\n"
                       "    if (cr_ndim(w) > 1%s)\n"
                       "        %s(w%s);\n"
                       "    else if (strcmp(cr_name(w), \"bias\") == 0)\n"
                       "        cr_init_constant(w, 0);\n"
                       "}",
                       except, call, gain);
}

static bool is_of_embedding(const parts *p, const cr_tensor *w)
{
    for (int i = 0; i < p->n; i++)
        if (p->list[i].weight == w && is_kind(p->list[i].module, "embedding"))
            return true;
    return false;
}

static bool has_relus(const parts *p)
{
    const char *name = hidden_activation(p);
    return name && strstr(name, "relu");
}

bool cr__flow_draw_weights(training *t, const cr_flow_remedy *self)
{
    const struct draw *d = draws;
    while (strcmp(d->name, self->name) != 0)
        d++;
    parts p;
    const cr_params *params = cr_nn_params(t->net);
    if (!params || !find_parts(t, &p))
        return false;
    const double square = d->squared_gain > 0 ? d->squared_gain : has_relus(&p) ? 2 : 1;
    int changed = 0;
    for (int i = 0; i < params->n; i++) {
        cr_tensor *w = params->list[i].tensor;
        if (cr_ndim(w) < 2 && strcmp(cr_name(w), "bias") == 0)
            cr_init_constant(w, 0);
        if (cr_ndim(w) < 2 || is_of_embedding(&p, w))
            continue;
        d->function(w, sqrt(square));
        changed++;
    }
    write_draws(t, self->call,
                d->function == draw_default ? ""
                : square > 1                ? ", sqrt(2)"
                                            : ", 1");
    return changed || cr__flow_does_not_apply(t, "it has no weights of rank 2");
}

const char *cr__flow_hidden_activation(cr__flow_training *t)
{
    parts p;
    const char *name = find_parts(t, &p) ? hidden_activation(&p) : NULL;
    return name ? name : "";
}
