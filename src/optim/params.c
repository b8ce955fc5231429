/* Lists of parameters: whether one can be used, and lists of plain tensors. */
#include "rule.h"

#include <stdio.h>
#include <string.h>

const char *cr__param_text(const cr_param *param, int i, char *text, size_t size)
{
    const char *name = param->name ? param->name : cr_name(param->tensor);
    if (*name)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "parameter %d", i);
    return text;
}

cr_ctx *cr__params_owner(const cr_params *params)
{
    cr_ctx *ctx = params ? params->ctx : NULL;
    for (int i = 0; params && params->list && i < params->n && !ctx; i++)
        ctx = cr_ctx_of(params->list[i].tensor);
    return ctx;
}

static cr_status check_row(cr_ctx *ctx, const cr_param *row, int i, const char *what,
                           const char *site)
{
    cr_tensor *x = row->tensor;
    char text[96];
    const char *complaint = NULL;
    cr_status status = CR_ERR_SCOPE;
    if (!x) {
        status = CR_ERR_NULL;
        complaint = "is NULL";
    } else if (!cr_dtype_of(x)) {
        complaint = "was released with its scope";
    } else if (cr_ctx_of(x) != ctx) {
        complaint = "is a tensor of another context";
    }
    return complaint ? cr_fail(ctx, status, "%s: %s %s (%s)", what,
                               cr__param_text(row, i, text, sizeof text), complaint, site)
                     : CR_OK;
}

cr_ctx *cr__params_ctx(const cr_params *params, const char *what, const char *site)
{
    cr_ctx *ctx = cr__params_owner(params);
    if (!ctx || cr__refuse(ctx) != CR_OK)
        return NULL;
    site = site ? site : "?";
    if (params->n < 0)
        cr_fail(ctx, CR_ERR_ARGUMENT, "%s: a list of %d parameters (%s)", what, params->n,
                site);
    else if (params->n && !params->list)
        cr_fail(ctx, CR_ERR_NULL, "%s: the list of %d parameters is NULL (%s)", what,
                params->n, site);
    for (int i = 0; i < params->n && !cr_error(ctx); i++)
        check_row(ctx, &params->list[i], i, what, site);
    return cr_error(ctx) ? NULL : ctx;
}

/* ---- lists of plain tensors ---- */

static void free_block(void *ctx, const void *block)
{
    cr__free(ctx, (void *)(uintptr_t)block);
}

static const char *name_of(cr_tensor *const *tensors, const char *const *names, int i)
{
    return names && names[i] ? names[i] : cr_name(tensors[i]);
}

/* One block: the list, its rows, the characters of the names. */
static cr_params *make_group(cr_ctx *ctx, cr_tensor *const *tensors,
                             const char *const *names, int n, size_t *bytes)
{
    *bytes = sizeof(cr_params) + (size_t)n * sizeof(cr_param);
    for (int i = 0; i < n; i++)
        *bytes += strlen(name_of(tensors, names, i)) + 1;
    cr_params *params = cr__alloc(ctx, *bytes);
    if (!params)
        return NULL;
    cr_param *rows = (cr_param *)(void *)(params + 1);
    char *text = (char *)(rows + n);
    *params = (cr_params){ .ctx = ctx, .n = n, .list = rows };
    for (int i = 0; i < n; i++) {
        rows[i] = (cr_param){ .name = text, .tensor = tensors[i] };
        strcpy(text, name_of(tensors, names, i));
        text += strlen(text) + 1;
    }
    return params;
}

/* The block is the memory of a tensor, which the present scope owns. */
const cr_params *cr_params_of_at(cr_tensor *const *tensors, const char *const *names,
                                 int n, const char *site)
{
    cr_ctx *ctx = NULL;
    for (int i = 0; tensors && i < n && !ctx; i++)
        ctx = cr_ctx_of(tensors[i]);
    if (!ctx || cr_error(ctx))
        return NULL;
    for (int i = 0; i < n; i++) {
        const cr_param row = { .name = names ? names[i] : NULL, .tensor = tensors[i] };
        if (check_row(ctx, &row, i, "params_of", site ? site : "?") != CR_OK)
            return NULL;
    }
    size_t bytes;
    cr_params *params = make_group(ctx, tensors, names, n, &bytes);
    if (params && cr_borrow_at(ctx, CR_U8, CR_DIMS((int64_t)bytes), params, free_block,
                               ctx, NULL, site))
        return params;
    cr__free(ctx, params);
    return NULL;
}
