/* What the recorded graph says: which operation the loss is, whether a module works element by
 * element, where a branch is added, where softmaxes are. Walks are short or go over each node once;
 * they keep their own lists and call nothing but questions. */
#include "measure.h"

enum {
    LOSS_NODES = 64,       /* from the loss to its operation */
    POINTWISE_NODES = 64,  /* of an activation */
    BRANCH_NODES = 4096,   /* of a residual branch */
    GRAPH_NODES = 1 << 14, /* of what is searched for softmaxes */
};

/* ---- walks ---- */

/* Nodes, each once. */
typedef struct trail {
    const cr_tensor **nodes;
    int n, capacity;
    int *slots; /* hash table of places in nodes, plus 1; twice the capacity or more */
    int n_slots;
} trail;

static bool trail_open(cr__flow_measurement *m, trail *t, int capacity)
{
    *t = (trail){ .capacity = capacity, .n_slots = 16 };
    while (t->n_slots < 2 * capacity)
        t->n_slots *= 2;
    t->nodes = cr__arena_alloc(&m->scratch, m->ctx, (size_t)capacity * sizeof(*t->nodes));
    t->slots =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)t->n_slots * sizeof *t->slots);
    return t->nodes && t->slots;
}

/* Where x is, or is to be. */
static size_t trail_slot(const trail *t, const cr_tensor *x)
{
    const uintptr_t bits = (uintptr_t)x;
    const size_t mask = (size_t)t->n_slots - 1;
    size_t i = (size_t)((bits >> 4) ^ (bits >> 15)) & mask;
    while (t->slots[i] && t->nodes[t->slots[i] - 1] != x)
        i = (i + 1) & mask;
    return i;
}

/* False if there is no room for it. */
static bool trail_add(trail *t, const cr_tensor *x)
{
    const size_t i = x ? trail_slot(t, x) : 0;
    if (!x || t->slots[i])
        return true;
    if (t->n == t->capacity)
        return false;
    t->nodes[t->n++] = x;
    t->slots[i] = t->n;
    return true;
}

static bool trail_add_inputs(trail *t, const cr_tensor *x)
{
    bool room = true;
    for (int i = 0; i < cr_input_count(x); i++)
        room &= trail_add(t, cr_input(x, i));
    return room;
}

/* ---- the loss ---- */

static bool has_attribute(const cr_op *op, const char *name)
{
    for (const cr_attr *row = op ? op->attrs : NULL; row && row->name; row++)
        if (!strcmp(row->name, name))
            return true;
    return false;
}

static const cr_op *operation_of(const cr_tensor *x)
{
    const cr_op *within = cr_op_within(x);
    return within ? within : cr_op_of(x);
}

/* Losses are what has an attribute "reduction"; where there is none between the loss and the
 * output, its last operation stands for it. */
const char *cr__flow_loss_op(cr__flow_measurement *m)
{
    trail t;
    const cr_op *last = operation_of(m->loss);
    const char *name = last ? last->name : "";
    if (!trail_open(m, &t, LOSS_NODES))
        return name;
    trail_add(&t, m->loss);
    for (int i = 0; i < t.n; i++) {
        const cr_op *op = operation_of(t.nodes[i]);
        if (m->output && t.nodes[i] == m->output->tensor)
            continue;
        if (has_attribute(op, "reduction"))
            return op->name;
        if (!trail_add_inputs(&t, t.nodes[i]))
            break;
    }
    return name;
}

/* ---- element by element ---- */

static bool is_data(const cr_tensor *x)
{
    return !cr_op_of(x) || cr_is_leaf(x);
}

/* Whether a node of an elementwise function is one: a map of something (random numbers have no
 * inputs), or data that was expanded. */
static bool is_map(const cr_tensor *x)
{
    const cr_op *op = cr_op_of(x);
    if (op->kind == CR_OP_VIEW)
        return cr_input_count(x) == 1 && cr_input(x, 0) && is_data(cr_input(x, 0));
    return op->kind == CR_OP_MAP && cr_input_count(x) > 0;
}

