/* Trees that are changed, residual branches, paths, and hooks on forward. */
#include "engine.h"

/* ---- trees that change ---- */

static void test_insert(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    char path[32];
    cr_module *net = cr_nn_sequential(ctx);
    cr_module *a = cr_nn_linear(ctx, 2, 2), *b = cr_nn_linear(ctx, 2, 2, .no_bias = true);
    is_int(cr_nn_insert(net, 0, a), CR_OK, "into an empty one");
    is_int(cr_nn_insert(net, 0, cr_nn_relu(ctx)), CR_OK, "in front");
    is_int(cr_nn_insert(net, 2, b), CR_OK, "behind");
    is_int(cr_nn_insert(net, 1, cr_nn_tanh(ctx)), CR_OK, "between");
    ok(cr_nn_count(net) == 4 && cr_nn_child(net, 2) == a && cr_nn_child(net, 3) == b,
       "each is in its place");
    is_text(cr_nn_params(net)->list[0].name, "2.weight", "names follow");
    cr_nn_path(a, path, sizeof path);
    is_text(path, "2", "paths too");
    cr_tensor *x = cr_randn(ctx, CR_DIMS(3, 2));
    cr_tensor *want = cr_linear(
        cr_linear(cr_tanh(cr_relu(x)), cr_nn_param(a, "weight"), cr_nn_param(a, "bias")),
        cr_nn_param(b, "weight"), NULL);
    is_near(cr_item(cr_amax(cr_abs(cr_sub(cr_nn_forward(net, x), want)))), 0, 0,
            "it runs in that order");
    ok(cr_nn_remove(net, 2) == a && cr_nn_count(net) == 3 && cr_nn_child(net, 2) == b,
       "one is taken out");
    is_text(cr_nn_params(net)->list[0].name, "2.weight", "those behind move up");
    ok(cr_nn_path(a, path, sizeof path) == 0 && !*path, "it is nobody's");
    cr_nn_free(a);
    a = cr_nn_relu(ctx);
    cr_nn_insert(net, 4, a);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "no place 4"), "no place behind the end");
    cr_nn_insert(net, -1, cr_nn_relu(ctx));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "no place -1"), "nor before the start");
    ok(!cr_nn_remove(net, 3) && failed_with(ctx, CR_ERR_ARGUMENT, "holds 3 modules"),
       "nor is there a fourth");
    ok(!cr_nn_remove(b, 0) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "linear holds no modules"),
       "a linear has none");
    cr_nn_insert(b, 0, cr_nn_relu(ctx));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "nn_insert: a linear holds"), "and takes none");
    cr_nn_insert(NULL, 0, cr_nn_relu(ctx));
    ok(failed_with(ctx, CR_ERR_NULL, "nn_insert"), "nor does NULL");
    ok(!cr_nn_remove(NULL, 0) && !cr_error(ctx), "which has none");
    cr_fail(ctx, CR_ERR_IO, "pending");
    ok(!cr_nn_remove(net, 0) && failed_with(ctx, CR_ERR_IO, "pending") &&
           cr_nn_count(net) == 3,
       "while an error is pending nothing changes");
    cr_nn_free(net);
}

/* What was too deep fits when a part was taken out, wherever it was. */
static void test_height(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_sequential(ctx), *at = net, *middle = NULL;
    for (int i = 1; i < CR_NN_MAX_DEPTH; i++) {
        cr_module *inner = cr_nn_sequential(ctx);
        cr_nn_add(at, inner);
        at = inner;
        middle = i == 10 ? inner : middle;
    }
    cr_nn_add(middle, cr_nn_relu(ctx));
    cr_module *outer = cr_nn_sequential(ctx);
    cr_module *rest = cr_nn_remove(middle, 0);
    ok(cr_nn_count(rest) == 1 && cr_nn_count(middle) == 1, "the deep part is out");
    is_int(cr_nn_add(outer, net), CR_OK, "what is left fits into another");
    cr_nn_add(middle, rest);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "257 modules"), "and the part not any more");
    cr_nn_free(outer);
}

