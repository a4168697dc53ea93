// However a task ends that is not by `return`, its handle says so, and the fold lives on.
#include "check.h"

#include <csetjmp>
#include <csignal>
#include <pthread.h>
#include <stdexcept>
#include <unistd.h>

static std::jmp_buf nowhere;

static void jumps(volatile int depth)
{
    volatile char frame[4096];

    frame[0] = 1;
    if (depth > 0)
        jumps(depth - 1);
    else
        (void)setjmp(nowhere);
    frame[1] = frame[0];
}

extern "C" int32_t ends(pinfold_call *call, void *)
{
    const void *argument;
    size_t len;

    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    switch (*static_cast<const char *>(argument)) {
    case 'n':
        *static_cast<volatile int *>(nullptr) = 1;
        break;
    case 'a':
        std::abort();
    case 'e':
        std::exit(0);
    case 'q':
        _exit(3);
    case 't':
        throw std::runtime_error("a C++ exception");
    case 'k':
        kill(getpid(), SIGKILL);
        break;
    case 'p':
        pthread_exit(nullptr);
    case 'j':
        // To a frame that is not there any more.
        jumps(20);
        std::longjmp(nowhere, 1);
    default:
        return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;

    CHECK_OK(pinfold_function_register("ends", ends, nullptr));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "ends", nullptr, &task));
    for (const char *how = argc > 1 ? argv[1] : "naeqtkp"; *how; how++) {
        CHECK_OK(pinfold_task_submit(task, how, 1, &handle));
        CHECK_STATUS(pinfold_handle_join(handle, nullptr, 0, nullptr), PINFOLD_STATUS_WORKER_DIED);
        if (argc > 1)
            std::fprintf(stderr, "%c: %s\n", *how, pinfold_last_message());
        CHECK_OK(pinfold_task_submit(task, "r", 1, &handle));
        CHECK_OK(pinfold_handle_join(handle, nullptr, 0, nullptr));
    }
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
