/* Losses of classes: nll_loss, cross_entropy, multi_margin_loss. They are composed of
 * log_softmax and three operations that read class indices: class_pick, its adjoint
 * class_place, and class_weights. */
#include "loss.h"
#include "opaque.h"

#include <string.h>

/* ---- reading class indices ---- */

/* Class indices of shape [N, ..] into something of shape [N, classes, ..], the classes
 * being dimension dim. */
typedef struct class_attrs {
    int64_t dim, classes, ignore_index;
} class_attrs;

static cr_status check_targets(const cr_kernel *kernel)
{
    const class_attrs *attrs = kernel->attrs;
    const cr_array *target = &kernel->in[1];
    char place[160];
    int64_t found,
        i = cr__index_outside(target, attrs->classes, &attrs->ignore_index, &found);
    if (i < 0)
        return CR_OK;
    snprintf(kernel->message, kernel->capacity,
             "target %lld at %s is not a class: 0..%lld", (long long)found,
             cr__place_text(target, i, place, sizeof place),
             (long long)attrs->classes - 1);
    return CR_ERR_INDEX;
}

/* The place of target i's class in [outer, classes, inner]; -1: ignored. */
CR__INLINE int64_t class_place_of(const class_attrs *attrs, const cr_array *target,
                                  int64_t i, int64_t inner)
{
    int64_t at = cr__index_load(target, i);
    if (at == attrs->ignore_index)
        return -1;
    return (i / inner * attrs->classes + at) * inner + i % inner;
}

static int64_t inner_of(const cr_array *x, int64_t dim)
{
    int64_t inner = 1;
    for (int64_t i = dim + 1; i < x->dims.n; i++)
        inner *= x->dims.v[i];
    return inner;
}

static cr_status class_pick_kernel(const cr_kernel *kernel)
{
    const class_attrs *attrs = kernel->attrs;
    const cr_array *x = &kernel->in[0], *target = &kernel->in[1];
    int64_t inner = inner_of(x, attrs->dim);
    for (int64_t i = 0; i < target->numel; i++) {
        int64_t place = class_place_of(attrs, target, i, inner);
        if (x->dtype == CR_F32)
            ((float *)kernel->out.data)[i] =
                place < 0 ? 0 : -((const float *)x->data)[place];
        else
            ((double *)kernel->out.data)[i] =
                place < 0 ? 0 : -((const double *)x->data)[place];
    }
    return CR_OK;
}

typedef struct class_job {
    const cr_kernel *kernel;
    int64_t outer, inner, chunks;
} class_job;

static void place_chunk(void *arg, int64_t chunk, int worker)
{
    const class_job *job = arg;
    const class_attrs *attrs = job->kernel->attrs;
    const cr_array *g = &job->kernel->in[0], *target = &job->kernel->in[1];
    char *out = job->kernel->out.data;
    int64_t size = (int64_t)cr_dtype_size(g->dtype), begin, end;
    int64_t row = attrs->classes * job->inner * size;
    (void)worker;
    cr__part(job->outer, 1, chunk, job->chunks, &begin, &end);
    memset(out + begin * row, 0, (size_t)((end - begin) * row));
    for (int64_t i = begin * job->inner; i < end * job->inner; i++) {
        int64_t place = class_place_of(attrs, target, i, job->inner);
        if (place >= 0 && g->dtype == CR_F32)
            ((float *)(void *)out)[place] = -((const float *)g->data)[i];
        else if (place >= 0)
            ((double *)(void *)out)[place] = -((const double *)g->data)[i];
    }
}

static cr_status class_place_kernel(const cr_kernel *kernel)
{
    const class_attrs *attrs = kernel->attrs;
    const cr_array *target = &kernel->in[1];
    class_job job = { .kernel = kernel, .inner = inner_of(&kernel->out, attrs->dim) };
    if (kernel->out.numel == 0)
        return CR_OK;
    job.outer = target->numel / job.inner;
    job.chunks = cr__kernel_chunks(kernel, kernel->out.numel / 8, job.outer);
    cr_kernel_chunks(kernel, job.chunks, place_chunk, &job);
    return CR_OK;
}

