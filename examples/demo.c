/* The lesson in one go, with a report: make demo.
 *
 *     demo [seed]
 *
 * The numbered programs are taken over as they stand: each one's main becomes a function.
 */
#define main chain_rule
#include "01_chain_rule.c"
#undef main
#define main deep_sigmoid
#include "02_deep_sigmoid.c"
#undef main
#define main vanishing
#include "03_vanishing.c"
#undef main
#define main digits
#include "05_digits.c"
#undef main
#define main diagnosis
#include "07_diagnosis.c"
#undef main
#include "report.h"

enum {
    REMEDIES = STACKS / 2
}; /* the first half of the stacks has sigmoids, the second ReLUs */

/* ---- the gradient's way ---- */

static void draw_stacks(FILE *f, const panel *p, const struct stack *first)
{
    char exponent[16], told[128];
    draw_title(f, p);
    for (int e = (int)p->y_from; e <= (int)p->y_to; e += 5) {
        snprintf(exponent, sizeof exponent, "%d", e);
        draw_y_mark(f, p, e, "10", exponent, "");
    }
    draw_x_mark(f, p, 1);
    for (int i = 5; i <= LAYERS; i += 5)
        draw_x_mark(f, p, i);
    /* The plain stack last: on top. */
    for (int k = REMEDIES - 1; k >= 0; k--) {
        double y[LAYERS];
        for (int i = 0; i < LAYERS; i++)
            y[i] = log10(first[k].norms[i].norm);
        snprintf(told, sizeof told, "%s: %.1e in layer 1, %.1e in layer %d",
                 first[k].name, first[k].norms[0].norm, first[k].norms[LAYERS - 1].norm,
                 LAYERS);
        draw_curve(f, p, y, LAYERS, k, told);
    }
}

static void write_legend(FILE *f)
{
    static const char *const names[REMEDIES] = {
        "default start", "Xavier",   "He",      "batch norm",
        "layer norm",    "residual", "clipping"
    };
    fprintf(f, "<div class=\"legend\">\n");
    for (int k = 0; k < REMEDIES; k++)
        fprintf(
            f,
            "<span><svg width=\"28\" height=\"8\"><line class=\"curve c%d\" x2=\"28\" "
            "y1=\"4\" y2=\"4\"/></svg>%s</span>\n",
            k, names[k]);
    fprintf(f, "</div>\n");
}

static void write_stacks(FILE *f)
{
    panel left = { 50, 40, 390, 320, 1, LAYERS, LOW, HIGH, "sigmoid", "layer" };
    panel right = left;
    right.left = 530;
    right.title = "ReLU";
    fprintf(
        f, "<h2>Thirty layers: the norm of the weight's gradient by layer</h2>\n"
           "<p>The gradient of layer 1 is a product of thirty factors. Where each is a "
           "little "
           "below one, nothing arrives, and the first layers do not learn. The scale is "
           "logarithmic; the gradient travels from right to left.</p>\n"
           "<figure><svg viewBox=\"0 0 940 410\" width=\"940\" role=\"img\" aria-label=\""
           "Gradient norms by layer; the table below holds the numbers\">\n");
    draw_stacks(f, &left, &stacks[0]);
    draw_stacks(f, &right, &stacks[REMEDIES]);
    fprintf(f, "</svg></figure>\n");
    write_legend(f);
    fprintf(
        f,
        "<h2>Which remedy keeps the product alive</h2>\n<table>\n<tr><th>stack<th>layer 1"
        "<th>layer %d<th>ratio<th></tr>\n",
        LAYERS);
    for (int k = 0; k < STACKS; k++)
        fprintf(f, "<tr><td>%s<td>%.1e<td>%.1e<td>10<sup>%.1f</sup><td>%s</tr>\n",
                stacks[k].name, stacks[k].norms[0].norm, stacks[k].norms[LAYERS - 1].norm,
                decades(&stacks[k]), verdict(&stacks[k]));
    fprintf(f, "</table>\n<p>Clipping multiplies all gradients by one number: it tames a "
               "product "
               "that grew too large and cannot revive one that has vanished.</p>\n");
}

/* ---- the training ---- */

static void draw_losses(FILE *f, const panel *p)
{
    double y[EPOCHS];
    draw_title(f, p);
    draw_y_mark(f, p, 0, "1", "", "");
    draw_y_mark(f, p, -1, "0.1", "", "");
    draw_y_mark(f, p, -2, "0.01", "", "");
    for (int i = 20; i <= EPOCHS; i += 20)
        draw_x_mark(f, p, i);
    for (int i = 0; i < EPOCHS; i++)
        y[i] = log10(losses[i]);
    draw_curve(f, p, y, EPOCHS, 1, "mean cross-entropy of the epoch, dropout at work");
}

