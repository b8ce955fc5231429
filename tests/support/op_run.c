/* Calls of operations: a sample's inputs as tensors, in whatever form; the results and
 * gradients as arrays; comparing them. */
#include "op_run.h"
#include "engine.h"
#include "half.h"

/* ---- calls ---- */

uint64_t text_hash(const char *text)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; text && *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

void fill_call(call *c)
{
    uint64_t state = text_hash(c->op->name) ^ text_hash(c->attrs);
    for (int i = 0; i < c->s.n; i++)
        c->in[i] = make_array(&c->s.in[i], c->op->kinks, &state);
}

bool make_call(call *c, const cr_op *op, const cr_sample *text)
{
    *c = (call){ .op = op, .attrs = text->attrs };
    if (!parse_sample(text->inputs, &c->s))
        return false;
    fill_call(c);
    return true;
}

void free_call(call *c)
{
    for (int i = 0; i < MOST_INPUTS; i++) {
        free(c->in[i].v);
        c->in[i].v = NULL;
    }
}

void free_result(result *r)
{
    for (int i = 0; i < MOST_OUTPUTS; i++)
        free(r->out[i].v);
    for (int i = 0; i < MOST_INPUTS; i++)
        free(r->grad[i].v);
    memset(r, 0, sizeof *r);
}

bool wants_gradient(const call *c, int i)
{
    return c->s.in[i].kind == 'f' && !c->s.in[i].constant;
}

const char *call_text(const call *c)
{
    static char text[256];
    int n = snprintf(text, sizeof text, "%s(", c->op->name);
    for (int i = 0; i < c->s.n && n < (int)sizeof text - 100; i++) {
        n += snprintf(text + n, 8, "%s%c", i ? " " : "", c->s.in[i].kind);
        for (int d = 0; d < c->in[i].dims.n; d++)
            n += snprintf(text + n, 24, "%c%" PRId64, d ? ',' : '[', c->in[i].dims.v[d]);
        n += snprintf(text + n, 3, "%s",
                      c->in[i].dims.n         ? "]"
                      : c->s.in[i].dims.given ? "[]"
                                              : "");
    }
    snprintf(text + n, sizeof text - (size_t)n, "%s%s)", c->attrs ? "; " : "",
             c->attrs ? c->attrs : "");
    return text;
}

/* ---- tensors ---- */

static void store(cr_dtype dtype, void *data, int64_t i, double x)
{
    switch (dtype) {
    case CR_F64:
        ((double *)data)[i] = x;
        break;
    case CR_F32:
        ((float *)data)[i] = (float)x;
        break;
    case CR_I64:
        ((int64_t *)data)[i] = (int64_t)x;
        break;
    case CR_I32:
        ((int32_t *)data)[i] = (int32_t)x;
        break;
    case CR_BF16:
    case CR_F16:
        ((uint16_t *)data)[i] = half_nearest(dtype, x);
        break;
    default:
        ((uint8_t *)data)[i] = (uint8_t)(int64_t)x;
        break;
    }
}

static cr_dtype dtype_in(const manner *m, const array *a)
{
    if (a->dtype == CR_F64)
        return m->real ? m->real : CR_F64;
    return a->dtype == CR_I64 && m->integer ? m->integer : a->dtype;
}

/* The array's memory in the given form: reversed dimensions, reversed order, every second
 * place of twice as many, what lies between being rubbish. */
static cr_tensor *stored(const manner *m, const array *a)
{
    cr_dims dims = a->dims;
    cr_dtype dtype = dtype_in(m, a);
    for (int d = 0; d < dims.n; d++) {
        dims.v[d] = a->dims.v[m->form & TRANSPOSED ? dims.n - 1 - d : d];
        dims.v[d] = m->form & SLICED ? 2 * dims.v[d] + 1 : dims.v[d];
    }
    int64_t n = count_of(dims), at[CR_MAX_DIMS] = { 0 }, index[CR_MAX_DIMS];
    void *data = calloc((size_t)n + 1, sizeof(double));
    for (int64_t i = 0; m->form & SLICED && i < n; i++)
        store(dtype, data, i, a->dtype == CR_F64 ? (double)NAN : 77);
    for (int64_t i = 0; i < a->numel && !m->form; i++)
        store(dtype, data, i, a->v[i]);
    for (int64_t i = 0; i < a->numel && m->form; i++, next_index(at, a->dims)) {
        for (int d = 0; d < dims.n; d++) {
            int64_t x = m->form & FLIPPED ? a->dims.v[d] - 1 - at[d] : at[d];
            x = m->form & SLICED ? 2 * x + 1 : x;
            index[m->form & TRANSPOSED ? dims.n - 1 - d : d] = x;
        }
        store(dtype, data, flat_index(index, dims.n, dims), a->v[i]);
    }
    cr_tensor *x = cr_from(m->ctx, dtype, dims, data);
    free(data);
    return x;
}

