/* The shortest program: one function, run as a task in a worker process. */
#include <pinfold.h>

#include <stdio.h>
#include <string.h>

/* Runs in a worker process: a crash here would cost this one task, and nothing else. */
static int32_t square(pinfold_call *call, void *user)
{
    const void *argument;
    void *output;
    size_t len;
    int64_t n;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK || len != sizeof n)
        return 1;
    memcpy(&n, argument, sizeof n);
    if (pinfold_call_output(call, sizeof n, &output) != PINFOLD_STATUS_OK)
        return 2;
    n *= n;
    memcpy(output, &n, sizeof n);
    return 0;
}

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pinfold_last_message());
    return 1;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;
    int64_t n = 7, result = 0;

    /* First of all: the worker processes come by here too, and go no further. */
    pinfold_function_register("square", square, NULL);
    pinfold_init(&argc, &argv);

    config.workers = 2;
    if (pinfold_runtime_new(&config, &runtime) != PINFOLD_STATUS_OK)
        return failed("start");
    if (pinfold_task_new(runtime, "square", NULL, &task) != PINFOLD_STATUS_OK)
        return failed("task");
    if (pinfold_task_submit(task, &n, sizeof n, &handle) != PINFOLD_STATUS_OK)
        return failed("submit");
    if (pinfold_handle_join(handle, &result, sizeof result, NULL) != PINFOLD_STATUS_OK)
        return failed("join");
    printf("%lld squared is %lld\n", (long long)n, (long long)result);

    pinfold_task_free(task);
    pinfold_runtime_free(runtime);
    return result == 49 ? 0 : 1;
}
