/* Numbers of a runtime, as structs and as JSON. */
#include "check.h"

#include <unistd.h>

static int32_t returns(pinfold_call *call, void *user)
{
    const void *argument;
    size_t len;

    (void)user;
    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    if (len == 0)
        abort();
    return *(const int32_t *)argument;
}

/* Says by a file that it has begun, and waits until that is gone. */
static int32_t waits(pinfold_call *call, void *user)
{
    const void *path;
    size_t len;
    FILE *file;

    (void)user;
    CHECK_OK(pinfold_call_argument(call, &path, &len));
    file = fopen(path, "w");
    CHECK(file != NULL);
    fclose(file);
    while (access(path, F_OK) == 0)
        usleep(1000);
    return 0;
}

/* What nobody has begun is cancelled, and what runs is not. */
static void cancels_pending(void)
{
    static const int32_t good = 0;
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_stats stats = PINFOLD_STATS_INIT;
    pinfold_runtime *small;
    pinfold_task *busy, *task;
    pinfold_handle *first, *queued[3];
    char path[4200];
    size_t count = 0;
    int n;

    CHECK(getcwd(path, 4096) != NULL);
    strcat(path, "/begun");
    unlink(path);
    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &small));
    CHECK_OK(pinfold_task_new(small, "waits", NULL, &busy));
    CHECK_OK(pinfold_task_new(small, "returns", NULL, &task));
    CHECK_OK(pinfold_task_submit(busy, path, strlen(path) + 1, &first));
    while (access(path, F_OK) != 0)
        usleep(1000);
    for (n = 0; n < 2; n++)
        CHECK_OK(pinfold_task_submit(task, &good, sizeof good, &queued[n]));
    CHECK_OK(pinfold_task_submit_after(task, &good, sizeof good, &first, 1, &queued[2]));
    CHECK_OK(pinfold_runtime_cancel_pending(small, &count));
    CHECK(count == 3);
    for (n = 0; n < 3; n++)
        CHECK_STATUS(pinfold_handle_join(queued[n], NULL, 0, NULL), PINFOLD_STATUS_CANCELLED);
    unlink(path);
    CHECK_OK(pinfold_handle_join(first, NULL, 0, NULL));
    CHECK_OK(pinfold_runtime_stats(small, &stats));
    CHECK(stats.cancelled == 3 && stats.completed == 1);
    CHECK_OK(pinfold_task_free(busy));
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(small));
}

static pinfold_runtime *runtime;
static pinfold_task *task;

static void runs(const int32_t *code, pinfold_status expected)
{
    pinfold_handle *handle;

    CHECK_OK(pinfold_task_submit(task, code, code == NULL ? 0 : sizeof *code, &handle));
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), expected);
}

