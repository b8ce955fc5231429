/* Values carried from step to step cost themselves only, whatever the form: their history
 * goes once they are known, unless a gradient is to flow through it. Counted are bytes of
 * tensors and nodes, since nodes hold on to each other. */
#include "../src/base/context.h"
#include "engine.h"

enum { STEPS = 50000, WIDTH = 64 };

typedef struct carrier {
    cr_ctx *ctx;
    cr_tensor *h, *w; /* the state; a leaf that needs a gradient */
    double total;     /* of what was read */
    int step;
} carrier;

/* One step of the recurrence; parts of it are read by others, views, more than once. */
static cr_tensor *advance(const carrier *c, cr_tensor *h)
{
    cr_tensor *y = cr_tanh(cr_add(cr_mul(h, 0.5), 1));
    return cr_add(cr_reshape(cr_reshape(y, CR_DIMS(2, -1)), CR_DIMS(-1)),
                  cr_mul(y, c->step % 2 ? 0.25 : 0.5));
}

/* ---- the forms ---- */

static void by_retain(carrier *c)
{
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        next = cr_retain(advance(c, c->h));
    }
    cr_release(c->h);
    c->h = next;
}

/* Something else reads the next state, and only that is read by the user. */
static void by_retain_consumed(carrier *c)
{
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        next = cr_retain(advance(c, c->h));
        c->total += cr_item(cr_sum(cr_mul(next, 2)));
    }
    cr_release(c->h);
    c->h = next;
}

static void by_retain_unread(carrier *c)
{
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        next = cr_retain(advance(c, c->h));
        cr_sum(cr_exp(next));
    }
    cr_release(c->h);
    c->h = next;
}

static void by_retain_detached(carrier *c)
{
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        next = cr_retain(cr_detach(cr_mul(advance(c, c->h), c->w)));
        cr_backward(cr_sum(cr_mul(next, c->w)));
        cr_zero_grad(c->w);
    }
    cr_release(c->h);
    c->h = next;
}

static void by_retain_no_grad(carrier *c)
{
    CR_NO_GRAD(c->ctx);
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        next = cr_retain(cr_mul(advance(c, c->h), c->w));
    }
    cr_release(c->h);
    c->h = next;
}

/* As bindings do: each tensor is retained, in a scope of its own. */
static void by_bindings(carrier *c)
{
    cr_tensor *part[3], *from = c->h;
    for (int i = 0; i < 3; i++) {
        CR_SCOPE(c->ctx);
        from = part[i] = cr_retain(i == 0 ? cr_mul(from, 0.5) : cr_tanh(from));
    }
    cr_release(part[0]);
    cr_release(part[1]);
    cr_release(c->h);
    c->h = part[2];
}

/* What is kept is the enclosing scope's, which is the root scope here, until it is released. */
static void by_keep_released(carrier *c)
{
    cr_tensor *next, *other, *unread;
    {
        CR_SCOPE(c->ctx);
        next = cr_keep(advance(c, c->h));
        other = cr_keep(cr_mul(next, 2));
        unread = cr_keep(cr_exp(c->h));
    }
    cr_release(unread);
    cr_release(c->h);
    cr_release(other);
    c->h = next;
}

/* What is kept is the enclosing scope's, which ends from time to time. */
static void by_keep(carrier *c)
{
    cr_tensor *h = c->h;
    if (c->step % 100)
        return;
    {
        CR_SCOPE(c->ctx);
        for (int i = 0; i < 100; i++) {
            CR_SCOPE(c->ctx);
            h = cr_keep(advance(c, h));
            if (i % 2)
                cr_sum(h);
        }
        cr_retain(h);
    }
    cr_release(c->h);
    c->h = h;
}

static void by_assign(carrier *c)
{
    CR_SCOPE(c->ctx);
    cr_assign(c->h, advance(c, c->h));
}

static void by_assign_read(carrier *c)
{
    CR_SCOPE(c->ctx);
    cr_tensor *next = advance(c, c->h);
    cr_assign(c->h, next);
    c->total += cr_item(cr_sum(c->step % 2 ? next : c->h));
}

static void by_assign_many(carrier *c)
{
    CR_SCOPE(c->ctx);
    for (int i = 0; i < 3; i++)
        cr_assign(c->h, cr_mul(c->h, 0.5));
    cr_assign(c->h, cr_mul(cr_add(c->h, cr_mul(c->w, 2)), 0.5));
}

/* A cache of the last states, grown at one end and cut at the other. */
static void by_cat(carrier *c)
{
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        cr_tensor *last = cr_slice(c->h, 0, WIDTH - 4, WIDTH);
        cr_tensor *both[] = { c->h, cr_tanh(cr_mul(last, 0.5)) };
        next = cr_retain(cr_slice(cr_cat(both, 2, 0), 0, 4, WIDTH + 4));
    }
    cr_release(c->h);
    c->h = next;
}

