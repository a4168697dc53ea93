/* Part of pinfold.hpp: functions that can be run as tasks. */
#ifndef PINFOLD_DEFINE_HPP
#define PINFOLD_DEFINE_HPP

#include "call.hpp"

#include <exception>

namespace pinfold {

namespace detail {

template <class R, class A, bool TakesCall> struct signature {
    using result = R;
    using argument = std::decay_t<A>;

    template <class F> static R invoke(F function, call &now)
    {
        (void)now;
        if constexpr (std::is_same_v<argument, nothing> && TakesCall)
            return function(now);
        else if constexpr (std::is_same_v<argument, nothing>)
            return function();
        else if constexpr (TakesCall)
            return function(now, argument_of(now));
        else
            return function(argument_of(now));
    }

    static argument argument_of(call &now) { return coded<argument>::get(now.argument(), "the argument"); }
};

template <class F> struct signature_of;
template <class R> struct signature_of<R (*)()> : signature<R, nothing, false> {};
template <class R> struct signature_of<R (*)(call &)> : signature<R, nothing, true> {};
template <class R, class A> struct signature_of<R (*)(A)> : signature<R, A, false> {};
template <class R, class A> struct signature_of<R (*)(call &, A)> : signature<R, A, true> {};

/// Runs what may throw: no exception gets out, and its text is the task's.
template <class Body> std::int32_t caught(pinfold_call *raw, Body body) noexcept
{
    try {
        body();
        return 0;
    } catch (const std::exception &thrown) {
        pinfold_call_explain(raw, thrown.what());
    } catch (...) {
        pinfold_call_explain(raw, "the task threw something that is not a std::exception");
    }
    return 1;
}

/// What the library calls, with the function in `user`.
template <class Pointer> std::int32_t run(pinfold_call *raw, void *user) noexcept
{
    using signature = signature_of<Pointer>;
    using result = typename signature::result;
    return caught(raw, [raw, user] {
        call now(raw);
        auto function = reinterpret_cast<Pointer>(user);
        if constexpr (std::is_void_v<result>) {
            signature::invoke(function, now);
        } else {
            const result value = signature::invoke(function, now);
            const bytes from = coded<result>::put(value);
            if (from.size() != 0)
                std::memcpy(now.output(from.size()).data(), from.data(), from.size());
        }
    });
}

template <class T, class Pointer> std::int32_t make_state(pinfold_call *raw, void *user, void **out_state) noexcept
{
    return caught(raw, [=] {
        call now(raw);
        std::unique_ptr<T> made = reinterpret_cast<Pointer>(user)(now);
        *out_state = made.release();
    });
}

template <class T> void drop_state(void *state, void *) noexcept { delete static_cast<T *>(state); }

/// A function type as a pointer that may throw: what `noexcept` says does not matter here.
template <class R, class... A> auto plain(R (*function)(A...)) -> R (*)(A...) { return function; }

template <class F> auto pointer_to(F callable)
{
    static_assert(std::is_empty_v<F> || std::is_pointer_v<F>,
                  "a lambda with captures is no task: what it captures is not in the worker processes");
    return plain(+callable);
}

} // namespace detail

/// Registers a function by name, to be run as a task: a plain function, or a lambda without
/// captures. Before `init`, in each process.
///
/// It may take a `call &`, and then an argument; and returns nothing or a value. Both are of a trivially
/// copyable type, a `std::vector` of one, or a `std::string`. A `span<const T>`, as argument, is a view of
/// however many there are, in place; `bytes` is one of these.
///
///     const auto mean = pinfold::define("mean", [](pinfold::span<const double> numbers) {
///         return std::accumulate(numbers.begin(), numbers.end(), 0.0) / double(numbers.size());
///     });
///     pinfold::init(argc, argv);
///     const pinfold::runtime runtime;
///     runtime.task(mean).submit(std::vector{1.0, 2.0, 6.0}).join(); // 3
template <class F> auto define(const char *name, F callable)
{
    const auto pointer = detail::pointer_to(callable);
    using pointer_type = std::remove_const_t<decltype(pointer)>;
    using signature = detail::signature_of<pointer_type>;
    check(pinfold_function_register(name, detail::run<pointer_type>, reinterpret_cast<void *>(pointer)));
    return function<typename signature::result, typename signature::argument>(name);
}

/// Registers a state that workers make before their first task: a function that takes a `call &` and returns a
/// `std::unique_ptr<T>`. `pinfold_config.worker_state` and `executor_state` name it; tasks
/// find it by `call::worker_state<T>()` and `executor_state<T>()`. Before `init`, in each process.
///
///     pinfold::define_state<Model>("model", [](pinfold::call &call) {
///         return std::make_unique<Model>(call.argument());
///     });
template <class T, class F> void define_state(const char *name, F callable)
{
    const auto pointer = detail::pointer_to(callable);
    using pointer_type = std::remove_const_t<decltype(pointer)>;
    static_assert(std::is_same_v<pointer_type, std::unique_ptr<T> (*)(call &)>,
                  "a state is made by a function of `call &` that returns a `std::unique_ptr` of it");
    check(pinfold_state_register(name, detail::make_state<T, pointer_type>, detail::drop_state<T>,
                                 reinterpret_cast<void *>(pointer)));
}

/// The body of a plugin's entry, with `define`s in it; a name that is refused refuses the plugin.
///
///     PINFOLD_PLUGIN
///     {
///         return pinfold::registers([] { pinfold::define("square", [](int n) { return n * n; }); });
///     }
template <class F> pinfold_status registers(F body) noexcept
{
    try {
        body();
        return PINFOLD_STATUS_OK;
    } catch (const error &failed) {
        return failed.status();
    } catch (...) {
        return PINFOLD_STATUS_START_FAILED;
    }
}

/// First thing in `main`, after the functions were registered: in a worker process it does not return. What `main`
/// does before that is done there too, where it has no arguments.
inline void init(int &argc, char **&argv) { check(pinfold_init(&argc, &argv)); }

} // namespace pinfold

#endif // PINFOLD_DEFINE_HPP
