/* Operations of two operands, tensors or numbers, element by element; where and clamp.
 * Formulas: chainrule/maps.h. Broadcasting has been recorded before: operands have
 * equal shapes. */
#include "../base/compiler.h"
#include "ops.h"

#define X   CR_READS_INPUT(0)
#define Y   CR_READS_INPUT(1)
#define OUT CR_READS_OUTPUT

/* The macros take tensors and C numbers; these take operands as they were given. Behind a sum g is
 * ones, and y is what it would be multiplied by: g has served, and nobody waits for it. */
static cr_tensor *times(cr_tensor *g, cr_arg y)
{
    if (y.kind == CR_ARG_TENSOR && g->ctx->no_grad && cr__is_filled(g, 1)) {
        g->flags |= CR__CONSUMED;
        return cr_detach_at(y.v.tensor, NULL);
    }
    return cr_mul_at(cr_arg_tensor(g), y, NULL);
}

static bool is_number(cr_arg x)
{
    return x.kind != CR_ARG_TENSOR;
}

/* A number as it was used with a float tensor, rounded to its type: integers too. */
static cr_arg as_used(cr_arg x)
{
    return is_number(x) ? cr_arg_real(cr__arg_double(x)) : x;
}

/* ---- operands of different types ---- */

/* The type that operands of both have. Of two different floats it is the first; the other
 * is then refused, since only what is no float is cast. */
static cr_dtype wider(cr_dtype a, cr_dtype b)
{
    static const int rank[CR_DTYPES] = {
        [CR_BOOL] = 1, [CR_U8] = 2,  [CR_I32] = 3,  [CR_I64] = 4,
        [CR_F32] = 5,  [CR_F64] = 5, [CR_BF16] = 5, [CR_F16] = 5
    };
    return rank[b] > rank[a] ? b : a;
}

static bool cast_operand(cr_arg *x, cr_dtype dtype)
{
    if (x->v.tensor->dtype != dtype)
        x->v.tensor = cr_cast(x->v.tensor, dtype);
    return x->v.tensor != NULL;
}

static cr_dtype common_of(const cr_arg *x, int n)
{
    cr_dtype dtype = CR_DTYPE_DEFAULT;
    for (int i = 0; i < n; i++)
        if (!is_number(x[i]))
            dtype = wider(dtype, (cr_dtype)x[i].v.tensor->dtype);
    return dtype;
}

static bool promote_to(cr_arg *x, int n, cr_dtype dtype)
{
    bool done = true;
    for (int i = 0; i < n && done; i++)
        if (!is_number(x[i]) && !cr__is_float((cr_dtype)x[i].v.tensor->dtype))
            done = cast_operand(&x[i], dtype);
    return done;
}

static bool prepare_arithmetic(cr_ctx *ctx, const cr_op *op, cr_arg *x, int n)
{
    (void)ctx, (void)op;
    return promote_to(x, n, common_of(x, n));
}

bool cr__prepare_floats(cr_ctx *ctx, const cr_op *op, cr_arg *x, int n)
{
    cr_dtype dtype = common_of(x, n);
    (void)ctx, (void)op;
    return promote_to(x, n, cr__is_float(dtype) ? dtype : CR_F32);
}

/* Where integers are divided into integers a zero is an error: of the call, or of the run. */
static bool prepare_division(cr_ctx *ctx, const cr_op *op, cr_arg *x, int n)
{
    cr_dtype dtype = common_of(x, n);
    if (!promote_to(x, n, dtype) || !cr__is_int(dtype))
        return cr_error(ctx) == CR_OK;
    if (!is_number(x[1])) {
        x[1].v.tensor = cr__require(x[1].v.tensor, CR__DIVISOR);
        return x[1].v.tensor != NULL;
    }
    if (cr__arg_double(x[1]) != 0)
        return true;
    cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "an integer is divided by 0");
    return false;
}

/* ---- arithmetic ---- */

static void add_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    for (int i = 0; i < 2; i++)
        if (cr__wants_grad(out, i))
            down[i] = g;
}

