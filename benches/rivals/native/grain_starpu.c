// StarPU: graphs of dependent tasks, found by it from the data each reads and writes.
// build: gcc -O3 -I/usr/include/starpu/1.3 -lstarpu-1.3
// debian: gcc libstarpu-dev
//
// Two workers, and a thread that submits; paused between orders, as its workers poll.

#include "graph.h"

#include <starpu.h>
#include <stdlib.h>

typedef struct {
    int step, point, inputs;
    long work;
} Task;

static void run_task(void *buffers[], void *argument) {
    Task task;
    memcpy(&task, argument, sizeof task);
    uint64_t value = begin_output(task.step, task.point);
    for (int i = 0; i < task.inputs; i++)
        value = mix(value, *(uint64_t *)STARPU_VARIABLE_GET_PTR(buffers[i + 1]));
    burn(task.work);
    *(uint64_t *)STARPU_VARIABLE_GET_PTR(buffers[0]) = value;
}

static struct starpu_codelet codelet = {
    .cpu_funcs = {run_task},
    .cpu_funcs_name = {"run_task"},
    .nbuffers = STARPU_VARIABLE_NBUFFERS,
};

static uint64_t output[FIELDS][MOST_WIDTH];
static starpu_data_handle_t handles[FIELDS][MOST_WIDTH];

static void submit(const Graph *graph, int step, int point) {
    int inputs[MOST_INPUTS];
    struct starpu_task *task = starpu_task_create();
    Task *argument = malloc(sizeof *argument);
    *argument = (Task){step, point, inputs_of(graph, step, point, inputs), graph->work};
    task->cl = &codelet;
    task->cl_arg = argument;
    task->cl_arg_size = sizeof *argument;
    task->cl_arg_free = 1;
    task->nbuffers = 1 + argument->inputs;
    task->handles[0] = handles[step % FIELDS][point];
    task->modes[0] = STARPU_W;
    for (int i = 0; i < argument->inputs; i++) {
        task->handles[i + 1] = handles[(step + FIELDS - 1) % FIELDS][inputs[i]];
        task->modes[i + 1] = STARPU_R;
    }
    if (starpu_task_submit(task) != 0) exit(1);
}

int main(void) {
    struct starpu_conf conf;
    Graph graph;
    setenv("STARPU_SILENT", "1", 0);
    starpu_conf_init(&conf);
    conf.ncpus = 2;
    conf.ncuda = conf.nopencl = 0;
    if (starpu_init(&conf) != 0) {
        printf("! it does not start\n");
        return 1;
    }
    for (int field = 0; field < FIELDS; field++)
        for (int point = 0; point < MOST_WIDTH; point++)
            starpu_variable_data_register(&handles[field][point], STARPU_MAIN_RAM,
                                          (uintptr_t)&output[field][point], sizeof(uint64_t));
    starpu_pause();
    while (read_graph(&graph)) {
        starpu_resume();
        double start = now();
        for (int step = 0; step < graph.steps; step++)
            for (int point = 0; point < width_at(&graph, step); point++)
                submit(&graph, step, point);
        starpu_task_wait_for_all();
        double seconds = now() - start;
        uint64_t sum = 0;
        for (int point = 0; point < width_at(&graph, graph.steps - 1); point++) {
            starpu_data_handle_t handle = handles[(graph.steps - 1) % FIELDS][point];
            starpu_data_acquire(handle, STARPU_R);
            sum += output[(graph.steps - 1) % FIELDS][point];
            starpu_data_release(handle);
        }
        starpu_pause();
        answer(seconds, sum);
    }
    starpu_resume();
    for (int field = 0; field < FIELDS; field++)
        for (int point = 0; point < MOST_WIDTH; point++)
            starpu_data_unregister(handles[field][point]);
    starpu_shutdown();
}
