/* Counts far beyond what is usual: inputs of one operation, keeps of one tensor, open
 * scopes, vjps that read one value. Nothing here may be quadratic: it would not end. */
#include "tap.h"
#include <chainrule.h>

#include <stdlib.h>

enum { INPUTS = 70000, SCOPES = 100000, KEEPS = 1000, READS = 70000 };

/* ---- inputs ---- */

static void test_many_inputs(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor **xs = calloc(INPUTS, sizeof(cr_tensor *));
    for (int i = 0; xs && i < INPUTS; i++)
        xs[i] = cr_requires_grad(cr_full(ctx, CR_DIMS(1), i % 1000));
    cr_tensor *all = cr_cat(xs, INPUTS, 0);
    is_int(cr_numel(all), INPUTS, "cat of %d tensors", INPUTS);
    const float *data = cr_data(all);
    bool right = data != NULL;
    for (int i = 0; right && i < INPUTS; i++)
        right = data[i] == (float)(i % 1000);
    ok(right, "has their elements: %s", cr_message(ctx));
    cr_backward(cr_sum(cr_mul(all, all)));
    right = !cr_error(ctx);
    for (int i = 0; right && i < INPUTS; i += 997)
        right = cr_item(cr_grad(xs[i])) == 2.0 * (i % 1000);
    ok(right, "and the gradients of each: %s", cr_message(ctx));
    free(xs);
    cr_close(ctx);
}

static void test_many_stacked(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor **xs = calloc(INPUTS, sizeof(cr_tensor *));
    for (int i = 0; xs && i < INPUTS; i++)
        xs[i] = cr_requires_grad(cr_full(ctx, CR_DIMS(2), i % 1000));
    cr_tensor *all = cr_stack(xs, INPUTS, 1);
    is_int(cr_size(all, 1), INPUTS, "a stack of %d tensors", INPUTS);
    cr_backward(cr_sum(cr_mul(all, all)));
    bool right = !cr_error(ctx);
    for (int i = 0; right && i < INPUTS; i += 997)
        right = cr_item(cr_sum(cr_grad(xs[i]))) == 4.0 * (i % 1000);
    ok(right, "and the gradients of each: %s", cr_message(ctx));
    free(xs);
    cr_close(ctx);
}

/* out = sum i x_i, over the inputs. */
static bool weigh(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)user;
    *(double *)out->data = 0;
    for (int i = 0; i < n; i++)
        *(double *)out->data += i * *(const double *)in[i].data;
    return true;
}

static bool weigh_backward(const cr_array *in, int n, const cr_array *out,
                           const cr_array *cotangent, cr_array *in_cotangents, void *user)
{
    (void)in, (void)out;
    ++*(int *)user;
    for (int i = 0; i < n; i++)
        if (in_cotangents[i].data)
            *(double *)in_cotangents[i].data = i * *(const double *)cotangent->data;
    return true;
}

static void test_many_custom(void)
{
    int calls = 0;
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor **xs = calloc(INPUTS, sizeof(cr_tensor *));
    for (int i = 0; xs && i < INPUTS; i++) {
        xs[i] = cr_scalar(ctx, i % 10, .dtype = CR_F64);
        if (i % 7)
            cr_requires_grad(xs[i]);
    }
    const cr_custom_def def = {
        .name = "weigh", .forward = weigh, .backward = weigh_backward, .user = &calls
    };
    cr_tensor *y = cr_custom(&def, xs, INPUTS, CR_F64, CR_NO_DIMS);
    double want = 0;
    for (int i = 0; i < INPUTS; i++)
        want += (double)i * (i % 10);
    is_near(cr_item(y), want, 0, "a custom operation of %d tensors: %s", INPUTS,
            cr_message(ctx));
    cr_backward(cr_mul(y, 2));
    bool right = cr_eval(cr_grad(xs[1])) == CR_OK;
    for (int i = 0; right && i < INPUTS; i += 997)
        right = i % 7 == 0 || cr_item(cr_grad(xs[i])) == 2.0 * i;
    ok(right, "and the gradients of those that want one: %s", cr_message(ctx));
    is_int(calls, 1, "from one call of its backward");
    free(xs);
    cr_close(ctx);
}

/* ---- keeps ---- */

