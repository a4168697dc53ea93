/* pinfold for C++17 and later: the C face with owners, exceptions and types. Header only.
 *
 * Functions that take no captures are tasks; their arguments and results are types whose bytes can
 * be copied, and vectors of such. A failed call throws `pinfold::error`; an exception in a task makes the
 * task fail, and its text arrives with the handle. Objects are moved, not copied, and free what they have. `get()` of each
 * is the C object: all of pinfold.h can be used with it, and says more.
 *
 *     const auto square = pinfold::define("square", [](int n) { return n * n; });
 *     pinfold::init(argc, argv); // in a worker process it does not return
 *     const pinfold::runtime runtime;
 *     int result = runtime.task(square).submit(7).join(); // 49
 *
 *   pinfold/base.hpp     error, check, span, bytes, view_as, forever
 *   pinfold/buffer.hpp   buffer
 *   pinfold/channel.hpp  sender, receiver, message, cargo
 *   pinfold/call.hpp     function, call, child, context: in a task
 *   pinfold/define.hpp   define, define_state, registers, init
 *   pinfold/handle.hpp   handle, outcome, progress, wait_all, wait_any, join_all, events, group
 *   pinfold/task.hpp     limit, memo, settings, task
 *   pinfold/shared.hpp   mutex, rwlock, semaphore, once, oncelock, latch, waitgroup, barrier, ticker, publisher, subscriber
 *   pinfold/group.hpp    member, router, select
 *   pinfold/make.hpp     where these are made: runtime.mutex(7), call.mutex(7)
 *   pinfold/runtime.hpp  runtime
 */
#ifndef PINFOLD_HPP
#define PINFOLD_HPP

#include "pinfold/base.hpp"

#include "pinfold/buffer.hpp"
#include "pinfold/call.hpp"
#include "pinfold/channel.hpp"
#include "pinfold/define.hpp"
#include "pinfold/group.hpp"
#include "pinfold/handle.hpp"
#include "pinfold/make.hpp"
#include "pinfold/runtime.hpp"
#include "pinfold/shared.hpp"
#include "pinfold/task.hpp"

#endif // PINFOLD_HPP
