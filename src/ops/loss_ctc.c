/* Connectionist temporal classification (Graves et al., 2006): the probability that
 * log_probs [T, N, C] give the targets, summed over all ways to repeat labels and to put
 * blanks between them. An algorithm of its own, forwards for the loss and backwards for its
 * gradient, in logarithms and f64. */
#include "loss.h"
#include "opaque.h"

#include <string.h>

enum { SLOTS = 8 }; /* samples that are computed at a time */

typedef struct ctc_attrs {
    int64_t blank;
    bool zero_infinity;
    cr_reduction reduction;
} ctc_attrs;

/* Of the inputs, behind the cotangent if there is one. */
enum { LOG_PROBS, TARGETS, INPUT_LENGTHS, TARGET_LENGTHS };

typedef struct ctc_call {
    const cr_kernel *kernel;
    const ctc_attrs *attrs;
    const cr_array *in; /* from LOG_PROBS on */
    int64_t steps, samples, classes, states;
} ctc_call;

/* One sample: its labels with blanks around them, and rows of as many numbers. */
typedef struct ctc_sample {
    const ctc_call *call;
    int64_t n, steps, states; /* which; how many steps and states it has */
    const cr_array *targets;
    int64_t first; /* target */
    double *alpha, *row, *terms, *largest, *sum;
} ctc_sample;

/* ---- where things lie ---- */

/* The most states that a sample may have. */
static int64_t most_states(cr_dims targets)
{
    return 2 * (targets.n ? targets.v[targets.n - 1] : 1) + 1;
}

static size_t slot_size(int64_t steps, int64_t states)
{
    return (size_t)(states * (steps + 6));
}

static size_t ctc_scratch_of(const cr_tensor *out, int first)
{
    cr_dims x = cr_shape(cr_input(out, first)), t = cr_shape(cr_input(out, first + 1));
    int64_t slots = x.v[1] < SLOTS ? x.v[1] : SLOTS;
    return (size_t)slots * slot_size(x.v[0], most_states(t)) * sizeof(double);
}

static int64_t sample_length(const ctc_call *c, int lengths, int64_t n)
{
    return cr__index_load(&c->in[lengths], n);
}

static int64_t label_at(const ctc_sample *s, int64_t state)
{
    return state % 2 ? cr__index_load(s->targets, s->first + state / 2)
                     : s->call->attrs->blank;
}

/* Whether a state may follow the one two before it: another label, over the blank. */
static bool may_skip(const ctc_sample *s, int64_t state)
{
    return state % 2 && state > 1 && label_at(s, state) != label_at(s, state - 2);
}

static double log_prob(const ctc_sample *s, int64_t t, int64_t label)
{
    const cr_array *x = &s->call->in[LOG_PROBS];
    int64_t at = (t * s->call->samples + s->n) * s->call->classes + label;
    return x->dtype == CR_F32 ? (double)((const float *)x->data)[at]
                              : ((const double *)x->data)[at];
}

/* The n-th sample, in a slot of the scratch memory. */
static ctc_sample sample_of(const ctc_call *c, int64_t n, int64_t slot)
{
    const cr_array *targets = &c->in[TARGETS];
    ctc_sample s = { .call = c, .n = n, .targets = targets };
    double *at =
        (double *)c->kernel->scratch + (size_t)slot * slot_size(c->steps, c->states);
    s.steps = sample_length(c, INPUT_LENGTHS, n);
    s.states = 2 * sample_length(c, TARGET_LENGTHS, n) + 1;
    if (targets->dims.n == 2)
        s.first = n * targets->dims.v[1];
    else
        for (int64_t i = 0; i < n; i++)
            s.first += sample_length(c, TARGET_LENGTHS, i);
    s.alpha = at;
    s.row = at + c->steps * c->states;
    s.terms = s.row + c->states;
    s.largest = s.terms + 3 * c->states;
    s.sum = s.largest + c->states;
    return s;
}

static ctc_call call_of(const cr_kernel *kernel, int first)
{
    ctc_call c = { .kernel = kernel, .attrs = kernel->attrs, .in = kernel->in + first };
    const cr_dims x = c.in[LOG_PROBS].dims;
    c.steps = x.v[0], c.samples = x.v[1], c.classes = x.v[2];
    c.states = most_states(c.in[TARGETS].dims);
    return c;
}

