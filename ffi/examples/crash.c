/* A task that dereferences null: its handle tells, and the program goes on. */
#include <pinfold.h>

#include <stdio.h>

static int32_t crash(pinfold_call *call, void *user)
{
    volatile int *nowhere = NULL;

    (void)call;
    (void)user;
    return *nowhere;
}

static int32_t work(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    return 0;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *crashing, *working;
    pinfold_handle *first, *second;
    pinfold_status status;

    pinfold_function_register("crash", crash, NULL);
    pinfold_function_register("work", work, NULL);
    pinfold_init(&argc, &argv);

    config.workers = 1;
    if (pinfold_runtime_new(&config, &runtime) != PINFOLD_STATUS_OK
        || pinfold_task_new(runtime, "crash", NULL, &crashing) != PINFOLD_STATUS_OK
        || pinfold_task_new(runtime, "work", NULL, &working) != PINFOLD_STATUS_OK
        || pinfold_task_submit(crashing, NULL, 0, &first) != PINFOLD_STATUS_OK
        || pinfold_task_submit(working, NULL, 0, &second) != PINFOLD_STATUS_OK) {
        fprintf(stderr, "%s\n", pinfold_last_message());
        return 1;
    }
    status = pinfold_handle_join(first, NULL, 0, NULL);
    printf("the first task: %s\n  %s\n", pinfold_status_message(status), pinfold_last_message());
    if (status != PINFOLD_STATUS_WORKER_DIED)
        return 1;
    status = pinfold_handle_join(second, NULL, 0, NULL);
    printf("the second task: %s\n", pinfold_status_message(status));

    pinfold_task_free(crashing);
    pinfold_task_free(working);
    pinfold_runtime_free(runtime);
    return status == PINFOLD_STATUS_OK ? 0 : 1;
}
