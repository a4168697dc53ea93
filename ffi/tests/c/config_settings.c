/* Each setting of a runtime is accepted, and those that make no sense are refused by name. */
#include "check.h"

#include <unistd.h>

static int32_t pid(pinfold_call *call, void *user)
{
    void *output;
    int32_t own = (int32_t)getpid();

    (void)user;
    if (pinfold_call_output(call, sizeof own, &output) != PINFOLD_STATUS_OK)
        return 1;
    memcpy(output, &own, sizeof own);
    return 0;
}

static int32_t sleeps(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    for (;;)
        sleep(1000);
    return 0;
}

static void runs_one(const pinfold_config *config)
{
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;
    int32_t worker = 0;

    CHECK_OK(pinfold_runtime_new(config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "pid", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_OK(pinfold_handle_join(handle, &worker, sizeof worker, NULL));
    CHECK(worker > 0 && worker != (int32_t)getpid());
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
}

/* One field is set to what it cannot be. */
#define REFUSED(field, value, said)                                                         \
    do {                                                                                    \
        pinfold_config config = PINFOLD_CONFIG_INIT;                                        \
        pinfold_runtime *runtime = (pinfold_runtime *)1;                                    \
        config.workers = 1;                                                                 \
        config.field = (value);                                                             \
        CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_INVALID_ARGUMENT); \
        CHECK_SAID(said);                                                                   \
        CHECK(runtime == (pinfold_runtime *)1);                                             \
    } while (0)

static void all_at_once(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;

    config.workers = 1;
    config.threads_per_worker = 2;
    config.memory_cap = 8 << 20;
    config.queue_capacity = 10;
    config.pin = PINFOLD_CHOICE_NO;
    config.keepers = PINFOLD_CHOICE_NO;
    config.dump_memory = PINFOLD_CHOICE_NO;
    config.zero_memory = PINFOLD_CHOICE_YES;
    config.end_programs = PINFOLD_CHOICE_YES;
    config.profile = PINFOLD_CHOICE_YES;
    config.start_checked = PINFOLD_CHOICE_YES;
    config.start_attempts = 3;
    config.orphans = PINFOLD_ORPHANS_FINISH;
    config.on_free = PINFOLD_SHUTDOWN_GRACEFUL;
    config.on_free_time = 1000000000;
    config.on_free_grace = 1000000000;
    config.kill_grace = 1000000;
    config.heartbeat = 5000000000;
    config.spares = 1;
    config.stack_size = 1 << 20;
    config.worker_init_timeout = 60000000000;
    runs_one(&config);
}

/* It does not wait for a task that never ends. */
static void aborts_when_freed(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;

    config.workers = 1;
    config.on_free = PINFOLD_SHUTDOWN_ABORT;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "sleeps", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_task_free(task));
}

int main(int argc, char **argv)
{
    pinfold_config shorter = PINFOLD_CONFIG_INIT;

    CHECK_OK(pinfold_function_register("pid", pid, NULL));
    CHECK_OK(pinfold_function_register("sleeps", sleeps, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));

    all_at_once();
    aborts_when_freed();

    /* Of a program that knows the first fields only. */
    shorter.size = offsetof(pinfold_config, threads_per_worker);
    shorter.workers = 1;
    shorter.threads_per_worker = SIZE_MAX;
    runs_one(&shorter);

    REFUSED(workers, 2000, "workers is 2000");
    REFUSED(workers, SIZE_MAX, "workers");
    REFUSED(threads_per_worker, SIZE_MAX, "threads_per_worker");
    REFUSED(memory_cap, 1000, "memory_cap is 1000");
    REFUSED(memory_cap, UINT64_MAX, "memory_cap");
    REFUSED(queue_capacity, SIZE_MAX, "queue_capacity");
    REFUSED(pin, 3, "`config->pin` is 3, which is no `pinfold_choice`");
    REFUSED(keepers, -1, "`config->keepers` is -1");
    REFUSED(dump_memory, 7, "dump_memory");
    REFUSED(zero_memory, 7, "zero_memory");
    REFUSED(end_programs, 7, "end_programs");
    REFUSED(profile, 7, "profile");
    REFUSED(start_checked, 7, "start_checked");
    REFUSED(start_attempts, 1001, "start_attempts is 1001");
    REFUSED(orphans, 3, "`config->orphans` is 3, which is no `pinfold_orphans`");
    REFUSED(on_free, 5, "`config->on_free` is 5, which is no `pinfold_shutdown`");
    REFUSED(kill_grace, PINFOLD_FOREVER, "kill_grace");
    REFUSED(heartbeat, 1, "heartbeat");
    REFUSED(heartbeat, PINFOLD_FOREVER, "heartbeat");
    REFUSED(spares, 65, "spares is 65");
    REFUSED(stack_size, 1, "stack_size is 1");
    REFUSED(worker_init_timeout, 1, "worker_init_timeout");
    REFUSED(size, 3, "size");
    REFUSED(size, 1 << 17, "size");
    return 0;
}
