/* The options that describe a network and its training. */
#include "network.h"

network_spec network_given;

static const char *task_words(int i)
{
    static const char *const words[] = { "digits", "random", NULL };
    return words[i];
}

#define COUNT(name, letter, initial, least, most, doc)                                  \
    {                                                                                   \
#name, OPTION_INT, &network_given.name, letter, initial, NULL, least, most, doc \
    }
#define WORD(name, initial, doc)                                                      \
    {                                                                                 \
#name, OPTION_WORD, &network_given.name, "NAME", initial, name##_words, 0, 0, \
            doc                                                                       \
    }
#define REAL(name, to, initial, least, most, doc)                                  \
    {                                                                              \
        name, OPTION_REAL, &network_given.to, "X", initial, NULL, least, most, doc \
    }

const option stack_options[] = {
    COUNT(depth, "N", "50", 1, 10000, "hidden layers"),
    COUNT(width, "N", "64", 1, 4096, "units of each"),
    WORD(activation, "sigmoid", "behind each layer"),
    WORD(init, "default", "how weights are drawn; default: uniform, biases too"),
    REAL("sigma-w2", sigma_w2, NULL, 0, 1000,
         "variance of a weight times its fan-in, normal, instead of --init"),
    REAL("sigma-b2", sigma_b2, NULL, 0, 1000, "variance of a bias"),
    WORD(norm, "none", "in front of each activation"),
    WORD(residual, "none", "branches around each layer but the first"),
    { .name = NULL }
};

const option training_options[] = {
    COUNT(batch, "N", "8", 1, 1797, "samples of a step"),
    WORD(optimiser, "sgd", "what takes the steps"),
    REAL("lr", lr, NULL, 0, 1e6,
         "learning rate (default 0.05 of sgd, 0.01 of momentum, 0.001 of adam)"),
    WORD(task, "digits",
         "what is learned: 1,797 images of digits, or as many random ones"),
    { "data", OPTION_TEXT, &network_given.data, "FILE", NULL, NULL, 0, 0,
      "where the digits are" },
    COUNT(seed, "N", "0", 0, 1e9, "of weights and batches"),
    { .name = NULL }
};
