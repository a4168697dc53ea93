/* pinfold: a shared-memory multi-process runtime for Linux servers. The C face.
 *
 * Written by cbindgen from ffi/src: change it there, then run scripts/header.
 * docs/ABI.md says what is promised. Link with -lpinfold.
 *
 * A program registers its functions (pinfold_function_register), calls pinfold_init, starts a
 * runtime (pinfold_runtime_new), makes tasks of functions (pinfold_task_new), submits them
 * (pinfold_task_submit) and takes their outputs (pinfold_handle_join). In a task there are
 * the functions that begin with pinfold_call_, and pinfold_child_ for tasks that it submits.
 * When a call has failed, pinfold_last_message says why.
 */

#ifndef PINFOLD_H
#define PINFOLD_H

#include <stddef.h>
#include <stdint.h>

/**
 * A time in nanoseconds that is never over.
 */
#define PINFOLD_FOREVER UINT64_MAX

/**
 * The version that the header is of: the first of its three numbers. `pinfold_version()` is that of the
 * library.
 */
#define PINFOLD_VERSION_MAJOR 0

/**
 * The second.
 */
#define PINFOLD_VERSION_MINOR 1

/**
 * The third.
 */
#define PINFOLD_VERSION_PATCH 0

/**
 * Counts the incompatible changes of this interface. Compare it with what
 * `pinfold_abi_version()` returns before the first other call.
 */
#define PINFOLD_ABI_VERSION 1

/**
 * What a call came to. Zero is success.
 *
 * A number keeps its meaning for ever; a retired one is never used again. New numbers
 * may be added without a new ABI version: treat one that you do not know as a failure.
 * `pinfold_last_message()` says more about the failure that has just happened.
 *
 * From 1 to 99: the call did nothing. From 100 on: the task that it asks about has ended
 * without a value. There are exceptions for each. A task that could not be run ends with what
 * kept it from that, which may be one of the first: `pinfold_status_ends_task` tells. And
 * `PINFOLD_STATUS_NO_WORKERS` is also how a submission is refused that does not wait.
 */
enum pinfold_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The call did what it says.
   */
  PINFOLD_STATUS_OK = 0,
  /**
   * An argument that must not be null is null.
   */
  PINFOLD_STATUS_NULL_ARGUMENT = 1,
  /**
   * The operating system refused something that the call needs.
   */
  PINFOLD_STATUS_SYSTEM = 2,
  /**
   * A defect in the library; its message and place went to the standard error stream.
   */
  PINFOLD_STATUS_PANIC = 3,
  /**
   * A handle was freed, is of another kind, or was never one.
   */
  PINFOLD_STATUS_BAD_HANDLE = 4,
  /**
   * An argument has a value that makes no sense there.
   */
  PINFOLD_STATUS_INVALID_ARGUMENT = 5,
  /**
   * The time was up before it happened.
   */
  PINFOLD_STATUS_TIMED_OUT = 6,
  /**
   * The caller's memory is too small for what is to be written there.
   */
  PINFOLD_STATUS_BUFFER_TOO_SMALL = 7,
  /**
   * There is more of something than there may be.
   */
  PINFOLD_STATUS_TOO_MANY = 8,
  /**
   * `pinfold_init` was not called first thing in `main`.
   */
  PINFOLD_STATUS_NOT_INITIALIZED = 9,
  /**
   * A runtime was to be started in a worker process.
   */
  PINFOLD_STATUS_INSIDE_WORKER = 10,
  /**
   * The runtime could not be started.
   */
  PINFOLD_STATUS_START_FAILED = 11,
  /**
   * No function is registered by that name.
   */
  PINFOLD_STATUS_UNKNOWN_FUNCTION = 12,
  /**
   * The call came too late: what it sets is in use already.
   */
  PINFOLD_STATUS_TOO_LATE = 13,
  /**
   * The bound of tasks in flight, or a limit, is reached, or a channel is full: try again later.
   */
  PINFOLD_STATUS_FULL = 14,
  /**
   * No shared memory is left for it now.
   */
  PINFOLD_STATUS_NO_MEMORY = 15,
  /**
   * It would not fit into all the memory there is, or into a limit.
   */
  PINFOLD_STATUS_TOO_LARGE = 16,
  /**
   * The runtime is shut down.
   */
  PINFOLD_STATUS_SHUTDOWN = 17,
  /**
   * The process was forked off the one whose object it is.
   */
  PINFOLD_STATUS_FORKED = 18,
  /**
   * It may be called in a task only.
   */
  PINFOLD_STATUS_NOT_IN_TASK = 19,
  /**
   * It must not be called in a task.
   */
  PINFOLD_STATUS_INSIDE_TASK = 20,
  /**
   * A handle of another runtime.
   */
  PINFOLD_STATUS_FOREIGN_HANDLE = 21,
  /**
   * The outcome was taken before.
   */
  PINFOLD_STATUS_ALREADY_TAKEN = 22,
  /**
   * The runtime has ended, but not as was asked.
   */
  PINFOLD_STATUS_NOT_ORDERLY = 23,
  /**
   * A buffer is not published yet: it has one owner.
   */
  PINFOLD_STATUS_NOT_PUBLISHED = 24,
  /**
   * A buffer is published: nobody writes it any more.
   */
  PINFOLD_STATUS_PUBLISHED = 25,
  /**
   * A buffer was moved: nothing is left of it but the handle.
   */
  PINFOLD_STATUS_MOVED = 26,
  /**
   * There is nothing to tell (yet).
   */
  PINFOLD_STATUS_NOTHING_YET = 27,
  /**
   * Nobody is left at the other end of a channel, or the channel was closed.
   */
  PINFOLD_STATUS_DISCONNECTED = 28,
  /**
   * There is no message in a channel now.
   */
  PINFOLD_STATUS_EMPTY = 29,
  /**
   * The task that calls was told to end while it waited: it was cancelled, say.
   */
  PINFOLD_STATUS_TOLD_TO_END = 30,
  /**
   * Messages were overwritten before this subscriber has read them; it goes on behind these.
   */
  PINFOLD_STATUS_LAGGED = 31,
  /**
   * Somebody has it now, and the call does not wait.
   */
  PINFOLD_STATUS_BUSY = 32,
  /**
   * The calling thread has it already, and would wait for itself.
   */
  PINFOLD_STATUS_DEADLOCK = 33,
  /**
   * The calling thread does not have it.
   */
  PINFOLD_STATUS_NOT_HELD = 34,
  /**
   * A member that the others need has died, or has left.
   */
  PINFOLD_STATUS_MEMBER_GONE = 35,
  /**
   * The members of a group have not called the same, or one has brought no value.
   */
  PINFOLD_STATUS_MISMATCH = 36,
  /**
   * A member wants its group to shrink: the others are to call that, too.
   */
  PINFOLD_STATUS_SHRINKING = 37,
  /**
   * A call before has timed out, and has not ended: it is to be called again.
   */
  PINFOLD_STATUS_UNFINISHED = 38,
  /**
   * The task returned a number other than zero.
   */
  PINFOLD_STATUS_TASK_FAILED = 100,
  /**
   * The task panicked (one that is written in Rust).
   */
  PINFOLD_STATUS_TASK_PANICKED = 101,
  /**
   * The worker process died while it ran the task: a crash, `exit`, a kill.
   */
  PINFOLD_STATUS_WORKER_DIED = 102,
  /**
   * The worker process died in each attempt to run the task.
   */
  PINFOLD_STATUS_POISON = 103,
  /**
   * The task had no more time.
   */
  PINFOLD_STATUS_DEADLINE_EXCEEDED = 104,
  /**
   * The task was cancelled.
   */
  PINFOLD_STATUS_CANCELLED = 105,
  /**
   * A task that it depends on has no value.
   */
  PINFOLD_STATUS_DEPENDENCY_FAILED = 106,
  /**
   * No worker process could be started.
   */
  PINFOLD_STATUS_NO_WORKERS = 107,
  /**
   * Its arguments or its result could not travel.
   */
  PINFOLD_STATUS_NOT_TRANSFERABLE = 108,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_status pinfold_status;
#else
typedef int32_t pinfold_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Yes or no, where 0 is whatever is the default.
 */
enum pinfold_choice
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As it is without saying so.
   */
  PINFOLD_CHOICE_DEFAULT = 0,
  /**
   * It is wanted.
   */
  PINFOLD_CHOICE_YES = 1,
  /**
   * It is not wanted.
   */
  PINFOLD_CHOICE_NO = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_choice pinfold_choice;
#else
typedef int32_t pinfold_choice;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What becomes of tasks that a worker's tasks have spawned and nobody has begun, when that
 * worker dies.
 */
enum pinfold_orphans
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * They are cancelled.
   */
  PINFOLD_ORPHANS_DEFAULT = 0,
  /**
   * They never run.
   */
  PINFOLD_ORPHANS_CANCEL = 1,
  /**
   * Each of them is run once all the same.
   */
  PINFOLD_ORPHANS_FINISH = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_orphans pinfold_orphans;
#else
typedef int32_t pinfold_orphans;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * When a shutdown ends what is in flight.
 */
enum pinfold_shutdown
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As `PINFOLD_SHUTDOWN_DRAIN_FOR` 5 seconds.
   */
  PINFOLD_SHUTDOWN_DEFAULT = 0,
  /**
   * When it has ended by itself, however long that takes.
   */
  PINFOLD_SHUTDOWN_DRAIN = 1,
  /**
   * When it has ended by itself, or after `time`.
   */
  PINFOLD_SHUTDOWN_DRAIN_FOR = 2,
  /**
   * When it has ended by itself, or after `time`; what has not ended by then is cancelled, and
   * after `grace` more what runs is killed.
   */
  PINFOLD_SHUTDOWN_GRACEFUL = 3,
  /**
   * Now: running tasks are killed.
   */
  PINFOLD_SHUTDOWN_ABORT = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_shutdown pinfold_shutdown;
#else
typedef int32_t pinfold_shutdown;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How urgent a task is.
 */
enum pinfold_priority
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As `PINFOLD_PRIORITY_NORMAL`.
   */
  PINFOLD_PRIORITY_DEFAULT = 0,
  /**
   * When there is nothing else to do.
   */
  PINFOLD_PRIORITY_BACKGROUND = 1,
  /**
   * After the normal ones.
   */
  PINFOLD_PRIORITY_LOW = 2,
  /**
   * What most tasks are.
   */
  PINFOLD_PRIORITY_NORMAL = 3,
  /**
   * Before the others.
   */
  PINFOLD_PRIORITY_URGENT = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_priority pinfold_priority;
#else
typedef int32_t pinfold_priority;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How long a task waits between attempts that have failed.
 */
enum pinfold_retry
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It is not tried again; with a `retry_if`, up to three attempts, one right after the other.
   */
  PINFOLD_RETRY_DEFAULT = 0,
  /**
   * `retry_delay` each time.
   */
  PINFOLD_RETRY_FIXED = 1,
  /**
   * `retry_delay` after the first attempt, then longer by that each time.
   */
  PINFOLD_RETRY_LINEAR = 2,
  /**
   * `retry_delay` after the first attempt, then twice as long each time, up to
   * `retry_longest`.
   */
  PINFOLD_RETRY_EXPONENTIAL = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_retry pinfold_retry;
#else
typedef int32_t pinfold_retry;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How much an event matters.
 */
enum pinfold_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Something is wrong.
   */
  PINFOLD_LEVEL_ERROR = 1,
  /**
   * Something may be wrong: a worker died, a task failed and nobody was told.
   */
  PINFOLD_LEVEL_WARN = 2,
  /**
   * What an operator may want to know.
   */
  PINFOLD_LEVEL_INFO = 3,
  /**
   * What a developer may want to know.
   */
  PINFOLD_LEVEL_DEBUG = 4,
  /**
   * Everything.
   */
  PINFOLD_LEVEL_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_level pinfold_level;
#else
typedef int32_t pinfold_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What becomes of a message for which a channel has no room.
 */
enum pinfold_overflow
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Who sends it waits. The default.
   */
  PINFOLD_OVERFLOW_BLOCK = 1,
  /**
   * It is refused, with `PINFOLD_STATUS_FULL`, also if there is a timeout.
   */
  PINFOLD_OVERFLOW_REJECT = 2,
  /**
   * The oldest one is dropped instead, and counted (`pinfold_receiver_dropped`).
   */
  PINFOLD_OVERFLOW_DROP_OLDEST = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_overflow pinfold_overflow;
#else
typedef int32_t pinfold_overflow;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A type of numbers.
 */
enum pinfold_number
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * `int8_t`.
   */
  PINFOLD_NUMBER_I8 = 1,
  /**
   * `uint8_t`.
   */
  PINFOLD_NUMBER_U8 = 2,
  /**
   * `int16_t`.
   */
  PINFOLD_NUMBER_I16 = 3,
  /**
   * `uint16_t`.
   */
  PINFOLD_NUMBER_U16 = 4,
  /**
   * `int32_t`.
   */
  PINFOLD_NUMBER_I32 = 5,
  /**
   * `uint32_t`.
   */
  PINFOLD_NUMBER_U32 = 6,
  /**
   * `int64_t`.
   */
  PINFOLD_NUMBER_I64 = 7,
  /**
   * `uint64_t`.
   */
  PINFOLD_NUMBER_U64 = 8,
  /**
   * `float`.
   */
  PINFOLD_NUMBER_F32 = 9,
  /**
   * `double`.
   */
  PINFOLD_NUMBER_F64 = 10,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_number pinfold_number;
#else
typedef int32_t pinfold_number;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How numbers are combined.
 */
enum pinfold_operation
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Their sum; whole numbers wrap around.
   */
  PINFOLD_OPERATION_SUM = 1,
  /**
   * Their product; whole numbers wrap around.
   */
  PINFOLD_OPERATION_PRODUCT = 2,
  /**
   * The smallest.
   */
  PINFOLD_OPERATION_MIN = 3,
  /**
   * The largest.
   */
  PINFOLD_OPERATION_MAX = 4,
  /**
   * The bits that are set in all; of whole numbers.
   */
  PINFOLD_OPERATION_AND = 5,
  /**
   * The bits that are set in any; of whole numbers.
   */
  PINFOLD_OPERATION_OR = 6,
  /**
   * The bits that are set in an odd number of them; of whole numbers.
   */
  PINFOLD_OPERATION_XOR = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_operation pinfold_operation;
#else
typedef int32_t pinfold_operation;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A member of a barrier.
 */
typedef struct pinfold_barrier pinfold_barrier;

/**
 * Memory that host and workers share: passed to tasks and back without a copy.
 */
typedef struct pinfold_buffer pinfold_buffer;

/**
 * A task that runs. It is the function's for as long as that has not returned, on the thread that
 * has called it.
 */
typedef struct pinfold_call pinfold_call;

/**
 * A task that a task has submitted.
 */
typedef struct pinfold_child pinfold_child;

/**
 * A task, for other threads of its process that work for it: OpenMP's, say.
 */
typedef struct pinfold_context pinfold_context;

/**
 * What counts for a latch.
 */
typedef struct pinfold_countdown pinfold_countdown;

/**
 * Tasks that have ended, for a program that has a poll loop of its own.
 */
typedef struct pinfold_events pinfold_events;

/**
 * Tasks that are waited for, cancelled and given up together.
 */
typedef struct pinfold_group pinfold_group;

/**
 * A task that was submitted.
 */
typedef struct pinfold_handle pinfold_handle;

/**
 * Waits until so much was counted.
 */
typedef struct pinfold_latch pinfold_latch;

/**
 * So many tasks may be in flight at a time, or so many units of something (bytes of memory, say)
 * that tasks take together.
 */
typedef struct pinfold_limit pinfold_limit;

/**
 * A member of a group, whose members do something together.
 */
typedef struct pinfold_member pinfold_member;

/**
 * Remembers outputs by their arguments.
 */
typedef struct pinfold_memo pinfold_memo;

/**
 * A message that was received from a channel.
 */
typedef struct pinfold_message pinfold_message;

/**
 * A lock around some bytes of shared memory, for all threads of the program and of its workers.
 */
typedef struct pinfold_mutex pinfold_mutex;

/**
 * Something that is to be done once, in whatever process.
 */
typedef struct pinfold_once pinfold_once;

/**
 * Some bytes of shared memory that are written once, by whoever asks for them first, and then read.
 */
typedef struct pinfold_oncelock pinfold_oncelock;

/**
 * The sending end of a broadcast channel.
 */
typedef struct pinfold_publisher pinfold_publisher;

/**
 * The receiving end of a channel.
 */
typedef struct pinfold_receiver pinfold_receiver;

/**
 * Sends each message to one of several receivers, each of which has a queue of its own.
 */
typedef struct pinfold_router pinfold_router;

/**
 * A fold of worker processes, and what the program has of it.
 */
typedef struct pinfold_runtime pinfold_runtime;

/**
 * A lock around some bytes of shared memory, which many may have to read, or one to write.
 */
typedef struct pinfold_rwlock pinfold_rwlock;

/**
 * Some permits, each of which one may have at a time, in any process.
 */
typedef struct pinfold_semaphore pinfold_semaphore;

/**
 * The sending end of a channel.
 */
typedef struct pinfold_sender pinfold_sender;

/**
 * A subscription to a broadcast channel.
 */
typedef struct pinfold_subscriber pinfold_subscriber;

/**
 * A function to be run by the workers of a runtime, with its settings; to be submitted any number
 * of times.
 */
typedef struct pinfold_task pinfold_task;

/**
 * A text that the library has made.
 */
typedef struct pinfold_text pinfold_text;

/**
 * Ticks at the same moments in all processes.
 */
typedef struct pinfold_ticker pinfold_ticker;

/**
 * Waits until all of its members are done.
 */
typedef struct pinfold_waitgroup pinfold_waitgroup;

/**
 * Is done when it is freed, with the task that has it, or when its process dies.
 */
typedef struct pinfold_waitgroup_member pinfold_waitgroup_member;

/**
 * How a channel is made. Start from `PINFOLD_CHANNEL_SETTINGS_INIT`: a field that is 0 has its
 * default. Fields may be added at the end; `size` says which there are.
 */
typedef struct {
  /**
   * `sizeof(pinfold_channel_settings)`.
   */
  size_t size;
  /**
   * A `pinfold_overflow`. Default: `PINFOLD_OVERFLOW_BLOCK`.
   */
  int32_t overflow;
  /**
   * Must be 0.
   */
  int32_t reserved;
  /**
   * How many bytes the messages that wait may be together, with those of their buffers: for more
   * there is no room, and one that is longer by itself fails with `PINFOLD_STATUS_TOO_LARGE`. Not
   * for a channel of capacity 0. Default: 0, any number.
   */
  uint64_t bytes;
  /**
   * 1: a message that was received is received again, by this receiver or another, unless it is
   * acknowledged (`pinfold_message_ack`): when it is freed, or its process dies. Buffers in messages
   * stay the channel's until then. Default: 0, it is gone when it was received.
   */
  int32_t acks;
  /**
   * Must be 0.
   */
  int32_t reserved_2;
  /**
   * Messages of so many bytes or more are compressed (LZ4), if that makes them smaller; not the
   * buffers in them. It saves memory and costs time. Default: 0, none is.
   */
  uint64_t compress_from;
} pinfold_channel_settings;

