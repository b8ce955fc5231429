/* Elementary and special functions of one input and of two that are computed in f64, whatever
 * their type. Formulas: chainrule/maps.h. */
#include "../base/compiler.h"
#include "ops.h"

/* ---- gradients: g is the cotangent ---- */

static void exp2_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(cr_mul(g, 0.6931471805599453), out); /* g y ln 2 */
}

static void log10_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_div(g, cr_mul(cr__input(out, 0), 2.302585092994046)); /* g / (x ln 10) */
}

/* ---- the entries ---- */

#define S(INPUTS)    \
    {                \
        INPUTS, NULL \
    }
#define ENTRY(NAME, READS, KINKS, DOC, ...)                 \
    CR__OP(NAME) = {                                        \
        .name = #NAME,                                      \
        .doc = DOC,                                         \
        .kind = CR_OP_MAP,                                  \
        .min_inputs = 1,                                    \
        .max_inputs = 1,                                    \
        .inputs = "x",                                      \
        .vjp = NAME##_vjp,                                  \
        .reads = READS,                                     \
        .internal = CR__MAP_OF(NAME, .dtypes = CR__FLOATS), \
        .samples = CR__SAMPLES(__VA_ARGS__),                \
        .kinks = KINKS,                                     \
    };
#define FUNCTION(NAME, ...)                                   \
    ENTRY(NAME, __VA_ARGS__)                                  \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, const char *site) \
    {                                                         \
        return cr__record_1(&cr__op_##NAME, x, NULL, site);   \
    }
#define X CR_READS_INPUT(0)
#define Y CR_READS_OUTPUT

/* clang-format off */
FUNCTION(exp2, Y, NULL, "2^x", S("f[2,3]"), S("f[2]=-inf,3 -> 0,5.545177444479562 "
         "-> 0,3.8436241113456111"))
FUNCTION(log10, X, NULL, "the logarithm to base 10",
         S("f[2,3]{0.1,3}"), S("f[2]=0,inf -> inf,0 -> -inf,0"))
/* clang-format on */
