/* The library's log events reach the program, those of its workers' end too; set once. */
#include "check.h"

#include <stdatomic.h>

static atomic_int heard, deaths, inside;

static void takes(int32_t level, const char *target, const char *message, void *user)
{
    CHECK(user == &heard);
    CHECK(level == PINFOLD_LEVEL_ERROR || level == PINFOLD_LEVEL_WARN);
    CHECK(strncmp(target, "pinfold", 7) == 0);
    CHECK(message[0] != '\0');
    atomic_fetch_add(&heard, 1);
    if (strstr(message, "worker ended") != NULL)
        atomic_fetch_add(&deaths, 1);
    /* What is asked of the library meanwhile is as ever. */
    CHECK_STATUS(pinfold_log_set(takes, NULL, 9), PINFOLD_STATUS_INVALID_ARGUMENT);
    atomic_fetch_add(&inside, 1);
}

static int32_t dies(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    abort();
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;

    CHECK_OK(pinfold_function_register("dies", dies, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    CHECK_STATUS(pinfold_log_set(NULL, NULL, PINFOLD_LEVEL_WARN), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_log_set(takes, NULL, 0), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("`level` is 0, which is no `pinfold_level`");
    CHECK_OK(pinfold_log_set(takes, &heard, PINFOLD_LEVEL_WARN));
    CHECK_STATUS(pinfold_log_set(takes, &heard, PINFOLD_LEVEL_TRACE), PINFOLD_STATUS_TOO_LATE);

    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "dies", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK(atomic_load(&heard) > 0 && atomic_load(&deaths) > 0);
    CHECK(atomic_load(&inside) == atomic_load(&heard));
    return 0;
}