static bool is_pointwise(cr__flow_measurement *m, const cr_tensor *x, const cr_tensor *y)
{
    trail t;
    bool reached = false;
    if (x == y || cr_numel(x) != cr_numel(y) || !trail_open(m, &t, POINTWISE_NODES))
        return false;
    trail_add(&t, y);
    for (int i = 0; i < t.n; i++) {
        reached |= t.nodes[i] == x;
        if (t.nodes[i] == x || is_data(t.nodes[i]))
            continue;
        if (!is_map(t.nodes[i]) || !trail_add_inputs(&t, t.nodes[i]))
            return false;
    }
    return reached;
}

/* What y is an elementwise function of: the one tensor that its operation, or the composite that it
 * is the result of, takes. NULL if there are more, or none. */
static cr_tensor *argument_of(cr__flow_measurement *m, cr_tensor *y)
{
    trail t;
    const cr_op *within = cr_op_within(y);
    cr_tensor *argument = NULL;
    if (!trail_open(m, &t, POINTWISE_NODES))
        return NULL;
    trail_add(&t, y);
    for (int i = 0; i < t.n; i++)
        for (int k = 0; k < cr_input_count(t.nodes[i]); k++) {
            cr_tensor *x = cr_input(t.nodes[i], k);
            const bool inside = x && within && cr_op_within(x) == within && !is_data(x);
            if (!x || (inside && trail_add(&t, x)))
                continue;
            if (inside || (argument && x != argument))
                return NULL;
            argument = x;
        }
    return argument;
}

cr_tensor *cr__flow_argument(cr__flow_measurement *m, const cr__flow_event *e)
{
    cr_tensor *x = e->x;
    if (e->place && cr_nn_count(e->place->module))
        return NULL;
    if (!x)
        x = argument_of(m, e->y);
    return x && cr_needs_grad(x) && is_pointwise(m, x, e->y) ? x : NULL;
}

/* The name by which theory may know it: the module's kind, or the operation's. */
const char *cr__flow_activation_name(const cr__flow_event *e)
{
    const cr_op *op = operation_of(e->y);
    return e->place ? cr_nn_kind(e->place->module) : op ? op->name : "";
}

/* ---- residual additions ---- */

static bool is_sum(const cr_tensor *x)
{
    const cr_op *op = cr_op_of(x);
    return op && !cr_op_within(x) && !strcmp(op->name, "add") && cr_input_count(x) == 2 &&
           cr_input(x, 0) && cr_input(x, 1);
}

/* Whether from is reached from y. */
static bool leads_to(cr__flow_measurement *m, const cr_tensor *y, const cr_tensor *from)
{
    trail t;
    if (!trail_open(m, &t, BRANCH_NODES))
        return false;
    trail_add(&t, y);
    for (int i = 0; i < t.n; i++)
        if (t.nodes[i] == from)
            return true;
        else if (!trail_add_inputs(&t, t.nodes[i]))
            return false;
    return false;
}

/* The sum that y is, behind an activation at most. */
static const cr_tensor *sum_beneath(cr__flow_measurement *m, cr_tensor *y)
{
    const cr_tensor *x = is_sum(y) ? y : argument_of(m, y);
    return x && is_sum(x) ? x : NULL;
}

cr__flow_branch cr__flow_find_branch(cr__flow_measurement *m, const cr__flow_event *e)
{
    const cr_tensor *sum = sum_beneath(m, e->y);
    cr_tensor *a = sum ? cr_input(sum, 0) : NULL, *b = sum ? cr_input(sum, 1) : NULL;
    const cr__flow_branch none = { NULL, NULL }, first = { b, a }, second = { a, b };
    if (!sum || cr_numel(a) != cr_numel(b))
        return none;
    if (e->x)
        return a == e->x ? second : b == e->x ? first : none;
    if (is_data(a) || is_data(b))
        return none;
    return leads_to(m, b, a) ? second : leads_to(m, a, b) ? first : none;
}

/* ---- cuts ---- */

static bool trail_has(const trail *t, const cr_tensor *x)
{
    return t->slots[trail_slot(t, x)] != 0;
}

/* A pass of the whole module ends in the module's own event. */
static bool ends_pass(const cr__flow_event *e)
{
    return e->place && e->place->level == 0;
}