/**
 * What one submission has besides its argument. Start from `PINFOLD_SUBMIT_SETTINGS_INIT`: a field
 * that is 0 or null has its default. Fields may be added at the end; `size` says which there
 * are.
 */
typedef struct {
  /**
   * `sizeof(pinfold_submit_settings)`.
   */
  size_t size;
  /**
   * Buffers that the task gets, in place and in this order (`pinfold_call_buffer`): at most 255. The
   * handles stay the caller's, and may be freed at once. Default: none.
   */
  pinfold_buffer *const *buffers;
  /**
   * How many.
   */
  size_t buffer_count;
  /**
   * Not 0: those of them that are not published are moved to the task, which may write them;
   * nothing is left of them but the handle. 0: they are refused, with
   * `PINFOLD_STATUS_NOT_PUBLISHED`.
   */
  int32_t move_buffers;
  /**
   * Tasks that are to have ended before this one begins, whose outputs are its inputs: as for
   * `pinfold_task_submit_after`. Default: none.
   */
  pinfold_handle *const *after;
  /**
   * How many.
   */
  size_t after_count;
  /**
   * Sending ends of channels, of which the task gets one more each, in this order
   * (`pinfold_call_sender`). The handles stay the caller's, and may be freed at once. Default: none.
   */
  pinfold_sender *const *senders;
  /**
   * How many.
   */
  size_t sender_count;
  /**
   * The same of receiving ends (`pinfold_call_receiver`).
   */
  pinfold_receiver *const *receivers;
  /**
   * How many.
   */
  size_t receiver_count;
  /**
   * Other objects that processes share, of any kinds (`pinfold_mutex`, `pinfold_subscriber`, and so on), which
   * the task gets in this order (`pinfold_call_object`). The handles stay the caller's, and may be
   * freed at once. What has one owner (a member of a barrier or of a group, a subscriber) is moved: nothing is left of it but the
   * handle. Default: none.
   */
  const void *const *objects;
  /**
   * How many.
   */
  size_t object_count;
} pinfold_submit_settings;

/**
 * Is told how a task has ended: `status`, and its output, `len` bytes at `data`, a multiple of
 * 64, which may be read until the function returns. `pinfold_last_message`, called by it, says
 * why there is no output. `user` is what it was set with.
 */
typedef void (*pinfold_completion)(pinfold_status status,
                                   const void *data,
                                   size_t len,
                                   void *user);

/**
 * Is told how far a task is: a fraction, by custom 0 to 1, and a text that ends in NUL and stays
 * until the function returns. `user` is what it was set with.
 */
typedef void (*pinfold_progressed)(double fraction,
                                   const char *message,
                                   void *user);

/**
 * Takes back what callbacks were called with: they are not called any more.
 */
typedef void (*pinfold_release)(void *user);

/**
 * Something to know a task by, in its log events.
 */
typedef struct {
  /**
   * What it is about; not null.
   */
  const char *key;
  /**
   * What is said of it; not null.
   */
  const char *value;
} pinfold_tag;

/**
 * What a task knows of itself. Start from `PINFOLD_TASK_INFO_INIT`. Fields may be added at the
 * end; `size` says for which there is room. Texts are the call's: they may be read until the
 * function returns.
 */
typedef struct {
  /**
   * `sizeof(pinfold_task_info)`.
   */
  size_t size;
  /**
   * The number of its worker, from 0; a successor has that of the one whose place it takes.
   */
  size_t worker;
  /**
   * How many workers there are.
   */
  size_t worker_count;
  /**
   * The number of the thread that runs it, among all that run tasks, from 0: two tasks that run
   * at the same time have different ones.
   */
  size_t executor;
  /**
   * The name that its function was registered by; empty while a state is made.
   */
  const char *function;
  /**
   * The name that it was given, or null.
   */
  const char *name;
  /**
   * The trace that it belongs to, or null.
   */
  const char *traceparent;
  /**
   * Its tags, in the order in which they were given.
   */
  const pinfold_tag *tags;
  /**
   * How many there are.
   */
  size_t tag_count;
} pinfold_task_info;

/**
 * Takes one event: a `pinfold_level`, where it comes from (`pinfold::…` is the library), and what
 * it says, with its fields as `name=value`.
 *
 * It is called on the thread that has something to say, one of the library's or of the program's,
 * and several may at once. The texts are there until it returns. It must not unwind, and should
 * not take long. What is said while it runs, on the same thread, is dropped.
 */
typedef void (*pinfold_log)(int32_t level,
                            const char *target,
                            const char *message,
                            void *user);

/**
 * A function that can be run as a task. Returns 0, or any other number if it failed: the
 * task has ended with `PINFOLD_STATUS_TASK_FAILED` then, and its handle tells the number.
 */
typedef int32_t (*pinfold_function)(pinfold_call *call,
                                    void *user);

/**
 * Settings of a runtime. Start from `PINFOLD_CONFIG_INIT`: a field that is 0 or null has its
 * default. Fields may be added at the end; `size` says which there are. Times are in nanoseconds.
 */
typedef struct {
  /**
   * `sizeof(pinfold_config)`.
   */
  size_t size;
  /**
   * Worker processes, 1 to 1024. Default: one for each CPU that this process may use.
   */
  size_t workers;
  /**
   * Threads in each worker that run tasks, 1 to 1024. Default 1: then a crash takes no other task with it.
   */
  size_t threads_per_worker;
  /**
   * Shared memory in bytes that is used at most, from 1 MiB on. Default: half of what this
   * process may use.
   */
  uint64_t memory_cap;
  /**
   * Tasks in flight at most, 1 to 524288. Default 8192.
   */
  size_t queue_capacity;
  /**
   * Whether each thread that runs tasks is pinned to one CPU: a `pinfold_choice`. Default: yes.
   */
  int32_t pin;
  /**
   * Whether each worker has a second process that shares its memory, so that its death is
   * told at once: a `pinfold_choice`. Default: yes.
   */
  int32_t keepers;
  /**
   * Whether shared memory is in core dumps: a `pinfold_choice`. Default: no.
   */
  int32_t dump_memory;
  /**
   * Whether shared memory is zeroed before it is handed out: a `pinfold_choice`. Default: no.
   */
  int32_t zero_memory;
  /**
   * Whether programs that a worker's tasks have started end with it: a `pinfold_choice`.
   * Default: no.
   */
  int32_t end_programs;
  /**
   * Whether each task is measured, for `pinfold_runtime_profile_json`: a `pinfold_choice`.
   * Default: no. It costs each task about 1 µs.
   */
  int32_t profile;
  /**
   * Whether `pinfold_runtime_new` waits until all workers have begun, and fails if one has
   * failed to: a `pinfold_choice`. Default: no.
   */
  int32_t start_checked;
  /**
   * How often in a row workers may end before they have begun, 1 to 1000. Default 10. Then
   * tasks end with `PINFOLD_STATUS_NO_WORKERS`, until one has begun.
   */
  uint32_t start_attempts;
  /**
   * What becomes of the tasks of dead workers' tasks: a `pinfold_orphans`. Default: cancel.
   */
  int32_t orphans;
  /**
   * What `pinfold_runtime_free` does with tasks in flight: a `pinfold_shutdown`. Default: drain
   * for 5 s.
   */
  int32_t on_free;
  /**
   * The `time` of that, in ns, if it has one.
   */
  uint64_t on_free_time;
  /**
   * The `grace` of that, in ns, if it has one.
   */
  uint64_t on_free_grace;
  /**
   * How long a task that is past its run limit or hard deadline has from SIGTERM to SIGKILL, in
   * ns, at most a day. Default: SIGKILL at once.
   */
  uint64_t kill_grace;
  /**
   * A worker that has work and gives no sign of life for so many ns is replaced: 10 ms to a
   * day. Default: none is.
   */
  uint64_t heartbeat;
  /**
   * Processes kept ready to take a dead worker's place, 0 to 64.
   */
  size_t spares;
  /**
   * Stack for tasks, in bytes, 256 KiB to 1 GiB. Default 8 MiB.
   */
  size_t stack_size;
  /**
   * How long a worker may take from its start until it works, in ns: 10 ms to a day. Default: 2
   * minutes.
   */
  uint64_t worker_init_timeout;
  /**
   * The file of a plugin that has the functions, for a host that has not called `pinfold_init`
   * (an interpreter, say): see `PINFOLD_PLUGIN`. Default null: the functions are this program's.
   */
  const char *plugin;
  /**
   * The program `pinfold-worker`, for a plugin. Default: what the environment variable
   * `PINFOLD_WORKER` names, or the one that is installed with the library.
   */
  const char *worker_program;
  /**
   * The state that each worker makes before its first task, by the name that it was registered
   * by (`pinfold_state_register`). Tasks find it by `pinfold_call_worker_state`.
   */
  const char *worker_state;
  /**
   * The same for each thread that runs tasks; tasks find it by `pinfold_call_executor_state`.
   */
  const char *executor_state;
  /**
   * The argument that states are made with, `state_argument_len` bytes; copied.
   */
  const void *state_argument;
  /**
   * How long it is.
   */
  size_t state_argument_len;
} pinfold_config;

/**
 * How a broadcast channel is made. Start from `PINFOLD_BROADCAST_SETTINGS_INIT`: a field that is 0 has its
 * default. Fields may be added at the end; `size` says which there are.
 */
typedef struct {
  /**
   * `sizeof(pinfold_broadcast_settings)`.
   */
  size_t size;
  /**
   * What becomes of a message when somebody has not read the oldest one, and there is no room: a
   * `pinfold_overflow`. Default: `PINFOLD_OVERFLOW_BLOCK`.
   */
  int32_t overflow;
  /**
   * Must be 0.
   */
  int32_t reserved;
  /**
   * How many subscribers there may be at a time, 512 at most; each takes 64 bytes. Default: 64.
   */
  size_t subscribers;
} pinfold_broadcast_settings;

/**
 * Does what is to be done once. Returns 0, or any other number if it was not done. `was_begun` is 1 if
 * somebody has begun before, and has died in the middle, or has failed; else 0.
 */
typedef int32_t (*pinfold_do)(int32_t was_begun,
                              void *user);

/**
 * Writes what is made once: `len` bytes at `data`, which are 0 before. Returns 0, or any other number if it
 * was not made.
 */
typedef int32_t (*pinfold_fill)(void *data,
                                size_t len,
                                void *user);

/**
 * Combines elements: `into[i] = into[i] combined with from[i]`, for each of `count`. Both begin at a
 * multiple of 64.
 */
typedef void (*pinfold_combine)(void *into,
                                const void *from,
                                size_t count,
                                void *user);

/**
 * One of the things that `pinfold_select` waits for: of `receiver`, `sender`, `handle`, `at` and `object` one is set.
 * Where none is, it is never ready: so set what is over to null. All else is 0.
 */
typedef struct {
  /**
   * A message of this receiver, which is received then; or nobody sends any more.
   */
  pinfold_receiver *receiver;
  /**
   * Room for a message, which is sent then; or nobody receives any more.
   */
  pinfold_sender *sender;
  /**
   * What is sent: bytes, which are copied when it is.
   */
  const void *data;
  /**
   * How many.
   */
  size_t len;
  /**
   * What goes with them, as for `pinfold_sender_send`; or null.
   */
  const pinfold_submit_settings *settings;
  /**
   * The end of this task.
   */
  pinfold_handle *handle;
  /**
   * A time: nanoseconds of `CLOCK_MONOTONIC`.
   */
  uint64_t at;
  /**
   * A `pinfold_subscriber`: a message of it, or its end; a `pinfold_ticker`: its next tick; or, in a task, a
   * `pinfold_child` of that: its end. Nothing is received by that, or told: ask it then, without waiting
   * (`pinfold_subscriber_recv`, `pinfold_ticker_missed`, `pinfold_child_wait`).
   */
  void *object;
  /**
   * Must be 0.
   */
  size_t reserved;
} pinfold_case;

/**
 * Makes a state: what it writes to `*out_state` is what tasks find. Returns 0, or any other number
 * if it failed; what it has told `pinfold_call_explain` is the reason then.
 *
 * Of `call` the argument may be asked for, the worker's state (when an executor's is made), what
 * there is to know by `pinfold_call_info`, and it may be explained a failure.
 */
typedef int32_t (*pinfold_state_make)(pinfold_call *call,
                                      void *user,
                                      void **out_state);

/**
 * Takes a state back.
 */
typedef void (*pinfold_state_drop)(void *state,
                                   void *user);

/**
 * Numbers of a runtime, since it was started where not said otherwise. Start from
 * `PINFOLD_STATS_INIT`. Fields may be added at the end; `size` says for which there is room.
 */
typedef struct {
  /**
   * `sizeof(pinfold_stats)`.
   */
  size_t size;
  /**
   * Tasks accepted.
   */
  uint64_t submitted;
  /**
   * Tasks whose function has returned, whatever it was.
   */
  uint64_t completed;
  /**
   * Of these, those that returned a number other than 0.
   */
  uint64_t returned_nonzero;
  /**
   * Tasks that ended because their worker died.
   */
  uint64_t died;
  /**
   * Runs repeated, because a worker died or by `pinfold_task_settings.retry`.
   */
  uint64_t repeated;
  /**
   * Tasks that ended by a deadline or their run limit.
   */
  uint64_t late;
  /**
   * Tasks that were cancelled, or a task that they depend on had no output.
   */
  uint64_t cancelled;
  /**
   * Tasks that ended in any other way.
   */
  uint64_t failed;
  /**
   * Of all these, those of whose end nobody was told.
   */
  uint64_t unobserved;
  /**
   * Tasks not accepted.
   */
  uint64_t refused;
  /**
   * Tasks in flight now.
   */
  uint64_t in_flight;
  /**
   * The most there may be.
   */
  uint64_t queue_capacity;
  /**
   * Worker processes that there are to be.
   */
  uint64_t workers;
  /**
   * Workers that are there now.
   */
  uint64_t workers_alive;
  /**
   * Threads that run tasks, in all workers.
   */
  uint64_t executors;
  /**
   * Workers that ended and were replaced.
   */
  uint64_t restarts;
  /**
   * Times the whole fold was built anew, because its memory was damaged.
   */
  uint64_t rebuilds;
  /**
   * Runs of tasks that workers have ended.
   */
  uint64_t run;
  /**
   * Of these, tasks taken from another's queue.
   */
  uint64_t stolen;
  /**
   * Times a thread went to sleep.
   */
  uint64_t sleeps;
  /**
   * Log events of tasks that were dropped.
   */
  uint64_t logs_dropped;
  /**
   * Bytes of memory behind the workers' processes now; what several share counts several times.
   */
  uint64_t resident;
  /**
   * Bytes of shared memory in use now, or kept for use.
   */
  uint64_t memory_resident;
  /**
   * Bytes that buffers may take in all.
   */
  uint64_t memory_cap;
  /**
   * Buffers in use now that one may write.
   */
  uint64_t buffers_writable;
  /**
   * Buffers in use now that are read-only.
   */
  uint64_t buffers_published;
  /**
   * Buffers in use now in results that nobody has taken.
   */
  uint64_t buffers_carried;
  /**
   * Hints that no longer held when they were read: of no harm.
   */
  uint64_t stale;
  /**
   * Things found in shared memory that no correct process writes.
   */
  uint64_t damage;
} pinfold_stats;

/**
 * What there is of a runtime's tasks and memory now, by state. Start from `PINFOLD_AUDIT_INIT`.
 * Fields may be added at the end; `size` says for which there is room.
 */
typedef struct {
  /**
   * `sizeof(pinfold_audit)`.
   */
  size_t size;
  /**
   * What nobody alive owns: 0 at any time, whoever died, or a defect of the library.
   * `pinfold_runtime_audit_json` has a text about each.
   */
  uint64_t orphans;
  /**
   * Slots without a task.
   */
  uint64_t slots_free;
  /**
   * Slots whose task nobody has begun.
   */
  uint64_t slots_queued;
  /**
   * Slots whose task is being run.
   */
  uint64_t slots_running;
  /**
   * Slots whose task has ended, and the host has not looked yet.
   */
  uint64_t slots_done;
  /**
   * Slots whose task waits for others, or for its next attempt.
   */
  uint64_t slots_waiting;
  /**
   * Blocks of shared memory that nobody uses.
   */
  uint64_t blocks_free;
  /**
   * Blocks that one process may write.
   */
  uint64_t blocks_writable;
  /**
   * Blocks that are read-only.
   */
  uint64_t blocks_published;
  /**
   * Blocks in results that nobody has taken.
   */
  uint64_t blocks_carried;
  /**
   * Blocks in which channels, and whatever else several processes write at once, have their state.
   */
  uint64_t blocks_lanes;
  /**
   * Blocks in messages that nobody has received.
   */
  uint64_t blocks_passing;
} pinfold_audit;

/**
 * So much of a limit.
 */
typedef struct {
  /**
   * Of which one; not null.
   */
  pinfold_limit *limit;
  /**
   * How much.
   */
  uint64_t units;
} pinfold_share;

/**
 * Says whether what a task would end in is a failure, to be tried again: other than 0 is yes.
 * `status`, `code` and `message` are what its handle would tell: `PINFOLD_STATUS_OK`, 0 and ""
 * for a task that has an output.
 *
 * It is called in the program, on a thread of the library; several may be at once, of several
 * tasks. `message` is there until it returns. It must not unwind, and should not take long.
 */
typedef int32_t (*pinfold_retry_if)(pinfold_status status,
                                    int32_t code,
                                    const char *message,
                                    void *user);

/**
 * Settings of a task. Start from `PINFOLD_TASK_SETTINGS_INIT`: a field that is 0 or null has its
 * default. Fields may be added at the end; `size` says which there are. Times are in
 * nanoseconds. They hold in whatever way the task is submitted.
 */
