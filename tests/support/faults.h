/* Networks that do not train, each for a known reason, and networks that do: rows of what a
 * healthy training is changed in. A row is made into a cr_flow_task, and knows how well a training
 * went. Nothing here knows how the diagnosis decides.
 */
#ifndef TESTS_SUPPORT_FAULTS_H
#define TESTS_SUPPORT_FAULTS_H

#include <chainrule_flow.h>

/* Zero, in what follows, is what a sound training of that kind has. */

typedef enum fault_data {
    DATA_DIGITS,   /* [n, 64] or images [n, 1, 8, 8] from 0 to 1, ten classes */
    DATA_SPIRALS,  /* [n, 2], two arms: 0 or 1 as a float [n, 1]; binary cross entropy */
    DATA_SURFACE,  /* [n, 4], a smooth function of it, of mean 0 and variance 1: [n, 1] */
    DATA_SEQUENCE, /* [n, length, 2]: the sign of the first element, two classes */
    DATA_LOOKUP, /* [n, length, 12]: keys with values, then a key: its value, six classes */
    DATA_CLOUD   /* [n, 2] noise; what is to be generated lies around (2, -1) */
} fault_data;

typedef enum fault_body {
    BODY_MLP,
    BODY_CNN,
    BODY_RESIDUAL,  /* x + linear(activation(norm(linear(norm(x))))) */
    BODY_ATTENTION, /* blocks of a transformer; the last element's is taken */
    BODY_RECURRENT, /* h = tanh(U x + W h) */
    BODY_GAN        /* a generator; its discriminator is trained in turn */
} fault_body;

typedef enum fault_rule { RULE_SGD, RULE_MOMENTUM, RULE_ADAM, RULE_ADAMW } fault_rule;

typedef cr_tensor *fault_loss(cr_tensor *output, cr_tensor *target);

typedef struct fault_net {
    const char *name;
    fault_data data;
    fault_body body;

    /* The network. */
    int depth;              /* hidden layers or blocks; default 2; -1: none */
    int width;              /* default 32; of a CNN 8 */
    const char *activation; /* default "relu"; "none" */
    const char *norm;       /* "batch_norm", "layer_norm"; default none */
    bool post_norm;         /* of residual and attention blocks */
    double branch_scale;    /* of residual branches; default 1 */
    double dropout;
    const char *init;      /* of weights: see faults_nets.c; default the modules' own */
    double gain;           /* of init; default 1 */
    const char *last_init; /* of the last layer, with last_gain */
    double last_gain;
    const char *branch_init; /* of each branch's last layer, with branch_gain */
    double branch_gain;
    double bias;            /* of every bias, in place of what it is at first */
    const char *last;       /* the module behind the last layer: "softmax", "relu", .. */
    bool over_samples;      /* behind along dimension 0 */
    const char *behind;     /* the same, called on the network's output in the loop */
    bool unscaled;          /* attention without 1/sqrt(width) */
    bool detached;          /* between the body and the last layer */
    bool branches_detached; /* computed where gradients are off */
    int frozen;             /* the first so many parameters; negative: all but the last */
    int left_out;           /* of the optimiser, likewise */
    bool optimises_copy;    /* the optimiser has another model's parameters */
    bool evaluating;        /* while it is trained */
    cr_dtype dtype;

    /* The data and the loss. */
    int batch;                       /* default 32 */
    int length;                      /* of sequences; default 8 */
    double input_scale, input_shift; /* scale 0 stands for 1 */
    double target_scale, target_shift;
    bool standardised; /* each pixel by its mean and deviation, by hand */
    double rare;       /* share that is kept of all classes but the first */
    bool shuffled;     /* labels */
    fault_loss *loss;  /* default the data's own: cross entropy, or mean squared error */
    double loss_scale;
    bool
        output_unknown; /* the program does not say what enters its loss, nor the target */

    /* The optimiser. */
    fault_rule rule; /* default SGD */
    double lr;       /* default 0.1; of Adam 0.003 */
    double weight_decay;
    double lr_factor; /* of the learning rate at each step */
    int warm_up;      /* steps of linear warm-up */
    double clip_norm, clip_value;
    bool never_cleared;

    int train_steps; /* until the score is taken; default 300 */
} fault_net;

/* A faulty row. A verdict is right if its cause is `cause`, or one of `also`, for the reason
 * beside it. like names the healthy row that this one was made of. */
typedef struct fault_row {
    fault_net net;
    cr_flow_cause cause;
    const char *like;
    cr_flow_cause also[3];
    const char *why;
    bool quiet;      /* flow is sound: to be named, without an alarm of another cause */
    bool repairable; /* one of the known remedies makes it train */
} fault_row;

/* A healthy row, and why it looks suspicious, if it does. */
typedef struct healthy_row {
    fault_net net;
    const char *suspicious;
    double least; /* the score that it reaches; default 0.8 */
} healthy_row;

/* Rows about the loop, the data and the loss; about the network. */
extern const fault_row loop_faults[], network_faults[];
extern const int loop_faults_count, network_faults_count;
extern const healthy_row healthy_rows[];
extern const int healthy_count;

/* ---- A training --------------------------------------------------------------------- */

typedef struct fault_case fault_case;

/* NULL without memory or data/digits.csv. The task is valid as long as the case. */
fault_case *fault_open(const fault_net *net);
void fault_close(fault_case *c);
const cr_flow_task *fault_task(const fault_case *c);

/* How well a trained module does: 0 as good as a constant, 1 perfect. Of classes the mean recall,
 * of numbers the share of variance explained, of a generator the share of what lies among the
 * data. */
double fault_score(const fault_case *c, cr_module *module);

/* Trains for so many steps from that seed (0 steps: net->train_steps) and gives the score. */
double fault_train(const fault_case *c, uint64_t seed, int64_t steps);

/* ---- Within ------------------------------------------------------------------------- */

/* Samples as a training takes them, in a random order. */
typedef struct fault_samples {
    int n, classes; /* classes 0: numbers */
    cr_dims shape;  /* of one sample */
    int numel;      /* of it */
    float *x, *y;   /* y: numbers, [n, 1] */
    int64_t *labels;
} fault_samples;
bool fault_samples_make(const fault_net *net, fault_samples *out);
void fault_samples_free(fault_samples *s);

/* Uniform in [0, 1); standard normal. */
double fault_uniform(uint64_t *state);
double fault_normal(uint64_t *state);

cr_module *fault_module(cr_ctx *ctx, const fault_net *net, const fault_samples *samples);
cr_tensor *fault_behind(const char *name, cr_tensor *x, int dim);
/* Of a BODY_GAN: the discriminator that belongs to the generator. */
cr_module *fault_discriminator(const cr_module *generator);

/* Losses as people write them. */
cr_tensor *loss_bce_logits(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_bce(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_nll(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_log_nll(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_cross_entropy_sum(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_mse_sum(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_l1(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_huber(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_mse_flat(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_l1_flat(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_huber_flat(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_softmax_by_hand(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_with_norm(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_bce_by_hand(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_wrong_guesses(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_one_hot_mse(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_smoothed(cr_tensor *output, cr_tensor *target);
cr_tensor *loss_mse(cr_tensor *output, cr_tensor *target);

#endif
