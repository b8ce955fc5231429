/* Losses with margins: of distances, of pairs and triplets, of several labels. Those of one
 * class are in loss_class.c. */
#include "loss.h"
#include "opaque.h"

#include <string.h>

/* ---- of numbers ---- */

typedef struct margin_attrs {
    cr_opt_real margin;
    cr_reduction reduction;
} margin_attrs;

#define MARGIN_ROWS(INITIAL)                                                \
    CR__ATTRS(CR__ATTR(margin_attrs, margin, OPT_REAL, .initial = INITIAL), \
              CR__REDUCTION_ROW(margin_attrs))

CR__EXPAND_LOSS(hinge_embedding_loss)
{
    const margin_attrs *attrs = attributes;
    const cr_op *op = &cr__op_hinge_embedding_loss;
    cr_tensor *x = inputs[0], *t;
    (void)n;
    if (!cr__loss_of_float(ctx, op, x) ||
        !(t = cr__loss_like(ctx, op, "target", inputs[1], x)))
        return NULL;
    cr_tensor *apart = cr_where(cr_ne(t, 1), cr_relu(cr_sub(attrs->margin.v, x)), 0);
    return cr__loss_reduced(cr_add(apart, cr_where(cr_ne(t, -1), x, 0)), attrs->reduction,
                            NULL);
}

CR__EXPAND_LOSS(margin_ranking_loss)
{
    const margin_attrs *attrs = attributes;
    const cr_op *op = &cr__op_margin_ranking_loss;
    cr_tensor *x = inputs[0], *y, *t;
    (void)n;
    if (!cr__loss_of_float(ctx, op, x) ||
        !(y = cr__loss_like(ctx, op, "other", inputs[1], x)) ||
        !(t = cr__loss_like(ctx, op, "target", inputs[2], x)))
        return NULL;
    x = cr_sub(attrs->margin.v, cr_mul(t, cr_sub(x, y)));
    return cr__loss_reduced(cr_relu(x), attrs->reduction, NULL);
}

/* x y / sqrt((x^2 + eps) (y^2 + eps)), by root mean squares, which overflow nowhere. */
static cr_tensor *cosine(cr_tensor *x, cr_tensor *y, double eps)
{
    const cr_dims last = CR_DIMS(-1);
    double size = (double)cr_size(x, -1);
    size = size > 0 ? size : 1;
    x = cr_mul(x, cr__rrms(x, last, eps / size));
    y = cr_mul(y, cr__rrms(y, last, eps / size));
    return cr_div(cr_sum(cr_mul(x, y), -1), size);
}

CR__EXPAND_LOSS(cosine_embedding_loss)
{
    const margin_attrs *attrs = attributes;
    const cr_op *op = &cr__op_cosine_embedding_loss;
    cr_tensor *x = inputs[0], *y = inputs[1], *t = inputs[2];
    const int rank = cr_ndim(t);
    (void)n;
    if (!cr__loss_of_float(ctx, op, x))
        return NULL;
    if (rank > 1 || cr_ndim(x) != rank + 1 || cr_ndim(y) != rank + 1) {
        cr__op_fail(
            ctx, op, CR_ERR_SHAPE, NULL,
            "x and y are [N, D] with target [N], or [D] with []; not %s, %s and %s",
            cr__shape_text(x), cr__shape_text(y), cr__shape_text(t));
        return NULL;
    }
    cr_tensor *cos = cosine(x, y, 1e-12);
    cr_tensor *apart = cr_relu(cr_sub(cos, attrs->margin.v));
    cr_tensor *loss = cr_where(cr_eq(t, -1), apart, 0);
    loss = cr_where(cr_eq(t, 1), cr_sub(1, cos), loss);
    return cr__loss_reduced(loss, attrs->reduction, NULL);
}

CR__LOSS(hinge_embedding_loss, 2, 2, "x,target", MARGIN_ROWS("1"), margin_attrs,
         "x where target is 1, max(0, margin - x) where it is -1",
         .samples = CR__SAMPLES({ "f[2,3]{-1,0.5} f[2,3]~=1,-1,-1", NULL },
                                { "f[4] f[4]~=1,-1", "margin=3,reduction=sum" },
                                { "f[5]=1,2,0,1,-3 f[5]~=-1,-1,-1,1,1 -> 0,0,-1,1,1",
                                  "reduction=none" },
                                { "f[2]{-1,0.5} i[2]=1,-1", NULL }))
