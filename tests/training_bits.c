/* The network of examples/05_digits.c, 200 steps on real digits: the same weights, to the
 * bit, whether computed lazily or eagerly, on one, two or four threads, in a shared pool,
 * or whichever instruction set computes.
 *
 * training_bits --hash trains once and prints the instruction set and the hash. */
#define _POSIX_C_SOURCE 200809L
#include "tap.h"
#include <chainrule.h>
#include <stdlib.h>

enum {
    IMAGES = 1797,
    PIXELS = 64,
    CLASSES = 10,
    HIDDEN = 128,
    MINIBATCH = 64,
    STEPS = 200
};

static float images[IMAGES][PIXELS];
static int64_t labels[IMAGES];

static bool read_images(void)
{
    FILE *file = fopen("data/digits.csv", "r");
    bool good = file != NULL;
    for (int i = 0; good && i < IMAGES; i++) {
        int value = 0;
        for (int p = 0; good && p < PIXELS; p++) {
            good = fscanf(file, "%d,", &value) == 1;
            images[i][p] = (float)value / 16;
        }
        good = good && fscanf(file, "%d", &value) == 1;
        labels[i] = value;
    }
    if (file)
        fclose(file);
    return good;
}

static void add_hidden_layer(cr_module *net, cr_ctx *ctx, int in)
{
    cr_nn_add(net, cr_nn_linear(ctx, in, HIDDEN));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, HIDDEN));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_dropout(ctx, 0.2));
}

static double train_step(cr_ctx *ctx, cr_module *net, cr_optim *optim, int from)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(MINIBATCH, PIXELS), images[from]);
    cr_tensor *y = cr_from(ctx, CR_I64, CR_DIMS(MINIBATCH), &labels[from]);
    cr_tensor *loss = cr_cross_entropy(cr_nn_forward(net, x), y);
    cr_optim_zero_grad(optim);
    cr_backward(loss);
    cr_clip_grad_norm(cr_nn_params(net), 1.0);
    cr_optim_step(optim);
    return cr_item(loss);
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; p && i < bytes; i++)
        h = (h ^ p[i]) * 1099511628211u; /* FNV-1a */
    return h;
}

static uint64_t hash_params(uint64_t h, const cr_params *params)
{
    for (int i = 0; params && i < params->n; i++) {
        cr_tensor *x = params->list[i].tensor;
        h = hash_bytes(h, cr_data(x), (size_t)cr_numel(x) * sizeof(float));
    }
    return h;
}

/* The hash of losses, weights, statistics after the training; 0 if it failed. */
static uint64_t train(const cr_options *options, double *last_loss)
{
    cr_ctx *ctx = cr_open(options);
    cr_seed(ctx, 1);
    cr_module *net = cr_nn_sequential(ctx);
    add_hidden_layer(net, ctx, PIXELS);
    add_hidden_layer(net, ctx, HIDDEN);
    cr_nn_add(net, cr_nn_linear(ctx, HIDDEN, CLASSES));
    cr_optim *optim = cr_optim_adamw(cr_nn_params(net), 2e-3, 0.01);
    uint64_t h = 14695981039346656037u;
    for (int step = 0; step < tap_share(STEPS) && !cr_error(ctx); step++) {
        int from = step * MINIBATCH % (IMAGES - MINIBATCH);
        *last_loss = train_step(ctx, net, optim, from);
        h = hash_bytes(h, last_loss, sizeof *last_loss);
    }
    h = hash_params(h, cr_nn_params(net));
    h = hash_params(h, cr_nn_buffers(net));
    if (cr_error(ctx)) {
        diag("%s", cr_message(ctx));
        h = 0;
    }
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
    return h;
}

/* The hash of this program's training under an instruction set; 0 if the machine lacks
 * it. */
static uint64_t train_under(const char *self, const char *isa)
{
    char command[600], name[32] = "";
    uint64_t h = 0;
    snprintf(command, sizeof command, "CHAINRULE_ISA=%s '%s' --hash", isa, self);
    FILE *child = popen(command, "r");
    bool there = child && fscanf(child, "%31s %" SCNx64, name, &h) == 2;
    if (child && pclose(child) != 0)
        diag("%s: the training ended badly", isa);
    return there && strcmp(name, isa) == 0 ? h : 0;
}

/* Every set that the machine has agrees with the one in use. */
static void test_instruction_sets(const char *self, uint64_t here)
{
    static const char *const sets[] = { "generic", "avx2", "avx512", "neon" };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        uint64_t h = train_under(self, sets[i]);
        if (h)
            ok(h == here, "%-22s %016" PRIx64, sets[i], h);
        else
            skip(1, "this machine lacks an instruction set");
    }
}

int main(int argc, char **argv)
{
    double loss = NAN;
    const char *mode = getenv("CHAINRULE_EAGER");
    bool told_eager = mode && *mode == '1';
    unsetenv("CHAINRULE_EAGER");
    if (argc > 1 && strcmp(argv[1], "--hash") == 0) {
        uint64_t h = read_images() ? train(NULL, &loss) : 0;
        printf("%s %016" PRIx64 "\n", cr_isa(), h);
        return 0;
    }
    if (!ok(read_images(), "the digits are there"))
        return done_testing();
    if (told_eager) {
        skip(1, "the lazy run of this test compares both modes");
        return done_testing();
    }
    uint64_t want = train(&(cr_options){ .threads = 1 }, &loss);
    ok(want != 0 && (loss < 0.5 || tap_parts() > 1), "%-22s %016" PRIx64 " (loss %.4f)",
       "lazy, 1 thread", want, loss);
    cr_pool *pool = cr_pool_open(3);
    const struct {
        const char *name;
        cr_options options;
    } ways[] = {
        { "lazy, 2 threads", { .threads = 2 } },
        { "lazy, 4 threads", { .threads = 4 } },
        { "eager, 1 thread", { .threads = 1, .eager = true } },
        { "eager, 4 threads", { .threads = 4, .eager = true } },
        { "lazy, a shared pool", { .pool = pool } },
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        uint64_t h = train(&ways[i].options, &loss);
        ok(h == want, "%-22s %016" PRIx64, ways[i].name, h);
    }
    cr_pool_close(pool);
    test_instruction_sets(argv[0], want);
    return done_testing();
}
