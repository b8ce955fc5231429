/* Activations by name, as modules. */
#ifndef CLI_ACTIVATIONS_H
#define CLI_ACTIVATIONS_H

#include "command.h"

#include <chainrule.h>

word_list activation_words;

/* NULL for "linear", which is none, and with an error. */
cr_module *activation_make(cr_ctx *ctx, const char *name);

#endif
