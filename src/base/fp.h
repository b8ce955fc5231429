/* The floating point control register. Hosts change it (game and audio threads flush
 * denormals); results must not depend on it. */
#ifndef CR_BASE_FP_H
#define CR_BASE_FP_H

/* Default rounding, no flushing of denormals, no traps; returns what was set before. */
unsigned cr__fp_enter(void);
void cr__fp_leave(unsigned saved);

#endif
