/* Where infinities and NaNs come from. A run that looks at its results, and finds one, is given up
 * and repeated, operation by operation, each value being kept. Then the way back from the first
 * result that is not finite is followed, element by element, through operations that passed it on,
 * to the one that made it of finite operands, or to a value that was there before. What has been
 * computed on the way is forgotten again. */
#include "exec.h"

/* ---- looking ---- */

typedef struct looking {
    const char *data;
    cr_dtype dtype;
    int64_t numel, chunks;
    bool nonfinite;
} looking;

static void look_at_chunk(void *arg, int64_t chunk, int worker)
{
    looking *l = arg;
    int64_t begin, end;
    (void)worker;
    cr__part(l->numel, 1024, chunk, l->chunks, &begin, &end);
    if (!cr__all_finite(l->dtype, l->data + (size_t)begin * cr_dtype_size(l->dtype),
                        end - begin))
        __atomic_store_n(&l->nonfinite, true, __ATOMIC_RELAXED);
}

#define NS_TO_LOOK   0.05 /* at an element */
#define LOOKED_ALONE 8192 /* elements, by one thread */

void cr__trace_unit(cr__plan *plan, const cr__unit *unit)
{
    cr__team *team = plan->ctx->team;
    if (CR__LIKELY(!(unit->flags & CR__TRACED)))
        return;
    looking l = { .data = cr__unit_data(plan, unit),
                  .dtype = (cr_dtype)unit->dtype,
                  .numel = unit->shape->numel };
    if (l.numel <= LOOKED_ALONE) {
        plan->nonfinite |= !cr__all_finite(l.dtype, l.data, l.numel);
        return;
    }
    l.chunks = cr__chunks(NS_TO_LOOK * (double)l.numel, l.numel / 1024 + 1, team);
    cr__parallel(team, l.chunks, look_at_chunk, &l);
    plan->nonfinite |= l.nonfinite;
}

/* ---- elements ---- */

/* An element of a value: its number in row-major order. */
typedef struct blamed {
    const cr_tensor *x;
    int64_t i;
} blamed;

/* The element of its input that a view shows. */
static blamed behind_view(blamed e)
{
    const cr__view_info *info = e.x->op->internal;
    cr__layout layout;
    cr_tensor *in = cr__input(e.x, 0);
    cr__layout_init(&layout, in->shape);
    (void)info->view(e.x, &layout); /* it can: the layout is contiguous */
    int64_t rest = e.i, at = layout.offset;
    for (int d = e.x->shape->ndim; d-- > 0; rest /= e.x->shape->dims[d])
        at += rest % e.x->shape->dims[d] * layout.strides[d];
    return (blamed){ in, at };
}

static bool is_view(const cr_tensor *x)
{
    return x->op && x->op->kind == CR_OP_VIEW && x->n_inputs;
}

/* Where its value is known: behind views that are not. False if it is nowhere. */
static bool find_known(blamed *e)
{
    while (!(e->x->flags & CR__KNOWN) && is_view(e->x))
        *e = behind_view(*e);
    return e->x->flags & CR__KNOWN;
}

static double known_number(blamed e)
{
    const char *at = cr__value((cr_tensor *)(uintptr_t)e.x);
    float f;
    double d;
    uint16_t h;
    switch ((cr_dtype)e.x->dtype) {
    case CR_F32:
        memcpy(&f, at + e.i * 4, sizeof f);
        return (double)f;
    case CR_F64:
        memcpy(&d, at + e.i * 8, sizeof d);
        return d;
    case CR_BF16:
    case CR_F16:
        memcpy(&h, at + e.i * 2, sizeof h);
        return cr__half_value((cr_dtype)e.x->dtype, h);
    default:
        return 0;
    }
}

/* 0 if the value is not known. */
static double number_of(blamed e)
{
    return find_known(&e) ? known_number(e) : 0;
}

/* The first element that is not finite, NaNs first if `nan`; *found: there is one. */
static blamed first_nonfinite(const cr_tensor *x, bool nan, bool *found)
{
    blamed at = { x, 0 };
    *found = false;
    for (int64_t i = 0; i < x->shape->numel && cr__is_float((cr_dtype)x->dtype); i++) {
        double value = number_of((blamed){ x, i });
        if (isfinite(value) || (*found && !isnan(value)))
            continue;
        at.i = i;
        *found = true;
        if (!nan || isnan(value))
            break;
    }
    return at;
}

/* ---- the way back ---- */