static void test_many_keeps(void)
{
    cr_ctx *ctx = cr_open(NULL);
    for (int i = 0; i < KEEPS; i++)
        cr_scope_push(ctx);
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(2), (float[]){ 3, 4 });
    for (int i = 0; i < KEEPS; i++)
        cr_keep(x);
    bool alive = true;
    for (int i = 0; i < KEEPS; i++) {
        cr_scope_pop(ctx);
        alive = alive && cr_ndim(x) == 1;
    }
    ok(alive, "a tensor kept %d times outlives %d scopes", KEEPS, KEEPS);
    is_near(cr_item(cr_sum(x)), 7, 0, "with its value: %s", cr_message(ctx));
    cr_scope_push(ctx);
    cr_tensor *y = cr_keep(cr_keep(cr_requires_grad(cr_named(cr_mul(x, 2), "y"))));
    cr_scope_push(ctx);
    cr_keep(y);
    ok(cr_scope_pop(ctx) == CR_OK && cr_scope_pop(ctx) == CR_OK, "scopes end");
    is_near(cr_item(cr_sum(y)), 14, 0, "and leaves are kept like others");
    is_text(cr_name(y), "y", "with their names");
    cr_close(ctx);
}

/* ---- scopes ---- */

/* At each depth a step that replaces a leaf's value, and what it keeps. */
static void test_many_scopes(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(cr_scalar(ctx, 0.0)), *held = NULL;
    for (int i = 0; i < SCOPES; i++) {
        cr_scope_push(ctx);
        cr_assign(w, cr_detach(cr_add(w, 1)));
        if (i == SCOPES / 2)
            held = cr_mul(w, 10);
        cr_eval(w);
    }
    is_near(cr_item(w), SCOPES, 0, "a commit in each of %d scopes", SCOPES);
    is_near(cr_item(held), 10 * (SCOPES / 2 + 1), 0,
            "what an outer scope holds is found");
    for (int i = 0; i < SCOPES; i++) {
        cr_assign(w, cr_detach(cr_sub(w, 1)));
        cr_scope_pop(ctx);
    }
    is_near(cr_item(w), 0, 0, "and a commit at the end of each: %s", cr_message(ctx));
    /* empty scopes between the steps and what they hold */
    for (int i = 0; i < SCOPES; i++)
        cr_scope_push(ctx);
    cr_scope_push(ctx);
    for (int i = 0; i < SCOPES / 10; i++) {
        CR_SCOPE(ctx);
        cr_assign(w, cr_detach(cr_add(w, 1)));
        cr_eval(w);
    }
    is_near(cr_item(w), SCOPES / 10, 0, "steps inside of many empty scopes");
    cr_close(ctx);
}

/* ---- reads ---- */

/* A value that more vjps read than 16 bits count is let go after the last of them. */
static void test_many_reads(void)
{
    enum { N = 64 };
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(cr_full(ctx, CR_DIMS(1), 3)), *sum;
    cr_scope_push(ctx);
    cr_tensor *x = cr_mul(cr_expand(w, CR_DIMS(N)), 1);
    sum = cr_zeros(ctx, CR_DIMS(1), .dtype = CR_F64);
    for (int i = 0; i < READS; i++) {
        cr_tensor *part = cr_slice(x, 0, i % N, i % N + 1);
        sum = cr_add(sum, cr_cast(cr_mul(part, part), CR_F64));
    }
    sum = cr_div(cr_sum(sum), READS);
    cr_backward(sum);
    is_near(cr_item(sum), 9, 1e-9, "a value that %d vjps read", READS);
    is_near(cr_item(cr_grad(w)), 6, 1e-4, "and its gradient");
    size_t without = cr_memory_used(ctx);
    cr_eval(x);
    const char *eager = getenv("CHAINRULE_EAGER"); /* keeps values for longer */
    ok(cr_memory_used(ctx) >= without + N * sizeof(float) || (eager && *eager == '1'),
       "it was let go after them");
    cr_scope_pop(ctx);
    cr_close(ctx);
}

int main(void)
{
    test_many_inputs();
    test_many_stacked();
    test_many_custom();
    test_many_keeps();
    test_many_scopes();
    test_many_reads();
    return done_testing();
}