/* ---- the algorithm ---- */

static void ctc_exponentials(double *x, int64_t n)
{
    const int64_t step = 1;
    cr__map_find(CR__MAP_exp, CR_F64, CR_F64)(x, (const void *[]){ x }, &step, n);
}

/* sum[i] = ln of the sum of e^terms[3 i ..] */
static void log_sums(ctc_sample *s, int64_t n)
{
    const int64_t step = 1;
    for (int64_t i = 0; i < n; i++) {
        const double *x = s->terms + 3 * i;
        double most = x[0] > x[1] ? x[0] : x[1];
        most = x[2] > most ? x[2] : most;
        s->largest[i] = most;
        for (int k = 0; k < 3; k++)
            s->terms[3 * i + k] -= most == -INFINITY ? 0 : most;
    }
    ctc_exponentials(s->terms, 3 * n);
    for (int64_t i = 0; i < n; i++)
        s->sum[i] = s->terms[3 * i] + s->terms[3 * i + 1] + s->terms[3 * i + 2];
    cr__map_find(CR__MAP_log, CR_F64, CR_F64)(s->sum, (const void *[]){ s->sum }, &step,
                                              n);
    for (int64_t i = 0; i < n; i++)
        s->sum[i] = s->largest[i] == -INFINITY ? -INFINITY : s->largest[i] + s->sum[i];
}

/* ln of the sum over the last two states. */
static double log_of_ends(ctc_sample *s, const double *row)
{
    s->terms[0] = row[s->states - 1];
    s->terms[1] = s->states > 1 ? row[s->states - 2] : -INFINITY;
    s->terms[2] = -INFINITY;
    log_sums(s, 1);
    return s->sum[0];
}

/* Fills alpha, ln of the probability to be in a state at a step; returns the target's. */
static double forwards(ctc_sample *s)
{
    if (s->steps == 0)
        return s->states == 1 ? 0 : -INFINITY;
    for (int64_t i = 0; i < s->states; i++)
        s->alpha[i] = i < 2 ? log_prob(s, 0, label_at(s, i)) : -INFINITY;
    for (int64_t t = 1; t < s->steps; t++) {
        const double *before = s->alpha + (t - 1) * s->states;
        for (int64_t i = 0; i < s->states; i++) {
            s->terms[3 * i] = before[i];
            s->terms[3 * i + 1] = i > 0 ? before[i - 1] : -INFINITY;
            s->terms[3 * i + 2] = may_skip(s, i) ? before[i - 2] : -INFINITY;
        }
        log_sums(s, s->states);
        for (int64_t i = 0; i < s->states; i++)
            s->alpha[t * s->states + i] = s->sum[i] + log_prob(s, t, label_at(s, i));
    }
    return log_of_ends(s, s->alpha + (s->steps - 1) * s->states);
}

/* row, ln of the probability to end well from a state behind step t, goes on to t - 1. */
static void one_backwards(ctc_sample *s, int64_t t)
{
    for (int64_t i = 0; i < s->states; i++)
        s->row[i] += log_prob(s, t, label_at(s, i));
    for (int64_t i = 0; i < s->states; i++) {
        s->terms[3 * i] = s->row[i];
        s->terms[3 * i + 1] = i + 1 < s->states ? s->row[i + 1] : -INFINITY;
        s->terms[3 * i + 2] =
            i + 2 < s->states && may_skip(s, i + 2) ? s->row[i + 2] : -INFINITY;
    }
    log_sums(s, s->states);
    memcpy(s->row, s->sum, (size_t)s->states * sizeof(double));
}

static void store_number(const cr_array *out, int64_t at, double x)
{
    if (out->dtype == CR_F32)
        ((float *)out->data)[at] = (float)x;
    else
        ((double *)out->data)[at] = x;
}

