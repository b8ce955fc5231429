/* Every public function that takes a tensor or a list, with what is no argument: NULL, a
 * released tensor, one of another context, an error pending, lists that are not there or
 * not as long as they say. The header says what happens; nothing ever crashes. */
#include "engine.h"
#include <limits.h>
#include <stdlib.h>

typedef enum kind {
    TENSOR, /* returns a tensor: NULL */
    STATUS, /* a cr_status: the error */
    NUMBER, /* a double: NaN */
    ZERO,   /* 0, NULL or false */
    MINUS   /* -1 */
} kind;

typedef struct setting {
    cr_ctx *ctx;
    cr_tensor *x, *good; /* what is tried, and a tensor that is all right */
    cr_tensor *index, *truth;
} setting;

static cr_tensor *identity(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return in[0];
}

static bool fill(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)in, (void)n, (void)user;
    memset(out->data, 0, (size_t)out->numel * cr_dtype_size(out->dtype));
    return true;
}

/* ALONE: x is the only way to a context. OTHER: with another tensor. */
#define CALLS(ALONE, OTHER)                                                 \
    ALONE(TENSOR, cr_neg(x))                                                \
    ALONE(TENSOR, cr_leaky_relu(x, 0.1))                                    \
    ALONE(TENSOR, cr_softplus(x))                                           \
    ALONE(TENSOR, cr_gelu(x))                                               \
    ALONE(TENSOR, cr_logical_not(x))                                        \
    ALONE(TENSOR, cr_add(x, 1))                                             \
    ALONE(TENSOR, cr_pow(2, x))                                             \
    ALONE(TENSOR, cr_pow(x, 2))                                             \
    ALONE(TENSOR, cr_eq(x, 1))                                              \
    ALONE(TENSOR, cr_logical_or(x, 1))                                      \
    ALONE(TENSOR, cr_where(x, 1, 2))                                        \
    ALONE(TENSOR, cr_clamp(x, 0, 1))                                        \
    ALONE(TENSOR, cr_cast(x, CR_F64))                                       \
    ALONE(TENSOR, cr_sum(x))                                                \
    ALONE(TENSOR, cr_mean(x, 0))                                            \
    ALONE(TENSOR, cr_amax(x))                                               \
    ALONE(TENSOR, cr_logsumexp(x))                                          \
    ALONE(TENSOR, cr_argmax(x))                                             \
    ALONE(TENSOR, cr_var(x))                                                \
    ALONE(TENSOR, cr_std(x))                                                \
    ALONE(TENSOR, cr_prod(x))                                               \
    ALONE(TENSOR, cr_argmin(x))                                             \
    ALONE(TENSOR, cr_any(x))                                                \
    ALONE(TENSOR, cr_all(x))                                                \
    ALONE(TENSOR, cr_count_nonzero(x))                                      \
    ALONE(TENSOR, cr_nansum(x))                                             \
    ALONE(TENSOR, cr_nanmean(x))                                            \
    ALONE(TENSOR, cr_max(x))                                                \
    ALONE(TENSOR, cr_min(x))                                                \
    ALONE(TENSOR, cr_median(x))                                             \
    ALONE(TENSOR, cr_max_dim(x, 0))                                         \
    ALONE(TENSOR, cr_min_dim(x, 0))                                         \
    ALONE(TENSOR, cr_kthvalue(x, 1, 0))                                     \
    ALONE(TENSOR, cr_median_dim(x, 0))                                      \
    ALONE(TENSOR, cr_cumsum(x, 0))                                          \
    ALONE(TENSOR, cr_cumprod(x, 0))                                         \
    ALONE(TENSOR, cr_cummax(x, 0))                                          \
    ALONE(TENSOR, cr_cummin(x, 0))                                          \
    ALONE(TENSOR, cr_logcumsumexp(x, 0))                                    \
    ALONE(TENSOR, cr_vector_norm(x))                                        \
    ALONE(TENSOR, cr_normalize(x, 0))                                       \
    ALONE(TENSOR, cr_cosine_similarity(x, x, 0))                            \
    ALONE(TENSOR, cr_pairwise_distance(x, x))                               \
    ALONE(TENSOR, cr_cdist(x, x))                                           \
    ALONE(TENSOR, cr_reshape(x, CR_DIMS(-1)))                               \
    ALONE(TENSOR, cr_permute(x, CR_DIMS(0)))                                \
    ALONE(TENSOR, cr_transpose(x, 0, 0))                                    \
    ALONE(TENSOR, cr_expand(x, CR_DIMS(2, 2)))                              \
    ALONE(TENSOR, cr_flip(x, CR_DIMS(0)))                                   \
    ALONE(TENSOR, cr_squeeze(x))                                            \
    ALONE(TENSOR, cr_unsqueeze(x, 0))                                       \
    ALONE(TENSOR, cr_slice(x, 0, 0, 1))                                     \
    ALONE(TENSOR, cr_select(x, 0, 0))                                       \
    ALONE(TENSOR, cr_cat(&x, 1, 0))                                         \
    ALONE(TENSOR, cr_stack(&x, 1, 0))                                       \
    ALONE(MINUS, cr_split(x, 1, 0, parts, 4))                               \
    ALONE(MINUS, cr_chunk(x, 2, 0, parts, 4))                               \
    ALONE(TENSOR, cr_softmax(x, 0))                                         \
    ALONE(TENSOR, cr_log_softmax(x, 0))                                     \
    ALONE(TENSOR, cr_one_hot(x, 3))                                         \
    ALONE(TENSOR, cr_bernoulli(x))                                          \
    ALONE(TENSOR, cr_dropout(x, 0.5))                                       \
    ALONE(TENSOR, cr_layer_norm(x, CR_DIMS(2), NULL, NULL))                 \
    ALONE(TENSOR, cr_batch_norm(x, NULL, NULL, NULL, NULL, true, 0.1))      \
    ALONE(TENSOR, cr_full_like(x, 1))                                       \
    ALONE(TENSOR, cr_rand_like(x))                                          \
    ALONE(TENSOR, cr_randn_like(x))                                         \
    ALONE(TENSOR, cr_detach(x))                                             \
    ALONE(TENSOR, cr_watch(x))                                              \
    ALONE(TENSOR, cr_keep(x))                                               \
    ALONE(TENSOR, cr_named(x, "x"))                                         \
    ALONE(TENSOR, cr_requires_grad(x))                                      \
    ALONE(TENSOR, cr_requires_grad(x, false))                               \
    ALONE(TENSOR, cr_grad(x))                                               \
    ALONE(TENSOR, cr_apply(cr_op_find("exp"), &x, 1, NULL))                 \
    ALONE(TENSOR, cr_custom(&custom, &x, 1, CR_F32, CR_DIMS(2)))            \
    ALONE(MINUS, cr_call(NULL, cr_op_find("exp"), &x, 1, NULL, parts, 4))   \
    ALONE(NUMBER, cr_item(x))                                               \
    ALONE(ZERO, cr_item_i64(x))                                             \
    ALONE(ZERO, cr_data(x) != NULL)                                         \
    ALONE(STATUS, cr_read(x, bytes, sizeof bytes))                          \
    ALONE(STATUS, cr_eval(x))                                               \
    ALONE(STATUS, cr_backward(x))                                           \
    ALONE(STATUS, cr_zero_grad(x))                                          \
    ALONE(STATUS, cr_set_grad(x, x))                                        \
    ALONE(STATUS, cr_assign(x, x))                                          \
    ALONE(STATUS, cr_print(x, stdout))                                      \
    ALONE(STATUS, cr_gradients(&x, 1, &x, 1, parts))                        \
    ALONE(STATUS, cr_gradcheck(identity, NULL, &x, 1))                      \
    ALONE(STATUS, cr_init_default(x))                                       \
    ALONE(STATUS, cr_init_xavier_uniform(x, 1))                             \
    ALONE(STATUS, cr_init_kaiming_normal(x, 1))                             \
    ALONE(STATUS, cr_init_orthogonal(x, 1))                                 \
    ALONE(STATUS, cr_init_constant(x, 1))                                   \
    ALONE(STATUS, cr_init_normal(x, 0, 1))                                  \
    ALONE(STATUS, cr_init_uniform(x, 0, 1))                                 \
    OTHER(TENSOR, cr_add(s->good, x))                                       \
    OTHER(TENSOR, cr_div(x, s->good))                                       \
    OTHER(TENSOR, cr_maximum(s->good, x))                                   \
    OTHER(TENSOR, cr_lt(s->good, x))                                        \
    OTHER(TENSOR, cr_logical_and(s->good, x))                               \
    OTHER(TENSOR, cr_where(s->truth, s->good, x))                           \
    OTHER(TENSOR, cr_where(s->truth, x, 1))                                 \
    OTHER(TENSOR, cr_matmul(s->good, x))                                    \
    OTHER(TENSOR, cr_linear(x, s->good, NULL))                              \
    OTHER(TENSOR, cr_cat(two, 2, 0))                                        \
    OTHER(TENSOR, cr_stack(two, 2, 0))                                      \
    OTHER(TENSOR, cr_slice_scatter(s->good, x, 0, 0, 1))                    \
    OTHER(TENSOR, cr_gather(x, 0, s->index))                                \
    OTHER(TENSOR, cr_scatter_add(s->good, 0, s->index, x))                  \
    OTHER(TENSOR, cr_index_select(x, 0, s->index))                          \
    OTHER(TENSOR, cr_index_add(s->good, 0, s->index, x))                    \
    OTHER(TENSOR, cr_embedding(x, s->index))                                \
    OTHER(TENSOR, cr_mse_loss(s->good, x))                                  \
    OTHER(TENSOR, cr_cross_entropy(x, s->index))                            \
    OTHER(TENSOR, cr_nll_loss(s->good, x))                                  \
    OTHER(TENSOR, cr_binary_cross_entropy_with_logits(s->good, x))          \
    OTHER(TENSOR, cr_apply(cr_op_find("add"), two, 2, NULL))                \
    OTHER(TENSOR, cr_custom(&custom, two, 2, CR_F32, CR_DIMS(2)))           \
    OTHER(MINUS, cr_call(s->ctx, cr_op_find("exp"), &x, 1, NULL, parts, 4)) \
    OTHER(STATUS, cr_eval(s->good, x))                                      \
    OTHER(STATUS, cr_set_grad(s->good, x))                                  \
    OTHER(STATUS, cr_assign(s->good, x))                                    \
    OTHER(STATUS, cr_gradients(&s->good, 1, &x, 1, parts))                  \
    OTHER(STATUS, cr_gradients(two, 2, &s->good, 1, parts))

