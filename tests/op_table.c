/* The operations' table, tested: every registered operation certifies itself by its
 * samples. Values against plain definitions, gradients of first and second order against
 * finite differences, both precisions, broadcasting, numbers, strided, empty and rank-0
 * inputs; and bit for bit lazy against eager, one thread against four, AVX2 against
 * AVX-512.
 *
  * op_table NAME.. tests these operations only. op_table --digest prints a hash of all values and
 * gradients: with it the program compares itself under other instruction sets. */
#define _POSIX_C_SOURCE 200809L
#include "half.h"
#include "op_run.h"
#include "supply.h"
#include "tap.h"
#include <unistd.h>

enum { SCALED_NUMEL = 1 << 17, SCALED_CUBIC = 1 << 11 };

static cr_ctx *base;               /* of the mode that the environment asks for */
static cr_ctx *lazy[2], *eager[2]; /* of one thread and of four */
static bool base_is_eager;

/* The operations that cr_op_list() gives, then those that it leaves out. */
static const cr_op *any_operation(int i)
{
    int listed = 0;
    while (listed <= i && cr_op_list(listed))
        listed++;
    return i < listed ? cr_op_list(i) : cr__op_internal(i - listed);
}

/* ---- values ---- */

/* All of an operation's samples can be computed. */
static bool computes(const call *c)
{
    result r = run_call(&(manner){ .ctx = base }, c);
    bool good = r.n > 0;
    if (!good)
        diag("  %s: %s", call_text(c), r.message);
    free_result(&r);
    return good;
}

static bool has_golden(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/ops/%s.txt", name);
    return access(path, R_OK) == 0;
}

/* Without a definition here there must be one elsewhere: values from PyTorch. */
static bool agrees_with_definition(const call *c)
{
    result r = run_call(&(manner){ .ctx = base }, c);
    const ref_property *property = find_property(c->op->name);
    array want = { 0 };
    bool good = r.n > 0;
    if (good && property) {
        ref_call ref = { .attrs = c->attrs, .n = c->s.n, .in = c->in, .out = r.out[0] };
        for (int64_t i = 0; i < r.out[0].numel && good; i++)
            good = property->holds(&ref, i);
    } else if (good && run_definition(c, &want)) {
        good = same_array(c, "definition", &r.out[0], &want, (tolerance){ 1e-11, 1e-11 });
        if (want.dtype != CR_F32 && want.dtype != r.out[0].dtype) {
            diag("  %s: is %s", call_text(c), cr_dtype_name(r.out[0].dtype));
            good = false;
        }
    } else if (good) {
        good = has_golden(c->op->name);
        diag("  %s: %s", c->op->name,
             good ? "covered by tests/golden" : "no definition, and no golden cases");
    }
    free(want.v);
    free_result(&r);
    return good;
}

/* Random numbers are others in another precision. */
static bool single_near_double(const call *c)
{
    return find_property(c->op->name) ||
           same_in(c, &(manner){ .ctx = base, .real = CR_F32 }, &(manner){ .ctx = base },
                   (tolerance){ 2e-5, 2e-5 });
}

/* The call on inputs that the type holds. */
static call rounded_call(const call *c, cr_dtype half)
{
    call r = { .op = c->op, .attrs = c->attrs, .s = c->s };
    fill_call(&r);
    for (int i = 0; i < r.s.n; i++)
        for (int64_t k = 0; r.in[i].dtype == CR_F64 && k < r.in[i].numel; k++)
            r.in[i].v[k] = half_rounded(half, r.in[i].v[k]);
    return r;
}

/* Where the f32 run has an f32, the type has that, rounded. */
static void round_array(array *a, cr_dtype half)
{
    for (int64_t i = 0; a->dtype == CR_F32 && a->v && i < a->numel; i++)
        a->v[i] = half_rounded(half, a->v[i]);
    a->dtype = a->dtype == CR_F32 ? half : a->dtype;
}

/* Values are those of f32, rounded once, to the bit; so are the gradients of what is computed in
 * f32 as a whole. Those of maps are made of rounded parts. linear and convolutions
 * round their product too. Types that an attribute names stay what they are. */