/* Step t of sample n: g (e^log_probs - how probable each class is there). */
static void store_grad(ctc_sample *s, int64_t t, double total, double g)
{
    const ctc_call *c = s->call;
    const cr_array *out = &c->kernel->out;
    const int64_t at = (t * c->samples + s->n) * c->classes;
    for (int64_t k = 0; k < c->classes; k += c->states) {
        int64_t n = c->classes - k < c->states ? c->classes - k : c->states;
        for (int64_t i = 0; i < n; i++)
            s->sum[i] = log_prob(s, t, k + i);
        ctc_exponentials(s->sum, n);
        for (int64_t i = 0; i < n; i++)
            store_number(out, at + k + i, g * s->sum[i]);
    }
    for (int64_t i = 0; i < s->states; i++)
        s->sum[i] = s->alpha[t * s->states + i] + s->row[i] - total;
    ctc_exponentials(s->sum, s->states);
    for (int64_t i = 0; i < s->states; i++) {
        int64_t place = at + label_at(s, i);
        double found = out->dtype == CR_F32 ? (double)((float *)out->data)[place]
                                            : ((double *)out->data)[place];
        store_number(out, place, found - g * s->sum[i]);
    }
}

static void gradient_of(ctc_sample *s, double g)
{
    const ctc_call *c = s->call;
    const double total = forwards(s);
    const bool nothing = total == -INFINITY && (c->attrs->zero_infinity || !s->steps);
    g = total == -INFINITY ? (double)NAN : g;
    for (int64_t i = 0; i < s->states; i++)
        s->row[i] = i + 2 < s->states ? -INFINITY : 0;
    for (int64_t t = c->steps - 1; t >= 0; t--) {
        if (t < s->steps && !nothing) {
            store_grad(s, t, total, g);
            one_backwards(s, t);
            continue;
        }
        for (int64_t k = 0; k < c->classes; k++)
            store_number(&c->kernel->out, (t * c->samples + s->n) * c->classes + k, 0);
    }
}

static void loss_chunk(void *arg, int64_t chunk, int worker)
{
    const ctc_call *c = arg;
    (void)worker;
    for (int64_t n = chunk; n < c->samples; n += SLOTS) {
        ctc_sample s = sample_of(c, n, chunk);
        double total = forwards(&s);
        store_number(&c->kernel->out, n,
                     total == -INFINITY && c->attrs->zero_infinity ? 0 : 0 - total);
    }
}

static void grad_chunk(void *arg, int64_t chunk, int worker)
{
    const ctc_call *c = arg;
    const cr_array *g = &c->kernel->in[0];
    (void)worker;
    for (int64_t n = chunk; n < c->samples; n += SLOTS) {
        ctc_sample s = sample_of(c, n, chunk);
        gradient_of(&s, g->dtype == CR_F32 ? (double)((const float *)g->data)[n]
                                           : ((const double *)g->data)[n]);
    }
}

static cr_status ctc_kernel(const cr_kernel *kernel)
{
    ctc_call c = call_of(kernel, 0);
    cr_kernel_chunks(kernel, c.samples < SLOTS ? c.samples : SLOTS, loss_chunk, &c);
    return CR_OK;
}

static cr_status ctc_grad_kernel(const cr_kernel *kernel)
{
    ctc_call c = call_of(kernel, 1);
    cr_kernel_chunks(kernel, c.samples < SLOTS ? c.samples : SLOTS, grad_chunk, &c);
    return CR_OK;
}

/* ---- what must hold ---- */

static int64_t fetched(const cr_array *x, int64_t i)
{
    cr_array one = *x;
    one.data = (void *)(uintptr_t)cr_array_fetch(x, i, 1, 0);
    return cr__index_load(&one, 0);
}

/* All of a list of lengths are in 0..most. */
static bool lengths_fit(const cr_kernel *kernel, const cr_array *lengths,
                        const char *name, int64_t most)
{
    int64_t found, i = cr__index_outside(lengths, most + 1, NULL, &found);
    if (i >= 0)
        snprintf(kernel->message, kernel->capacity,
                 "%s length %lld of sample %lld is not in "
                 "0..%lld",
                 name, (long long)found, (long long)i, (long long)most);
    return i < 0;
}

