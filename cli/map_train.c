/* The map's cells: trained on threads, kept in a file as they are finished. */
#include "host.h"
#include "map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    int cell;
    double cost;
} job;

typedef struct work {
    map *m;
    job *jobs; /* cells that are to be trained, the dearest first */
    int n;
    double cost, spent;
    FILE *file;        /* finished cells, or NULL */
    bool failed;       /* a cell could not be trained, or not kept */
    char message[200]; /* why */
} work;

/* ---- one cell ---- */

static cr_status step(cr_ctx *ctx, cr_module *module, cr_optim *optim, network *net,
                      int64_t t, bool *finite)
{
    CR_SCOPE(ctx);
    cr_tensor *loss = network_loss(module, t, NULL, net);
    cr_optim_zero_grad(optim);
    cr_backward(loss);
    cr_optim_step(optim);
    if (t % 16 == 0)
        *finite = isfinite(cr_item(loss)) || cr_error(ctx);
    return cr_error(ctx);
}

/* Of images that it was trained with. Norms use the batch's statistics, as in training. */
static void measure(cr_ctx *ctx, cr_module *module, const network *net, map_cell *cell)
{
    enum { IMAGES = 512 };
    CR_SCOPE(ctx);
    CR_NO_GRAD(ctx);
    int64_t guesses[IMAGES];
    const dataset *d = &net->data;
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(IMAGES, d->features), d->x);
    cr_tensor *labels = cr_from(ctx, CR_I64, CR_DIMS(IMAGES), d->labels);
    cr_tensor *y = cr_nn_forward(module, x);
    cell->loss = cr_item(cr_cross_entropy(y, labels));
    int right = 0;
    if (cr_read(cr_argmax(y, 1), guesses, sizeof guesses) == CR_OK)
        for (int i = 0; i < IMAGES; i++)
            right += guesses[i] == d->labels[i];
    cell->accuracy = isfinite(cell->loss) ? (double)right / IMAGES : 0;
    cell->loss = isfinite(cell->loss) ? cell->loss : NAN;
}

/* A cell depends on its own network and steps alone: not on the grid, nor on threads. */
static cr_status train(cr_ctx *ctx, const map *m, int i, map_cell *cell)
{
    network net = { .spec = map_spec(m, i), .data = m->net.data };
    bool finite = true;
    cr_seed(ctx, (uint64_t)net.spec.seed);
    cr_module *module = network_build(ctx, &net);
    cr_optim *optim = module ? network_optimiser(module, &net) : NULL;
    for (int64_t t = 0; finite && t < m->steps && !cr_error(ctx); t++)
        step(ctx, module, optim, &net, t, &finite);
    *cell = (map_cell){ .done = true, .loss = NAN, .xi = cell->xi };
    if (finite && !cr_error(ctx))
        measure(ctx, module, &net, cell);
    const cr_status status = cr_error(ctx);
    cr_optim_free(optim);
    cr_nn_free(module);
    return status;
}

static void write_cell(FILE *file, const map *m, int i)
{
    fprintf(file, "%d %d %.9g %.9g\n", i % m->x.n, i / m->x.n, m->cells[i].accuracy,
            m->cells[i].loss);
}

static double cost_of(const map *m, int i)
{
    const network_spec spec = map_spec(m, i);
    return (double)spec.depth * (double)(spec.width + 64) * (double)spec.width;
}

/* Called by one thread at a time. */
static void finish(work *w, const job *one, const map_cell *cell, const char *message)
{
    const map *m = w->m;
    char told[64];
    int done = 0;
    m->cells[one->cell] = *cell;
    w->spent += one->cost;
    if (message && !w->failed) {
        w->failed = true;
        snprintf(w->message, sizeof w->message, "%s", message);
    }
    if (w->file && !message) {
        write_cell(w->file, m, one->cell);
        fflush(w->file);
    }
    for (int k = 0; k < m->x.n * m->y.n; k++)
        done += m->cells[k].done;
    snprintf(told, sizeof told, "%d of %d networks trained", done, m->x.n * m->y.n);
    host_progress(told, fmin(w->spent / w->cost, 0.999), NULL);
}

static void train_cell(void *arg, int k)
{
    work *w = arg;
    const job *one = &w->jobs[k];
    map_cell cell = w->m->cells[one->cell];
    host_lock();
    const bool useless = w->failed;
    host_unlock();
    if (useless)
        return;
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    const cr_status status = ctx ? train(ctx, w->m, one->cell, &cell) : CR_ERR_MEMORY;
    const char *message = ctx ? cr_message(ctx) : "there is no memory";
    host_lock();
    finish(w, one, &cell, status == CR_OK ? NULL : message);
    host_unlock();
    cr_close(ctx);
}

