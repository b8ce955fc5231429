/* What the constructors and forwards of layers are made of: checks of arguments and of inputs, and
 * parameters. */
#include "nn.h"

#include "../base/dtype.h"
#include "../base/fp.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- arguments ---- */

bool cr__nn_refuse(const cr_module *module, cr_status status, const char *site,
                   const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    cr_fail(module->ctx, status, "nn_%s: %s (%s)", module->name, what, site ? site : "?");
    return false;
}

bool cr__nn_size(const cr_module *module, const char *what, int64_t size,
                 const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    return size >= 1 || cr__nn_refuse(module, CR_ERR_SHAPE, site, "%s is %lld; 1 or more",
                                      what, (long long)size);
}

bool cr__nn_number(const cr_module *module, const char *what, double x, double least,
                   double most, const char *range, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(x);
    if (!module || cr_error(module->ctx))
        return false;
    return (isfinite(x) && x >= least && x <= most) ||
           cr__nn_refuse(module, CR_ERR_ARGUMENT, site, "%s is %g; %s", what, x, range);
}

bool cr__nn_float(const cr_module *module, cr_dtype dtype, const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    return dtype == CR_DTYPE_DEFAULT || cr__is_float(dtype) ||
           cr__nn_refuse(module, CR_ERR_DTYPE, site, "dtype is %s, which is no float",
                         cr_dtype_name(dtype));
}

bool cr__nn_dim(const cr_module *module, const char *what, int64_t dim, const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    return (dim >= -CR_MAX_DIMS && dim < CR_MAX_DIMS) ||
           cr__nn_refuse(module, CR_ERR_ARGUMENT, site, "%s is %lld; %d to %d", what,
                         (long long)dim, -CR_MAX_DIMS, CR_MAX_DIMS - 1);
}

bool cr__nn_fits(const cr_module *module, cr_dims dims, const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    int64_t bytes = (int64_t)cr_dtype_size(CR_F64);
    for (int i = 0; i < dims.n; i++)
        if (!cr__size_mul(bytes, dims.v[i], &bytes))
            return cr__nn_refuse(module, CR_ERR_SHAPE, site,
                                 "its parameters would have more than 2^62 bytes");
    return true;
}

bool cr__nn_name(const cr_module *module, const char *name, const char *site)
{
    if (!name || !name[0] || strchr(name, '.'))
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn: \"%s\" is no name for a part of a %s: it must not be empty, nor "
                "have a dot in it (%s)",
                name ? name : "(NULL)", module->name, site ? site : "?");
    return !cr_error(module->ctx);
}

bool cr__nn_numbers(const cr_module *module, const char *what, const cr_dims *list,
                    int ndim, int64_t least, bool needed, const char *site)
{
    if (!module || cr_error(module->ctx))
        return false;
    bool fits = (!needed && !list->given) || list->n == 1 || list->n == ndim;
    if (!fits)
        cr_fail(module->ctx, CR_ERR_ARGUMENT, "nn_%s: %s has %d numbers; one, or %d (%s)",
                module->name, what, list->n, ndim, site);
    for (int d = 0; fits && d < list->n; d++)
        if (list->v[d] < least) {
            cr_fail(module->ctx, CR_ERR_ARGUMENT, "nn_%s: %s is %lld, below %lld (%s)",
                    module->name, what, (long long)list->v[d], (long long)least, site);
            fits = false;
        }
    return fits;
}

/* ---- inputs ---- */

/* Says what a module takes, which it is, and what it was given; false. */
static bool refuse_input(const cr_module *module, cr_tensor *x, const char *takes,
                         const char *site)
{
    char shape[200] = "", path[64];
    size_t length = 0;
    for (int i = 0; i < cr_ndim(x); i++)
        length += (size_t)snprintf(shape + length, sizeof shape - length, "%s%lld",
                                   i ? ", " : "", (long long)cr_size(x, i));
    size_t named = cr_nn_path(module, path, sizeof path);
    cr_fail(module->ctx, CR_ERR_SHAPE, "nn_forward: %s%s%s takes %s, not [%s] (%s)", path,
            named ? ": " : "", module->name, takes, shape, site);
    return false;
}

bool cr__nn_takes(const cr_module *module, cr_tensor *x, int dim, int64_t features,
                  const char *site)
{
    char what[48];
    if (cr_size(x, dim) == features)
        return true;
    snprintf(what, sizeof what, "%lld features along dim %d", (long long)features, dim);
    return refuse_input(module, x, what, site);
}

bool cr__nn_takes_rank(const cr_module *module, cr_tensor *x, int least, int most,
                       const char *site)
{
    char what[48];
    if (cr_ndim(x) >= least && cr_ndim(x) <= most)
        return true;
    snprintf(what, sizeof what, least < most ? "%d to %d dimensions" : "%d dimensions",
             least, most);
    return refuse_input(module, x, what, site);
}

/* ---- parameters ---- */

cr_tensor *cr__nn_own_full(cr_module *module, const char *name, cr_dims dims,
                           double value, cr_dtype dtype, bool buffer, const char *site)
{
    cr_make_opts opts = { .site = site, .dtype = dtype };
    return cr__nn_own(module, name,
                      cr_full_at(module->ctx, dims, cr_arg_real(value), opts), buffer,
                      site);
}

cr_tensor *cr__nn_own_uniform(cr_module *module, const char *name, cr_dims dims,
                              int64_t fan_in, cr_dtype dtype, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(fan_in);
    double bound = 1 / sqrt((double)fan_in);
    cr_tensor *x = cr__nn_uniform(module->ctx, dims, -bound, bound, dtype, site);
    return cr__nn_own(module, name, x, false, site);
}
