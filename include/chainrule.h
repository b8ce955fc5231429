/* chainrule: automatic differentiation for C.
 *
 *     cr_ctx *ctx = cr_open(NULL);
 *     cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0));
 *     cr_tensor *L = cr_mul(cr_add(cr_pow(x, 2), cr_exp(x)), 2);     L = 2 (x^2 + e^x)
 *     cr_backward(L);
 *     printf("%.4f\n", cr_item(cr_grad(x)));                         52.1711
 *     cr_close(ctx);
 *
 * This header is the whole interface and its manual. Its parts, in chainrule/:
 *
 *     core.h         types, contexts and errors, making and reading tensors, scopes, gradients
 *     autograd.h     hooks, Jacobians, recomputation, explanations
 *     maps.h         operations element by element      products.h   matrix products
 *     activations.h  activations and gates
 *     reductions.h   sums, extrema, variance            norms.h      softmax, layer and batch norm
 *     scans.h        cumsum and its kind                distances.h  norms of vectors, distances
 *     views.h        shapes, slices, cat                losses.h     losses
 *     indexing.h     gather, scatter, embedding         sampling.h   bernoulli, dropout
 *     pooling.h      pooling                            images.h     interpolate, grid_sample
 *     operations.h   operations by name, and your own
 *     modules.h      modules and initialisers           optimisers.h optimisers and clipping
 *     profile.h      where the time goes
 *
 * Rules that hold throughout:
 *
 * - Calls record; nothing is computed until a value is read (cr_item, cr_data, cr_read, cr_eval,
 *   cr_print, ...) or a scope with pending assignments ends. See cr_options.eager.
 * - A function that builds a tensor returns NULL when it fails and stores the first error in the
 *   context. While an error is pending every builder returns NULL at once and nothing changes, so
 *   calls nest and one look at cr_error() after a step is enough. cr_clear() makes the context
 *   usable again. Errors that only computing can find (an index out of range, no memory) appear
 *   when the value is read, with the place where the operation was recorded.
 * - NULL where a tensor is required is CR_ERR_NULL. Where no argument leads to a context, as in
 *   cr_sum(NULL), there is nowhere to record an error, and nothing happens: what returns a pointer
 *   returns NULL, a cr_status is CR_ERR_NULL, cr_item() is NaN, and other numbers are 0. So a NULL
 *   that a failed builder gave goes through, since the error is pending; one that you made does
 *   not show before its value is missed.
 * - A tensor belongs to the scope it was made in; you free nothing but contexts, modules,
 *   optimisers and pools.
 * - In an options struct zero always means the default. Options stand behind the other arguments,
 *   as `.name = value`, in any order. Where zero is legal and not the default, an option is
 *   CR_INT(0) or CR_REAL(0), or the argument is one by position.
 * - Each macro stands on a function whose name ends in _at, for bindings: options are a struct
 *   then, and the last argument, or the first member of the options, is the caller's place as text,
 *   "f.c:7".
 * - An array of tensors or numbers may be a literal: (cr_tensor *[]){ a, b }, in parentheses where
 *   a comma would end an argument. CR_ARRAY(cr_tensor *, a, b) is that in C and in C++.
 * - In C++17 everything is written in the same way; as an operand NULL is a NULL tensor (and so is
 *   the literal 0L), and the members of a struct that you fill in yourself, like cr_op, are named
 *   in the order in which they are declared. An array literal among options must be a variable
 *   there. In which order the arguments of a call are evaluated is the compiler's affair, in both
 *   languages: what draws random numbers, or assigns, stands in a statement of its own where the
 *   order matters.
 * - The same program gives the same bits with any number of threads, lazily or eagerly, on every
 *   machine and instruction set, whatever floating point state and locale the host has set (which a
 *   call leaves as it found them) and with whatever C library; any NaN equals any NaN.
 * - A context and all that belongs to it is used by one thread at a time.
 * - The library never ends the process, installs no signal handler and prints nothing, unless the
 *   environment asks for it (CHAINRULE_PROFILE, profile.h). Functions of
 *   yours that it calls return to it: no exception and no longjmp() leaves them.
 */
#ifndef CHAINRULE_H
#define CHAINRULE_H

#define CR_VERSION_MAJOR 0
#define CR_VERSION_MINOR 1
#define CR_VERSION_PATCH 0

#include "chainrule/core.h"
#include "chainrule/macros.h"

#include "chainrule/autograd.h"
#include "chainrule/maps.h"
#include "chainrule/activations.h"
#include "chainrule/reductions.h"
#include "chainrule/scans.h"
#include "chainrule/distances.h"
#include "chainrule/views.h"
#include "chainrule/products.h"
#include "chainrule/convolutions.h"
#include "chainrule/indexing.h"
#include "chainrule/norms.h"
#include "chainrule/linalg.h"
#include "chainrule/attention.h"
#include "chainrule/pooling.h"
#include "chainrule/images.h"
#include "chainrule/losses.h"
#include "chainrule/sampling.h"
#include "chainrule/sorting.h"

#include "chainrule/operations.h"
#include "chainrule/modules.h"
#include "chainrule/optimisers.h"
#include "chainrule/profile.h"

#endif