static void sub_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr__wants_grad(out, 0))
        down[0] = g;
    if (cr__wants_grad(out, 1))
        down[1] = cr_neg(g);
}

static void mul_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    for (int i = 0; i < 2; i++)
        if (cr__wants_grad(out, i))
            down[i] = times(g, cr__operand(out, 1 - i));
}

/* g / y and -(g / y) out */
static void div_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *q = cr_div_at(cr_arg_tensor(g), cr__operand(out, 1), NULL);
    if (cr__wants_grad(out, 0))
        down[0] = q;
    if (cr__wants_grad(out, 1))
        down[1] = cr_neg(cr_mul(q, out));
}

/* ---- pow ---- */

/* g y x^(y-1). Where y = 0 and x is 0 or NaN that is 0 times infinity or NaN; there it is 0,
 * chosen before the product, so that the second order is 0 as well. */
static cr_tensor *pow_down_x(cr_tensor *x, cr_arg y, cr_tensor *g)
{
    if (is_number(y)) {
        double exponent = cr__arg_double(y);
        if (exponent == 0)
            return cr_zeros_like(g);
        if (exponent == 1)
            return g;
        return cr_mul(cr_mul(g, exponent), exponent == 2 ? x : cr_pow(x, exponent - 1));
    }
    cr_tensor *other = cr_logical_not(cr_logical_or(cr_lt(x, 0), cr_gt(x, 0)));
    cr_tensor *flat = cr_logical_and(other, cr_eq(y.v.tensor, 0));
    cr_tensor *power = cr_pow(cr_where(flat, 1, x), cr_sub(y.v.tensor, 1));
    return cr_mul(cr_mul(g, cr_where(flat, 0, y.v.tensor)), power);
}

/* g out ln x, and 0 at x = 0. The inner choice keeps the second order finite. */
static cr_tensor *pow_down_y(cr_arg x, cr_tensor *out, cr_tensor *g)
{
    if (is_number(x)) {
        double base = cr__arg_double(x);
        return base == 0 ? cr_zeros_like(g)
                         : cr_mul(cr_mul(g, out), cr__map_of(CR__MAP_log, base));
    }
    cr_tensor *zero = cr_eq(x.v.tensor, 0);
    cr_tensor *ln = cr_log(cr_where(zero, 1, x.v.tensor));
    return cr_where(zero, 0, cr_mul(cr_mul(g, out), ln));
}

static void pow_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr__wants_grad(out, 0))
        down[0] = pow_down_x(cr__input(out, 0), cr__operand(out, 1), g);
    if (cr__wants_grad(out, 1))
        down[1] = pow_down_y(cr__operand(out, 0), out, g);
}

/* ---- hypot ---- */

/* g x / h: at the origin x and h are 0, and the quotient is. */
static void hypot_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *h = cr_where(cr_eq(out, 0), 1, out);
    for (int i = 0; i < 2; i++)
        if (cr__wants_grad(out, i))
            down[i] = cr_mul(g, cr_div_at(cr__operand(out, i), cr_arg_tensor(h), NULL));
}

/* ---- division with a rest ---- */

/* x - q y: what sends down is g, and -g q. */
static void rest_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down, cr_tensor *q)
{
    if (cr__wants_grad(out, 0))
        down[0] = g;
    if (q)
        down[1] = cr_neg(cr_mul(g, q));
}

/* x - out is q y to the last digit, where x / y may round to the next integer. */
static void fmod_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *q = NULL;
    if (cr__wants_grad(out, 1)) {
        q = cr_sub_at(cr__operand(out, 0), cr_arg_tensor(out), NULL);
        q = cr_round(cr_div_at(cr_arg_tensor(q), cr__operand(out, 1), NULL));
    }
    rest_vjp(out, g, down, q);
}

static void remainder_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    rest_vjp(out, g, down,
             cr__wants_grad(out, 1)
                 ? cr_floor_divide_at(cr__operand(out, 0), cr__operand(out, 1), NULL)
                 : NULL);
}

static void floor_divide_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    for (int i = 0; i < 2; i++)
        if (cr__wants_grad(out, i))
            down[i] = cr_zeros_like(g);
}