static bool half_is_rounded(const call *c, cr_dtype half)
{
    const double near = half == CR_BF16 ? 0x1p-4 : 0x1p-7;
    const tolerance parts = { near, near };
    const char *name = c->op->name;
    bool twice = strcmp(name, "linear") == 0 || strncmp(name, "conv", 4) == 0, same;
    bool named = c->attrs && strstr(c->attrs, "dtype=");
    call rounded = rounded_call(c, half);
    result got = run_call(&(manner){ .ctx = base, .real = half }, &rounded);
    result want = run_call(&(manner){ .ctx = base, .real = CR_F32 }, &rounded);
    same = got.n == want.n;
    if (!same)
        diag("  %s: %s: %s", call_text(c), cr_dtype_name(half), got.message);
    for (int i = 0; i < want.n && same; i++) {
        if (!named && c->s.n)
            round_array(&want.out[i], half);
        same = same_array(c, cr_dtype_name(half), &got.out[i], &want.out[i],
                          twice ? parts : exactly);
    }
    for (int i = 0; i < c->s.n && same && want.n > 0; i++) {
        round_array(&want.grad[i], half);
        same = same_array(c, "gradient", &got.grad[i], &want.grad[i],
                          c->op->widens ? exactly : parts);
    }
    free_result(&got);
    free_result(&want);
    free_call(&rounded);
    return same;
}

static bool halves_rounded(const call *c)
{
    return half_is_rounded(c, CR_BF16) && half_is_rounded(c, CR_F16);
}

/* The call with small integers (or bools) for its floats, in one type: it is refused, or
 * gives what the definition says. */
static bool like_definition_in(const call *c, cr_dtype dtype)
{
    call whole = { .op = c->op, .attrs = c->attrs, .s = c->s };
    for (int i = 0; i < whole.s.n; i++)
        if (whole.s.in[i].kind == 'f' ||
            (whole.s.in[i].kind == 'i' && dtype == CR_BOOL)) {
            whole.s.in[i].kind = dtype == CR_BOOL ? 'b' : 'i';
            whole.s.in[i].values = NULL;
            whole.s.in[i].low = 0, whole.s.in[i].high = 5;
        }
    fill_call(&whole);
    result r = run_call(&(manner){ .ctx = base, .integer = dtype }, &whole);
    array want = { 0 };
    bool good = r.n > 0 || r.status == CR_ERR_DTYPE || r.status == CR_ERR_ARGUMENT ||
                r.status == CR_ERR_VALUE;
    if (!good)
        diag("  %s with %s: %s", call_text(&whole), cr_dtype_name(dtype), r.message);
    if (r.n > 0 && !find_property(c->op->name) && run_definition(&whole, &want))
        for (int64_t i = 0; i < want.numel; i++)
            want.v[i] += want.v[i] < 0 && r.out[0].dtype == CR_U8 ? 256 : 0;
    if (r.n > 0 && want.v)
        good = same_array(&whole, cr_dtype_name(dtype), &r.out[0], &want,
                          (tolerance){ 1e-6, 1e-6 });
    free(want.v);
    free_result(&r);
    free_call(&whole);
    return good;
}

static bool integers_right(const call *c)
{
    return like_definition_in(c, CR_I64) && like_definition_in(c, CR_I32) &&
           like_definition_in(c, CR_U8) && like_definition_in(c, CR_BOOL);
}

/* ---- gradients ---- */

/* One output as a function of the inputs that want gradients; the others are fixed. */
typedef struct function {
    const call *c;
    cr_tensor *fixed[MOST_INPUTS];
    int output;
} function;

static cr_tensor *output_of(cr_ctx *ctx, cr_tensor *const *inputs, int n, void *user)
{
    const function *f = user;
    cr_tensor *in[MOST_INPUTS], *out[MOST_OUTPUTS] = { 0 };
    for (int i = 0, j = 0; i < f->c->s.n; i++)
        in[i] = wants_gradient(f->c, i) && j < n ? inputs[j++] : f->fixed[i];
    apply(&(manner){ .ctx = ctx }, f->c, in, out);
    return out[f->output];
}

/* How many results there are, and which of them gradients flow through: bits. */
static int differentiable_outputs(const call *c, unsigned *bits)
{
    CR_SCOPE(base);
    cr_tensor *in[MOST_INPUTS] = { 0 }, *out[MOST_OUTPUTS] = { 0 };
    for (int i = 0; i < c->s.n; i++)
        if (c->s.in[i].kind != 'n')
            in[i] = presented(&(manner){ .ctx = base }, &c->in[i], wants_gradient(c, i));
    int n = apply(&(manner){ .ctx = base }, c, in, out);
    *bits = 0;
    for (int i = 0; i < n; i++)
        if (is_float(out[i]) && cr_needs_grad(out[i]))
            *bits |= 1u << i;
        else if (is_float(out[i]))
            *bits |= 1u << (16 + i);
    return n;
}

/* What says that it has no second derivative must have the first. */
static bool checks_gradients(function *f, cr_tensor **inputs, int n)
{
    static const char without[] = "no second derivative";
    bool good = cr_gradcheck(output_of, f, inputs, n, .second_order = true) == CR_OK;
    if (!good && strstr(cr_message(base), without)) {
        cr_clear(base);
        good = cr_gradcheck(output_of, f, inputs, n) == CR_OK;
    }
    if (!good)
        diag("  %s: %s", call_text(f->c), cr_message(base));
    cr_clear(base);
    return good;
}