typedef struct trail {
    cr_ctx *ctx;
    blamed from; /* the result that is not finite */
    blamed at;   /* where the way has led to */
    blamed
        made; /* the first on the way, in order of creation, that is NaN of what is none */
    bool any_made;
    int64_t passed; /* operations between */
} trail;

/* Whether element i of the reduction's input goes into that element of its result. */
static bool goes_into(const cr_tensor *x, const cr_tensor *in, int64_t i, int64_t result)
{
    const cr__reduce_attrs *attrs = x->attrs;
    int64_t at = 0, stride = 1;
    for (int d = in->shape->ndim; d-- > 0; i /= in->shape->dims[d]) {
        bool reduced = false;
        for (int k = 0; k < attrs->dim.n; k++)
            reduced |= attrs->dim.v[k] == d;
        if (reduced)
            continue;
        at += i % in->shape->dims[d] * stride;
        stride *= in->shape->dims[d];
    }
    return at == result;
}

/* The element of operand k that is not finite and goes into e; *found: there is one. */
static blamed bad_operand(blamed e, int k, bool nan, bool *found)
{
    const cr_tensor *in = cr__input(e.x, k);
    const cr_op_kind kind = e.x->op->kind;
    blamed at = { in, e.i };
    *found = false;
    if (kind == CR_OP_MAP || kind == CR_OP_VIEW) {
        at = kind == CR_OP_VIEW ? behind_view(e) : at;
        *found = !isfinite(number_of(at));
        return at;
    }
    if (kind != CR_OP_REDUCE)
        return first_nonfinite(in, nan, found);
    for (int64_t i = 0; i < in->shape->numel && !*found; i++)
        if (goes_into(e.x, in, i, e.i) && !isfinite(number_of((blamed){ in, i })) &&
            (!nan || isnan(number_of((blamed){ in, i }))))
            at.i = i, *found = true;
    if (!*found && nan)
        return bad_operand(e, k, false, found);
    return at;
}

/* Whether the map's element is not from operand k: a condition, which is of a type of its own,
 * says so. */
static bool is_passed_over(blamed e, int k)
{
    const cr__map *map = e.x->op->kind == CR_OP_MAP ? e.x->op->internal : NULL;
    if (!map || map->own != 1 || e.x->n_inputs != 3 || !cr__input(e.x, 0))
        return false;
    blamed condition = { cr__input(e.x, 0), e.i };
    if (condition.x->dtype != CR_BOOL || !find_known(&condition))
        return false;
    const uint8_t *taken = cr__value((cr_tensor *)(uintptr_t)condition.x);
    return k == (taken[condition.i] ? 2 : 1);
}

/* One operation back. False if no operand that is known is to blame. */
static bool go_back_one(trail *t)
{
    const blamed e = t->at;
    const bool nan = isnan(number_of(e));
    blamed best = { 0 };
    bool any = false, best_nan = false;
    for (int k = 0; k < e.x->n_inputs && e.x->op; k++) {
        const cr_tensor *in = cr__input(e.x, k);
        bool found;
        if (!in || !cr__is_float((cr_dtype)in->dtype) || is_passed_over(e, k))
            continue;
        blamed at = bad_operand(e, k, nan, &found);
        bool is_nan = found && isnan(number_of(at));
        if (!found || (any && !(nan && is_nan && !best_nan)))
            continue;
        best = at;
        any = true;
        best_nan = is_nan;
    }
    if (nan && !best_nan && !is_view(e.x)) {
        t->made = e;
        t->any_made = true;
    }
    if (any)
        t->at = best;
    return any;
}

/* ---- words ---- */

static void say_number(cr__text *out, double value)
{
    if (isnan(value))
        cr__say(out, "nan");
    else
        cr__say(out, "%.6g", value);
}

static void say_element(cr__text *out, blamed e)
{
    cr_dims place = cr_shape(e.x);
    int64_t rest = e.i;
    if (!place.n)
        return;
    for (int d = place.n; d-- > 0; rest /= e.x->shape->dims[d])
        place.v[d] = rest % e.x->shape->dims[d];
    cr__say(out, ", element %s", cr__dims_text(e.x->ctx, place));
}

/* What the user calls x: by what it is to a leaf, or by its name. */
static void say_tensor(cr__text *out, const cr_tensor *x)
{
    const char *name = x->leaf && x->leaf->name ? x->leaf->name : NULL;
    for (const cr__leaf *leaf = x->ctx->dirty; leaf; leaf = leaf->next_dirty) {
        bool gradient = leaf->grad && cr__resolve(leaf->grad) == x;
        if (!gradient && (leaf->version != x || leaf->version == leaf->committed))
            continue;
        cr__say(out, gradient ? "the gradient of " : "the new value of ");
        name = leaf->name;
        if (!name) {
            cr__say(out, "a leaf %s", cr__shape_text(x));
            return;
        }
        break;
    }
    if (name)
        cr__say(out, "\"%s\" %s", name, cr__shape_text(x));
    else
        cr__say(out, "%s %s (%s)", cr__called(x), cr__shape_text(x), x->site);
}

