/* Operations by name, with attributes as structs or text, and what a vjp asks about its
 * node. */
#include "attrs.h"

#include <string.h>

/* ---- calls ---- */

/* The context of a call that names no function of its own; the errors before recording
 * carry site. */
typedef struct entry {
    cr_ctx *ctx;
    const char *outer_site;
} entry;

/* Only the library's own operations have the kinds that come with `internal`. */
static bool is_complete(const cr_op *op)
{
    if (!op->name)
        return false;
    return op->kind == CR_OP_OPAQUE      ? op->kernel != NULL
           : op->kind == CR_OP_COMPOSITE ? op->expand || op->expand_all
                                         : op->internal != NULL;
}

static bool enter(entry *e, cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
                  const char *site)
{
    for (int i = 0; i < n && inputs && !ctx; i++)
        ctx = inputs[i] ? inputs[i]->ctx : NULL;
    if (!ctx || ctx->status != CR_OK)
        return false;
    if (!op || (n > 0 && !inputs)) {
        cr_fail(ctx, CR_ERR_NULL, "cr_call: the %s NULL (%s)%s",
                op ? "inputs are" : "operation is", site ? site : "?",
                op ? "" : "; cr_op_find() gives NULL for a name it does not know");
        return false;
    }
    if (!is_complete(op)) {
        cr_fail(ctx, CR_ERR_ARGUMENT,
                "%s: the operation is neither opaque with a kernel nor composite with an "
                "expansion (%s)",
                op->name ? op->name : "cr_call", site ? site : "?");
        return false;
    }
    *e = (entry){ ctx, ctx->site };
    ctx->site = ctx->site ? ctx->site : site;
    return true;
}

static int leave(const entry *e, const cr_op *op, cr_tensor *const *inputs, int n,
                 void *attrs, cr_tensor **outputs, int capacity, const char *site)
{
    e->ctx->site = e->outer_site;
    int count = cr__record_all(e->ctx, op, inputs, n, attrs, outputs, capacity, site);
    cr__pooled_free(attrs);
    return count;
}

/* A copy of the caller's attributes in which zero has become the default. */
static bool copy_attrs(cr_ctx *ctx, const cr_op *op, const void *attrs, void **copy)
{
    if (!attrs || !op->attrs_size)
        return cr__attrs_parse(ctx, op, NULL, copy);
    *copy = cr__pooled_new(ctx, op->attrs_size);
    if (!*copy)
        return false;
    memcpy(*copy, attrs, op->attrs_size);
    return cr__attrs_fill(ctx, op, *copy) && cr__attrs_check(ctx, op, *copy);
}

cr_tensor *cr_apply_at(const cr_op *op, cr_tensor *const *inputs, int n,
                       const void *attrs, const char *site)
{
    entry e;
    cr_tensor *x = NULL;
    void *copy = NULL;
    CR__FP_GUARD();
    if (!enter(&e, NULL, op, inputs, n, site))
        return NULL;
    (void)copy_attrs(e.ctx, op, attrs, &copy);
    (void)leave(&e, op, inputs, n, copy, &x, 1, site);
    return x;
}

int cr_call_at(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
               const char *attrs, cr_tensor **outputs, int capacity, const char *site)
{
    entry e;
    void *copy = NULL;
    CR__FP_GUARD();
    if (!enter(&e, ctx, op, inputs, n, site))
        return -1;
    (void)cr__attrs_parse(e.ctx, op, attrs, &copy);
    return leave(&e, op, inputs, n, copy, outputs, outputs ? capacity : 0, site);
}

/* ---- nodes ---- */

cr_tensor *cr_input(const cr_tensor *out, int i)
{
    return cr__readable(out, "input") && i >= 0 && i < out->n_inputs ? cr__input(out, i)
                                                                     : NULL;
}

cr_arg cr_operand(const cr_tensor *out, int i)
{
    if (!cr__readable(out, "operand") || i < 0 || i >= out->n_inputs)
        return (cr_arg){ .kind = CR_ARG_NONE };
    return cr__operand(out, i);
}

int cr_input_count(const cr_tensor *out)
{
    return cr__readable(out, "input_count") ? out->n_inputs : 0;
}

const void *cr_attrs(const cr_tensor *out)
{
    return cr__readable(out, "attrs") ? out->attrs : NULL;
}

bool cr_input_needs_grad(const cr_tensor *out, int i)
{
    return cr__readable(out, "input_needs_grad") && i >= 0 && i < out->n_inputs &&
           cr__wants_grad(out, i);
}

const cr_op *cr_op_of(const cr_tensor *x)
{
    return cr__readable(x, "op_of") ? cr__resolve(x)->op : NULL;
}

const cr_op *cr_op_within(const cr_tensor *x)
{
    return cr__readable(x, "op_within") ? cr__resolve(x)->within : NULL;
}

const char *cr_site_of(const cr_tensor *x)
{
    const char *site = cr__readable(x, "site_of") ? cr__resolve(x)->site : NULL;
    return site ? site : "";
}
