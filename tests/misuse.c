/* Calls that a program makes by mistake and that would go unnoticed: each is an error with a
 * cure. And what an operation of the user's own gets wrong. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include "engine.h"
#include <limits.h>
#include <stdlib.h>

/* ---- gradients ---- */

static void test_leaves(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *w = cr_requires_grad(cr_ones(ctx, CR_DIMS(2)));
    cr_tensor *h = cr_mul(w, 3), *plain = cr_ones(ctx, CR_DIMS(2));
    FAILS(cr_requires_grad(h), GRAD, "requires_grad: [2] is computed from what needs a");
    FAILS(cr_requires_grad(h), GRAD,
          "cr_watch() keeps its gradient, cr_detach() cuts it");
    FAILS(cr_requires_grad(h), GRAD, "misuse.c:");
    FAILS(cr_assign(NULL, plain), NULL, "assign: the tensor is NULL");
    FAILS(cr_set_grad(NULL, plain), NULL, "set_grad: the tensor is NULL");
    is_int(cr_backward(cr_sum(cr_square(h))), CR_OK, "the history of what was refused");
    is_near(cr_item(cr_sum(cr_grad(w))), 36, 0, "is still there");
    ok(cr_requires_grad(cr_detach(h)), "a detached one becomes a leaf");
    ok(cr_requires_grad(cr_mul(plain, 2)), "and one whose history needs no gradient");
    {
        CR_NO_GRAD(ctx);
        ok(cr_requires_grad(cr_mul(w, 2)), "or was recorded without");
    }
    FAILS(cr_grad(h), GRAD, "grad: [2] is neither a leaf nor watched (");
    FAILS(cr_grad(plain), GRAD, "cr_requires_grad() makes a leaf, and cr_watch() keeps");
    FAILS(cr_zero_grad(h), GRAD, "zero_grad: [2] is neither a leaf nor watched (");
    FAILS(cr_set_grad(h, plain), GRAD, "set_grad: [2] is neither a leaf nor watched (");
    ok(!cr_grad(cr_watch(cr_mul(w, 2))) && !cr_error(ctx), "no gradient yet is no error");
    ok(!cr_grad(cr_requires_grad(cr_ones(ctx, CR_DIMS(1)))) && !cr_error(ctx),
       "of a leaf neither");
    cr_no_grad_pop(ctx);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "no_grad_pop: gradients are on"),
       "an unmatched pop");
    ok(cr_grad_enabled(ctx), "changes nothing");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- the environment ---- */

static int remarks;
static char remark[512];

static void note(void *user, const char *line)
{
    (void)user;
    remarks++;
    snprintf(remark, sizeof remark, "%s", line);
}

static bool opens_with(void *value)
{
    setenv("CHAINRULE_ISA", value, 1);
    cr_ctx *ctx = cr_open(&(cr_options){ .log = note });
    bool works = cr_item(cr_sum(cr_ones(ctx, CR_DIMS(5)))) == 5;
    cr_close(ctx);
    return works;
}

static bool is_remarked(void *value)
{
    bool works = opens_with(value);
    if (remarks != 1 || !strstr(remark, "CHAINRULE_ISA=") || !strstr(remark, value) ||
        !strstr(remark, cr_isa())) {
        diag("  %d: %s", remarks, remark);
        return false;
    }
    return works;
}

static bool is_silent(void *value)
{
    return opens_with(value) && remarks == 0;
}

static void test_environment(void)
{
    static char sse[] = "sse9", capital[] = "AVX2", generic[] = "generic", empty[] = "";
    ok(tap_child(is_remarked, sse), "kernels that are unknown are remarked on");
    ok(tap_child(is_remarked, capital), "names are what the header says");
    ok(tap_child(is_silent, generic), "generic is known");
    ok(tap_child(is_silent, empty), "an empty value asks for nothing");
}

/* ---- operations of the user's own ---- */

typedef struct halo_attrs {
    double width;
    int64_t times;
    cr_arg bound;
    cr_reals rates;
    cr_dims sizes;
    int mode;
} halo_attrs;

static cr_tensor *halo(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs)
{
    (void)ctx, (void)n, (void)attrs;
    return cr_neg(inputs[0]);
}

#define POSITIVE(name, TYPE, initial)                                     \
    {                                                                     \
#name, CR_ATTR_##TYPE, offsetof(halo_attrs, name), initial, NULL, \
            CR_ATTR_POSITIVE                                              \
    }