/* The sign of x, 0 at 0, times that of other. */
static void copysign_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr__wants_grad(out, 0)) {
        cr_tensor *x = cr__input(out, 0);
        cr_tensor *turned = cr_logical_xor(cr_lt(x, 0), cr_lt(out, 0));
        down[0] = cr_where(cr_eq(x, 0), 0, cr_where(turned, cr_neg(g), g));
    }
    if (cr__wants_grad(out, 1))
        down[1] = cr_zeros_like(g);
}

/* ---- maximum and minimum ---- */

/* Half of g where the operands are equal; all of it where the other does not win, so that
 * a NaN passes it to both. */
static void either_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down,
                       cr_tensor *(*loses)(cr_arg, cr_arg, const char *))
{
    cr_arg x = as_used(cr__operand(out, 0)), y = as_used(cr__operand(out, 1));
    cr_tensor *shared = cr_where(cr_eq_at(x, y, NULL), cr_mul(g, 0.5), g);
    if (cr__wants_grad(out, 0))
        down[0] = cr_where(loses(x, y, NULL), 0, shared);
    if (cr__wants_grad(out, 1))
        down[1] = cr_where(loses(y, x, NULL), 0, shared);
}

static void maximum_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    either_vjp(out, g, down, cr_lt_at);
}

static void minimum_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    either_vjp(out, g, down, cr_gt_at);
}

/* ---- at infinity ---- */

static void below_largest_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    sub_vjp(out, g, down);
}

static void zero_times_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr__wants_grad(out, 0))
        down[0] =
            cr__record_2(&cr__op_zero_times, cr_arg_tensor(g), cr__operand(out, 1), NULL);
    if (cr__wants_grad(out, 1))
        down[1] = times(g, cr__operand(out, 0));
}

cr_tensor *cr__below_largest(cr_tensor *x, cr_tensor *largest)
{
    return cr__record_2(&cr__op_below_largest, cr_arg_tensor(x), cr_arg_tensor(largest),
                        NULL);
}

cr_tensor *cr__zero_times(cr_tensor *x, cr_tensor *y)
{
    return cr__record_2(&cr__op_zero_times, cr_arg_tensor(x), cr_arg_tensor(y), NULL);
}

/* ---- truth ---- */

cr_status cr__shape_bool(cr_infer *infer)
{
    infer->dtype = CR_BOOL;
    return CR_OK;
}

/* The largest f64 below 2^63. */
#define BELOW_2_63 9223372036854774784.0

/* A float tensor and an i64 tensor, n, become two f64 tensors in the same order, exactly.
 * d, n rounded and kept below 2^63, is an integer that both types hold, and r = n - d has
 * at most 10 bits: x - d against r. That difference is exact where it is near r
 * (Sterbenz); elsewhere rounding does not change the order. */
static bool compare_exactly(cr_arg *x, cr_arg *n)
{
    cr_tensor *d = cr_minimum(cr_cast(n->v.tensor, CR_F64), BELOW_2_63);
    cr_tensor *r = cr_sub(n->v.tensor, cr_cast(d, CR_I64));
    n->v.tensor = cr_cast(r, CR_F64);
    x->v.tensor = cr_sub(cr_cast(x->v.tensor, CR_F64), d);
    return n->v.tensor && x->v.tensor;
}

/* Whether the float type holds the number as it is. Reals are rounded to it. */
static bool holds(cr_dtype dtype, cr_arg number)
{
    const int digits = dtype == CR_F64    ? 53
                       : dtype == CR_F32  ? 24
                       : dtype == CR_BF16 ? 8
                                          : 11;
    uint64_t size = number.v.u;
    if (number.kind == CR_ARG_INT && number.v.i < 0)
        size = 0 - size;
    return number.kind == CR_ARG_REAL || size == 0 ||
           size >> __builtin_ctzll(size) < (uint64_t)1 << digits;
}

/* In bf16 and f16 numbers are f32, and what is compared with them is not. */
static void round_number(cr_dtype dtype, cr_arg *number)
{
    uint16_t bits;
    if (cr__is_half(dtype) && cr__number_store(*number, dtype, &bits))
        *number = cr_arg_real(cr__half_value(dtype, bits));
}

