/* The same bits everywhere: a hash of every map, reduction and product, in every form and
 * type, and of three trainings, against the table in tests/bits.txt. The table is our own
 * output, which would prove nothing about its being right; here it stands for all other
 * machines: instruction sets, processors and systems must agree with it. Any NaN is one
 * NaN.
 *
 *     bits --write    writes the table anew, after a change of bits that is meant */
#include "../src/base/context.h"
#include "../src/exec/reducer.h"
#include "../src/kernel/rows.h"
#include "half.h"
#include "tap.h"
#include <chainrule.h>
#include <stdlib.h>

#define TABLE "tests/bits.txt"
enum { N = 1024, WIDE = 1 << 15, ROWS = 2000 };

static const char *const dtypes[CR_DTYPES] = { "",   "f32",  "f64",  "i64", "i32",
                                               "u8", "bool", "bf16", "f16" };

/* ---- the rows of this run ---- */

typedef struct row {
    char name[60];
    uint64_t hash;
} row;
static row rows[ROWS];
static int n_rows;

static void add_row(uint64_t hash, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (n_rows < ROWS) {
        row *r = &rows[n_rows++];
        vsnprintf(r->name, sizeof r->name, format, args);
        r->hash = hash;
    }
    va_end(args);
}

static uint64_t hashed(cr_dtype t, const void *data, int64_t n)
{
    const size_t size = cr_dtype_size(t);
    uint64_t h = 14695981039346656037u;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        float f;
        double d;
        uint32_t narrow;
        uint16_t half;
        const char *at = (const char *)data + (size_t)i * size;
        memcpy(&f, at, size == 4 ? 4 : 0);
        memcpy(&d, at, size == 8 ? 8 : 0);
        if (t == CR_F32) {
            memcpy(&narrow, at, 4);
            bits = f != f ? 1 : narrow;
        } else if (t == CR_F64) {
            memcpy(&bits, at, 8);
            bits = d != d ? 1 : bits;
        } else if (is_half(t)) {
            memcpy(&half, at, 2);
            bits = half_is_nan(t, half) ? 1 : half;
        } else if (t == CR_I64) {
            memcpy(&bits, at, 8);
        } else if (t == CR_I32) {
            memcpy(&narrow, at, 4);
            bits = narrow;
        } else {
            bits = *(const unsigned char *)at;
        }
        h = (h ^ bits) * 1099511628211u;
        h ^= h >> 29;
    }
    return h;
}

/* ---- operands ---- */

static uint64_t random_state;

static uint32_t random32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

