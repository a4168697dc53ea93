/* Calls at the wrong place, at the wrong time, with what belongs to somebody else, and by two threads
 * at once: a status and a message each. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static int32_t echo(pinfold_call *call, void *user)
{
    const void *argument;
    void *output;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK
        || pinfold_call_output(call, len, &output) != PINFOLD_STATUS_OK)
        return 1;
    memcpy(output, argument, len);
    return 0;
}

static void *by_another(void *call)
{
    size_t count;
    return pinfold_call_input_count(call, &count) == PINFOLD_STATUS_NOT_IN_TASK ? NULL : call;
}

/* What a task must not do; returns the line that does not hold. */
static int32_t misplaced(pinfold_call *call, void *user)
{
    pinfold_runtime *runtime;
    pthread_t thread;
    void *result = NULL;
    size_t count;
    int32_t status;

    (void)user;
    status = pinfold_runtime_new(NULL, &runtime);
    if (status != PINFOLD_STATUS_INSIDE_WORKER && status != PINFOLD_STATUS_INSIDE_TASK)
        return __LINE__;
    status = pinfold_function_register("late", echo, NULL);
    if (status != PINFOLD_STATUS_TOO_LATE && status != PINFOLD_STATUS_INSIDE_TASK)
        return __LINE__;
    /* The call is this thread's. */
    if (pthread_create(&thread, NULL, by_another, call) != 0
        || pthread_join(thread, &result) != 0 || result != NULL)
        return __LINE__;
    if (pinfold_call_input_count((pinfold_call *)((char *)call + 8), &count)
        != PINFOLD_STATUS_BAD_HANDLE)
        return __LINE__;
    return pinfold_call_input_count(call, &count) == PINFOLD_STATUS_OK && count == 0 ? 0 : __LINE__;
}

static pinfold_runtime *start(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    return runtime;
}

static pinfold_handle *submitted(pinfold_task *task)
{
    pinfold_handle *handle;
    CHECK_OK(pinfold_task_submit(task, "abc", 3, &handle));
    return handle;
}

/* Two of these join the same handles: each handle is joined once. */
enum { MANY = 500 };
static pinfold_handle *shared[MANY];
static atomic_int joined;

static void *join_all(void *unused)
{
    char out[3];
    int at;
    for (at = 0; at < MANY; at++) {
        int32_t status = pinfold_handle_join(shared[at], out, sizeof out, NULL);
        if (status == PINFOLD_STATUS_OK)
            atomic_fetch_add(&joined, 1);
        else
            CHECK_STATUS(status, PINFOLD_STATUS_BAD_HANDLE);
    }
    return unused;
}

/* Submits until the runtime has ended beneath it. */
static void *until_the_end(void *task)
{
    for (;;) {
        char out[3];
        pinfold_handle *handle;
        int32_t status;
        CHECK_OK(pinfold_task_submit(task, "abc", 3, &handle));
        status = pinfold_handle_join(handle, out, sizeof out, NULL);
        if (status == PINFOLD_STATUS_SHUTDOWN)
            return NULL;
        CHECK_OK(status);
    }
}

