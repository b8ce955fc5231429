/* Samples and labels, and the batches that are drawn of them. */
#include "dataset.h"
#include "host.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 1797, PIXELS = 64, CLASSES = 10 };

/* ---- random numbers: splitmix64 (Steele et al., 2014) of a counter ---- */

static uint64_t mixed(uint64_t seed, uint64_t counter)
{
    uint64_t z = seed * 0xd1342543de82ef95u + (counter + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Standard normal (Box and Muller, 1958). */
static double normal(uint64_t seed, uint64_t counter)
{
    const double pi = 3.14159265358979324, scale = 1.0 / 9007199254740992.0; /* 2^-53 */
    const double u = ((double)(mixed(seed, 2 * counter) >> 11) + 1) * scale;
    const double v = (double)(mixed(seed, 2 * counter + 1) >> 11) * scale;
    return sqrt(-2 * log(u)) * cos(2 * pi * v);
}

/* ---- making and reading ---- */

void dataset_free(dataset *d)
{
    free(d->x);
    free(d->labels);
    *d = (dataset){ 0 };
}

static bool make(dataset *d)
{
    *d = (dataset){ .n = IMAGES, .features = PIXELS, .classes = CLASSES };
    d->x = malloc(sizeof *d->x * IMAGES * PIXELS);
    d->labels = malloc(sizeof *d->labels * IMAGES);
    if (d->x && d->labels)
        return true;
    fprintf(stderr, "chainrule: there is no memory for the images\n");
    dataset_free(d);
    return false;
}

static bool readable(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file)
        fclose(file);
    return file != NULL;
}

const char *digits_path(const char *given)
{
    static char beside[1060], in_build[1060];
    char folder[1000];
    const char *told = getenv("CHAINRULE_DIGITS");
    if (host_program_folder(folder, sizeof folder)) {
        snprintf(beside, sizeof beside, "%s/../share/chainrule/digits.csv", folder);
        snprintf(in_build, sizeof in_build, "%s/../data/digits.csv", folder);
    }
    if (given)
        return readable(given) ? given : NULL;
    const char *const places[] = { told ? told : "", beside, CHAINRULE_DATA "/digits.csv",
                                   "data/digits.csv", in_build };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (*places[i] && readable(places[i]))
            return places[i];
    return NULL;
}

static bool read_image(FILE *file, float *x, int64_t *label)
{
    int value;
    for (int i = 0; i < PIXELS; i++) {
        if (fscanf(file, "%d,", &value) != 1)
            return false;
        x[i] = (float)value;
    }
    if (fscanf(file, "%d", &value) != 1 || value < 0 || value >= CLASSES)
        return false;
    *label = value;
    return true;
}

/* One mean and one deviation for all, so that pixels keep what they say to each other. */
static void standardise(dataset *d)
{
    const int64_t n = d->n * d->features;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)d->x[i];
        squares += (double)d->x[i] * (double)d->x[i];
    }
    const double mean = sum / (double)n, variance = squares / (double)n - mean * mean;
    for (int64_t i = 0; i < n; i++)
        d->x[i] = (float)(((double)d->x[i] - mean) / sqrt(variance));
}

bool dataset_read_digits(dataset *d, const char *given)
{
    const char *path = digits_path(given);
    FILE *file = path ? fopen(path, "r") : NULL;
    *d = (dataset){ 0 };
    if (!file) {
        fprintf(stderr,
                "chainrule: the digits are not there%s%s; --data FILE says where "
                "data/digits.csv of chainrule lies, --task random does without\n",
                given ? ": " : "", given ? given : "");
        return false;
    }
    bool good = make(d);
    for (int64_t i = 0; good && i < d->n; i++) {
        good = read_image(file, d->x + i * PIXELS, &d->labels[i]);
        if (!good)
            fprintf(stderr, "chainrule: %s:%d: 64 pixels and a digit are wanted\n", path,
                    (int)i + 1);
    }
    fclose(file);
    if (good)
        standardise(d);
    else
        dataset_free(d);
    return good;
}

bool dataset_make_random(dataset *d, uint64_t seed)
{
    if (!make(d))
        return false;
    for (int64_t i = 0; i < d->n; i++) {
        float *x = d->x + i * PIXELS;
        double most = -INFINITY;
        for (int j = 0; j < PIXELS; j++)
            x[j] = (float)normal(seed, (uint64_t)(i * PIXELS + j));
        for (int c = 0; c < CLASSES; c++) {
            double y = 0;
            for (int j = 0; j < PIXELS; j++)
                y += (double)x[j] * normal(~seed, (uint64_t)(c * PIXELS + j));
            if (y > most) {
                most = y;
                d->labels[i] = c;
            }
        }
    }
    return true;
}

/* ---- batches ---- */

bool dataset_batch(const dataset *d, cr_ctx *ctx, uint64_t seed, int64_t step,
                   int64_t batch, cr_tensor **x, cr_tensor **labels)
{
    const size_t row = (size_t)d->features * sizeof *d->x;
    float *images = malloc((size_t)batch * row);
    int64_t *digits = malloc((size_t)batch * sizeof *digits);
    if (!images || !digits)
        cr_fail(ctx, CR_ERR_MEMORY, "no memory for a batch of %d images", (int)batch);
    for (int64_t i = 0; images && digits && i < batch; i++) {
        const uint64_t from = mixed(seed, (uint64_t)(step * batch + i)) % (uint64_t)d->n;
        memcpy(images + i * d->features, d->x + (int64_t)from * d->features, row);
        digits[i] = d->labels[from];
    }
    *x = cr_from(ctx, CR_F32, CR_DIMS(batch, d->features), images);
    *labels = cr_from(ctx, CR_I64, CR_DIMS(batch), digits);
    free(images);
    free(digits);
    return *x && *labels;
}