/* x with another exponent, within +-range. */
static double number(int range)
{
    uint64_t bits = ((uint64_t)random32() << 32 | random32()) & ~(UINT64_C(0x7ff) << 52);
    bits |= (uint64_t)(1023 - range + (int)(random32() % (2u * (unsigned)range + 1)))
            << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static const double specials[] = { 0.0,      -0.0,     1.0,      -1.0,     0.5,
                                   2.0,      3.0,      -3.0,     INFINITY, -INFINITY,
                                   NAN,      0x1p-149, 1e-40,    88.9,     -103.9,
                                   0x1p-126, 0x1p100,  -0x1p100, 8000,     -20.0 };

static void store(cr_dtype t, void *data, int64_t i, double x)
{
    char *at = (char *)data + (size_t)i * cr_dtype_size(t);
    const int64_t whole = (int64_t)random32() - (INT64_C(1) << 31);
    const int32_t narrow = (int32_t)whole;
    const float f = (float)x;
    const uint16_t half = is_half(t) ? half_nearest(t, x) : 0;
    if (t == CR_F32)
        memcpy(at, &f, 4);
    else if (is_half(t))
        memcpy(at, &half, 2);
    else if (t == CR_F64)
        memcpy(at, &x, 8);
    else if (t == CR_I64)
        memcpy(at, &whole, 8);
    else if (t == CR_I32)
        memcpy(at, &narrow, 4);
    else
        *at = (char)(t == CR_BOOL ? whole & 1 : whole & 255);
}

static void fill(cr_dtype t, void *data, int64_t n, int range, bool special)
{
    for (int64_t i = 0; i < n; i++)
        store(t, data, i,
              special && i % 3 == 0
                  ? specials[random32() % (sizeof specials / sizeof *specials)]
                  : number(range));
}

static CR__ALIGNED(64) char a[WIDE * 8 + 128], b[WIDE * 8 + 128], c[WIDE * 8 + 128];
static CR__ALIGNED(64) char out[WIDE * 8 + 128];

/* ---- maps ---- */

/* Bit j of uniform: of operand j the first element stands for all. */
static void hash_map(cr__map_code code, cr_dtype in, cr_dtype to, unsigned uniform)
{
    cr__map_fn *kernel = cr__map_find(code, in, to);
    const cr__map_form form = cr__map_rows[code].form;
    const void *src[3] = { a, b, c };
    char *const operands[3] = { a, b, c };
    int64_t step[3];
    if (!kernel)
        return;
    random_state = 1;
    fill(in, a, N, 12, true);
    fill(in, b, N, 6, true);
    fill(in, c, N, 6, false);
    if (form == CR__FORM_WHERE) {
        fill(CR_BOOL, a, N, 1, false);
        fill(in, b, N, 6, true);
    }
    unsigned fixed = uniform;
    if (form == CR__FORM_PARAMETRIC1 || form == CR__FORM_PARAMETRIC2) {
        store(in, b, 0, 0.25);
        store(in, c, 0, 7.5);
        fixed = 6;
    }
    for (int j = 0; j < 3; j++) {
        size_t size = cr_dtype_size(form == CR__FORM_WHERE && j == 0 ? CR_BOOL : in);
        step[j] = !(fixed >> j & 1);
        for (size_t i = 1; step[j] == 0 && i < CR__PAD; i++)
            memcpy(operands[j] + i * size, operands[j], size);
    }
    kernel(out, src, step, N);
    add_row(hashed(to, out, N), "map.%s.%s.%s.%u", cr__map_rows[code].name, dtypes[in],
            dtypes[to], uniform);
}

static void hash_maps(void)
{
    for (cr__map_code code = 1; code < CR__MAP_CODES; code++)
        for (cr_dtype in = CR_F32; in <= CR_BOOL; in++) {
            const cr__map_form form = cr__map_rows[code].form;
            const cr__map_types types = cr__map_rows[code].types;
            bool to_bool = types == CR__MAPS_COMPARED || types == CR__MAPS_LOGICAL;
            unsigned last = form == CR__FORM_WHERE ? 6 : form == CR__FORM_BINARY ? 2 : 0;
            if (form == CR__FORM_SOURCE)
                continue;
            if (code == CR__MAP_cast) {
                for (cr_dtype to = CR_F32; to <= CR_BOOL; to++)
                    hash_map(code, in, to, 0);
                continue;
            }
            for (unsigned uniform = 0; uniform <= last; uniform += last == 6 ? 2 : 1)
                hash_map(code, in, to_bool ? CR_BOOL : in, uniform);
        }
}

/* Of f32 with any bits: rounded, narrowed, and widened again; and what is rounded once. */
static void hash_halves(void)
{
    static const cr_dtype from[] = { CR_F64, CR_I64, CR_I32 };
    for (cr_dtype t = CR_BF16; t <= CR_F16; t++) {
        const cr__half *half = cr__half_find(t);
        random_state = 6;
        for (int64_t i = 0; i < WIDE; i++) {
            const uint32_t bits = random32();
            memcpy(a + 4 * i, &bits, 4);
        }
        half->narrow((uint16_t *)(void *)b, (const float *)(const void *)a, WIDE);
        half->round((float *)(void *)c, (const float *)(const void *)a, WIDE);
        half->widen((float *)(void *)out, (const uint16_t *)(const void *)b, WIDE);
        add_row(hashed(t, b, WIDE), "half.%s.narrow", dtypes[t]);
        add_row(hashed(CR_F32, c, WIDE), "half.%s.round", dtypes[t]);
        add_row(hashed(CR_F32, out, WIDE), "half.%s.widen", dtypes[t]);
        for (int k = 0; k < CR__COUNT(from); k++) {
            const void *src[] = { a };
            const int64_t step[] = { 1 };
            fill(from[k], a, WIDE, 12, false);
            cr__map_find(CR__MAP_cast, from[k], t)(out, src, step, WIDE);
            half->narrow((uint16_t *)(void *)b, (const float *)(const void *)out, WIDE);
            add_row(hashed(t, b, WIDE), "half.%s.from.%s", dtypes[t], dtypes[from[k]]);
        }
    }
}

/* ---- reductions and products ---- */

static cr_dtype result_type(const cr__reduce_kernel *k)
{
    switch (k->code) {
    case CR__REDUCE_any:
    case CR__REDUCE_all:
        return CR_U8;
    case CR__REDUCE_mean:
        return CR_F32;
    case CR__REDUCE_argmax:
    case CR__REDUCE_argmin:
        return CR_I64;
    default:
        return k->dtype <= CR_F64 ? k->dtype
               : k->out_size == 8 ? CR_I64
               : k->out_size == 4 ? CR_I32
                                  : CR_U8;
    }
}

static void hash_reductions(cr__team *team)
{
    static const int64_t shapes[][4] = { /* dims, strides */
                                         { 1, 30011, 30011, 1 },
                                         { 300, 77, 77, 1 },
                                         { 77, 300, 1, 77 },
                                         { 2, 9001, 1, 3 }
    };
    for (cr__reduce_code code = 0; code < CR__REDUCE_CODES; code++)
        for (cr_dtype t = CR_F32; t <= CR_BOOL; t++)
            for (int s = 0; s < 4; s++) {
                const int64_t *d = shapes[s];
                cr__reduction r = { .x = { a, 2, { d[0], d[1] }, { d[2], d[3] } },
                                    .y = { b, 2, { d[0], d[1] }, { d[2], d[3] } },
                                    .values = b,
                                    .kept = 1,
                                    .out = out };
                if (!cr__reduce_find(code, t, &r.kernel))
                    continue;
                random_state = 2;
                fill(t, a, WIDE, 10, false);
                fill(t, b, WIDE, 10, false);
                cr__reduce(&r, team);
                const bool pair = code == CR__REDUCE_logsumexp;
                add_row(hashed(result_type(&r.kernel), out, d[0] * (1 + pair)),
                        "reduction.%s.%s.%d", cr__reduce_names[code], dtypes[t], s);
            }
}

static void hash_products(cr__team *team)
{
    static const int64_t shapes[][4] = { /* m, n, k, batches */
                                         { 37, 45, 300, 1 }, { 5, 4, 2, 7 },
                                         { 1, 60, 500, 1 },  { 60, 1, 500, 1 },
                                         { 1, 3, 9000, 1 },  { 130, 20, 100, 1 }
    };
    for (int i = 0; i < 2 * 6 * 4; i++) {
        const cr_dtype t = i & 1 ? CR_F64 : CR_F32;
        const int64_t *s = shapes[i / 8], m = s[0], n = s[1], k = s[2];
        const bool ta = i >> 1 & 1, tb = i >> 2 & 1;
        cr__gemm_job job = { .dtype = t,
                             .m = m,
                             .n = n,
                             .k = k,
                             .a = { a, t, .row = ta ? 1 : k, .col = ta ? m : 1 },
                             .b = { b, t, .row = tb ? 1 : n, .col = tb ? k : 1 },
                             .c = out,
                             .batch_ndim = 1,
                             .batch_dims = { s[3] },
                             .a_batch = { m * k },
                             .b_batch = { n * k } };
        random_state = 3;
        fill(t, a, WIDE, 4, false);
        fill(t, b, WIDE, 4, false);
        cr__gemm(&job, team);
        add_row(hashed(t, out, m * n * s[3]), "product.%s.%dx%dx%d.%c%c", dtypes[t],
                (int)m, (int)n, (int)k, ta ? 't' : 'n', tb ? 't' : 'n');
    }
}

/* ---- trainings ---- */

enum { SAMPLES = 64, FEATURES = 20, CLASSES = 5, STEPS = 30 };

static void hash_training(const char *name, cr_dtype t, cr_module *net, cr_optim *optim)
{
    cr_ctx *ctx = cr_nn_params(net)->ctx;
    int64_t labels[SAMPLES];
    uint64_t h = 0;
    random_state = 4;
    for (int i = 0; i < SAMPLES; i++)
        labels[i] = random32() % CLASSES;
    fill(t, a, SAMPLES * FEATURES, 1, false);
    for (int step = 0; step < STEPS; step++) {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_from(ctx, t, CR_DIMS(SAMPLES, FEATURES), (const void *)a);
        cr_tensor *y = cr_from(ctx, CR_I64, CR_DIMS(SAMPLES), labels);
        cr_tensor *z = cr_nn_forward(net, x);
        cr_tensor *loss = t == CR_F32
                              ? cr_cross_entropy(z, y)
                              : cr_mse_loss(z, cr_cast(cr_one_hot(y, CLASSES), t));
        cr_optim_zero_grad(optim);
        cr_backward(loss);
        cr_clip_grad_norm(cr_nn_params(net), 1.0);
        cr_optim_step(optim);
        h = h * 31 + hashed(t, cr_data(loss), 1);
    }
    const cr_params *lists[] = { cr_nn_params(net), cr_nn_buffers(net) };
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < lists[l]->n; i++) {
            cr_tensor *p = lists[l]->list[i].tensor;
            h = h * 31 + hashed(cr_dtype_of(p), cr_data(p), cr_numel(p));
        }
    if (cr_error(ctx))
        diag("%s: %s", name, cr_message(ctx));
    add_row(cr_error(ctx) ? 0 : h, "training.%s", name);
    cr_optim_free(optim);
    cr_nn_free(net);
}