static void test_paths(cr_ctx *ctx)
{
    char path[40];
    cr_module *net = cr_nn_sequential(ctx), *inner = cr_nn_sequential(ctx);
    cr_module *deep = cr_nn_linear(ctx, 2, 2);
    cr_nn_add(inner, cr_nn_relu(ctx));
    cr_nn_add(inner, deep);
    for (int i = 0; i < 12; i++)
        cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_residual(ctx, inner));
    is_int((int64_t)cr_nn_path(deep, path, sizeof path), 10, "the length of a path");
    is_text(path, "12.inner.1", "as in the names of parameters");
    is_int((int64_t)cr_nn_path(deep, NULL, 0), 10, "of which nothing need be written");
    for (size_t capacity = 1; capacity < 11; capacity++) {
        memset(path, '#', sizeof path);
        size_t length = cr_nn_path(deep, path, capacity);
        ok(length == 10 && strlen(path) == capacity - 1 &&
               strncmp(path, "12.inner.1", capacity - 1) == 0 && path[capacity] == '#',
           "%zu characters of it", capacity - 1);
    }
    is_int((int64_t)cr_nn_path(net, path, sizeof path), 0, "the root has none");
    is_text(path, "", "which is written");
    is_int((int64_t)cr_nn_path(NULL, path, sizeof path), 0, "nor has NULL");
    cr_nn_free(net);
}

static void test_residual(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    char name[] = "attention", path[32];
    cr_module *net = cr_nn_sequential(ctx);
    cr_module *linear = cr_nn_linear(ctx, 2, 2, .dtype = CR_F64);
    cr_module *block = cr_nn_residual(ctx, linear, .scale = CR_REAL(0), .name = name);
    cr_nn_add(net, block);
    memset(name, 'x', 3);
    is_text(cr_nn_params(net)->list[0].name, "0.attention.weight",
            "a branch gives its name, which was copied");
    ok(cr_nn_param(net, "0.attention.bias") && !cr_nn_param(net, "0.inner.bias") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "0.inner.bias"),
       "and is found by no other");
    cr_nn_path(linear, path, sizeof path);
    is_text(path, "0.attention", "its path");
    cr_tensor *x = cr_requires_grad(cr_randn(ctx, CR_DIMS(3, 2), .dtype = CR_F64));
    cr_tensor *b =
        cr_linear(x, cr_nn_param(linear, "weight"), cr_nn_param(linear, "bias"));
    is_near(cr_nn_scale(block), 0, 0, "a scale of 0 is one");
    is_near(cr_item(cr_amax(cr_abs(cr_sub(cr_nn_forward(net, x), x)))), 0, 0,
            "so that the branch adds nothing");
    is_int(cr_nn_set_scale(block, 0.25), CR_OK, "another");
    cr_tensor *y = cr_nn_forward(net, x);
    is_near(cr_item(cr_amax(cr_abs(cr_sub(y, cr_add(x, cr_mul(b, 0.25)))))), 0, 0,
            "takes effect");
    cr_backward(cr_sum(y));
    is_near(cr_item(cr_sum(cr_grad(cr_nn_param(linear, "bias")))), 6 * 0.25, 1e-12,
            "on gradients too");
    ok(isnan(cr_nn_scale(linear)) && isnan(cr_nn_scale(NULL)), "others have no scale");
    ok(cr_nn_set_scale(linear, 1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "linear has no scale"),
       "to be set");
    is_int(cr_nn_set_scale(NULL, 1), CR_ERR_NULL, "nor has NULL");
    ok(cr_nn_set_scale(block, (double)NAN) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "scale is nan") &&
           cr_nn_scale(block) == 0.25,
       "a scale is a finite number");
    ok(!cr_nn_residual(ctx, cr_nn_relu(ctx), .scale = CR_REAL((double)INFINITY)) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "nn_residual: scale is inf"),
       "from the start");
    ok(!cr_nn_residual(ctx, cr_nn_relu(ctx), .name = "a.b") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "\"a.b\" is no name"),
       "a name has no dot");
    ok(!cr_nn_residual(ctx, cr_nn_relu(ctx), .name = "") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "\"\" is no name"),
       "and is not empty");
    cr_nn_free(net);
}

