/* What must hold of values that only the run knows: an operation that gives its input, or the
 * error. Maps, which cannot fail, have it in front of them. */
#include "opaque.h"
#include "ops.h"

typedef struct require_attrs {
    cr__rule_of_values rule;
} require_attrs;

static const char *const required[] = {
    [CR__DIVISOR] = "an integer is divided by 0, at %s of the divisor",
    [CR__PROBABILITY_X] = "x at %s is no probability: not in 0 to 1",
    [CR__PROBABILITY_TARGET] = "the target at %s is no probability: not in 0 to 1",
    [CR__VARIANCE] = "var at %s is negative",
};

/* Whether all of n elements are as required; if not, *at is the first that is not. */
#define ALL_HOLD(T, ...)                                                       \
    static bool T##_hold(cr__rule_of_values rule, const void *data, int64_t n, \
                         int64_t *at)                                          \
    {                                                                          \
        const T *x = data;                                                     \
        (void)rule;                                                            \
        for (int64_t i = 0; i < n; i++)                                        \
            if (!(__VA_ARGS__))                                                \
                return *at = i, false;                                         \
        return true;                                                           \
    }
#define REAL_HOLDS (rule == CR__VARIANCE ? !(x[i] < 0) : x[i] >= 0 && x[i] <= 1)
ALL_HOLD(float, REAL_HOLDS)
ALL_HOLD(double, REAL_HOLDS)
ALL_HOLD(int64_t, x[i] != 0)
ALL_HOLD(int32_t, x[i] != 0)
ALL_HOLD(uint8_t, x[i] != 0)

static cr_status check_values(const cr_kernel *kernel)
{
    cr__rule_of_values rule = ((const require_attrs *)kernel->attrs)->rule;
    const cr_array *x = &kernel->in[0];
    char place[160];
    bool (*hold)(cr__rule_of_values, const void *, int64_t, int64_t *) =
        x->dtype == CR_F32   ? float_hold
        : x->dtype == CR_F64 ? double_hold
        : x->dtype == CR_I64 ? int64_t_hold
        : x->dtype == CR_I32 ? int32_t_hold
                             : uint8_t_hold;
    for (int64_t at = 0, n, i; at < x->numel; at += n) {
        n = x->numel - at < CR_MAX_FETCH ? x->numel - at : CR_MAX_FETCH;
        if (hold(rule, cr_array_fetch(x, at, n, 0), n, &i))
            continue;
        snprintf(kernel->message, kernel->capacity, required[rule],
                 cr__place_text(x, at + i, place, sizeof place));
        return CR_ERR_VALUE;
    }
    return CR_OK;
}

static cr_status require_kernel(const cr_kernel *kernel)
{
    cr__copy_input(kernel, 0);
    return CR_OK;
}

static cr_status require_shape(cr_infer *infer)
{
    cr__rule_of_values rule = ((const require_attrs *)infer->attrs)->rule;
    bool real = cr__is_float(infer->in_dtype[0]);
    if (rule == CR__DIVISOR ? cr__is_int(infer->in_dtype[0]) : real)
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                       "%s are wanted, not %s", real ? "integers" : "floats",
                       cr_dtype_name(infer->in_dtype[0]));
}

static void require_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    down[0] = g;
}

CR__OP(require) = {
    .name = "require",
    .doc = "x, of which the rule holds: no zeros, or probabilities, or nothing negative",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(require_attrs, rule, WORD, .initial = "divisor",
                                .words = "divisor,probability,target,variance")),
    .attrs_size = sizeof(require_attrs),
    .shape = require_shape,
    .vjp = require_vjp,
    .kernel = require_kernel,
    .fetched = CR_READS_INPUTS,
    .check = check_values,
    .checks = CR_READS_INPUT(0),
    .samples = CR__SAMPLES({ "i[4]=1,-2,3,4", NULL }, { "i[2,3]{1,9}", NULL },
                           { "f[2,3]{0,1}", "rule=probability" },
                           { "f[4]=0,1,0.5,1 -> 1", "rule=target" },
                           { "f[2,3]{0,3}", "rule=variance" },
                           { "f[4]=0,inf,1,2 -> 1", "rule=variance" }),
};

cr_tensor *cr__require(cr_tensor *x, cr__rule_of_values rule)
{
    return cr__record_1(&cr__op_require, x, &(require_attrs){ rule }, CR_HERE);
}