static cr_module *network(cr_ctx *ctx, cr_dtype t, cr_module *middle, cr_module *norm)
{
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, FEATURES, 32, .dtype = t));
    if (norm)
        cr_nn_add(net, norm);
    cr_nn_add(net, middle);
    if (t == CR_F32)
        cr_nn_add(net, cr_nn_dropout(ctx, 0.1));
    cr_nn_add(net, cr_nn_linear(ctx, 32, CLASSES, .dtype = t));
    return net;
}

static void hash_trainings(cr_ctx *ctx)
{
    cr_seed(ctx, 3);
    cr_module *net = network(ctx, CR_F32, cr_nn_relu(ctx), cr_nn_batch_norm1d(ctx, 32));
    hash_training("relu_batch_norm_adamw", CR_F32, net,
                  cr_optim_adamw(cr_nn_params(net), 0.01, 0.01));
    net = network(ctx, CR_F32, cr_nn_gelu(ctx), cr_nn_layer_norm(ctx, 32));
    hash_training("gelu_layer_norm_momentum", CR_F32, net,
                  cr_optim_sgd(cr_nn_params(net), 0.05, .momentum = 0.9));
    net = network(ctx, CR_F64, cr_nn_relu(ctx), NULL);
    hash_training("relu_sgd_f64", CR_F64, net, cr_optim_sgd(cr_nn_params(net), 0.1));
    net = network(ctx, CR_F64, cr_nn_tanh(ctx), NULL);
    hash_training("tanh_sgd_f64", CR_F64, net, cr_optim_sgd(cr_nn_params(net), 0.1));
    net = network(ctx, CR_BF16, cr_nn_relu(ctx),
                  cr_nn_layer_norm(ctx, 32, .dtype = CR_BF16));
    hash_training("relu_layer_norm_adam_bf16", CR_BF16, net,
                  cr_optim_adam(cr_nn_params(net), 0.01));
}