static const struct call {
    kind kind;
    bool alone;
    const char *text;
} calls[] = {
#define ALONE(KIND, EXPRESSION) { KIND, true, #EXPRESSION },
#define OTHER(KIND, EXPRESSION) { KIND, false, #EXPRESSION },
    CALLS(ALONE, OTHER)
#undef ALONE
#undef OTHER
};
enum { CALLS_N = sizeof calls / sizeof *calls };

#define RUN_TENSOR(e) refused = !(e)
#define RUN_STATUS(e) refused = (*status = (e)) != CR_OK
#define RUN_NUMBER(e) refused = isnan(e)
#define RUN_ZERO(e)   refused = !(e)
#define RUN_MINUS(e)  refused = (e) == -1

/* Makes the i-th call with x; whether it gave what says that it failed. */
static bool is_refused(const setting *s, int i, cr_status *status)
{
    static const cr_custom_def custom = { "custom", fill, NULL, NULL };
    cr_tensor *x = s->x, *two[] = { s->good, x }, *parts[4];
    unsigned char bytes[64];
    int n = 0;
    bool refused = false;
#define CASE(KIND, EXPRESSION) \
    if (n++ == i)              \
        RUN_##KIND(EXPRESSION);
    CALLS(CASE, CASE)
#undef CASE
    return refused;
}