/* "1,0 2" is what is wanted of inputs, one behind the other; NULL: zeros. */
static bool has_values(const call *c, const char *what, cr_tensor *const *found, int n,
                       const char *wanted)
{
    bool good = true;
    for (int j = 0; j < n; j++) {
        for (int64_t i = 0; i < cr_numel(found[j]) && good; i++) {
            double got = ((const double *)cr_data(found[j]))[i];
            double want = wanted ? value_at(wanted, i) : 0;
            good = close_to(got, want, (tolerance){ 1e-14, 1e-14 });
            if (!good)
                diag("  %s: %s: input %d, element %" PRId64 ": %.17g, and %.17g",
                     call_text(c), what, j, i, got, want);
        }
        wanted = wanted && strchr(wanted, ' ') ? strchr(wanted, ' ') + 1 : wanted;
    }
    return good;
}

/* At kinks, ties and infinities, where differences say nothing, the sample says what the
 * gradients are: those of the result's sum, and those of their sum. */
static bool gradients_as_stated(const call *c)
{
    CR_SCOPE(base);
    cr_tensor *in[MOST_INPUTS] = { 0 }, *out[MOST_OUTPUTS] = { 0 }, *xs[MOST_INPUTS];
    cr_tensor *first[MOST_INPUTS] = { 0 }, *second[MOST_INPUTS] = { 0 }, *sum = NULL;
    int n = 0;
    for (int i = 0; i < c->s.n; i++) {
        if (c->s.in[i].kind != 'n')
            in[i] = presented(&(manner){ .ctx = base }, &c->in[i], wants_gradient(c, i));
        if (wants_gradient(c, i))
            xs[n++] = in[i];
    }
    apply(&(manner){ .ctx = base }, c, in, out);
    cr_gradients(&out[0], 1, xs, n, first, .create_graph = true,
                 .cotangents = (cr_tensor *[]){ cr_ones_like(out[0]) });
    for (int j = 0; j < n; j++)
        sum = sum ? cr_add(sum, cr_sum(first[j])) : cr_sum(first[j]);
    if (cr_needs_grad(sum))
        cr_gradients(&sum, 1, xs, n, second, .allow_unused = true);
    for (int j = 0; j < n; j++)
        second[j] = second[j] ? second[j] : cr_zeros_like(first[j]);
    bool good = has_values(c, "gradient", first, n, c->s.gradients) &&
                has_values(c, "second order", second, n, c->s.second) && !cr_error(base);
    if (cr_error(base))
        diag("  %s: %s", call_text(c), cr_message(base));
    cr_clear(base);
    return good;
}

static bool gradients_right(const call *c)
{
    if (c->s.gradients)
        return gradients_as_stated(c);
    unsigned bits;
    int n = differentiable_outputs(c, &bits), wanted = 0;
    for (int i = 0; i < c->s.n; i++)
        wanted += wants_gradient(c, i);
    bool good = n > 0;
    bool must = c->op->vjp && wanted > 0 && bits >> 16;
    bool must_not = !c->op->vjp && c->op->kind != CR_OP_COMPOSITE && (bits & 0xffff);
    if (must || must_not) {
        diag("  %s: cr_needs_grad() and the vjp do not fit each other", call_text(c));
        good = false;
    }
    for (int i = 0; i < n && good; i++) {
        if (!(bits >> i & 1))
            continue;
        CR_SCOPE(base);
        function f = { .c = c, .output = i };
        cr_tensor *inputs[MOST_INPUTS];
        int n_inputs = 0;
        for (int j = 0; j < c->s.n; j++) {
            f.fixed[j] = presented(&(manner){ .ctx = base }, &c->in[j], false);
            if (wants_gradient(c, j))
                inputs[n_inputs++] = f.fixed[j];
        }
        good = checks_gradients(&f, inputs, n_inputs);
    }
    return good;
}

/* ---- broadcasting ---- */

/* The array's first element (of the dim, or of all if dim < 0) alone. */
static array narrowed(const array *a, int dim, bool drop)
{
    array b = { .dtype = a->dtype, .dims = a->dims };
    for (int d = 0; d < b.dims.n; d++)
        b.dims.v[d] = dim < 0 || d == dim ? 1 : b.dims.v[d];
    b.numel = count_of(b.dims);
    b.v = calloc((size_t)b.numel + 1, sizeof *b.v);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < b.numel; i++, next_index(at, b.dims))
        b.v[i] = a->v[flat_index(at, a->dims.n, a->dims)];
    if (drop)
        b.dims = CR_NO_DIMS;
    return b;
}