bool cr__flow_drop_other_passes(cr__flow_measurement *m)
{
    cr_flow *flow = m->flow;
    trail t;
    int passes = 0, of_step = 0, kept = 0, from = 0;
    for (int i = 0; i < flow->n_events; i++)
        passes += ends_pass(&flow->events[i]);
    if (passes < 2)
        return true;
    if (!trail_open(m, &t, GRAPH_NODES))
        return false;
    trail_add(&t, m->loss);
    for (int i = 0; i < t.n; i++)
        if (!trail_add_inputs(&t, t.nodes[i]))
            return true; /* too large to tell */
    for (int i = 0; i < flow->n_events; i++)
        of_step += ends_pass(&flow->events[i]) && trail_has(&t, flow->events[i].y);
    for (int i = 0; i < flow->n_events && of_step; i++) {
        const cr__flow_event e = flow->events[i];
        flow->events[kept++] = e;
        if (!ends_pass(&e))
            continue;
        while (!trail_has(&t, e.y) && kept > from) {
            kept--;
            cr_release(flow->events[kept].x);
            cr_release(flow->events[kept].y);
        }
        from = kept;
    }
    flow->n_events = of_step ? kept : flow->n_events;
    return true;
}

bool cr__flow_settle(cr__flow_measurement *m, const cr_tensor *x, bool *found)
{
    trail t;
    if (!trail_open(m, &t, GRAPH_NODES))
        return false;
    trail_add(&t, m->loss);
    for (int i = 0; i < t.n; i++)
        if (t.nodes[i] != x && !trail_add_inputs(&t, t.nodes[i]))
            return false;
    for (int i = 0; i < m->n_values; i++)
        found[i] |= trail_has(&t, m->values[i].tensor);
    return true;
}

/* ---- softmaxes and attention ---- */

/* A member of an operation's attributes, by its name. */
static const void *attribute_of(const cr_tensor *x, const char *name)
{
    const char *attrs = cr_attrs(x);
    for (const cr_attr *row = cr_op_of(x)->attrs; attrs && row && row->name; row++)
        if (!strcmp(row->name, name))
            return attrs + row->offset;
    return NULL;
}

/* The weights of an attention, which itself stores none. */
static cr_tensor *attention_weights(const cr_tensor *x)
{
    const double *scale = attribute_of(x, "scale");
    const bool *causal = attribute_of(x, "is_causal");
    cr_tensor *q = cr_input(x, 0), *k = cr_input(x, 1), *mask = cr_input(x, 3);
    if (!scale || !q || !k)
        return NULL;
    cr_tensor *scores = cr_mul(cr_matmul(q, cr_transpose(k, -2, -1)), *scale);
    if (causal && *causal)
        scores = cr_where(cr_ne(cr_tril(cr_ones_like(scores), 0), 0), scores, -INFINITY);
    if (mask && cr_dtype_of(mask) == CR_BOOL)
        scores = cr_where(mask, scores, -INFINITY);
    else if (mask)
        scores = cr_add(scores, mask);
    return cr_softmax(scores, -1);
}

/* Results of softmaxes and weights of attentions beneath the output, which itself is none. */
int cr__flow_find_softmaxes(cr__flow_measurement *m, cr_tensor **list, int capacity)
{
    const cr_op *softmax = cr_op_find("softmax"), *attention = cr_op_find("attention");
    trail t;
    int n = 0;
    if (!m->output || !trail_open(m, &t, GRAPH_NODES))
        return 0;
    trail_add(&t, m->output->tensor);
    for (int i = 0; i < t.n && n < capacity && !cr_error(m->ctx); i++) {
        const cr_tensor *x = t.nodes[i];
        const bool inside = cr_op_within(x) == softmax;
        if (cr_op_of(x) == attention && attention) {
            list[n++] = attention_weights(x);
            m->score_scale = fmax(m->score_scale, cr__flow_score_scale(x));
        }
        for (int k = 0; k < cr_input_count(x) && n < capacity && !inside; k++) {
            cr_tensor *in = cr_input(x, k);
            if (!in || cr_op_within(in) != softmax || !softmax)
                continue;
            list[n++] = cr_detach(in);
            m->score_scale = fmax(m->score_scale, cr__flow_score_scale(in));
        }
        trail_add_inputs(&t, x);
    }
    return n;
}