CR__LOSS(margin_ranking_loss, 3, 3, "x,other,target", MARGIN_ROWS("0"), margin_attrs,
         "max(0, margin - target (x - other)), target being 1 or -1",
         .samples = CR__SAMPLES({ "f[2,3]{0,1} f[2,3]{2,3} f[2,3]~=1,-1", "margin=0.5" },
                                { "f[4] f[4]{3,4} f[4]~=1", "reduction=sum" },
                                { "f[3]=1,1,2 f[3]=1,0,0 f[3]~=1,-1,-1 -> 0,1,1 0,-1,-1",
                                  "reduction=none" }))
CR__LOSS(cosine_embedding_loss, 3, 3, "x,y,target", MARGIN_ROWS("0"), margin_attrs,
         "1 - cos where target is 1, max(0, cos - margin) where it is -1",
         .samples = CR__SAMPLES({ "f[3,4]{0.5,2} f[3,4]{0.5,2} f[3]~=1,-1,0", NULL },
                                { "f[2,4]{0.5,2} f[2,4]{0.5,2} i[2]=1,-1",
                                  "margin=0.1,reduction=none" },
                                { "f[3]{0.5,2} f[3]{0.5,2} i[]=-1", "reduction=sum" }))

static cr_tensor *margin_loss_at(const cr_op *op, cr_tensor *const *inputs, int n,
                                 const cr_margin_loss_opts *opts)
{
    margin_attrs attrs = { opts->margin, opts->reduction };
    cr__attrs_fill(NULL, op, &attrs);
    return cr__record_n(NULL, op, inputs, n, &attrs, opts->site);
}

cr_tensor *cr_hinge_embedding_loss_at(cr_tensor *x, cr_tensor *target,
                                      cr_margin_loss_opts opts)
{
    cr_tensor *inputs[] = { x, target };
    return margin_loss_at(&cr__op_hinge_embedding_loss, inputs, 2, &opts);
}

cr_tensor *cr_margin_ranking_loss_at(cr_tensor *x, cr_tensor *other, cr_tensor *target,
                                     cr_margin_loss_opts opts)
{
    cr_tensor *inputs[] = { x, other, target };
    return margin_loss_at(&cr__op_margin_ranking_loss, inputs, 3, &opts);
}

cr_tensor *cr_cosine_embedding_loss_at(cr_tensor *x, cr_tensor *y, cr_tensor *target,
                                       cr_margin_loss_opts opts)
{
    cr_tensor *inputs[] = { x, y, target };
    return margin_loss_at(&cr__op_cosine_embedding_loss, inputs, 3, &opts);
}

/* ---- of triplets ---- */

typedef struct triplet_attrs {
    double margin;
    cr_opt_real p, eps;
    bool swap;
    cr_reduction reduction;
} triplet_attrs;

/* Balntas et al., 2016, whose swap takes the nearer of both distances to the negative. */
CR__EXPAND_LOSS(triplet_margin_loss)
{
    const triplet_attrs *a = attributes;
    cr_tensor *anchor = inputs[0], *positive = inputs[1], *negative = inputs[2];
    (void)n;
    if (!cr__loss_of_float(ctx, &cr__op_triplet_margin_loss, anchor))
        return NULL;
    cr_tensor *near = cr_pairwise_distance(anchor, positive, .p = a->p, .eps = a->eps);
    cr_tensor *far = cr_pairwise_distance(anchor, negative, .p = a->p, .eps = a->eps);
    if (a->swap)
        far = cr_minimum(
            far, cr_pairwise_distance(positive, negative, .p = a->p, .eps = a->eps));
    cr_tensor *loss = cr_relu(cr_add(cr_sub(near, far), a->margin));
    return cr__loss_reduced(loss, a->reduction, NULL);
}