/* Makes a float tensor and a number, or an integer tensor, comparable as they are. */
static bool prepare_float(cr_ctx *ctx, cr_arg *x, cr_arg *n)
{
    const cr_dtype real = (cr_dtype)x->v.tensor->dtype;
    if (is_number(*n)) {
        if (holds(real, *n)) {
            round_number(real, n);
            return true;
        }
        *n = cr_arg_tensor(cr_scalar_at(ctx, *n, (cr_make_opts){ .dtype = CR_I64 }));
        if (!n->v.tensor)
            return false;
    }
    if (n->v.tensor->dtype == CR_I64)
        return compare_exactly(x, n);
    if (n->v.tensor->dtype == CR_I32 && real != CR_F64)
        return cast_operand(x, CR_F64) && cast_operand(n, CR_F64);
    return cast_operand(n, real);
}

static bool is_float_tensor(cr_arg x)
{
    return !is_number(x) && cr__is_float((cr_dtype)x.v.tensor->dtype);
}

static bool prepare_compare(cr_ctx *ctx, const cr_op *op, cr_arg *x, int n)
{
    const int at = is_float_tensor(x[0]) ? 0 : 1;
    if (is_float_tensor(x[at]) && !is_float_tensor(x[1 - at]))
        return prepare_float(ctx, &x[at], &x[1 - at]);
    return prepare_arithmetic(ctx, op, x, n);
}

/* What is no value of the other's type is told apart from 0 first. */
static bool prepare_logical(cr_ctx *ctx, const cr_op *op, cr_arg *x, int n)
{
    (void)ctx, (void)op, (void)n;
    bool numbers = false;
    for (int i = 0; i < 2; i++)
        if (is_number(x[i])) {
            x[i] = cr_arg_int(cr__arg_double(x[i]) != 0);
            numbers = true;
        }
    if (numbers || x[0].v.tensor->dtype == x[1].v.tensor->dtype)
        return true;
    return cast_operand(&x[0], CR_BOOL) && cast_operand(&x[1], CR_BOOL);
}

/* ---- the entries ---- */

/* READS_X, READS_Y: what the cotangents of x and of y read. */
#define ENTRY(NAME, INPUTS, DTYPES, PREPARE, SHAPE, VJP, READS_X, READS_Y, DOC, ...) \
    CR__OP(NAME) = {                                                                 \
        .name = #NAME,                                                               \
        .doc = DOC,                                                                  \
        .kind = CR_OP_MAP,                                                           \
        .min_inputs = 2,                                                             \
        .max_inputs = 2,                                                             \
        .inputs = INPUTS,                                                            \
        .shape = SHAPE,                                                              \
        .vjp = VJP,                                                                  \
        .reads_for = { READS_X, READS_Y },                                           \
        .internal = CR__MAP_OF(NAME, .dtypes = DTYPES, .prepare = PREPARE),          \
        .samples = CR__SAMPLES(__VA_ARGS__),                                         \
    };