typedef struct {
  /**
   * `sizeof(pinfold_task_settings)`.
   */
  size_t size;
  /**
   * A name for errors, events and statistics, besides the function's. Default: none.
   */
  const char *name;
  /**
   * The trace that it belongs to, as in the HTTP header of that name (W3C Trace Context).
   * Default: none.
   */
  const char *traceparent;
  /**
   * `tag_count` tags; copied.
   */
  const pinfold_tag *tags;
  /**
   * How many there are.
   */
  size_t tag_count;
  /**
   * `limit_count` shares, which the task takes for as long as it is in flight, all in one step.
   * To submit waits until they are free. If it wants more than there is in all it ends with
   * `PINFOLD_STATUS_TOO_LARGE`.
   */
  const pinfold_share *limits;
  /**
   * How many there are.
   */
  size_t limit_count;
  /**
   * How long each attempt may run, in ns. One that runs for longer ends with
   * `PINFOLD_STATUS_DEADLINE_EXCEEDED`, and its worker is killed and replaced. Default: no limit.
   */
  uint64_t run_limit;
  /**
   * How long after its submission the task must have ended, in ns; as `run_limit` else.
   */
  uint64_t hard_deadline;
  /**
   * How long after its submission the task must have begun, in ns; else it ends with
   * `PINFOLD_STATUS_DEADLINE_EXCEEDED`.
   */
  uint64_t start_deadline;
  /**
   * How long after its submission the task should have ended, in ns: it sees so itself.
   */
  uint64_t soft_deadline;
  /**
   * How urgent it is: a `pinfold_priority`. Default: normal.
   */
  int32_t priority;
  /**
   * Running the task twice does no harm: when a worker dies that runs it, it is run again, up to
   * so many times in all. Default 1: it is run at most once.
   */
  uint32_t attempts;
  /**
   * How long it waits before its third attempt of these, in ns; then twice as long each time.
   * Default 10 ms.
   */
  uint64_t backoff_first;
  /**
   * The longest of these waits, in ns. Default 1 s.
   */
  uint64_t backoff_longest;
  /**
   * Whether the task is tried again if it returns a number other than 0, and how long it waits: a
   * `pinfold_retry`. Default: it is not.
   */
  int32_t retry;
  /**
   * Up to so many attempts in all. Default 3.
   */
  uint32_t retry_attempts;
  /**
   * The wait after the first failure, in ns.
   */
  uint64_t retry_delay;
  /**
   * The longest wait of `PINFOLD_RETRY_EXPONENTIAL`, in ns. Default: a day.
   */
  uint64_t retry_longest;
  /**
   * Whether each wait is stretched at random, by up to its own length: a `pinfold_choice`.
   * Default: no.
   */
  int32_t retry_jitter;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * What counts as a failure. Default: each number other than 0 that the function returns. To
   * take `PINFOLD_STATUS_WORKER_DIED` for one is to declare that running it again does no
   * harm. It may be called as long as the task, or a handle of it, is there.
   */
  pinfold_retry_if retry_if;
  /**
   * What `retry_if` is called with.
   */
  void *retry_user;
  /**
   * Remembers its outputs: it is not run again for an argument whose output is there, and of
   * several that are the same and in flight one is run. For functions whose output depends on
   * nothing but their argument. It is for tasks without dependencies, buffers among the
   * arguments, or a bound on waiting. Default: none.
   */
  pinfold_memo *memo;
} pinfold_task_settings;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, for people and log lines, like "0.1.0".
 *
 * Never null; lives as long as the library is loaded; not to be freed.
 *
 * Any thread, and a signal handler.
 */
const char *pinfold_version(void);

/**
 * The value that `PINFOLD_ABI_VERSION` had when the library was built.
 *
 * Zero, which is no version, if the library is broken.
 *
 * Any thread, and a signal handler.
 */
uint32_t pinfold_abi_version(void);

/**
 * One English sentence about a status code, for people and log lines.
 *
 * Any number is allowed: one that is not a status code is said to be unknown.
 * Never null; lives as long as the library is loaded; not to be freed.
 *
 * Any thread, and a signal handler.
 */
const char *pinfold_status_message(int32_t code);

/**
 * Whether a status says of a task that it has ended without a value: 1 or 0. For what
 * functions return that ask how a task has ended (`pinfold_handle_join`, `_result`, `_status`,
 * `_output_buffer`, those of children and groups, callbacks).
 *
 * 1 from 100 on, also for a number that this version does not know; and for those of a task that
 * could not be run: `PINFOLD_STATUS_SYSTEM`, `_NO_MEMORY`, `_TOO_LARGE`, `_SHUTDOWN`, `_FORKED` and
 * `_FOREIGN_HANDLE`. 0 for any other: the call did nothing, and the handle is as it was.
 *
 * Any thread, and a signal handler.
 */
int32_t pinfold_status_ends_task(int32_t code);

/**
 * How many CPUs this process may use: by its affinity mask and by its control
 * group's CPU limit, whichever is smaller. At least 1.
 *
 * Writes the number to `*out_count`, and only when it returns `PINFOLD_STATUS_OK`.
 * Fails with `PINFOLD_STATUS_NULL_ARGUMENT`, or with `PINFOLD_STATUS_SYSTEM` when the
 * system does not tell.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or points to a `size_t` that nobody else touches during the call.
 */
pinfold_status pinfold_allowed_cpus(size_t *out_count);

/**
 * Submits `count` tasks, as `pinfold_task_submit` does one after the other. The argument of task
 * `i` is `lens[i]` bytes; they lie one after the other at `arguments`, and are copied.
 *
 * Each handle is the caller's. If the call fails, `out_handles` is null from the first task on that
 * was not submitted.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if the sum of `lens` is not `total`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `total` bytes can be read at `arguments` (null if there are none), `count` lengths at `lens`,
 * and `count` handles written to `out_handles`.
 */
pinfold_status pinfold_task_submit_many(pinfold_task *task,
                                        const void *arguments,
                                        size_t total,
                                        const size_t *lens,
                                        size_t count,
                                        pinfold_handle **out_handles);

/**
 * The same, as far as they are accepted within `timeout` nanoseconds in all: `out_handles` is null
 * from the first on that was not, and the status is why, as of `pinfold_task_submit_timeout`. Call
 * again with those.
 *
 * Any thread.
 *
 * # Safety
 *
 * As for `pinfold_task_submit_many`.
 */
pinfold_status pinfold_task_submit_many_timeout(pinfold_task *task,
                                                const void *arguments,
                                                size_t total,
                                                const size_t *lens,
                                                size_t count,
                                                uint64_t timeout,
                                                pinfold_handle **out_handles);

/**
 * Submits a task once for each worker, all with the same `len` bytes of argument, which are copied: to fill a
 * cache there, to have a setting read anew. Handle `i` is that of worker `i` (`pinfold_task_info.worker`).
 * How many there are is written to `out_count`, also if `max` are too few. A worker runs its one before all else,
 * as soon as one of its executors has nothing under way; the settings but the priority are the task's, and no outcome is
 * remembered.
 *
 * Each handle is the caller's, as that of `pinfold_task_submit`.
 *
 * Fails with `PINFOLD_STATUS_BUFFER_TOO_SMALL` if there are more than `max` workers, or with
 * `PINFOLD_STATUS_SHUTDOWN` if the runtime was freed; with nothing submitted.
 *
 * Any thread.
 *
 * # Safety
 *
 * `len` bytes can be read at `argument` (null if there are none); `max` handles can be written to
 * `out_handles`; `out_count` is null, or writable.
 */
pinfold_status pinfold_task_broadcast(pinfold_task *task,
                                      const void *argument,
                                      size_t len,
                                      size_t max,
                                      pinfold_handle **out_handles,
                                      size_t *out_count);

/**
 * Waits at most `timeout` nanoseconds in all for `count` tasks, one after the other, and copies their
 * outputs to `buffer`, one after the other: `out_lens[i]` bytes each. `out_statuses[i]` is how
 * task `i` has ended.
 *
 * A handle whose output was copied is freed, and null in `handles`. That of a task that has ended
 * without an output stays the caller's, who may ask it why.
 *
 * If one has not ended in time, or its output does not fit any more, the status is
 * `PINFOLD_STATUS_TIMED_OUT` or `PINFOLD_STATUS_BUFFER_TOO_SMALL`: that one's handle and those after
 * it stay, and have that status in `out_statuses`; if it does not fit, `out_lens` there is how long it
 * is. Call again with them.
 *
 * Fails with `PINFOLD_STATUS_BAD_HANDLE` or `PINFOLD_STATUS_NULL_ARGUMENT` at the first handle that
 * is none; those before it are done.
 *
 * Any thread.
 *
 * # Safety
 *
 * `count` handles can be read and written at `handles`, `capacity` bytes be written at `buffer`
 * (null if there are none), and `count` values at `out_lens` and at `out_statuses`. Nobody else
 * touches them during the call.
 */
pinfold_status pinfold_handle_join_many(pinfold_handle **handles,
                                        size_t count,
                                        uint64_t timeout,
                                        void *buffer,
                                        size_t capacity,
                                        size_t *out_lens,
                                        int32_t *out_statuses);

/**
 * A buffer of `len` bytes for the tasks of `runtime`, to be written
 * (`pinfold_buffer_data`) and then published. What is in it is
 * undefined until it is written.
 *
 * The buffer is the caller's: free it with `pinfold_buffer_free`, at any time, also after
 * its runtime.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY` (no shared memory is left now),
 * `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_buffer_new`.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_buffer_new(pinfold_runtime *runtime,
                                  size_t len,
                                  pinfold_buffer **out_buffer);

/**
 * Where to write a buffer that is not published: a multiple of 64.
 *
 * The memory is the buffer's: it may be written by any thread until the buffer is published, moved or
 * freed; and read until it is moved or freed.
 *
 * Fails with `PINFOLD_STATUS_PUBLISHED` and `PINFOLD_STATUS_MOVED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_data` is null, or writable.
 */
pinfold_status pinfold_buffer_data(pinfold_buffer *buffer,
                                   void **out_data);

/**
 * Where a buffer begins, for reading; and its length in bytes. It begins at a multiple of 64,
 * unless it is a range (`pinfold_buffer_range`).
 *
 * The memory is the buffer's: it may be read by any thread until the buffer is moved or freed.
 *
 * Fails with `PINFOLD_STATUS_MOVED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_buffer_const_data(pinfold_buffer *buffer,
                                         const void **out_data,
                                         size_t *out_len);

/**
 * The length of a buffer in bytes.
 *
 * Fails with `PINFOLD_STATUS_MOVED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_len` is null, or writable.
 */
pinfold_status pinfold_buffer_len(pinfold_buffer *buffer,
                                  size_t *out_len);

/**
 * Ends the writing of a buffer: the same memory, which from now on any number of tasks may read,
 * in place, and nobody may write.
 *
 * Fails with `PINFOLD_STATUS_PUBLISHED` if it was before, and with `PINFOLD_STATUS_MOVED`.
 *
 * Any thread; no other may be writing.
 */
pinfold_status pinfold_buffer_publish(pinfold_buffer *buffer);

/**
 * Another handle of a published buffer: the memory stays until the last one is freed, and the
 * last task that has it has ended.
 *
 * The new handle is the caller's: free it with `pinfold_buffer_free`.
 *
 * Fails with `PINFOLD_STATUS_NOT_PUBLISHED` (it has one owner until then) and
 * `PINFOLD_STATUS_MOVED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_buffer_retain(pinfold_buffer *buffer,
                                     pinfold_buffer **out_buffer);

/**
 * A range of a published buffer: `len` bytes from byte `offset` on, of the same memory, as a
 * buffer. It is passed to tasks, kept and made an output as any other, without a copy. The memory,
 * all of it, stays until the last handle of it is freed, and the last task that has it has ended.
 *
 * The range begins `offset` bytes past the buffer's begin: at a multiple of 64 only if `offset` is
 * one. It may be empty. Of a range there are ranges, too.
 *
 * The new handle is the caller's: free it with `pinfold_buffer_free`.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if the range ends past the buffer's end (the message
 * has both), `PINFOLD_STATUS_NOT_PUBLISHED` and `PINFOLD_STATUS_MOVED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_range` is null, or writable.
 */
pinfold_status pinfold_buffer_range(pinfold_buffer *buffer,
                                    size_t offset,
                                    size_t len,
                                    pinfold_buffer **out_range);

/**
 * Frees a handle of a buffer; the memory with the last one, when no task has it any more. Null
 * does nothing.
 *
 * Any thread. What the memory was read or written by may not be used any more.
 */
pinfold_status pinfold_buffer_free(pinfold_buffer *buffer);

/**
 * The argument of the task: where it begins, a multiple of 64, and its length in bytes.
 *
 * The memory is the call's: it may be read until the function returns.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_call_argument(pinfold_call *call,
                                     const void **out_data,
                                     size_t *out_len);

/**
 * How many tasks this one was submitted after: so many inputs it has.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_call_input_count(pinfold_call *call,
                                        size_t *out_count);

/**
 * Input `index`: the output of the task that was named there when this one was submitted, in
 * place: where it begins, a multiple of 64, and its length in bytes.
 *
 * The memory is the call's: it may be read until the function returns. Fails with
 * `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_call_input(pinfold_call *call,
                                  size_t index,
                                  const void **out_data,
                                  size_t *out_len);

/**
 * Makes room for the task's output, `len` bytes, and returns where to write it: a multiple of
 * 64. A long one lies in shared memory, and is not copied any more.
 *
 * What is in it is undefined until it is written. Another call takes the place of this one, whose memory
 * must not be written to any more. It is the call's: it may be written to until the function
 * returns. If that returns another number than 0, there is no output.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_TOO_LARGE`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_data` is null, or writable.
 */
pinfold_status pinfold_call_output(pinfold_call *call,
                                   size_t len,
                                   void **out_data);

/**
 * What the task has to say about its failure: kept (copied, cut after 4096 bytes) for when the
 * function returns another number than 0.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `message` is null, or a string that ends in NUL.
 */
pinfold_status pinfold_call_explain(pinfold_call *call,
                                    const char *message);

/**
 * How many buffers the task was submitted with.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_call_buffer_count(pinfold_call *call,
                                         size_t *out_count);

/**
 * Buffer `index` that the task was submitted with, in place: where it begins, a multiple of 64
 * (unless it is a range), and its length in bytes.
 *
 * The memory is the call's: it may be read until the function returns (or until the buffer is taken). To keep
 * it beyond that, or to write one that was moved to the task, take it
 * (`pinfold_call_buffer_take`).
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
 * `PINFOLD_STATUS_MOVED`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_call_buffer(pinfold_call *call,
                                   size_t index,
                                   const void **out_data,
                                   size_t *out_len);

/**
 * A handle of buffer `index`: of a published one, another; of one that was moved to the task, the
 * one and only, by which it may be written; it can be taken once.
 *
 * The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`, or
 * make it the output. With the process it ends.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
 * `PINFOLD_STATUS_MOVED`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_call_buffer_take(pinfold_call *call,
                                        size_t index,
                                        pinfold_buffer **out_buffer);

/**
 * A handle of input `index`, the output of a task that this one was submitted after
 * (`pinfold_call_input`): to keep it, or to pass it on.
 *
 * The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_call_input_buffer(pinfold_call *call,
                                         size_t index,
                                         pinfold_buffer **out_buffer);

/**
 * A buffer of `len` bytes, made in a task: as `pinfold_buffer_new` makes them in the host.
 *
 * The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`, or
 * make it the output. With the process it ends.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_TOO_LARGE`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_call_buffer_new(pinfold_call *call,
                                       size_t len,
                                       pinfold_buffer **out_buffer);

/**
 * Makes a buffer the task's output, without a copy, as far as no other handle of it is left in
 * this worker when the function returns. It is moved: the handle has nothing any more, and is
 * to be freed as ever. One that is not published is published so. If the
 * function returns another number than 0, there is no output.
 *
 * Another call, of this function or of `pinfold_call_output`, takes the place of this one.
 *
 * Fails with `PINFOLD_STATUS_MOVED`.
 *
 * Only in a task, by the thread that the function was called on.
 */
pinfold_status pinfold_call_output_buffer(pinfold_call *call,
                                          pinfold_buffer *buffer);

/**
 * How many sending ends of channels the task was submitted with.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_call_sender_count(pinfold_call *call,
                                         size_t *out_count);

/**
 * A handle of sending end `index` that the task was submitted with.
 *
 * The handle is the worker process's, also after the call: free it with `pinfold_sender_free`. With
 * the process it ends. The call has what was not asked for, until the function returns; what was asked for is the
 * function's alone: when it frees its last sender, there is none. To ask for the same again gives one more
 * handle, to be freed too, unless the handle that was given last is freed.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with `PINFOLD_STATUS_MOVED` if it
 * was asked for before, and the last handle of it was freed.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_sender` is null, or writable.
 */
pinfold_status pinfold_call_sender(pinfold_call *call,
                                   size_t index,
                                   pinfold_sender **out_sender);

/**
 * How many receiving ends of channels the task was submitted with.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_call_receiver_count(pinfold_call *call,
                                           size_t *out_count);

/**
 * A handle of receiving end `index` that the task was submitted with.
 *
 * The handle is the worker process's, also after the call: free it with `pinfold_receiver_free`. With
 * the process it ends. The call has what was not asked for, until the function returns; what was asked for is the
 * function's alone: when it frees its last receiver, there is none. To ask for the same again gives one more
 * handle, to be freed too, unless the handle that was given last is freed.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with `PINFOLD_STATUS_MOVED` if it
 * was asked for before, and the last handle of it was freed.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_receiver` is null, or writable.
 */
pinfold_status pinfold_call_receiver(pinfold_call *call,
                                     size_t index,
                                     pinfold_receiver **out_receiver);

/**
 * A channel between the processes of `runtime`: what is sent into one end is received at the other,
 * in this process or any worker. It holds `capacity` messages; one of capacity 0 holds none, and who
 * sends waits until the message is taken. `settings` may be null: all defaults.
 *
 * Both ends are the caller's: free each with `pinfold_sender_free` and `pinfold_receiver_free`, at
 * any time, also after the runtime. An end is passed to a task (`pinfold_submit_settings.senders`)
 * or sent in a message; each is one more end of the same channel. A channel
 * is over for its receivers when no sender is left anywhere and all messages are taken, and for its
 * senders when no receiver is left: so free an end here that is a task's now.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a setting that makes no sense, and with
 * `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_channel_new`.
 *
 * # Safety
 *
 * `settings` is null or a `pinfold_channel_settings`; `out_sender` and `out_receiver` are null, or
 * writable.
 */
pinfold_status pinfold_channel_new(pinfold_runtime *runtime,
                                   size_t capacity,
                                   const pinfold_channel_settings *settings,
                                   pinfold_sender **out_sender,
                                   pinfold_receiver **out_receiver);

/**
 * The same in a task.
 *
 * Both handles are the worker process's, also after the call: free each. With the process they end.
 *
 * Fails as `pinfold_channel_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_channel_new`.
 */
pinfold_status pinfold_call_channel_new(pinfold_call *call,
                                        size_t capacity,
                                        const pinfold_channel_settings *settings,
                                        pinfold_sender **out_sender,
                                        pinfold_receiver **out_receiver);

