/* The data of faults.h: small, and the same each time. */
#include "faults.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 1797, PIXELS = 64, MADE = 1024 };

/* splitmix64 (Steele et al., 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double fault_uniform(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

double fault_normal(uint64_t *state)
{
    double u = 1 - fault_uniform(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * fault_uniform(state));
}

static bool read_digits(fault_samples *s)
{
    FILE *file = fopen("data/digits.csv", "r");
    bool good = file != NULL;
    for (int i = 0; good && i < DIGITS; i++) {
        int value = 0;
        for (int p = 0; good && p < PIXELS; p++) {
            good = fscanf(file, "%d,", &value) == 1;
            s->x[PIXELS * i + p] = (float)value / 16;
        }
        good = good && fscanf(file, "%d", &value) == 1;
        s->labels[i] = value;
    }
    if (file)
        fclose(file);
    return good;
}

/* Each pixel minus its mean, over its deviation: some are 0 in all images. */
static void standardise(fault_samples *s)
{
    for (int p = 0; p < s->numel; p++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < s->n; i++) {
            double v = (double)s->x[s->numel * i + p];
            sum += v;
            squares += v * v;
        }
        double mean = sum / s->n, deviation = sqrt(squares / s->n - mean * mean);
        for (int i = 0; i < s->n; i++) {
            float *v = &s->x[s->numel * i + p];
            *v = (float)(((double)*v - mean) / deviation);
        }
    }
}

static void make_spirals(fault_samples *s, uint64_t *random)
{
    for (int i = 0; i < s->n; i++) {
        int arm = i % 2;
        double t = fault_uniform(random), angle = 4.5 * t + 3.141592653589793 * arm;
        s->x[2 * i] = (float)((0.2 + t) * cos(angle) + 0.03 * fault_normal(random));
        s->x[2 * i + 1] = (float)((0.2 + t) * sin(angle) + 0.03 * fault_normal(random));
        s->y[i] = (float)arm;
        s->labels[i] = arm;
    }
}

static void make_surface(fault_samples *s, uint64_t *random)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < s->n; i++) {
        float *x = &s->x[4 * i];
        for (int k = 0; k < 4; k++)
            x[k] = (float)fault_normal(random);
        double y = (double)(x[0] * x[1]) + fabs((double)x[2]) + cos(2 * (double)x[3]);
        s->y[i] = (float)y;
        sum += y;
        squares += y * y;
    }
    double mean = sum / s->n, deviation = sqrt(squares / s->n - mean * mean);
    for (int i = 0; i < s->n; i++)
        s->y[i] = (float)(((double)s->y[i] - mean) / deviation);
}

static void make_sequences(fault_samples *s, int length, uint64_t *random)
{
    for (int i = 0; i < s->n; i++) {
        float *x = &s->x[s->numel * i];
        for (int k = 0; k < s->numel; k++)
            x[k] = (float)(0.3 * fault_normal(random));
        s->labels[i] = fault_uniform(random) < 0.5;
        x[0] = s->labels[i] ? 1.0f : -1.0f;
        for (int t = 0; t < length; t++) /* where the first element is */
            x[2 * t + 1] = t == 0;
    }
}

static void make_lookups(fault_samples *s, int length, uint64_t *random)
{
    for (int i = 0; i < s->n; i++) {
        float *x = &s->x[s->numel * i];
        int keys[6] = { 0, 1, 2, 3, 4, 5 };
        int asked = (int)(next_random(random) % (uint64_t)(length - 1));
        for (int t = 0; t < length - 1; t++) {
            int other = t + (int)(next_random(random) % (uint64_t)(6 - t)),
                key = keys[other];
            int value = (int)(next_random(random) % 6);
            keys[other] = keys[t];
            x[12 * t + key] = 1;
            x[12 * t + 6 + value] = 1;
            if (t == asked) {
                x[12 * (length - 1) + key] = 1;
                s->labels[i] = value;
            }
        }
    }
}

static void make_noise(fault_samples *s, uint64_t *random)
{
    for (int i = 0; i < 2 * s->n; i++)
        s->x[i] = (float)fault_normal(random);
}

