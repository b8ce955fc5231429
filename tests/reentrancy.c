/* Calls from inside the host's own code that the library is calling: kernels, jobs, the log,
 * the allocator, done functions, shape rules, vjps. Each is an error, or right. */
#include "tap.h"
#include <chainrule.h>

#include <stdlib.h>

static cr_ctx *ctx;
static cr_tensor *leaf, *retained;
static int which; /* the call to make; -1: none */
static int calls; /* how often the host's code was called with one to make */

/* Every call that changes a context. False if there is no such. */
static bool misuse(void)
{
    switch (which) {
    case 0:
        cr_scope_pop(ctx);
        break;
    case 1:
        cr_scope_push(ctx);
        break;
    case 2:
        cr_clear(ctx);
        break;
    case 3:
        cr_close(ctx);
        break;
    case 4:
        cr_assign(leaf, leaf);
        break;
    case 5:
        cr_item(cr_mul(leaf, 2));
        break;
    case 6:
        cr_backward(leaf);
        break;
    case 7:
        cr_release(retained);
        break;
    case 8:
        cr_retain(leaf);
        break;
    case 9:
        cr_keep(leaf);
        break;
    case 10:
        cr_zero_grad(leaf);
        break;
    case 11:
        cr_set_grad(leaf, leaf);
        break;
    case 12:
        cr_trim(ctx);
        break;
    case 13:
        cr_seed(ctx, 3);
        break;
    case 14:
        cr_no_grad_push(ctx);
        break;
    case 15:
        cr_no_grad_pop(ctx);
        break;
    case 16:
        cr_named(leaf, "other");
        break;
    case 17:
        cr_watch(leaf);
        break;
    case 18:
        cr_eval(leaf);
        break;
    case 19:
        cr_data(leaf);
        break;
    case 20:
        cr_scalar(ctx, 1.0);
        break;
    case 21:
        cr_nn_linear(ctx, 2, 2);
        break;
    case 22:
        cr_requires_grad(leaf);
        break;
    default:
        return false;
    }
    return true;
}

static void misuse_once(void)
{
    if (which < 0)
        return;
    calls++;
    int now = which;
    misuse();
    which = now; /* each call of the host's code makes it */
}

/* ---- the host's code ---- */

static bool kernel(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n, (void)user;
    misuse_once();
    for (int64_t i = 0; i < out->numel; i++)
        ((float *)out->data)[i] = ((const float *)in[0].data)[i] + 1;
    return true;
}

static void jobs(void *user, int n, void (*body)(void *arg, int i), void *arg)
{
    (void)user;
    misuse_once();
    for (int i = 0; i < n; i++)
        body(arg, i);
}

static void *give(void *user, size_t bytes)
{
    (void)user;
    if (ctx)
        misuse_once();
    return malloc(bytes);
}

static void take(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    if (ctx)
        misuse_once();
    free(memory);
}

static void done(void *user, const void *data)
{
    (void)user, (void)data;
    misuse_once();
}

static void on_line(void *user, const char *line)
{
    (void)user, (void)line;
    misuse_once();
}

/* ---- what makes the library call it ---- */

static void by_kernel(void)
{
    const cr_custom_def def = { .name = "misuse", .forward = kernel };
    cr_eval(cr_custom(&def, &leaf, 1, CR_F32, CR_DIMS(2)));
}

static void by_jobs(void)
{
    cr_eval(cr_mul(cr_rand(ctx, CR_DIMS(1 << 20)), 2));
}

static void by_allocator(void)
{
    cr_eval(cr_rand(ctx, CR_DIMS(1000 + 100 * which)));
    cr_trim(ctx);
}

static void by_done(void)
{
    static float data[2];
    int now = which;
    which = -1;
    cr_scope_push(ctx);
    cr_eval(cr_mul(cr_borrow(ctx, CR_F32, CR_DIMS(2), data, done, NULL), 2));
    which = now;
    cr_scope_pop(ctx);
}

static void by_log(void)
{
    int now = which;
    which = -1;
    cr_scope_push(ctx);
    for (int i = 0; i < 50100; i++)
        cr_mul(leaf, 2);
    which = now;
    for (int i = 0; i < 1000; i++) {
        cr_assign(leaf, cr_mul(leaf, 1));
        cr_eval(leaf);
    }
    which = -1;
    cr_scope_pop(ctx);
}