/* With its public function. */
#define BINARY(NAME, ...)                                               \
    ENTRY(NAME, "x,other", __VA_ARGS__)                                 \
    cr_tensor *cr_##NAME##_at(cr_arg x, cr_arg other, const char *site) \
    {                                                                   \
        return cr__record_2(&cr__op_##NAME, x, other, site);            \
    }
#define COMPARE(NAME, DOC)                                                \
    BINARY(NAME, 0, prepare_compare, cr__shape_bool, NULL, 0, 0,          \
           DOC ": a bool; exact, whatever the types", S("f[2,3] f[2,3]"), \
           S("i[4]{0,2} i[4]{0,2}"), S("b[4] b[4]"))
#define LOGICAL(NAME, DOC)                                                       \
    BINARY(NAME, 0, prepare_logical, cr__shape_bool, NULL, 0, 0, DOC ": a bool", \
           S("b[2,3] b[2,3]"), S("i[4]{0,2} f[4]"))
#define S(INPUTS)    \
    {                \
        INPUTS, NULL \
    }
#define ANY_ORDER (CR__NUMBERS | 1u << CR_BOOL)

/* clang-format off */
BINARY(add, CR__NUMBERS, prepare_arithmetic, NULL, add_vjp, 0, 0, "x + y",
       S("f[2,3] f[2,3]"), S("f[2,3] n"))
BINARY(sub, CR__NUMBERS, prepare_arithmetic, NULL, sub_vjp, 0, 0, "x - y",
       S("f[2,3] f[2,3]"), S("n f[2,3]"))
BINARY(mul, ANY_ORDER, prepare_arithmetic, NULL, mul_vjp, Y, X, "x y; of bools: and",
       S("f[2,3] f[2,3]"), S("f[2,3] n"), S("f[3]=2,0,3 f[3]=0,0,1"))
BINARY(div, CR__FLOATS, cr__prepare_floats, NULL, div_vjp, Y, Y | OUT, "x / y; of integers: f32",
       S("f[2,3] f[2,3]{0.5,2}"), S("n f[2,3]{0.5,2}"),
       S("f[2,3] n{0.5,2}"))
ENTRY(pow, "x,exponent", CR__FLOATS, prepare_arithmetic, NULL, pow_vjp, X | Y, X | OUT,
       "x^y; 0^0 is 1, with both gradients 0",
       S("f[2,3]{0.5,2} f[2,3]"), S("f[2,3]{0.5,2} n{0.5,3}"),
       S("n{0.5,2} f[2,3]"),
       S("f[3]=0,0,2 f[3]=0,2,3 -> 0,0,12 0,0,5.545177444479562 "
         "-> 0,2,24.317766166719343 0,0,16.16139027806495"))
BINARY(hypot, CR__FLOATS, prepare_arithmetic, NULL, hypot_vjp, X | OUT, Y | OUT,
       "sqrt(x^2 + y^2), whatever the size of the squares", S("f[2,3]{0.5,2} f[2,3]"),
       S("f[2,3]{0.5,2} n"), S("n{0.5,2} f[2,3]"), S("f[2]=3,0 f[2]=4,-2"))
BINARY(copysign, CR__FLOATS, cr__prepare_floats, NULL, copysign_vjp, X | OUT, 0,
       "|x| with the sign of other; of integers: f32", S("f[2,3]{0.5,2} f[2,3]"), S("f[2,3]{0.5,2} n"),
       S("f[4]=-1,0,2,-2 f[4]=1,-1,-0,-1 -> -1,0,-1,1 0"), S("n f[2,3]{0.5,2}"))
BINARY(fmod, CR__NUMBERS, prepare_division, NULL, fmod_vjp, 0, X | Y | OUT,
       "x - other trunc(x / other), exactly", S("f[2,3]{4.1,5} f[2,3]{1.1,1.3}"), S("f[2,3]{2.1,2.9} n{1,1.01}"),
       S("n{3.1,3.9} f[2,3]{1,1.02}"), S("f[4]=-7,7,-7,6 f[4]=2,-2,-2,3 -> 1 3,3,-3,-2"),
       S("i[5]=7,8,9,0,5 i[5]=2,3,4,5,5"))
BINARY(remainder, CR__NUMBERS, prepare_division, NULL, remainder_vjp, 0, X | Y,
       "x - other floor(x / other)", S("f[2,3]{4.1,5} f[2,3]{1.1,1.3}"), S("f[2,3]{2.1,2.9} n{1,1.01}"),
       S("n{3.1,3.9} f[2,3]{1,1.02}"), S("f[4]=-7,7,-7,6 f[4]=2,-2,-2,3 -> 1 4,4,-3,-2"),
       S("i[5]=7,8,9,0,5 i[5]=2,3,4,5,5"))
BINARY(floor_divide, CR__NUMBERS, prepare_division, NULL, floor_divide_vjp, 0, 0,
       "floor(x / other)", S("f[2,3]{4.1,5} f[2,3]{1.1,1.3}"), S("f[2,3]{2.1,2.9} n{1,1.01}"),
       S("f[5]=-7,7,-7,6,3 f[5]=2,-2,-2,3,0 -> 0 0"), S("i[5]=7,8,9,0,5 i[5]=2,3,4,5,5"))
BINARY(maximum, ANY_ORDER, prepare_arithmetic, NULL, maximum_vjp, X | Y, X | Y,
       "the larger of x and y; NaN wins", S("f[2,3] f[2,3]"), S("f[2,3] n"),
       S("f[3]=1,2,3 f[3]=1,3,2 -> 0.5,0,1 0.5,1,0"))
BINARY(minimum, ANY_ORDER, prepare_arithmetic, NULL, minimum_vjp, X | Y, X | Y,
       "the smaller of x and y; NaN wins", S("f[2,3] f[2,3]"), S("f[2,3] n"),
       S("f[3]=1,2,3 f[3]=1,3,2 -> 0.5,1,0 0.5,0,1"))
ENTRY(below_largest, "x,other", CR__FLOATS, prepare_arithmetic, NULL, below_largest_vjp, 0, 0,
       "x - y, and 0 where both are infinite: y is a largest x", S("f[2,3] f[2,3]"),
       S("f[3]=inf,1,-inf f[3]=inf,inf,2 -> 1 -1"))
ENTRY(zero_times, "x,other", CR__FLOATS, prepare_arithmetic, NULL, zero_times_vjp, Y, X,
       "x y, and 0 where x is 0 and y infinite", S("f[2,3] f[2,3]"),
       S("f[3]=0,2,0 f[3]=3,0,-1"))
COMPARE(eq, "x == y")
COMPARE(ne, "x != y")
COMPARE(lt, "x < y")
COMPARE(le, "x <= y")
COMPARE(gt, "x > y")
COMPARE(ge, "x >= y")
LOGICAL(logical_and, "x != 0 and y != 0")
LOGICAL(logical_or, "x != 0 or y != 0")
LOGICAL(logical_xor, "one of x != 0 and y != 0, and not both")
/* clang-format on */

/* The two exponents that have an instruction of their own. */
cr_tensor *cr_pow_at(cr_arg x, cr_arg exponent, const char *site)
{
    const cr_tensor *base = is_number(x) ? NULL : x.v.tensor;
    if (base && is_number(exponent) && cr__is_float((cr_dtype)base->dtype)) {
        double n = cr__arg_double(exponent);
        if (n == 2)
            return cr_square_at(x.v.tensor, site);
        if (n == -1)
            return cr_reciprocal_at(x.v.tensor, site);
    }
    return cr__record_2(&cr__op_pow, x, exponent, site);
}

/* ---- where ---- */

static bool prepare_where(cr_ctx *ctx, const cr_op *op, cr_arg *x, int n)
{
    if (!is_number(x[0]) && x[0].v.tensor->dtype == CR_BOOL)
        return prepare_arithmetic(ctx, op, x + 1, n - 1);
    cr__op_fail(ctx, op, CR_ERR_DTYPE, "comparisons give one",
                "the condition must be a bool");
    return false;
}

static cr_status where_shape(cr_infer *infer)
{
    infer->dtype = infer->in_dtype[1];
    return CR_OK;
}

static void where_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *condition = cr__input(out, 0);
    if (cr__wants_grad(out, 1))
        down[1] = cr_where(condition, g, 0);
    if (cr__wants_grad(out, 2))
        down[2] = cr_where(condition, 0, g);
}

