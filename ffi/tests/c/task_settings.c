/* What the settings of a task promise holds, and those that make no sense are refused by name. */
#include "check.h"

#include <stdatomic.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

static void leave(const char *path)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fclose(file);
}

static int32_t hangs(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    for (;;)
        sleep(1000);
    return 0;
}

/* Says by a file that it has begun, and waits until there is another one. Without an argument it
 * ends at once. */
static int32_t waits(pinfold_call *call, void *user)
{
    const void *path;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &path, &len) != PINFOLD_STATUS_OK)
        return 1;
    if (len != 0)
        leave((const char *)path + len / 2);
    while (len != 0 && access(path, F_OK) != 0)
        usleep(1000);
    return 0;
}

/* Leaves a mark in the file for each call of it, and then does as its last byte says. */
static int32_t counts(pinfold_call *call, void *user)
{
    const void *argument;
    size_t len;
    const char *path;
    FILE *file;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK)
        return 1;
    path = argument;
    file = fopen(path, "a");
    if (file == NULL || fputc('x', file) == EOF || fclose(file) != 0)
        return 2;
    switch (path[len - 1]) {
    case 'd':
        abort();
    case 'f':
        pinfold_call_explain(call, "not today");
        return 42;
    default:
        return 0;
    }
}

static pinfold_runtime *runtime;
/* Where tasks leave marks; what they wait for, and how they say that they do. */
static char path[4200], gate[2][4200];

static long marks(void)
{
    FILE *file = fopen(path, "r");
    long count;

    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    count = ftell(file);
    fclose(file);
    unlink(path);
    return count;
}

/* How a task ends that counts its calls, and then does this. */
static pinfold_status ends(pinfold_task_settings settings, char last)
{
    pinfold_task *task;
    pinfold_handle *handle;
    char argument[4300];
    size_t len = strlen(path) + 1;

    memcpy(argument, path, len);
    argument[len] = last;
    CHECK_OK(pinfold_task_new(runtime, "counts", &settings, &task));
    CHECK_OK(pinfold_task_submit(task, argument, len + 1, &handle));
    CHECK_OK(pinfold_task_free(task));
    return pinfold_handle_join(handle, NULL, 0, NULL);
}

static void deadlines(void)
{
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_task *task, *busy;
    pinfold_handle *handle, *first;
    int which;

    for (which = 0; which < 2; which++) {
        settings.run_limit = which == 0 ? 50 * MS : 0;
        settings.hard_deadline = which == 0 ? 0 : 50 * MS;
        CHECK_OK(pinfold_task_new(runtime, "hangs", &settings, &task));
        CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
        CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_DEADLINE_EXCEEDED);
        /* The same for one that was submitted after another. */
        CHECK_OK(pinfold_task_new(runtime, "waits", NULL, &busy));
        CHECK_OK(pinfold_task_submit(busy, NULL, 0, &first));
        CHECK_OK(pinfold_task_submit_after(task, NULL, 0, &first, 1, &handle));
        CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_DEADLINE_EXCEEDED);
        CHECK_OK(pinfold_handle_free(first));
        CHECK_OK(pinfold_task_free(task));
        CHECK_OK(pinfold_task_free(busy));
    }
    CHECK_OK(pinfold_task_new(runtime, "waits", NULL, &busy));

    /* None: however it is said. */
    memset(&settings, 0, sizeof settings);
    settings.size = sizeof settings;
    settings.run_limit = settings.hard_deadline = settings.soft_deadline = PINFOLD_FOREVER - 1;
    settings.start_deadline = PINFOLD_FOREVER;
    settings.priority = PINFOLD_PRIORITY_URGENT;
    CHECK_OK(pinfold_task_new(runtime, "waits", &settings, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_task_free(busy));
}

/* The one worker is busy until the task is late. */
static void start_deadline(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_runtime *small;
    pinfold_task *busy, *task;
    pinfold_handle *first, *second;

    config.workers = 1;
    settings.start_deadline = 10 * MS;
    CHECK_OK(pinfold_runtime_new(&config, &small));
    CHECK_OK(pinfold_task_new(small, "waits", NULL, &busy));
    CHECK_OK(pinfold_task_new(small, "waits", &settings, &task));
    CHECK_OK(pinfold_task_submit(busy, gate, sizeof gate, &first));
    while (access(gate[1], F_OK) != 0)
        usleep(1000);
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &second));
    CHECK_STATUS(pinfold_handle_join(second, NULL, 0, NULL), PINFOLD_STATUS_DEADLINE_EXCEEDED);
    leave(gate[0]);
    CHECK_OK(pinfold_handle_join(first, NULL, 0, NULL));
    unlink(gate[0]);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_task_free(busy));
    CHECK_OK(pinfold_runtime_free(small));
}

