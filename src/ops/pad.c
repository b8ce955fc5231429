/* pad: tensors with more places around them, or fewer. Also place, which puts one tensor
 * into another. */
#include "attrs.h"
#include "opaque.h"

/* ---- place ---- */

/* Of `place`: where src begins, for each dim. */
typedef struct place_attrs {
    cr_dims start;
} place_attrs;

static cr_status place_shape(cr_infer *infer)
{
    const place_attrs *a = infer->attrs;
    cr_dims x = infer->in_dims[0], fits = infer->in_dims[1];
    for (int i = 0; i < x.n; i++)
        if (fits.n != x.n || a->start.n != x.n || a->start.v[i] < 0 ||
            a->start.v[i] > x.v[i] - fits.v[i])
            return cr__op_fail(
                infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                "%s does not fit into %s at %s", cr__dims_text(infer->ctx, fits),
                cr__dims_text(infer->ctx, x), cr__dims_text(infer->ctx, a->start));
    return cr__fits_part(infer, "the part", fits);
}

static cr_status place_kernel(const cr_kernel *kernel)
{
    const place_attrs *a = kernel->attrs;
    cr__layout part = cr__whole_result(kernel);
    for (int i = 0; i < part.ndim; i++) {
        part.offset += a->start.v[i] * part.strides[i];
        part.dims[i] = kernel->in[1].dims.v[i];
    }
    cr__replace_part(kernel, &part);
    return CR_OK;
}

static cr_tensor *placed(cr_tensor *x, cr_tensor *src, const place_attrs *attrs)
{
    cr_tensor *inputs[] = { x, src };
    return cr__record_n(NULL, &cr__op_place, inputs, 2, attrs, CR_HERE);
}

static void place_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const place_attrs *a = cr_attrs(out);
    cr_tensor *src = cr_input(out, 1);
    if (cr_input_needs_grad(out, 0))
        down[0] = placed(g, cr_zeros_like(src), a);
    for (int i = 0; i < a->start.n && cr_input_needs_grad(out, 1); i++)
        if (cr_size(src, i) != cr_size(out, i))
            g = cr_slice(g, i, a->start.v[i], a->start.v[i] + cr_size(src, i));
    if (cr_input_needs_grad(out, 1))
        down[1] = g;
}

CR__OP(place) = {
    .name = "place",
    .doc = "x with the block that begins at start replaced by src",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,src",
    .attrs = CR__ATTRS(CR__ATTR(place_attrs, start, DIMS)),
    .attrs_size = sizeof(place_attrs),
    .shape = place_shape,
    .vjp = place_vjp,
    .kernel = place_kernel,
    .fetched = CR_READS_INPUTS,
    .once = CR_READS_INPUT(1),
    .overwrites = CR_READS_INPUT(0),
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[4] f[2]", "start=1" }, { "f[3,4] f[2,4]", "start=[1,0]" },
                           { "f[2,3] f[0,3]", "start=[2,0]" }, { "f[] f[]", "start=[]" },
                           { "f[0,2] f[0,1]", "start=[0,1]" }),
};

/* ---- pad ---- */

typedef struct pad_attrs {
    cr_dims pad;
    cr_pad_mode mode;
    double value;
} pad_attrs;

/* What comes before and behind x along a dim. */
typedef struct margin {
    int dim;
    int64_t before, behind;
} margin;

/* Beyond it sizes may overflow, and nothing fits anyway. */
#define TOO_MANY ((int64_t)1 << 59)

static int64_t positive(int64_t n)
{
    return n > 0 ? n : 0;
}

/* x without what negative margins take away. */
static cr_tensor *cropped(cr_tensor *x, margin m)
{
    if (!x || (m.before >= 0 && m.behind >= 0))
        return x;
    return cr_slice(x, m.dim, positive(-m.before),
                    cr_size(x, m.dim) - positive(-m.behind));
}

/* Places first .. first + n - 1 of x along a dim, or backwards from first + n - 1. */
static cr_tensor *stretch(cr_tensor *x, int dim, int64_t first, int64_t n, bool backwards)
{
    x = cr_slice(x, dim, first, first + n);
    return backwards ? cr_flip(x, CR_DIMS(dim)) : x;
}