static cr_status check_from(const cr_kernel *kernel, int first)
{
    const ctc_call c = call_of(kernel, first);
    const cr_array *targets = &c.in[TARGETS];
    const bool rows = targets->dims.n == 2;
    int64_t sum = 0;
    if (!lengths_fit(kernel, &c.in[INPUT_LENGTHS], "input", c.steps) ||
        !lengths_fit(kernel, &c.in[TARGET_LENGTHS], "target", targets->dims.v[rows]))
        return CR_ERR_INDEX;
    for (int64_t n = 0; n < c.samples; n++) {
        int64_t length = fetched(&c.in[TARGET_LENGTHS], n);
        int64_t begin = rows ? n * targets->dims.v[1] : sum;
        for (int64_t i = 0; i < length && begin + i < targets->numel; i++) {
            int64_t label = fetched(targets, begin + i);
            if (label >= 0 && label < c.classes)
                continue;
            snprintf(kernel->message, kernel->capacity,
                     "target %lld at place %lld of sample %lld is not a class: 0..%lld",
                     (long long)label, (long long)i, (long long)n,
                     (long long)c.classes - 1);
            return CR_ERR_INDEX;
        }
        sum += length;
    }
    if (rows || sum == targets->numel)
        return CR_OK;
    snprintf(kernel->message, kernel->capacity,
             "target lengths add up to %lld, and there are %lld targets", (long long)sum,
             (long long)targets->numel);
    return CR_ERR_INDEX;
}

static cr_status check_ctc(const cr_kernel *kernel)
{
    return check_from(kernel, 0);
}

static cr_status check_ctc_grad(const cr_kernel *kernel)
{
    return check_from(kernel, 1);
}

/* ---- the entries ---- */

static cr_status ctc_shape_from(cr_infer *infer, int first)
{
    const ctc_attrs *attrs = infer->attrs;
    const cr_dims *in = infer->in_dims + first;
    for (int i = TARGETS; i <= TARGET_LENGTHS; i++)
        if (!cr__index_dtype(infer, first + i))
            return CR_ERR_DTYPE;
    if (!cr__is_float(infer->in_dtype[first]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "log_probs are %s, and no floats",
                           cr_dtype_name(infer->in_dtype[first]));
    if (in[0].n != 3 || (in[TARGETS].n != 1 && in[TARGETS].n != 2) ||
        (in[TARGETS].n == 2 && in[TARGETS].v[0] != in[0].v[1]))
        return cr__op_fail(
            infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
            "log_probs are [T, N, C] or [T, C], targets [N, S] or one behind "
            "the other; not %s and %s",
            cr__dims_text(infer->ctx, in[0]), cr__dims_text(infer->ctx, in[TARGETS]));
    for (int i = INPUT_LENGTHS; i <= TARGET_LENGTHS; i++)
        if (!cr__dims_equal(in[i], CR_DIMS(in[0].v[1])))
            return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                               "%s_lengths are %s: one for each of %lld samples",
                               i == INPUT_LENGTHS ? "input" : "target",
                               cr__dims_text(infer->ctx, in[i]), (long long)in[0].v[1]);
    if (attrs->blank < 0 || attrs->blank >= in[0].v[2])
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "blank %lld is not a class: 0..%lld", (long long)attrs->blank,
                           (long long)in[0].v[2] - 1);
    infer->dtype = infer->in_dtype[first];
    infer->dims = first ? in[0] : CR_DIMS(in[0].v[1]);
    return CR_OK;
}

static cr_status ctc_shape(cr_infer *infer)
{
    return ctc_shape_from(infer, 0);
}

static cr_status ctc_grad_shape(cr_infer *infer)
{
    return ctc_shape_from(infer, 1);
}

static size_t ctc_scratch(const cr_tensor *out)
{
    return ctc_scratch_of(out, 0);
}

static size_t ctc_grad_scratch(const cr_tensor *out)
{
    return ctc_scratch_of(out, 1);
}

static void ctc_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *inputs[5] = { g };
    for (int i = 0; i < 4; i++)
        inputs[i + 1] = cr_input(out, i);
    down[0] = cr__record_n(NULL, &cr__op_ctc_grad, inputs, 5, cr_attrs(out), CR_HERE);
}

static void ctc_grad_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)g, (void)down;
    cr_fail(
        out->ctx, CR_ERR_GRAD,
        "ctc_loss: no second derivative: its gradient is an algorithm of its own (%s)",
        out->site);
}

