// OpenMP tasks: graphs of dependent tasks, by `depend` or with a wait after each step.
// build: gcc -O3 -fopenmp
// debian: gcc libgomp1
//
// The argument says which. Two threads, one of which makes the tasks.

#include "graph.h"

#include <omp.h>

static uint64_t output[FIELDS][MOST_WIDTH];

static void run_task(const Graph *graph, int step, int point) {
    int inputs[MOST_INPUTS], count = inputs_of(graph, step, point, inputs);
    uint64_t value = begin_output(step, point);
    for (int i = 0; i < count; i++)
        value = mix(value, output[(step + FIELDS - 1) % FIELDS][inputs[i]]);
    burn(graph->work);
    output[step % FIELDS][point] = value;
}

static void by_depend(const Graph *graph) {
    for (int step = 0; step < graph->steps; step++) {
        uint64_t *now = output[step % FIELDS];
        uint64_t *before = output[(step + FIELDS - 1) % FIELDS];
        for (int point = 0; point < width_at(graph, step); point++) {
            int in[MOST_INPUTS], count = inputs_of(graph, step, point, in);
            // The compiler makes quicker code for a known number than for an iterator.
            switch (count) {
            case 0:
#pragma omp task firstprivate(step, point) depend(out : now[point])
                run_task(graph, step, point);
                break;
            case 1:
#pragma omp task firstprivate(step, point) depend(in : before[in[0]]) depend(out : now[point])
                run_task(graph, step, point);
                break;
            case 2:
#pragma omp task firstprivate(step, point) depend(in : before[in[0]], before[in[1]])               \
    depend(out : now[point])
                run_task(graph, step, point);
                break;
            case 3:
#pragma omp task firstprivate(step, point)                                                         \
    depend(in : before[in[0]], before[in[1]], before[in[2]]) depend(out : now[point])
                run_task(graph, step, point);
                break;
            case 4:
#pragma omp task firstprivate(step, point)                                                         \
    depend(in : before[in[0]], before[in[1]], before[in[2]], before[in[3]])                        \
    depend(out : now[point])
                run_task(graph, step, point);
                break;
            default:
#pragma omp task firstprivate(step, point)                                                         \
    depend(in : before[in[0]], before[in[1]], before[in[2]], before[in[3]], before[in[4]])         \
    depend(out : now[point])
                run_task(graph, step, point);
            }
        }
    }
}

static void by_step(const Graph *graph) {
    for (int step = 0; step < graph->steps; step++) {
        for (int point = 0; point < width_at(graph, step); point++) {
#pragma omp task firstprivate(step, point)
            run_task(graph, step, point);
        }
        // Without dependencies nobody need wait, but for the room of their outputs.
        if (!is(graph, "trivial") || step % (FIELDS - 1) == 0) {
#pragma omp taskwait
        }
    }
}

int main(int count, char **arguments) {
    int is_by_step = count > 1 && strcmp(arguments[1], "steps") == 0;
    Graph graph;
    omp_set_num_threads(2);
    while (read_graph(&graph)) {
        double start = now();
#pragma omp parallel
#pragma omp single
        {
            if (is_by_step)
                by_step(&graph);
            else
                by_depend(&graph);
        }
        double seconds = now() - start;
        uint64_t sum = 0;
        for (int point = 0; point < width_at(&graph, graph.steps - 1); point++)
            sum += output[(graph.steps - 1) % FIELDS][point];
        answer(seconds, sum);
    }
}