/**
 * Sends a message: `len` bytes, which are copied, and what `settings` say (null: nothing): published
 * buffers, which are not copied, ends of channels, and other objects. Waits at most `timeout` nanoseconds
 * for room; 0 does not wait, and `PINFOLD_FOREVER` is no limit. What one sender has sent
 * arrives in that order.
 *
 * Fails with `PINFOLD_STATUS_FULL` (there is no room, and the call does not wait; or the channel
 * rejects), `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_DISCONNECTED` (nobody receives any more, or
 * the channel was closed), `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it
 * waited), `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE`, `PINFOLD_STATUS_SHUTDOWN` (the
 * runtime has ended), `PINFOLD_STATUS_FORKED`; for what goes with it as
 * `pinfold_task_submit_with`; and with `PINFOLD_STATUS_INVALID_ARGUMENT` if `settings` move
 * buffers or name tasks. Then nothing was sent, and nothing moved.
 *
 * Any thread. In a task it keeps the executor that runs it: there must be more of these than tasks
 * that wait for each other.
 *
 * # Safety
 *
 * `len` bytes can be read at `data` (null if there are none); `settings` is null or a
 * `pinfold_submit_settings`, where so many handles can be read as it says.
 */
pinfold_status pinfold_sender_send(pinfold_sender *sender,
                                   const void *data,
                                   size_t len,
                                   const pinfold_submit_settings *settings,
                                   uint64_t timeout);

/**
 * One more sending end of the same channel, the caller's: free it with `pinfold_sender_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_sender` is null, or writable.
 */
pinfold_status pinfold_sender_clone(pinfold_sender *sender,
                                    pinfold_sender **out_sender);

/**
 * How many messages are in the channel, at some moment: always 0 if its capacity is.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_len` is null, or writable.
 */
pinfold_status pinfold_sender_len(pinfold_sender *sender,
                                  size_t *out_len);

/**
 * How many messages the channel holds: at least as many as it was made for.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_capacity` is null, or writable.
 */
pinfold_status pinfold_sender_capacity(pinfold_sender *sender,
                                       size_t *out_capacity);

/**
 * Closes the channel for all: no more messages are accepted. What was sent before is still received.
 * Whoever waits sees it.
 *
 * Any thread.
 */
pinfold_status pinfold_sender_close(pinfold_sender *sender);

/**
 * Frees a sending end; the channel is over for its receivers when it was the last one, and they have taken what was sent.
 * Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_sender_free(pinfold_sender *sender);

/**
 * The next message of a channel. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
 * `PINFOLD_FOREVER` is no limit. Each message is received once, by one of the receivers.
 *
 * The message is the caller's: free it with `pinfold_message_free`.
 *
 * Fails with `PINFOLD_STATUS_EMPTY` (there is none, and the call does not wait),
 * `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_DISCONNECTED` (all are taken, and nobody sends any
 * more, or the channel was closed), `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it
 * waited), `PINFOLD_STATUS_NOT_TRANSFERABLE` (it was sent by something else than this library's C
 * functions, and does not read; it is gone), `PINFOLD_STATUS_SHUTDOWN` (the runtime has ended) or
 * `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it, as `pinfold_sender_send`.
 *
 * # Safety
 *
 * `out_message` is null, or writable.
 */
pinfold_status pinfold_receiver_recv(pinfold_receiver *receiver,
                                     uint64_t timeout,
                                     pinfold_message **out_message);

/**
 * One more receiving end of the same channel, the caller's: free it with `pinfold_receiver_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_receiver` is null, or writable.
 */
pinfold_status pinfold_receiver_clone(pinfold_receiver *receiver,
                                      pinfold_receiver **out_receiver);

/**
 * How many messages are in the channel, at some moment: always 0 if its capacity is.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_len` is null, or writable.
 */
pinfold_status pinfold_receiver_len(pinfold_receiver *receiver,
                                    size_t *out_len);

/**
 * How many messages were dropped to make room for others (`PINFOLD_OVERFLOW_DROP_OLDEST`).
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_receiver_dropped(pinfold_receiver *receiver,
                                        uint64_t *out_count);

/**
 * How many messages were received and neither acknowledged nor given back, at some moment, in a channel whose
 * messages are acknowledged; else 0.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_receiver_unacknowledged(pinfold_receiver *receiver,
                                               size_t *out_count);

/**
 * How many messages were lost with receivers that died while they took them.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_receiver_lost(pinfold_receiver *receiver,
                                     uint64_t *out_count);

/**
 * Closes the channel for all, as `pinfold_sender_close`.
 *
 * Any thread.
 */
pinfold_status pinfold_receiver_close(pinfold_receiver *receiver);

/**
 * Frees a receiving end; the channel is over for its senders when it was the last one. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_receiver_free(pinfold_receiver *receiver);

/**
 * Submits a task from inside of a task: `function`, as it was registered, with `len` bytes of
 * argument, which are copied, and with the buffers of `settings` (null: none).
 *
 * Any worker may run it. Who waits for it runs it on the spot if nobody has begun it by then, so this costs
 * little and never deadlocks, however deep. It is part of the host's task that this one is part
 * of, and is cancelled with it. It is run at most once.
 *
 * The child is the call's: free it with `pinfold_child_free`; those that are left when the
 * function returns are freed.
 *
 * Fails with `PINFOLD_STATUS_UNKNOWN_FUNCTION`; for a buffer as `pinfold_task_submit_with`; and
 * with `PINFOLD_STATUS_INVALID_ARGUMENT` if `settings` say what it is to be after. All else the
 * child tells.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `function` is null or a string that ends in NUL; `len` bytes can be read at `argument` (null if
 * there are none); `settings` is null or a `pinfold_submit_settings`, where so many handles can
 * be read as it says; `out_child` is null or writable.
 */
pinfold_status pinfold_call_submit(pinfold_call *call,
                                   const char *function,
                                   const void *argument,
                                   size_t len,
                                   const pinfold_submit_settings *settings,
                                   pinfold_child **out_child);

/**
 * Waits at most `timeout` nanoseconds for a child to end, however it does: runs it here if nobody has begun it,
 * whatever time that takes, and other tasks meanwhile. 0 only looks, and runs nothing;
 * `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_TIMED_OUT`: it goes on.
 *
 * Only in a task, by the thread that the function was called on.
 */
pinfold_status pinfold_child_wait(pinfold_child *child,
                                  uint64_t timeout);

/**
 * Waits for a child to end, as `pinfold_child_wait`, and returns its status and its output, in
 * place: where that begins, a multiple of 64, and its length in bytes. If it has no output, both are 0.
 *
 * The memory is the child's: it may be read until that is freed.
 *
 * A status from 100 on says why there is none; `pinfold_last_message` says more.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_child_result(pinfold_child *child,
                                    const void **out_data,
                                    size_t *out_len);

/**
 * Waits for a child to end, as `pinfold_child_wait`, and returns its output as a buffer: to keep it, or to pass
 * it on.
 *
 * The handle is the worker process's, also after the call: free it with `pinfold_buffer_free`.
 *
 * A status from 100 on says why there is none; `pinfold_last_message` says more.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_child_output_buffer(pinfold_child *child,
                                           pinfold_buffer **out_buffer);

/**
 * What the function of a child has returned, if that has ended: 0 unless its status is
 * `PINFOLD_STATUS_TASK_FAILED`. Fails with `PINFOLD_STATUS_TIMED_OUT` if it has not ended.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_code` is null, or writable.
 */
pinfold_status pinfold_child_code(pinfold_child *child,
                                  int32_t *out_code);

/**
 * Waits for a child to end, as `pinfold_child_wait`, copies its output to `buffer`, and frees it.
 * `out_len` is the output's length.
 *
 * If the output is longer than `capacity` bytes, the status is
 * `PINFOLD_STATUS_BUFFER_TOO_SMALL`, `out_len` is what is needed, and the child stays. In
 * all other cases it is freed, also if it has failed.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null (it is
 * not asked for) or writable.
 */
pinfold_status pinfold_child_join(pinfold_child *child,
                                  void *buffer,
                                  size_t capacity,
                                  size_t *out_len);

/**
 * Cancels a child, and all that it has submitted: what nobody has begun never runs, and what
 * runs hears of it by `pinfold_call_is_cancelled`.
 *
 * Only in a task, by the thread that the function was called on.
 */
pinfold_status pinfold_child_cancel(pinfold_child *child);

/**
 * Frees a child. If it has not ended, it runs on, as part of the same task of the host, and nobody hears of it. Null does nothing.
 *
 * Only in a task, by the thread that the function was called on.
 */
pinfold_status pinfold_child_free(pinfold_child *child);

/**
 * What the last call of this thread that failed has said, with its causes: one or more English
 * sentences for people and log lines. Empty if none has failed.
 *
 * Never null. It stays as it is until the next call of this thread that fails; copy it to keep
 * it. Not to be freed.
 *
 * Any thread: each has its own.
 */
const char *pinfold_last_message(void);

/**
 * Makes an object that tells which tasks have ended, for a program that has a poll loop of its
 * own: add handles to it, wait for its descriptor to be readable, take the tokens of those that
 * have ended, one by one.
 *
 * It is the caller's: free it with `pinfold_events_free`.
 *
 * Fails with `PINFOLD_STATUS_SYSTEM` if there are no descriptors left.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_events` is null, or writable.
 */
pinfold_status pinfold_events_new(pinfold_events **out_events);

/**
 * The descriptor: readable as long as there is a token to be taken. Give it to `poll`, `epoll`
 * or a library of that kind; do not read from it.
 *
 * It is closed when the events are freed. If the program closes it before, nobody is harmed: nothing is told by
 * it any more, but tokens can be taken.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_fd` is null, or writable.
 */
pinfold_status pinfold_events_fd(pinfold_events *events,
                                 int *out_fd);

/**
 * Has `token` told when the task has ended, however it does; at once if it has. The handle stays the caller's, and
 * may be freed. A task may be added several times, each of which is told.
 *
 * Fails with `PINFOLD_STATUS_FORKED` in a process that was forked off.
 *
 * Any thread.
 */
pinfold_status pinfold_events_add(pinfold_events *events,
                                  pinfold_handle *handle,
                                  uint64_t token);

/**
 * Takes the token of a task that has ended, in the order in which they did. Never waits.
 *
 * Fails with `PINFOLD_STATUS_NOTHING_YET` if there is none, and with `PINFOLD_STATUS_FORKED` in a
 * process that was forked off.
 *
 * Any thread, and several at once: each token is told once.
 *
 * # Safety
 *
 * `out_token` is null, or writable.
 */
pinfold_status pinfold_events_next(pinfold_events *events,
                                   uint64_t *out_token);

/**
 * Frees events, and closes the descriptor; the tasks go on. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_events_free(pinfold_events *events);

/**
 * Waits at most `timeout` nanoseconds for `count` tasks to end, however each does, of whatever
 * runtimes; 0 only looks, and `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_OK`: all have ended.
 * `PINFOLD_STATUS_TIMED_OUT`: some go on.
 *
 * Any thread, and several at once.
 *
 * # Safety
 *
 * `count` handles can be read at `handles` (null if there are none).
 */
pinfold_status pinfold_handle_wait_all(pinfold_handle *const *handles,
                                       size_t count,
                                       uint64_t timeout);

/**
 * Waits at most `timeout` nanoseconds for one of `count` tasks to end, of whatever runtimes;
 * `out_index` is which of them has, the first in the list if several have. 0 only looks, and
 * `PINFOLD_FOREVER` is no limit.
 *
 * Each call looks at all of them: for many tasks, one after the other, there is `pinfold_events`.
 *
 * Fails with `PINFOLD_STATUS_TIMED_OUT`, and with `PINFOLD_STATUS_INVALID_ARGUMENT` if `count`
 * is 0.
 *
 * Any thread, and several at once.
 *
 * # Safety
 *
 * `count` handles can be read at `handles`; `out_index` is null, or writable.
 */
pinfold_status pinfold_handle_wait_any(pinfold_handle *const *handles,
                                       size_t count,
                                       uint64_t timeout,
                                       size_t *out_index);

/**
 * How a task has ended, without waiting: `PINFOLD_STATUS_OK` (it has its output),
 * `PINFOLD_STATUS_TIMED_OUT` (it has not ended yet), or why it has none.
 *
 * Any thread.
 */
pinfold_status pinfold_handle_status(pinfold_handle *handle);

/**
 * Whether a task has ended, however it did: 1 or 0. Never waits.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_finished` is null, or writable.
 */
pinfold_status pinfold_handle_is_finished(pinfold_handle *handle,
                                          int32_t *out_finished);

/**
 * A number that no other task of its runtime has; `pinfold_call_id` is the same in the task. Fails with
 * `PINFOLD_STATUS_NOTHING_YET` while the task waits for others, and when it has ended.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_id` is null, or writable.
 */
pinfold_status pinfold_handle_id(pinfold_handle *handle,
                                 uint64_t *out_id);

/**
 * Cancels a task. One that has not begun never will; one that runs is asked to end
 * (`pinfold_call_is_cancelled`), and goes on if it does not listen. If it then returns another
 * number than 0, or its worker dies, its status is `PINFOLD_STATUS_CANCELLED`; if it returns 0,
 * that is its end. One that has ended stays as it is.
 *
 * Any thread.
 */
pinfold_status pinfold_handle_cancel(pinfold_handle *handle);

/**
 * As `pinfold_handle_cancel`; but if the task still runs after `grace` nanoseconds, its worker is killed,
 * and replaced, and its status is `PINFOLD_STATUS_CANCELLED`. `PINFOLD_FOREVER`: it is not killed.
 *
 * Any thread.
 */
pinfold_status pinfold_handle_cancel_within(pinfold_handle *handle,
                                            uint64_t grace);

/**
 * From now on the task is cancelled if its handle is freed before it has ended, as by
 * `pinfold_handle_cancel_within` with this `grace`.
 *
 * Any thread.
 */
pinfold_status pinfold_handle_abort_on_free(pinfold_handle *handle,
                                            uint64_t grace);

/**
 * How far a task has last said it is (`pinfold_call_report_progress`): a fraction, by custom 0 to 1, and a
 * text, of which as much is copied to `message` as fits into `capacity` bytes with the NUL at
 * its end. A message has at most 88 bytes, without the NUL.
 *
 * Fails with `PINFOLD_STATUS_NOTHING_YET` if it has said nothing, or has ended.
 *
 * Any thread. Never waits.
 *
 * # Safety
 *
 * `out_fraction` is null (it is not asked for) or writable; `capacity` bytes can be written at
 * `message` (null if there are none).
 */
pinfold_status pinfold_handle_progress(pinfold_handle *handle,
                                       char *message,
                                       size_t capacity,
                                       double *out_fraction);

/**
 * Has `callback` called with `user` when the task has ended, or soon if it has, by a thread of the library's, in
 * this process. It may block and take its time; it must not unwind. A task may have several, each of
 * which is called once, in any order, perhaps at the same time. The handle may be freed before: it is called all
 * the same.
 *
 * Fails with `PINFOLD_STATUS_FORKED`, and with `PINFOLD_STATUS_SYSTEM` if there is no thread for
 * it.
 *
 * Any thread.
 *
 * # Safety
 *
 * `callback` may be called with `user` by any thread.
 */
pinfold_status pinfold_handle_on_complete(pinfold_handle *handle,
                                          pinfold_completion callback,
                                          void *user);

/**
 * Has `callback` called with `user` when the task has said how far it is, by a thread of the
 * library's, in this process, never by two at a time; several reports may come as one, the
 * last. It must not unwind. Of a task that has ended nothing is heard any more.
 *
 * Fails with `PINFOLD_STATUS_NOTHING_YET` while the task waits for others: then it can be set later;
 * and with `PINFOLD_STATUS_FORKED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `callback` may be called with `user` by any thread, until the task has ended, and soon after.
 */
pinfold_status pinfold_handle_on_progress(pinfold_handle *handle,
                                          pinfold_progressed callback,
                                          void *user);

/**
 * As `pinfold_handle_on_progress`; and has `release` called with `user` when `callback` is not called any
 * more: once, when the task has ended, by some thread; or by this call if that fails (but for a
 * null `release`). It must not unwind, and should not take long.
 *
 * Fails as `pinfold_handle_on_progress`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `callback` and `release` may be called with `user` by any thread, `release` after the last `callback`.
 */
pinfold_status pinfold_handle_follow_progress(pinfold_handle *handle,
                                              pinfold_progressed callback,
                                              void *user,
                                              pinfold_release release);

/**
 * An empty group of tasks. It is the caller's: free it with `pinfold_group_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_group` is null, or writable.
 */
pinfold_status pinfold_group_new(pinfold_group **out_group);

/**
 * Submits a task into a group, as `pinfold_task_submit_with` does: there is no handle. The tasks of a group may be of
 * several runtimes.
 *
 * Fails as `pinfold_task_submit_with`.
 *
 * Any thread, also while others wait for the group.
 *
 * # Safety
 *
 * As for `pinfold_task_submit_with`.
 */
pinfold_status pinfold_group_submit(pinfold_group *group,
                                    pinfold_task *task,
                                    const void *argument,
                                    size_t len,
                                    const pinfold_submit_settings *settings);

/**
 * The same, if the task can be accepted within `timeout` nanoseconds: as
 * `pinfold_task_submit_with_timeout`.
 *
 * Any thread, also while others wait for the group.
 *
 * # Safety
 *
 * As for `pinfold_task_submit_with`.
 */
pinfold_status pinfold_group_submit_timeout(pinfold_group *group,
                                            pinfold_task *task,
                                            const void *argument,
                                            size_t len,
                                            const pinfold_submit_settings *settings,
                                            uint64_t timeout);

/**
 * Waits at most `timeout` nanoseconds for all tasks of a group to end, however each does; 0 only
 * looks, and `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_OK`: all have ended with their values. A
 * status from 100 on: all have ended, and this is how the first of those that failed did (in the order in which
 * they were submitted, of all that were ever waited for in this group); `pinfold_last_message` says more.
 * `PINFOLD_STATUS_TIMED_OUT`: some go on.
 *
 * Any thread, and several at once.
 */
pinfold_status pinfold_group_wait(pinfold_group *group,
                                  uint64_t timeout);

/**
 * Cancels all tasks of a group that have not ended, each as by `pinfold_handle_cancel_within`
 * with this `grace`. Those that are submitted later are not.
 *
 * Any thread, also while others wait for the group.
 */
pinfold_status pinfold_group_cancel(pinfold_group *group,
                                    uint64_t grace);

