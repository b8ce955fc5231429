/* Watching a training: hooks on a module's tree while a step is due, boundaries in the order in
 * which they run, steps, the history. What is measured is measure.c's matter. */
#include "measure.h"

#include <stdio.h>

enum {
    HISTORY = 256, /* snapshots; beyond that every other one of the middle goes */
    EVENTS = 4096, /* of a step that is due; beyond that the older half goes */
};

/* ---- what is seen ---- */

static void drop_events(cr_flow *flow, int n)
{
    for (int i = 0; i < n; i++) {
        cr_release(flow->events[i].x);
        cr_release(flow->events[i].y);
    }
    flow->n_events -= n;
    if (flow->n_events)
        memmove(flow->events, flow->events + n,
                (size_t)flow->n_events * sizeof *flow->events);
}

static bool add_event(cr_flow *flow, const cr__flow_event *event)
{
    if (flow->n_events == EVENTS)
        drop_events(flow, EVENTS / 2);
    if (flow->n_events == flow->events_capacity) {
        const int capacity = flow->events_capacity ? 2 * flow->events_capacity : 64;
        cr__flow_event *events =
            realloc(flow->events, (size_t)capacity * sizeof *flow->events);
        if (!events) {
            cr_fail(flow->ctx, CR_ERR_MEMORY, "flow: no memory for %d boundaries",
                    capacity);
            return false;
        }
        flow->events = events;
        flow->events_capacity = capacity;
    }
    cr__flow_event *e = &flow->events[flow->n_events++];
    *e = *event;
    e->x = e->x ? cr_retain(e->x) : NULL;
    e->y = cr_retain(e->y);
    return true;
}

/* Passes without gradients are evaluations in between, and not the step's. */
static cr_tensor *see(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    const cr__flow_place *place = user;
    const cr__flow_event event = { .place = place, .name = place->name, .x = x, .y = y };
    (void)module;
    if (cr_grad_enabled(place->flow->ctx))
        add_event(place->flow, &event);
    return NULL;
}

cr_tensor *cr_flow_name_at(cr_flow *flow, cr_tensor *x, const char *name,
                           const char *site)
{
    if (!flow || !x || !cr_flow_is_due(flow) || cr_error(cr_ctx_of(x)))
        return x;
    flow->ctx = flow->ctx ? flow->ctx : cr_ctx_of(x);
    if (cr_ctx_of(x) != flow->ctx || !name) {
        cr_fail(cr_ctx_of(x), name ? CR_ERR_SCOPE : CR_ERR_NULL, "flow_name: %s (%s)",
                name ? "the tensor is of another context" : "the name is NULL",
                site ? site : "?");
        return NULL;
    }
    if (!cr_grad_enabled(flow->ctx))
        return x;
    const cr__flow_event event = { .name = cr__arena_text(&flow->seen, flow->ctx, name),
                                   .y = x };
    return event.name && add_event(flow, &event) ? x : NULL;
}

/* ---- hooks ---- */

static int count_modules(const cr_module *module)
{
    int n = 1;
    for (int i = 0; i < cr_nn_count(module); i++)
        n += count_modules(cr_nn_child(module, i));
    return n;
}

static const char *path_text(cr_flow *flow, const cr_module *root,
                             const cr_module *module)
{
    const size_t prefix = cr_nn_path(root, NULL, 0), n = cr_nn_path(module, NULL, 0) + 1;
    char *text = cr__arena_alloc(&flow->seen, flow->ctx, n);
    if (!text)
        return NULL;
    cr_nn_path(module, text, n);
    /* The watched module may be a part itself: paths begin below it. */
    return module == root ? text + n - 1 : text + (prefix ? prefix + 1 : 0);
}

static void attach_module(cr_flow *flow, cr_module *module, int level)
{
    cr__flow_place *place = &flow->places[flow->n_places++];
    *place = (cr__flow_place){ .flow = flow,
                               .module = module,
                               .name = path_text(flow, flow->module, module),
                               .level = level };
    place->hook = place->name ? cr_nn_register_forward_hook(module, see, place) : 0;
    for (int i = 0; i < cr_nn_count(module) && place->hook; i++)
        attach_module(flow, cr_nn_child(module, i), level + 1);
}