static atomic_int asked;

static int32_t is_busy(pinfold_status status, int32_t code, const char *message, void *user)
{
    CHECK(user == &asked);
    CHECK(status == PINFOLD_STATUS_TASK_FAILED && code == 42);
    CHECK(strstr(message, "not today") != NULL);
    return atomic_fetch_add(&asked, 1) < 3;
}

static int32_t is_death(pinfold_status status, int32_t code, const char *message, void *user)
{
    (void)user;
    CHECK(code == 0 && message[0] != '\0');
    return status == PINFOLD_STATUS_WORKER_DIED;
}

static void repeats(void)
{
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;

    CHECK_STATUS(ends(settings, 'd'), PINFOLD_STATUS_WORKER_DIED);
    CHECK(marks() == 1);
    settings.attempts = 3;
    settings.backoff_first = 1;
    CHECK_STATUS(ends(settings, 'd'), PINFOLD_STATUS_POISON);
    CHECK(marks() == 3);
    CHECK_STATUS(ends(settings, 'f'), PINFOLD_STATUS_TASK_FAILED);
    CHECK(marks() == 1);

    settings.attempts = 0;
    settings.retry_attempts = 4;
    for (settings.retry = 1; settings.retry <= 3; settings.retry++) {
        settings.retry_delay = 1000;
        settings.retry_jitter = PINFOLD_CHOICE_YES;
        CHECK_STATUS(ends(settings, 'f'), PINFOLD_STATUS_TASK_FAILED);
        CHECK_SAID("not today");
        CHECK(marks() == 4);
        CHECK_STATUS(ends(settings, 'd'), PINFOLD_STATUS_WORKER_DIED);
        CHECK(marks() == 1);
    }
    settings.retry = PINFOLD_RETRY_FIXED;
    settings.retry_attempts = 10;
    settings.retry_if = is_busy;
    settings.retry_user = &asked;
    CHECK_STATUS(ends(settings, 'f'), PINFOLD_STATUS_TASK_FAILED);
    CHECK(marks() == 4 && atomic_load(&asked) == 4);

    settings.retry = 0;
    settings.retry_attempts = 0;
    settings.retry_if = is_death;
    CHECK_STATUS(ends(settings, 'd'), PINFOLD_STATUS_WORKER_DIED);
    CHECK(marks() == 3);
}

static void names(void)
{
    static const pinfold_tag tags[] = {{"user", "7"}, {"shard", "a"}};
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;

    settings.name = "nightly";
    settings.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    settings.tags = tags;
    settings.tag_count = 2;
    CHECK_STATUS(ends(settings, 'd'), PINFOLD_STATUS_WORKER_DIED);
    CHECK_SAID("nightly");
    CHECK(marks() == 1);
}