int main(int argc, char **argv)
{
    pinfold_runtime *runtime, *other;
    pinfold_task *task, *of_other;
    pinfold_handle *handle, *dependent;
    const void *data;
    pthread_t threads[3];
    size_t len, at;
    char out[3];
    pid_t child;
    int status;

    CHECK_STATUS(pinfold_runtime_new(NULL, &runtime), PINFOLD_STATUS_NOT_INITIALIZED);
    CHECK_SAID("init");
    CHECK_OK(pinfold_function_register("echo", echo, NULL));
    CHECK_OK(pinfold_function_register("misplaced", misplaced, NULL));
    CHECK_STATUS(pinfold_function_register("echo", misplaced, NULL), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_init(&argc, &argv));
    CHECK_OK(pinfold_init(NULL, NULL)); /* again */
    CHECK_STATUS(pinfold_function_register("late", echo, NULL), PINFOLD_STATUS_TOO_LATE);
    runtime = start();
    other = start();
    CHECK_OK(pinfold_task_new(runtime, "echo", NULL, &task));
    CHECK_OK(pinfold_task_new(other, "echo", NULL, &of_other));
    CHECK_STATUS(pinfold_task_new(runtime, "no such", NULL, &task), PINFOLD_STATUS_UNKNOWN_FUNCTION);
    CHECK_SAID("no such");

    /* Out of a task. */
    CHECK_STATUS(pinfold_call_argument((pinfold_call *)&len, &data, &len), PINFOLD_STATUS_NOT_IN_TASK);
    {
        pinfold_task *misplace;
        CHECK_OK(pinfold_task_new(runtime, "misplaced", NULL, &misplace));
        CHECK_OK(pinfold_task_submit(misplace, NULL, 0, &handle));
        CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
        CHECK_OK(pinfold_task_free(misplace));
    }

    /* What is another runtime's. */
    handle = submitted(of_other);
    CHECK_OK(pinfold_task_submit_after(task, NULL, 0, &handle, 1, &dependent));
    CHECK_STATUS(pinfold_handle_join(dependent, NULL, 0, NULL), PINFOLD_STATUS_DEPENDENCY_FAILED);
    CHECK_SAID("another runtime");
    /* What is inside the library has no name in C. */
    CHECK(strstr(pinfold_last_message(), "pinfold_c::") == NULL);
    CHECK_OK(pinfold_handle_free(handle));

    /* Handles that were freed, in a list. */
    CHECK_STATUS(pinfold_task_submit_after(task, NULL, 0, &handle, 1, &dependent), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_handle_free(handle), PINFOLD_STATUS_BAD_HANDLE);

    /* Two join the same. */
    for (at = 0; at < MANY; at++)
        shared[at] = submitted(task);
    CHECK(pthread_create(&threads[0], NULL, join_all, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, join_all, NULL) == 0);
    CHECK(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
    CHECK(joined >= MANY);

    /* In a forked process, nothing is touched that is the other's. */
    handle = submitted(task);
    child = fork();
    if (child == 0) {
        pinfold_handle *own;
        CHECK_STATUS(pinfold_task_try_submit(task, NULL, 0, &own), PINFOLD_STATUS_FORKED);
        CHECK_OK(pinfold_task_submit(task, NULL, 0, &own));
        CHECK_STATUS(pinfold_handle_join(own, NULL, 0, NULL), PINFOLD_STATUS_FORKED);
        CHECK_STATUS(pinfold_handle_join(handle, out, sizeof out, NULL), PINFOLD_STATUS_FORKED);
        CHECK_OK(pinfold_task_free(task));
        pinfold_runtime_free(runtime);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK_OK(pinfold_handle_join(handle, out, sizeof out, &len));
    CHECK(len == 3 && memcmp(out, "abc", 3) == 0);

    /* A runtime ends while three threads submit to it. */
    for (at = 0; at < 3; at++)
        CHECK(pthread_create(&threads[at], NULL, until_the_end, task) == 0);
    handle = submitted(task);
    CHECK_OK(pinfold_runtime_free(runtime));
    for (at = 0; at < 3; at++)
        CHECK(pthread_join(threads[at], NULL) == 0);
    CHECK_OK(pinfold_handle_join(handle, out, sizeof out, NULL));
    CHECK_STATUS(pinfold_runtime_free(runtime), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_task_try_submit(task, NULL, 0, &handle), PINFOLD_STATUS_SHUTDOWN);
    CHECK_STATUS(pinfold_task_new(runtime, "echo", NULL, &task), PINFOLD_STATUS_BAD_HANDLE);

    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_task_free(of_other));
    CHECK_OK(pinfold_runtime_free(other));
    return 0;
}