static bool is_backward(const cr_tensor *x)
{
    bool any = false;
    for (int i = 0; i < CR__COUNT(x->ctx->walks); i++)
        any |= x->seq >= x->ctx->walks[i].since && x->seq < x->ctx->walks[i].until;
    return any;
}

/* "exp f32 [3] (train.c:9)", with what it is a part of. */
static void say_operation(cr__text *out, blamed e)
{
    const cr_tensor *x = e.x;
    if (is_backward(x))
        cr__say(out, "in the backward pass of %s by %s", x->site, x->op->name);
    else if (x->within && x->within != x->op)
        cr__say(out, "in %s (%s) by %s", x->within->name, x->site, x->op->name);
    else
        cr__say(out, "by %s (%s)", x->op->name, x->site);
    cr__say(out, ", %s %s", cr_dtype_name((cr_dtype)x->dtype), cr__shape_text(x));
    say_element(out, e);
}

/* Of maps the operands' elements, of others what they are; *zero: the first, which in a vjp is
 * what the cotangent has become, is 0. */
static void say_operands(cr__text *out, blamed e, bool *zero)
{
    *zero = false;
    for (int k = 0; k < e.x->n_inputs && k < 4; k++) {
        const cr_arg arg = cr__operand(e.x, k);
        if (arg.kind == CR_ARG_NONE)
            continue;
        cr__say(out, k ? (k + 1 == e.x->n_inputs ? " and " : ", ") : ", of ");
        if (arg.kind != CR_ARG_TENSOR) {
            cr__say(out, "%s", cr__number_text(e.x->ctx, arg));
            *zero |= !k && cr__arg_double(arg) == 0;
        } else if (e.x->op->kind == CR_OP_MAP &&
                   cr__is_float((cr_dtype)arg.v.tensor->dtype)) {
            double value = number_of((blamed){ arg.v.tensor, e.i });
            say_number(out, value);
            *zero |= !k && value == 0;
        } else
            cr__say(out, "%s %s", cr_dtype_name((cr_dtype)arg.v.tensor->dtype),
                    cr__shape_text(arg.v.tensor));
    }
}

/* Whether its operands are there to be looked at. */
static bool operands_known(const cr_tensor *x)
{
    for (int k = 0; k < x->n_inputs; k++) {
        blamed e = { cr__input(x, k), 0 };
        while (e.x && !(e.x->flags & CR__KNOWN) && is_view(e.x))
            e.x = cr__input(e.x, 0);
        if (e.x && !(e.x->flags & CR__KNOWN))
            return false;
    }
    return true;
}

static void say_origin(cr__text *out, blamed e, bool *zero)
{
    const cr_tensor *x = e.x;
    *zero = false;
    if (x->n_inputs && !operands_known(x)) {
        cr__say(out, "from ");
        say_tensor(out, x);
        say_element(out, e);
        cr__say(out, ", which an earlier run has computed");
        return;
    }
    if (x->flags & CR__VERSION || !x->op || !x->n_inputs) {
        cr__say(out,
                x->op && !(x->flags & (CR__VERSION | CR__CUT)) ? "made by " : "from ");
        say_tensor(out, x);
        say_element(out, e);
        cr__say(out, x->flags & CR__CUT ? ", whose value was so before this run"
                     : x->op            ? ""
                                        : ", as it was given");
        return;
    }
    cr__say(out, "made ");
    say_operation(out, e);
    say_operands(out, e, zero);
}

static void say_trail(cr__text *out, const trail *t)
{
    bool zero, other_zero = false;
    const bool made_later = t->any_made && t->made.x != t->at.x;
    say_number(out, number_of(t->from));
    cr__say(out, " in ");
    say_tensor(out, t->from.x);
    say_element(out, t->from);
    cr__say(out, ": ");
    if (made_later) {
        say_number(out, number_of(t->at));
        cr__say(out, " was ");
    }
    say_origin(out, t->at, &zero);
    if (made_later) {
        cr__say(out, "; nan was then made ");
        say_operation(out, t->made);
        say_operands(out, t->made, &other_zero);
    }
    if (t->passed)
        cr__say(out, "; passed on by %lld operation%s", (long long)t->passed,
                t->passed == 1 ? "" : "s");
    zero = made_later ? other_zero : zero;
    if (t->any_made && zero && is_backward(t->made.x))
        cr__say(out,
                "; a zero cotangent met an infinite derivative: usually a branch that "
                "cr_where() does not take: choose the operand, f(cr_where(c, x, 1)), and "
                "then the result, cr_where(c, f, y)");
}