/* The same where a program makes it: what is placed, of classes without dims behind them. */
typedef struct placed_class {
    const void *target, *g;
    cr_dtype index, dtype;
    int64_t classes, ignored;
} placed_class;

static void placed_elements(void *dst, const void *const *src, const int64_t *step,
                            int64_t n)
{
    const placed_class *p = src[1];
    const cr_array target = { .data = (void *)(uintptr_t)p->target, .dtype = p->index };
    const class_attrs attrs = { .classes = p->classes, .ignore_index = p->ignored };
    const int64_t start = *(const int64_t *)src[0];
    (void)step;
    memset(dst, 0, (size_t)n * cr_dtype_size(p->dtype));
    for (int64_t i = start / p->classes; i * p->classes < start + n; i++) {
        const int64_t at = class_place_of(&attrs, &target, i, 1) - start;
        if (at < 0 || at >= n)
            continue;
        if (p->dtype == CR_F32)
            ((float *)dst)[at] = -((const float *)p->g)[i];
        else
            ((double *)dst)[at] = -((const double *)p->g)[i];
    }
}

static cr__map_fn *class_place_elements(const cr_tensor *x)
{
    const class_attrs *attrs = x->attrs;
    return attrs->dim == x->shape->ndim - 1 ? placed_elements : NULL;
}

static void class_place_source(const cr_tensor *x, const void *const *in, void *to)
{
    const class_attrs *attrs = x->attrs;
    *(placed_class *)to = (placed_class){ .g = in[0],
                                          .target = in[1],
                                          .index = (cr_dtype)cr__input(x, 1)->dtype,
                                          .dtype = (cr_dtype)x->dtype,
                                          .classes = attrs->classes,
                                          .ignored = attrs->ignore_index };
}

static cr_status class_weights_kernel(const cr_kernel *kernel)
{
    const class_attrs *attrs = kernel->attrs;
    const cr_array *target = &kernel->in[1];
    const float *weight_f32 = kernel->in[0].data;
    const double *weight_f64 = kernel->in[0].data;
    for (int64_t i = 0; i < target->numel; i++) {
        int64_t at = cr__index_load(target, i);
        bool counts = at != attrs->ignore_index;
        if (kernel->out.dtype == CR_F32)
            ((float *)kernel->out.data)[i] = counts ? weight_f32[at] : 0;
        else
            ((double *)kernel->out.data)[i] = counts ? weight_f64[at] : 0;
    }
    return CR_OK;
}

/* The target's shape with the classes, which x has; an error if it has not. */
static cr_status shape_of_classes(cr_infer *infer, cr_dims *dims)
{
    const class_attrs *attrs = infer->attrs;
    *dims = infer->in_dims[1];
    if (!cr__index_dtype(infer, 1))
        return CR_ERR_DTYPE;
    if (!cr__is_float(infer->in_dtype[0]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "floats are wanted, not %s",
                           cr_dtype_name(infer->in_dtype[0]));
    if (dims->n == CR_MAX_DIMS || attrs->dim < 0 || attrs->dim > dims->n ||
        attrs->classes < 0)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "%lld classes along dim %lld do not fit targets %s",
                           (long long)attrs->classes, (long long)attrs->dim,
                           cr__dims_text(infer->ctx, *dims));
    cr__dims_insert(dims, (int)attrs->dim, attrs->classes);
    return CR_OK;
}

static cr_status misfit(cr_infer *infer)
{
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                       "shapes %s and %s do not fit each other",
                       cr__dims_text(infer->ctx, infer->in_dims[0]),
                       cr__dims_text(infer->ctx, infer->in_dims[1]));
}

static cr_status class_pick_shape(cr_infer *infer)
{
    cr_dims dims;
    cr_status status = shape_of_classes(infer, &dims);
    if (status == CR_OK && !cr__dims_equal(dims, infer->in_dims[0]))
        status = misfit(infer);
    infer->dims = infer->in_dims[1];
    return status;
}

