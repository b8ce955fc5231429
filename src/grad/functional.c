/* Products with Jacobians and Hessians, and these themselves: made of cr_gradients(). A
 * product from the right is that from the left of the product from the left: g(w) =
 * w^T J is linear in w, so that the gradient of its product with v is J v. */
#include "grad.h"

#include <string.h>

/* What one call is about. Sites of what is recorded are the caller's. */
typedef struct product_call {
    cr_ctx *ctx;
    const char *what;
    cr_tensor *const *ys, *const *xs;
    int n_ys, n_xs;
    const cr_product_opts *opts;
    const char *site; /* the context's, to be restored */
    cr_tensor **memory;
} product_call;

/* ---- arguments ---- */

static bool check_floats(const product_call *p, cr_tensor *const *xs, int n,
                         const char *list)
{
    char label[48];
    for (int i = 0; i < n; i++) {
        snprintf(label, sizeof label, n > 1 ? "%s: %s[%d]" : "%s: %s", p->what, list, i);
        if (!cr__usable(p->ctx, xs ? xs[i] : NULL, label, p->opts->site))
            return false;
        if (cr__is_float((cr_dtype)xs[i]->dtype))
            continue;
        cr__grad_fail(p->ctx, CR_ERR_GRAD, p->what, p->opts->site, NULL,
                      "%s[%d] is %s, and only floats have gradients", list, i,
                      cr_dtype_name((cr_dtype)xs[i]->dtype));
        return false;
    }
    return true;
}

/* vs, one for each of the xs, are like them. */
static bool check_vectors(const product_call *p, cr_tensor *const *vs,
                          cr_tensor *const *xs, int n, const char *list)
{
    if (!check_floats(p, vs, n, list))
        return false;
    for (int i = 0; i < n; i++) {
        if (cr__same_type(vs[i], xs[i]))
            continue;
        cr__grad_fail(p->ctx, vs[i]->dtype == xs[i]->dtype ? CR_ERR_SHAPE : CR_ERR_DTYPE,
                      p->what, p->opts->site,
                      "each is like the tensor that it belongs to",
                      "%s[%d] is %s %s, its tensor %s %s", list, i,
                      cr_dtype_name((cr_dtype)vs[i]->dtype), cr__shape_text(vs[i]),
                      cr_dtype_name((cr_dtype)xs[i]->dtype), cr__shape_text(xs[i]));
        return false;
    }
    return true;
}

static bool check_scalar(const product_call *p, const cr_tensor *y)
{
    if (cr__numel(y) == 1)
        return true;
    cr__grad_fail(p->ctx, CR_ERR_GRAD, p->what, p->opts->site,
                  "it has second derivatives with respect to one number",
                  "y is not a scalar: its shape is %s", cr__shape_text(y));
    return false;
}

/* Finds the context, checks ys and xs, and obtains room for n tensors. */
static bool begin_product(product_call *p, size_t n)
{
    for (int i = 0; i < p->n_ys && p->ys && !p->ctx; i++)
        p->ctx = p->ys[i] ? p->ys[i]->ctx : NULL;
    for (int i = 0; i < p->n_xs && p->xs && !p->ctx; i++)
        p->ctx = p->xs[i] ? p->xs[i]->ctx : NULL;
    if (!p->ctx || p->ctx->status != CR_OK || !cr__may_change(p->ctx, p->what))
        return false;
    p->site = p->ctx->site;
    if (p->n_ys < 1 || p->n_xs < 1) {
        cr__grad_fail(p->ctx, CR_ERR_ARGUMENT, p->what, p->opts->site, NULL,
                      "%d ys and %d xs", p->n_ys, p->n_xs);
        return false;
    }
    if (!cr__may_walk(p->ctx, p->what, p->opts->site) ||
        !check_floats(p, p->ys, p->n_ys, p->n_ys > 1 ? "ys" : "y") ||
        !check_floats(p, p->xs, p->n_xs, p->n_xs > 1 ? "xs" : "x"))
        return false;
    p->memory = cr__pooled_new(p->ctx, n * sizeof *p->memory);
    if (!p->memory)
        return false;
    memset(p->memory, 0, n * sizeof *p->memory);
    p->ctx->site = p->opts->site;
    return true;
}

/* Fills in out, which may be the memory of arguments. */
static cr_status end_product(product_call *p, cr_tensor *const *found, int n,
                             cr_tensor **out)
{
    cr_status status = !p->ctx ? CR_ERR_NULL : p->ctx->status;
    if (p->ctx && p->memory)
        p->ctx->site = p->site;
    for (int i = 0; i < n && out; i++)
        out[i] = status == CR_OK ? found[i] : NULL;
    if (p->ctx)
        cr__pooled_free(p->memory);
    return status;
}

/* ---- gradients ---- */

/* Those of ys with respect to xs. What does not depend on one has zeros, unless that is an
 * error. */
