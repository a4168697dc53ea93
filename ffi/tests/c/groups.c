/* Groups: all of them, the first failure, cancelled, given up. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static int32_t act(pinfold_call *call, void *user)
{
    const void *argument;
    int32_t how, cancelled = 0;
    size_t len;

    (void)user;
    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    memcpy(&how, argument, sizeof how);
    if (how == 98)
        for (;;)
            pause();
    if (how == 99)
        kill(getpid(), SIGKILL);
    while (how == 97 && !cancelled) {
        usleep(1000);
        CHECK_OK(pinfold_call_is_cancelled(call, &cancelled));
    }
    return how;
}

static pinfold_task *task;

static void submit(pinfold_group *group, int32_t how)
{
    CHECK_OK(pinfold_group_submit(group, task, &how, sizeof how, NULL));
}

static void *waits(void *group)
{
    CHECK_STATUS(pinfold_group_wait(group, PINFOLD_FOREVER), PINFOLD_STATUS_CANCELLED);
    return NULL;
}

int main(int argc, char **argv)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_runtime *runtime;
    pinfold_handle *handle;
    pinfold_group *group;
    pthread_t threads[4];
    int32_t how = 97;
    size_t i;

    CHECK_OK(pinfold_function_register("act", act, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "act", NULL, &task));

    CHECK_OK(pinfold_group_new(&group));
    CHECK_OK(pinfold_group_wait(group, 0)); /* nobody is in it */
    for (i = 0; i < 1000; i++)
        submit(group, 0);
    CHECK_OK(pinfold_group_wait(group, PINFOLD_FOREVER));
    submit(group, 97);
    CHECK_STATUS(pinfold_group_wait(group, 1000000), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_group_cancel(group, PINFOLD_FOREVER));
    CHECK_STATUS(pinfold_group_wait(group, PINFOLD_FOREVER), PINFOLD_STATUS_CANCELLED);
    CHECK_OK(pinfold_group_free(group));

    /* The first failure is that of the task that was submitted first. */
    CHECK_OK(pinfold_group_new(&group));
    submit(group, 0);
    submit(group, 99);
    submit(group, 5);
    CHECK_STATUS(pinfold_group_wait(group, PINFOLD_FOREVER), PINFOLD_STATUS_WORKER_DIED);
    CHECK_SAID("act");
    submit(group, 0);
    CHECK_STATUS(pinfold_group_wait(group, PINFOLD_FOREVER), PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(pinfold_group_free(group));

    /* What does not listen is killed; several threads wait. */
    CHECK_OK(pinfold_group_new(&group));
    for (i = 0; i < 4; i++)
        submit(group, 98);
    for (i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, waits, group) == 0);
    CHECK_OK(pinfold_group_cancel(group, 20000000));
    for (i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_OK(pinfold_group_free(group));

    /* Freed: cancelled. Both workers are free again. */
    CHECK_OK(pinfold_group_new(&group));
    for (i = 0; i < 4; i++)
        submit(group, 97);
    CHECK_OK(pinfold_group_free(group));
    CHECK_STATUS(pinfold_group_wait(group, 0), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_group_free(group), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_group_free(NULL));

    /* After a task that has a handle. */
    CHECK_OK(pinfold_group_new(&group));
    CHECK_OK(pinfold_task_submit(task, &how, sizeof how, &handle));
    settings.after = &handle;
    settings.after_count = 1;
    how = 0;
    CHECK_OK(pinfold_group_submit(group, task, &how, sizeof how, &settings));
    CHECK_STATUS(pinfold_group_wait(group, 1000000), PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_handle_cancel(handle));
    CHECK_STATUS(pinfold_group_wait(group, PINFOLD_FOREVER), PINFOLD_STATUS_DEPENDENCY_FAILED);
    CHECK_OK(pinfold_handle_free(handle));
    CHECK_STATUS(pinfold_group_submit(group, NULL, NULL, 0, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_group_submit(NULL, task, NULL, 0, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_group_wait((pinfold_group *)task, 0), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_group_new(NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_group_free(group));

    /* A runtime that has ended has ended its tasks. */
    CHECK_OK(pinfold_group_new(&group));
    submit(group, 0);
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK_OK(pinfold_group_wait(group, PINFOLD_FOREVER));
    submit(group, 0);
    CHECK_STATUS(pinfold_group_wait(group, PINFOLD_FOREVER), PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_group_free(group));
    CHECK_OK(pinfold_task_free(task));
    return 0;
}