static cr_status class_place_shape(cr_infer *infer)
{
    cr_dims dims;
    cr_status status = shape_of_classes(infer, &dims);
    if (status == CR_OK && !cr__dims_equal(infer->in_dims[1], infer->in_dims[0]))
        status = misfit(infer);
    infer->dims = dims;
    return status;
}

static cr_status class_weights_shape(cr_infer *infer)
{
    cr_dims dims;
    const class_attrs *attrs = infer->attrs;
    cr_status status = shape_of_classes(infer, &dims);
    if (status == CR_OK && !cr__dims_equal(CR_DIMS(attrs->classes), infer->in_dims[0]))
        status = misfit(infer);
    infer->dims = infer->in_dims[1];
    return status;
}

static void class_vjp(const cr_op *adjoint, cr_tensor *out, cr_tensor *g,
                      cr_tensor **down)
{
    cr_tensor *inputs[] = { g, cr_input(out, 1) };
    down[0] = cr__record_n(NULL, adjoint, inputs, 2, cr_attrs(out), CR_HERE);
}

static void class_pick_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    class_vjp(&cr__op_class_place, out, g, down);
}

static void class_place_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    class_vjp(&cr__op_class_pick, out, g, down);
}

static const cr_attr class_rows[] = {
    CR__ATTR(class_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(class_attrs, classes, INT, .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(class_attrs, ignore_index, INT, .initial = "-100",
             .flags = CR_ATTR_POSITIONAL),
    CR__ATTRS_END,
};
CR__OP(class_pick) = {
    .name = "class_pick",
    .doc = "-x at the class of each target, 0 where it is ignored",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,target",
    .attrs = class_rows,
    .attrs_size = sizeof(class_attrs),
    .shape = class_pick_shape,
    .vjp = class_pick_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = class_pick_kernel,
    .check = check_targets,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[4,3] i[4]{0,3}", "dim=1,classes=3" },
                           { "f[2,3,2] i[2,2]{0,3}", "dim=1,classes=3,ignore_index=1" },
                           { "f[3] i[]{0,3}", "dim=0,classes=3" }),
};
CR__OP(class_place) = {
    .name = "class_place",
    .doc =
        "-x placed at the class of each target, 0 elsewhere: the adjoint of class_pick",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,target",
    .attrs = class_rows,
    .attrs_size = sizeof(class_attrs),
    .shape = class_place_shape,
    .vjp = class_place_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = class_place_kernel,
    .internal = &(const cr__opaque_info){ .elements = class_place_elements,
                                          .source = class_place_source },
    .check = check_targets,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[4] i[4]{0,3}", "dim=1,classes=3" },
                           { "f[2,2] i[2,2]{0,3}", "dim=1,classes=3,ignore_index=1" },
                           { "f[] i[]{0,3}", "dim=0,classes=3" }),
};
CR__OP(class_weights) = {
    .name = "class_weights",
    .doc = "the weight of the class of each target, 0 where it is ignored",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "weight,target",
    .attrs = class_rows,
    .attrs_size = sizeof(class_attrs),
    .shape = class_weights_shape,
    .kernel = class_weights_kernel,
    .check = check_targets,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[3]~ i[4]{0,3}", "dim=1,classes=3" },
                           { "f[3]~ i[2,2]{0,3}", "dim=1,classes=3,ignore_index=1" }),
};

/* ---- nll_loss, cross_entropy ---- */

typedef struct class_loss_attrs {
    cr_opt_int ignore_index;
    cr_reduction reduction;
    double label_smoothing;
} class_loss_attrs;

/* One call of either. */
typedef struct class_loss {
    cr_ctx *ctx;
    const cr_op *op;
    const class_loss_attrs *attrs;
    cr_tensor *x, *target, *weight; /* weight: [classes] or NULL */
    class_attrs classes;
} class_loss;

static bool bad(class_loss *c, cr_status status, const char *advice, const char *what)
{
    cr__op_fail(c->ctx, c->op, status, advice, "%s: x is %s %s, target %s %s", what,
                cr_dtype_name(cr_dtype_of(c->x)), cr__shape_text(c->x),
                cr_dtype_name(cr_dtype_of(c->target)), cr__shape_text(c->target));
    return false;
}