/**
 * Frees a group, and cancels its tasks that have not ended, as by `pinfold_handle_cancel`: what has not begun never will,
 * what runs is asked to end. To let them end, wait first. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_group_free(pinfold_group *group);

/**
 * Waits at most `timeout` nanoseconds for a task to end, however it does; 0 only looks, and
 * `PINFOLD_FOREVER` is no limit. `PINFOLD_STATUS_OK`: it has ended. `PINFOLD_STATUS_TIMED_OUT`: it goes on.
 *
 * Any thread, and several at once.
 */
pinfold_status pinfold_handle_wait(pinfold_handle *handle,
                                   uint64_t timeout);

/**
 * Waits for a task to end, and returns its status and its output, in place: where that begins, a
 * multiple of 64, and its length in bytes. If the task has no output, both are 0.
 *
 * The memory is the handle's: it may be read until that is freed.
 *
 * A status from 100 on says why there is none; `pinfold_last_message` says more.
 *
 * Any thread, and several at once.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_handle_result(pinfold_handle *handle,
                                     const void **out_data,
                                     size_t *out_len);

/**
 * Waits for a task to end, and returns its output as a buffer: the same memory, which stays also
 * when the handle is freed. It is published: it may be passed to other tasks, of the same
 * runtime.
 *
 * The buffer is the caller's: free it with `pinfold_buffer_free`.
 *
 * A status from 100 on says why there is none; `pinfold_last_message` says more.
 *
 * Any thread, and several at once.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_handle_output_buffer(pinfold_handle *handle,
                                            pinfold_buffer **out_buffer);

/**
 * What the function of a task has returned, if that has ended: 0 unless its status is
 * `PINFOLD_STATUS_TASK_FAILED`. Fails with `PINFOLD_STATUS_TIMED_OUT` if it has not ended.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_code` is null, or writable.
 */
pinfold_status pinfold_handle_code(pinfold_handle *handle,
                                   int32_t *out_code);

/**
 * Frees a handle. If the task has not ended, it runs on, and nobody hears of it. Null does nothing.
 *
 * Any thread. What `pinfold_handle_result` has returned may not be read any more.
 */
pinfold_status pinfold_handle_free(pinfold_handle *handle);

/**
 * What a task can know of itself, written to `*out_info`, whose `size` says how long it is; that
 * stays.
 *
 * Only in a task (and while a state is made), by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_info` is null or a `pinfold_task_info`.
 */
pinfold_status pinfold_call_info(pinfold_call *call,
                                 pinfold_task_info *out_info);

/**
 * Call this first thing in `main`, after the functions were registered.
 *
 * A runtime starts its worker processes by starting the same program again. In those this
 * function runs tasks, and does not return. In the program itself it returns at once. What `main` does before
 * is done there too, and there are no arguments there; so look at them after this call. Call it before any
 * thread is started. `argc` and `argv` are those of `main`; they are not changed today, and may be null.
 *
 * A program whose tasks are in a plugin (`pinfold_config.plugin`) need not call it.
 *
 * The main thread, before there are others; not in a task.
 *
 * # Safety
 *
 * `argc` and `argv` are null, or those of `main`.
 */
pinfold_status pinfold_init(int *argc,
                            char ***argv);

/**
 * A number that no other task of its runtime has; `pinfold_handle_id` is the same in the host.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_id` is null, or writable.
 */
pinfold_status pinfold_call_id(pinfold_call *call,
                               uint64_t *out_id);

/**
 * Whether the task was told to end: 1 or 0. It was cancelled, or its hard deadline or its run
 * limit has passed, or a task that it is part of has ended. Once 1, it stays so. Return soon, whatever; what
 * does not listen may be killed with its worker.
 *
 * Costs some 10 ns: ask often.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_cancelled` is null, or writable.
 */
pinfold_status pinfold_call_is_cancelled(pinfold_call *call,
                                         int32_t *out_cancelled);

/**
 * How many nanoseconds the task has left, by the earliest of its deadlines and limits: 0 when that has passed,
 * `PINFOLD_FOREVER` if it has none.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_left` is null, or writable.
 */
pinfold_status pinfold_call_time_left(pinfold_call *call,
                                      uint64_t *out_left);

/**
 * Tells whoever has the task's handle how far the task is (`pinfold_handle_progress`): a
 * fraction, by custom 0 to 1, but any finite number, and a text, of which the first 88 bytes are
 * kept (null: none). Costs some 30 ns.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if the fraction is not finite, or the text is not
 * UTF-8.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `message` is null, or a string that ends in NUL.
 */
pinfold_status pinfold_call_report_progress(pinfold_call *call,
                                            double fraction,
                                            const char *message);

/**
 * The task for other threads of this process that work for it: they learn whether it was
 * cancelled, and say how far it is. It stays valid when the task has ended, and says so.
 *
 * It is the worker process's: free it with `pinfold_context_free`, on any thread.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_context` is null, or writable.
 */
pinfold_status pinfold_call_context(pinfold_call *call,
                                    pinfold_context **out_context);

/**
 * Whether what works for the task is to end: 1 or 0. As `pinfold_call_is_cancelled`, and 1 when the
 * task has ended.
 *
 * Any thread of the worker process.
 *
 * # Safety
 *
 * `out_cancelled` is null, or writable.
 */
pinfold_status pinfold_context_is_cancelled(pinfold_context *context,
                                            int32_t *out_cancelled);

/**
 * As `pinfold_call_time_left`; `PINFOLD_FOREVER` also when the task has ended.
 *
 * Any thread of the worker process.
 *
 * # Safety
 *
 * `out_left` is null, or writable.
 */
pinfold_status pinfold_context_time_left(pinfold_context *context,
                                         uint64_t *out_left);

/**
 * As `pinfold_call_report_progress`; several threads take turns. When the task has ended, it goes
 * nowhere.
 *
 * Any thread of the worker process.
 *
 * # Safety
 *
 * `message` is null, or a string that ends in NUL.
 */
pinfold_status pinfold_context_report_progress(pinfold_context *context,
                                               double fraction,
                                               const char *message);

/**
 * Frees a context. Null does nothing.
 *
 * Any thread of the worker process.
 */
pinfold_status pinfold_context_free(pinfold_context *context);

/**
 * Waits for a task to end, copies its output to `buffer`, and frees the handle: the quickest
 * way to a small result. `out_len` is its length.
 *
 * If the output is longer than `capacity` bytes, the status is
 * `PINFOLD_STATUS_BUFFER_TOO_SMALL`, `out_len` is what is needed, and the handle stays. In
 * all other cases it is freed, also if the task has failed.
 *
 * Any thread.
 *
 * # Safety
 *
 * `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null (it is not asked
 * for) or writable.
 */
pinfold_status pinfold_handle_join(pinfold_handle *handle,
                                   void *buffer,
                                   size_t capacity,
                                   size_t *out_len);

/**
 * A limit of `units` in all. A task takes its share when it is submitted
 * (`pinfold_task_settings.limits`), and gives it back when it ends, however it ends. One limit may
 * serve several tasks of one runtime.
 *
 * The limit is the caller's: free it with `pinfold_limit_free`, at any time: tasks that are under
 * it stay so.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_limit` is null or writable.
 */
pinfold_status pinfold_limit_new(uint64_t units,
                                 pinfold_limit **out_limit);

/**
 * How many units of a limit nobody has now. A task that has ended gives its share back when
 * somebody waits, for it or for anything, or wants a share.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_units` is null or writable.
 */
pinfold_status pinfold_limit_available(pinfold_limit *limit,
                                       uint64_t *out_units);

/**
 * Frees a limit; the tasks that are under it stay so. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_limit_free(pinfold_limit *limit);

/**
 * Has the library's log events passed to `log`, with `user`: those up to `level`, a
 * `pinfold_level`. Without this nobody hears them.
 *
 * Call it after `pinfold_init`: then it is the program that hears them, and those of its workers
 * too. (If it is called before, each worker process calls `log` itself.) It stays for as long
 * as the process lives.
 *
 * Fails with `PINFOLD_STATUS_TOO_LATE` if it was set before, here or by Rust code of the same
 * process, with `PINFOLD_STATUS_INVALID_ARGUMENT` for an unknown level, and with
 * `PINFOLD_STATUS_NULL_ARGUMENT`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `log` may be called with `user` by any thread, as long as the process lives.
 */
pinfold_status pinfold_log_set(pinfold_log log,
                               void *user,
                               int32_t level);

/**
 * A memo of up to `entries` outputs (0 is 1); the one that was used least recently is the first to
 * be forgotten. A task that has it (`pinfold_task_settings.memo`) is not run again for an argument
 * whose output is there.
 *
 * The memo is the caller's: free it with `pinfold_memo_free`, at any time: tasks that have it keep
 * it.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_memo` is null or writable.
 */
pinfold_status pinfold_memo_new(size_t entries,
                                pinfold_memo **out_memo);

/**
 * How often a memo has been asked since it was made: `*out_hits` tasks were not run, because their
 * output was known or about to be, and `*out_misses` were.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_hits` and `out_misses` are null or writable.
 */
pinfold_status pinfold_memo_counts(pinfold_memo *memo,
                                   uint64_t *out_hits,
                                   uint64_t *out_misses);

/**
 * Frees a memo; tasks that have it keep it. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_memo_free(pinfold_memo *memo);

/**
 * The bytes of a message: where they begin, a multiple of 64, and how many there are.
 *
 * The memory is the message's: it may be read until that is freed.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_message_data(pinfold_message *message,
                                    const void **out_data,
                                    size_t *out_len);

/**
 * How many buffers the message has.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_message_buffer_count(pinfold_message *message,
                                            size_t *out_count);

/**
 * A handle of buffer `index` of a message: the memory that was sent, in place. It is published.
 *
 * The handle is the caller's, also when the message is freed: free it with `pinfold_buffer_free`.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_buffer` is null, or writable.
 */
pinfold_status pinfold_message_buffer(pinfold_message *message,
                                      size_t index,
                                      pinfold_buffer **out_buffer);

/**
 * How many sending ends of channels the message has.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_message_sender_count(pinfold_message *message,
                                            size_t *out_count);

/**
 * A handle of sending end `index` of a message, the caller's: free it with `pinfold_sender_free`. The
 * message has its own until it is freed.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_sender` is null, or writable.
 */
pinfold_status pinfold_message_sender(pinfold_message *message,
                                      size_t index,
                                      pinfold_sender **out_sender);

/**
 * How many receiving ends of channels the message has.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_message_receiver_count(pinfold_message *message,
                                              size_t *out_count);

/**
 * A handle of receiving end `index` of a message, the caller's: free it with
 * `pinfold_receiver_free`. The message has its own until it is freed.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_receiver` is null, or writable.
 */
pinfold_status pinfold_message_receiver(pinfold_message *message,
                                        size_t index,
                                        pinfold_receiver **out_receiver);

/**
 * The message was dealt with, and is not received again. In a channel that was made without
 * `pinfold_channel_settings.acks`, and the second time, this does nothing.
 *
 * The message stays the caller's, to be freed.
 *
 * Any thread.
 */
pinfold_status pinfold_message_ack(pinfold_message *message);

/**
 * How often the message was received, this time included: 1, unless somebody had it before and did not
 * acknowledge it.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_attempt` is null, or writable.
 */
pinfold_status pinfold_message_attempt(pinfold_message *message,
                                       uint32_t *out_attempt);

/**
 * Frees a message, and what it has; one that was not acknowledged, of a channel whose messages
 * are, is received again. Null does nothing.
 *
 * Any thread. What `pinfold_message_data` has returned may not be read any more.
 */
pinfold_status pinfold_message_free(pinfold_message *message);

/**
 * The names of the functions that the workers of `runtime` have, sorted, each with a line feed after it.
 *
 * Writes the text and a NUL to `buffer`, and the text's length in bytes, without the NUL, to
 * `out_len`. If they are more than `capacity` bytes, the status is `PINFOLD_STATUS_BUFFER_TOO_SMALL`, and
 * only the length is written.
 *
 * Those of a plugin are asked of a worker, once; that fails as a task does.
 *
 * Any thread; not in a task.
 *
 * # Safety
 *
 * `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null (it is
 * not asked for) or writable.
 */
pinfold_status pinfold_runtime_functions(pinfold_runtime *runtime,
                                         char *buffer,
                                         size_t capacity,
                                         size_t *out_len);

/**
 * Waits at most `timeout` nanoseconds for the first of `count` tasks, and copies its output to
 * `buffer`; and after it those of the tasks next to it, as far as they have ended without another wait
 * and there is room: `out_lens[i]` bytes each, one after the other. `out_done` is how many were copied.
 *
 * It stops before the first whose output it cannot copy. All handles stay the caller's, with what they
 * have.
 *
 * If that is the very first of them, the status says why: `PINFOLD_STATUS_TIMED_OUT`;
 * `PINFOLD_STATUS_BUFFER_TOO_SMALL`, and `out_lens[0]` is how long it is; `PINFOLD_STATUS_BAD_HANDLE`
 * or `PINFOLD_STATUS_NULL_ARGUMENT`; or a status from 100 on if the task has no output.
 *
 * Any thread, and several at once.
 *
 * # Safety
 *
 * `count` handles can be read at `handles`, `capacity` bytes be written at `buffer` (null if there are
 * none), and `count` lengths at `out_lens`; `out_done` is null, or writable. Nobody else touches what is written
 * during the call.
 */
pinfold_status pinfold_handle_copy_many(pinfold_handle *const *handles,
                                        size_t count,
                                        uint64_t timeout,
                                        void *buffer,
                                        size_t capacity,
                                        size_t *out_lens,
                                        size_t *out_done);

/**
 * Frees `count` handles, as `pinfold_handle_free` does, and has null in the place of each. Null is passed
 * over.
 *
 * Fails with `PINFOLD_STATUS_BAD_HANDLE` if one was none, which stays there; all others are freed.
 *
 * Any thread.
 *
 * # Safety
 *
 * `count` handles can be read and written at `handles`, which nobody else touches during the call.
 */
pinfold_status pinfold_handle_free_many(pinfold_handle **handles,
                                        size_t count);

/**
 * Takes up to `capacity` tokens, as `pinfold_events_next` does one by one: `out_count` is how many. Never
 * waits.
 *
 * Fails with `PINFOLD_STATUS_NOTHING_YET` if there is none, and with `PINFOLD_STATUS_FORKED` in a process
 * that was forked off.
 *
 * Any thread, and several at once: each token is told once.
 *
 * # Safety
 *
 * `capacity` tokens can be written at `out_tokens`; `out_count` is null, or writable.
 */
pinfold_status pinfold_events_next_many(pinfold_events *events,
                                        uint64_t *out_tokens,
                                        size_t capacity,
                                        size_t *out_count);

/**
 * Registers a function that can be run as a task, by `name` (1 to 255 bytes of UTF-8, copied).
 *
 * Call it before `pinfold_init`, unconditionally: the worker processes run the same lines of
 * `main` up to `pinfold_init`, and know the functions that they have registered there. `user` is
 * passed to each call; it means something in the process that has registered it, so it must
 * not point to what only the host has. To register the same again does nothing.
 *
 * Fails with `PINFOLD_STATUS_TOO_LATE` after `pinfold_init`, with
 * `PINFOLD_STATUS_INVALID_ARGUMENT` if the name is taken, empty or too long, and with
 * `PINFOLD_STATUS_NULL_ARGUMENT`.
 *
 * Any thread; not in a task.
 *
 * # Safety
 *
 * `name` is null or a string that ends in NUL. `function` may be called with `user` by any
 * thread of a worker process, as long as that lives.
 */
pinfold_status pinfold_function_register(const char *name,
                                         pinfold_function function,
                                         void *user);

/**
 * Starts a fold of workers; returns when they have been started. `config` may be null: all
 * defaults.
 *
 * The runtime is the caller's: end it with `pinfold_runtime_free`.
 *
 * Fails with `PINFOLD_STATUS_NOT_INITIALIZED` if `pinfold_init` was not called, with
 * `PINFOLD_STATUS_INSIDE_WORKER` in a worker, with `PINFOLD_STATUS_INVALID_ARGUMENT` if a setting
 * (or `size`) is out of its bounds, and with `PINFOLD_STATUS_START_FAILED` if the system refused
 * something; the last message says which, and what to do.
 *
 * Any thread; not in a task.
 *
 * # Safety
 *
 * `config` is null or a `pinfold_config`; `out_runtime` is null or writable.
 */
pinfold_status pinfold_runtime_new(const pinfold_config *config,
                                   pinfold_runtime **out_runtime);

/**
 * Ends a runtime: waits up to 5 s (`pinfold_config.on_free` says otherwise) for the tasks in
 * flight, ends what is left, and all its processes. Null does nothing.
 *
 * Handles of its tasks stay valid: each has ended. They, its tasks and its buffers are to be freed on their own.
 *
 * Any thread; not in a task. Another thread that is inside a call with it finishes that call.
 */
pinfold_status pinfold_runtime_free(pinfold_runtime *runtime);

/**
 * A barrier of `count` members, 1 to 16384, for the processes of `runtime`: writes so many handles to
 * `out_members`, in the order of their numbers.
 *
 * All are the caller's: free each with `pinfold_barrier_free`. A member is moved to a task by
 * `pinfold_submit_settings.objects`, for there is one of each; nothing is left of it then but the handle.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another count, and with
 * `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_barrier_new`.
 *
 * # Safety
 *
 * `count` handles can be written at `out_members`, or it is null.
 */
pinfold_status pinfold_barrier_new(pinfold_runtime *runtime,
                                   size_t count,
                                   pinfold_barrier **out_members);

/**
 * The same in a task. The handles are the worker process's, also after the call: free them.
 *
 * Fails as `pinfold_barrier_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_barrier_new`.
 */
pinfold_status pinfold_call_barrier_new(pinfold_call *call,
                                        size_t count,
                                        pinfold_barrier **out_members);

/**
 * Waits until all members have called it as often as this one, at most `timeout` nanoseconds;
 * `PINFOLD_FOREVER` is no limit. After a time-out this one counts as come, and the next call goes on
 * waiting for the same.
 *
 * `out_number` may be null. If a member is gone, its number is written there.
 *
 * Fails with `PINFOLD_STATUS_TIMED_OUT` (the last message says who has not come),
 * `PINFOLD_STATUS_MEMBER_GONE` (a member will never come: its process has died, or it was freed; so it
 * is for all, from then on), `PINFOLD_STATUS_MOVED`, `PINFOLD_STATUS_TOLD_TO_END`,
 * `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it: there must be one for each member.
 *
 * # Safety
 *
 * `out_number` is null, or writable.
 */
pinfold_status pinfold_barrier_wait(pinfold_barrier *member,
                                    uint64_t timeout,
                                    size_t *out_number);

/**
 * Which member this is, from 0, and of how many.
 *
 * Fails with `PINFOLD_STATUS_MOVED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_number` and `out_count` are null, or writable.
 */
pinfold_status pinfold_barrier_number(pinfold_barrier *member,
                                      size_t *out_number,
                                      size_t *out_count);

