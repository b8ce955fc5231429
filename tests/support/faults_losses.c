/* Losses as people write them: right ones, and ones that compare something else. */
#include "faults.h"

cr_tensor *loss_bce_logits(cr_tensor *output, cr_tensor *target)
{
    return cr_binary_cross_entropy_with_logits(output, target);
}

cr_tensor *loss_bce(cr_tensor *output, cr_tensor *target)
{
    return cr_binary_cross_entropy(output, target);
}

cr_tensor *loss_nll(cr_tensor *output, cr_tensor *target)
{
    return cr_nll_loss(output, target);
}

/* Of probabilities. */
cr_tensor *loss_log_nll(cr_tensor *output, cr_tensor *target)
{
    return cr_nll_loss(cr_log(output), target);
}

cr_tensor *loss_cross_entropy_sum(cr_tensor *output, cr_tensor *target)
{
    return cr_cross_entropy(output, target, .reduction = CR_REDUCTION_SUM);
}

cr_tensor *loss_mse_sum(cr_tensor *output, cr_tensor *target)
{
    return cr_mse_loss(output, target, .reduction = CR_REDUCTION_SUM);
}

cr_tensor *loss_mse(cr_tensor *output, cr_tensor *target)
{
    return cr_mse_loss(output, target);
}

cr_tensor *loss_l1(cr_tensor *output, cr_tensor *target)
{
    return cr_l1_loss(output, target);
}

cr_tensor *loss_huber(cr_tensor *output, cr_tensor *target)
{
    return cr_huber_loss(output, target);
}

/* Targets as a list [n] beside outputs [n, 1]: the difference is [n, n]. */
static cr_tensor *flat_difference(cr_tensor *output, cr_tensor *target)
{
    return cr_sub(output, cr_reshape(target, CR_DIMS(-1)));
}

cr_tensor *loss_mse_flat(cr_tensor *output, cr_tensor *target)
{
    return cr_mean(cr_square(flat_difference(output, target)));
}

cr_tensor *loss_l1_flat(cr_tensor *output, cr_tensor *target)
{
    return cr_mean(cr_abs(flat_difference(output, target)));
}

/* sqrt(1 + d^2) - 1 */
cr_tensor *loss_huber_flat(cr_tensor *output, cr_tensor *target)
{
    cr_tensor *d = flat_difference(output, target);
    return cr_mean(cr_sub(cr_sqrt(cr_add(cr_square(d), 1)), 1));
}

/* exp overflows at 88.7. */
cr_tensor *loss_softmax_by_hand(cr_tensor *output, cr_tensor *target)
{
    cr_tensor *e = cr_exp(output);
    cr_tensor *p = cr_div(e, cr_sum(e, 1, .keepdim = true));
    cr_tensor *chosen = cr_cast(cr_one_hot(target, (int64_t)cr_size(output, 1)), CR_F32);
    return cr_neg(cr_mean(cr_sum(cr_mul(chosen, cr_log(p)), 1)));
}

/* A root's slope has no bound at 0. */
cr_tensor *loss_with_norm(cr_tensor *output, cr_tensor *target)
{
    cr_tensor *norms = cr_sqrt(cr_sum(cr_square(output), 1));
    return cr_add(cr_cross_entropy(output, target), cr_mul(cr_mean(norms), 0.01));
}

/* Of probabilities: 0 times the logarithm of 0. */
cr_tensor *loss_bce_by_hand(cr_tensor *output, cr_tensor *target)
{
    cr_tensor *one = cr_mul(target, cr_log(output));
    cr_tensor *zero = cr_mul(cr_sub(1, target), cr_log(cr_sub(1, output)));
    return cr_neg(cr_mean(cr_add(one, zero)));
}

/* The share of wrong guesses: what one would like to minimise. */
cr_tensor *loss_wrong_guesses(cr_tensor *output, cr_tensor *target)
{
    return cr_mean(cr_cast(cr_ne(cr_argmax(output, 1), target), CR_F32));
}

cr_tensor *loss_one_hot_mse(cr_tensor *output, cr_tensor *target)
{
    return cr_mse_loss(output,
                       cr_cast(cr_one_hot(target, (int64_t)cr_size(output, 1)), CR_F32));
}

cr_tensor *loss_smoothed(cr_tensor *output, cr_tensor *target)
{
    return cr_cross_entropy(output, target, .label_smoothing = 0.1);
}
