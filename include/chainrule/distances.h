/* Norms of vectors, and distances between them. */
#ifndef CHAINRULE_DISTANCES_H
#define CHAINRULE_DISTANCES_H

#include "reductions.h"

CR_BEGIN

/* Floats. The p-norm is (sum |x|^p)^(1/p): the largest |x| for p = INFINITY, the smallest for
 * -INFINITY, how many x are not 0 for p = 0. No power overflows or vanishes as long as the result
 * can be held. Its gradient is g sign(x) (|x| / norm)^(p-1); shared evenly by ties for infinite p;
 * none for p = 0; 0 at x = 0, where it is not smooth, and where the norm is 0. */

/* the p-norm over dim, p being ord
 * Of nothing 0; for ord below 0, or INFINITY, an error.
 * usage: cr_vector_norm(x), cr_vector_norm(x, -1, .ord = CR_REAL(1), .keepdim = true) */
typedef struct cr_vector_norm_opts {
    const char *site CR_ZERO;
    cr_opt_real ord CR_ZERO; /* default 2 */
    bool keepdim CR_ZERO;
} cr_vector_norm_opts;
CR_API cr_tensor *cr_vector_norm_at(cr_tensor *x, cr_dims dim, cr_vector_norm_opts opts);
#define cr_vector_norm(...) CR_REDUCE_(cr_vector_norm_at, cr_vector_norm_opts, __VA_ARGS__)

/* x / max(norm, eps), the p-norm over dim (an int or a list)    d as composed; a norm up to eps
 * counts as a constant
 * usage: cr_normalize(x, -1), cr_normalize(x, CR_DIMS(1, 2), .p = CR_REAL(1)) */
typedef struct cr_normalize_opts {
    const char *site CR_ZERO;
    cr_opt_real p CR_ZERO;   /* default 2 */
    cr_opt_real eps CR_ZERO; /* default 1e-12 */
} cr_normalize_opts;
CR_API cr_tensor *cr_normalize_at(cr_tensor *x, cr_dims dim, cr_normalize_opts opts);
#define cr_normalize(x, ...)                             \
    cr_normalize_at(x, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)), \
                    CR_OPTS(cr_normalize_opts, __VA_ARGS__))

/* sum (x / max(|x|, eps)) (y / max(|y|, eps)) over dim, |x| being the 2-norm    d as composed;
 * where eps is larger, |x| counts as eps, with the gradient of |x|, as in PyTorch
 * x and y broadcast; dim is one of the result of that.
 * usage: cr_cosine_similarity(x, y, 1), cr_cosine_similarity(x, y, -1, .eps = CR_REAL(1e-6)) */
typedef struct cr_cosine_similarity_opts {
    const char *site CR_ZERO;
    cr_opt_real eps CR_ZERO; /* default 1e-8 */
} cr_cosine_similarity_opts;
CR_API cr_tensor *cr_cosine_similarity_at(cr_tensor *x, cr_tensor *y, int dim,
                                          cr_cosine_similarity_opts opts);
#define cr_cosine_similarity(x, y, ...)                      \
    cr_cosine_similarity_at(x, y, CR_FIRST(__VA_ARGS__, 0),  \
                            CR_OPTS(cr_cosine_similarity_opts, __VA_ARGS__))

/* the p-norm of x - y + eps over the last dim    d as that of the norm
 * x and y broadcast.
 * usage: cr_pairwise_distance(x, y),
 *        cr_pairwise_distance(x, y, .p = CR_REAL(1), .eps = CR_REAL(0), .keepdim = true) */
typedef struct cr_pairwise_distance_opts {
    const char *site CR_ZERO;
    cr_opt_real p CR_ZERO;   /* default 2 */
    cr_opt_real eps CR_ZERO; /* default 1e-6 */
    bool keepdim CR_ZERO;
} cr_pairwise_distance_opts;
CR_API cr_tensor *cr_pairwise_distance_at(cr_tensor *x, cr_tensor *y,
                                          cr_pairwise_distance_opts opts);
#define cr_pairwise_distance(x, ...)                      \
    cr_pairwise_distance_at(x, CR_FIRST(__VA_ARGS__, 0),  \
                            CR_OPTS(cr_pairwise_distance_opts, __VA_ARGS__))

/* the p-norm of each row of x [.., n, m] less each of y [.., k, m]: [.., n, k]    d as that of the
 * norm; 0 where rows coincide
 * p is not negative; the leading dims broadcast. For p = 0, 1, 2 and INFINITY differences are never
 * stored. They are subtracted: nearby rows lose no digits, unlike in x^2 - 2 x y + y^2.
 * usage: cr_cdist(x, y), cr_cdist(x, y, .p = CR_REAL(1)) */
typedef struct cr_cdist_opts {
    const char *site CR_ZERO;
    cr_opt_real p CR_ZERO; /* default 2 */
} cr_cdist_opts;
CR_API cr_tensor *cr_cdist_at(cr_tensor *x, cr_tensor *y, cr_cdist_opts opts);
#define cr_cdist(x, ...) \
    cr_cdist_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_cdist_opts, __VA_ARGS__))

CR_END
#endif
