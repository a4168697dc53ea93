/* A runtime is ended in each way, from several threads at once, and told from others after it. */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

static int32_t returns(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    return 0;
}

static int32_t hangs(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    for (;;)
        sleep(1000);
    return 0;
}

static pinfold_runtime *runtime;
static pinfold_task *good, *stuck;

static void start(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;

    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "returns", NULL, &good));
    CHECK_OK(pinfold_task_new(runtime, "hangs", NULL, &stuck));
}

static void end(void)
{
    CHECK_OK(pinfold_task_free(good));
    CHECK_OK(pinfold_task_free(stuck));
    CHECK_OK(pinfold_runtime_free(runtime));
}

static pinfold_handle *submit(pinfold_task *task)
{
    pinfold_handle *handle;

    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    return handle;
}

static void ends_with(pinfold_handle *handle, pinfold_status expected)
{
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), expected);
}

static void after_the_end(void)
{
    pinfold_handle *handle = NULL, *none = (pinfold_handle *)1;
    pinfold_task *task;

    ends_with(submit(good), PINFOLD_STATUS_SHUTDOWN);
    handle = submit(good);
    CHECK_OK(pinfold_handle_wait(handle, 0));
    CHECK_STATUS(pinfold_task_try_submit(good, NULL, 0, &none), PINFOLD_STATUS_SHUTDOWN);
    CHECK_STATUS(pinfold_task_submit_timeout(good, NULL, 0, PINFOLD_FOREVER, &none),
                 PINFOLD_STATUS_SHUTDOWN);
    CHECK(none == (pinfold_handle *)1);
    CHECK_OK(pinfold_task_submit_after(good, NULL, 0, &handle, 1, &none));
    ends_with(none, PINFOLD_STATUS_SHUTDOWN);
    ends_with(handle, PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_task_new(runtime, "returns", NULL, &task));
    ends_with(submit(task), PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_DRAIN, 0, 0));
    CHECK_OK(pinfold_runtime_begin_shutdown(runtime, PINFOLD_SHUTDOWN_ABORT, 0, 0));
}

static void *drains(void *argument)
{
    (void)argument;
    CHECK_STATUS(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_DRAIN, 0, 0),
                 PINFOLD_STATUS_NOT_ORDERLY);
    return NULL;
}

int main(int argc, char **argv)
{
    pinfold_handle *first, *second;
    pthread_t threads[3];
    int n, status;
    pid_t child;

    CHECK_OK(pinfold_function_register("returns", returns, NULL));
    CHECK_OK(pinfold_function_register("hangs", hangs, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));

    start();
    first = submit(good);
    CHECK_OK(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_DRAIN, 0, 0));
    ends_with(first, PINFOLD_STATUS_OK);
    after_the_end();
    end();

    start();
    first = submit(stuck);
    CHECK_STATUS(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_DRAIN_FOR, 20 * MS, 0),
                 PINFOLD_STATUS_NOT_ORDERLY);
    ends_with(first, PINFOLD_STATUS_SHUTDOWN);
    end();

    start();
    first = submit(stuck);
    CHECK_STATUS(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_GRACEFUL, 20 * MS, 20 * MS),
                 PINFOLD_STATUS_NOT_ORDERLY);
    status = pinfold_handle_join(first, NULL, 0, NULL);
    CHECK(status == PINFOLD_STATUS_SHUTDOWN || status == PINFOLD_STATUS_CANCELLED);
    end();

    start();
    first = submit(stuck);
    CHECK_OK(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_ABORT, 0, 0));
    ends_with(first, PINFOLD_STATUS_SHUTDOWN);
    after_the_end();
    end();

    /* The more urgent one holds, for all. */
    start();
    first = submit(stuck);
    second = submit(stuck);
    CHECK_OK(pinfold_runtime_begin_shutdown(runtime, PINFOLD_SHUTDOWN_DRAIN, 0, 0));
    ends_with(submit(good), PINFOLD_STATUS_SHUTDOWN);
    for (n = 0; n < 3; n++)
        CHECK(pthread_create(&threads[n], NULL, drains, NULL) == 0);
    usleep(20000); /* some wait by now, most likely */
    CHECK_OK(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_ABORT, 0, 0));
    for (n = 0; n < 3; n++)
        pthread_join(threads[n], NULL);
    ends_with(first, PINFOLD_STATUS_SHUTDOWN);
    ends_with(second, PINFOLD_STATUS_SHUTDOWN);
    end();

    /* What makes no sense; and a process that was forked off. */
    start();
    CHECK_STATUS(pinfold_runtime_shutdown(runtime, 5, 0, 0), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("`how` is 5, which is no `pinfold_shutdown`");
    CHECK_STATUS(pinfold_runtime_begin_shutdown(runtime, -1, 0, 0),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_runtime_shutdown(NULL, 1, 0, 0), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_runtime_begin_shutdown((pinfold_runtime *)good, 1, 0, 0),
                 PINFOLD_STATUS_BAD_HANDLE);
    child = fork();
    if (child == 0) {
        pinfold_stats stats = PINFOLD_STATS_INIT;

        CHECK_STATUS(pinfold_runtime_shutdown(runtime, 1, 0, 0), PINFOLD_STATUS_FORKED);
        CHECK_STATUS(pinfold_runtime_stats(runtime, &stats), PINFOLD_STATUS_FORKED);
        CHECK_STATUS(pinfold_task_try_submit(good, NULL, 0, &first), PINFOLD_STATUS_FORKED);
        CHECK_OK(pinfold_task_submit(good, NULL, 0, &first));
        CHECK_STATUS(pinfold_handle_join(first, NULL, 0, NULL), PINFOLD_STATUS_FORKED);
        CHECK_OK(pinfold_runtime_free(runtime));
        _Exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    ends_with(submit(good), PINFOLD_STATUS_OK);
    end();
    CHECK_STATUS(pinfold_runtime_shutdown(runtime, 1, 0, 0), PINFOLD_STATUS_BAD_HANDLE);
    return 0;
}