/* A JSON object in which this is said. */
static void check_text(pinfold_text *text, const char *said)
{
    const char *data = NULL;
    size_t len = 0;

    CHECK_OK(pinfold_text_data(text, &data, &len));
    CHECK_OK(pinfold_text_data(text, &data, NULL));
    CHECK_STATUS(pinfold_text_data(text, NULL, &len), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK(strlen(data) == len && data[0] == '{' && data[len - 1] == '}');
    if (strstr(data, said) == NULL)
        fprintf(stderr, "%s\n", data);
    CHECK(strstr(data, said) != NULL);
    CHECK_OK(pinfold_text_free(text));
    CHECK_STATUS(pinfold_text_free(text), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_text_data(text, &data, &len), PINFOLD_STATUS_BAD_HANDLE);
}

/* As a struct of a newer version may be. */
struct longer {
    pinfold_stats stats;
    uint64_t more[3];
};

int main(int argc, char **argv)
{
    static const int32_t good = 0, bad = 5;
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_stats stats = PINFOLD_STATS_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_text *text;
    struct longer longer;
    uint64_t bytes = 1;
    size_t count = 1;

    CHECK_OK(pinfold_function_register("returns", returns, NULL));
    CHECK_OK(pinfold_function_register("waits", waits, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    cancels_pending();
    config.workers = 2;
    config.threads_per_worker = 2;
    config.queue_capacity = 100;
    config.memory_cap = 4 << 20;
    config.profile = PINFOLD_CHOICE_YES;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "returns", NULL, &task));
    runs(&good, PINFOLD_STATUS_OK);
    runs(&bad, PINFOLD_STATUS_TASK_FAILED);
    runs(NULL, PINFOLD_STATUS_WORKER_DIED);
    runs(&good, PINFOLD_STATUS_OK);

    CHECK_OK(pinfold_runtime_stats(runtime, &stats));
    CHECK(stats.size == sizeof stats);
    CHECK(stats.submitted == 4 && stats.completed == 3 && stats.returned_nonzero == 1);
    CHECK(stats.died == 1 && stats.failed == 0 && stats.in_flight == 0 && stats.refused == 0);
    CHECK(stats.workers == 2 && stats.executors == 4 && stats.queue_capacity == 100);
    CHECK(stats.workers_alive <= 2);
    CHECK(stats.memory_cap >= 3 << 20 && stats.memory_cap <= 4 << 20);
    CHECK(stats.damage == 0 && stats.rebuilds == 0);

    memset(&longer, 0xff, sizeof longer);
    longer.stats.size = sizeof longer;
    CHECK_OK(pinfold_runtime_stats(runtime, &longer.stats));
    CHECK(longer.stats.size == sizeof longer && longer.stats.submitted == 4);
    CHECK(longer.more[0] == 0 && longer.more[2] == 0);
    stats.size = offsetof(pinfold_stats, completed);
    stats.completed = 77;
    CHECK_OK(pinfold_runtime_stats(runtime, &stats));
    CHECK(stats.submitted == 4 && stats.completed == 77);
    stats.size = 0;
    CHECK_STATUS(pinfold_runtime_stats(runtime, &stats), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_runtime_stats(runtime, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    stats.size = sizeof stats;
    CHECK_STATUS(pinfold_runtime_stats(NULL, &stats), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_runtime_stats((pinfold_runtime *)task, &stats),
                 PINFOLD_STATUS_BAD_HANDLE);

    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0 && audit.slots_running == 0 && audit.blocks_writable == 0);
    CHECK_STATUS(pinfold_runtime_audit(runtime, NULL), PINFOLD_STATUS_NULL_ARGUMENT);

    CHECK_OK(pinfold_runtime_stats_json(runtime, &text));
    check_text(text, "\"submitted\":4");
    CHECK_OK(pinfold_runtime_audit_json(runtime, &text));
    check_text(text, "\"orphans\":[]");
    CHECK_OK(pinfold_runtime_profile_json(runtime, &text));
    check_text(text, "\"function\":\"returns\"");
    CHECK_OK(pinfold_topology_json(&text));
    check_text(text, "\"cores\":[");
    CHECK_STATUS(pinfold_runtime_stats_json(runtime, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_runtime_audit_json(NULL, &text), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_runtime_profile_json((pinfold_runtime *)9, &text),
                 PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_topology_json(NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_text_free(NULL));

    CHECK_OK(pinfold_runtime_trim_memory(runtime, &bytes));
    CHECK_OK(pinfold_runtime_trim_memory(runtime, NULL));
    CHECK_OK(pinfold_runtime_cancel_pending(runtime, &count));
    CHECK(count == 0);
    CHECK_OK(pinfold_runtime_cancel_pending(runtime, NULL));
    CHECK_STATUS(pinfold_runtime_cancel_pending(NULL, NULL), PINFOLD_STATUS_NULL_ARGUMENT);

    CHECK_OK(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_DRAIN, 0, 0));
    CHECK_OK(pinfold_runtime_stats(runtime, &stats));
    CHECK(stats.submitted == 4 && stats.workers_alive == 0);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
