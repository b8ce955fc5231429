/* Training a classifier of handwritten digits: 1,797 real images of 8x8 pixels
 * (data/README.md), a fifth of them held out for testing.
 *
 *     05_digits [seed]
 */
#include "digits.h"
#include "lesson.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HIDDEN = 128, EPOCHS = 100, MINIBATCH = 64, STEPS = TRAINED / MINIBATCH };

/* What the training leaves behind. */
static double losses[EPOCHS], accuracies[EPOCHS];
static int64_t guesses[TESTED];

/* Numbers for shuffling: splitmix64 (Steele et al., 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Puts the images from begin to end in a random order (Fisher and Yates). */
static void shuffle(int begin, int end, uint64_t *state)
{
    for (int i = end - 1; i > begin; i--) {
        int j = begin + (int)(next_random(state) % (uint64_t)(i - begin + 1));
        float image[PIXELS];
        int64_t label = labels[i];
        memcpy(image, images[i], sizeof image);
        memcpy(images[i], images[j], sizeof image);
        memcpy(images[j], image, sizeof image);
        labels[i] = labels[j];
        labels[j] = label;
    }
}

static void add_hidden_layer(cr_module *net, cr_ctx *ctx, int in)
{
    cr_nn_add(net, cr_nn_linear(ctx, in, HIDDEN));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, HIDDEN));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_dropout(ctx, 0.2));
}

static cr_module *make_network(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx);
    add_hidden_layer(net, ctx, PIXELS);
    add_hidden_layer(net, ctx, HIDDEN);
    cr_nn_add(net, cr_nn_linear(ctx, HIDDEN, CLASSES));
    return net;
}

/* The image, one time in four moved by a pixel to the left or right, and up or down: the
 * same digit, and new to the network. */
static void move_image(float *to, const float *from, uint64_t *random)
{
    static const int by[8] = { -1, 0, 0, 0, 0, 0, 0, 1 };
    uint64_t r = next_random(random);
    int dx = by[r % 8], dy = by[r / 8 % 8];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int u = x + dx, v = y + dy;
            bool inside = u >= 0 && u < SIDE && v >= 0 && v < SIDE;
            to[SIDE * y + x] = inside ? from[SIDE * v + u] : 0;
        }
}

/* One step on MINIBATCH images from the given one on; returns the loss. */
static double train_step(cr_ctx *ctx, cr_module *net, cr_optim *optim, int from,
                         uint64_t *random)
{
    float batch[MINIBATCH][PIXELS];
    for (int i = 0; i < MINIBATCH; i++)
        move_image(batch[i], images[from + i], random);
    CR_SCOPE(ctx);
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(MINIBATCH, PIXELS), batch);
    cr_tensor *y = cr_from(ctx, CR_I64, CR_DIMS(MINIBATCH), &labels[from]);
    cr_tensor *loss = cr_cross_entropy(cr_nn_forward(net, x), y);
    cr_optim_zero_grad(optim);
    cr_backward(loss);
    cr_optim_step(optim);
    return cr_item(loss);
}

/* The share of the held out images that the network gets right. */
static double test(cr_ctx *ctx, cr_module *net)
{
    CR_SCOPE(ctx);
    CR_NO_GRAD(ctx);
    cr_nn_train(net, false);
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(TESTED, PIXELS), images);
    cr_read(cr_argmax(cr_nn_forward(net, x), 1), guesses, sizeof guesses);
    cr_nn_train(net, true);
    int right = 0;
    for (int i = 0; i < TESTED; i++)
        right += guesses[i] == labels[i];
    return (double)right / TESTED;
}

/* A line that is written over on a terminal; elsewhere a line now and then. */
static void show_progress(int epoch)
{
    bool terminal = isatty(STDOUT_FILENO);
    if (!terminal && (epoch + 1) % 20)
        return;
    printf("%sepoch %3d of %d  ", terminal ? "\r" : "", epoch + 1, EPOCHS);
    for (int i = 0; i < 20; i++)
        printf("%s", i * EPOCHS < 20 * (epoch + 1) ? "█" : "░");
    printf("  loss %.4f  held out %.2f%%", losses[epoch], 100 * accuracies[epoch]);
    printf("%s", terminal && epoch + 1 < EPOCHS ? "" : "\n");
    fflush(stdout);
}

static void train(cr_ctx *ctx, cr_module *net, uint64_t *random)
{
    const double pi = 3.14159265358979, rate = 2e-3;
    cr_optim *optim = cr_optim_adamw(cr_nn_params(net), rate, 0.01);
    for (int epoch = 0; epoch < EPOCHS && !cr_error(ctx); epoch++) {
        shuffle(TESTED, IMAGES, random);
        for (int step = 0; step < STEPS; step++) {
            double done = (epoch + (double)step / STEPS) / EPOCHS;
            cr_optim_set_lr(optim, rate * (1 + cos(pi * done)) / 2);
            losses[epoch] +=
                train_step(ctx, net, optim, TESTED + step * MINIBATCH, random) / STEPS;
        }
        accuracies[epoch] = test(ctx, net);
        if (!cr_error(ctx))
            show_progress(epoch);
    }
    cr_optim_free(optim);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, random = seed;
    struct timespec start, end;
    if (!read_images())
        return 1;
    shuffle(0, IMAGES, &random);
    timespec_get(&start, TIME_UTC);
    cr_ctx *ctx = cr_open(NULL);
    cr_seed(ctx, seed);
    cr_module *net = make_network(ctx);
    printf("%d - %d - %d - %d with batch norm, ReLU, dropout and AdamW: %d images to "
           "learn from, "
           "%d held out\n",
           PIXELS, HIDDEN, HIDDEN, CLASSES, TRAINED, TESTED);
    train(ctx, net, &random);
    timespec_get(&end, TIME_UTC);
    if (!cr_error(ctx))
        printf("test accuracy %.2f%% after %.1f s\n", 100 * accuracies[EPOCHS - 1],
               difftime(end.tv_sec, start.tv_sec) +
                   (double)(end.tv_nsec - start.tv_nsec) / 1e9);
    cr_nn_free(net);
    return finish(ctx);
}