/* ---- the file ---- */

/* All that the cells depend on: a file with another first line is another map's. */
static void describe(char *text, size_t capacity, const map *m)
{
    const map_axis *axes[] = { &m->x, &m->y };
    char value[64];
    map_describe(text, capacity, m);
    size_t n = strlen(text);
    for (int a = 0; a < 2; a++) {
        n += (size_t)snprintf(text + n, capacity - n, "; %s", axes[a]->kind->name);
        for (int i = 0; i < axes[a]->n && n + 1 < capacity; i++) {
            map_axis_text(value, sizeof value, axes[a], i);
            n += (size_t)snprintf(text + n, capacity - n, " %s", value);
        }
    }
}

enum { HEADER = 4000 };

/* Takes the cells that the file has, and says whether its last line is whole; false if it is
 * another map's. */
static bool read_cells(map *m, FILE *file, const char *header, const char *path,
                       bool *whole)
{
    char line[HEADER + 64], end = '\n';
    int x, y;
    double accuracy, loss;
    if (!fgets(line, sizeof line, file))
        line[0] = 0;
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "# ", 2) != 0 || strcmp(line + 2, header) != 0) {
        fprintf(
            stderr,
            "chainrule flow map: %s holds something else; it begins with\n  %s\nand this "
            "map with\n  # %s\n",
            path, line, header);
        return false;
    }
    while (fgets(line, sizeof line, file)) {
        *whole = strchr(line, '\n') != NULL;
        if (sscanf(line, "%d %d %lf %lf%c", &x, &y, &accuracy, &loss, &end) == 5 &&
            end == '\n' && x >= 0 && x < m->x.n && y >= 0 && y < m->y.n) {
            map_cell *cell = &m->cells[y * m->x.n + x];
            cell->done = true;
            cell->accuracy = accuracy;
            cell->loss = loss;
        }
    }
    return true;
}

/* The file, open for more cells behind those that it has; NULL with a message. A line that was cut
 * off when a map was interrupted is ended so that nobody takes it for a cell. */
static FILE *open_cells(map *m, const char *path)
{
    char header[HEADER];
    bool whole = true;
    describe(header, sizeof header, m);
    FILE *file = fopen(path, "r");
    const bool old = file != NULL;
    if (old) {
        const bool good = read_cells(m, file, header, path, &whole);
        fclose(file);
        if (!good)
            return NULL;
    }
    file = fopen(path, "a");
    if (!file) {
        fprintf(stderr, "chainrule flow map: %s cannot be written\n", path);
        return NULL;
    }
    if (!old)
        fprintf(file, "# %s\n", header);
    if (!whole)
        fputs(" cut off\n", file);
    fflush(file);
    return file;
}

/* ---- all of them ---- */

static int dearer(const void *a, const void *b)
{
    const job *one = a, *other = b;
    const int by_cost = (other->cost > one->cost) - (other->cost < one->cost);
    return by_cost ? by_cost : one->cell - other->cell;
}

/* The dearest first, so that at the end no thread waits long for another. */
static void put_in_order(work *w)
{
    for (int i = 0; i < w->m->x.n * w->m->y.n; i++) {
        const double cost = cost_of(w->m, i);
        w->cost += cost;
        if (w->m->cells[i].done)
            w->spent += cost;
        else
            w->jobs[w->n++] = (job){ i, cost };
    }
    qsort(w->jobs, (size_t)w->n, sizeof *w->jobs, dearer);
}

bool map_train(map *m, int threads, const char *resume)
{
    work w = { .m = m };
    w.jobs = calloc((size_t)(m->x.n * m->y.n), sizeof *w.jobs);
    if (!w.jobs) {
        fprintf(stderr, "chainrule flow map: there is no memory\n");
        return false;
    }
    bool good = true;
    if (resume) {
        w.file = open_cells(m, resume);
        good = w.file != NULL;
    }
    if (good) {
        put_in_order(&w);
        host_parallel(threads, w.n, train_cell, &w);
        host_progress("", 1, NULL);
    }
    if (w.failed)
        fprintf(stderr, "chainrule flow map: %s\n", w.message);
    if (w.file && (ferror(w.file) || fclose(w.file) != 0)) {
        fprintf(stderr, "chainrule flow map: %s could not be written\n", resume);
        good = false;
    }
    free(w.jobs);
    return good && !w.failed;
}