static void detach_modules(cr_flow *flow)
{
    drop_events(flow, flow->n_events);
    for (int i = 0; i < flow->n_places; i++)
        if (flow->places[i].hook)
            cr_nn_remove_forward_hook(flow->places[i].module, flow->places[i].hook);
    flow->places = NULL;
    flow->n_places = 0;
    flow->attached = false;
    cr__arena_free(&flow->seen);
}

/* Gets ready for the next step, if that is due. */
static void attach_modules(cr_flow *flow)
{
    if (flow->attached || !cr_flow_is_due(flow))
        return;
    flow->attached = true;
    if (!flow->module)
        return;
    const size_t n = (size_t)count_modules(flow->module);
    flow->places = cr__arena_alloc(&flow->seen, flow->ctx, n * sizeof *flow->places);
    if (flow->places)
        attach_module(flow, flow->module, 0);
}

/* ---- opening and closing ---- */

/* A list is the scope's that made it: it is copied. */
static bool copy_params(cr_flow *flow, const cr_params *params)
{
    const size_t n = params->n > 0 ? (size_t)params->n : 1;
    cr_param *list = calloc(n, sizeof *list);
    flow->given = (cr_params){ .ctx = params->ctx, .list = list };
    for (int i = 0; i < params->n && list; i++) {
        const cr_param *from = &params->list[i];
        char *name = malloc(strlen(from->name ? from->name : "") + 1);
        if (!name)
            return false;
        strcpy(name, from->name ? from->name : "");
        list[flow->given.n++] =
            (cr_param){ .name = name, .tensor = cr_retain(from->tensor) };
    }
    return list != NULL;
}

static void free_params(cr_flow *flow)
{
    for (int i = 0; i < flow->given.n; i++) {
        cr_release(flow->given.list[i].tensor);
        free((void *)(uintptr_t)flow->given.list[i].name);
    }
    free((void *)(uintptr_t)flow->given.list);
}

cr_params cr__flow_params(const cr_flow *flow)
{
    const cr_params *params = NULL;
    if (flow->given.list)
        return flow->given;
    params = flow->module ? cr_nn_params(flow->module) : cr_optim_params(flow->optim);
    return params ? *params : (cr_params){ 0 };
}

static cr_ctx *context_of(cr_module *module, const cr_flow_opts *opts)
{
    const cr_params *lists[] = { module ? cr_nn_params(module) : NULL, opts->params,
                                 cr_optim_params(opts->optim) };
    for (int i = 0; i < CR__FLOW_COUNT(lists); i++)
        if (lists[i] && lists[i]->ctx)
            return lists[i]->ctx;
    return NULL;
}

cr_flow *cr_flow_open_at(cr_module *module, cr_flow_opts opts)
{
    cr_ctx *ctx = context_of(module, &opts);
    if (ctx && cr_error(ctx))
        return NULL;
    if (opts.every < 0 || (opts.first.given && opts.first.v < 0)) {
        if (ctx)
            cr_fail(ctx, CR_ERR_ARGUMENT, "flow_open: %s is negative (%s)",
                    opts.every < 0 ? "every" : "first", opts.site ? opts.site : "?");
        return NULL;
    }
    cr_flow *flow = calloc(1, sizeof *flow);
    if (flow) {
        flow->ctx = ctx;
        flow->module = module;
        flow->optim = opts.optim;
        flow->every = opts.every ? opts.every : 50;
        flow->first = opts.first.given ? opts.first.v : 5;
    }
    if (flow && (!opts.params || copy_params(flow, opts.params))) {
        attach_modules(flow);
        if (!ctx || !cr_error(ctx))
            return flow;
    } else if (ctx)
        cr_fail(ctx, CR_ERR_MEMORY, "flow_open: no memory (%s)",
                opts.site ? opts.site : "?");
    cr_flow_close(flow);
    return NULL;
}

void cr_flow_close(cr_flow *flow)
{
    if (!flow)
        return;
    detach_modules(flow);
    free_params(flow);
    for (int i = 0; i < flow->n_snapshots; i++)
        cr__arena_free(&flow->arenas[i]);
    cr__arena_free(&flow->remembered);
    cr__arena_free(&flow->scratch);
    cr__arena_free(&flow->reported);
    free(flow->events);
    free(flow->snapshots);
    free(flow->arenas);
    free(flow);
}

/* ---- history ---- */