/* b repeated to dims. */
static array repeated(const array *b, cr_dims dims)
{
    array a = { .dtype = b->dtype, .dims = dims, .numel = count_of(dims) };
    a.v = calloc((size_t)a.numel + 1, sizeof *a.v);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < a.numel; i++, next_index(at, dims))
        a.v[i] = ref_at(b, at, dims.n);
    return a;
}

/* The sum over what was repeated, shaped like b. */
static array summed(const array *a, cr_dims dims)
{
    array b = { .dtype = a->dtype, .dims = dims, .numel = count_of(dims) };
    b.v = calloc((size_t)b.numel + 1, sizeof *b.v);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < a->numel && a->v; i++, next_index(at, a->dims))
        b.v[flat_index(at, a->dims.n, dims)] += a->v[i];
    return b;
}

/* Input k replaced by b gives the bits of b repeated, and the sum of its gradient. */
static bool same_repeated(const call *c, int k, const array *b)
{
    manner m = { .ctx = base };
    call small = *c, full = *c;
    small.in[k] = *b;
    full.in[k] = repeated(b, c->in[k].dims);
    result got = run_call(&m, &small), want = run_call(&m, &full);
    bool good = got.n == want.n && got.n > 0;
    if (!good)
        diag("  %s: %s", call_text(&small), got.message);
    if (good && same_dims(got.out[0].dims, want.out[0].dims)) {
        good = same_array(&small, "broadcast", &got.out[0], &want.out[0], exactly);
        if (got.grad[k].v) {
            array sum = summed(&want.grad[k], b->dims);
            good = same_array(&small, "gradient", &got.grad[k], &sum,
                              (tolerance){ 1e-10, 1e-10 }) &&
                   good;
            free(sum.v);
        }
        good = good && gradients_right(&small);
    }
    free(full.in[k].v);
    free_result(&got);
    free_result(&want);
    return good;
}

static bool broadcasts(const call *c)
{
    bool good = true;
    if (c->op->kind != CR_OP_MAP || c->s.n < 2 || c->s.gradients)
        return true;
    for (int k = 0; k < c->s.n; k++) {
        if (c->s.in[k].kind == 'n' || !c->in[k].dtype)
            continue;
        for (int dim = -2; dim < c->in[k].dims.n && good; dim++) {
            array b = narrowed(&c->in[k], dim, dim == -2);
            good = same_repeated(c, k, &b);
            free(b.v);
        }
    }
    return good;
}

/* A C number in place of a rank-0 tensor. Derivatives take tensors only. */
static bool takes_numbers(const call *c)
{
    bool good = true;
    if (c->op->kind != CR_OP_MAP || c->s.n < 2 || strstr(c->op->name, "_grad"))
        return true;
    for (int k = 0; k < c->s.n; k++)
        if (c->s.in[k].kind == 'n')
            return true;
    for (int k = 0; k < c->s.n && good; k++) {
        if (c->s.in[k].kind != 'f' && c->s.in[k].kind != 'i')
            continue;
        call scalar = *c;
        scalar.in[k] = narrowed(&c->in[k], -2, true);
        scalar.s.in[k].constant = true;
        result want = run_call(&(manner){ .ctx = base }, &scalar);
        result got = run_call(&(manner){ .ctx = base, .number = k + 1 }, &scalar);
        good = want.n > 0 && same_result(&scalar, &got, &want, exactly);
        free_result(&want);
        free_result(&got);
        free(scalar.in[k].v);
    }
    return good;
}

/* ---- forms and shapes ---- */

static bool strided_alike(const call *c)
{
    bool same = true;
    for (unsigned form = 1; form < ALL_FORMS && same; form++) {
        same = same_in(c, &(manner){ .ctx = base, .form = form },
                       &(manner){ .ctx = base }, exactly) &&
               same_in(c, &(manner){ .ctx = base, .form = form, .real = CR_BF16 },
                       &(manner){ .ctx = base, .real = CR_BF16 }, exactly);
        if (!same)
            diag("  stored%s%s%s", form & TRANSPOSED ? " transposed" : "",
                 form & FLIPPED ? " flipped" : "", form & SLICED ? " sliced" : "");
    }
    return same;
}

/* The call with other shapes of its inputs: may be refused, with a message. If it is not,
 * the result is the definition's. */
