/* A grid of tasks in the manner of Task Bench (Slaughter et al., SC 2020): `steps` rows of `width` tasks,
 * each of which reads the outputs of some tasks of the row before, in place, checks them, works, and
 * writes its own.
 *
 *     graph [--steps N] [--width N] [--pattern NAME|all] [--iterations N] [--output BYTES]
 *           [--workers N] [--radix N] [--metg]
 *
 * What Task Bench's core library asks a backend for, and what serves it here:
 *
 *     create with options            pinfold_runtime_new, pinfold_config
 *     register functions             pinfold_function_register, before pinfold_init
 *     start: pinned, all ready       pinfold_config.pin, .start_checked, .worker_state
 *     submit: argument bytes         pinfold_task_submit_after: `argument`, `len` (up to 64 in place)
 *             any dependencies       `after`, `count`; those that have ended too
 *             output length          pinfold_call_output, by the task itself
 *     release a handle               pinfold_handle_free, at any time
 *     wait for all, failures told    pinfold_handle_wait, pinfold_handle_code
 *     in a task: argument            pinfold_call_argument
 *                inputs in order     pinfold_call_input_count, pinfold_call_input
 *                output buffer       pinfold_call_output
 *                worker's index      pinfold_call_info
 *     destroy                        pinfold_runtime_free
 */
#include "check.h"

#include <time.h>
#include <unistd.h>

/* ---- the graph: on which points of the step before a point depends ---- */

static const char *const patterns[] = {"trivial", "no_comm", "stencil", "nearest", "fft", "tree", "random"};
enum pattern { TRIVIAL, NO_COMM, STENCIL, NEAREST, FFT, TREE, RANDOM, PATTERNS };
enum { MOST = 64 };

struct graph {
    enum pattern pattern;
    uint32_t steps, width, radix, iterations, output;
};

/* What a task is told: 32 bytes. */
struct point { struct graph graph; uint32_t step, point; };

/* What each output begins with. */
struct written { uint32_t step, point; double value; };

static uint32_t mixed(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t hash = a * 2654435761u ^ b * 2246822519u ^ c * 3266489917u;
    hash ^= hash >> 15;
    hash *= 2246822519u;
    return hash ^ hash >> 13;
}

/* Writes them to `before`, ascending; returns how many. */
static uint32_t dependencies(const struct graph *graph, uint32_t step, uint32_t point, uint32_t *before)
{
    uint32_t count = 0, width = graph->width, reach, other, bits;
    if (step == 0)
        return 0;
    switch (graph->pattern) {
    case NO_COMM: before[count++] = point; break;
    case STENCIL:
    case NEAREST:
        reach = graph->pattern == STENCIL ? 1 : graph->radix / 2;
        for (other = point < reach ? 0 : point - reach; other <= point + reach && other < width; other++)
            if (count < MOST)
                before[count++] = other;
        break;
    case FFT:
        for (bits = 0; 1u << (bits + 1) < width; bits++) { }
        reach = 1u << (step - 1) % (bits + 1);
        if (point >= reach)
            before[count++] = point - reach;
        before[count++] = point;
        if (point + reach < width)
            before[count++] = point + reach;
        break;
    case TREE:
        before[count++] = point / 2;
        break;
    case RANDOM:
        for (other = 0; other < width && count < MOST; other++)
            if (mixed(step, point, other) % width < graph->radix)
                before[count++] = other;
        break;
    default: break;
    }
    return count;
}

/* ---- a task ---- */

static int32_t point_task(pinfold_call *call, void *user)
{
    const void *argument, *input;
    void *output;
    struct point own;
    struct written read, written;
    uint32_t before[MOST], at, byte;
    size_t len, count;
    volatile double value = 1;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK || len != sizeof own)
        return 1;
    memcpy(&own, argument, sizeof own);
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK
        || count != dependencies(&own.graph, own.step, own.point, before))
        return 2;
    for (at = 0; at < count; at++) {
        const unsigned char *bytes;
        if (pinfold_call_input(call, at, &input, &len) != PINFOLD_STATUS_OK)
            return 3;
        if (len != own.graph.output || ((uintptr_t)input & 63) != 0)
            return 4;
        memcpy(&read, input, sizeof read);
        if (read.step != own.step - 1 || read.point != before[at])
            return 5;
        bytes = input;
        for (byte = sizeof read; byte < len; byte++)
            if (bytes[byte] != (unsigned char)(read.step + read.point + byte))
                return 6;
    }
    for (at = 0; at < own.graph.iterations; at++)
        value = value * 1.0000001 + 1e-9;
    if (pinfold_call_output(call, own.graph.output, &output) != PINFOLD_STATUS_OK)
        return 7;
    written.step = own.step;
    written.point = own.point;
    written.value = value;
    memcpy(output, &written, sizeof written);
    for (byte = sizeof written; byte < own.graph.output; byte++)
        ((unsigned char *)output)[byte] = (unsigned char)(own.step + own.point + byte);
    return 0;
}

/* ---- the driver ---- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Runs one graph; returns the seconds. All are submitted ahead; a row's handles are freed when the
 * next one has been submitted. */
