/* Tasks that tasks submit, and other threads that work for a task. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

static uint64_t number_of(pinfold_call *call)
{
    const void *argument;
    uint64_t n;
    size_t len;

    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    CHECK(len == sizeof n);
    memcpy(&n, argument, sizeof n);
    return n;
}

static int32_t returns(pinfold_call *call, uint64_t n)
{
    void *out;

    CHECK_OK(pinfold_call_output(call, sizeof n, &out));
    memcpy(out, &n, sizeof n);
    return 0;
}

static pinfold_child *submit(pinfold_call *call, const char *name, uint64_t n)
{
    pinfold_child *child;

    CHECK_OK(pinfold_call_submit(call, name, &n, sizeof n, NULL, &child));
    return child;
}

static uint64_t join(pinfold_child *child)
{
    uint64_t n = 0;
    size_t len;

    CHECK_OK(pinfold_child_join(child, &n, sizeof n, &len));
    CHECK(len == sizeof n);
    return n;
}

static int32_t fib(pinfold_call *call, void *user)
{
    uint64_t n = number_of(call), sum;
    pinfold_child *one, *two;

    (void)user;
    if (n < 2)
        return returns(call, n);
    one = submit(call, "fib", n - 1);
    two = submit(call, "fib", n - 2);
    sum = join(one);
    CHECK(number_of(call) == n); /* it is this call's frame again */
    return returns(call, sum + join(two));
}

/* One in the other, deeper than a worker has slots. */
static int32_t deep(pinfold_call *call, void *user)
{
    uint64_t n = number_of(call);

    (void)user;
    return returns(call, n == 0 ? 0 : 1 + join(submit(call, "deep", n - 1)));
}

static int32_t many(pinfold_call *call, void *user)
{
    uint64_t n = number_of(call), i, sum = 0;
    pinfold_child **children = calloc((size_t)n, sizeof *children);
    const void *data;
    size_t len;

    (void)user;
    CHECK(children != NULL);
    for (i = 0; i < n; i++)
        children[i] = submit(call, "deep", i % 3);
    for (i = 0; i < n; i++) {
        CHECK_OK(pinfold_child_wait(children[i], PINFOLD_FOREVER));
        CHECK_OK(pinfold_child_result(children[i], &data, &len));
        CHECK(len == 8 && (uintptr_t)data % 64 == 0 && *(const uint64_t *)data == i % 3);
        sum += *(const uint64_t *)data;
        if (i % 2 == 0)
            CHECK_OK(pinfold_child_free(children[i])); /* the others are left */
    }
    free(children);
    return returns(call, sum);
}

static int32_t bad(pinfold_call *call, void *user)
{
    (void)user;
    CHECK_OK(pinfold_call_explain(call, "as it was told"));
    return 3;
}

/* Its pid, when it is to be killed. */
static int32_t dies(pinfold_call *call, void *user)
{
    (void)user;
    if (number_of(call) == (uint64_t)getpid())
        return 1; /* the parent runs it itself: it would take it along */
    kill(getpid(), SIGKILL);
    return 0;
}

static int32_t doubles(pinfold_call *call, void *user)
{
    pinfold_buffer *buffer;
    size_t len, i;
    void *data;

    (void)user;
    CHECK_OK(pinfold_call_buffer_take(call, 0, &buffer));
    CHECK_OK(pinfold_buffer_data(buffer, &data));
    CHECK_OK(pinfold_buffer_len(buffer, &len));
    for (i = 0; i < len; i++)
        ((unsigned char *)data)[i] = (unsigned char)(2 * ((unsigned char *)data)[i]);
    CHECK_OK(pinfold_call_output_buffer(call, buffer));
    CHECK_OK(pinfold_buffer_free(buffer));
    return 0;
}

/* A child and a call that are not its own. */
static int32_t stranger(pinfold_call *call, void *user)
{
    pinfold_child *child = (pinfold_child *)(uintptr_t)number_of(call);

    (void)user;
    CHECK_STATUS(pinfold_child_wait(child, 0), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_child_free(child), PINFOLD_STATUS_BAD_HANDLE);
    return returns(call, 1);
}

