/* Steps in steady state: from the second one on a step asks the allocator for nothing, however
 * large its graph is; where it replaces gradients and states, from the one on that has found a set
 * of each. */
#include "tap.h"
#include <chainrule.h>

#include <stdlib.h>

static void *counted_alloc(void *user, size_t bytes)
{
    ++*(long *)user;
    return malloc(bytes);
}

static void counted_free(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

/* What a step works with. */
typedef struct work {
    cr_ctx *ctx;
    long allocations;
    int64_t size; /* of the graph: how long it is */
    cr_param leaves[8];
    cr_params params;
    cr_tensor *x, *labels, *state;
    cr_module *net;
    cr_optim *optim;
} work;

typedef struct workload {
    const char *name;
    void (*make)(work *w);
    void (*step)(work *w);
    int64_t sizes[3]; /* of the graph; 0: no more */
    int settled; /* the first step that is to allocate nothing, from 1: the second, or, where
                       * new gradients and states stand beside old ones, the third */
} workload;

static cr_tensor *leaf(const work *w, int i)
{
    return w->leaves[i].tensor;
}

static void add_leaf(work *w, cr_tensor *value)
{
    w->leaves[w->params.n++] =
        (cr_param){ .name = "leaf", .tensor = cr_requires_grad(value) };
}

/* ---- the tiny graph and chains ---- */

static void make_scalar(work *w)
{
    add_leaf(w, cr_scalar(w->ctx, 0.5));
}

static void step_tiny(work *w)
{
    cr_tensor *x = leaf(w, 0);
    CR_SCOPE(w->ctx);
    cr_zero_grad(x);
    cr_backward(cr_mul(2, cr_add(cr_pow(x, 2), cr_exp(x))));
    cr_item(cr_grad(x));
}

static void step_chain(work *w)
{
    CR_SCOPE(w->ctx);
    cr_tensor *y = leaf(w, 0);
    cr_zero_grad(leaf(w, 0));
    for (int64_t i = 0; i < w->size; i++)
        y = cr_mul(cr_sin(y), 1.01);
    cr_backward(y);
    cr_item(cr_grad(leaf(w, 0)));
}

/* Inputs and results all over the graph: nothing is dense or in order. */
static void step_mixed(work *w)
{
    enum { LIVE = 8 };
    CR_SCOPE(w->ctx);
    cr_tensor *live[LIVE], *sum = leaf(w, 0);
    cr_zero_grad(leaf(w, 0));
    for (int i = 0; i < LIVE; i++)
        live[i] = cr_mul(leaf(w, 0), 0.1 * i);
    for (int64_t i = 0; i < w->size; i++) {
        cr_tensor **at = &live[i * 5 % LIVE];
        *at = cr_sin(cr_add(*at, live[i * 3 % LIVE]));
        CR_SCOPE(w->ctx);
        cr_keep(*at = cr_tanh(*at));
    }
    for (int i = 0; i < LIVE; i++)
        sum = cr_add(sum, live[i]);
    cr_backward(sum);
    cr_eval(sum, cr_grad(leaf(w, 0)));
}

/* ---- a recurrence ---- */

static void make_recurrence(work *w)
{
    add_leaf(w, cr_mul(cr_rand(w->ctx, CR_DIMS(16, 16)), 0.1));
    add_leaf(w, cr_zeros(w->ctx, CR_DIMS(16)));
    w->x = cr_rand(w->ctx, CR_DIMS(w->size, 4, 16));
    w->optim = cr_optim_sgd(&w->params, 0.01);
}

static void step_recurrence(work *w)
{
    CR_SCOPE(w->ctx);
    cr_tensor *h = cr_zeros(w->ctx, CR_DIMS(4, 16));
    for (int64_t t = 0; t < w->size; t++)
        h = cr_tanh(cr_add(cr_linear(h, leaf(w, 0), leaf(w, 1)), cr_select(w->x, 0, t)));
    cr_optim_zero_grad(w->optim);
    cr_backward(cr_mean(cr_square(h)));
    cr_optim_step(w->optim);
}

/* A state carried from step to step, by reference. */
static void make_carried(work *w)
{
    add_leaf(w, cr_rand(w->ctx, CR_DIMS(16, 16)));
    w->state = cr_retain(cr_zeros(w->ctx, CR_DIMS(4, 16)));
}

static void step_carried(work *w)
{
    cr_scope_push(w->ctx);
    cr_tensor *next = cr_detach(cr_tanh(cr_matmul(w->state, leaf(w, 0))));
    cr_retain(cr_named(next, "the state, under a name"));
    cr_eval(next);
    cr_scope_pop(w->ctx);
    cr_release(w->state);
    w->state = next;
}

/* ---- networks ---- */

static void make_net(work *w)
{
    w->net = cr_nn_sequential(w->ctx);
    for (int64_t i = 0; i < w->size; i++) {
        cr_nn_add(w->net, cr_nn_linear(w->ctx, 16, 16));
        cr_nn_add(w->net, cr_nn_layer_norm(w->ctx, CR_DIMS(16)));
        cr_nn_add(w->net, cr_nn_relu(w->ctx));
    }
    w->x = cr_rand(w->ctx, CR_DIMS(8, 16));
    w->labels =
        cr_from(w->ctx, CR_I64, CR_DIMS(8), ((int64_t[]){ 3, 1, 4, 1, 5, 9, 2, 6 }));
}

static void make_sgd(work *w)
{
    make_net(w);
    w->optim = cr_optim_sgd(cr_nn_params(w->net), 0.01, .momentum = 0.9);
}

static void make_adam(work *w)
{
    make_net(w);
    w->optim = cr_optim_adam(cr_nn_params(w->net), 1e-3);
}

/* Data as a loop over batches brings it: borrowed, stacked of pieces. */
static void step_net(work *w)
{
    static const float data[8 * 16] = { 0.5f, -1, 2 };
    CR_SCOPE(w->ctx);
    cr_tensor *rows[8], *x = cr_borrow(w->ctx, CR_F32, CR_DIMS(8, 16), data, NULL, NULL);
    for (int i = 0; i < 8; i++)
        rows[i] = cr_add(cr_select(x, 0, i), cr_select(w->x, 0, i));
    cr_tensor *loss =
        cr_cross_entropy(cr_nn_forward(w->net, cr_stack(rows, 8, 0)), w->labels);
    cr_optim_zero_grad(w->optim);
    cr_backward(loss);
    cr_clip_grad_norm(cr_nn_params(w->net), 1.0);
    cr_optim_step(w->optim);
    cr_item(loss);
}

/* Gradients that are differentiated, and shapes in great number. */
static void step_shapes(work *w)
{
    CR_SCOPE(w->ctx);
    for (int64_t i = 1; i <= w->size; i++) {
        cr_tensor *y = cr_sum(cr_exp(cr_expand(leaf(w, 0), CR_DIMS(i))));
        cr_tensor *g, *x = leaf(w, 0);
        cr_gradients(&y, 1, &x, 1, &g, .create_graph = true);
        cr_gradients(&g, 1, &x, 1, &g);
        cr_item(g);
    }
}

static const workload workloads[] = {
    { "the tiny graph", make_scalar, step_tiny, { 1 }, 2 },
    { "a chain", make_scalar, step_chain, { 10, 1000, 50000 }, 2 },
    { "a mixed graph", make_scalar, step_mixed, { 10, 1000, 30000 }, 2 },
    { "a recurrence", make_recurrence, step_recurrence, { 10, 500, 5000 }, 3 },
    { "a carried state", make_carried, step_carried, { 1 }, 3 },
    { "a network under SGD", make_sgd, step_net, { 2, 50 }, 3 },
    { "a network under Adam", make_adam, step_net, { 2, 50 }, 3 },
    { "shapes", make_scalar, step_shapes, { 10, 300 }, 2 },
};

static size_t reserved, limit; /* of contexts that are opened; 0: none */

static void open_work(work *w, const workload *load, int64_t size)
{
    *w = (work){ .size = size };
    w->ctx = cr_open(&(cr_options){ .threads = 1,
                                    .alloc = counted_alloc,
                                    .free = counted_free,
                                    .memory_limit = limit,
                                    .memory_user = &w->allocations });
    if (reserved)
        cr_reserve(w->ctx, reserved);
    w->params = (cr_params){ .ctx = w->ctx, .list = w->leaves };
    load->make(w);
}

static void close_work(work *w)
{
    cr_optim_free(w->optim);
    cr_nn_free(w->net);
    cr_close(w->ctx);
}

static void test_allocations(const workload *load, int64_t size)
{
    enum { STEPS = 6 };
    work w;
    long counts[STEPS + 1], late = 0;
    const char *eager = getenv("CHAINRULE_EAGER"); /* updates nothing in place */
    int settled = load->settled + (load->settled > 2 && eager && *eager == '1');
    open_work(&w, load, size);
    for (int s = 1; s <= STEPS; s++) {
        long before = w.allocations;
        load->step(&w);
        counts[s] = w.allocations - before;
        late += s >= settled ? counts[s] : 0;
    }
    ok(late == 0 && !cr_error(w.ctx),
       "%s of %" PRId64 ": steps allocate %ld, %ld, %ld, %ld, %ld, %ld times %s",
       load->name, size, counts[1], counts[2], counts[3], counts[4], counts[5], counts[6],
       cr_message(w.ctx));
    close_work(&w);
}

/* With all memory reserved not even the first step asks for any, nor what makes the network; how
 * much that is a run before has told. */
static void test_reserve(const workload *load, int64_t size)
{
    enum { STEPS = 6 };
    work w;
    open_work(&w, load, size);
    for (int s = 0; s < STEPS; s++)
        load->step(&w);
    const size_t held = cr_get_stats(w.ctx).held, peak = cr_memory_peak(w.ctx);
    close_work(&w);
    for (int limited = 0; limited < 2; limited++) {
        reserved = held + held / 2;
        limit = limited ? peak + peak / 8 + reserved : 0;
        open_work(&w, load, size);
        const uint64_t before = cr_get_stats(w.ctx).allocations;
        long allocations = w.allocations;
        for (int s = 0; s < STEPS; s++) {
            load->step(&w);
            cr_trim(w.ctx);
        }
        ok(w.allocations == allocations && !cr_error(w.ctx) && before == 1 &&
               cr_get_stats(w.ctx).allocations == 1 &&
               cr_get_stats(w.ctx).held > reserved,
           "%s of %" PRId64 ": %zu bytes reserved, %ld more allocations %s", load->name,
           size, reserved, w.allocations - allocations, cr_message(w.ctx));
        reserved = limit = 0;
        close_work(&w);
    }
}

int main(void)
{
    const char *check = getenv("CHAINRULE_CHECK"); /* keeps the records of the dead */
    bool keeps = check && *check == '1';
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads && !keeps; i++)
        for (int k = 0; k < 3 && workloads[i].sizes[k]; k++) {
            test_allocations(&workloads[i], workloads[i].sizes[k]);
            test_reserve(&workloads[i], workloads[i].sizes[k]);
        }
    if (keeps)
        skip(1, "in check mode no memory of nodes is used again");
    return done_testing();
}