/**
 * Frees a member: unless it was moved, it will never come, and the others are told. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_barrier_free(pinfold_barrier *member);

/**
 * A broadcast channel between the processes of `runtime`, of `capacity` messages (rounded up to a
 * power of two): every subscriber gets every message that is sent after it has subscribed. `settings` may be
 * null: all defaults.
 *
 * The publisher is the caller's: free it with `pinfold_publisher_free`. Tasks get publishers and
 * subscribers by `pinfold_submit_settings.objects`. The channel is over for its subscribers when no publisher is left
 * anywhere, and all messages are read.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a capacity or a setting that makes no sense, and
 * with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_broadcast_new`.
 *
 * # Safety
 *
 * `settings` is null or a `pinfold_broadcast_settings`; `out_publisher` is null, or writable.
 */
pinfold_status pinfold_broadcast_new(pinfold_runtime *runtime,
                                     size_t capacity,
                                     const pinfold_broadcast_settings *settings,
                                     pinfold_publisher **out_publisher);

/**
 * The same in a task. The handle is the worker process's, also after the call: free it.
 *
 * Fails as `pinfold_broadcast_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_broadcast_new`.
 */
pinfold_status pinfold_call_broadcast_new(pinfold_call *call,
                                          size_t capacity,
                                          const pinfold_broadcast_settings *settings,
                                          pinfold_publisher **out_publisher);

/**
 * Sends a message to all that are subscribed: `len` bytes, which are copied once, and what `settings`
 * say, as `pinfold_sender_send`. If nobody is, it is for nobody, and no failure. Waits at most
 * `timeout` nanoseconds for room; 0 does not wait, and `PINFOLD_FOREVER` is no limit.
 *
 * Fails as `pinfold_sender_send`; with `PINFOLD_STATUS_DISCONNECTED` only if the channel was closed.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_sender_send`.
 */
pinfold_status pinfold_publisher_send(pinfold_publisher *publisher,
                                      const void *data,
                                      size_t len,
                                      const pinfold_submit_settings *settings,
                                      uint64_t timeout);

/**
 * One more subscriber of the channel, for all that is sent from now on.
 *
 * The subscriber is the caller's: free it with `pinfold_subscriber_free`. It is moved to a task by
 * `pinfold_submit_settings.objects`, with all that it has not read; nothing is left of it then but the handle.
 *
 * Fails with `PINFOLD_STATUS_TOO_MANY`, `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_SHUTDOWN` or
 * `PINFOLD_STATUS_FORKED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_subscriber` is null, or writable.
 */
pinfold_status pinfold_publisher_subscribe(pinfold_publisher *publisher,
                                           pinfold_subscriber **out_subscriber);

/**
 * How many subscribers there are, at some moment.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_publisher_subscribers(pinfold_publisher *publisher,
                                             size_t *out_count);

/**
 * One more publisher of the same channel, the caller's: free it with `pinfold_publisher_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_publisher` is null, or writable.
 */
pinfold_status pinfold_publisher_clone(pinfold_publisher *publisher,
                                       pinfold_publisher **out_publisher);

/**
 * Closes the channel for all: no more messages are accepted. What was sent before is still read.
 * Whoever waits sees it.
 *
 * Any thread.
 */
pinfold_status pinfold_publisher_close(pinfold_publisher *publisher);

/**
 * Frees a publisher; the channel is over for its subscribers when it was the last one, and they have
 * read what was sent. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_publisher_free(pinfold_publisher *publisher);

/**
 * The next message. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
 * `PINFOLD_FOREVER` is no limit.
 *
 * The message is the caller's: free it with `pinfold_message_free`. `out_lagged` may be null.
 *
 * Fails with `PINFOLD_STATUS_LAGGED` if messages were overwritten before they were read: how many is
 * written to `out_lagged`, and the next call goes on behind them; with `PINFOLD_STATUS_EMPTY` (there is
 * none, and the call does not wait), `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_DISCONNECTED` (all are
 * read, and nobody sends any more), `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_NOT_TRANSFERABLE`,
 * `PINFOLD_STATUS_MOVED`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_message` and `out_lagged` are null, or writable.
 */
pinfold_status pinfold_subscriber_recv(pinfold_subscriber *subscriber,
                                       uint64_t timeout,
                                       pinfold_message **out_message,
                                       uint64_t *out_lagged);

/**
 * One more subscriber of the same channel, for all that is sent from now on, as
 * `pinfold_publisher_subscribe`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_subscriber` is null, or writable.
 */
pinfold_status pinfold_subscriber_subscribe(pinfold_subscriber *subscriber,
                                            pinfold_subscriber **out_subscriber);

/**
 * How many messages wait to be read by this subscriber, at some moment.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_len` is null, or writable.
 */
pinfold_status pinfold_subscriber_len(pinfold_subscriber *subscriber,
                                      size_t *out_len);

/**
 * How many messages were overwritten before this subscriber has read them, in all.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_subscriber_lagged(pinfold_subscriber *subscriber,
                                         uint64_t *out_count);

/**
 * Closes the channel for all, as `pinfold_publisher_close`.
 *
 * Any thread.
 */
pinfold_status pinfold_subscriber_close(pinfold_subscriber *subscriber);

/**
 * Ends a subscription: nobody waits for it any more. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_subscriber_free(pinfold_subscriber *subscriber);

/**
 * How many objects the task was submitted with (`pinfold_submit_settings.objects`).
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_call_object_count(pinfold_call *call,
                                         size_t *out_count);

/**
 * A handle of object `index` that the task was submitted with: of the kind that it had there, as which
 * other functions take it. What was a `pinfold_mutex *` there, say, is one here, behind the `void *`.
 *
 * The handle is the worker process's, also after the call: free it by the function of its kind. The call has what
 * was not asked for, until the function returns; what was asked for is the function's alone. To ask for the same
 * again gives one more handle, to be freed too; not of what has one owner (a member of a barrier or of a group, a
 * subscriber), nor when the handle that was given last is freed.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
 * `PINFOLD_STATUS_MOVED` if it was asked for before, and has one owner, or the last handle of it was freed.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_object` is null, or writable.
 */
pinfold_status pinfold_call_object(pinfold_call *call,
                                   size_t index,
                                   void **out_object);

/**
 * How many objects the message has besides buffers and ends of channels
 * (`pinfold_submit_settings.objects`).
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_message_object_count(pinfold_message *message,
                                            size_t *out_count);

/**
 * A handle of object `index` of a message: of the kind that it had where it was sent, as
 * `pinfold_call_object` has it.
 *
 * The handle is the caller's, also when the message is freed: free it by the function of its kind. The message has what was
 * not asked for, until it is freed; what was asked for is the caller's alone, and may be asked for again as
 * `pinfold_call_object` says.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there are not so many, and with
 * `PINFOLD_STATUS_MOVED` if it was asked for before, and has one owner, or the last handle of it was freed.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_object` is null, or writable.
 */
pinfold_status pinfold_message_object(pinfold_message *message,
                                      size_t index,
                                      void **out_object);

/**
 * A latch that waits for `count` counts, 1 to 1048576, of the processes of `runtime`; and what
 * counts for it.
 *
 * Both are the caller's: free each with `pinfold_latch_free` and `pinfold_countdown_free`. Tasks get
 * them by `pinfold_submit_settings.objects`. When nobody is left who could count, in any process or in the
 * argument of a task, the wait ends: so free the countdown here that is the tasks' now.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another count, and with
 * `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_latch_new`.
 *
 * # Safety
 *
 * `out_latch` and `out_countdown` are null, or writable.
 */
pinfold_status pinfold_latch_new(pinfold_runtime *runtime,
                                 size_t count,
                                 pinfold_latch **out_latch,
                                 pinfold_countdown **out_countdown);

/**
 * The same in a task. Both handles are the worker process's, also after the call: free them.
 *
 * Fails as `pinfold_latch_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_latch_new`.
 */
pinfold_status pinfold_call_latch_new(pinfold_call *call,
                                      size_t count,
                                      pinfold_latch **out_latch,
                                      pinfold_countdown **out_countdown);

/**
 * Waits until all is counted, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit.
 *
 * Fails with `PINFOLD_STATUS_TIMED_OUT` (the last message says how many counts are missing),
 * `PINFOLD_STATUS_MEMBER_GONE` (nobody is left who could count; the message names who has died),
 * `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 */
pinfold_status pinfold_latch_wait(pinfold_latch *latch,
                                  uint64_t timeout);

/**
 * How many counts are missing.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_latch_left(pinfold_latch *latch,
                                  size_t *out_count);

/**
 * Counts one, in one step. `out_counted` is 0 if all were counted before (or in a process that was forked off), else 1.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_counted` is null, or writable.
 */
pinfold_status pinfold_countdown_count(pinfold_countdown *countdown,
                                       int32_t *out_counted);

/**
 * Frees a handle of a latch. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_latch_free(pinfold_latch *latch);

/**
 * Frees a handle of what counts: one less who could. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_countdown_free(pinfold_countdown *countdown);

/**
 * A group of `count` members among the processes of `runtime`: writes so many handles to
 * `out_members`, in the order of their ranks.
 *
 * All are the caller's: free each with `pinfold_member_free`. A member is moved to a task by
 * `pinfold_submit_settings.objects`, for there is one of each. The members wait for each other, so all their tasks
 * must run at once, each on an executor of its own: a group that is larger than the
 * number of executors waits for tasks that cannot begin.
 *
 * All members call the same functions, in the same order. When one has died or left, every call
 * of the others that needs it ends with `PINFOLD_STATUS_MEMBER_GONE`, until they call
 * `pinfold_member_shrink`.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a count that no group can have, and with
 * `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_collective_new`.
 *
 * # Safety
 *
 * `count` handles can be written at `out_members`, or it is null.
 */
pinfold_status pinfold_collective_new(pinfold_runtime *runtime,
                                      size_t count,
                                      pinfold_member **out_members);

/**
 * The same in a task. The handles are the worker process's, also after the call: free them.
 *
 * Fails as `pinfold_collective_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_collective_new`.
 */
pinfold_status pinfold_call_collective_new(pinfold_call *call,
                                           size_t count,
                                           pinfold_member **out_members);

/**
 * Which member this is, from 0, and how many the group has; both may be others after
 * `pinfold_member_shrink`.
 *
 * Fails with `PINFOLD_STATUS_MOVED`, or `PINFOLD_STATUS_BUSY` if another thread is in a call with it.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_rank` and `out_size` are null, or writable.
 */
pinfold_status pinfold_member_rank(pinfold_member *member,
                                   size_t *out_rank,
                                   size_t *out_size);

/**
 * Waits until all members have called it, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit.
 *
 * This holds for all that members do together: after a time-out the call has not ended for the
 * others, for this member has arrived there, with its value. So call the same again, which goes on to wait; other calls
 * fail with `PINFOLD_STATUS_UNFINISHED` until then. `out_rank` may be null; if a failure is about a member, that
 * one's rank is written there.
 *
 * Fails with `PINFOLD_STATUS_MEMBER_GONE` (a member has died, or left: it was freed, or its task has
 * ended), `PINFOLD_STATUS_SHRINKING` (others call `pinfold_member_shrink`), `PINFOLD_STATUS_MISMATCH`
 * (others have called something else; all are told, and the group goes on),
 * `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_UNFINISHED`, `PINFOLD_STATUS_MOVED` (this member was moved to a task),
 * `PINFOLD_STATUS_BUSY` (another thread is in a call with it), `PINFOLD_STATUS_NO_MEMORY`,
 * `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_rank` is null, or writable.
 */
pinfold_status pinfold_member_barrier(pinfold_member *member,
                                      uint64_t timeout,
                                      size_t *out_rank);

/**
 * All have what the member `root` brings: `len` bytes, and what `settings` say, as
 * `pinfold_sender_send`. What others bring is not looked at; they may pass null and 0.
 *
 * The message is the caller's: free it with `pinfold_message_free`. A time-out, `out_rank` and
 * failures are as for `pinfold_member_barrier`; and `PINFOLD_STATUS_INVALID_ARGUMENT` if there is no
 * member `root`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_sender_send`; `out_message` and `out_rank` are null, or writable.
 */
pinfold_status pinfold_member_broadcast(pinfold_member *member,
                                        size_t root,
                                        const void *data,
                                        size_t len,
                                        const pinfold_submit_settings *settings,
                                        uint64_t timeout,
                                        pinfold_message **out_message,
                                        size_t *out_rank);

/**
 * Each has a part of the buffer that the member `root` brings, which is published: a range of
 * the same memory. The parts follow each other in the order of ranks; each is a multiple of `element`
 * bytes (0 is taken for 1), and they differ by one such element at most; what is left over is the last one's. What others
 * bring is not looked at; they may pass null.
 *
 * The part is the caller's: free it with `pinfold_buffer_free`. A time-out, `out_rank` and failures
 * are as for `pinfold_member_broadcast`; all must say the same `element`. If `root` brings no buffer, that is
 * `PINFOLD_STATUS_NULL_ARGUMENT`, and all others are told (`PINFOLD_STATUS_MISMATCH`).
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_part` and `out_rank` are null, or writable.
 */
pinfold_status pinfold_member_scatter(pinfold_member *member,
                                      size_t root,
                                      pinfold_buffer *buffer,
                                      size_t element,
                                      uint64_t timeout,
                                      pinfold_buffer **out_part,
                                      size_t *out_rank);

/**
 * The member `root` has what all bring, each as in `pinfold_member_broadcast`: writes as many messages to
 * `out_messages` as the group has members, in the order of ranks. Of the others nothing is written, and they may
 * pass null.
 *
 * The messages are the caller's: free each with `pinfold_message_free`. A time-out, `out_rank` and
 * failures are as for `pinfold_member_broadcast`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_sender_send`; so many handles can be written at `out_messages`, or it is null;
 * `out_rank` is null, or writable.
 */
pinfold_status pinfold_member_gather(pinfold_member *member,
                                     size_t root,
                                     const void *data,
                                     size_t len,
                                     const pinfold_submit_settings *settings,
                                     uint64_t timeout,
                                     pinfold_message **out_messages,
                                     size_t *out_rank);

/**
 * All have what all bring: as `pinfold_member_gather`, where each is the root.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_member_gather`.
 */
pinfold_status pinfold_member_all_gather(pinfold_member *member,
                                         const void *data,
                                         size_t len,
                                         const pinfold_submit_settings *settings,
                                         uint64_t timeout,
                                         pinfold_message **out_messages,
                                         size_t *out_rank);

/**
 * Goes on without the members that are gone: waits until all others have called it, too, or are
 * gone themselves. Those that have are the group from then on, with new ranks in the order of the
 * old ones (`pinfold_member_rank`). It is for all that were told `PINFOLD_STATUS_MEMBER_GONE` or
 * `PINFOLD_STATUS_SHRINKING`.
 *
 * A time-out, `out_rank` and failures are as for `pinfold_member_barrier`, but for those of members
 * that are gone.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_rank` is null, or writable.
 */
pinfold_status pinfold_member_shrink(pinfold_member *member,
                                     uint64_t timeout,
                                     size_t *out_rank);

/**
 * Frees a member: unless it was moved, it leaves the group, and the others are told. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_member_free(pinfold_member *member);

/**
 * A mutex around `len` bytes of memory that the processes of `runtime` share: a copy of those at
 * `data`, or zeros if that is null. Who has the lock reads and writes them in place.
 *
 * The mutex is the caller's: free it with `pinfold_mutex_free`. A task gets it by
 * `pinfold_submit_settings.objects`; the lock itself is gone with the last handle of it, in whatever process.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_mutex_new`.
 *
 * # Safety
 *
 * `len` bytes can be read at `data`, or it is null; `out_mutex` is null, or writable.
 */
pinfold_status pinfold_mutex_new(pinfold_runtime *runtime,
                                 const void *data,
                                 size_t len,
                                 pinfold_mutex **out_mutex);

/**
 * The same in a task. The handle is the worker process's, also after the call: free it.
 *
 * Fails as `pinfold_mutex_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_mutex_new`.
 */
pinfold_status pinfold_call_mutex_new(pinfold_call *call,
                                      const void *data,
                                      size_t len,
                                      pinfold_mutex **out_mutex);

/**
 * Takes the lock. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
 * `PINFOLD_FOREVER` is no limit. Tells where its bytes begin, a multiple of 64, and how many there are: they
 * may be read and written until the lock is given back.
 *
 * `out_is_half` is 1 if they may be half changed: whoever had the lock before has died, or has given
 * it back by `pinfold_mutex_abandon`, and nobody has called `pinfold_mutex_mend` since; else 0. The lock
 * is had in both cases.
 *
 * It is this thread's until it calls `pinfold_mutex_unlock`, with the same handle; a function that returns with a
 * lock leaves it locked. If its process dies, the next one gets the lock.
 *
 * Fails with `PINFOLD_STATUS_BUSY` (somebody has it, and the call does not wait) or
 * `PINFOLD_STATUS_TIMED_OUT`: the last message says which worker, thread and task has it; with
 * `PINFOLD_STATUS_DEADLOCK` (this thread has it), `PINFOLD_STATUS_TOLD_TO_END` (in a task that was
 * cancelled while it waited), `PINFOLD_STATUS_SHUTDOWN` (the runtime has ended) or
 * `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_data`, `out_len` and `out_is_half` are null, or writable.
 */
pinfold_status pinfold_mutex_lock(pinfold_mutex *mutex,
                                  uint64_t timeout,
                                  void **out_data,
                                  size_t *out_len,
                                  int32_t *out_is_half);

/**
 * The bytes are whole again: the next one is not told any more that they may be half changed.
 *
 * Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock.
 *
 * Any thread: the one that has the lock.
 */
pinfold_status pinfold_mutex_mend(pinfold_mutex *mutex);

/**
 * Gives the lock back. The memory must not be touched any more. If the bytes were told to be half
 * changed, and nobody has mended them, the next one is told so, too.
 *
 * Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock.
 *
 * Any thread: the one that has the lock.
 */
pinfold_status pinfold_mutex_unlock(pinfold_mutex *mutex);

/**
 * Gives the lock back, and the next one is told that the bytes may be half changed: for who cannot go on in
 * the middle.
 *
 * Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock.
 *
 * Any thread: the one that has the lock.
 */
pinfold_status pinfold_mutex_abandon(pinfold_mutex *mutex);

/**
 * Frees a handle of a mutex; if the lock was taken by it, it is given back first. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_mutex_free(pinfold_mutex *mutex);

/**
 * What the processes of `runtime` are to do once, and have not done yet.
 *
 * It is the caller's: free it with `pinfold_once_free`. A task gets it by
 * `pinfold_submit_settings.objects`.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_once_new`.
 *
 * # Safety
 *
 * `out_once` is null, or writable.
 */