static setting make_setting(cr_ctx *ctx)
{
    static const float v[] = { 1, 2 };
    static const int64_t at[] = { 0, 1 };
    setting s = { .ctx = ctx };
    s.good = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(2), v));
    s.index = cr_from(ctx, CR_I64, CR_DIMS(2), at);
    s.truth = cr_gt(s.good, 0);
    return s;
}

/* Each call with such an x in a context of its own. want: the error in it, CR_OK if there
 * is no way to it. */
static void try_all(const char *what, void (*spoil)(setting *s), cr_status want)
{
    for (int i = 0; i < CALLS_N; i++) {
        cr_ctx *ctx = cr_open(NULL), *other = cr_open(NULL);
        setting s = make_setting(ctx);
        cr_status status = want,
                  found = calls[i].alone && want == CR_ERR_NULL ? CR_OK : want;
        s.x = want == CR_OK ? cr_ones(other, CR_DIMS(2)) : s.good;
        if (spoil)
            spoil(&s);
        if (want == CR_OK)
            found = CR_ERR_SCOPE;
        bool good = want == CR_OK && calls[i].alone;
        if (!good) {
            good = is_refused(&s, i, &status) &&
                   (calls[i].kind != STATUS || status == (want ? want : found));
            /* Of two contexts the first tensor's has the error. */
            cr_ctx *at = cr_error(other) ? other : ctx;
            good = good && cr_error(at) == found && (at == ctx || !cr_error(ctx));
            if (!ok(good, "%s: %s", what, calls[i].text))
                diag("  status %s, error %s: %s", cr_status_name(status),
                     cr_status_name(cr_error(at)), cr_message(at));
        }
        cr_clear(ctx);
        if (cr_item(cr_sum(s.good)) != 3 || cr_grad(s.good))
            ok(false, "%s: something has changed: %s", calls[i].text, cr_message(ctx));
        cr_close(ctx);
        cr_close(other);
    }
}