static bool class_loss_begin(class_loss *c, cr_tensor *const *inputs, int n)
{
    c->x = inputs[0];
    c->target = inputs[1];
    c->weight = cr__optional(inputs, n, 2);
    int rank = cr_ndim(c->x);
    if (!cr__is_float(cr_dtype_of(c->x)))
        return bad(c, CR_ERR_DTYPE, "cr_cast() converts", "x is no float");
    if (rank == 0)
        return bad(c, CR_ERR_SHAPE, NULL, "x is [N, C, ..] or [C]");
    c->classes = (class_attrs){ .dim = rank > 1 };
    c->classes.classes = cr_size(c->x, (int)c->classes.dim);
    c->classes.ignore_index =
        c->attrs->ignore_index.given ? c->attrs->ignore_index.v : INT64_MIN;
    if (c->weight &&
        (cr_ndim(c->weight) != 1 || cr_size(c->weight, 0) != c->classes.classes ||
         cr_dtype_of(c->weight) != cr_dtype_of(c->x))) {
        cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                    "weight is %s %s, and x has %lld classes of %s",
                    cr_dtype_name(cr_dtype_of(c->weight)), cr__shape_text(c->weight),
                    (long long)c->classes.classes, cr_dtype_name(cr_dtype_of(c->x)));
        return false;
    }
    return true;
}

/* Whether target holds class indices, shaped like x without its classes. */
static bool are_indices(class_loss *c)
{
    cr_dims want = cr_shape(c->x);
    cr__dims_remove(&want, (int)c->classes.dim);
    if (!cr__is_int(cr_dtype_of(c->target)))
        return bad(c, CR_ERR_DTYPE, "cr_cast() converts",
                   "class indices are i64, i32 or u8");
    if (!cr__dims_equal(cr_shape(c->target), want))
        return bad(c, CR_ERR_SHAPE, NULL,
                   "target is shaped like x without the dimension of classes");
    return true;
}

/* The weights as something that broadcasts to x. */
static cr_tensor *along_classes(const class_loss *c)
{
    cr_dims dims = cr_shape(c->weight);
    while (dims.n < cr_ndim(c->x) - (int)c->classes.dim)
        dims.v[dims.n++] = 1;
    return cr_reshape(c->weight, dims);
}

/* -sum over classes of weight l, of log-probabilities or what stands for them. */
static cr_tensor *over_classes(const class_loss *c, cr_tensor *l)
{
    if (c->weight)
        l = cr_mul(l, along_classes(c));
    return cr_neg(cr_sum(l, c->classes.dim));
}

static cr_tensor *at_targets(const class_loss *c, const cr_op *op, cr_tensor *x)
{
    cr_tensor *inputs[] = { x, c->target };
    return cr__record_n(c->ctx, op, inputs, 2, &c->classes, CR_HERE);
}

/* Which targets count; NULL: all, since none can be the one to ignore. */
static cr_tensor *counted(const class_loss *c)
{
    uint64_t bits;
    cr_arg ignored = cr_arg_int(c->classes.ignore_index);
    if (!c->attrs->ignore_index.given ||
        !cr__number_store(ignored, cr_dtype_of(c->target), &bits))
        return NULL;
    return cr_ne_at(cr_arg_tensor(c->target), ignored, CR_HERE);
}

/* The weighted losses of all targets, reduced; the mean divides by the weights, which are
 * 1 if not given. */
static cr_tensor *weighted(const class_loss *c, cr_tensor *loss, cr_tensor *weights,
                           cr_tensor *counts)
{
    cr_tensor *total = NULL;
    if (c->attrs->reduction == CR_REDUCTION_MEAN && (weights || counts))
        total = cr_sum(weights ? weights : counts);
    if (total && !weights)
        total = cr_cast(total, cr_dtype_of(c->x));
    return cr__loss_reduced(loss, c->attrs->reduction, total);
}