pinfold_status pinfold_once_new(pinfold_runtime *runtime,
                                pinfold_once **out_once);

/**
 * The same in a task. The handle is the worker process's, also after the call: free it.
 *
 * Fails as `pinfold_once_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_once_new`.
 */
pinfold_status pinfold_call_once_new(pinfold_call *call,
                                     pinfold_once **out_once);

/**
 * Has it done, unless it was: calls `function` with `user` on this thread, or waits for whoever does
 * it just now, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit. `out_was_called` is 1 if
 * this call has done it, else 0. What was written before it was done is seen by all that come after.
 *
 * If the function returns another number than 0, it is not done, and the next one does it; so it is if the process
 * dies meanwhile. It must not unwind.
 *
 * Fails with `PINFOLD_STATUS_TASK_FAILED` (the function has returned another number, which the last message
 * tells), `PINFOLD_STATUS_TIMED_OUT` (the last message says who does it),
 * `PINFOLD_STATUS_DEADLOCK` (the function has called this itself), `PINFOLD_STATUS_TOLD_TO_END`,
 * `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `function` may be called with `user`; `out_was_called` is null, or writable.
 */
pinfold_status pinfold_once_call(pinfold_once *once,
                                 uint64_t timeout,
                                 pinfold_do function,
                                 void *user,
                                 int32_t *out_was_called);

/**
 * Whether it is done: 1 or 0.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_is_done` is null, or writable.
 */
pinfold_status pinfold_once_is_done(pinfold_once *once,
                                    int32_t *out_is_done);

/**
 * Frees a handle of it. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_once_free(pinfold_once *once);

/**
 * `len` bytes for the processes of `runtime`, which nobody has made yet.
 *
 * It is the caller's: free it with `pinfold_oncelock_free`. A task gets it by
 * `pinfold_submit_settings.objects`.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_oncelock_new`.
 *
 * # Safety
 *
 * `out_oncelock` is null, or writable.
 */
pinfold_status pinfold_oncelock_new(pinfold_runtime *runtime,
                                    size_t len,
                                    pinfold_oncelock **out_oncelock);

/**
 * The same in a task. The handle is the worker process's, also after the call: free it.
 *
 * Fails as `pinfold_oncelock_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_oncelock_new`.
 */
pinfold_status pinfold_call_oncelock_new(pinfold_call *call,
                                         size_t len,
                                         pinfold_oncelock **out_oncelock);

/**
 * The bytes, aligned to 64. If nobody has made them, `function` is called on this thread, with `user`, to
 * write them; waits for whoever does so just now, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no
 * limit.
 *
 * The memory is the handle's: it may be read until that is freed. Nobody writes it any more.
 *
 * If the function returns another number than 0, they are not made, and the next one makes them; so it is if the
 * process dies meanwhile. It must not unwind.
 *
 * Fails with `PINFOLD_STATUS_TASK_FAILED` (the function has returned another number, which the last message
 * tells), `PINFOLD_STATUS_TIMED_OUT` (the last message says who makes them),
 * `PINFOLD_STATUS_DEADLOCK` (the function has called this itself), `PINFOLD_STATUS_TOLD_TO_END`,
 * `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `function` may be called with `user`; `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_oncelock_get_or_init(pinfold_oncelock *oncelock,
                                            uint64_t timeout,
                                            pinfold_fill function,
                                            void *user,
                                            const void **out_data,
                                            size_t *out_len);

/**
 * The bytes, if they were made: as of `pinfold_oncelock_get_or_init`, without waiting.
 *
 * Fails with `PINFOLD_STATUS_NOTHING_YET` if they were not.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_data` and `out_len` are null, or writable.
 */
pinfold_status pinfold_oncelock_get(pinfold_oncelock *oncelock,
                                    const void **out_data,
                                    size_t *out_len);

/**
 * Frees a handle of it. Null does nothing.
 *
 * Any thread. A call that waits with it goes on. What it has returned may not be read any more.
 */
pinfold_status pinfold_oncelock_free(pinfold_oncelock *oncelock);

/**
 * Combines the numbers of all members, element by element, in the order of ranks: the member `root` has the
 * result in the place of its `values`; those of the others stay. All bring `count` numbers of the
 * type `number`, a `pinfold_number`, and say the same `operation`, a `pinfold_operation`.
 *
 * A time-out, `out_rank` and failures are as for `pinfold_member_broadcast`. If a member has brought another
 * count, or other numbers, `root` is told (`PINFOLD_STATUS_MISMATCH`).
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `count` such numbers can be read and written at `values`; `out_rank` is null, or writable.
 */
pinfold_status pinfold_member_reduce(pinfold_member *member,
                                     size_t root,
                                     void *values,
                                     size_t count,
                                     int32_t number,
                                     int32_t operation,
                                     uint64_t timeout,
                                     size_t *out_rank);

/**
 * The same for all: each has the result in the place of its `values`, the same bit by bit. From 32 KiB on each
 * member combines a part of them for all.
 *
 * A time-out, `out_rank` and failures are as for `pinfold_member_broadcast`; with
 * `PINFOLD_STATUS_MISMATCH` if not all have brought as many numbers of the same type. Then `values` are
 * as they were.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_member_reduce`.
 */
pinfold_status pinfold_member_all_reduce(pinfold_member *member,
                                         void *values,
                                         size_t count,
                                         int32_t number,
                                         int32_t operation,
                                         uint64_t timeout,
                                         size_t *out_rank);

/**
 * As `pinfold_member_reduce`, of elements of any kind, of `element` bytes each, which `combine`
 * combines, with `user`. It is called on this thread, by the member `root` only; it must not unwind, nor use the member.
 *
 * A time-out, `out_rank` and failures are as for `pinfold_member_reduce`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `count` such elements can be read and written at `values`; `combine` may be called with `user`;
 * `out_rank` is null, or writable.
 */
pinfold_status pinfold_member_reduce_with(pinfold_member *member,
                                          size_t root,
                                          void *values,
                                          size_t count,
                                          size_t element,
                                          pinfold_combine combine,
                                          void *user,
                                          uint64_t timeout,
                                          size_t *out_rank);

/**
 * The same for all: each has the result in the place of its `values`, and each calls its own `combine`,
 * which are to do the same.
 *
 * A time-out, `out_rank` and failures are as for `pinfold_member_reduce`; all are told of a
 * `PINFOLD_STATUS_MISMATCH`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_member_reduce_with`.
 */
pinfold_status pinfold_member_all_reduce_with(pinfold_member *member,
                                              void *values,
                                              size_t count,
                                              size_t element,
                                              pinfold_combine combine,
                                              void *user,
                                              uint64_t timeout,
                                              size_t *out_rank);

/**
 * A router among the processes of `runtime`, and its receivers: writes `count` of them, 1 to 4096,
 * to `out_receivers`, in the order of their numbers. Each has a queue of its own of `capacity` messages, 1
 * at least.
 *
 * All are the caller's: free each with `pinfold_router_free` and `pinfold_receiver_free`. Tasks get
 * the router by `pinfold_submit_settings.objects`, and receivers by `.receivers`. What is left in the
 * queue of a receiver that is gone (freed everywhere, or its worker has died) is handed on to the others by whoever
 * sends next.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another count, and with
 * `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_router_new`.
 *
 * # Safety
 *
 * `out_router` is null, or writable; `count` handles can be written at `out_receivers`, or it is null.
 */
pinfold_status pinfold_router_new(pinfold_runtime *runtime,
                                  size_t count,
                                  size_t capacity,
                                  pinfold_router **out_router,
                                  pinfold_receiver **out_receivers);

/**
 * The same in a task. The handles are the worker process's, also after the call: free each.
 *
 * Fails as `pinfold_router_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_router_new`.
 */
pinfold_status pinfold_call_router_new(pinfold_call *call,
                                       size_t count,
                                       size_t capacity,
                                       pinfold_router **out_router,
                                       pinfold_receiver **out_receivers);

/**
 * Sends a message to the receiver of this number: bytes, and what `settings` say, as `pinfold_sender_send`. Waits
 * at most `timeout` nanoseconds while its queue is full; `PINFOLD_FOREVER` is no limit.
 *
 * Fails as `pinfold_sender_send`, with `PINFOLD_STATUS_TIMED_OUT` also if `timeout` is 0; with
 * `PINFOLD_STATUS_DISCONNECTED` if that receiver is gone, or there is none of this number.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_sender_send`.
 */
pinfold_status pinfold_router_send(pinfold_router *router,
                                   size_t number,
                                   const void *data,
                                   size_t len,
                                   const pinfold_submit_settings *settings,
                                   uint64_t timeout);

/**
 * Sends a message to the receiver that has this key, which is any bytes. All of one key go to the same one, in order,
 * as long as it lives; few keys move when one comes or goes. The same key is the same receiver's in all
 * processes. Else as `pinfold_router_send`; with `PINFOLD_STATUS_DISCONNECTED` if no receiver is left.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `key_len` bytes can be read at `key`; and as for `pinfold_sender_send`.
 */
pinfold_status pinfold_router_send_by_key(pinfold_router *router,
                                          const void *key,
                                          size_t key_len,
                                          const void *data,
                                          size_t len,
                                          const pinfold_submit_settings *settings,
                                          uint64_t timeout);

/**
 * Sends a message to the receiver whose queue is the shortest now; if all are full, to the first that has room. Else as
 * `pinfold_router_send`; with `PINFOLD_STATUS_DISCONNECTED` if no receiver is left.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * As for `pinfold_sender_send`.
 */
pinfold_status pinfold_router_balance(pinfold_router *router,
                                      const void *data,
                                      size_t len,
                                      const pinfold_submit_settings *settings,
                                      uint64_t timeout);

/**
 * The number of the receiver that has this key now.
 *
 * Fails with `PINFOLD_STATUS_DISCONNECTED` if no receiver is left.
 *
 * Any thread.
 *
 * # Safety
 *
 * `key_len` bytes can be read at `key`; `out_number` is null, or writable.
 */
pinfold_status pinfold_router_receiver_of(pinfold_router *router,
                                          const void *key,
                                          size_t key_len,
                                          size_t *out_number);

/**
 * Whether the receiver of this number is there: 1 or 0.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_is_there` is null, or writable.
 */
pinfold_status pinfold_router_is_there(pinfold_router *router,
                                       size_t number,
                                       int32_t *out_is_there);

/**
 * How many messages were lost with receivers that died while they took them.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_router_lost(pinfold_router *router,
                                   uint64_t *out_count);

/**
 * One more receiver, with the next number, the caller's: free it with `pinfold_receiver_free`. From now
 * on this router sends to it, too; others that tasks have do not.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_receiver` is null, or writable.
 */
pinfold_status pinfold_router_join(pinfold_router *router,
                                   pinfold_receiver **out_receiver);

/**
 * Sends no more to the receiver of this number; it takes what is in its queue.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` if there is none.
 *
 * Any thread.
 */
pinfold_status pinfold_router_leave(pinfold_router *router,
                                    size_t number);

/**
 * Hands on what is left in the queues of receivers that are gone: how many messages that were. Waits at
 * most `timeout` nanoseconds for each while the queues of others are full. If no receiver is left, they stay.
 *
 * Fails as `pinfold_router_send`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_count` is null, or writable.
 */
pinfold_status pinfold_router_hand_on(pinfold_router *router,
                                      uint64_t timeout,
                                      size_t *out_count);

/**
 * Frees a router; its receivers are told that nobody sends when no other has it, and they have taken
 * what is in their queues. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_router_free(pinfold_router *router);

/**
 * A read-write lock around `len` bytes of memory that the processes of `runtime` share: a copy of
 * those at `data`, or zeros if that is null. It takes 64 bytes more for each worker that there may be.
 *
 * The lock is the caller's: free it with `pinfold_rwlock_free`. A task gets it by
 * `pinfold_submit_settings.objects`.
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_rwlock_new`.
 *
 * # Safety
 *
 * `len` bytes can be read at `data`, or it is null; `out_lock` is null, or writable.
 */
pinfold_status pinfold_rwlock_new(pinfold_runtime *runtime,
                                  const void *data,
                                  size_t len,
                                  pinfold_rwlock **out_lock);

/**
 * The same in a task. The handle is the worker process's, also after the call: free it.
 *
 * Fails as `pinfold_rwlock_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_rwlock_new`.
 */
pinfold_status pinfold_call_rwlock_new(pinfold_call *call,
                                       const void *data,
                                       size_t len,
                                       pinfold_rwlock **out_lock);

/**
 * Takes the lock to read: others may have it to read at the same time. Waits as
 * `pinfold_mutex_lock` does, while somebody writes or waits to, and tells the same: the bytes may be read until the
 * lock is given back, by this thread, with `pinfold_rwlock_unlock`. A thread that reads may take it to read once more.
 *
 * Fails as `pinfold_mutex_lock`; with `PINFOLD_STATUS_DEADLOCK` if this thread writes.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_data`, `out_len` and `out_is_half` are null, or writable.
 */
pinfold_status pinfold_rwlock_read(pinfold_rwlock *lock,
                                   uint64_t timeout,
                                   const void **out_data,
                                   size_t *out_len,
                                   int32_t *out_is_half);

/**
 * Takes the lock to write: nobody else has it then. As `pinfold_mutex_lock`.
 *
 * Fails as that does; with `PINFOLD_STATUS_DEADLOCK` if this thread has the lock already, to read or to
 * write. Of those that read, the last message names the processes.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_data`, `out_len` and `out_is_half` are null, or writable.
 */
pinfold_status pinfold_rwlock_write(pinfold_rwlock *lock,
                                    uint64_t timeout,
                                    void **out_data,
                                    size_t *out_len,
                                    int32_t *out_is_half);

/**
 * The bytes are whole again, as `pinfold_mutex_mend`.
 *
 * Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock to write.
 *
 * Any thread: the one that has the lock to write.
 */
pinfold_status pinfold_rwlock_mend(pinfold_rwlock *lock);

/**
 * Gives back what this thread has taken, to read or to write; as often as it has. The memory must
 * not be touched any more.
 *
 * Fails with `PINFOLD_STATUS_NOT_HELD` if it has not.
 *
 * Any thread: the one that has the lock.
 */
pinfold_status pinfold_rwlock_unlock(pinfold_rwlock *lock);

/**
 * Gives the lock back in the middle of a change, as `pinfold_mutex_abandon`.
 *
 * Fails with `PINFOLD_STATUS_NOT_HELD` if this thread does not have the lock to write.
 *
 * Any thread: the one that has the lock to write.
 */
pinfold_status pinfold_rwlock_abandon(pinfold_rwlock *lock);

/**
 * Frees a handle of a lock; what was taken by it is given back first. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_rwlock_free(pinfold_rwlock *lock);

/**
 * Waits for the first of `count` things that is ready, and does it: receives the message, or sends it.
 * Nobody else can come in between. Waits at most `timeout` nanoseconds; 0 does not wait, and
 * `PINFOLD_FOREVER` is no limit. If several are ready, they take turns.
 *
 * `out_index` is which one it was. The message that was received is the caller's: free it with
 * `pinfold_message_free`; for others null is written to `out_message`, which may be null if no case has a
 * receiver. A handle of a task that has ended stays ready, and is not joined by that; nor is a child. If nobody has
 * begun a child when the thread would sleep, it is run here, as by `pinfold_child_wait`.
 *
 * Into a channel of capacity 0 it sends when a receiver waits: in `pinfold_receiver_recv`, or in another
 * select, but not one that only tries. Into one that is bounded by bytes it sends when there is room for the message.
 *
 * Fails with `PINFOLD_STATUS_NOTHING_YET` (none is ready, and the call does not wait),
 * `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it
 * waited), `PINFOLD_STATUS_INVALID_ARGUMENT` (a case is for several things; or there is nothing to wait for);
 * and with what became of the one that was chosen, as of `pinfold_receiver_recv` or
 * `pinfold_sender_send`: `PINFOLD_STATUS_DISCONNECTED`, above all. Then `out_index` is written, too: set
 * that case to null before the next call. (`PINFOLD_STATUS_FULL` is of a channel of capacity 0 whose receiver has left
 * meanwhile: try again.)
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `count` cases can be read at `cases`, and what each of them names as for `pinfold_sender_send`;
 * `out_index` and `out_message` are null, or writable.
 */
pinfold_status pinfold_select(const pinfold_case *cases,
                              size_t count,
                              uint64_t timeout,
                              size_t *out_index,
                              pinfold_message **out_message);

/**
 * A semaphore of so many permits, 1 to 65536, for the processes of `runtime`. What a process that
 * dies has of them is free again.
 *
 * The semaphore is the caller's: free it with `pinfold_semaphore_free`. A task gets it by
 * `pinfold_submit_settings.objects`.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for another number of permits, and with
 * `PINFOLD_STATUS_NO_MEMORY`, `PINFOLD_STATUS_TOO_LARGE` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_semaphore_new`.
 *
 * # Safety
 *
 * `out_semaphore` is null, or writable.
 */
pinfold_status pinfold_semaphore_new(pinfold_runtime *runtime,
                                     size_t permits,
                                     pinfold_semaphore **out_semaphore);

/**
 * The same in a task. The handle is the worker process's, also after the call: free it.
 *
 * Fails as `pinfold_semaphore_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_semaphore_new`.
 */
pinfold_status pinfold_call_semaphore_new(pinfold_call *call,
                                          size_t permits,
                                          pinfold_semaphore **out_semaphore);

/**
 * Takes a permit. Waits for it at most `timeout` nanoseconds; 0 does not wait, and
 * `PINFOLD_FOREVER` is no limit.
 *
 * Fails with `PINFOLD_STATUS_BUSY` (none is free, and the call does not wait) or
 * `PINFOLD_STATUS_TIMED_OUT`: the last message names one that has a permit; with
 * `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it waited),
 * `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 */
pinfold_status pinfold_semaphore_acquire(pinfold_semaphore *semaphore,
                                         uint64_t timeout);

/**
 * Gives back one of the permits that were taken by this handle.
 *
 * Fails with `PINFOLD_STATUS_NOT_HELD` if there is none.
 *
 * Any thread.
 */
pinfold_status pinfold_semaphore_release(pinfold_semaphore *semaphore);

/**
 * How many permits are free, at some moment.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_permits` is null, or writable.
 */
pinfold_status pinfold_semaphore_available(pinfold_semaphore *semaphore,
                                           size_t *out_permits);

/**
 * Frees a handle of a semaphore; the permits that were taken by it are given back. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_semaphore_free(pinfold_semaphore *semaphore);

/**
 * A ticker that ticks each `period` nanoseconds from now on, for the processes of `runtime`.
 *
 * The ticker is the caller's: free it with `pinfold_ticker_free`. A task gets it by
 * `pinfold_submit_settings.objects`.
 *
 * Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a period of 0 or of more than a century, and with
 * `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_ticker_new`.
 *
 * # Safety
 *
 * `out_ticker` is null, or writable.
 */
