/* The same library from C++17: scopes end with their blocks, options are written as in C, and an
 * operation of your own is the same struct. A line is fitted to points, one of which lies far off,
 * with a loss that is square near 0 and grows only linearly:
 *
 *     log_cosh(x) = ln cosh x        d/dx = tanh x
 */
#include <chainrule.h>

#include <cmath>
#include <cstdio>
#include <vector>

template <class T> static void log_cosh_all(const cr_array &in, const cr_array &out)
{
    const T *x = static_cast<const T *>(in.data);
    T *y = static_cast<T *>(out.data);
    for (int64_t i = 0; i < in.numel; i++) /* ln cosh x without overflow */
        y[i] = std::fabs(x[i]) + std::log1p(std::exp(-2 * std::fabs(x[i]))) - T(M_LN2);
}

static cr_status log_cosh_kernel(const cr_kernel *kernel)
{
    if (kernel->in[0].dtype == CR_F64)
        log_cosh_all<double>(kernel->in[0], kernel->out);
    else
        log_cosh_all<float>(kernel->in[0], kernel->out);
    return CR_OK;
}

static void log_cosh_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_tanh(cr_input(out, 0)));
}

static const cr_op log_cosh_op = [] {
    cr_op op = {};
    op.name = "log_cosh";
    op.kind = CR_OP_OPAQUE;
    op.min_inputs = op.max_inputs = 1;
    op.vjp = log_cosh_vjp;
    op.reads = CR_READS_INPUT(0);
    op.kernel = log_cosh_kernel;
    return op;
}();

static cr_tensor *log_cosh(cr_ctx *, cr_tensor *const *inputs, int n, void *)
{
    return cr_apply(&log_cosh_op, inputs, n, nullptr);
}

int main()
{
    cr_ctx *ctx = cr_open(nullptr);
    cr_tensor *probe = cr_randn(ctx, CR_DIMS(5), .dtype = CR_F64);
    bool right =
        cr_gradcheck(log_cosh, nullptr, &probe, 1, .second_order = true) == CR_OK;
    std::printf("log_cosh's derivatives: %s\n", right ? "right" : cr_message(ctx));

    std::vector<float> xs, ys; /* y = 2 x - 1, but for one */
    for (int i = 0; i < 20; i++) {
        xs.push_back(0.1f * static_cast<float>(i));
        ys.push_back(i == 13 ? 50.0f : 2 * xs.back() - 1);
    }
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(xs.size()), xs.data());
    cr_tensor *y = cr_from(ctx, CR_F32, CR_DIMS(ys.size()), ys.data());
    cr_tensor *line[] = { cr_requires_grad(cr_scalar(ctx, 0.0)),
                          cr_requires_grad(cr_scalar(ctx, 0.0)) };
    cr_optim *optim =
        cr_optim_adam(cr_params_of(line, nullptr, 2), 0.05, .betas = CR_REALS(0.9, 0.99));
    for (int step = 0; step < 600 && !cr_error(ctx); step++) {
        CR_SCOPE(ctx);
        cr_tensor *off = cr_sub(cr_add(cr_mul(line[0], x), line[1]), y);
        cr_optim_zero_grad(optim);
        cr_backward(cr_mean(log_cosh(ctx, &off, 1, nullptr), 0));
        cr_optim_step(optim);
    }
    std::printf("y = %.2f x %+.2f\n", cr_item(line[0]), cr_item(line[1]));
    cr_optim_free(optim);
    if (cr_error(ctx))
        std::fprintf(stderr, "%s\n", cr_message(ctx));
    right = right && !cr_error(ctx);
    cr_close(ctx);
    return right ? 0 : 1;
}