CR__OP(where) = {
    .name = "where",
    .doc = "x where the condition is true, other elsewhere",
    .kind = CR_OP_MAP,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "condition,x,other",
    .shape = where_shape,
    .vjp = where_vjp,
    .reads = CR_READS_INPUT(0),
    .internal = CR__MAP_OF(where, .own = CR_READS_INPUT(0), .prepare = prepare_where),
    .samples = CR__SAMPLES({ "b[2,3] f[2,3] f[2,3]", NULL }, { "b[2,3] f[2,3] n", NULL },
                           { "b[2,3] n f[2,3]", NULL }),
};

cr_tensor *cr_where_at(cr_tensor *condition, cr_arg x, cr_arg other, const char *site)
{
    const cr_arg operands[3] = { cr_arg_tensor(condition), x, other };
    return cr__record(NULL, &cr__op_where, operands, 3, NULL, site);
}

/* ---- clamp ---- */

typedef struct clamp_attrs {
    cr_arg min, max;
} clamp_attrs;

/* Without a bound (side is its sign) an integer is bounded by its type. */
static cr_arg no_bound(cr_dtype dtype, int side)
{
    static const int64_t range[CR_DTYPES][2] = { [CR_I64] = { INT64_MIN, INT64_MAX },
                                                 [CR_I32] = { INT32_MIN, INT32_MAX },
                                                 [CR_U8] = { 0, UINT8_MAX } };
    return cr__is_float(dtype) ? cr_arg_real(side < 0 ? -INFINITY : INFINITY)
                               : cr_arg_int(range[dtype][side > 0]);
}