/* One place of x, n times. */
static cr_tensor *edge(cr_tensor *x, int dim, int64_t place, int64_t n)
{
    cr_dims dims = cr_shape(x);
    dims.v[dim] = n;
    return cr_expand(cr_slice(x, dim, place, place + 1), dims);
}

/* x with positive margins filled from itself. */
static cr_tensor *continued(cr_tensor *x, margin m, cr_pad_mode mode)
{
    const int64_t size = cr_size(x, m.dim);
    const int64_t before = positive(m.before), behind = positive(m.behind);
    cr_tensor *parts[3] = { NULL, x, NULL };
    if (before)
        parts[0] = mode == CR_MODE_REPLICATE ? edge(x, m.dim, 0, before)
                   : mode == CR_MODE_REFLECT
                       ? stretch(x, m.dim, 1, before, true)
                       : stretch(x, m.dim, size - before, before, false);
    if (behind)
        parts[2] = mode == CR_MODE_REPLICATE ? edge(x, m.dim, size - 1, behind)
                   : mode == CR_MODE_REFLECT
                       ? stretch(x, m.dim, size - 1 - behind, behind, true)
                       : stretch(x, m.dim, 0, behind, false);
    int first = before ? 0 : 1, n = 1 + (before > 0) + (behind > 0);
    return n > 1 ? cr_cat(parts + first, n, m.dim) : x;
}

/* How many places a mode may add to each side of so many, of which some may be taken
 * away. */
static int64_t most_added(cr_pad_mode mode, int64_t size, int64_t left)
{
    return mode == CR_MODE_REFLECT    ? positive(size - 1)
           : mode == CR_MODE_CIRCULAR ? left
           : mode == CR_MODE_CONSTANT ? TOO_MANY
           : size > 0                 ? TOO_MANY
                                      : 0;
}

/* Whether the margins fit x along the dim. */
static bool margin_fits(cr_ctx *ctx, cr_tensor *x, margin m, cr_pad_mode mode)
{
    const char *problem = NULL;
    int64_t size = cr_size(x, m.dim);
    if (m.before > TOO_MANY || m.behind > TOO_MANY || m.before < -TOO_MANY ||
        m.behind < -TOO_MANY) {
        problem = "too many";
    } else {
        int64_t left = size - positive(-m.before) - positive(-m.behind);
        int64_t most = most_added(mode, size, left);
        if (left < 0 && (mode == CR_MODE_CONSTANT || mode == CR_MODE_CIRCULAR))
            problem = "more than there are to take away";
        else if (size + m.before + m.behind <
                 (mode == CR_MODE_REFLECT || mode == CR_MODE_REPLICATE))
            problem = "nothing would be left";
        else if (m.before > most || m.behind > most)
            problem = mode == CR_MODE_REFLECT
                          ? "reflecting adds less than the size to a side"
                      : mode == CR_MODE_CIRCULAR
                          ? "going around adds at most the size to a side"
                          : "there is no edge to repeat";
    }
    if (problem)
        cr__op_fail(ctx, &cr__op_pad, CR_ERR_ARGUMENT, NULL,
                    "%lld places before and %lld behind dim %d of %s: %s",
                    (long long)m.before, (long long)m.behind, m.dim, cr__shape_text(x),
                    problem);
    return !problem;
}

/* Of constant padding the part that adds: x in a tensor of the value. */
static cr_tensor *surrounded(cr_ctx *ctx, cr_tensor *x, const cr_dims *before,
                             const cr_dims *behind, double value)
{
    cr_dims dims = cr_shape(x);
    place_attrs at = { *before };
    bool any = false;
    for (int i = 0; i < dims.n; i++) {
        any = any || before->v[i] || behind->v[i];
        dims.v[i] += before->v[i] + behind->v[i];
    }
    if (!any)
        return x;
    return placed(cr_full(ctx, dims, value, .dtype = cr_dtype_of(x)), x, &at);
}