static bool differentiate_all(const product_call *p, cr_tensor *const *ys, int n_ys,
                              cr_tensor *const *cotangents, cr_tensor *const *xs,
                              int n_xs, bool create_graph, bool retain_graph,
                              cr_tensor **out)
{
    cr_gradients_opts opts = { .site = p->opts->site,
                               .cotangents = cotangents,
                               .create_graph = create_graph,
                               .retain_graph = retain_graph,
                               .allow_unused = !p->opts->strict };
    return cr_gradients_at(ys, n_ys, xs, n_xs, out, opts) == CR_OK;
}

static bool fill_zeros(const product_call *p, cr_tensor *const *xs, int n,
                       cr_tensor **out)
{
    for (int i = 0; i < n && p->ctx->status == CR_OK; i++)
        if (!out[i])
            out[i] = cr_full_like_at(xs[i], cr_arg_int(0), p->opts->site);
    return p->ctx->status == CR_OK;
}

/* Those that are there move to the front, of a, and of b beside it; how many. */
static int pack_pairs(cr_tensor **a, cr_tensor **b, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!a[i])
            continue;
        a[count] = a[i];
        b[count++] = b[i];
    }
    return count;
}

/* ---- products ---- */

cr_status cr_vjp_at(cr_tensor *const *ys, int n_ys, cr_tensor *const *xs, int n_xs,
                    cr_tensor *const *cotangents, cr_tensor **out, cr_product_opts opts)
{
    product_call p = {
        .what = "vjp", .ys = ys, .xs = xs, .n_ys = n_ys, .n_xs = n_xs, .opts = &opts
    };
    bool begun = begin_product(&p, n_xs > 0 ? (size_t)n_xs : 1);
    if (begun && (!cotangents || check_vectors(&p, cotangents, ys, n_ys, "cotangents")) &&
        differentiate_all(&p, ys, n_ys, cotangents, xs, n_xs, opts.create_graph,
                          opts.retain_graph, p.memory))
        (void)fill_zeros(&p, xs, n_xs, p.memory);
    return end_product(&p, p.memory, n_xs, out);
}

/* w, like y, by which it is multiplied: zeros will do, nothing reads them. */
static cr_tensor *dummy(const product_call *p, cr_tensor *y)
{
    return cr_requires_grad_at(cr_full_like_at(y, cr_arg_int(0), p->opts->site), true,
                               p->opts->site);
}

static bool find_jvp(const product_call *p, cr_tensor *const *tangents)
{
    cr_tensor **out = p->memory, **w = out + p->n_ys, **g = w + p->n_ys,
              **v = g + p->n_xs;
    for (int i = 0; i < p->n_ys; i++)
        if (!(w[i] = dummy(p, p->ys[i])))
            return false;
    if (!differentiate_all(p, p->ys, p->n_ys, w, p->xs, p->n_xs, true, true, g))
        return false;
    memcpy(v, tangents, (size_t)p->n_xs * sizeof *v);
    int n = pack_pairs(g, v, p->n_xs);
    if (n) {
        cr_gradients_opts opts = { .site = p->opts->site,
                                   .cotangents = v,
                                   .create_graph = p->opts->create_graph,
                                   .retain_graph = true,
                                   .allow_unused = true };
        if (cr_gradients_at(g, n, w, p->n_ys, out, opts))
            return false;
    }
    return fill_zeros(p, p->ys, p->n_ys, out);
}

cr_status cr_jvp_at(cr_tensor *const *ys, int n_ys, cr_tensor *const *xs, int n_xs,
                    cr_tensor *const *tangents, cr_tensor **out, cr_product_opts opts)
{
    product_call p = {
        .what = "jvp", .ys = ys, .xs = xs, .n_ys = n_ys, .n_xs = n_xs, .opts = &opts
    };
    size_t room = n_ys > 0 && n_xs > 0 ? 2 * ((size_t)n_ys + (size_t)n_xs) : 1;
    if (begin_product(&p, room) && check_vectors(&p, tangents, xs, n_xs, "tangents"))
        (void)find_jvp(&p, tangents);
    return end_product(&p, p.memory, n_ys, out);
}

static bool find_hvp(const product_call *p, cr_tensor *const *vectors)
{
    cr_tensor **out = p->memory, **g = out + p->n_xs, **v = g + p->n_xs;
    if (!differentiate_all(p, p->ys, 1, NULL, p->xs, p->n_xs, true, true, g))
        return false;
    memcpy(v, vectors, (size_t)p->n_xs * sizeof *v);
    int n = pack_pairs(g, v, p->n_xs);
    if (n && !differentiate_all(p, g, n, v, p->xs, p->n_xs, p->opts->create_graph,
                                p->opts->retain_graph, out))
        return false;
    return fill_zeros(p, p->xs, p->n_xs, out);
}

cr_status cr_hvp_at(cr_tensor *y, cr_tensor *const *xs, int n_xs,
                    cr_tensor *const *vectors, cr_tensor **out, cr_product_opts opts)
{
    product_call p = {
        .what = "hvp", .ys = &y, .xs = xs, .n_ys = 1, .n_xs = n_xs, .opts = &opts
    };
    if (begin_product(&p, n_xs > 0 ? 3 * (size_t)n_xs : 1) && check_scalar(&p, y) &&
        check_vectors(&p, vectors, xs, n_xs, "vectors"))
        (void)find_hvp(&p, vectors);
    return end_product(&p, p.memory, n_xs, out);
}