static double run(pinfold_runtime *runtime, pinfold_task *task, const struct graph *graph, size_t workers)
{
    pinfold_handle **row = calloc(graph->width, sizeof *row), **next = calloc(graph->width, sizeof *next);
    uint64_t edges = 0, tasks = (uint64_t)graph->steps * graph->width;
    uint32_t step, at, dependency, count, before[MOST];
    double begin, time;
    pinfold_stats stats = PINFOLD_STATS_INIT;
    uint64_t before_all;

    CHECK_OK(pinfold_runtime_stats(runtime, &stats));
    before_all = stats.completed;
    begin = now();
    CHECK(row != NULL && next != NULL);
    for (step = 0; step < graph->steps; step++) {
        pinfold_handle **swap = row;
        for (at = 0; at < graph->width; at++) {
            struct point point;
            pinfold_handle *after[MOST];
            memset(&point, 0, sizeof point);
            point.graph = *graph;
            point.step = step;
            point.point = at;
            count = dependencies(graph, step, at, before);
            for (dependency = 0; dependency < count; dependency++)
                after[dependency] = row[before[dependency]];
            edges += count;
            CHECK_OK(pinfold_task_submit_after(task, &point, sizeof point, after, count, &next[at]));
        }
        for (at = 0; step > 0 && at < graph->width; at++)
            CHECK_OK(pinfold_handle_free(row[at]));
        row = next;
        next = swap;
    }
    for (at = 0; at < graph->width; at++) {
        const void *data;
        struct written written;
        size_t len;
        CHECK_OK(pinfold_handle_result(row[at], &data, &len));
        CHECK(len == graph->output);
        memcpy(&written, data, sizeof written);
        CHECK(written.step == graph->steps - 1 && written.point == at);
        CHECK_OK(pinfold_handle_free(row[at]));
    }
    /* Those of earlier rows on which nothing depends may run still; all are counted. */
    for (;;) {
        CHECK_OK(pinfold_runtime_stats(runtime, &stats));
        if (stats.in_flight == 0)
            break;
        usleep(100);
    }
    CHECK(stats.completed - before_all == tasks && stats.returned_nonzero == 0);
    time = now() - begin;
    free(row);
    free(next);
    printf("%-8s %u x %u, %llu edges, %u iterations, %u bytes: %.4f s, %.0f tasks/s, %.2f us a task and worker\n",
           patterns[graph->pattern], graph->steps, graph->width, (unsigned long long)edges,
           graph->iterations, graph->output, time, (double)tasks / time,
           time / (double)tasks * 1e6 * (double)workers);
    return time;
}

/* The shortest tasks (in us, of a worker's time) by which half of the workers' time is theirs: each
 * pattern's tasks are shortened from such that take all of it. */
static void metg(pinfold_runtime *runtime, pinfold_task *task, struct graph *graph, size_t workers)
{
    double full = 0, best = 0;
    uint32_t iterations;
    for (iterations = 1u << 18; iterations >= 64; iterations /= 2) {
        double time, rate, each;
        graph->iterations = iterations;
        time = run(runtime, task, graph, workers);
        rate = (double)iterations * graph->steps * graph->width / time;
        each = time / ((double)graph->steps * graph->width) * 1e6 * (double)workers;
        if (rate > full)
            full = rate;
        if (rate < full / 2)
            break;
        best = each;
    }
    printf("%-8s METG(50%%): %.2f us\n", patterns[graph->pattern], best);
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_stats stats = PINFOLD_STATS_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    struct graph graph = {PATTERNS, 50, 16, 5, 100, 64};
    size_t workers = 2;
    int at, sweep = 0;
    unsigned pattern;

    CHECK_OK(pinfold_function_register("point", point_task, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    for (at = 1; at < argc; at++) {
        const char *option = argv[at], *value = at + 1 < argc ? argv[at + 1] : "";
        uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        at++;
        if (strcmp(option, "--metg") == 0) {
            sweep = 1;
            at--;
        } else if (strcmp(option, "--steps") == 0 && number > 0)
            graph.steps = number;
        else if (strcmp(option, "--width") == 0 && number > 0)
            graph.width = number;
        else if (strcmp(option, "--radix") == 0 && number > 0)
            graph.radix = number;
        else if (strcmp(option, "--iterations") == 0)
            graph.iterations = number;
        else if (strcmp(option, "--output") == 0 && number >= sizeof(struct written))
            graph.output = number;
        else if (strcmp(option, "--workers") == 0 && number > 0)
            workers = number;
        else if (strcmp(option, "--pattern") == 0) {
            for (pattern = 0; pattern < PATTERNS && strcmp(patterns[pattern], value) != 0; pattern++) { }
            if (pattern == PATTERNS && strcmp(value, "all") != 0)
                fprintf(stderr, "no pattern is called '%s'\n", value);
            graph.pattern = (enum pattern)pattern;
        } else {
            fprintf(stderr,
                    "usage: %s [--pattern NAME|all] [--steps N] [--width N] [--radix N] [--iterations N]\n"
                    "       [--output BYTES, 16 or more] [--workers N] [--metg]\npatterns:", argv[0]);
            for (pattern = 0; pattern < PATTERNS; pattern++)
                fprintf(stderr, " %s", patterns[pattern]);
            fprintf(stderr, "\n");
            return 2;
        }
    }
    config.workers = workers;
    config.start_checked = PINFOLD_CHOICE_YES;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "point", NULL, &task));
    for (pattern = 0; pattern < PATTERNS; pattern++) {
        struct graph one = graph;
        if (graph.pattern != PATTERNS && (unsigned)graph.pattern != pattern)
            continue;
        one.pattern = (enum pattern)pattern;
        if (sweep)
            metg(runtime, task, &one, workers);
        else {
            run(runtime, task, &one, workers);
            if (argc == 1) { /* as a test: outputs that lie in shared memory too */
                one.output = 4096;
                run(runtime, task, &one, workers);
            }
        }
    }
    CHECK_OK(pinfold_runtime_stats(runtime, &stats));
    CHECK(stats.died == 0 && stats.failed == 0 && stats.cancelled == 0);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
