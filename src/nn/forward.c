/* Running modules, and the hooks that are called then. */
#include "nn.h"

uint64_t cr_nn_register_forward_hook_at(cr_module *module, cr_nn_forward_hook *hook,
                                        void *user, const char *site)
{
    if (!module || cr_error(module->ctx))
        return 0;
    site = site ? site : "?";
    if (!hook) {
        cr_fail(module->ctx, CR_ERR_NULL, "nn_register_forward_hook: hook is NULL (%s)",
                site);
        return 0;
    }
    if (cr__nn_root(module)->closing) {
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_register_forward_hook: this %s is being freed (%s)", module->name,
                site);
        return 0;
    }
    cr__nn_hook *hooks = cr__nn_grow(module->ctx, module->hooks, module->n_hooks,
                                     &module->hooks_capacity, sizeof *hooks);
    if (!hooks)
        return 0;
    module->hooks = hooks;
    hooks[module->n_hooks++] = (cr__nn_hook){ ++module->last_hook, hook, user };
    return module->last_hook;
}

/* Takes the rows away whose hooks were removed. */
static void close_ranks(cr_module *module)
{
    int kept = 0;
    for (int i = 0; i < module->n_hooks; i++)
        if (module->hooks[i].hook)
            module->hooks[kept++] = module->hooks[i];
    module->n_hooks = kept;
}

cr_status cr_nn_remove_forward_hook(cr_module *module, uint64_t id)
{
    if (!module)
        return CR_ERR_NULL;
    for (int i = 0; i < module->n_hooks; i++)
        if (module->hooks[i].hook && module->hooks[i].id == id) {
            module->hooks[i].hook = NULL;
            if (!module->calling)
                close_ranks(module);
            return CR_OK;
        }
    return cr_fail(module->ctx, CR_ERR_ARGUMENT,
                   "nn_remove_forward_hook: this %s has no hook %llu", module->name,
                   (unsigned long long)id);
}

/* What takes the place of y, as the hooks want it. They may register and remove hooks, so that
 * rows move, and none goes before the calls are over. */
static cr_tensor *call_hooks(cr_module *module, cr_tensor *x, cr_tensor *y,
                             const char *site)
{
    cr_ctx *ctx = module->ctx;
    const int n = module->n_hooks;
    module->calling++;
    for (int i = 0; i < n && !cr_error(ctx); i++) {
        const cr__nn_hook hook = module->hooks[i];
        cr_tensor *other = hook.hook ? hook.hook(module, x, y, hook.user) : NULL;
        if (other && cr_ctx_of(other) != ctx)
            cr_fail(ctx, CR_ERR_SCOPE,
                    "nn_forward: hook %llu of a %s returned a tensor of another context "
                    "(%s)",
                    (unsigned long long)hook.id, module->name, site);
        y = other ? other : y;
    }
    if (!--module->calling)
        close_ranks(module);
    return cr_error(ctx) ? NULL : y;
}

cr_tensor *cr__nn_run(cr_module *module, cr_tensor *x, const char *site)
{
    cr_tensor *y = module->kind->forward(module, x, site);
    return y && module->n_hooks ? call_hooks(module, x, y, site) : y;
}

cr_tensor *cr_nn_forward_at(cr_module *module, cr_tensor *x, const char *site)
{
    if (!module)
        return NULL;
    site = site ? site : "?";
    cr_module *root = cr__nn_root(module);
    if (!x)
        cr_fail(module->ctx, CR_ERR_NULL, "nn_forward: the input of %s is NULL (%s)",
                module->name, site);
    else if (root->closing)
        cr_fail(module->ctx, CR_ERR_ARGUMENT, "nn_forward: this %s is being freed (%s)",
                module->name, site);
    else if (root->running >= CR_NN_MAX_DEPTH)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_forward: %s runs inside of itself: forwards are %d deep, the most "
                "there may be (%s)",
                module->name, root->running, site);
    if (cr_error(module->ctx))
        return NULL;
    root->running++;
    cr_tensor *y = cr__nn_run(module, x, site);
    root->running--;
    if (cr_error(module->ctx))
        return NULL;
    /* What comes out of a network is what users look at, also after the optimiser's step. */
    return y && !root->running ? cr_watch(y) : y;
}