static bool sane(call *c, bool must)
{
    fill_call(c);
    result r = run_call(&(manner){ .ctx = base }, c);
    bool defined = c->op->kind == CR_OP_MAP || c->op->kind == CR_OP_REDUCE;
    bool none = r.n == 0 && c->op->expand_all;
    bool good = r.n > 0 || (!must && (none || (r.status && *r.message)));
    if (!good)
        diag("  %s: %s", call_text(c), *r.message ? r.message : "no message");
    for (int i = 0; i < r.n; i++)
        good = good && r.out[i].numel == count_of(r.out[i].dims);
    array want = { 0 };
    if (r.n > 0 && defined && run_definition(c, &want))
        good = same_array(c, "definition", &r.out[0], &want, (tolerance){ 1e-11, 1e-11 });
    for (int i = 0; i < c->s.n && good && r.n > 0; i++)
        if (r.grad[i].dtype && !same_dims(r.grad[i].dims, c->in[i].dims)) {
            diag("  %s: the gradient has another shape", call_text(c));
            good = false;
        }
    free(want.v);
    free_result(&r);
    free_call(c);
    return good;
}

/* Every size of the sample, wherever it appears, becomes 0. */
static bool empty_is_sane(const call *c)
{
    bool good = true;
    for (int i = 0; i < c->s.n; i++)
        for (int d = 0; d < c->s.in[i].dims.n && good; d++) {
            call e = { .op = c->op, .attrs = c->attrs, .s = c->s };
            int64_t size = c->s.in[i].dims.v[d];
            for (int j = 0; j < e.s.n; j++)
                for (int k = 0; k < e.s.in[j].dims.n; k++)
                    if (e.s.in[j].dims.v[k] == size && (size != 1 || (i == j && d == k)))
                        e.s.in[j].dims.v[k] = 0;
            good = sane(&e, c->op->kind == CR_OP_MAP && size > 1);
        }
    return good;
}

static bool rank_0_is_sane(const call *c)
{
    call scalar = { .op = c->op, .attrs = c->attrs, .s = c->s };
    for (int i = 0; i < c->s.n; i++)
        scalar.s.in[i].dims.n = 0;
    return sane(&scalar, c->op->kind == CR_OP_MAP && c->s.n > 0);
}

/* ---- bit for bit ---- */

static void multiply_sizes(call *c, const sample *s, int64_t factor)
{
    free_call(c);
    for (int i = 0; i < s->n; i++)
        for (int d = 0; d < s->in[i].dims.n; d++)
            if (s->in[i].dims.v[d] > 1)
                c->s.in[i].dims.v[d] = s->in[i].dims.v[d] * factor;
    fill_call(c);
}

/* Whether its result is much larger than its inputs: a grid, a matrix of a diagonal. Sizes of 0 count
 * as 1, and with 32 bits the result may be refused. */
static bool explodes(const call *c)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *in[MOST_INPUTS] = { 0 }, *out[MOST_OUTPUTS] = { 0 };
    for (int i = 0; i < c->s.n; i++)
        if (c->s.in[i].kind != 'n')
            in[i] = presented(&(manner){ .ctx = ctx }, &c->in[i], false);
    int n = apply(&(manner){ .ctx = ctx }, c, in, out);
    double numel = 1;
    for (int d = 0; n > 0 && d < cr_ndim(out[0]); d++)
        numel *= (double)(cr_size(out[0], d) > 1 ? cr_size(out[0], d) : 1);
    bool large = numel > 4 * SCALED_NUMEL || strstr(cr_message(ctx), "bytes") ||
                 strstr(cr_message(ctx), "too large");
    cr_clear(ctx);
    cr_close(ctx);
    return large;
}

/* Whether the time grows with the cube of the sides, and that of gradients more. */
static bool is_cubic(const cr_op *op)
{
    static const char *const names[] = { "cholesky", "solve",      "inv",   "det",
                                         "cofactor", "matrix_exp", "qr",    "eig",
                                         "svd",      "pinv",       "lstsq", "system",
                                         "sign_",    "conv",       "cdist" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strstr(op->name, names[i]))
            return true;
    return false;
}

/* The call with sizes multiplied, so that its inputs, broadcast, have SCALED_NUMEL
 * elements or so, or its result a few times as many. False if they have none. */
static bool scale(call *c)
{
    const sample small = c->s;
    const double numel = is_cubic(c->op) ? SCALED_CUBIC : SCALED_NUMEL;
    double most = 1;
    int wide = 0;
    for (int d = 1; d <= CR_MAX_DIMS; d++) {
        int64_t size = 1;
        for (int i = 0; i < c->s.n; i++) {
            cr_dims dims = c->s.in[i].dims;
            size = d <= dims.n && dims.v[dims.n - d] > size ? dims.v[dims.n - d] : size;
        }
        most *= (double)size;
        wide += size > 1;
    }
    double factor = wide ? floor(pow(numel / most, 1.0 / wide)) : 0;
    if (factor < 2)
        return false;
    multiply_sizes(c, &small, (int64_t)factor);
    for (; factor >= 4 && explodes(c); factor /= 2)
        multiply_sizes(c, &small, (int64_t)factor / 2);
    return true;
}