/* The loss of log-probabilities l at class indices. */
static cr_tensor *at_indices(const class_loss *c, cr_tensor *l)
{
    double smoothing = c->attrs->label_smoothing;
    cr_tensor *weights =
        c->weight ? at_targets(c, &cr__op_class_weights, c->weight) : NULL;
    cr_tensor *counts = counted(c), *loss = at_targets(c, &cr__op_class_pick, l);
    loss = weights ? cr_mul(loss, weights) : loss;
    if (smoothing > 0) {
        cr_tensor *even = over_classes(c, l);
        even = counts ? cr_where(counts, even, 0) : even;
        loss = cr_add(cr_mul(loss, 1 - smoothing),
                      cr_mul(even, smoothing / (double)c->classes.classes));
    }
    return weighted(c, loss, weights, counts);
}

/* The same of log_softmax(x), without a tensor of log-probabilities:
 *
 *     ln sum e^(x - m) + (m - x[target]), m the largest of x
 */
static cr_tensor *of_logits(const class_loss *c)
{
    cr_dims dim = CR_DIMS(c->classes.dim);
    cr_tensor *x = c->x, *counts = counted(c);
    cr_tensor *weights =
        c->weight ? at_targets(c, &cr__op_class_weights, c->weight) : NULL;
    cr_no_grad_push(c->ctx);
    cr_tensor *most = cr_amax(x, dim, .keepdim = true);
    cr_no_grad_pop(c->ctx);
    cr_tensor *sum = cr_sum(cr_exp(cr__below_largest(x, most)), dim);
    most = cr_reshape(most, cr_shape(c->target));
    cr_tensor *picked = cr_neg(at_targets(c, &cr__op_class_pick, x));
    picked = cr__below_largest(picked, most);
    cr_tensor *loss = cr_sub(cr_log(sum), picked);
    loss = weights ? cr_mul(loss, weights) : loss;
    loss = counts ? cr_where(counts, loss, 0) : loss;
    return weighted(c, loss, weights, counts);
}

/* The same at probabilities, which label smoothing mixes with even ones. The mean is over
 * all but the classes. */
static cr_tensor *at_probabilities(const class_loss *c, cr_tensor *l)
{
    double smoothing = c->attrs->label_smoothing;
    cr_tensor *target = c->target;
    if (smoothing > 0)
        target =
            cr_add(cr_mul(target, 1 - smoothing), smoothing / (double)c->classes.classes);
    return cr__loss_reduced(over_classes(c, cr_mul(l, target)), c->attrs->reduction,
                            NULL);
}

static cr_tensor *nll_loss_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                  const void *attributes)
{
    class_loss c = { .ctx = ctx, .op = &cr__op_nll_loss, .attrs = attributes };
    if (!class_loss_begin(&c, inputs, n) || !are_indices(&c))
        return NULL;
    if (c.attrs->label_smoothing != 0) {
        cr__op_fail(ctx, c.op, CR_ERR_ARGUMENT, NULL,
                    "label_smoothing is for cross_entropy");
        return NULL;
    }
    return at_indices(&c, c.x);
}

static cr_tensor *cross_entropy_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                       const void *attributes)
{
    class_loss c = { .ctx = ctx, .op = &cr__op_cross_entropy, .attrs = attributes };
    if (!class_loss_begin(&c, inputs, n))
        return NULL;
    double smoothing = c.attrs->label_smoothing;
    if (!(smoothing >= 0 && smoothing <= 1)) {
        cr__op_fail(ctx, c.op, CR_ERR_ARGUMENT, NULL,
                    "label_smoothing is %g, not in 0 to 1", smoothing);
        return NULL;
    }
    bool probabilities = cr_dtype_of(c.target) == cr_dtype_of(c.x);
    if (probabilities && !cr__dims_equal(cr_shape(c.target), cr_shape(c.x))) {
        bad(&c, CR_ERR_SHAPE, "class indices are i64, i32 or u8",
            "probabilities are shaped like x");
        return NULL;
    }
    if (!probabilities && !are_indices(&c))
        return NULL;
    if (!probabilities && smoothing == 0)
        return of_logits(&c);
    cr_tensor *l = cr_log_softmax(c.x, (int)c.classes.dim);
    return probabilities ? at_probabilities(&c, l) : at_indices(&c, l);
}