/* Room for one more. Beyond HISTORY, every other one behind the first steps goes, but the latest. */
static bool make_room(cr_flow *flow)
{
    if (flow->n_snapshots == HISTORY) {
        const int first = flow->first < HISTORY / 2 ? (int)flow->first : HISTORY / 2;
        int kept = first;
        for (int i = first; i < flow->n_snapshots; i++) {
            if ((i - first) % 2 && i + 1 < flow->n_snapshots) {
                cr__arena_free(&flow->arenas[i]);
                continue;
            }
            flow->arenas[kept] = flow->arenas[i];
            flow->snapshots[kept++] = flow->snapshots[i];
        }
        flow->n_snapshots = kept;
    }
    if (flow->n_snapshots < flow->snapshots_capacity)
        return true;
    const size_t capacity =
        flow->snapshots_capacity ? 2 * (size_t)flow->snapshots_capacity : 8;
    cr_flow_snapshot *snapshots = realloc(flow->snapshots, capacity * sizeof *snapshots);
    flow->snapshots = snapshots ? snapshots : flow->snapshots;
    cr__arena *arenas = realloc(flow->arenas, capacity * sizeof *arenas);
    flow->arenas = arenas ? arenas : flow->arenas;
    if (snapshots && arenas)
        flow->snapshots_capacity = (int)capacity;
    else
        cr_fail(flow->ctx, CR_ERR_MEMORY, "flow: no memory for %zu snapshots", capacity);
    return snapshots && arenas;
}

int cr_flow_count(const cr_flow *flow)
{
    return flow ? flow->n_snapshots : 0;
}

const cr_flow_snapshot *cr_flow_snapshot_of(const cr_flow *flow, int i)
{
    return flow && i >= 0 && i < flow->n_snapshots ? &flow->snapshots[i] : NULL;
}

/* ---- steps ---- */

bool cr_flow_is_due(const cr_flow *flow)
{
    return flow && (flow->step < flow->first || flow->step % flow->every == 0);
}

static cr_status refuse(cr_ctx *ctx, cr_status status, const char *what, const char *site)
{
    return cr_fail(ctx, status, "flow_watch: %s (%s)", what, site ? site : "?");
}

static cr_status check_watch(const cr_flow *flow, cr_tensor *loss,
                             const cr_flow_watch_opts *opts)
{
    if (!flow || !loss) {
        cr_ctx *ctx = loss ? cr_ctx_of(loss) : flow ? flow->ctx : NULL;
        return ctx ? refuse(ctx, CR_ERR_NULL,
                            loss ? "the flow is NULL" : "the loss is NULL", opts->site)
                   : CR_ERR_NULL;
    }
    cr_ctx *ctx = cr_ctx_of(loss);
    if (cr_error(ctx))
        return cr_error(ctx);
    if (flow->ctx && ctx != flow->ctx)
        return refuse(ctx, CR_ERR_SCOPE, "the loss is of another context than the flow",
                      opts->site);
    if (cr_numel(loss) != 1)
        return refuse(ctx, CR_ERR_SHAPE, "the loss has more than one element; cr_mean()?",
                      opts->site);
    return CR_OK;
}

cr_status cr_flow_watch_at(cr_flow *flow, cr_tensor *loss, cr_flow_watch_opts opts)
{
    const cr_status status = check_watch(flow, loss, &opts);
    if (status != CR_OK)
        return status;
    cr_ctx *ctx = flow->ctx = cr_ctx_of(loss);
    cr__flow_finish(flow);
    if (cr_flow_is_due(flow) && !cr_error(ctx) && make_room(flow)) {
        const int i = flow->n_snapshots;
        cr_flow_snapshot *out = &flow->snapshots[i];
        flow->arenas[i] = (cr__arena){ 0 };
        *out = (cr_flow_snapshot){ .step = flow->step };
        if (cr__flow_take(flow, loss, &opts, &flow->arenas[i], out) == CR_OK) {
            flow->saw_start |= flow->step == 0;
            flow->measured++;
            flow->n_snapshots++;
            detach_modules(flow);
        } else
            cr__arena_free(&flow->arenas[i]);
    }
    if (cr_error(ctx)) {
        drop_events(flow,
                    flow->n_events); /* the step is not counted, the next one measured */
        return cr_error(ctx);
    }
    flow->step++;
    attach_modules(flow);
    return cr_error(ctx);
}
