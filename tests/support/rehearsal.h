/* Plans, and that making one changes nothing. */
#ifndef TESTS_SUPPORT_REHEARSAL_H
#define TESTS_SUPPORT_REHEARSAL_H

#include <chainrule.h>

/* The plan of a run that computes xs, in new memory; NULL, with the error, if there is
 * none. The caller frees it. */
char *plan_of(cr_tensor *const *xs, int n);

/* The number behind the words, 0 if they are not there. */
size_t number_behind(const char *text, const char *words);

/* Plans twice; what has changed by it, NULL if nothing has. *peak: what the plan says. */
const char *rehearse(cr_ctx *ctx, cr_tensor *const *xs, int n, size_t *peak);

/* Forgets the peak, so that the next run's can be seen. */
void forget_peak(cr_ctx *ctx);

#endif