static const cr_attr halo_table[] = {
    POSITIVE(width, REAL, "1"),
    POSITIVE(times, INT, "1"),
    POSITIVE(bound, NUMBER, "1"),
    POSITIVE(rates, REALS, "1"),
    POSITIVE(sizes, DIMS, "1"),
    { "mode", CR_ATTR_WORD, offsetof(halo_attrs, mode), "soft", "soft,hard", 0 },
    { NULL, CR_ATTR_BOOL, 0, NULL, NULL, 0 },
};
static const cr_op halo_op = { .name = "halo",
                               .kind = CR_OP_COMPOSITE,
                               .min_inputs = 1,
                               .max_inputs = 1,
                               .inputs = "x",
                               .attrs = halo_table,
                               .attrs_size = sizeof(halo_attrs),
                               .expand = halo };

static void test_flags(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2)), *out = NULL;
    const struct {
        halo_attrs attrs;
        const char *text;
    } structs[] = {
        { { .width = -1 }, "halo: width is -1, not above 0 (" },
        { { .width = (double)NAN }, "halo: width is nan, not above 0 (" },
        { { .times = -3 }, "halo: times is -3, not above 0 (" },
        { { .bound = cr_arg_int(0) }, "halo: bound is 0, not above 0 (" },
        { { .bound = cr_arg_real(-0.5) }, "halo: bound is -0.5, not above 0 (" },
        { { .rates = CR_REALS(1, 0) }, "halo: rates is 0, not above 0 (" },
        { { .sizes = CR_DIMS(2, -1) }, "halo: sizes is -1, not above 0 (" },
        { { .sizes = { .n = INT_MIN, .given = true } }, "halo: sizes has -2147483648" },
        { { .sizes = { .n = 9, .given = true } },
          "halo: sizes has 9 numbers, at most 8" },
        { { .rates = { .n = 5 } }, "halo: rates has 5 numbers, at most 4" },
        { { .rates = { .n = -5 } }, "halo: rates has -5 numbers, at most 4" },
        { { .mode = 2 }, "halo: mode is number 2 of the words soft,hard (" },
        { { .mode = -1 }, "halo: mode is number -1 of the words soft,hard (" },
    };
    static const struct {
        const char *op, *attrs, *text;
    } texts[] = {
        { "halo", "width=0", "halo: width is 0, not above 0 (" },
        { "halo", "times=0", "halo: times is 0, not above 0 (" },
        { "halo", "bound=-2", "halo: bound is -2, not above 0 (" },
        { "halo", "rates=[1,0]", "halo: rates is 0, not above 0 (" },
        { "halo", "sizes=[0]", "halo: sizes is 0, not above 0 (" },
        { "slice", "step=0", "slice: step is 0, neither above nor below (" },
        { "softplus", "beta=0", "softplus: beta is 0, not above 0 (" },
        { "softplus", "beta=-1", "softplus: beta is -1, not above 0 (" },
        { "layer_norm", "eps=0,normalized_shape=2",
          "layer_norm: eps is 0, not above 0 (" },
        { "layer_norm", "eps=nan,normalized_shape=2",
          "layer_norm: eps is nan, not above" },
    };
    for (size_t i = 0; i < sizeof structs / sizeof *structs; i++)
        FAILS(cr_apply(&halo_op, &x, 1, &structs[i].attrs), ARGUMENT, structs[i].text);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const cr_op *op =
            strcmp(texts[i].op, "halo") ? cr_op_find(texts[i].op) : &halo_op;
        FAILS(cr_call(ctx, op, &x, 1, texts[i].attrs, &out, 1), ARGUMENT, texts[i].text);
    }
    const halo_attrs zero = { 0 };
    ok(cr_apply(&halo_op, &x, 1, &zero), "zero in a struct is the default");
    ok(cr_call(ctx, &halo_op, &x, 1, "width=0.5,mode=hard", &out, 1) == 1,
       "legal values");
    is_text(cr_message(ctx), "", "no error");
}

static cr_status even_shape(cr_infer *infer)
{
    if (infer->in_dims[0].n == 0)
        return CR_ERR_SHAPE;
    if (infer->in_dims[0].v[0] % 2)
        return cr_fail(infer->ctx, CR_ERR_SHAPE, "%d is odd",
                       (int)infer->in_dims[0].v[0]);
    return CR_OK;
}

static cr_status copy_kernel(const cr_kernel *kernel)
{
    memcpy(kernel->out.data, kernel->in[0].data,
           (size_t)kernel->out.numel * cr_dtype_size(kernel->out.dtype));
    return CR_OK;
}

static void failing_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)g, (void)down;
    cr_fail(cr_ctx_of(out), CR_ERR_UNSUPPORTED, "not yet");
}

