/* Opaque operations: what they declare of their inputs, and calls of their kernels and
 * checks. */
#include "call_opaque.h"
#include "program.h"

/* ---- what is declared ---- */

static cr__traits traits_of(const cr_tensor *x)
{
    const cr_op *op = x->op;
    const cr__opaque_info *info = op->internal;
    if (info && info->traits)
        return info->traits(x);
    return (cr__traits){ .strided = op->strided,
                         .fetched = op->fetched,
                         .checks = op->checks,
                         .once = op->once,
                         .n = x->n_inputs,
                         .checked = op->check != NULL,
                         .never_fails = op->never_fails };
}

cr__reading cr__reading_of(const cr_tensor *x, int k)
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

/* A kernel that fetches elements more often, of windows that overlap or of places that it picks,
 * would have them computed as often: those are in memory. So is what a check reads. */
bool cr__draws(const cr_tensor *x, int k)
{
    cr__traits traits = traits_of(x);
    return k < traits.n && cr__has_input(traits.fetched & traits.once, k) &&
           !cr__checks(x, k);
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

bool cr__reads_layout(const cr_tensor *x, int k, const cr__layout *layout)
{
    cr__reading access = cr__reading_of(x, k);
    int last = layout->ndim - 1;
    if (access == CR__FETCHED || cr__layout_numel(layout) <= contiguous_run(layout))
        return true;
    return access == CR__STRIDED &&
           (layout->dims[last] == 1 || layout->strides[last] == 1);
}

/* ---- where inputs are ---- */

/* How an input is read that the kernel may get a copy of: as what that is a copy of. */
static cr__use origin_of(const cr__plan *plan, const cr_tensor *in)
{
    bool view = in->run && !(in->flags & CR__KNOWN) && in->op->kind == CR_OP_VIEW;
    cr__use use;
    if (view)
        return plan->views[in->run - 1].use;
    cr__find_use(plan, in, plan->n_units, &use);
    return use;
}

bool cr__can_fail(const cr__plan *plan, cr_tensor *x)
{
    cr__traits traits = traits_of(x);
    for (int k = 0; k < x->n_inputs && traits.checked; k++) {
        const cr_tensor *in = cr__input(x, k);
        cr__use use = in && cr__checks(x, k) ? origin_of(plan, in) : (cr__use){ 0 };
        if (use.kind == CR__USE_UNIT && plan->units[use.unit].kind != CR__UNIT_OLD)
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
static cr_array input_array(const cr__plan *plan, cr_tensor *x, int k, const cr__use *use,
                            bool fetch, cr__fetched *fetched)
{
    const cr_tensor *in = cr__input(x, k);
    const cr__look *look = cr__use_look(plan, use);
    cr__layout layout;
    if (look)
        layout = look->layout;
    else
        cr__layout_init(&layout, in->shape);
    const bool drawn =
        use->kind == CR__USE_UNIT && plan->units[use->unit].flags & CR__DRAWN;
    *fetched = (cr__fetched){ .data = drawn ? NULL : cr__use_start(plan, use),
                              .run = drawn ? 1 : contiguous_run(&layout),
                              .team = in->ctx->team,
                              .room = k < CR__ROOMS ? k : CR__ROOMS - 1 };
    cr_array array = array_of(in, fetch ? NULL : fetched->data);
    if (fetched->run < array.numel)
        memcpy(array.strides, layout.strides, sizeof layout.strides);
    array.source = fetched;
    return array;
}

/* Calls the operation's kernel or its check, which has neither out nor scratch. */
static bool run_or_check(const cr__plan *plan, const cr__unit *unit, const cr_array *in,
                         bool check)
{
    cr_tensor *x = unit->node;
    char message[256] = "";
    cr_kernel kernel = { .in = in,
                         .n = x->n_inputs,
                         .out = array_of(x, check ? NULL : cr__unit_data(plan, unit)),
                         .attrs = x->attrs,
                         .message = message,
                         .capacity = sizeof message,
                         .workers = plan->ctx->team };
    if (!check && plan->scratch)
        kernel.scratch = plan->slots[plan->scratch - 1].buffer->data;
    cr_status status = (check ? x->op->check : x->op->kernel)(&kernel);
    if (status == CR_OK)
        return true;
    cr_fail(plan->ctx, status, "%s: %s (%s)", cr__called(x),
            message[0] ? message : "the kernel failed", x->site);
    return false;
}

bool cr__check_opaque(const cr__plan *plan, const cr__unit *unit)
{
    cr_tensor *x = unit->node;
    cr_array *in = plan->ctx->run_lists[CR__ARRAYS].at;
    cr__fetched *fetched = (cr__fetched *)(void *)(in + x->n_inputs);
    if (!traits_of(x).checked)
        return true;
    for (int k = 0; k < x->n_inputs; k++) {
        const cr_tensor *t = cr__input(x, k);
        in[k] = (cr_array){ 0 };
        if (t && cr__checks(x, k)) {
            cr__use use = origin_of(plan, t);
            in[k] = input_array(plan, x, k, &use, true, &fetched[k]);
        } else if (t) {
            in[k] = array_of(t, NULL);
        }
    }
    return run_or_check(plan, unit, in, true);
}

/* Elements of what the maps of the group make. */
static void make_fetched(const void *arg, char *to, int64_t start, int64_t n, int worker)
{
    const cr__program *p = arg;
    char *scratch = cr__team_scratch(p->plan->ctx->team, worker);
    for (int64_t at = 0; at < n; at += p->tile)
        cr__run_tile_of(p, scratch, start + at, n - at < p->tile ? n - at : p->tile,
                        to + at * p->drawn_size);
}

bool cr__run_opaque(cr__plan *plan, const cr__unit *unit)
{
    cr_tensor *x = unit->node;
    const cr__group *group = &plan->groups[unit->group];
    cr__program p;
    cr_array *in = plan->ctx->run_lists[CR__ARRAYS].at;
    cr__fetched *fetched = (cr__fetched *)(void *)(in + x->n_inputs);
    if (unit->flags & CR__CAN_FAIL && !cr__check_opaque(plan, unit))
        return false;
    if (group->shape)
        cr__emit(&p, plan, group, plan->ctx->run_lists[CR__PROGRAM].at);
    for (int k = 0; k < x->n_inputs; k++) {
        const cr__use *use = &plan->uses[unit->uses + (uint32_t)k];
        in[k] = (cr_array){ 0 };
        if (!cr__input(x, k))
            continue;
        in[k] = input_array(plan, x, k, use, cr__reading_of(x, k) == CR__FETCHED,
                            &fetched[k]);
        if (group->shape && cr__member(&p, use))
            fetched[k].make = make_fetched, fetched[k].arg = &p;
    }
    return run_or_check(plan, unit, in, false);
}