cr_tensor *presented(const manner *m, const array *a, bool leaf)
{
    if (!a->dtype)
        return NULL;
    cr_tensor *x = stored(m, a);
    cr_dims order = { .n = a->dims.n, .given = true }, all = order;
    for (int d = 0; d < order.n; d++)
        order.v[d] = order.n - 1 - d, all.v[d] = d;
    if (leaf)
        x = cr_requires_grad(x);
    if (m->form & TRANSPOSED)
        x = cr_permute(x, order);
    for (int d = 0; m->form & SLICED && d < a->dims.n; d++)
        x = cr_slice(x, d, 1, INT64_MAX, .step = 2);
    return m->form & FLIPPED ? cr_flip(x, all) : x;
}

/* ---- running ---- */

/* Operations that functions are given to, which text cannot say: x y of cr_custom(), with and
 * without its gradient, and the gradient of a square. */

static bool multiply(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)user;
    if (!is_float_type(out->dtype))
        return false;
    for (int64_t i = 0; i < out->numel; i++)
        store(out->dtype, out->data, i,
              number_at(out->dtype, in[0].data, i) *
                  number_at(out->dtype, in[n - 1].data, i));
    return true;
}

static bool multiply_back(const cr_array *in, int n, const cr_array *out,
                          const cr_array *g, cr_array *down, void *user)
{
    (void)user;
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; down[k].data && i < out->numel; i++) {
            double x = number_at(g->dtype, g->data, i) *
                       number_at(g->dtype, in[n - 1 - k].data, i);
            store(g->dtype, down[k].data, i, n == 1 ? 2 * x : x);
        }
    return true;
}

static cr_tensor *product_of(cr_tensor *const *in, int n, bool differentiable)
{
    cr_custom_def def = { .name = "product", .forward = multiply };
    def.backward = differentiable ? multiply_back : NULL;
    return cr_custom(&def, in, n, cr_dtype_of(in[0]), cr_shape(in[0]));
}

static cr_tensor *gradient_of_square(cr_ctx *ctx, cr_tensor *const *in)
{
    if (!is_float(in[0])) {
        cr_fail(ctx, CR_ERR_DTYPE, "integers have no gradients");
        return NULL;
    }
    cr_tensor *x = cr_requires_grad(in[0]), *y = product_of(&x, 1, true), *found = NULL;
    cr_gradients(&y, 1, &x, 1, &found, .cotangents = &in[1]);
    return found;
}

/* Whether the operation is one of those; *out is its result. */
static bool apply_functions(cr_ctx *ctx, const call *c, cr_tensor *const *in,
                            cr_tensor **out)
{
    if (c->op == &cr__op_custom || c->op == &cr__op_custom_forward)
        *out = product_of(in, c->s.n, c->op == &cr__op_custom);
    else if (c->op == &cr__op_custom_backward)
        *out = gradient_of_square(ctx, in);
    else
        return false;
    return true;
}

int apply(const manner *m, const call *c, cr_tensor *const *in, cr_tensor **out)
{
    cr_arg operands[MOST_INPUTS];
    bool numbers = false;
    cr_seed(m->ctx, 7);
    for (int i = 0; i < c->s.n; i++) {
        bool number = c->s.in[i].kind == 'n' || m->number == i + 1;
        numbers = numbers || number;
        operands[i] = !number                    ? cr_arg_tensor(in[i])
                      : c->in[i].dtype == CR_F64 ? cr_arg_real(c->in[i].v[0])
                                                 : cr_arg_int((int64_t)c->in[i].v[0]);
    }
    if (apply_functions(m->ctx, c, in, out))
        return *out ? 1 : -1;
    if (!numbers) {
        int n = cr_call(m->ctx, c->op, in, c->s.n, c->attrs, out, MOST_OUTPUTS);
        return n < MOST_OUTPUTS ? n : MOST_OUTPUTS;
    }
    out[0] = cr__record(m->ctx, c->op, operands, c->s.n, NULL, CR_HERE);
    return out[0] ? 1 : -1;
}

static array array_of(cr_tensor *x)
{
    array a = { .dtype = cr_dtype_of(x), .dims = cr_shape(x), .numel = cr_numel(x) };
    const void *data = cr_data(x);
    a.v = calloc((size_t)a.numel + 1, sizeof *a.v);
    for (int64_t i = 0; data && i < a.numel; i++)
        a.v[i] = number_at(a.dtype, data, i);
    return a;
}

/* Cotangents without symmetry, in (-1, 1) and not 0, which every float type holds. */
static cr_tensor *cotangent_for(cr_tensor *y)
{
    array a = { .dtype = CR_F64, .dims = cr_shape(y), .numel = cr_numel(y) };
    a.v = calloc((size_t)a.numel + 1, sizeof *a.v);
    for (int64_t i = 0; i < a.numel; i++)
        a.v[i] = (double)(2 * ((i + 1) * 7919 % 128) + 1) / 128 - 1;
    cr_tensor *x = stored(&(manner){ .ctx = cr_ctx_of(y), .real = cr_dtype_of(y) }, &a);
    free(a.v);
    return x;
}