/* ---- hooks ---- */

enum { CALLS = 32 };

/* What a hook did, and what it is to do. */
typedef struct record {
    cr_ctx *ctx;
    char paths[CALLS][24];
    double sums[CALLS][2]; /* of x and y */
    int calls;
    cr_module *module; /* what is meddled with */
    uint64_t own, other;
} record;

static cr_tensor *note(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    if (r->calls < CALLS) {
        cr_nn_path(module, r->paths[r->calls], sizeof r->paths[0]);
        r->sums[r->calls][0] = cr_item(cr_sum(x));
        r->sums[r->calls][1] = cr_item(cr_sum(y));
    }
    r->calls++;
    return NULL;
}

static cr_tensor *twice_y(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)x, (void)user;
    return cr_mul(y, 2);
}

static void test_hooks(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    record r = { .ctx = ctx };
    cr_module *net = cr_nn_sequential(ctx), *inner = cr_nn_relu(ctx);
    cr_module *block = cr_nn_residual(ctx, inner, .name = "f");
    cr_nn_add(net, block);
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1), 0.5));
    for (cr_module *m = net; m; m = m == net ? block : m == block ? inner : NULL)
        ok(cr_nn_register_forward_hook(m, note, &r) == 1, "each module counts its hooks");
    cr_tensor *y = cr_nn_forward(net, x);
    is_int(r.calls, 3, "hooks of modules inside are called");
    is_text(r.paths[0], "0.f", "the innermost first");
    is_text(r.paths[1], "0", "then what holds it");
    is_text(r.paths[2], "", "and the outermost");
    ok(r.sums[0][0] == 0.5 && r.sums[0][1] == 0.5 && r.sums[1][1] == 1 &&
           r.sums[2][0] == 0.5 && r.sums[2][1] == cr_item(y),
       "with what went in and came out");
    uint64_t id = cr_nn_register_forward_hook(inner, twice_y, NULL);
    is_int((int64_t)id, 2, "a second hook");
    y = cr_nn_forward(net, x);
    is_near(cr_item(y), tanh(1.5), 1e-7, "what it returns takes the place");
    is_near(r.sums[3][1], 0.5, 0, "the first saw what was before");
    cr_backward(y);
    is_near(cr_item(cr_grad(x)), 3 * (1 - tanh(1.5) * tanh(1.5)), 1e-6,
            "gradients go through it");
    is_int(cr_nn_remove_forward_hook(inner, 1), CR_OK, "one is removed");
    ok(cr_nn_remove_forward_hook(inner, 1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "no hook 1"),
       "once");
    r.calls = 0;
    is_near(cr_item(cr_nn_forward(net, x)), tanh(1.5), 1e-7, "the other is still there");
    is_int(r.calls, 2, "it not");
    is_near(cr_item(cr_nn_forward(inner, x)), 1, 0, "a part called alone calls its own");
    cr_module *moved = cr_nn_remove(net, 0);
    is_near(cr_item(cr_nn_forward(moved, x)), 1.5, 0, "hooks move with their module");
    cr_nn_free(moved);
    is_near(cr_item(cr_nn_forward(net, x)), tanh(0.5), 1e-7, "and go with it");
    ok(!cr_nn_register_forward_hook(net, NULL, NULL) &&
           failed_with(ctx, CR_ERR_NULL, "hook is NULL"),
       "NULL is no hook");
    ok(!cr_nn_register_forward_hook(NULL, note, NULL) && !cr_error(ctx),
       "NULL has no hooks");
    is_int(cr_nn_remove_forward_hook(NULL, 1), CR_ERR_NULL, "to remove either");
    cr_fail(ctx, CR_ERR_IO, "pending");
    ok(!cr_nn_register_forward_hook(net, note, &r) &&
           failed_with(ctx, CR_ERR_IO, "pending"),
       "an error is pending");
    cr_nn_free(net);
}

static cr_tensor *remove_both(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    (void)x, (void)y;
    cr_nn_remove_forward_hook(module, r->own);
    cr_nn_remove_forward_hook(module, r->other);
    for (int i = 0; i < 9; i++)
        cr_nn_register_forward_hook(module, note, r);
    return NULL;
}