/* ---- matrices ---- */

cr_tensor *cr__unit_vector(cr_tensor *y, int64_t i, const char *site)
{
    cr_make_opts make = { .site = site, .dtype = CR_I64 };
    cr_tensor *places = cr_arange_at(y->ctx, cr_arg_int(0), cr_arg_int(cr__numel(y)),
                                     cr_arg_int(1), make);
    cr_tensor *one = cr_cast_at(cr_eq_at(cr_arg_tensor(places), cr_arg_int(i), site),
                                (cr_dtype)y->dtype, site);
    return cr_reshape_at(one, cr_shape(y), site);
}

/* The dims of y, then those of x. */
static bool matrix_dims(const product_call *p, const cr_tensor *y, const cr_tensor *x,
                        cr_dims *dims)
{
    *dims = cr_shape(y);
    if (y->shape->ndim + x->shape->ndim > CR_MAX_DIMS) {
        cr__grad_fail(p->ctx, CR_ERR_SHAPE, p->what, p->opts->site,
                      "cr_reshape() merges dims",
                      "it has the dims of %s and of %s, more than %d in all",
                      cr__shape_text(y), cr__shape_text(x), CR_MAX_DIMS);
        return false;
    }
    for (int d = 0; d < x->shape->ndim; d++)
        dims->v[dims->n++] = x->shape->dims[d];
    return true;
}

/* A row for each element of y. */
static cr_tensor *find_jacobian(const product_call *p, cr_tensor *y, cr_tensor *x,
                                bool retain_graph)
{
    cr_dims dims;
    const int64_t n = cr__numel(y);
    cr_tensor *jacobian = NULL, **rows;
    const cr_make_opts like = { .site = p->opts->site, .dtype = (cr_dtype)x->dtype };
    if (!matrix_dims(p, y, x, &dims))
        return NULL;
    if (n > INT32_MAX) {
        cr__grad_fail(p->ctx, CR_ERR_ARGUMENT, p->what, p->opts->site, NULL,
                      "y has %lld elements: a row for each", (long long)n);
        return NULL;
    }
    if (!n || !(rows = cr__pooled_new(p->ctx, (size_t)n * sizeof *rows)))
        return n ? NULL : cr_full_at(p->ctx, dims, cr_arg_int(0), like);
    bool any = true;
    for (int64_t i = 0; i < n && any && p->ctx->status == CR_OK; i++) {
        cr_tensor *v = cr__unit_vector(y, i, p->opts->site);
        bool more = retain_graph || i + 1 < n;
        if (v &&
            differentiate_all(p, &y, 1, &v, &x, 1, p->opts->create_graph, more, &rows[i]))
            any = rows[i];
    }
    if (p->ctx->status == CR_OK && !any)
        jacobian = cr_full_at(p->ctx, dims, cr_arg_int(0), like);
    else if (p->ctx->status == CR_OK)
        jacobian = cr_reshape_at(cr_stack_at(rows, (int)n, 0, p->opts->site), dims,
                                 p->opts->site);
    cr__pooled_free(rows);
    return jacobian;
}

cr_tensor *cr_jacobian_at(cr_tensor *y, cr_tensor *x, cr_product_opts opts)
{
    product_call p = {
        .what = "jacobian", .ys = &y, .xs = &x, .n_ys = 1, .n_xs = 1, .opts = &opts
    };
    cr_tensor *jacobian = NULL;
    if (begin_product(&p, 1))
        p.memory[0] = find_jacobian(&p, y, x, opts.retain_graph);
    (void)end_product(&p, p.memory, 1, &jacobian);
    return jacobian;
}

static cr_tensor *find_hessian(const product_call *p, cr_tensor *y, cr_tensor *x)
{
    cr_dims dims;
    cr_tensor *g = NULL;
    const cr_make_opts like = { .site = p->opts->site, .dtype = (cr_dtype)x->dtype };
    if (!check_scalar(p, y) || !matrix_dims(p, x, x, &dims) ||
        !differentiate_all(p, &y, 1, NULL, &x, 1, true, true, &g))
        return NULL;
    return g ? find_jacobian(p, g, x, p->opts->retain_graph)
             : cr_full_at(p->ctx, dims, cr_arg_int(0), like);
}

cr_tensor *cr_hessian_at(cr_tensor *y, cr_tensor *x, cr_product_opts opts)
{
    product_call p = {
        .what = "hessian", .ys = &y, .xs = &x, .n_ys = 1, .n_xs = 1, .opts = &opts
    };
    cr_tensor *hessian = NULL;
    if (begin_product(&p, 1))
        p.memory[0] = find_hessian(&p, y, x);
    (void)end_product(&p, p.memory, 1, &hessian);
    return hessian;
}