static void *elsewhere(void *data)
{
    pinfold_child *child = data, *none;

    CHECK_STATUS(pinfold_child_wait(child, 0), PINFOLD_STATUS_NOT_IN_TASK);
    CHECK_STATUS(pinfold_child_cancel(child), PINFOLD_STATUS_NOT_IN_TASK);
    CHECK_STATUS(pinfold_call_submit((pinfold_call *)data, "fib", NULL, 0, NULL, &none),
                 PINFOLD_STATUS_NOT_IN_TASK);
    return NULL;
}

static int32_t all(pinfold_call *call, void *user)
{
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_handle *no_handle = NULL;
    pinfold_child *child, *other;
    pinfold_buffer *buffer, *doubled;
    const void *data;
    pthread_t thread;
    size_t len, i;
    int32_t code;
    void *to;
    uint64_t id, n;
    pinfold_status status;

    (void)user;
    CHECK_OK(pinfold_call_id(call, &id));
    child = submit(call, "bad", 0);
    CHECK_STATUS(pinfold_child_result(child, &data, &len), PINFOLD_STATUS_TASK_FAILED);
    CHECK_SAID("as it was told");
    CHECK_SAID("bad");
    CHECK(data == NULL && len == 0);
    CHECK_OK(pinfold_child_code(child, &code));
    CHECK(code == 3);
    CHECK_STATUS(pinfold_child_join(child, NULL, 0, NULL), PINFOLD_STATUS_TASK_FAILED);
    CHECK_STATUS(pinfold_child_join(child, NULL, 0, NULL), PINFOLD_STATUS_BAD_HANDLE);

    child = submit(call, "deep", 1);
    CHECK_STATUS(pinfold_child_join(child, NULL, 0, &len), PINFOLD_STATUS_BUFFER_TOO_SMALL);
    CHECK(len == 8);
    CHECK(join(submit(call, "stranger", (uint64_t)(uintptr_t)child)) == 1);
    CHECK(pthread_create(&thread, NULL, elsewhere, child) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(join(child) == 1);
    other = submit(call, "deep", 0); /* at the same place */
    CHECK_STATUS(pinfold_child_wait(child, 0), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_child_free(other));
    CHECK_STATUS(pinfold_child_free(other), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_child_free(NULL));

    child = submit(call, "fib", 30);
    CHECK_OK(pinfold_child_cancel(child));
    status = pinfold_child_join(child, &n, sizeof n, NULL);
    CHECK(status == PINFOLD_STATUS_CANCELLED || status == PINFOLD_STATUS_OK);

    /* A buffer, moved there and back. */
    CHECK_OK(pinfold_call_buffer_new(call, 100000, &buffer));
    CHECK_OK(pinfold_buffer_data(buffer, &to));
    memset(to, 21, 100000);
    settings.buffers = &buffer;
    settings.buffer_count = 1;
    CHECK_STATUS(pinfold_call_submit(call, "doubles", NULL, 0, &settings, &child),
                 PINFOLD_STATUS_NOT_PUBLISHED);
    settings.move_buffers = 1;
    CHECK_OK(pinfold_call_submit(call, "doubles", NULL, 0, &settings, &child));
    CHECK_OK(pinfold_buffer_free(buffer));
    CHECK_OK(pinfold_child_output_buffer(child, &doubled));
    CHECK_OK(pinfold_child_free(child));
    CHECK_OK(pinfold_buffer_const_data(doubled, &data, &len));
    for (i = 0; i < len; i++)
        CHECK(((const unsigned char *)data)[i] == 42);
    CHECK_OK(pinfold_buffer_free(doubled));

    settings.after = &no_handle;
    settings.after_count = 1;
    CHECK_STATUS(pinfold_call_submit(call, "fib", NULL, 0, &settings, &child),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_call_submit(call, "nothing", NULL, 0, NULL, &child),
                 PINFOLD_STATUS_UNKNOWN_FUNCTION);
    CHECK_STATUS(pinfold_call_submit(call, NULL, NULL, 0, NULL, &child),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_call_submit(call, "fib", NULL, 8, NULL, &child),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_call_submit(call, "fib", NULL, 0, NULL, NULL),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_call_submit(NULL, "fib", NULL, 0, NULL, &child),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_child_wait(NULL, 0), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_child_wait((pinfold_child *)call, 0), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_child_free((pinfold_child *)(uintptr_t)30), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_STATUS(pinfold_child_result(child, NULL, &len), PINFOLD_STATUS_NULL_ARGUMENT);

    /* Only another worker can begin it before it is waited for: that one dies. */
    child = submit(call, "dies", (uint64_t)getpid());
    while ((status = pinfold_child_wait(child, 0)) == PINFOLD_STATUS_TIMED_OUT)
        usleep(1000);
    CHECK_OK(status);
    CHECK_STATUS(pinfold_child_result(child, &data, &len), PINFOLD_STATUS_WORKER_DIED);
    submit(call, "fib", 12); /* left */
    return returns(call, join(submit(call, "fib", 10)));
}

static void *works_for_it(void *data)
{
    pinfold_context *context = data;
    int32_t cancelled = 0;
    uint64_t left;

    CHECK_OK(pinfold_context_report_progress(context, 0.25, "from another thread"));
    CHECK_OK(pinfold_context_time_left(context, &left));
    CHECK(left == PINFOLD_FOREVER);
    while (!cancelled) {
        usleep(1000);
        CHECK_OK(pinfold_context_is_cancelled(context, &cancelled));
    }
    return data;
}

static pinfold_context *kept;

static int32_t threads(pinfold_call *call, void *user)
{
    pinfold_context *context;
    pthread_t both[2];

    (void)user;
    CHECK_OK(pinfold_call_context(call, &context));
    CHECK(pthread_create(&both[0], NULL, works_for_it, context) == 0);
    CHECK(pthread_create(&both[1], NULL, works_for_it, context) == 0);
    CHECK(pthread_join(both[0], NULL) == 0);
    CHECK(pthread_join(both[1], NULL) == 0);
    CHECK_STATUS(pinfold_context_report_progress(NULL, 0, ""), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_context_free(context));
    CHECK_STATUS(pinfold_context_free(context), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_OK(pinfold_context_free(NULL));
    CHECK_OK(pinfold_call_context(call, &kept));
    return 1;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; pinfold_function function; } functions[] = {
        {"fib", fib}, {"deep", deep}, {"many", many}, {"bad", bad}, {"dies", dies},
        {"doubles", doubles}, {"stranger", stranger}, {"all", all}, {"threads", threads},
    };
    static const struct { const char *name; uint64_t n, result; } runs[] = {
        {"fib", 15, 610}, {"deep", 600, 600}, {"many", 3000, 3000}, {"all", 0, 55},
        {"fib", 10, 55},
    };
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;
    pinfold_runtime *runtime;
    pinfold_handle *handle;
    pinfold_task *task;
    pinfold_child *child;
    uint64_t result;
    char text[100];
    size_t i;

    for (i = 0; i < sizeof functions / sizeof *functions; i++)
        CHECK_OK(pinfold_function_register(functions[i].name, functions[i].function, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    for (i = 0; i < sizeof runs / sizeof *runs; i++) {
        CHECK_OK(pinfold_task_new(runtime, runs[i].name, NULL, &task));
        CHECK_OK(pinfold_task_submit(task, &runs[i].n, sizeof runs[i].n, &handle));
        CHECK_OK(pinfold_handle_join(handle, &result, sizeof result, NULL));
        CHECK(result == runs[i].result);
        CHECK_OK(pinfold_task_free(task));
    }
    CHECK_OK(pinfold_task_new(runtime, "threads", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    while (pinfold_handle_progress(handle, text, sizeof text, NULL) == PINFOLD_STATUS_NOTHING_YET)
        usleep(1000);
    CHECK(strcmp(text, "from another thread") == 0);
    CHECK_OK(pinfold_handle_cancel(handle));
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_CANCELLED);
    CHECK_OK(pinfold_task_free(task));
    CHECK_STATUS(pinfold_child_wait((pinfold_child *)(uintptr_t)30, 0), PINFOLD_STATUS_NOT_IN_TASK);
    CHECK_STATUS(pinfold_call_submit((pinfold_call *)runtime, "fib", NULL, 0, NULL, &child),
                 PINFOLD_STATUS_NOT_IN_TASK);
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