CR__LOSS(
    triplet_margin_loss, 3, 3, "anchor,positive,negative",
    CR__ATTRS(CR__ATTR(triplet_attrs, margin, REAL, .initial = "1",
                       .flags = CR_ATTR_POSITIVE),
              CR__ATTR(triplet_attrs, p, OPT_REAL, .initial = "2"),
              CR__ATTR(triplet_attrs, eps, OPT_REAL, .initial = "1e-6"),
              CR__ATTR(triplet_attrs, swap, BOOL, .initial = "false"),
              CR__REDUCTION_ROW(triplet_attrs)),
    triplet_attrs,
    "max(0, |anchor - positive| - |anchor - negative| + margin), distances of order p",
    .samples = CR__SAMPLES({ "f[3,4]{0,1} f[3,4]{2,3} f[3,4]{-2,-1}", NULL },
                           { "f[2,4]{0,1} f[2,4]{2,3} f[2,4]{-2,-1}",
                             "margin=4,p=3,swap=true,reduction=none" },
                           { "f[4]{0,1} f[4]{2,3} f[4]{-2,-1}",
                             "margin=9,reduction=sum" }))

cr_tensor *cr_triplet_margin_loss_at(cr_tensor *anchor, cr_tensor *positive,
                                     cr_tensor *negative, cr_triplet_margin_opts opts)
{
    cr_tensor *inputs[] = { anchor, positive, negative };
    triplet_attrs attrs = { opts.margin, opts.p, opts.eps, opts.swap, opts.reduction };
    cr__attrs_fill(NULL, &cr__op_triplet_margin_loss, &attrs);
    return cr__record_n(NULL, &cr__op_triplet_margin_loss, inputs, 3, &attrs, opts.site);
}

/* ---- smooth ---- */

CR__EXPAND_LOSS(soft_margin_loss)
{
    const cr__loss_attrs *attrs = attributes;
    const cr_op *op = &cr__op_soft_margin_loss;
    cr_tensor *t, *x = inputs[0];
    (void)n;
    if (!cr__loss_of_float(ctx, op, x) ||
        !(t = cr__loss_like(ctx, op, "target", inputs[1], x)))
        return NULL;
    x = cr_softplus(cr_neg(cr_mul(t, x)), .threshold = CR_REAL(40));
    return cr__loss_reduced(x, attrs->reduction, NULL);
}

/* The mean over classes, the last dimension, of cross entropies of sigmoids. */
CR__EXPAND_LOSS(multilabel_soft_margin_loss)
{
    const cr__loss_attrs *attrs = attributes;
    const cr_op *op = &cr__op_multilabel_soft_margin_loss;
    cr_tensor *x = inputs[0], *weight = cr__optional(inputs, n, 2);
    if (cr_ndim(x) == 0) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "x has no dimension of classes");
        return NULL;
    }
    x = cr_binary_cross_entropy_with_logits(x, inputs[1], .weight = weight,
                                            .reduction = CR_REDUCTION_NONE);
    return cr__loss_reduced(cr_mean(x, -1), attrs->reduction, NULL);
}

CR__LOSS(soft_margin_loss, 2, 2, "x,target", cr__loss_rows, cr__loss_attrs,
         "ln(1 + e^(-target x)), target being 1 or -1",
         .samples = CR__SAMPLES({ "f[2,3] f[2,3]~=1,-1", NULL },
                                { "f[4] f[4]", "reduction=none" },
                                { "f[3]=-inf,900,-900 f[3]~=1 -> -1,0,-1",
                                  "reduction=sum" }))
CR__LOSS(multilabel_soft_margin_loss, 2, 3, "x,target,weight", cr__loss_rows,
         cr__loss_attrs,
         "the mean over the last dimension of "
         "-(target ln s(x) + (1 - target) ln s(-x)) weight, s the sigmoid",
         .samples = CR__SAMPLES({ "f[2,3] f[2,3]{0,1}", NULL },
                                { "f[2,3] f[2,3]{0,1} f[3]{0.5,2}", "reduction=none" },
                                { "f[3] f[3]{0,1}", "reduction=sum" }),
         .call = "x,target,.weight,.reduction")

cr_tensor *cr_soft_margin_loss_at(cr_tensor *x, cr_tensor *target, cr_loss_opts opts)
{
    cr_tensor *inputs[] = { x, target };
    return cr__record_n(NULL, &cr__op_soft_margin_loss, inputs, 2,
                        &(cr__loss_attrs){ opts.reduction }, opts.site);
}

cr_tensor *cr_multilabel_soft_margin_loss_at(cr_tensor *x, cr_tensor *target,
                                             cr_weighted_loss_opts opts)
{
    cr_tensor *inputs[] = { x, target, opts.weight };
    return cr__record_n(NULL, &cr__op_multilabel_soft_margin_loss, inputs, 3,
                        &(cr__loss_attrs){ opts.reduction }, opts.site);
}