/* A small part of something large. */
static void by_view(carrier *c)
{
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        cr_tensor *large = cr_mul(cr_expand(c->h, CR_DIMS(50, WIDTH)), 0.5);
        next = cr_retain(cr_select(large, 0, c->step % 50));
    }
    cr_release(c->h);
    c->h = next;
}

static void by_expand(carrier *c)
{
    cr_tensor *next;
    {
        CR_SCOPE(c->ctx);
        next = cr_retain(cr_expand(cr_mean(c->h), CR_DIMS(WIDTH)));
    }
    cr_release(c->h);
    c->h = next;
}

/* A gradient is carried in its leaf, and so is what is made of it. */
static void by_gradient(carrier *c)
{
    CR_SCOPE(c->ctx);
    cr_backward(cr_sum(cr_mul(c->w, advance(c, c->h))));
    cr_set_grad(c->w, cr_mul(cr_grad(c->w), 0.5));
    cr_assign(c->h, cr_mul(cr_grad(c->w), 0.5));
}

/* ---- without a scope ---- */

/* Nodes are the root scope's, values are not. */
static void unscoped_assign(carrier *c)
{
    cr_tensor *next = advance(c, c->h);
    cr_assign(c->h, next);
    c->total += cr_item(cr_sum(c->step % 2 ? next : c->h));
}

static void unscoped_retain(carrier *c)
{
    cr_tensor *next = cr_retain(advance(c, c->h));
    c->total += cr_item(cr_sum(next));
    cr_release(c->h);
    c->h = next;
}

typedef struct form {
    const char *name;
    void (*step)(carrier *c);
    int unscoped; /* 1: without a scope; 2: and in lazy mode only */
} form;
static const form forms[] = {
    { "retain and release", by_retain, 0 },
    { "retain and release, and more reads it", by_retain_consumed, 0 },
    { "retain and release, and what nobody reads", by_retain_unread, 0 },
    { "retain and release, detached", by_retain_detached, 0 },
    { "retain and release, without gradients", by_retain_no_grad, 0 },
    { "retain and release, as bindings do", by_bindings, 0 },
    { "keep", by_keep, 0 },
    { "keep and release", by_keep_released, 0 },
    { "assign", by_assign, 0 },
    { "assign and read", by_assign_read, 0 },
    { "assign several times", by_assign_many, 0 },
    { "cat", by_cat, 0 },
    { "a part of something large", by_view, 0 },
    { "expand", by_expand, 0 },
    { "a gradient", by_gradient, 0 },
    { "assign, no scope", unscoped_assign, 1 },
    { "retain and release, no scope", unscoped_retain, 2 },
};

static void test_form(const form *f, int eager)
{
    int steps = tap_share(f->unscoped ? STEPS / 50 : STEPS),
        early = f->unscoped ? 20 : 500;
    carrier c = { .ctx = cr_open(&(cr_options){ .threads = 1, .eager = eager }) };
    size_t used = 0;
    int64_t nodes = 0;
    c.w = cr_requires_grad(cr_full(c.ctx, CR_DIMS(WIDTH), 0.5));
    {
        CR_SCOPE(c.ctx);
        c.h = cr_retain(cr_mul(cr_arange(c.ctx, 0, WIDTH, 1), 0.1));
    }
    for (c.step = 0; c.step < steps && !cr_error(c.ctx); c.step++) {
        if (c.step == early) {
            used = cr_memory_used(c.ctx);
            nodes = c.ctx->n_nodes;
        }
        f->step(&c);
    }
    const char *mode = eager ? "eager" : "lazy";
    is_text(cr_message(c.ctx), "", "%s, %s: no error", f->name, mode);
    size_t more = cr_memory_used(c.ctx) > used ? cr_memory_used(c.ctx) - used : 0;
    ok(more <= (f->unscoped ? (size_t)steps * 4096 : 0) + 16384,
       "%s, %s: %zu bytes after %d steps, %zu after %d", f->name, mode, used, early,
       cr_memory_used(c.ctx), steps);
    ok(f->unscoped || c.ctx->n_nodes <= nodes + 16, "%s, %s: %lld nodes, then %lld",
       f->name, mode, (long long)nodes, (long long)c.ctx->n_nodes);
    ok(isfinite(cr_item(cr_sum(c.h))), "%s, %s: the state can be read", f->name, mode);
    cr_close(c.ctx);
}

int main(void)
{
    const char *mode = getenv("CHAINRULE_EAGER");
    if (mode && *mode == '1') {
        skip(1, "the lazy run of this test tries both modes");
        return done_testing();
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int eager = 0; eager < 2; eager++)
            if (!eager || forms[i].unscoped < 2)
                test_form(&forms[i], eager);
    return done_testing();
}