/* One thread lazily, against the other ways. */
static bool same_every_way(const call *c, cr_dtype real, bool must)
{
    const struct {
        cr_ctx *ctx;
        const char *name;
    } ways[] = { { lazy[1], "four threads" },
                 { eager[0], "eager" },
                 { eager[1], "eager on four threads" } };
    result want = run_call(&(manner){ .ctx = lazy[0], .real = real }, c);
    bool same = want.n > 0 || !must;
    if (!same)
        diag("  %s: %s", call_text(c), want.message);
    for (int i = 0; i < 3 && same; i++) {
        result got = run_call(&(manner){ .ctx = ways[i].ctx, .real = real }, c);
        same = same_result(c, &got, &want, exactly);
        if (!same)
            diag("  one thread, and %s", ways[i].name);
        free_result(&got);
    }
    free_result(&want);
    return same;
}

static bool ways_alike(const call *c)
{
    return same_every_way(c, CR_F32, true) &&
           (tap_parts() > 1 ||
            (same_every_way(c, CR_F64, true) && same_every_way(c, CR_BF16, true) &&
             same_every_way(c, CR_F16, true)));
}

static bool ways_alike_scaled(const call *c)
{
    call large = { .op = c->op, .attrs = c->attrs, .s = c->s };
    fill_call(&large);
    bool must = c->op->kind == CR_OP_MAP || c->op->kind == CR_OP_REDUCE;
    bool same =
        !scale(&large) || (same_every_way(&large, CR_F32, must) &&
                           (tap_parts() > 1 || same_every_way(&large, CR_BF16, false)));
    free_call(&large);
    return same;
}

/* ---- the attribute tables ---- */

static size_t attr_size(cr_attr_type type)
{
    switch (type) {
    case CR_ATTR_BOOL:
        return sizeof(bool);
    case CR_ATTR_INT:
        return sizeof(int64_t);
    case CR_ATTR_REAL:
        return sizeof(double);
    case CR_ATTR_NUMBER:
        return sizeof(cr_arg);
    case CR_ATTR_DIMS:
        return sizeof(cr_dims);
    case CR_ATTR_REALS:
        return sizeof(cr_reals);
    case CR_ATTR_OPT_INT:
    case CR_ATTR_OPT_BOOL:
        return sizeof(cr_opt_int);
    case CR_ATTR_OPT_REAL:
        return sizeof(cr_opt_real);
    case CR_ATTR_TEXT:
        return CR_MAX_TEXT;
    default:
        return sizeof(int);
    }
}

/* Whether the default is what a zeroed member means. */
static bool default_is_zero(const cr_attr *a)
{
    const char *first = a->words ? a->words : "";
    switch (a->type) {
    case CR_ATTR_BOOL:
        return strcmp(a->initial, "false") == 0 || *a->initial == '0';
    case CR_ATTR_INT:
    case CR_ATTR_REAL:
    case CR_ATTR_NUMBER:
        return strtod(a->initial, NULL) == 0;
    case CR_ATTR_WORD:
        return strncmp(first, a->initial, strlen(a->initial)) == 0;
    case CR_ATTR_DTYPE:
        return strcmp(a->initial, "f32") == 0 || !*a->initial;
    default:
        return true; /* these say themselves whether they are given */
    }
}

/* In options zero means the default: whoever cannot say 0 for zero must say it otherwise.
 */
static bool attribute_sound(const cr_op *op, const cr_attr *a)
{
    const char *why = NULL;
    bool optional = a->type == CR_ATTR_DIMS || a->type == CR_ATTR_REALS ||
                    a->type == CR_ATTR_OPT_INT || a->type == CR_ATTR_OPT_REAL ||
                    a->type == CR_ATTR_OPT_BOOL;
    if (a->offset + attr_size(a->type) > op->attrs_size)
        why = "lies outside the struct";
    else if (a->type == CR_ATTR_WORD && !a->words)
        why = "has no words";
    else if (a->flags & CR_ATTR_POSITIVE && a->initial && *a->initial &&
             strtod(a->initial, NULL) <= 0)
        why = "is positive, and its default is not";
    else if (a->flags || optional)
        why = NULL;
    else if (!a->initial)
        why = "must be given, and so is positional";
    else if (a->type == CR_ATTR_BOOL && strncmp(a->name, "no_", 3) == 0)
        why = default_is_zero(a) ? NULL : "is inverted, and true by default";
    else if (!default_is_zero(a))
        why = "has a default other than zero: positional, positive, optional or inverted";
    if (why)
        diag("  %s: %s %s", op->name, a->name, why);
    return !why;
}