/* e, which is known, is not finite: becomes the error. */
static void blame_element(cr_ctx *ctx, blamed e)
{
    trail t = { .ctx = ctx, .from = e, .at = e };
    char text[900] = "";
    cr__text out = { .at = text, .capacity = sizeof text };
    for (;;) {
        blamed here = t.at;
        if (here.x->flags & CR__CUT || !operands_known(here.x) || !go_back_one(&t))
            break;
        t.passed += !is_view(here.x) && !(t.any_made && t.made.x == here.x);
    }
    say_trail(&out, &t);
    cr_fail(ctx, CR_ERR_NONFINITE, "eval: %s", text);
}

/* Of the nodes that stay, the first that is not finite. */
static bool blame_first(cr_ctx *ctx, cr_tensor *const *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        blamed e = { nodes[i], 0 };
        if (nodes[i]->flags & CR__KEEP && find_known(&e))
            e = first_nonfinite(nodes[i], false, &found);
        if (!found)
            continue;
        blame_element(ctx, e);
        return true;
    }
    return false;
}

/* ---- repeating a run ---- */

typedef struct before {
    cr_tensor *x;
    uint16_t flags;
    bool pending;
} before;

/* In order of creation, each with its value; false if that takes more memory than there is. */
static bool repeat_run(cr_ctx *ctx, before *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cr_tensor *x = all[i].x;
        if (x->flags & CR__KNOWN || x->op->kind == CR_OP_VIEW)
            continue;
        if (cr__run(ctx, &x, 1, false) == CR_OK)
            continue;
        if (ctx->status == CR_ERR_CANCELLED)
            return false;
        ctx->status = CR_OK;
        ctx->message[0] = '\0';
        return false;
    }
    return true;
}

/* As a run that has failed leaves them. */
static void restore(before *all, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        cr_tensor *x = all[i].x;
        if (!(all[i].flags & CR__KNOWN))
            cr__forget_value(x);
        if (!(all[i].flags & CR__COMPUTED))
            x->flags &= (uint16_t)~CR__COMPUTED;
        x->flags |= all[i].flags & CR__FAILED;
        if (all[i].pending && !x->pending)
            cr__pend(x);
        cr__drop(x);
    }
}

void cr__blame(cr_ctx *ctx, cr_tensor *const *nodes, size_t n)
{
    const bool eager = ctx->eager, ending = ctx->scope->ending;
    before *all = cr__pooled_new(ctx, n * sizeof *all);
    cr_tensor **list = all ? cr__pooled_new(ctx, n * sizeof *list) : NULL;
    if (!list) {
        cr__pooled_free(all);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        all[i] = (before){ nodes[i], nodes[i]->flags, nodes[i]->pending };
        list[i] = nodes[i];
        cr__retain(nodes[i]);
    }
    ctx->eager = ctx->blames = true;
    ctx->scope->ending = false;
    bool done = repeat_run(ctx, all, n);
    if (!blame_first(ctx, list, n))
        cr_fail(ctx, CR_ERR_NONFINITE, "eval: a value is not finite; %s",
                done ? "where it comes from was not found"
                     : "there is not memory enough to repeat the run and see where it "
                       "comes from");
    ctx->scope->ending = ending;
    ctx->blames = false;
    ctx->eager = eager;
    restore(all, n);
    cr__pooled_free(list);
    cr__pooled_free(all);
}

/* ---- eager mode ---- */

static bool blame_if_nonfinite(cr_ctx *ctx, cr_tensor *x)
{
    bool found = false;
    blamed e = { x, 0 };
    if (find_known(&e))
        e = first_nonfinite(x, false, &found);
    if (found)
        blame_element(ctx, e);
    return found;
}

bool cr__look_at_known(cr_ctx *ctx, cr_tensor *const *targets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (blame_if_nonfinite(ctx, targets[i]))
            return false;
    for (const cr__leaf *leaf = ctx->dirty; leaf; leaf = leaf->next_dirty) {
        if (leaf->grad && leaf->grad != leaf->grad_committed &&
            blame_if_nonfinite(ctx, cr__resolve(leaf->grad)))
            return false;
        if (leaf->version && leaf->version != leaf->committed &&
            blame_if_nonfinite(ctx, leaf->version))
            return false;
    }
    return true;
}
