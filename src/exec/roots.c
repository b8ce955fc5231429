/* What computes groups that are no maps, or end in something else: reductions,
 * copies. Products are in product.c. None of it can fail. */
#include "launch.h"
#include "reducer.h"

/* ---- operands ---- */

/* Written in place: a layout of eight dims that is copied as soon as it is made waits for what made
 * it. Nothing is cleared in vain. */
void cr__operand_of(const cr__plan *plan, const cr__unit *unit, int k, cr__strided *s)
{
    const cr__use *use = &plan->uses[unit->uses + (uint32_t)k];
    const cr__look *look = cr__use_look(plan, use);
    const cr__shape *shape = cr__input(unit->node, k)->shape;
    s->data = cr__use_start(plan, use);
    s->ndim = look ? look->layout.ndim : shape->ndim;
    if (look) {
        memcpy(s->dims, look->layout.dims, sizeof s->dims);
        memcpy(s->strides, look->layout.strides, sizeof s->strides);
    } else {
        cr__lay_out(shape, s->dims, s->strides);
    }
}

/* ---- reductions ---- */

bool cr__means_integers(const cr_tensor *x)
{
    const cr__reduce_info *info = x->op->internal;
    cr_dtype dtype = (cr_dtype)cr__input(x, 0)->dtype;
    return info->ending == CR__AS_MEAN && dtype != CR_F32 && dtype != CR_F64;
}

bool cr__reduces_maps(const cr_tensor *x, int64_t *run)
{
    const cr__reduce_info *info = x->op->internal;
    const cr_dims *dims = &((const cr__reduce_attrs *)x->attrs)->dim;
    const cr__shape *shape = cr__input(x, 0)->shape;
    const cr_dtype dtype = (cr_dtype)cr__input(x, 0)->dtype;
    bool reduced[CR_MAX_DIMS] = { false };
    int changes = 0, last = -1; /* from reduced dims to kept ones, or back */
    if (shape->numel == 0 || cr__means_integers(x))
        return false;
    for (int i = 0; i < dims->n; i++)
        reduced[dims->v[i]] = true;
    *run = 1;
    for (int d = 0; d < shape->ndim; d++) {
        if (shape->dims[d] == 1)
            continue;
        changes += last >= 0 && last != reduced[d];
        *run = reduced[d] ? (last == 1 ? *run * shape->dims[d] : shape->dims[d]) : 0;
        last = reduced[d];
    }
    *run = last == 1 || changes ? *run : 1;
    if (changes == 0 || (changes == 1 && last))
        return true;
    return info->ending != CR__AS_IT_IS && (dtype == CR_F32 || dtype == CR_F64) &&
           (changes == 1 || (changes == 2 && *run >= CR__SHORT_RUN));
}

/* The dims of a reduction's input with the kept ones first. */
static cr__strided kept_first(const cr_tensor *x, const cr__strided *in, int *kept)
{
    const cr_dims *dims = &((const cr__reduce_attrs *)x->attrs)->dim;
    cr__strided out = { .data = in->data, .ndim = in->ndim };
    bool reduced[CR_MAX_DIMS] = { false };
    int at = 0;
    for (int i = 0; i < dims->n; i++)
        reduced[dims->v[i]] = true;
    for (int pass = 0; pass < 2; pass++) {
        for (int d = 0; d < in->ndim; d++) {
            if (reduced[d] != (pass == 1))
                continue;
            out.dims[at] = in->dims[d];
            out.strides[at++] = in->strides[d];
        }
        if (pass == 0)
            *kept = at;
    }
    return out;
}

cr__ending cr__ending_of(cr_tensor *x)
{
    const cr__reduce_info *info = x->op->internal;
    const cr__reduce_attrs *attrs = x->attrs;
    cr_tensor *in = cr__input(x, 0);
    cr__ending ending = { .with = info->code, .dtype = (cr_dtype)in->dtype, .count = 1 };
    if (in->dtype != CR_F32 && in->dtype != CR_F64)
        return ending;
    ending.code = info->ending;
    for (int i = 0; i < attrs->dim.n; i++)
        ending.count *= (double)in->shape->dims[attrs->dim.v[i]];
    if (info->end)
        info->end(x->attrs, &ending);
    return ending;
}

/* The elements of a program's tile. */
static const void *make_elements(void *arg, int64_t start, int64_t n, char *scratch,
                                 const void **y)
{
    (void)y;
    cr__run_tile(arg, scratch, start, n);
    return cr__tile_result(arg, scratch, start);
}

void cr__run_reduction(cr__plan *plan, const cr__group *group)
{
    const cr__unit *unit = &plan->units[group->root - 1];
    cr_tensor *x = unit->node, *in = cr__input(x, 0);
    const cr__reduce_info *info = x->op->internal;
    cr__program p;
    cr__reduction r = { .ending = cr__ending_of(x), .out = cr__unit_data(plan, unit) };
    cr__strided whole;
    if (group->shape && group->count > 1) {
        cr__emit(&p, plan, group, plan->ctx->run_lists[CR__PROGRAM].at);
        r.make = make_elements;
        r.arg = &p;
        r.tile = p.tile;
        r.cost = cr__program_cost(&p) / (double)p.numel;
        cr__layout layout;
        cr__layout_init(&layout, in->shape);
        whole = cr__lying(&layout, NULL);
    } else {
        cr__operand_of(plan, unit, 0, &whole);
    }
    r.x = kept_first(x, &whole, &r.kept);
    cr__reduce_find(cr__means_integers(x) ? CR__REDUCE_mean : info->code,
                    (cr_dtype)in->dtype, &r.kernel);
    cr__reduce(&r, plan->ctx->team);
}

/* ---- copies ---- */

void cr__run_copy(const cr__plan *plan, const cr__unit *unit)
{
    cr__strided s;
    cr__operand_of(plan, unit, 0, &s);
    cr__copy_strided(cr__unit_data(plan, unit), &s, cr_dtype_size((cr_dtype)unit->dtype),
                     plan->ctx->team);
}
