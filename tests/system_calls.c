/* A step in steady state makes no call of the system: a process that is killed for any goes on
 * stepping. */
#define _GNU_SOURCE /* syscall */
#include "tap.h"
#include <chainrule.h>

#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__) && __has_include(<asm/types.h>) /* not beside every -m32 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

enum { WARM = 400, STEPS = 1000 };

/* The tiny graph, and a network. */
typedef struct work {
    cr_ctx *ctx;
    cr_tensor *x, *data, *labels;
    cr_module *net;
    cr_optim *optim;
} work;

static void open_work(work *w)
{
    w->ctx = cr_open(&(cr_options){ .threads = 1 });
}

static void make_work(work *w)
{
    w->x = cr_requires_grad(cr_scalar(w->ctx, 3.0));
    w->data = cr_rand(w->ctx, CR_DIMS(4, 16));
    w->labels = cr_from(w->ctx, CR_I64, CR_DIMS(4), ((int64_t[]){ 3, 1, 4, 1 }));
    w->net = cr_nn_sequential(w->ctx);
    for (int i = 0; i < 4; i++) {
        cr_nn_add(w->net, cr_nn_linear(w->ctx, 16, 16));
        cr_nn_add(w->net, cr_nn_tanh(w->ctx));
    }
    w->optim = cr_optim_adam(cr_nn_params(w->net), 1e-3);
}

static void step(const work *w)
{
    CR_SCOPE(w->ctx);
    cr_zero_grad(w->x);
    cr_backward(cr_mul(2, cr_add(cr_pow(w->x, 2), cr_exp(w->x))));
    cr_item(cr_grad(w->x));
    cr_tensor *loss = cr_cross_entropy(cr_nn_forward(w->net, w->data), w->labels);
    cr_optim_zero_grad(w->optim);
    cr_backward(loss);
    cr_optim_step(w->optim);
    cr_item(loss);
}

#ifdef SECCOMP_MODE_FILTER

#define LET_PASS(number)                                     \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* May read, write and end; anything else ends it at once. The strict mode takes the processor's
 * counter away besides. */
static bool call_nothing(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        LET_PASS(read),
        LET_PASS(write),
        LET_PASS(exit),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
    };
    struct sock_fprog program = { sizeof rules / sizeof *rules, rules };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool is_possible(void *arg)
{
    (void)arg;
    if (call_nothing())
        syscall(SYS_exit, 0);
    return false;
}

static bool is_enforced(void *arg)
{
    (void)arg;
    if (call_nothing())
        getppid();
    syscall(SYS_exit, 0);
    return false;
}

static bool steps_alone(void *arg)
{
    work w;
    (void)arg;
    open_work(&w);
    make_work(&w);
    for (int i = 0; i < WARM; i++)
        step(&w);
    if (call_nothing()) {
        for (int i = 0; i < STEPS; i++)
            step(&w);
        syscall(SYS_exit, cr_error(w.ctx) == CR_OK ? 0 : 1);
    }
    return false;
}

/* With memory reserved nor does the first step, or what makes a network. */
static bool begins_alone(void *arg)
{
    work w;
    (void)arg;
    open_work(&w);
    if (cr_reserve(w.ctx, 8 << 20) == CR_OK && call_nothing()) {
        make_work(&w);
        for (int i = 0; i < STEPS; i++)
            step(&w);
        syscall(SYS_exit, cr_error(w.ctx) == CR_OK ? 0 : 1);
    }
    return false;
}

int main(void)
{
    const char *check = getenv("CHAINRULE_CHECK"); /* keeps the records of the dead */
    if (check && *check == '1')
        skip(1, "in check mode no memory of nodes is used again");
    else if (!tap_child(is_possible, NULL) || tap_child(is_enforced, NULL))
        skip(1, "calls of the system cannot be forbidden here");
    else {
        ok(tap_child(steps_alone, NULL), "steps call the system for nothing");
        ok(tap_child(begins_alone, NULL), "nor does the first, where memory is reserved");
    }
    return done_testing();
}

#else

int main(void)
{
    (void)open_work, (void)make_work, (void)step;
    skip(1, "calls of the system cannot be forbidden here");
    return done_testing();
}

#endif
