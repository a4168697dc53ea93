// The graphs of the bench `grain`, as in src/bin/grain/graph.rs, and the work of a task.

#ifndef GRAPH_H
#define GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MOST_INPUTS = 5, FIELDS = 8, MOST_WIDTH = 64 };

typedef struct {
    char kind[16];
    int width;
    int steps;
    long work;
} Graph;

// One line of the input; false at its end.
static int read_graph(Graph *graph) {
    return scanf("%15s %d %d %ld", graph->kind, &graph->width, &graph->steps, &graph->work) == 4;
}

static int is(const Graph *graph, const char *kind) { return strcmp(graph->kind, kind) == 0; }

static int width_at(const Graph *graph, int step) {
    if (!is(graph, "tree") || step >= 20) return graph->width;
    return 1 << step < graph->width ? 1 << step : graph->width;
}

static int log2_of(int n) {
    int log = 0;
    while (n > 1 << log) log++;
    return log;
}

// The points of the step before whose outputs this task reads, ascending, each once.
static int inputs_of(const Graph *graph, int step, int point, int inputs[MOST_INPUTS]) {
    int width = graph->width, count = 0;
    if (step == 0 || is(graph, "trivial")) return 0;
    if (is(graph, "tree")) {
        inputs[count++] = point / 2;
    } else if (is(graph, "stencil") || is(graph, "nearest")) {
        int reach = is(graph, "stencil") ? 1 : 2;
        for (int other = point - reach; other <= point + reach; other++)
            if (other >= 0 && other < width) inputs[count++] = other;
    } else if (is(graph, "fft")) {
        int log = log2_of(width), distance = 1 << (log > 0 ? (step - 1) % log : 0);
        for (int side = -1; side <= 1; side++) {
            int other = point + side * distance;
            if (other >= 0 && other < width) inputs[count++] = other;
        }
    } else {
        int radix = width < MOST_INPUTS ? width : MOST_INPUTS;
        char is_input[MOST_WIDTH] = {0};
        for (int i = 0; i < radix; i++)
            is_input[(point + i * width / radix + (i > 0 ? step : 0)) % width] = 1;
        for (int other = 0; other < width; other++)
            if (is_input[other]) inputs[count++] = other;
    }
    return count;
}

// A task's output, before and after its inputs.
static uint64_t begin_output(int step, int point) {
    return (uint64_t)step << 32 | (uint64_t)point;
}

static uint64_t mix(uint64_t output, uint64_t input) {
    return output * UINT64_C(0x9e3779b97f4a7c15) + input;
}

// So many steps that need a CPU and nothing else: each waits for the one before.
static void burn(long steps) {
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    __asm__ volatile("" : "+r"(x));
    for (long i = 0; i < steps; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    __asm__ volatile("" : "+r"(x));
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

// What the driver compares with its own: 32 bits of the sum of the last step.
static void answer(double seconds, uint64_t sum) {
    printf("%.9f %lu\n", seconds, (unsigned long)(sum & 0xffffffff));
    fflush(stdout);
}

#endif
