/* Handles of tensors that were released: what uses of them say, with and without check
 * mode, and how long their memory stays theirs. */
#include "tap.h"
#include <chainrule.h>

#include <stdlib.h>

#define HERE_TEXT(line) #line
#define HERE(line)      HERE_TEXT(line)

static bool fails(cr_ctx *ctx, const char *made, const char *ended)
{
    bool right = cr_error(ctx) == CR_ERR_SCOPE && strstr(cr_message(ctx), made) &&
                 strstr(cr_message(ctx), ended);
    if (!right)
        diag("  %s: \"%s\", not with %s and %s", cr_status_name(cr_error(ctx)),
             cr_message(ctx), made, ended);
    cr_clear(ctx);
    return right;
}

/* A released handle: made at a line ending in `made`, and the scope ended at `ended`. */
typedef struct gone {
    cr_tensor *x;
    const char *made, *ended;
} gone;

#define LINE "released.c:" HERE(__LINE__)

static gone by_pop(cr_ctx *ctx)
{
    gone g;
    cr_scope_push(ctx);
    g.x = cr_from(ctx, CR_F32, CR_DIMS(2), (float[]){ 1, 2 }), g.made = LINE;
    cr_eval(g.x);
    cr_scope_pop(ctx), g.ended = LINE;
    return g;
}

static gone by_block(cr_ctx *ctx)
{
    gone g;
    CR_SCOPE(ctx);
    g.ended = "the end of the block of CR_SCOPE, ";
    g.x = cr_mul(cr_ones(ctx, CR_DIMS(2)), 2), g.made = LINE;
    return g;
}

/* Every call that takes a tensor. */
static void use_all(cr_ctx *ctx, gone g)
{
    cr_tensor *y = cr_requires_grad(cr_ones(ctx, CR_DIMS(2))), *x = g.x, *grads[1];
    char text[100];
#define FAILS(call) ok(((void)(call), fails(ctx, g.made, g.ended)), "%s", #call)
    FAILS(cr_exp(x));
    FAILS(cr_add(y, x));
    FAILS(cr_cat(((cr_tensor *[]){ y, x, y, y, y }), 5, 0));
    FAILS(cr_item(x));
    FAILS(cr_item_i64(x));
    FAILS(cr_data(x));
    FAILS(cr_read(x, text, sizeof text));
    FAILS(cr_eval(y, x));
    FAILS(cr_format(x, text, sizeof text));
    FAILS(cr_plan_format(&x, 1, text, sizeof text));
    FAILS(cr_print(x, stdout));
    FAILS(cr_keep(x));
    FAILS(cr_retain(x));
    FAILS(cr_watch(x));
    FAILS(cr_named(x, "x"));
    FAILS(cr_requires_grad(x));
    FAILS(cr_detach(x));
    FAILS(cr_zero_grad(x));
    FAILS(cr_set_grad(y, x));
    FAILS(cr_set_grad(x, y));
    FAILS(cr_assign(y, x));
    FAILS(cr_assign(x, y));
    FAILS(cr_backward(x));
    FAILS(cr_gradients(((cr_tensor *[]){ x }), 1, &y, 1, grads));
    FAILS(cr_full_like(x, 1));
}

/* The same of those that need no run: errors in check mode only. */
static void ask_all(cr_ctx *ctx, gone g)
{
    cr_tensor *x = g.x;
    char text[100];
    FAILS(cr_ndim(x));
    FAILS(cr_size(x, 0));
    FAILS(cr_shape(x));
    FAILS(cr_numel(x));
    FAILS(cr_dtype_of(x));
    FAILS(cr_name(x));
    FAILS(cr_grad(x));
    FAILS(cr_is_leaf(x));
    FAILS(cr_needs_grad(x));
    FAILS(cr_explain_no_grad(x, text, sizeof text));
    FAILS(cr_input(x, 0));
    FAILS(cr_input_count(x));
    FAILS(cr_operand(x, 0));
    FAILS(cr_attrs(x));
    FAILS(cr_op_of(x));
    FAILS(cr_op_within(x));
    FAILS(cr_site_of(x));
}

static void test_places(bool check)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .check = check });
    use_all(ctx, by_pop(ctx));
    use_all(ctx, by_block(ctx));
    if (check) {
        ask_all(ctx, by_pop(ctx));
        ask_all(ctx, by_block(ctx));
    }
    gone g = by_pop(ctx);
    cr_release(g.x);
    ok(cr_error(ctx) == CR_ERR_ARGUMENT && strstr(cr_message(ctx), g.ended), "%s",
       cr_message(ctx));
    cr_clear(ctx);
    /* retained beyond its scope */
    cr_scope_push(ctx);
    g.x = cr_retain(cr_ones(ctx, CR_DIMS(3))), g.made = LINE;
    cr_scope_pop(ctx), g.ended = LINE;
    is_int(cr_numel(g.x), 3, "a retained tensor outlives its scope");
    cr_release(g.x);
    FAILS(cr_neg(g.x));
    cr_close(ctx);
}

/* ---- a loop that compares a loss with the one before ---- */

static cr_tensor *loss_of(cr_ctx *ctx, int step)
{
    cr_tensor *x = cr_full(ctx, CR_DIMS(4), step);
    return cr_mean(cr_mul(x, x));
}

static void test_loss_before(bool check)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .check = check });
    cr_tensor *before = NULL;
    int caught = 0;
    for (int step = 0; step < 1000; step++) {
        CR_SCOPE(ctx);
        cr_tensor *loss = loss_of(ctx, step);
        double now = cr_item(loss);
        if (before && isnan(cr_item(before)))
            caught++;
        if (now != (double)step * step)
            diag("  step %d: %g", step, now);
        cr_clear(ctx);
        before = loss;
    }
    is_int(caught, 999, "the loss of the step before is never another tensor");
    cr_close(ctx);
}

/* In check mode never, however many are made. */
static void test_for_ever(void)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .check = true });
    gone g = by_pop(ctx);
    for (int i = 0; i < 100000; i++) {
        CR_SCOPE(ctx);
        cr_eval(cr_mul(cr_ones(ctx, CR_DIMS(3)), i));
    }
    FAILS(cr_neg(g.x));
    cr_close(ctx);
}

int main(void)
{
    test_places(false);
    test_places(true);
    test_loss_before(false);
    test_loss_before(true);
    test_for_ever();
    return done_testing();
}