/* ---- multilabel_margin_loss ---- */

static cr_status check_labels(const cr_kernel *kernel)
{
    const cr_array *target = &kernel->in[kernel->n - 1];
    const int64_t end = -1, classes = target->dims.v[1];
    char place[160];
    int64_t found, i = cr__index_outside(target, classes, &end, &found);
    if (i < 0)
        return CR_OK;
    snprintf(kernel->message, kernel->capacity,
             "target %lld at %s is neither a class, 0..%lld, nor -1, which ends a row",
             (long long)found, cr__place_text(target, i, place, sizeof place),
             (long long)classes - 1);
    return CR_ERR_INDEX;
}

/* EACH for each label j of a row of targets and each class i that is none of them and does
 * not keep its margin: 1 - x[j] + x[i] > 0. */
#define EACH_PAIR(T, EACH)                                     \
    for (int64_t k = 0; k < classes; k++) {                    \
        int64_t j = cr__index_load(target, row * classes + k); \
        if (j < 0)                                             \
            break;                                             \
        for (int64_t i = 0; i < classes; i++) {                \
            T z = 1 - x[j] + x[i];                             \
            if (z > 0 && !is_label(target, row, classes, i))   \
                EACH                                           \
        }                                                      \
    }

static bool is_label(const cr_array *target, int64_t row, int64_t classes, int64_t i)
{
    for (int64_t k = 0; k < classes; k++) {
        int64_t j = cr__index_load(target, row * classes + k);
        if (j < 0 || j == i)
            return j == i;
    }
    return false;
}

#define LABEL_ROWS(T)                                                                   \
    static void T##_label_loss(T *out, const T *x, const cr_array *target, int64_t row, \
                               int64_t classes)                                         \
    {                                                                                   \
        T sum = 0;                                                                      \
        EACH_PAIR(T, sum += z;)                                                         \
        *out = sum / (T)classes;                                                        \
    }                                                                                   \
    static void T##_label_grad(T *out, T g, const T *x, const cr_array *target,         \
                               int64_t row, int64_t classes)                            \
    {                                                                                   \
        g /= (T)classes;                                                                \
        memset(out, 0, (size_t)classes * sizeof(T));                                    \
        EACH_PAIR(T, {                                                                  \
            out[i] += g;                                                                \
            out[j] -= g;                                                                \
        })                                                                              \
    }
LABEL_ROWS(float)
LABEL_ROWS(double)

static cr_status label_loss_kernel(const cr_kernel *kernel)
{
    const cr_array *x = &kernel->in[0], *target = &kernel->in[1];
    const int64_t classes = x->dims.v[1];
    for (int64_t row = 0; row < x->dims.v[0]; row++)
        if (x->dtype == CR_F32)
            float_label_loss((float *)kernel->out.data + row,
                             (const float *)x->data + row * classes, target, row,
                             classes);
        else
            double_label_loss((double *)kernel->out.data + row,
                              (const double *)x->data + row * classes, target, row,
                              classes);
    return CR_OK;
}

static cr_status label_grad_kernel(const cr_kernel *kernel)
{
    const cr_array *g = &kernel->in[0], *x = &kernel->in[1], *target = &kernel->in[2];
    const int64_t classes = x->dims.v[1];
    for (int64_t row = 0; row < x->dims.v[0]; row++)
        if (x->dtype == CR_F32)
            float_label_grad(
                (float *)kernel->out.data + row * classes, ((const float *)g->data)[row],
                (const float *)x->data + row * classes, target, row, classes);
        else
            double_label_grad((double *)kernel->out.data + row * classes,
                              ((const double *)g->data)[row],
                              (const double *)x->data + row * classes, target, row,
                              classes);
    return CR_OK;
}

