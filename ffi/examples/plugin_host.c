/* A host that is not its own worker: it has not called pinfold_init, and its functions are in a
 * plugin, which the program `pinfold-worker` loads.
 *
 *     cc plugin_host.c $(pkg-config --cflags --libs pinfold) -o plugin_host && ./plugin_host ./plugin.so
 */
#include <pinfold.h>

#include <stdio.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pinfold_last_message());
    return 1;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *sum, *crash;
    pinfold_handle *handle;
    pinfold_status status;
    const double values[] = { 1.5, 2.5, 3.0 };
    double total = 0;
    char names[256];

    if (argc != 2) {
        fprintf(stderr, "usage: %s PLUGIN.so\n", argv[0]);
        return 2;
    }
    config.plugin = argv[1];
    config.workers = 2;
    if (pinfold_runtime_new(&config, &runtime) != PINFOLD_STATUS_OK)
        return failed("start");
    if (pinfold_runtime_functions(runtime, names, sizeof names, NULL) != PINFOLD_STATUS_OK)
        return failed("functions");
    printf("the plugin has:\n%s", names);

    if (pinfold_task_new(runtime, "sum", NULL, &sum) != PINFOLD_STATUS_OK
        || pinfold_task_new(runtime, "crash", NULL, &crash) != PINFOLD_STATUS_OK)
        return failed("task");

    /* A crash in the plugin costs one task: this program goes on. */
    if (pinfold_task_submit(crash, NULL, 0, &handle) != PINFOLD_STATUS_OK)
        return failed("submit");
    status = pinfold_handle_join(handle, NULL, 0, NULL);
    printf("crash: %s\n", pinfold_status_message(status));
    if (status != PINFOLD_STATUS_WORKER_DIED)
        return failed("crash");

    if (pinfold_task_submit(sum, values, sizeof values, &handle) != PINFOLD_STATUS_OK)
        return failed("submit");
    if (pinfold_handle_join(handle, &total, sizeof total, NULL) != PINFOLD_STATUS_OK)
        return failed("join");
    printf("sum: %g\n", total);

    pinfold_task_free(sum);
    pinfold_task_free(crash);
    pinfold_runtime_free(runtime);
    return total == 7.0 ? 0 : 1;
}
