/* Reports of gradient flow that were made by hand, for those who write and draw them: their numbers
 * look like those of real networks. */
#ifndef TESTS_SUPPORT_FLOW_REPORTS_H
#define TESTS_SUPPORT_FLOW_REPORTS_H

#include <chainrule_flow.h>

/* "sigmoid50": vanishing, with theory, trials and a repair. "cnn": a sound residual CNN.
 * "nan": outputs that stop being finite. "states": every state of a gradient. "names": names that
 * need escapes, in every language. "large": 1,200 unlike layers. "no_layers", "nothing". NULL for
 * others and without memory. */
const cr_flow_report *flow_report_made(const char *name);
/* The names, NULL behind the last. */
const char *flow_report_name(int i);
void flow_reports_free(void);

#endif