static bool entry_sound(const cr_op *op)
{
    bool sound = op->name && *op->name && op->doc && *op->doc && op->kind;
    sound = sound && cr_op_find(op->name);
    sound = sound && (op->max_inputs == -1 || op->max_inputs >= op->min_inputs);
    for (const cr_attr *a = op->attrs; a && a->name; a++) {
        sound = attribute_sound(op, a) && sound;
        for (const cr_attr *b = op->attrs; b < a; b++)
            sound = sound && strcmp(a->name, b->name) != 0;
    }
    return sound;
}

/* ---- the instruction sets ---- */

static uint64_t hash_array(uint64_t h, const array *a)
{
    h = (h ^ (uint64_t)a->dtype ^ (uint64_t)a->numel << 8) * 1099511628211u;
    for (int64_t i = 0; i < a->numel && a->v; i++) {
        double x = isnan(a->v[i]) ? (double)NAN : a->v[i];
        uint64_t bits;
        memcpy(&bits, &x, sizeof bits);
        h = (h ^ bits) * 1099511628211u;
        h ^= h >> 29;
    }
    return h;
}

static void print_digest(const call *c, cr_dtype real, const char *note)
{
    result r = run_call(&(manner){ .ctx = base, .real = real }, c);
    uint64_t h = text_hash(r.n < 0 ? "an error" : ""); /* whose place is the build's */
    for (int i = 0; i < r.n; i++)
        h = hash_array(h, &r.out[i]);
    for (int i = 0; i < c->s.n; i++)
        h = hash_array(h, &r.grad[i]);
    printf("%s %s %s %016" PRIx64 "\n", call_text(c), cr_dtype_name(real), note, h);
    free_result(&r);
}

static int print_digests(void)
{
    const cr_op *op;
    printf("%s\n", cr_isa());
    for (int i = 0; (op = any_operation(i)); i++)
        for (const cr_sample *s = op->samples; s && s->inputs; s++) {
            call c;
            if (make_call(&c, op, s)) {
                print_digest(&c, CR_F64, "");
                print_digest(&c, CR_F32, "");
                print_digest(&c, CR_BF16, "");
                print_digest(&c, CR_F16, "");
                if (scale(&c))
                    print_digest(&c, CR_F32, "scaled");
            }
            free_call(&c);
        }
    return 0;
}

/* This program's digests under an instruction set; NULL if the machine lacks it. */
static FILE *digests_under(const char *self, const char *isa)
{
    char command[600], line[100] = "";
    snprintf(command, sizeof command, "CHAINRULE_ISA=%s CHAINRULE_EAGER=%d '%s' --digest",
             isa, base_is_eager, self);
    FILE *child = popen(command, "r");
    if (child && fgets(line, sizeof line, child))
        line[strcspn(line, "\n")] = 0;
    if (child && strcmp(line, isa) != 0) {
        pclose(child);
        child = NULL;
    }
    return child;
}

static void compare_instruction_sets(const char *self)
{
    FILE *a = digests_under(self, "avx2"), *b = digests_under(self, "avx512");
    if (a && b) {
        char p[512], q[512];
        int lines = 0, differ = 0;
        bool more = true;
        while (more) {
            bool first = fgets(p, sizeof p, a), second = fgets(q, sizeof q, b);
            more = first && second;
            lines += more;
            if (first != second || (more && strcmp(p, q) != 0)) {
                if (differ++ < 10)
                    diag("  %.*s", (int)strcspn(p, "\n"), p);
            }
        }
        ok(lines > 0 && differ == 0, "AVX2 and AVX-512 give the same bits: %d digests",
           lines);
    } else {
        skip(1, "this machine has not both AVX2 and AVX-512");
    }
    if (a)
        ok(pclose(a) == 0, "the run under AVX2 ended well");
    if (b)
        ok(pclose(b) == 0, "the run under AVX-512 ended well");
}

/* ---- cases that the definitions do not reach ---- */