static void swap_samples(fault_samples *s, int i, int j)
{
    for (int k = 0; k < s->numel; k++) {
        float x = s->x[s->numel * i + k];
        s->x[s->numel * i + k] = s->x[s->numel * j + k];
        s->x[s->numel * j + k] = x;
    }
    float y = s->y[i];
    s->y[i] = s->y[j];
    s->y[j] = y;
    int64_t label = s->labels[i];
    s->labels[i] = s->labels[j];
    s->labels[j] = label;
}

/* Keeps a share of what is not of the first class. */
static void thin_out(fault_samples *s, double share, uint64_t *random)
{
    int kept = 0;
    for (int i = 0; i < s->n; i++)
        if (s->labels[i] == 0 || fault_uniform(random) < share)
            swap_samples(s, kept++, i);
    s->n = kept;
}

static void scale(float *values, int n, double by, double shift)
{
    for (int i = 0; i < n; i++)
        values[i] = (float)((by != 0 ? by : 1) * (double)values[i] + shift);
}

bool fault_samples_make(const fault_net *net, fault_samples *s)
{
    static const struct {
        int n, classes, ndim, size[2];
    } kinds[] = {
        [DATA_DIGITS] = { DIGITS, 10, 1, { PIXELS, 1 } },
        [DATA_SPIRALS] = { MADE, 0, 1, { 2, 1 } },
        [DATA_SURFACE] = { MADE, 0, 1, { 4, 1 } },
        [DATA_SEQUENCE] = { MADE, 2, 2, { 0, 2 } },
        [DATA_LOOKUP] = { MADE, 6, 2, { 0, 12 } },
        [DATA_CLOUD] = { MADE, 0, 1, { 2, 1 } },
    };
    int length = net->data == DATA_LOOKUP ? 5 : net->length ? net->length : 8;
    uint64_t random = 20;
    *s = (fault_samples){ .n = kinds[net->data].n, .classes = kinds[net->data].classes };
    int64_t size[2] = { kinds[net->data].size[0], kinds[net->data].size[1] };
    if (kinds[net->data].ndim == 2)
        size[0] = length;
    s->numel = (int)(size[0] * size[1]);
    s->shape = cr_dims_of(size, kinds[net->data].ndim);
    if (net->body == BODY_CNN)
        s->shape = CR_DIMS(1, 8, 8);
    s->x = calloc((size_t)(s->n * s->numel), sizeof *s->x);
    s->y = calloc((size_t)s->n, sizeof *s->y);
    s->labels = calloc((size_t)s->n, sizeof *s->labels);
    bool good = s->x && s->y && s->labels;
    if (good && net->data == DATA_DIGITS)
        good = read_digits(s);
    if (!good) {
        fault_samples_free(s);
        return false;
    }
    switch (net->data) {
    case DATA_DIGITS:
        break;
    case DATA_SPIRALS:
        make_spirals(s, &random);
        break;
    case DATA_SURFACE:
        make_surface(s, &random);
        break;
    case DATA_SEQUENCE:
        make_sequences(s, length, &random);
        break;
    case DATA_LOOKUP:
        make_lookups(s, length, &random);
        break;
    case DATA_CLOUD:
        make_noise(s, &random);
        break;
    }
    if (net->standardised)
        standardise(s);
    if (net->rare > 0)
        thin_out(s, net->rare, &random);
    for (int i = s->n - 1; i > 0; i--)
        swap_samples(s, i, (int)(next_random(&random) % (uint64_t)(i + 1)));
    if (net->shuffled)
        for (int i = s->n - 1; i > 0; i--) {
            int j = (int)(next_random(&random) % (uint64_t)(i + 1));
            int64_t label = s->labels[i];
            float y = s->y[i];
            s->labels[i] = s->labels[j], s->labels[j] = label;
            s->y[i] = s->y[j], s->y[j] = y;
        }
    scale(s->x, s->n * s->numel, net->input_scale, net->input_shift);
    scale(s->y, s->n, net->target_scale, net->target_shift);
    return true;
}

void fault_samples_free(fault_samples *s)
{
    free(s->x);
    free(s->y);
    free(s->labels);
    *s = (fault_samples){ 0 };
}
