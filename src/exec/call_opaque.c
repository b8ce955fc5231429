/* Opaque operations: what they declare of their inputs, and calls of their kernels and
 * checks. */
#include "call_opaque.h"

/* ---- what is declared ---- */

static cr__traits traits_of(const cr_tensor *x)
{
    const cr_op *op = x->op;
    const cr__opaque_info *info = op->internal;
    if (info)
        return info->traits(x);
    return (cr__traits){ .strided = op->strided,
                         .fetched = op->fetched,
                         .checks = op->checks,
                         .n = x->n_inputs,
                         .checked = op->check != NULL,
                         .never_fails = op->never_fails };
}

cr__access cr__access_of(const cr_tensor *x, int k)
{
    cr__traits traits = traits_of(x);
    return k >= traits.n                      ? CR__CONTIGUOUS
           : cr__has_input(traits.fetched, k) ? CR__FETCHED
           : cr__has_input(traits.strided, k) ? CR__STRIDED
                                              : CR__CONTIGUOUS;
}

bool cr__checks(const cr_tensor *x, int k)
{
    cr__traits traits = traits_of(x);
    return traits.checked && k < traits.n && cr__has_input(traits.checks, k);
}

/* ---- how an input lies ---- */

/* The elements from each multiple of this to the next lie one behind the other. */
static int64_t contiguous_run(const cr__layout *layout)
{
    int64_t run = 1;
    for (int d = layout->ndim - 1; d >= 0; d--) {
        if (layout->dims[d] == 1)
            continue;
        if (layout->strides[d] != run)
            break;
        run *= layout->dims[d];
    }
    return run ? run : 1;
}

static int64_t layout_numel(const cr__layout *layout)
{
    int64_t numel = 1;
    for (int d = 0; d < layout->ndim; d++)
        numel *= layout->dims[d];
    return numel;
}

bool cr__reads_layout(const cr_tensor *x, int k, const cr__layout *layout)
{
    cr__access access = cr__access_of(x, k);
    int last = layout->ndim - 1;
    if (access == CR__FETCHED || layout_numel(layout) <= contiguous_run(layout))
        return true;
    return access == CR__STRIDED &&
           (layout->dims[last] == 1 || layout->strides[last] == 1);
}

/* ---- where inputs are ---- */

/* Where the elements of an input come from: also where the kernel gets a copy of them. */
static cr__source origin_of(const cr__plan *plan, cr_tensor *in)
{
    const cr__entry *entry = cr__entry_of(plan, in);
    cr__source source = cr__source_of(plan, in);
    if (!entry || !(entry->flags & CR__COPIED))
        return source;
    const cr__seen *seen = &plan->views[entry->slot - 1];
    source = cr__source_of(plan, seen->base);
    source.layout = &seen->layout;
    return source;
}

bool cr__can_fail(const cr__plan *plan, cr_tensor *x)
{
    cr__traits traits = traits_of(x);
    for (int k = 0; k < x->n_inputs && traits.checked; k++) {
        cr_tensor *in = cr__input(x, k);
        if (in && cr__checks(x, k) && origin_of(plan, in).base->run)
            return true;
    }
    return !traits.checked && !traits.never_fails;
}

/* ---- calls ---- */

size_t cr__call_bytes(const cr_tensor *x)
{
    return (size_t)x->n_inputs * (sizeof(cr_array) + sizeof(cr__fetched));
}

static cr_array array_of(const cr_tensor *x, const void *data)
{
    cr_array array = { .data = (void *)(uintptr_t)data,
                       .dtype = (cr_dtype)x->dtype,
                       .dims = cr_shape(x),
                       .numel = x->shape->numel };
    int64_t stride = 1;
    for (int d = x->shape->ndim - 1; d >= 0; d--) {
        array.strides[d] = stride;
        stride *= x->shape->dims[d];
    }
    return array;
}

/* Input k of x as its kernel gets it, if there is one; fetched is the memory behind it. */
static cr_array input_array(cr_tensor *x, int k, const cr__source *source, bool fetch,
                            cr__fetched *fetched)
{
    cr_tensor *in = cr__input(x, k);
    cr__layout layout = cr__layout_of(source, in);
    int64_t offset = layout.offset * (int64_t)cr_dtype_size((cr_dtype)in->dtype);
    *fetched = (cr__fetched){ .data = source->data + offset,
                              .run = contiguous_run(&layout),
                              .team = in->ctx->team,
                              .room = k < CR__ROOMS ? k : CR__ROOMS - 1 };
    cr_array array = array_of(in, fetch ? NULL : fetched->data);
    if (fetched->run < array.numel)
        memcpy(array.strides, layout.strides, sizeof layout.strides);
    array.source = fetched;
    return array;
}

/* Calls the operation's kernel or its check, which has neither out nor scratch. */
static bool run_or_check(const cr__plan *plan, cr_tensor *x, const cr_array *in,
                         bool check)
{
    char message[256] = "";
    cr_kernel kernel = { .in = in,
                         .n = x->n_inputs,
                         .out = array_of(x, check ? NULL : cr__destination(plan, x)),
                         .attrs = x->attrs,
                         .message = message,
                         .capacity = sizeof message,
                         .workers = plan->ctx->team };
    if (!check && plan->scratch)
        kernel.scratch = plan->buffers[plan->scratch - 1]->data;
    cr_status status = (check ? x->op->check : x->op->kernel)(&kernel);
    if (status == CR_OK)
        return true;
    cr_fail(plan->ctx, status, "%s: %s (%s)", cr__called(x),
            message[0] ? message : "the kernel failed", x->site);
    return false;
}

bool cr__check_opaque(const cr__plan *plan, cr_tensor *x, bool before)
{
    cr_array *in = plan->ctx->run_lists[CR__ARRAYS].at;
    cr__fetched *fetched = (cr__fetched *)(void *)(in + x->n_inputs);
    if (!traits_of(x).checked)
        return true;
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *t = cr__input(x, k);
        if (!t) {
            in[k] = (cr_array){ 0 };
        } else if (!cr__checks(x, k)) {
            in[k] = array_of(t, NULL);
        } else {
            cr__source source = before ? origin_of(plan, t) : cr__source_of(plan, t);
            in[k] = input_array(x, k, &source, true, &fetched[k]);
        }
    }
    return run_or_check(plan, x, in, true);
}

bool cr__run_opaque(const cr__plan *plan, cr_tensor *x)
{
    cr_array *in = plan->ctx->run_lists[CR__ARRAYS].at;
    cr__fetched *fetched = (cr__fetched *)(void *)(in + x->n_inputs);
    if (cr__can_fail(plan, x) && !cr__check_opaque(plan, x, false))
        return false;
    for (int k = 0; k < x->n_inputs; k++) {
        in[k] = (cr_array){ 0 };
        if (!cr__input(x, k))
            continue;
        cr__source source = cr__source_of(plan, cr__input(x, k));
        in[k] =
            input_array(x, k, &source, cr__access_of(x, k) == CR__FETCHED, &fetched[k]);
    }
    return run_or_check(plan, x, in, false);
}