#define CLASS_ROWS                                                        \
    CR__ATTR(class_loss_attrs, ignore_index, OPT_INT, .initial = "-100"), \
        CR__REDUCTION_ROW(class_loss_attrs)

CR__OP(nll_loss) = {
    .name = "nll_loss",
    .doc = "-x[target], x being log-probabilities",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 3,
    .inputs = "x,target,weight",
    .attrs = CR__ATTRS(CLASS_ROWS),
    .attrs_size = sizeof(class_loss_attrs),
    .expand = nll_loss_expand,
    .samples = CR__SAMPLES({ "f[4,3] i[4]{0,3}", NULL },
                           { "f[4,3] i[4]{0,3}", "reduction=none" },
                           { "f[4,3] i[4]{0,3} f[3]{0.5,2}~", "ignore_index=1" },
                           { "f[2,3,2] i[2,2]{0,3} f[3]{0.5,2}~", "reduction=sum" },
                           { "f[3] i[]{0,3}", NULL }, { "f[0,3] i[0]", "reduction=sum" }),
    .call = "x,target,.weight,.ignore_index,.reduction",
};
CR__OP(cross_entropy) = {
    .name = "cross_entropy",
    .doc = "nll_loss of log_softmax(x); target: class indices, or probabilities",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 3,
    .inputs = "x,target,weight",
    .attrs = CR__ATTRS(CLASS_ROWS,
                       CR__ATTR(class_loss_attrs, label_smoothing, REAL, .initial = "0")),
    .attrs_size = sizeof(class_loss_attrs),
    .expand = cross_entropy_expand,
    .samples = CR__SAMPLES(
        { "f[4,3] i[4]{0,3}", NULL },
        { "f[4,3] i[4]{0,3}", "reduction=none,label_smoothing=0.2" },
        { "f[4,3] i[4]{0,3} f[3]{0.5,2}~", "ignore_index=1,label_smoothing=0.1" },
        { "f[2,3,2] i[2,2]{0,3} f[3]{0.5,2}~", "reduction=sum" },
        { "f[4,3] f[4,3]{0,1}", NULL },
        { "f[2,3,2] f[2,3,2]{0,1} f[3]{0.5,2}~", "label_smoothing=0.3" },
        { "f[3] i[]{0,3}", NULL }, { "f[0,3] i[0]", "reduction=sum" },
        { "f[2,3]{-300,300}~ i[2]{0,3}", NULL }),
    .call = "x,target,.weight,.ignore_index,.reduction,.label_smoothing",
};

static cr_tensor *class_loss_at(const cr_op *op, cr_tensor *x, cr_tensor *target,
                                const cr_class_loss_opts *opts)
{
    cr_tensor *inputs[] = { x, target, opts->weight };
    class_loss_attrs attrs = { opts->ignore_index, opts->reduction,
                               opts->label_smoothing };
    cr__attrs_fill(NULL, op, &attrs);
    return cr__record_n(NULL, op, inputs, opts->weight ? 3 : 2, &attrs, opts->site);
}

cr_tensor *cr_nll_loss_at(cr_tensor *x, cr_tensor *target, cr_class_loss_opts opts)
{
    return class_loss_at(&cr__op_nll_loss, x, target, &opts);
}

cr_tensor *cr_cross_entropy_at(cr_tensor *x, cr_tensor *target, cr_class_loss_opts opts)
{
    return class_loss_at(&cr__op_cross_entropy, x, target, &opts);
}

/* ---- multi_margin_loss ---- */

typedef struct multi_margin_attrs {
    int64_t p;
    cr_opt_real margin;
    cr_reduction reduction;
} multi_margin_attrs;