/* ---- sources ---- */

static void hash_sources(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_seed(ctx, 9);
    static const cr_dtype floats[] = { CR_F32, CR_F64, CR_BF16, CR_F16 };
    for (int k = 0; k < CR__COUNT(floats); k++) {
        const cr_dtype t = floats[k];
        const struct {
            const char *name;
            cr_tensor *x;
        } sources[] = {
            { "arange", cr_arange(ctx, 0.1, 99, 0.7, .dtype = t) },
            { "linspace", cr_linspace(ctx, -0.1, 0.7, 99, .dtype = t) },
            { "rand", cr_rand(ctx, CR_DIMS(999), .dtype = t) },
            { "randn", cr_randn(ctx, CR_DIMS(999), .dtype = t) },
        };
        for (int i = 0; i < CR__COUNT(sources); i++)
            add_row(hashed(t, cr_data(sources[i].x), cr_numel(sources[i].x)),
                    "source.%s.%s", sources[i].name, dtypes[t]);
    }
}

/* ---- the table ---- */

static int write_table(void)
{
    FILE *file = fopen(TABLE, "w");
    for (int i = 0; file && i < n_rows; i++)
        fprintf(file, "%016" PRIx64 " %s\n", rows[i].hash, rows[i].name);
    return file && fclose(file) == 0 ? 0 : 1;
}

/* 1: as in the table, 0: other bits, -1: not there. */
static int compare(const row *r, char *table)
{
    char line[100];
    int n = snprintf(line, sizeof line, " %s\n", r->name);
    const char *at = strstr(table, line);
    if (!at || n < 0 || at - table < 16)
        return -1;
    return strtoull(at - 16, NULL, 16) == r->hash;
}

static void compare_all(char *table)
{
    int same = 0;
    for (int i = 0; i < n_rows; i++) {
        int result = compare(&rows[i], table);
        same += result == 1;
        if (result < 1) {
            ok(false, "%s: %s", rows[i].name,
               result ? "not in " TABLE : "other bits than in " TABLE);
            diag("%s: if that is meant: bits --write", cr_isa());
        }
    }
    ok(same == n_rows && n_rows > 100 && n_rows < ROWS,
       "%s: %d hashes are those of " TABLE ", of %d", cr_isa(), same, n_rows);
}

int main(int argc, char **argv)
{
    static char table[ROWS * 80];
    cr_ctx *ctx = cr_open(NULL);
    hash_maps();
    hash_halves();
    hash_reductions(ctx->team);
    hash_products(ctx->team);
    hash_sources(ctx);
    hash_trainings(ctx);
    cr_close(ctx);
    if (argc > 1 && strcmp(argv[1], "--write") == 0)
        return write_table();
    FILE *file = fopen(TABLE, "r");
    if (ok(file != NULL, "the table is there")) {
        table[fread(table, 1, sizeof table - 1, file)] = '\0';
        fclose(file);
        compare_all(table);
    }
    return done_testing();
}