static bool pad_arguments(cr_ctx *ctx, cr_tensor *x, const pad_attrs *a)
{
    cr_infer infer = { .ctx = ctx, .op = &cr__op_pad };
    if (!cr__good_list(&infer, "pad", &a->pad))
        return false;
    if (a->pad.n % 2 || a->pad.n / 2 > cr_ndim(x))
        cr__op_fail(ctx, infer.op, CR_ERR_ARGUMENT, NULL,
                    "pad has %d numbers: a pair for each of the last dims of %s, at most",
                    a->pad.n, cr__shape_text(x));
    else if (a->mode != CR_MODE_CONSTANT && a->value != 0)
        cr__op_fail(ctx, infer.op, CR_ERR_ARGUMENT, NULL,
                    "value is %g, and the mode is not constant", a->value);
    return cr_error(ctx) == CR_OK;
}

/* Constant and circular padding take away before they add, the others afterwards. */
static cr_tensor *pad_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                             const void *attributes)
{
    const pad_attrs *a = attributes;
    cr_tensor *x = inputs[0];
    int rank = cr_ndim(x);
    cr_dims before = CR_NO_DIMS, behind = CR_NO_DIMS;
    (void)n;
    if (!pad_arguments(ctx, x, a))
        return NULL;
    for (before.n = behind.n = rank; rank-- > 0;)
        before.v[rank] = behind.v[rank] = 0;
    for (int i = 0; i < a->pad.n; i += 2) {
        margin m = { before.n - 1 - i / 2, a->pad.v[i], a->pad.v[i + 1] };
        if (m.before == 0 && m.behind == 0)
            continue;
        if (!margin_fits(ctx, x, m, a->mode))
            return NULL;
        bool first = a->mode == CR_MODE_CONSTANT || a->mode == CR_MODE_CIRCULAR;
        x = first ? cropped(x, m) : x;
        before.v[m.dim] = positive(m.before);
        behind.v[m.dim] = positive(m.behind);
        if (a->mode != CR_MODE_CONSTANT)
            x = continued(x, m, a->mode);
        x = first ? x : cropped(x, m);
    }
    if (a->mode == CR_MODE_CONSTANT)
        x = surrounded(ctx, x, &before, &behind, a->value);
    return x == inputs[0] ? cr_reshape(x, cr_shape(x)) : x;
}

CR__OP(pad) = {
    .name = "pad",
    .doc = "places added before and behind the last dims, in pairs from the last one "
           "backwards; "
           "below 0 taken away",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(pad_attrs, pad, DIMS),
                       CR__ATTR(pad_attrs, mode, WORD, .initial = "constant",
                                .words = "constant,reflect,replicate,circular"),
                       CR__ATTR(pad_attrs, value, REAL, .initial = "0")),
    .attrs_size = sizeof(pad_attrs),
    .expand = pad_expand,
    .samples = CR__SAMPLES(
        { "f[3]", "pad=[1,2],value=1.5" }, { "f[2,3]", "pad=[-1,2,1,0]" },
        { "f[2,1]=inf,nan -> 1,1", "pad=[1,0],value=-inf" }, { "f[2,3]", "pad=[-1,-2]" },
        { "f[0,2]", "pad=[1,0,2,1]" }, { "f[]", "pad=[]" },
        { "i[3]", "pad=[1,1],value=7" }, { "f[2,4]", "pad=[3,1],mode=reflect" },
        { "f[3,3]", "pad=[2,-1,1,2],mode=reflect" },
        { "f[4]", "pad=[3,-4],mode=reflect" }, { "f[2,3]", "pad=[4,1],mode=replicate" },
        { "f[2,3]", "pad=[-1,1,0,2],mode=replicate" },
        { "f[1,3]", "pad=[3,1],mode=circular" },
        { "f[2,3]", "pad=[-1,1,2,1],mode=circular" },
        { "f[0,3]", "pad=[1,1],mode=reflect" }),
};

cr_tensor *cr_pad_at(cr_tensor *x, cr_dims pad, cr_pad_opts opts)
{
    pad_attrs attrs = { pad, opts.mode, opts.value };
    return cr__record_1(&cr__op_pad, x, &attrs, opts.site);
}