/* x [N, C], target [N, C], to [N] or to [N, C]. */
static cr_status labels_shape(cr_infer *infer)
{
    const int at = infer->n - 2;
    cr_dims x = infer->in_dims[at];
    if (!cr__index_dtype(infer, at + 1))
        return CR_ERR_DTYPE;
    if (!cr__is_float(infer->in_dtype[at]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "x is %s, and no float", cr_dtype_name(infer->in_dtype[at]));
    if (x.n != 2 || !cr__dims_equal(x, infer->in_dims[at + 1]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "x and target are both [N, C] or [C], not %s and %s",
                           cr__dims_text(infer->ctx, x),
                           cr__dims_text(infer->ctx, infer->in_dims[at + 1]));
    infer->dims = at ? x : CR_DIMS(x.v[0]);
    return CR_OK;
}

static cr_tensor *label_grad(cr_tensor *g, cr_tensor *x, cr_tensor *target)
{
    cr_tensor *inputs[] = { g, x, target };
    return cr__record_n(NULL, &cr__op_label_grad, inputs, 3, NULL, CR_HERE);
}

static void label_loss_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = label_grad(g, cr_input(out, 0), cr_input(out, 1));
}

/* Linear in the cotangent, and constant in x wherever it is differentiable. */
static void label_grad_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 1);
    if (cr__wants_grad(out, 0)) {
        cr_tensor *ones = cr_ones_like(cr_input(out, 0));
        down[0] = cr_sum(cr_mul(g, label_grad(ones, x, cr_input(out, 2))), 1);
    }
    if (cr__wants_grad(out, 1))
        down[1] = cr_zeros_like(x);
}

#define LABELS(NAME, N, INPUTS, READS, DOC, ...) \
    CR__OP(NAME) = {                             \
        .name = #NAME,                           \
        .doc = DOC,                              \
        .kind = CR_OP_OPAQUE,                    \
        .widens = true,                          \
        .min_inputs = N,                         \
        .max_inputs = N,                         \
        .inputs = INPUTS,                        \
        .shape = labels_shape,                   \
        .vjp = NAME##_vjp,                       \
        .reads = READS,                          \
        .kernel = NAME##_kernel,                 \
        .check = check_labels,                   \
        .checks = CR_READS_INPUT(N - 1),         \
        .samples = CR__SAMPLES(__VA_ARGS__),     \
    };
LABELS(label_loss, 2, "x,target", CR_READS_INPUT(0) | CR_READS_INPUT(1),
       "the sum over labels j and other classes i of max(0, 1 - x[j] + x[i]) / C",
       { "f[2,3]{0,0.9} i[2,3]=0,-1,1,2,1,-1", NULL })
LABELS(label_grad, 3, "grad,x,target",
       CR_READS_INPUT(0) | CR_READS_INPUT(1) | CR_READS_INPUT(2),
       "what label_loss sends down", { "f[2] f[2,3]{0,0.9} i[2,3]=0,-1,1,2,1,-1", NULL })

CR__EXPAND_LOSS(multilabel_margin_loss)
{
    const cr__loss_attrs *attrs = attributes;
    const bool one = cr_ndim(inputs[0]) == 1 && cr_ndim(inputs[1]) == 1;
    cr_tensor *both[] = { one ? cr_unsqueeze(inputs[0], 0) : inputs[0],
                          one ? cr_unsqueeze(inputs[1], 0) : inputs[1] };
    (void)n;
    cr_tensor *loss = cr__record_n(ctx, &cr__op_label_loss, both, 2, NULL, CR_HERE);
    return cr__loss_reduced(one ? cr_squeeze(loss, 0) : loss, attrs->reduction, NULL);
}

CR__LOSS(multilabel_margin_loss, 2, 2, "x,target", cr__loss_rows, cr__loss_attrs,
         "the sum over labels j, up to the first -1, and other classes i of "
         "max(0, 1 - x[j] + x[i]) / C",
         .samples = CR__SAMPLES(
             { "f[2,3]{0,0.9} i[2,3]=0,-1,1,2,1,-1", NULL },
             { "f[2,4]{0,0.9} i[2,4]=0,3,3,-1,-1,0,1,2", "reduction=none" },
             { "f[3]{0,0.9} i[3]=1,-1,0", "reduction=sum" },
             { "f[1,3]=1,0,5 i[1,3]=0,-1,0 -> -0.3333333333333333,0,0.3333333333333333",
               NULL }))

cr_tensor *cr_multilabel_margin_loss_at(cr_tensor *x, cr_tensor *target,
                                        cr_loss_opts opts)
{
    cr_tensor *inputs[] = { x, target };
    return cr__record_n(NULL, &cr__op_multilabel_margin_loss, inputs, 2,
                        &(cr__loss_attrs){ opts.reduction }, opts.site);
}