static void test_empty_results(void)
{
    CR_SCOPE(base);
    cr_tensor *e = cr_zeros(base, CR_DIMS(0, 3), .dtype = CR_F64);
    is_near(cr_item(cr_sum(e)), 0, 0, "the sum of nothing is 0");
    is_near(cr_item(cr_mean(e)), (double)NAN, 0, "the mean of nothing is NaN");
    is_near(cr_item(cr_logsumexp(e)), (double)-INFINITY, 0,
            "logsumexp of nothing is -inf");
    ok(!cr_amax(e) && cr_error(base), "there is no largest of nothing: %s",
       cr_message(base));
    cr_clear(base);
    ok(!cr_argmax(e) && cr_error(base), "nor its place: %s", cr_message(base));
    cr_clear(base);
    is_int(cr_numel(cr_amax(e, 1)), 0, "but none of three each is none");
    cr_tensor *product =
        cr_matmul(cr_zeros(base, CR_DIMS(2, 0)), cr_zeros(base, CR_DIMS(0, 3)));
    is_int(cr_numel(product), 6, "[2, 0] @ [0, 3] is [2, 3]");
    is_near(cr_item(cr_sum(cr_abs(product))), 0, 0, "of zeros");
    is_int(cr_numel(cr_softmax(e, 0)), 0, "softmax along nothing is nothing");
    is_int(cr_size(cr_cat(((cr_tensor *[]){ e, e }), 2, 0), 0), 0,
           "nothing and nothing joined");
    is_near(cr_item(cr_cross_entropy(e, cr_zeros(base, CR_DIMS(0), .dtype = CR_I64))),
            (double)NAN, 0, "the mean loss of nothing is NaN");
    ok(cr_error(base) == CR_OK, "no error: %s", cr_message(base));
    cr_clear(base);
}

/* ---- all of it ---- */

typedef struct check {
    const char *name;
    bool (*holds)(const call *c);
    bool of_modes; /* compares both modes itself: once is enough */
} check;

static const check checks[] = {
    { .name = "computes its samples", .holds = computes },
    { .name = "agrees with its definition", .holds = agrees_with_definition },
    { .name = "f32 is near f64", .holds = single_near_double },
    { .name = "bf16 and f16 are f32, rounded", .holds = halves_rounded },
    { .name = "integers and bools are right, or refused", .holds = integers_right },
    { .name = "gradients of first and second order", .holds = gradients_right },
    { .name = "broadcasts", .holds = broadcasts },
    { .name = "takes C numbers", .holds = takes_numbers },
    { .name = "strided inputs give the same bits", .holds = strided_alike },
    { .name = "empty inputs", .holds = empty_is_sane },
    { .name = "rank-0 inputs", .holds = rank_0_is_sane },
    { "lazy, eager, 1 and 4 threads give the same bits", ways_alike, true },
    { "the same, with large inputs", ways_alike_scaled, true },
};

static void test_operation(const cr_op *op)
{
    ok(entry_sound(op), "%s: its entry is sound", op->name);
    if (!ok(op->samples && op->samples[0].inputs, "%s: has samples", op->name))
        return;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        bool good = true;
        if (checks[i].of_modes && base_is_eager)
            continue;
        for (const cr_sample *s = op->samples; s->inputs && good; s++) {
            call c;
            good = make_call(&c, op, s);
            if (!good)
                diag("  %s: cannot read the sample \"%s\"", op->name, s->inputs);
            good = good && checks[i].holds(&c);
            free_call(&c);
        }
        ok(good, "%s: %s", op->name, checks[i].name);
    }
    fflush(stdout);
}

static bool is_named(const cr_op *op, char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], op->name) == 0)
            return true;
    return n == 0;
}

static void test_unknown(void)
{
    ok(!cr_op_find("no_such_operation"), "unknown names are not found");
    ok(!cr_op_list(-1), "there is no operation before the first");
    int n = 0;
    while (cr_op_list(n))
        n++;
    ok(n >= 50, "%d operations", n);
    for (int i = 0; i < n; i++)
        if (cr_op_find(cr_op_list(i)->name) != cr_op_list(i))
            ok(false, "%s is found by its name", cr_op_list(i)->name);
}

static cr_ctx *open_dirty(int threads, bool eager_mode)
{
    return cr_open(&(cr_options){ .threads = threads,
                                  .eager = eager_mode,
                                  .alloc = dirty_give,
                                  .free = dirty_take });
}

int main(int argc, char **argv)
{
    const char *mode = getenv("CHAINRULE_EAGER");
    base_is_eager = mode && *mode == '1';
    unsetenv("CHAINRULE_EAGER");
    base = open_dirty(0, base_is_eager);
    if (argc > 1 && strcmp(argv[1], "--digest") == 0) {
        print_digests();
        cr_close(base);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        lazy[i] = open_dirty(i ? 4 : 1, false);
        eager[i] = open_dirty(i ? 4 : 1, true);
    }
    test_unknown();
    test_empty_results();
    const cr_op *op;
    for (int i = 0; (op = any_operation(i)); i++)
        if (is_named(op, argv + 1, argc - 1))
            test_operation(op);
    if (argc == 1 && tap_parts() == 1)
        compare_instruction_sets(argv[0]);
    for (int i = 0; i < 2; i++) {
        cr_close(lazy[i]);
        cr_close(eager[i]);
    }
    cr_close(base);
    return done_testing();
}