static void test_host(const char *name, void (*provoke)(void), bool allocator, bool job,
                      bool eager)
{
    int made = 0, errors = 0, n = 0;
    bool balanced = true;
    for (int i = 0; i <= 22; i++) {
        which = -1;
        ctx = NULL;
        cr_options options = { .threads = job ? 2 : 1, .eager = eager, .log = on_line };
        if (job)
            options.parallel_for = jobs;
        if (allocator)
            options.alloc = give, options.free = take;
        ctx = cr_open(&options);
        leaf = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(2), (float[]){ 1, 2 }));
        retained = cr_retain(cr_ones(ctx, CR_DIMS(1)));
        cr_eval(leaf, retained);
        cr_scope_push(ctx);
        which = i;
        calls = 0;
        provoke();
        which = -1;
        n++;
        made += calls > 0;
        errors += cr_error(ctx) == CR_ERR_ARGUMENT && strstr(cr_message(ctx), "inside");
        if (calls && !cr_error(ctx))
            diag("  %s, call %d: no error", name, i);
        cr_clear(ctx);
        balanced = balanced && cr_scope_pop(ctx) == CR_OK;
        balanced = balanced && cr_item(cr_sum(leaf)) == 3 && cr_item(retained) == 1;
        if (cr_error(ctx))
            diag("  %s, call %d: %s", name, i, cr_message(ctx));
        balanced = balanced && cr_scope_pop(ctx) == CR_ERR_ARGUMENT;
        cr_clear(ctx);
        cr_close(ctx);
    }
    is_int(made, n, "%s: calls were made", name);
    is_int(errors, n, "%s: each is an error", name);
    ok(balanced, "%s: the context stays as it was", name);
}

/* ---- vjps and functions under test: recording is allowed, ending others' scopes is not -- */

static int mode;

static void misuse_recording(void)
{
    if (mode == 0)
        cr_scope_pop(ctx);
    else if (mode == 1)
        cr_scope_push(ctx);
    else if (mode == 2)
        cr_close(ctx);
    else if (mode == 3)
        cr_scope_pop(ctx), cr_scope_pop(ctx), cr_clear(ctx);
    else if (mode == 4)
        cr_scope_push(ctx), cr_scope_pop(ctx);
}

static cr_status shape(cr_infer *infer)
{
    if (mode >= 10) {
        which = mode - 10;
        misuse();
        which = -1;
    }
    infer->dims = infer->in_dims[0];
    return CR_OK;
}

static void vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    misuse_recording();
    down[0] = cr_mul(g, 3);
}

static cr_status triple(const cr_kernel *k)
{
    for (int64_t i = 0; i < k->out.numel; i++)
        ((double *)k->out.data)[i] = 3 * ((const double *)k->in[0].data)[i];
    return CR_OK;
}

static const cr_op op = { .name = "triple",
                          .kind = CR_OP_OPAQUE,
                          .min_inputs = 1,
                          .max_inputs = 1,
                          .inputs = "x",
                          .shape = shape,
                          .vjp = vjp,
                          .kernel = triple };

static cr_tensor *under_test(cr_ctx *c, cr_tensor *const *xs, int n, void *user)
{
    (void)c, (void)n, (void)user;
    misuse_recording();
    return cr_sum(cr_mul(xs[0], xs[0]));
}

static void test_recording(bool eager)
{
    for (int i = 0; i < 5; i++) {
        which = -1;
        ctx = cr_open(&(cr_options){ .threads = 1, .eager = eager });
        cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(2), 2, .dtype = CR_F64));
        cr_scope_push(ctx);
        mode = -1;
        cr_tensor *y = cr_sum(cr_apply(&op, &x, 1, NULL));
        mode = i;
        cr_status status = cr_backward(y);
        ok(i >= 3 || status == CR_ERR_ARGUMENT, "vjp %d: %s", i, cr_message(ctx));
        cr_clear(ctx);
        status = cr_gradcheck(under_test, NULL, &x, 1);
        ok(i == 4 ? status == CR_OK : i == 3 || status == CR_ERR_ARGUMENT,
           "gradcheck %d: %s", i, cr_message(ctx));
        cr_clear(ctx);
        ok(cr_scope_pop(ctx) == CR_OK && cr_scope_pop(ctx) == CR_ERR_ARGUMENT,
           "scopes are as they were");
        cr_clear(ctx);
        is_near(cr_item(cr_sum(x)), 4, 0, "and so are values");
        cr_close(ctx);
    }
    for (int i = 0; i <= 22; i++) {
        ctx = cr_open(&(cr_options){ .threads = 1, .eager = eager });
        leaf = cr_requires_grad(cr_full(ctx, CR_DIMS(2), 2, .dtype = CR_F64));
        retained = cr_retain(cr_full(ctx, CR_DIMS(2), 2));
        cr_eval(leaf, retained);
        cr_scope_push(ctx);
        mode = 10 + i;
        cr_tensor *y = cr_apply(&op, &leaf, 1, NULL);
        ok(!y && cr_error(ctx) == CR_ERR_ARGUMENT, "shape rule, call %d: %s", i,
           cr_message(ctx));
        cr_clear(ctx);
        cr_scope_pop(ctx);
        cr_close(ctx);
    }
}

int main(void)
{
    for (int eager = 0; eager < 2; eager++) {
        test_host("a kernel", by_kernel, false, false, eager);
        test_host("parallel_for", by_jobs, false, true, eager);
        test_host("the allocator", by_allocator, true, false, eager);
        test_host("a done function", by_done, false, false, eager);
        test_host("the log", by_log, false, false, eager);
        test_recording(eager);
    }
    return done_testing();
}