static const cr_attr ctc_rows[] = { CR__ATTR(ctc_attrs, blank, INT, .initial = "0"),
                                    CR__ATTR(ctc_attrs, zero_infinity, BOOL,
                                             .initial = "false"),
                                    CR__REDUCTION_ROW(ctc_attrs), CR__ATTRS_END };
#define CTC(NAME, N, INPUTS, FIRST, DOC, ...) \
    CR__OP(NAME) = {                          \
        .name = #NAME,                        \
        .doc = DOC,                           \
        .kind = CR_OP_OPAQUE,                 \
        .widens = true,                       \
        .min_inputs = N,                      \
        .max_inputs = N,                      \
        .inputs = INPUTS,                     \
        .attrs = ctc_rows,                    \
        .attrs_size = sizeof(ctc_attrs),      \
        .shape = NAME##_shape,                \
        .vjp = NAME##_vjp,                    \
        .reads = CR_READS_INPUTS,             \
        .kernel = NAME##_kernel,              \
        .check = check_##NAME,                \
        .checks = 7u << (FIRST + 1),          \
        .scratch = NAME##_scratch,            \
        .samples = CR__SAMPLES(__VA_ARGS__),  \
    };
CTC(ctc, 4, "log_probs,targets,input_lengths,target_lengths", 0,
    "the loss of each sample", { "f[4,2,3]~ i[2,2]=1,2,2,1 i[2]=4,3 i[2]=2,1", NULL },
    { "f[4,2,3]~ i[3]=1,1,2 i[2]=4,4 i[2]=2,1", "blank=0" })
CTC(ctc_grad, 5, "grad,log_probs,targets,input_lengths,target_lengths", 1,
    "what ctc sends down", { "f[2]~ f[4,2,3]~ i[2,2]=1,2,2,1 i[2]=4,3 i[2]=2,1", NULL })

CR__EXPAND_LOSS(ctc_loss)
{
    const ctc_attrs *attrs = attributes;
    cr_tensor *in[4] = { inputs[0], inputs[1], inputs[2], inputs[3] };
    const bool one = cr_ndim(in[0]) == 2;
    (void)n;
    in[0] = one ? cr_unsqueeze(in[0], 1) : in[0];
    for (int i = INPUT_LENGTHS; i <= TARGET_LENGTHS; i++)
        in[i] = one && cr_ndim(in[i]) == 0 ? cr_unsqueeze(in[i], 0) : in[i];
    cr_tensor *loss = cr__record_n(ctx, &cr__op_ctc, in, 4, attrs, CR_HERE);
    if (loss && attrs->reduction == CR_REDUCTION_MEAN) {
        cr_tensor *length = cr_cast(in[TARGET_LENGTHS], cr_dtype_of(loss));
        loss = cr_div(loss, cr_clamp(length, 1, INFINITY));
    }
    return cr__loss_reduced(one ? cr_squeeze(loss, 0) : loss, attrs->reduction, NULL);
}

CR__LOSS(
    ctc_loss, 4, 4, "log_probs,targets,input_lengths,target_lengths", ctc_rows, ctc_attrs,
    "-ln of the probability of the targets, summed over the ways to repeat labels and "
    "to put blanks between",
    .samples = CR__SAMPLES({ "f[4,2,3]~ i[2,2]=1,2,2,1 i[2]=4,3 i[2]=2,1", NULL },
                           { "f[4,2,3]~ i[3]=1,1,2 i[2]=4,4 i[2]=2,1", "reduction=sum" },
                           { "f[4,3]~ i[2]=1,0 i[] i[]=2",
                             "blank=2,reduction=none,zero_infinity=true" }))

cr_tensor *cr_ctc_loss_at(cr_tensor *log_probs, cr_tensor *targets,
                          cr_tensor *input_lengths, cr_tensor *target_lengths,
                          cr_ctc_loss_opts opts)
{
    cr_tensor *inputs[] = { log_probs, targets, input_lengths, target_lengths };
    return cr__record_n(NULL, &cr__op_ctc_loss, inputs, 4,
                        &(ctc_attrs){ opts.blank, opts.zero_infinity, opts.reduction },
                        opts.site);
}
