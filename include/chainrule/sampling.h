/* Operations that draw random numbers. */
#ifndef CHAINRULE_SAMPLING_H
#define CHAINRULE_SAMPLING_H

#include "macros.h"

CR_BEGIN

/* 1 with probability x, else 0    d 0
 * Below 0 and above 1 x counts as 0 and 1, and NaN gives NaN. */
CR_API cr_tensor *cr_bernoulli_at(cr_tensor *x, const char *site);
#define cr_bernoulli(x) cr_bernoulli_at(x, CR_HERE)

/* 0 with probability p, else x / (1 - p)    d 0, else g / (1 - p)
 * For training only: the module dropout knows the mode. Srivastava et al., 2014. */
CR_API cr_tensor *cr_dropout_at(cr_tensor *x, double p, const char *site);
#define cr_dropout(x, p) cr_dropout_at(x, p, CR_HERE)

CR_END
#endif