static cr_tensor *fails(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)y;
    cr_fail(((record *)user)->ctx, CR_ERR_IO, "the hook's own");
    return x;
}

static cr_tensor *meddles(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    (void)x, (void)y;
    r->calls++;
    cr_nn_free(r->module);
    bool all = failed_with(r->ctx, CR_ERR_ARGUMENT, "is running");
    all = !cr_nn_remove(r->module, 0) &&
          failed_with(r->ctx, CR_ERR_ARGUMENT, "is running") && all;
    cr_nn_insert(r->module, 0, cr_nn_relu(r->ctx));
    all = failed_with(r->ctx, CR_ERR_ARGUMENT, "is running") && all;
    ok(all, "from a hook of %s nothing in the tree goes", cr_nn_kind(module));
    return NULL;
}

static cr_tensor *runs_again(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    (void)y;
    if (++r->calls == 1)
        return cr_nn_forward(module, x);
    cr_nn_remove_forward_hook(module, r->own);
    return NULL;
}

static cr_tensor *runs_ever(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)y, (void)user;
    return cr_nn_forward(module, x);
}

static cr_tensor *of_another(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)x, (void)y;
    return user;
}

static void test_hooks_that_meddle(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    record r = { .ctx = ctx };
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2));
    cr_module *net = cr_nn_relu(ctx);
    r.own = cr_nn_register_forward_hook(net, remove_both, &r);
    r.other = cr_nn_register_forward_hook(net, note, &r);
    cr_eval(cr_nn_forward(net, x));
    is_int(r.calls, 0, "what a hook removes is not called, what it adds not yet");
    cr_eval(cr_nn_forward(net, x));
    is_int(r.calls, 9, "but the next time");
    cr_nn_free(net);

    net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_register_forward_hook(cr_nn_child(net, 0), fails, &r);
    r.calls = 0;
    cr_nn_register_forward_hook(cr_nn_child(net, 0), note, &r);
    cr_nn_register_forward_hook(net, note, &r);
    ok(!cr_nn_forward(net, x) && failed_with(ctx, CR_ERR_IO, "the hook's own"),
       "a hook's error is the forward's");
    is_int(r.calls, 0, "and no other is called");
    cr_nn_free(net);

    net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_tanh(ctx));
    r.module = net;
    cr_nn_register_forward_hook(net, meddles, &r);
    cr_nn_register_forward_hook(cr_nn_child(net, 0), meddles, &r);
    cr_eval(cr_nn_forward(net, x));
    ok(r.calls == 2 && cr_nn_count(net) == 1, "both hooks were called");
    cr_nn_free(net);

    net = cr_nn_relu(ctx);
    r.calls = 0;
    r.own = cr_nn_register_forward_hook(net, runs_again, &r);
    ok(cr_nn_forward(net, x) && r.calls == 2 &&
           cr_nn_remove_forward_hook(net, r.own) == CR_ERR_ARGUMENT &&
           failed_with(ctx, CR_ERR_ARGUMENT, "no hook 1"),
       "a hook may run its module, and go in the midst of it");
    cr_nn_register_forward_hook(net, runs_ever, NULL);
    ok(!cr_nn_forward(net, x) && failed_with(ctx, CR_ERR_ARGUMENT, "inside of itself"),
       "but not without an end");
    cr_nn_free(net);

    cr_ctx *other = cr_open(NULL);
    net = cr_nn_relu(ctx);
    cr_nn_register_forward_hook(net, of_another, cr_ones(other, CR_DIMS(2)));
    ok(!cr_nn_forward(net, x) &&
           failed_with(ctx, CR_ERR_SCOPE,
                       "hook 1 of a relu returned a tensor of another"),
       "what takes the place is of the same context");
    cr_nn_free(net);
    cr_close(other);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_seed(ctx, 3);
    test_insert(ctx);
    test_height(ctx);
    test_paths(ctx);
    test_residual(ctx);
    test_hooks(ctx);
    test_hooks_that_meddle(ctx);
    is_text(cr_message(ctx), "", "no error is left");
    cr_close(ctx);
    return done_testing();
}
