/* attention_block [BATCH [HEADS [LENGTH [WIDTH]]]]: a causal attention block written by hand, of
 * matmul, where, softmax and matmul, beside scaled_dot_product_attention() (default 4 8 512 64),
 * forward and gradients, on one thread. Prints the least times in milliseconds, their ratio and the
 * largest difference of the results. */
#include "protocol.h"

#include <chainrule.h>
#include <math.h>

enum { ROUNDS = 7 };

typedef struct block {
    cr_ctx *ctx;
    cr_tensor *in[3], *weight, *seen;
    double scale;
} block;

static cr_tensor *by_hand(const block *b)
{
    cr_tensor *scores =
        cr_mul(cr_matmul(b->in[0], cr_transpose(b->in[1], -2, -1)), b->scale);
    scores = cr_where(b->seen, scores, -(double)INFINITY);
    return cr_matmul(cr_softmax(scores, -1), b->in[2]);
}

static cr_tensor *by_operation(const block *b)
{
    return cr_scaled_dot_product_attention(b->in[0], b->in[1], b->in[2], NULL,
                                           .is_causal = true);
}

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static double timed(const block *b, cr_tensor *(*attend)(const block *))
{
    const double start = milliseconds();
    CR_SCOPE(b->ctx);
    for (int i = 0; i < 3; i++)
        cr_zero_grad(b->in[i]);
    cr_tensor *loss = cr_sum(cr_mul(attend(b), b->weight));
    cr_backward(loss);
    (void)cr_item(loss);
    return milliseconds() - start;
}

int main(int argc, char **argv)
{
    int64_t size[4] = { 4, 8, 512, 64 };
    for (int i = 0; i < 4 && i + 1 < argc; i++)
        size[i] = atoi(argv[i + 1]);
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    block b = { .ctx = ctx, .scale = 1 / sqrt((double)size[3]) };
    const cr_dims dims = CR_DIMS(size[0], size[1], size[2], size[3]);
    cr_tensor *i = cr_arange(ctx, 0, size[2], 1, .dtype = CR_I64);
    for (int k = 0; k < 3; k++)
        b.in[k] = cr_requires_grad(cr_randn(ctx, dims));
    b.weight = cr_randn(ctx, dims);
    b.seen = cr_le(i, cr_unsqueeze(i, 1));
    cr_eval(b.weight, b.seen);
    double least[2] = { INFINITY, INFINITY };
    for (int r = 0; r < ROUNDS; r++)
        for (int k = 0; k < 2; k++)
            least[k] = fmin(least[k], timed(&b, k ? by_operation : by_hand));
    cr_tensor *apart = cr_abs(cr_sub(by_hand(&b), by_operation(&b)));
    printf(
        "by hand %.3f ms, scaled_dot_product_attention %.3f ms, ratio %.2f, apart %.1e\n",
        least[0], least[1], least[0] / least[1], cr_item(cr_amax(apart)));
    if (cr_error(ctx))
        fprintf(stderr, "%s\n", cr_message(ctx));
    cr_close(ctx);
    return 0;
}