static void to_null(setting *s)
{
    s->x = NULL;
}

static void to_released(setting *s)
{
    CR_SCOPE(s->ctx);
    s->x = cr_ones(s->ctx, CR_DIMS(2));
}

static void to_pending(setting *s)
{
    cr_fail(s->ctx, CR_ERR_IO, "before");
}

/* ---- what is known without computing ---- */

static void check_nothing_known(cr_ctx *ctx, cr_tensor *x, const char *what)
{
    char text[64] = "untouched";
    ok(cr_ndim(x) == 0 && cr_size(x, 0) == -1 && cr_numel(x) == 0 && cr_shape(x).n == 0 &&
           cr_dtype_of(x) == CR_DTYPE_DEFAULT,
       "%s has no shape and no type", what);
    ok(!cr_needs_grad(x) && !cr_is_leaf(x) && !cr_op_of(x) && !cr_op_within(x) &&
           !strcmp(cr_name(x), "") && !strcmp(cr_site_of(x), ""),
       "and nothing else");
    ok(!cr_input(x, 0) && cr_operand(x, 0).kind == CR_ARG_NONE &&
           cr_input_count(x) == 0 && !cr_attrs(x) && !cr_input_needs_grad(x, 0),
       "nor inputs");
    ok(cr_explain_no_grad(x, text, sizeof text) > 0 && strstr(text, "it "),
       "which is said");
    /* In check mode every use of a released tensor is one. */
    const char *check = getenv("CHAINRULE_CHECK");
    bool checks = x && check && strcmp(check, "1") == 0;
    is_int(cr_error(ctx), checks ? CR_ERR_SCOPE : CR_OK, "%s", cr_message(ctx));
    cr_clear(ctx);
}