/* Records the gradients of the wanted inputs: grads[i] belongs to in[i]. */
static void record_gradients(const call *c, cr_tensor *const *in, cr_tensor *const *out,
                             int n_out, cr_tensor **grads)
{
    cr_tensor *ys[MOST_OUTPUTS], *cotangents[MOST_OUTPUTS];
    cr_tensor *xs[MOST_INPUTS], *found[MOST_INPUTS] = { 0 };
    int n_ys = 0, n_xs = 0;
    for (int i = 0; i < n_out; i++)
        if (is_float(out[i]) && cr_needs_grad(out[i])) {
            ys[n_ys] = out[i];
            cotangents[n_ys++] = cotangent_for(out[i]);
        }
    for (int i = 0; i < c->s.n; i++)
        if (wants_gradient(c, i))
            xs[n_xs++] = in[i];
    if (n_ys == 0 || n_xs == 0)
        return;
    cr_gradients(ys, n_ys, xs, n_xs, found, .cotangents = cotangents,
                 .allow_unused = true);
    for (int i = 0, j = 0; i < c->s.n; i++)
        if (wants_gradient(c, i))
            grads[i] = found[j++];
}

result run_call(const manner *m, const call *c)
{
    CR_SCOPE(m->ctx);
    result r = { 0 };
    cr_tensor *in[MOST_INPUTS] = { 0 }, *out[MOST_OUTPUTS] = { 0 };
    cr_tensor *grads[MOST_INPUTS] = { 0 }, *all[MOST_OUTPUTS + MOST_INPUTS];
    int n = 0;
    for (int i = 0; i < c->s.n; i++)
        if (c->s.in[i].kind != 'n')
            in[i] = presented(m, &c->in[i], wants_gradient(c, i));
    r.n = apply(m, c, in, out);
    if (r.n > 0)
        record_gradients(c, in, out, r.n, grads);
    for (int i = 0; i < r.n; i++)
        all[n++] = out[i];
    for (int i = 0; i < c->s.n; i++)
        if (grads[i])
            all[n++] = grads[i];
    if (!cr_error(m->ctx))
        cr_eval_at(all, n, CR_HERE);
    for (int i = 0; i < r.n && !cr_error(m->ctx); i++)
        r.out[i] = array_of(out[i]);
    for (int i = 0; i < c->s.n && !cr_error(m->ctx); i++)
        if (grads[i])
            r.grad[i] = array_of(grads[i]);
    r.status = cr_error(m->ctx);
    if (r.status)
        r.n = -1;
    snprintf(r.message, sizeof r.message, "%s", cr_message(m->ctx));
    cr_clear(m->ctx);
    return r;
}

bool run_definition(const call *c, array *out)
{
    ref_call ref = { .attrs = c->attrs ? c->attrs : "", .n = c->s.n, .in = c->in };
    bool found = ref_run(c->op->name, &ref);
    *out = ref.out;
    return found;
}

/* ---- comparing ---- */

static bool same_bits(double a, double b)
{
    uint64_t p, q;
    memcpy(&p, &a, sizeof p);
    memcpy(&q, &b, sizeof q);
    return p == q || (isnan(a) && isnan(b));
}

bool close_to(double a, double b, tolerance t)
{
    return same_bits(a, b) || a == b || fabs(a - b) <= t.atol + t.rtol * fabs(b);
}

bool same_array(const call *c, const char *what, const array *a, const array *b,
                tolerance t)
{
    bool exact = t.atol == 0 && t.rtol == 0;
    if (!same_dims(a->dims, b->dims) || (exact && a->dtype != b->dtype) ||
        !a->dtype != !b->dtype) {
        diag("  %s: %s: rank %d %s, and rank %d %s, or sizes differ", call_text(c), what,
             a->dims.n, cr_dtype_name(a->dtype), b->dims.n, cr_dtype_name(b->dtype));
        return false;
    }
    for (int64_t i = 0; i < a->numel && a->v; i++) {
        if (exact ? same_bits(a->v[i], b->v[i]) : close_to(a->v[i], b->v[i], t))
            continue;
        diag("  %s: %s, element %" PRId64 ": %.17g, and %.17g", call_text(c), what, i,
             a->v[i], b->v[i]);
        return false;
    }
    return true;
}

bool same_result(const call *c, const result *a, const result *b, tolerance t)
{
    if (a->n != b->n || (a->n < 0 && strcmp(a->message, b->message) != 0)) {
        diag("  %s: %s", call_text(c), a->n < 0 ? a->message : "it succeeded");
        diag("  %s: %s", call_text(c), b->n < 0 ? b->message : "it succeeded");
        return false;
    }
    bool same = true;
    for (int i = 0; i < a->n && same; i++)
        same = same_array(c, "result", &a->out[i], &b->out[i], t);
    for (int i = 0; i < c->s.n && same; i++)
        same = same_array(c, "gradient", &a->grad[i], &b->grad[i], t);
    return same;
}

const tolerance exactly = { 0, 0 };

bool same_in(const call *c, const manner *m, const manner *n, tolerance t)
{
    result a = run_call(m, c), b = run_call(n, c);
    bool same = same_result(c, &a, &b, t);
    free_result(&a);
    free_result(&b);
    return same;
}
