/* Words for what the header enumerates. */
#include "flow.h"

static const char *const causes[CR_FLOW_CAUSES] = {
    [CR_FLOW_HEALTHY] = "healthy",
    [CR_FLOW_RATE_TOO_LARGE] = "rate_too_large",
    [CR_FLOW_RATE_TOO_SMALL] = "rate_too_small",
    [CR_FLOW_LOSS_SCALE] = "loss_scale",
    [CR_FLOW_INPUT_SCALE] = "input_scale",
    [CR_FLOW_TARGET_SCALE] = "target_scale",
    [CR_FLOW_SOFTMAX_TWICE] = "softmax_twice",
    [CR_FLOW_SIGMOID_TWICE] = "sigmoid_twice",
    [CR_FLOW_WRONG_AXIS] = "wrong_axis",
    [CR_FLOW_BROADCAST_LOSS] = "broadcast_loss",
    [CR_FLOW_OUT_OF_REACH] = "out_of_reach",
    [CR_FLOW_DISCONNECTED_PARAM] = "disconnected",
    [CR_FLOW_FROZEN] = "frozen",
    [CR_FLOW_NOT_OPTIMISED] = "not_optimised",
    [CR_FLOW_NEVER_CLEARED] = "never_cleared",
    [CR_FLOW_NONFINITE] = "nonfinite",
    [CR_FLOW_UNDERFLOW] = "underflow",
    [CR_FLOW_ZERO_WEIGHTS] = "zero_weights",
    [CR_FLOW_EQUAL_WEIGHTS] = "equal_weights",
    [CR_FLOW_WEIGHTS_TOO_LARGE] = "weights_too_large",
    [CR_FLOW_WEIGHTS_TOO_SMALL] = "weights_too_small",
    [CR_FLOW_VANISHING] = "vanishing",
    [CR_FLOW_EXPLODING] = "exploding",
    [CR_FLOW_DEAD_UNITS] = "dead_units",
    [CR_FLOW_SATURATED] = "saturated",
    [CR_FLOW_CORRELATED] = "correlated",
    [CR_FLOW_BATCH_OF_ONE] = "batch_of_one",
    [CR_FLOW_EVALUATION_MODE] = "evaluation_mode",
    [CR_FLOW_WEIGHT_DECAY] = "weight_decay",
    [CR_FLOW_CLIPPED] = "clipped",
    [CR_FLOW_RECURRENCE] = "recurrence",
    [CR_FLOW_ATTENTION_SCALE] = "attention_scale",
    [CR_FLOW_GAN_SATURATED] = "gan_saturated",
    [CR_FLOW_NO_ACTIVATION] = "no_activation",
    [CR_FLOW_IDLE_BRANCH] = "idle_branch",
    [CR_FLOW_IMBALANCED] = "imbalanced",
    [CR_FLOW_LABELS] = "labels",
};

const char *cr_flow_cause_name(cr_flow_cause cause)
{
    const bool known = cause >= 0 && cause < CR_FLOW_CAUSES;
    return known ? causes[cause] : "unknown";
}