static void test_known(void)
{
    cr_ctx *ctx = cr_open(NULL);
    setting s = { .ctx = ctx };
    check_nothing_known(ctx, NULL, "NULL");
    to_released(&s);
    check_nothing_known(ctx, s.x, "a released tensor");
    cr_release(NULL);
    ok(!cr_retain(NULL), "retain and release of NULL");
    ok(cr_error(NULL) == CR_ERR_NULL && *cr_message(NULL), "no context");
    cr_clear(NULL);
    cr_close(NULL);
    cr_trim(NULL);
    cr_seed(NULL, 1);
    cr_no_grad_push(NULL);
    cr_no_grad_pop(NULL);
    ok(cr_scope_push(NULL) == CR_ERR_NULL && cr_scope_pop(NULL) == CR_ERR_NULL &&
           !cr_memory_used(NULL) && !cr_memory_peak(NULL) && !cr_grad_enabled(NULL),
       "and what is asked of it");
    ok(!cr_zeros(NULL, CR_DIMS(2)) && !cr_scalar(NULL, 1) && !cr_arange(NULL, 0, 2, 1) &&
           !cr_eye(NULL, 2) && !cr_rand(NULL, CR_DIMS(2)) && !cr_linspace(NULL, 0, 1, 3),
       "makes no tensors");
    is_int(cr_fail(NULL, CR_ERR_IO, "nowhere"), CR_ERR_IO, "nor keeps an error");
    cr_close(ctx);
}

/* ---- lists ---- */

#define REFUSES(call, text) ((void)(call), ok(failed_with(ctx, CR_OK, text), "%s", #call))

static void test_lists(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_requires_grad(cr_ones(ctx, CR_DIMS(2))), *y = cr_sum(x), *g = NULL;
    const cr_op *exp_op = cr_op_find("exp"), *cat_op = cr_op_find("cat");
    const cr_custom_def custom = { "custom", fill, NULL, NULL };
    is_int(cr_gradients(NULL, 1, NULL, 1, &g), CR_ERR_NULL, "gradients of no lists");
    REFUSES(cr_gradients(NULL, 1, &x, 1, &g), "gradients: ");
    REFUSES(cr_gradients(&y, 1, NULL, 1, &g), "gradients: ");
    REFUSES(cr_gradients(&y, 1, &x, 1, NULL), "gradients: ");
    REFUSES(cr_gradients(&y, INT_MIN, &x, 1, &g), "gradients: ");
    REFUSES(cr_gradients(&y, 1, &x, INT_MIN, &g), "gradients: ");
    is_int(cr_gradients(&y, -1, &x, -1, NULL), CR_ERR_NULL, "less than no tensors");
    ok(cr_eval_at(NULL, 3, NULL) == CR_ERR_NULL && cr_eval_at(&x, -1, NULL) != CR_OK,
       "eval of no list, and of less than nothing");
    cr_clear(ctx);
    ok(!cr_cat(NULL, 2, 0) && !cr_stack(NULL, 2, 0) && !cr_cat(&x, -1, 0) &&
           !cr_stack(&x, INT_MIN, 0),
       "nothing joined");
    cr_clear(ctx);
    REFUSES(cr_call(ctx, exp_op, NULL, 1, NULL, &g, 1), "the inputs are NULL");
    REFUSES(cr_call(ctx, exp_op, &x, INT_MIN, NULL, &g, 1), "exp: ");
    REFUSES(cr_call(ctx, cat_op, &x, -1, NULL, &g, 1), "cat: ");
    REFUSES(cr_call(ctx, NULL, &x, 1, NULL, &g, 1), "operation is NULL");
    is_int(cr_call(ctx, exp_op, &x, 1, NULL, NULL, 5), 1, "no room for the output");
    ok(!cr_apply(exp_op, NULL, 1, NULL) && !cr_apply(NULL, NULL, 0, NULL) &&
           !cr_custom(&custom, NULL, 2, CR_F32, CR_DIMS(2)) &&
           !cr_custom(&custom, &x, -1, CR_F32, CR_DIMS(2)),
       "nothing applied");
    cr_clear(ctx);
    REFUSES(cr_from(ctx, CR_F32, CR_DIMS(2), NULL), "from: the data is NULL");
    REFUSES(cr_borrow(ctx, CR_F32, CR_DIMS(2), NULL, NULL, NULL),
            "borrow: the data is NULL");
    float v[2];
    REFUSES(cr_read(x, (float *)NULL, sizeof v), "read: the destination is NULL");
    ok(cr_format(x, NULL, 100) > 0 && cr_format(x, NULL, 0) > 0, "format to nowhere");
    ok(cr_explain_no_grad(y, NULL, 100) > 0, "explain to nowhere");
    cr_print(x, NULL);
    ok(failed_with(ctx, CR_OK, "print: the file is NULL"), "print to nowhere");
    cr_fail(ctx, CR_ERR_IO, NULL);
    ok(cr_error(ctx) == CR_ERR_IO && *cr_message(ctx), "an error without a text");
    cr_clear(ctx);
    ok(!strcmp(cr_name(cr_named(x, NULL)), ""), "a name that is NULL is none");
    ok(!cr_op_find(NULL) && !cr_op_list(-1) && !cr_op_list(INT_MAX), "no operation");
    ok(isnan(cr_init_gain(NULL, 0)), "no activation");
    ok(!strcmp(cr_dtype_name((cr_dtype)-1), cr_dtype_name((cr_dtype)99)) &&
           !cr_dtype_size((cr_dtype)-1) && *cr_status_name((cr_status)-5),
       "no dtype, no status");
    cr_kernel_parallel(NULL, 3, NULL, NULL);
    cr_close(ctx);
}