pinfold_status pinfold_ticker_new(pinfold_runtime *runtime,
                                  uint64_t period,
                                  pinfold_ticker **out_ticker);

/**
 * The same in a task. The handle is the worker process's, also after the call: free it.
 *
 * Fails as `pinfold_ticker_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_ticker_new`.
 */
pinfold_status pinfold_call_ticker_new(pinfold_call *call,
                                       uint64_t period,
                                       pinfold_ticker **out_ticker);

/**
 * Waits for the next tick, unless there were some since this handle was asked last: how many there
 * were. So whoever is late loses none.
 *
 * Fails with `PINFOLD_STATUS_TOLD_TO_END` (in a task that was cancelled while it waited),
 * `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 *
 * # Safety
 *
 * `out_ticks` is null, or writable.
 */
pinfold_status pinfold_ticker_wait(pinfold_ticker *ticker,
                                   uint64_t *out_ticks);

/**
 * How many ticks there were since this handle was asked last; waits for none.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_ticks` is null, or writable.
 */
pinfold_status pinfold_ticker_missed(pinfold_ticker *ticker,
                                     uint64_t *out_ticks);

/**
 * Frees a handle of a ticker. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_ticker_free(pinfold_ticker *ticker);

/**
 * A wait group of the processes of `runtime`, and its first member.
 *
 * Both are the caller's: free each with `pinfold_waitgroup_free` and `pinfold_waitgroup_member_free`. Each
 * task that gets the member by `pinfold_submit_settings.objects` is one more, until it has ended; so is a
 * clone. Free the one here when it has nothing to do (any more).
 *
 * Fails with `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread; in a task use `pinfold_call_waitgroup_new`.
 *
 * # Safety
 *
 * `out_group` and `out_member` are null, or writable.
 */
pinfold_status pinfold_waitgroup_new(pinfold_runtime *runtime,
                                     pinfold_waitgroup **out_group,
                                     pinfold_waitgroup_member **out_member);

/**
 * The same in a task. Both handles are the worker process's, also after the call: free them.
 *
 * Fails as `pinfold_waitgroup_new`.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * As for `pinfold_waitgroup_new`.
 */
pinfold_status pinfold_call_waitgroup_new(pinfold_call *call,
                                          pinfold_waitgroup **out_group,
                                          pinfold_waitgroup_member **out_member);

/**
 * Waits until no member is left, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit.
 *
 * Fails with `PINFOLD_STATUS_TIMED_OUT` (the last message says which processes have members),
 * `PINFOLD_STATUS_MEMBER_GONE` (none is left, and some processes have died that had one, which the message
 * names), `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
 *
 * Any thread. In a task it keeps the executor that runs it.
 */
pinfold_status pinfold_waitgroup_wait(pinfold_waitgroup *group,
                                      uint64_t timeout);

/**
 * Whether no member is left: 1 or 0.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_is_done` is null, or writable.
 */
pinfold_status pinfold_waitgroup_is_done(pinfold_waitgroup *group,
                                         int32_t *out_is_done);

/**
 * Frees a handle of a wait group. Null does nothing.
 *
 * Any thread. A call that waits with it goes on.
 */
pinfold_status pinfold_waitgroup_free(pinfold_waitgroup *group);

/**
 * One more member of the same group, the caller's.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_member` is null, or writable.
 */
pinfold_status pinfold_waitgroup_member_clone(pinfold_waitgroup_member *member,
                                              pinfold_waitgroup_member **out_member);

/**
 * This member is done, and freed. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_waitgroup_member_free(pinfold_waitgroup_member *member);

/**
 * Takes no more tasks, and ends those in flight as `how` says, a `pinfold_shutdown`; returns when
 * every task has ended and every process is gone. `time` and `grace` are in nanoseconds, for those
 * that have them; `PINFOLD_FOREVER` is no limit.
 *
 * While one thread waits here another may make it more urgent, by a call of its own: of all
 * that is asked for the earliest holds. Once it is over a call does nothing. What is submitted from
 * the beginning on ends with `PINFOLD_STATUS_SHUTDOWN`, or is refused with it. The runtime,
 * its handles, tasks and buffers stay valid, and are to be freed; statistics stay.
 *
 * Fails with `PINFOLD_STATUS_NOT_ORDERLY` when it is over, but tasks were ended that this call
 * would have let run: the time was up, or another call has cut it short.
 *
 * Any thread, and several at once; not in a task.
 */
pinfold_status pinfold_runtime_shutdown(pinfold_runtime *runtime,
                                        int32_t how,
                                        uint64_t time,
                                        uint64_t grace);

/**
 * As `pinfold_runtime_shutdown`, but does not wait: from here on no task is accepted, and those in
 * flight end as `how` says. `pinfold_runtime_shutdown` with `PINFOLD_SHUTDOWN_DRAIN` waits until it
 * is over; so does `pinfold_runtime_free`.
 *
 * Any thread, and several at once; not in a task.
 */
pinfold_status pinfold_runtime_begin_shutdown(pinfold_runtime *runtime,
                                              int32_t how,
                                              uint64_t time,
                                              uint64_t grace);

/**
 * Registers a kind of state that workers can make before their first task, by `name` (1 to 255
 * bytes of UTF-8, copied): `pinfold_config.worker_state` and `executor_state` name it.
 *
 * `make` is called in each worker, with the bytes of `pinfold_config.state_argument` as
 * argument; if it fails, the worker counts as one that could not be started
 * (`pinfold_config.start_attempts`). `drop` is called when a worker ends in order, and may be
 * null; one that is killed, or dies, drops nothing. Both with `user`, by a thread of the worker.
 *
 * Call it before `pinfold_init`, as `pinfold_function_register`. Fails as that does.
 *
 * Any thread; not in a task.
 *
 * # Safety
 *
 * `name` is null or a string that ends in NUL. `make` and `drop` may be called with `user`.
 */
pinfold_status pinfold_state_register(const char *name,
                                      pinfold_state_make make,
                                      pinfold_state_drop drop,
                                      void *user);

/**
 * What `pinfold_config.worker_state` has made in this worker: the same for all its tasks, which
 * may run at the same time if it has several threads.
 *
 * It is the worker's, and there as long as that runs tasks. Fails with
 * `PINFOLD_STATUS_INVALID_ARGUMENT` if there is none.
 *
 * Only in a task (and while an executor's state is made), by the thread that the function was
 * called on.
 *
 * # Safety
 *
 * `out_state` is null or writable.
 */
pinfold_status pinfold_call_worker_state(pinfold_call *call,
                                         void **out_state);

/**
 * What `pinfold_config.executor_state` has made for the thread that runs this task: no other
 * thread uses it. A task that this one joins, and that runs on the spot, finds the same.
 *
 * It is the thread's, and there as long as that runs tasks. Fails with
 * `PINFOLD_STATUS_INVALID_ARGUMENT` if there is none.
 *
 * Only in a task, by the thread that the function was called on.
 *
 * # Safety
 *
 * `out_state` is null or writable.
 */
pinfold_status pinfold_call_executor_state(pinfold_call *call,
                                           void **out_state);

/**
 * Writes a runtime's numbers to `*out_stats`, whose `size` says how long it is; that stays. Also
 * after its shutdown.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_stats` is null or a `pinfold_stats` that nobody else touches during the call.
 */
pinfold_status pinfold_runtime_stats(pinfold_runtime *runtime,
                                     pinfold_stats *out_stats);

/**
 * The same and more, each worker and each queue by itself, as a JSON object: the fields of
 * `pinfold::Stats`.
 *
 * The text is the caller's: free it with `pinfold_text_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_text` is null or writable.
 */
pinfold_status pinfold_runtime_stats_json(pinfold_runtime *runtime,
                                          pinfold_text **out_text);

/**
 * Counts what there is, and writes it to `*out_audit`, whose `size` says how long it is; that
 * stays. It reads all of it (some 10 µs or more): for tests, and for a look at a running service.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_audit` is null or a `pinfold_audit` that nobody else touches during the call.
 */
pinfold_status pinfold_runtime_audit(pinfold_runtime *runtime,
                                     pinfold_audit *out_audit);

/**
 * The same and what each process owns, as a JSON object: the fields of `pinfold::Audit`.
 *
 * The text is the caller's: free it with `pinfold_text_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_text` is null or writable.
 */
pinfold_status pinfold_runtime_audit_json(pinfold_runtime *runtime,
                                          pinfold_text **out_text);

/**
 * How long tasks have waited and run, by function, as a JSON object: the fields of
 * `pinfold::Profile`. Of no function unless `pinfold_config.profile` was set.
 *
 * The text is the caller's: free it with `pinfold_text_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_text` is null or writable.
 */
pinfold_status pinfold_runtime_profile_json(pinfold_runtime *runtime,
                                            pinfold_text **out_text);

/**
 * The machine, as far as this process may use it: nodes, cores, caches, CPUs, limits. A JSON
 * object: the fields of `pinfold::topology::Topology`.
 *
 * The text is the caller's: free it with `pinfold_text_free`.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_text` is null or writable.
 */
pinfold_status pinfold_topology_json(pinfold_text **out_text);

/**
 * Gives freed shared memory back to the system; `*out_bytes` is how much. It is otherwise kept
 * for reuse.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_bytes` is null (it is not asked for) or writable.
 */
pinfold_status pinfold_runtime_trim_memory(pinfold_runtime *runtime,
                                           uint64_t *out_bytes);

/**
 * Cancels all tasks that nobody runs: those that are queued, wait for others or for their next
 * attempt. They end with `PINFOLD_STATUS_CANCELLED`; `*out_count` is how many. What runs is not told,
 * and what is submitted later is accepted.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_count` is null (it is not asked for) or writable.
 */
pinfold_status pinfold_runtime_cancel_pending(pinfold_runtime *runtime,
                                              size_t *out_count);

/**
 * Submits a task with `len` bytes of argument, which are copied, and with what `settings` say
 * (null: nothing). Waits for room if as many tasks are in flight as may be.
 *
 * The handle is the caller's, as that of `pinfold_task_submit`.
 *
 * Fails with `PINFOLD_STATUS_BAD_HANDLE`, and for a buffer with `PINFOLD_STATUS_NOT_PUBLISHED`,
 * `PINFOLD_STATUS_MOVED` (before, or by this very call: it is named twice) and
 * `PINFOLD_STATUS_FOREIGN_HANDLE` (it is of another runtime), for another object with the last two, or with
 * `PINFOLD_STATUS_BUSY` (it is to be moved, and another thread is in a call with it); with nothing submitted, and nothing
 * moved.
 *
 * Any thread.
 *
 * # Safety
 *
 * `len` bytes can be read at `argument` (null if there are none); `settings` is null or a
 * `pinfold_submit_settings`, where so many handles can be read as it says; `out_handle` is null
 * or writable.
 */
pinfold_status pinfold_task_submit_with(pinfold_task *task,
                                        const void *argument,
                                        size_t len,
                                        const pinfold_submit_settings *settings,
                                        pinfold_handle **out_handle);

/**
 * Submits a task as `pinfold_task_submit_with`, if it can be accepted within `timeout` nanoseconds; 0
 * does not wait, and `PINFOLD_FOREVER` is no limit. One that is after others takes no place in the queue until these have
 * ended, and is accepted at once, unless 2^20 wait already.
 *
 * If it is not accepted, nothing was submitted, and nothing moved: the status is as of
 * `pinfold_task_submit_timeout`.
 *
 * Any thread.
 *
 * # Safety
 *
 * As for `pinfold_task_submit_with`.
 */
pinfold_status pinfold_task_submit_with_timeout(pinfold_task *task,
                                                const void *argument,
                                                size_t len,
                                                const pinfold_submit_settings *settings,
                                                uint64_t timeout,
                                                pinfold_handle **out_handle);

/**
 * A task of function `function`, as it was registered, for the workers of `runtime`. `settings` may be null: all
 * defaults.
 *
 * The task is the caller's: free it with `pinfold_task_free`, at any time.
 *
 * Fails with `PINFOLD_STATUS_UNKNOWN_FUNCTION`, and with `PINFOLD_STATUS_INVALID_ARGUMENT` if a
 * setting makes no sense; the last message says which.
 *
 * Any thread.
 *
 * # Safety
 *
 * `function` is null or a string that ends in NUL; `settings` is null or a
 * `pinfold_task_settings`; `out_task` is null or writable.
 */
pinfold_status pinfold_task_new(pinfold_runtime *runtime,
                                const char *function,
                                const pinfold_task_settings *settings,
                                pinfold_task **out_task);

/**
 * Frees a task; what was submitted goes on. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_task_free(pinfold_task *task);

/**
 * Submits a task with `len` bytes of argument, which are copied. Waits for room if as many tasks
 * are in flight as may be.
 *
 * The handle is the caller's: free it with `pinfold_handle_free`, or have
 * `pinfold_handle_join` free it. Each task that was submitted ends, and its handle says how; that it cannot
 * be run at all is said there too.
 *
 * Any thread.
 *
 * # Safety
 *
 * `len` bytes can be read at `argument` (null if there are none); `out_handle` is null or
 * writable.
 */
pinfold_status pinfold_task_submit(pinfold_task *task,
                                   const void *argument,
                                   size_t len,
                                   pinfold_handle **out_handle);

/**
 * Submits a task if it can be accepted at once; the call never waits. Else as
 * `pinfold_task_submit`.
 *
 * If it is not accepted, nothing was submitted: `PINFOLD_STATUS_FULL` if as many tasks are in
 * flight as may be, or a limit is reached; `PINFOLD_STATUS_NO_MEMORY` if there is no room for
 * the argument now; `PINFOLD_STATUS_TOO_LARGE` if it wants more of a limit than there is;
 * `PINFOLD_STATUS_SHUTDOWN`, `PINFOLD_STATUS_NO_WORKERS`, `PINFOLD_STATUS_FORKED`.
 *
 * Any thread.
 *
 * # Safety
 *
 * As for `pinfold_task_submit`.
 */
pinfold_status pinfold_task_try_submit(pinfold_task *task,
                                       const void *argument,
                                       size_t len,
                                       pinfold_handle **out_handle);

/**
 * Submits a task if it can be accepted within `timeout` nanoseconds: waits so long for room
 * among the tasks in flight, for its limits, and for memory for its argument. Else as
 * `pinfold_task_submit`.
 *
 * If it is not accepted, nothing was submitted: `PINFOLD_STATUS_TIMED_OUT` if there was no room,
 * and else as for `pinfold_task_try_submit`.
 *
 * Any thread.
 *
 * # Safety
 *
 * As for `pinfold_task_submit`.
 */
pinfold_status pinfold_task_submit_timeout(pinfold_task *task,
                                           const void *argument,
                                           size_t len,
                                           uint64_t timeout,
                                           pinfold_handle **out_handle);

/**
 * Submits a task to begin when `count` others have ended, whose outputs are its inputs, in that
 * order (`pinfold_call_input`). Those may have ended, and their handles may be freed at any
 * time after this call; the same may be named several times. If one of them ends without an output, this task is
 * not run, and ends with `PINFOLD_STATUS_DEPENDENCY_FAILED`.
 *
 * Fails with `PINFOLD_STATUS_BAD_HANDLE`; with nothing submitted.
 *
 * Any thread.
 *
 * # Safety
 *
 * As for `pinfold_task_submit`; and `count` handles can be read at `after` (null if there are
 * none).
 */
pinfold_status pinfold_task_submit_after(pinfold_task *task,
                                         const void *argument,
                                         size_t len,
                                         pinfold_handle *const *after,
                                         size_t count,
                                         pinfold_handle **out_handle);

/**
 * Where a text begins, and its length in bytes. It is UTF-8, and ends in a NUL besides, which
 * does not count.
 *
 * The memory is the text's: it may be read until that is freed.
 *
 * Any thread.
 *
 * # Safety
 *
 * `out_data` is null or writable; `out_len` is null (it is not asked for) or writable.
 */
pinfold_status pinfold_text_data(pinfold_text *text,
                                 const char **out_data,
                                 size_t *out_len);

/**
 * Frees a text. Null does nothing.
 *
 * Any thread.
 */
pinfold_status pinfold_text_free(pinfold_text *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PINFOLD_H */

/* Each of these initializes a struct where it is declared: all settings have their defaults. */
#ifndef PINFOLD_DEFAULTS
#ifdef __cplusplus
extern "C++" {
template <class Settings> inline Settings pinfold_defaults_of(void)
{
    Settings settings = Settings();
    settings.size = sizeof(Settings);
    return settings;
}
}
#define PINFOLD_DEFAULTS(Settings) (pinfold_defaults_of<Settings>())
#else
#define PINFOLD_DEFAULTS(Settings) { .size = sizeof(Settings) }
#endif
#endif
#define PINFOLD_CONFIG_INIT PINFOLD_DEFAULTS(pinfold_config)
#define PINFOLD_TASK_SETTINGS_INIT PINFOLD_DEFAULTS(pinfold_task_settings)
#define PINFOLD_TASK_INFO_INIT PINFOLD_DEFAULTS(pinfold_task_info)
#define PINFOLD_STATS_INIT PINFOLD_DEFAULTS(pinfold_stats)
#define PINFOLD_AUDIT_INIT PINFOLD_DEFAULTS(pinfold_audit)
#define PINFOLD_SUBMIT_SETTINGS_INIT PINFOLD_DEFAULTS(pinfold_submit_settings)
#define PINFOLD_CHANNEL_SETTINGS_INIT PINFOLD_DEFAULTS(pinfold_channel_settings)
#define PINFOLD_BROADCAST_SETTINGS_INIT PINFOLD_DEFAULTS(pinfold_broadcast_settings)

/* The entry of a plugin (`pinfold_config.plugin`), once in a shared library, before its body:
 *
 *     PINFOLD_PLUGIN
 *     {
 *         return pinfold_function_register("square", square, NULL);
 *     }
 *
 * It is called once, in a process with one thread, from which all workers are forked; any other
 * status than PINFOLD_STATUS_OK, and any function that cannot be registered, refuses the runtime's start.
 * The library need not be linked with -lpinfold.
 */
#ifdef __cplusplus
#define PINFOLD_PLUGIN_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define PINFOLD_PLUGIN_EXPORT extern __attribute__((visibility("default")))
#endif
#define PINFOLD_PLUGIN                                              \
    PINFOLD_PLUGIN_EXPORT const uint32_t pinfold_plugin_abi_version; \
    const uint32_t pinfold_plugin_abi_version = PINFOLD_ABI_VERSION; \
    PINFOLD_PLUGIN_EXPORT pinfold_status pinfold_plugin_register(void); \
    pinfold_status pinfold_plugin_register(void)
