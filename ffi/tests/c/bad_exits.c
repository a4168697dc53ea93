/* Tasks that leave in every way but by returning: each is told, and the next one runs. */
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static jmp_buf in_main;

enum how {
    FINE, NULL_POINTER, ABORT, EXIT, UNDERSCORE_EXIT, QUICK_EXIT, THREAD_EXIT, KILLED, DIVIDED,
    STACK_GONE, JUMP_TO_MAIN, JUMP_INSIDE, RAW_EXIT, HEAP_GONE, LAST
};

static const char *const names[LAST] = {
    "fine", "null pointer", "abort", "exit", "_exit", "quick_exit", "pthread_exit", "kill -9",
    "division by zero", "endless recursion", "longjmp to main", "longjmp inside", "exit_group",
    "free of a wild pointer"
};

static volatile int zero, sink;

static int deeper(int depth)
{
    volatile char frame[4096];
    frame[0] = (char)depth;
    sink += frame[0];
    return zero == 0 ? deeper(depth + 1) + frame[0] : 0;
}

/* What a compiler must not know to be wrong. */
static void *volatile nowhere = NULL;
static void *volatile wild = (void *)0x123456789;

static int32_t leave(pinfold_call *call, void *user)
{
    const void *argument;
    size_t len;
    enum how how;
    jmp_buf here;
    void *output;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK || len != sizeof how)
        return 1;
    memcpy(&how, argument, sizeof how);
    switch (how) {
    case NULL_POINTER: *(volatile int *)nowhere = 1; break;
    case ABORT: abort();
    case EXIT: exit(0);
    case UNDERSCORE_EXIT: _exit(3);
    case QUICK_EXIT: quick_exit(4);
    case THREAD_EXIT: pthread_exit(NULL);
    case KILLED: raise(SIGKILL); break;
    case DIVIDED: sink = 1 / zero; raise(SIGFPE); break;
    case STACK_GONE: return deeper(0);
    case JUMP_TO_MAIN: longjmp(in_main, 1);
    case JUMP_INSIDE:
        /* No frame but its own is left: this is allowed. */
        if (setjmp(here) == 0)
            longjmp(here, 1);
        break;
    case RAW_EXIT: syscall(SYS_exit_group, 0); break;
    case HEAP_GONE: free(wild); break;
    default: break;
    }
    return pinfold_call_output(call, 1, &output) == PINFOLD_STATUS_OK ? 0 : 2;
}

static void run(pinfold_runtime *runtime, pinfold_task *task)
{
    int how;

    for (how = FINE; how < LAST; how++) {
        pinfold_handle *handle;
        const void *data;
        size_t len;
        enum how fine = FINE;
        int32_t status;

        CHECK_OK(pinfold_task_submit(task, &how, sizeof how, &handle));
        status = pinfold_handle_result(handle, &data, &len);
        if (how == FINE || how == JUMP_INSIDE) {
            CHECK_OK(status);
            CHECK(len == 1);
        } else {
            fprintf(stderr, "%s: %s\n", names[how], pinfold_last_message());
            CHECK_STATUS(status, PINFOLD_STATUS_WORKER_DIED);
            CHECK_SAID("leave"); /* by its name in C */
            CHECK(data == NULL && len == 0);
        }
        CHECK_OK(pinfold_handle_free(handle));

        CHECK_OK(pinfold_task_submit(task, &fine, sizeof fine, &handle));
        CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL) == PINFOLD_STATUS_BUFFER_TOO_SMALL
                     ? PINFOLD_STATUS_OK
                     : PINFOLD_STATUS_SYSTEM);
        CHECK_OK(pinfold_handle_free(handle));
    }
    (void)runtime;
}

int main(int argc, char **argv)
{
    size_t threads;

    /* In a worker, a task that jumps here is past its own frames: as good as a return from main. */
    if (setjmp(in_main) != 0)
        return 0;
    CHECK_OK(pinfold_function_register("leave", leave, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    for (threads = 1; threads <= 2; threads++) {
        pinfold_config config = PINFOLD_CONFIG_INIT;
        pinfold_runtime *runtime;
        pinfold_task *task;

        config.workers = 1;
        config.threads_per_worker = threads;
        CHECK_OK(pinfold_runtime_new(&config, &runtime));
        CHECK_OK(pinfold_task_new(runtime, "leave", NULL, &task));
        run(runtime, task);
        CHECK_OK(pinfold_task_free(task));
        CHECK_OK(pinfold_runtime_free(runtime));
    }
    return 0;
}