/* Dims made by hand, of which the number is none. */
static void test_dims(void)
{
    static const int counts[] = { INT_MIN, INT_MIN + 1, -1, 9, 100, INT_MAX };
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2, 3)), *parts[4];
    const cr_custom_def custom = { "custom", fill, NULL, NULL };
    const float v[6] = { 0 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const int beyond = counts[i] == -1 ? 4 : counts[i]; /* -1 is the last */
        const cr_dims d = { .v = { 1 }, .n = counts[i], .given = true };
        const cr_dims listed =
            cr_dims_of((const int64_t[9]){ 1 }, counts[i] > 8 ? 9 : -1);
        REFUSES(cr_from(ctx, CR_F32, d, v), "from: ");
        REFUSES(cr_from(ctx, CR_F32, listed, v), "from: ");
        REFUSES(cr_from(ctx, CR_F32, d, NULL), "from: ");
        REFUSES(cr_borrow(ctx, CR_F32, d, v, NULL, NULL), "borrow: ");
        REFUSES(cr_zeros(ctx, d), "full: ");
        REFUSES(cr_full(ctx, d, 2), "full: ");
        REFUSES(cr_rand(ctx, d), "rand: ");
        REFUSES(cr_randn(ctx, d), "randn: ");
        REFUSES(cr_sum(x, d), "sum: ");
        REFUSES(cr_mean(x, d), "mean: ");
        REFUSES(cr_amax(x, d), "amax: ");
        REFUSES(cr_logsumexp(x, d), "logsumexp: ");
        REFUSES(cr_var(x, d), "var: ");
        REFUSES(cr_reshape(x, d), "reshape: ");
        REFUSES(cr_permute(x, d), "permute: ");
        REFUSES(cr_expand(x, d), "expand: ");
        REFUSES(cr_flip(x, d), "flip: ");
        REFUSES(cr_squeeze(x, d), "squeeze: ");
        REFUSES(cr_split(x, d, 0, parts, 4), "split: ");
        REFUSES(cr_layer_norm(x, d, NULL, NULL), "layer_norm: ");
        REFUSES(cr_custom(&custom, &x, 1, CR_F32, d), "custom: ");
        REFUSES(cr_softmax(x, beyond), "softmax: ");
        REFUSES(cr_select(x, beyond, 0), "select: ");
        REFUSES(cr_slice(x, beyond, 0, 1), "slice: ");
        REFUSES(cr_unsqueeze(x, beyond), "unsqueeze: ");
        REFUSES(cr_argmax(x, beyond), "argmax: ");
        REFUSES(cr_transpose(x, 0, beyond), "transpose: ");
        ok(cr_size(x, beyond) == -1, "a size that is none");
    }
    cr_close(ctx);
}

int main(void)
{
    try_all("NULL", to_null, CR_ERR_NULL);
    try_all("released", to_released, CR_ERR_SCOPE);
    try_all("an error is pending", to_pending, CR_ERR_IO);
    try_all("of another context", NULL, CR_OK);
    test_known();
    test_lists();
    test_dims();
    return done_testing();
}