static cr_status resolve_bound(cr_infer *infer, cr_arg *bound, int side)
{
    uint64_t bits;
    cr_dtype dtype = infer->dtype;
    const char *name = side < 0 ? "min" : "max";
    if (bound->kind == CR_ARG_NONE)
        *bound = cr_arg_real(side < 0 ? -INFINITY : INFINITY);
    if (bound->kind == CR_ARG_TENSOR)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT,
                           "cr_maximum() and cr_minimum() take tensors",
                           "%s must be a number", name);
    if (bound->kind == CR_ARG_REAL && isnan(bound->v.real))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL, "%s is NaN",
                           name);
    if (bound->kind == CR_ARG_REAL && isinf(bound->v.real))
        *bound = no_bound(dtype, bound->v.real < 0 ? -1 : 1);
    if (!cr__number_store(*bound, dtype, &bits))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() the tensor",
                           "%s is not a value of %s", name, cr_dtype_name(dtype));
    return CR_OK;
}

static cr_status clamp_shape(cr_infer *infer)
{
    clamp_attrs *attrs = infer->attrs;
    cr_status status = resolve_bound(infer, &attrs->min, -1);
    return status == CR_OK ? resolve_bound(infer, &attrs->max, 1) : status;
}

static void clamp_params(const void *attrs, cr_arg *params)
{
    const clamp_attrs *a = attrs;
    params[0] = a->min;
    params[1] = a->max;
}

/* 0 where out is a bound; g where it is not, also of NaN. */
static void clamp_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const clamp_attrs *a = cr_attrs(out);
    cr_arg y = cr_arg_tensor(out);
    down[0] = g;
    if (cr__arg_double(a->min) != -INFINITY)
        down[0] = cr_where(cr_le_at(y, as_used(a->min), NULL), 0, down[0]);
    if (cr__arg_double(a->max) != INFINITY)
        down[0] = cr_where(cr_ge_at(y, as_used(a->max), NULL), 0, down[0]);
}

CR__OP(clamp) = {
    .name = "clamp",
    .doc = "min(max(x, min), max)",
    .kind = CR_OP_MAP,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(clamp_attrs, min, NUMBER, .initial = "-inf",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(clamp_attrs, max, NUMBER, .initial = "inf",
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(clamp_attrs),
    .shape = clamp_shape,
    .vjp = clamp_vjp,
    .reads = OUT,
    .internal = CR__MAP_OF(clamp, .dtypes = CR__NUMBERS, .n_params = 2,
                           .params = clamp_params),
    .samples = CR__SAMPLES({ "f[2,3]", "min=-0.5,max=0.5" }, { "f[2,3]", "min=-0.5" },
                           { "f[2,3]", "max=0.5" },
                           { "f[4]=-0.5,0.5,0.25,2 -> 0,0,1,0", "min=-0.5,max=0.5" }),
    .kinks = "-0.5,0.5",
};

cr_tensor *cr_clamp_at(cr_tensor *x, cr_arg min, cr_arg max, const char *site)
{
    clamp_attrs attrs = { min, max };
    return cr__record_1(&cr__op_clamp, x, &attrs, site);
}