static void limits(void)
{
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_share share = {NULL, 2};
    pinfold_limit *limit;
    pinfold_task *task, *greedy;
    pinfold_handle *first, *second, *other = (pinfold_handle *)1;
    uint64_t left;

    CHECK_OK(pinfold_limit_new(3, &limit));
    CHECK_STATUS(pinfold_limit_new(3, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    share.limit = limit;
    settings.limits = &share;
    settings.limit_count = 1;
    CHECK_OK(pinfold_task_new(runtime, "waits", &settings, &task));
    share.units = 4;
    CHECK_OK(pinfold_task_new(runtime, "waits", &settings, &greedy));
    CHECK_OK(pinfold_task_submit(task, gate, sizeof gate, &first));
    CHECK_OK(pinfold_limit_available(limit, &left));
    CHECK(left == 1);
    CHECK_STATUS(pinfold_limit_available(limit, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_task_try_submit(task, NULL, 0, &other), PINFOLD_STATUS_FULL);
    CHECK_STATUS(pinfold_task_submit_timeout(task, NULL, 0, MS, &other),
                 PINFOLD_STATUS_TIMED_OUT);
    CHECK_STATUS(pinfold_task_try_submit(greedy, NULL, 0, &other),
                 PINFOLD_STATUS_TOO_LARGE);
    CHECK(other == (pinfold_handle *)1);
    /* Waits for the first. */
    leave(gate[0]);
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &second));
    CHECK_OK(pinfold_handle_wait(first, 0));
    CHECK_OK(pinfold_handle_join(first, NULL, 0, NULL));
    CHECK_OK(pinfold_handle_join(second, NULL, 0, NULL));
    CHECK_OK(pinfold_task_submit(greedy, NULL, 0, &first));
    CHECK_STATUS(pinfold_handle_join(first, NULL, 0, NULL), PINFOLD_STATUS_TOO_LARGE);
    CHECK_OK(pinfold_limit_free(limit));
    CHECK_STATUS(pinfold_limit_free(limit), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_limit_free(NULL));
    /* Those that have it have it. */
    CHECK_OK(pinfold_task_submit_timeout(task, NULL, 0, PINFOLD_FOREVER, &first));
    CHECK_OK(pinfold_handle_join(first, NULL, 0, NULL));
    CHECK_STATUS(pinfold_task_new(runtime, "waits", &settings, &task), PINFOLD_STATUS_BAD_HANDLE);
    settings.limit_count = SIZE_MAX;
    CHECK_STATUS(pinfold_task_new(runtime, "waits", &settings, &task),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    settings.limits = NULL;
    settings.limit_count = 1;
    CHECK_STATUS(pinfold_task_new(runtime, "waits", &settings, &task), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_task_free(greedy));
}

/* Of the same argument the task is run once; that it fails is not remembered. */
static void memos(void)
{
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_memo *memo;
    uint64_t hits, misses;

    CHECK_OK(pinfold_memo_new(10, &memo));
    settings.memo = memo;
    CHECK_OK(ends(settings, 'r'));
    CHECK_OK(ends(settings, 'r'));
    CHECK(marks() == 1);
    CHECK_OK(pinfold_memo_counts(memo, &hits, &misses));
    CHECK(hits == 1 && misses == 1);
    /* For a moment after its end it still counts as in flight. */
    do
        CHECK_STATUS(ends(settings, 'f'), PINFOLD_STATUS_TASK_FAILED);
    while (pinfold_memo_counts(memo, &hits, &misses) == PINFOLD_STATUS_OK && misses < 3);
    CHECK(marks() == 2);
    CHECK_STATUS(pinfold_memo_counts(memo, NULL, &misses), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_memo_free(memo));
    CHECK_STATUS(pinfold_memo_free(memo), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_memo_new(10, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
}

#define REFUSED(field, value, status, said)                                                  \
    do {                                                                                     \
        pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;                         \
        pinfold_task *task = (pinfold_task *)1;                                              \
        settings.field = (value);                                                            \
        CHECK_STATUS(pinfold_task_new(runtime, "waits", &settings, &task),                    \
                     PINFOLD_STATUS_##status);                                               \
        CHECK_SAID(said);                                                                    \
        CHECK(task == (pinfold_task *)1);                                                    \
    } while (0)

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;

    CHECK_OK(pinfold_function_register("hangs", hangs, NULL));
    CHECK_OK(pinfold_function_register("waits", waits, NULL));
    CHECK_OK(pinfold_function_register("counts", counts, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));

    CHECK(getcwd(path, 4096) != NULL);
    memcpy(gate[0], path, 4096);
    memcpy(gate[1], path, 4096);
    strcat(path, "/marks");
    strcat(gate[0], "/gate");
    strcat(gate[1], "/begun");
    unlink(path);
    unlink(gate[0]);
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    deadlines();
    start_deadline();
    repeats();
    names();
    limits();
    memos();

    REFUSED(priority, 5, INVALID_ARGUMENT, "`settings->priority` is 5, which is no `pinfold_priority`");
    REFUSED(retry, 4, INVALID_ARGUMENT, "`settings->retry` is 4, which is no `pinfold_retry`");
    REFUSED(retry_attempts, 4, INVALID_ARGUMENT, "PINFOLD_RETRY_FIXED");
    REFUSED(retry_jitter, -1, INVALID_ARGUMENT, "retry_jitter");
    REFUSED(memo, (pinfold_memo *)runtime, BAD_HANDLE, "pinfold_memo");
    REFUSED(reserved, 1, INVALID_ARGUMENT, "reserved");
    REFUSED(traceparent, "00-12", INVALID_ARGUMENT, "traceparent");
    REFUSED(name, "\xff", INVALID_ARGUMENT, "UTF-8");
    REFUSED(tag_count, 1, NULL_ARGUMENT, "`settings->tags` is null");
    REFUSED(size, 1, INVALID_ARGUMENT, "size");
    {
        static const pinfold_tag half = {"key", NULL};
        pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
        pinfold_task *task;
        settings.tags = &half;
        settings.tag_count = 1;
        CHECK_STATUS(pinfold_task_new(runtime, "waits", &settings, &task),
                     PINFOLD_STATUS_NULL_ARGUMENT);
        CHECK_SAID("`settings->tags[].value` is null");
    }
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