static void draw_accuracies(FILE *f, const panel *p)
{
    double y[EPOCHS];
    char percent[16];
    draw_title(f, p);
    for (int e = (int)p->y_from; e <= 100; e += 2) {
        snprintf(percent, sizeof percent, "%d%%", e);
        draw_y_mark(f, p, e, percent, "", "");
    }
    for (int i = 20; i <= EPOCHS; i += 20)
        draw_x_mark(f, p, i);
    for (int i = 0; i < EPOCHS; i++)
        y[i] = 100 * accuracies[i];
    draw_curve(f, p, y, EPOCHS, 2,
               "share of the held out images that the network gets right");
}

static void write_image(FILE *f, int which)
{
    fprintf(f, "<figure><svg width=\"56\" height=\"56\" viewBox=\"0 0 8 8\">\n");
    for (int p = 0; p < PIXELS; p++)
        if (images[which][p] > 0)
            fprintf(f,
                    "<rect class=\"pixel\" x=\"%d\" y=\"%d\" width=\"1\" height=\"1\" "
                    "opacity=\"%g\"/>",
                    p % 8, p / 8, (double)images[which][p]);
    fprintf(f, "</svg><figcaption>a %d,<br>taken for %d</figcaption></figure>\n",
            (int)labels[which], (int)guesses[which]);
}

static void write_training(FILE *f)
{
    panel left = { 50, 40, 390, 220, 1, EPOCHS, -2.2, 0.2, "training loss", "epoch" };
    panel right = {
        530, 40, 390, 220, 1, EPOCHS, 90, 100, "accuracy on held out images", "epoch"
    };
    int wrong = 0;
    fprintf(f, "<h2>Handwritten digits: %.2f%% right</h2>\n",
            100 * accuracies[EPOCHS - 1]);
    fprintf(f,
            "<p>%d - %d - %d - %d with batch norm, ReLU, dropout and AdamW, trained on "
            "%d images "
            "of 8x8 pixels and tested on %d others.</p>\n",
            PIXELS, HIDDEN, HIDDEN, CLASSES, TRAINED, TESTED);
    fprintf(
        f, "<figure><svg viewBox=\"0 0 940 310\" width=\"940\" role=\"img\" aria-label=\""
           "Training loss and accuracy by epoch\">\n");
    draw_losses(f, &left);
    draw_accuracies(f, &right);
    fprintf(f, "</svg></figure>\n<p>What it gets wrong%s</p>\n<div class=\"wrong\">\n",
            accuracies[EPOCHS - 1] < 1 ? ":" : ": nothing.");
    for (int i = 0; i < TESTED; i++)
        if (guesses[i] != labels[i] && wrong++ < 12)
            write_image(f, i);
    fprintf(f,
            "</div>\n<p><small>Images: Optical Recognition of Handwritten Digits, E. "
            "Alpaydin "
            "and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0.</small></p>\n");
}

static int write_report(void)
{
    const char *path = "build/report.html";
    FILE *f = fopen(path, "w");
    if (!f)
        f = fopen(path = "report.html", "w");
    if (!f) {
        fprintf(stderr, "cannot write %s\n", path);
        return 1;
    }
    fprintf(f, "%s<h1>How the gradient flows</h1>\n", report_head);
    fprintf(f, "<p>Measured by chainrule %s, kernels %s.</p>\n", cr_version(), cr_isa());
    write_stacks(f);
    write_training(f);
    bool written = !ferror(f);
    if (fclose(f) != 0 || !written) {
        fprintf(stderr, "cannot write %s\n", path);
        return 1;
    }
    printf("the report is in %s\n", path);
    return 0;
}

static void heading(const char *text)
{
    printf("\n==== %s ====\n\n", text);
}

/* Who includes this gives its main a name, too. */
#ifndef DEMO_MAIN
#define DEMO_MAIN main
#endif

int DEMO_MAIN(int argc, char **argv)
{
    heading("1. the chain rule, by hand and by machine");
    int failed = chain_rule();
    heading("2. fifty sigmoids");
    failed = failed || deep_sigmoid();
    heading("3. what keeps the gradient alive");
    failed = failed || vanishing(argc, argv);
    heading("4. learning to read digits");
    failed = failed || digits(argc, argv);
    heading("5. why does it not train?");
    failed = failed || diagnosis();
    printf("\n");
    return failed || write_report();
}