/* x [N, C] or [C], target [N] or one class; the loss has target's shape. */
static cr_tensor *multi_margin_loss_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                           const void *attributes)
{
    const multi_margin_attrs *attrs = attributes;
    const class_loss_attrs none = { .reduction = attrs->reduction };
    class_loss c = { .ctx = ctx, .op = &cr__op_multi_margin_loss, .attrs = &none };
    cr_tensor *rows = inputs[0], *target = inputs[1];
    const int rank = cr_ndim(rows);
    if (attrs->p != 1 && attrs->p != 2) {
        cr__op_fail(ctx, c.op, CR_ERR_ARGUMENT, NULL, "p is %lld, neither 1 nor 2",
                    (long long)attrs->p);
        return NULL;
    }
    rows = cr_reshape(rows, rank < 2 ? CR_DIMS(1, cr_numel(rows)) : cr_shape(rows));
    if (cr_ndim(target) == 0)
        target = cr_unsqueeze(target, 0);
    cr_tensor *given[] = { rows, target, cr__optional(inputs, n, 2) };
    if (!rows || !target || !class_loss_begin(&c, given, 3) || !are_indices(&c))
        return NULL;
    if (rank > 2) {
        bad(&c, CR_ERR_SHAPE, NULL, "x is [N, C] or [C]");
        return NULL;
    }
    const double size = (double)c.classes.classes;
    cr_tensor *own = cr_unsqueeze(at_targets(&c, &cr__op_class_pick, rows), 1);
    cr_tensor *classes = cr_arange(ctx, 0, size, 1, .dtype = CR_I64);
    cr_tensor *is_own = cr_eq(classes, cr_cast(cr_unsqueeze(target, 1), CR_I64));
    cr_tensor *z = cr_add(cr_add(rows, own), attrs->margin.v);
    z = cr_relu(cr_where(is_own, 0, z));
    cr_tensor *loss = cr_div(cr_sum(attrs->p == 2 ? cr_square(z) : z, 1), size);
    if (c.weight)
        loss = cr_mul(loss, at_targets(&c, &cr__op_class_weights, c.weight));
    return cr__loss_reduced(cr_reshape(loss, cr_shape(inputs[1])), attrs->reduction,
                            NULL);
}

CR__OP(multi_margin_loss) = {
    .name = "multi_margin_loss",
    .doc = "the sum over classes i but the target t of "
           "max(0, margin - x[t] + x[i])^p weight[t] / C",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 3,
    .inputs = "x,target,weight",
    .attrs = CR__ATTRS(CR__ATTR(multi_margin_attrs, p, INT, .initial = "1",
                                .flags = CR_ATTR_POSITIVE),
                       CR__ATTR(multi_margin_attrs, margin, OPT_REAL, .initial = "1"),
                       CR__REDUCTION_ROW(multi_margin_attrs)),
    .attrs_size = sizeof(multi_margin_attrs),
    .expand = multi_margin_loss_expand,
    .samples = CR__SAMPLES(
        { "f[4,3]{0,0.9} i[4]{0,3}", NULL },
        { "f[4,3]{0,0.9} i[4]{0,3} f[3]{0.5,2}~", "p=2,reduction=sum" },
        { "f[4,3]{0,0.9} i[4]{0,3}", "margin=-2,reduction=none" },
        { "f[3]{0,0.9} i[]{0,3}", NULL },
        { "f[3]{0,0.9} i[1]{0,3}", "p=2,reduction=none" },
        { "f[1,3]=1,0,3 i[1]=0 -> -0.3333333333333333,0,0.3333333333333333", NULL }),
    .call = "x,target,.weight,.p,.margin,.reduction",
};

cr_tensor *cr_multi_margin_loss_at(cr_tensor *x, cr_tensor *target,
                                   cr_multi_margin_opts opts)
{
    cr_tensor *inputs[] = { x, target, opts.weight };
    multi_margin_attrs attrs = { opts.p, opts.margin, opts.reduction };
    cr__attrs_fill(NULL, &cr__op_multi_margin_loss, &attrs);
    return cr__record_n(NULL, &cr__op_multi_margin_loss, inputs, 3, &attrs, opts.site);
}