static cr_tensor *failing_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    (void)inputs, (void)n, (void)attrs;
    cr_fail(ctx, CR_ERR_ARGUMENT, "out of order");
    return NULL;
}

/* The place of this line, as text. */
static const char *place(char *text, size_t capacity, int line)
{
    snprintf(text, capacity, "misuse.c:%d", line);
    return text;
}

static void test_places(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    static const cr_op even = { .name = "even",
                                .kind = CR_OP_OPAQUE,
                                .min_inputs = 1,
                                .max_inputs = 1,
                                .inputs = "x",
                                .shape = even_shape,
                                .vjp = failing_vjp,
                                .kernel = copy_kernel };
    static const cr_op broken = { .name = "broken",
                                  .kind = CR_OP_COMPOSITE,
                                  .min_inputs = 1,
                                  .max_inputs = 1,
                                  .inputs = "x",
                                  .expand = failing_expand };
    char here[64];
    cr_tensor *odd = cr_ones(ctx, CR_DIMS(3)), *none = cr_scalar(ctx, 1);
    cr_tensor *w = cr_requires_grad(cr_ones(ctx, CR_DIMS(2))), *out = NULL;
    (void)cr_apply(&even, &odd, 1, NULL), place(here, sizeof here, __LINE__);
    ok(strstr(cr_message(ctx), "even: 3 is odd (") && strstr(cr_message(ctx), here),
       "a shape rule's error has name and place: %s", cr_message(ctx));
    cr_clear(ctx);
    (void)cr_call(ctx, &even, &odd, 1, "", &out, 1), place(here, sizeof here, __LINE__);
    ok(strstr(cr_message(ctx), "even: 3 is odd (") && strstr(cr_message(ctx), here),
       "by text too: %s", cr_message(ctx));
    cr_clear(ctx);
    FAILS(cr_apply(&even, &none, 1, NULL), SHAPE, "even: the inputs do not fit (");
    (void)cr_apply(&broken, &w, 1, NULL), place(here, sizeof here, __LINE__);
    ok(strstr(cr_message(ctx), "broken: out of order (") && strstr(cr_message(ctx), here),
       "so has an expansion's: %s", cr_message(ctx));
    cr_clear(ctx);
    out = cr_sum(cr_apply(&even, &w, 1, NULL)), place(here, sizeof here, __LINE__);
    cr_backward(out);
    ok(strstr(cr_message(ctx), "even: not yet (") && strstr(cr_message(ctx), here),
       "and a vjp's: %s", cr_message(ctx));
    cr_clear(ctx);
    is_text(cr_message(ctx), "", "no error");
}

static bool fill(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)in, (void)n, (void)user;
    memset(out->data, 0, (size_t)out->numel * cr_dtype_size(out->dtype));
    return true;
}

static void test_custom(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const cr_custom_def def = { "mask", fill, NULL, NULL };
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2)), *two[] = { x, NULL }, *gone;
    cr_ctx *other = cr_open(NULL);
    {
        CR_SCOPE(ctx);
        gone = cr_ones(ctx, CR_DIMS(2));
    }
    FAILS(cr_custom(&def, &x, 1, CR_F32, CR_DIMS(-1)), SHAPE,
          "mask: a negative size in [-1]");
    FAILS(cr_custom(&def, &x, 1, CR_F32, CR_DIMS(-1)), SHAPE, "misuse.c:");
    FAILS(cr_custom(&def, &x, 1, (cr_dtype)77, CR_DIMS(1)), DTYPE,
          "mask: 77 is no dtype (");
    FAILS(cr_custom(&def, &x, 1, (cr_dtype)-1, CR_DIMS(1)), DTYPE,
          "mask: -1 is no dtype (");
    FAILS(cr_custom(&def, two, 2, CR_F32, CR_DIMS(1)), NULL,
          "mask: input 1: the tensor is N");
    two[1] = gone;
    FAILS(cr_custom(&def, two, 2, CR_F32, CR_DIMS(1)), SCOPE,
          "mask: input 1: the tensor was");
    two[1] = cr_ones(other, CR_DIMS(2));
    FAILS(cr_custom(&def, two, 2, CR_F32, CR_DIMS(1)), SCOPE,
          "belongs to another context");
    FAILS(cr_custom(&def, &x, 1, CR_F32, cr_dims_of(NULL, INT_MIN)), SHAPE, "mask: ");
    is_text(cr_message(ctx), "", "no error");
    cr_close(other);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_leaves(ctx);
    test_environment();
    test_flags(ctx);
    test_places(ctx);
    test_custom(ctx);
    cr_close(ctx);
    return done_testing();
}
