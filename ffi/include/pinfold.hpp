/* pinfold for C++17 and later: the C face with owners, exceptions and types. Header only.
 *
 * Functions that take no captures are tasks; their arguments and results are types whose bytes can
 * be copied. A failed call throws `pinfold::error`; an exception in a task makes the task fail, and its
 * text arrives with the handle. `get()` of each owner is the C object: all of pinfold.h can be
 * used with it.
 */
#ifndef PINFOLD_HPP
#define PINFOLD_HPP

#include "pinfold.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus >= 202002L && defined(__has_include)
#if __has_include(<span>)
#include <span>
#endif
#endif

namespace pinfold {

#if defined(__cpp_lib_span)
/// Some `T` that follow each other in memory which somebody else owns.
template <class T> using span = std::span<T>;
#else
/// Some `T` that follow each other in memory which somebody else owns: as much of
/// `std::span`, which C++17 does not have, as is needed.
template <class T> class span {
public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    template <class U, class = std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]>>>
    constexpr span(const span<U> &other) noexcept : data_(other.data()), size_(other.size()) {}
    /// Anything with `data()` and `size()`, such as a vector.
    template <class C, class = std::enable_if_t<std::is_convertible_v<
                           std::remove_pointer_t<decltype(std::declval<C &>().data())> (*)[], T (*)[]>>>
    constexpr span(C &&container) noexcept : data_(container.data()), size_(container.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T &operator[](std::size_t index) const { return data_[index]; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

/// Memory to be read.
using bytes = span<const std::byte>;

/// A call that failed, or a task that has ended without a value.
class error : public std::runtime_error {
public:
    /// Takes its text from this thread's last message.
    explicit error(pinfold_status status) : std::runtime_error(text_of(status)), status_(status) {}
    error(pinfold_status status, const std::string &text) : std::runtime_error(text), status_(status) {}

    pinfold_status status() const noexcept { return status_; }

private:
    static std::string text_of(pinfold_status status)
    {
        const char *said = pinfold_last_message();
        return *said != '\0' ? said : pinfold_status_message(status);
    }

    pinfold_status status_;
};

/// Throws `error` unless the status is success.
inline void check(pinfold_status status)
{
    if (status != PINFOLD_STATUS_OK)
        throw error(status);
}

namespace detail {

template <class T, pinfold_status (*Free)(T *)> struct freed {
    void operator()(T *object) const noexcept { Free(object); }
};
/// Owns a C object; moved, never copied.
template <class T, pinfold_status (*Free)(T *)> using owner = std::unique_ptr<T, freed<T, Free>>;

/// Whether values of the type travel by their bytes: it is not a pointer, which would mean nothing there.
template <class T>
inline constexpr bool travels
    = std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && !std::is_pointer_v<T>;

template <class T> T value_of(bytes from, const char *what)
{
    static_assert(travels<T>, "its bytes must be all there is to it: no pointer, no copy constructor of its own");
    if (from.size() != sizeof(T))
        throw error(PINFOLD_STATUS_INVALID_ARGUMENT,
                    std::string(what) + " has " + std::to_string(from.size()) + " bytes, not "
                        + std::to_string(sizeof(T)));
    T value{};
    std::memcpy(static_cast<void *>(&value), from.data(), sizeof(T));
    return value;
}

inline bytes view(const void *data, std::size_t size)
{
    return bytes(static_cast<const std::byte *>(data), size);
}

} // namespace detail

/// Shared memory, which tasks read where it is. Written first, by `data`; then published. Destroyed, it
/// lets go of the memory, which stays as long as anybody has it.
class buffer {
public:
    explicit buffer(pinfold_buffer *raw) noexcept : own_(raw) {}

    pinfold_buffer *get() const noexcept { return own_.get(); }

    /// To be written, until it is published.
    span<std::byte> data() const
    {
        void *data = nullptr;
        check(pinfold_buffer_data(get(), &data));
        return span<std::byte>(static_cast<std::byte *>(data), view().size());
    }

    /// To be read.
    bytes view() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_buffer_const_data(get(), &data, &size));
        return detail::view(data, size);
    }

    /// From now on any number of tasks may read it, and nobody may write it.
    void publish() const { check(pinfold_buffer_publish(get())); }

    /// One more owner of the same memory, which is published.
    buffer share() const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_buffer_retain(get(), &raw));
        return buffer(raw);
    }

    /// Some of it, if it is published: `size` bytes from `offset` on, of the same memory.
    buffer range(std::size_t offset, std::size_t size) const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_buffer_range(get(), offset, size, &raw));
        return buffer(raw);
    }

private:
    detail::owner<pinfold_buffer, pinfold_buffer_free> own_;
};

/// The task that runs: what a task's function may take as its first parameter, by reference.
class call {
public:
    explicit call(pinfold_call *raw) noexcept : raw_(raw) {}

    pinfold_call *get() const noexcept { return raw_; }

    /// The bytes of the argument, in place, until the function returns.
    bytes argument() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_call_argument(raw_, &data, &size));
        return detail::view(data, size);
    }

    /// How many tasks this one was submitted after.
    std::size_t input_count() const
    {
        std::size_t count = 0;
        check(pinfold_call_input_count(raw_, &count));
        return count;
    }

    /// The output of one of them, in place, until the function returns.
    bytes input(std::size_t index) const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_call_input(raw_, index, &data, &size));
        return detail::view(data, size);
    }

    /// The same, as a value.
    template <class T> T input(std::size_t index) const { return detail::value_of<T>(input(index), "the input"); }

    /// Room for the task's output, to be written until the function returns; for functions that return `void`.
    span<std::byte> output(std::size_t size) const
    {
        void *data = nullptr;
        check(pinfold_call_output(raw_, size, &data));
        return span<std::byte>(static_cast<std::byte *>(data), size);
    }

    /// Makes a buffer the output, without a copy; it has nothing any more then.
    void output(const pinfold::buffer &made) const { check(pinfold_call_output_buffer(raw_, made.get())); }

    /// How many buffers the task was submitted with.
    std::size_t buffer_count() const
    {
        std::size_t count = 0;
        check(pinfold_call_buffer_count(raw_, &count));
        return count;
    }

    /// One of them, in place, until the function returns.
    bytes buffer(std::size_t index) const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_call_buffer(raw_, index, &data, &size));
        return detail::view(data, size);
    }

    /// The same, to be kept or passed on.
    pinfold::buffer take_buffer(std::size_t index) const
    {
        pinfold_buffer *taken = nullptr;
        check(pinfold_call_buffer_take(raw_, index, &taken));
        return pinfold::buffer(taken);
    }

    /// A new one.
    pinfold::buffer make_buffer(std::size_t size) const
    {
        pinfold_buffer *made = nullptr;
        check(pinfold_call_buffer_new(raw_, size, &made));
        return pinfold::buffer(made);
    }

    /// Whether somebody has cancelled the task: it may end early then.
    bool is_cancelled() const
    {
        std::int32_t is_cancelled = 0;
        check(pinfold_call_is_cancelled(raw_, &is_cancelled));
        return is_cancelled != 0;
    }

private:
    pinfold_call *raw_;
};

namespace detail {

/// No argument.
struct nothing {};

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

    static argument argument_of(call &now)
    {
        if constexpr (std::is_same_v<argument, bytes>)
            return now.argument();
        else
            return value_of<argument>(now.argument(), "the argument");
    }
};

template <class F> struct signature_of;
template <class R> struct signature_of<R (*)()> : signature<R, nothing, false> {};
template <class R> struct signature_of<R (*)(call &)> : signature<R, nothing, true> {};
template <class R, class A> struct signature_of<R (*)(A)> : signature<R, A, false> {};
template <class R, class A> struct signature_of<R (*)(call &, A)> : signature<R, A, true> {};

/// What the library calls, with the function in `user`. No exception gets out.
template <class Pointer> std::int32_t run(pinfold_call *raw, void *user) noexcept
{
    using signature = signature_of<Pointer>;
    using result = typename signature::result;
    try {
        call now(raw);
        auto function = reinterpret_cast<Pointer>(user);
        if constexpr (std::is_void_v<result>) {
            signature::invoke(function, now);
        } else {
            static_assert(travels<result>, "a task's result must be void, or a type whose bytes are all there is to it");
            const result value = signature::invoke(function, now);
            std::memcpy(now.output(sizeof value).data(), &value, sizeof value);
        }
        return 0;
    } catch (const std::exception &thrown) {
        pinfold_call_explain(raw, thrown.what());
    } catch (...) {
        pinfold_call_explain(raw, "the task threw something that is not a std::exception");
    }
    return 1;
}

/// A function type as a pointer that may throw: what `noexcept` says does not matter here.
template <class R, class... A> auto plain(R (*function)(A...)) -> R (*)(A...) { return function; }

} // namespace detail

/// A function that was registered, with the types of its argument and its result.
template <class R, class A> class function {
public:
    explicit function(std::string name) : name_(std::move(name)) {}
    const std::string &name() const noexcept { return name_; }

private:
    std::string name_;
};

/// Registers a function by name, to be run as a task: a plain function, or a lambda without
/// captures. Before `init`, in each process.
///
/// It may take a `call &`, and then an argument; and returns nothing or a value. An argument is a
/// trivially copyable type, or `bytes` for a view of however many there are.
template <class F> auto define(const char *name, F callable)
{
    static_assert(std::is_empty_v<F> || std::is_pointer_v<F>,
                  "a lambda with captures is no task: what it captures is not in the worker processes");
    auto pointer = detail::plain(+callable);
    using pointer_type = decltype(pointer);
    using signature = detail::signature_of<pointer_type>;
    check(pinfold_function_register(name, detail::run<pointer_type>, reinterpret_cast<void *>(pointer)));
    return function<typename signature::result, typename signature::argument>(name);
}

/// First thing in `main`, after the functions were registered: in a worker process it does not return.
inline void init(int &argc, char **&argv) { check(pinfold_init(&argc, &argv)); }

/// A task that was submitted, and its result to be. Destroyed, it lets the task run on unheard.
template <class R> class handle {
public:
    explicit handle(pinfold_handle *raw) noexcept : own_(raw) {}

    pinfold_handle *get() const noexcept { return own_.get(); }

    /// Waits for the end, however the task ends.
    void wait() const { check(pinfold_handle_wait(get(), PINFOLD_FOREVER)); }

    /// The same, at most so long: whether it has ended.
    bool wait_for(std::chrono::nanoseconds time) const
    {
        const auto count = time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
        const pinfold_status status = pinfold_handle_wait(get(), count);
        if (status == PINFOLD_STATUS_TIMED_OUT)
            return false;
        check(status);
        return true;
    }

    /// Waits for the end, and returns the output in place: it may be read as long as the handle lives.
    bytes view() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_handle_result(get(), &data, &size));
        return detail::view(data, size);
    }

    /// Waits for the end, and returns the result; the handle is used up.
    R join()
    {
        const auto self = std::move(own_);
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_handle_result(self.get(), &data, &size));
        if constexpr (!std::is_void_v<R>)
            return detail::value_of<R>(detail::view(data, size), "the result");
    }

    /// Waits for the end, and returns the output as a buffer, which stays when the handle goes.
    pinfold::buffer output_buffer() const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_handle_output_buffer(get(), &raw));
        return pinfold::buffer(raw);
    }

    /// Whether the task has ended.
    bool is_finished() const
    {
        std::int32_t is_finished = 0;
        check(pinfold_handle_is_finished(get(), &is_finished));
        return is_finished != 0;
    }

    /// Cancels the task, as `pinfold_handle_cancel` does.
    void cancel() const { check(pinfold_handle_cancel(get())); }

private:
    detail::owner<pinfold_handle, pinfold_handle_free> own_;
};

/// Tasks that are waited for together. Destroyed, it cancels those that have not ended.
class group {
public:
    group()
    {
        pinfold_group *raw = nullptr;
        check(pinfold_group_new(&raw));
        own_.reset(raw);
    }

    pinfold_group *get() const noexcept { return own_.get(); }

    /// Waits for all to end; throws if one of them has ended without a value.
    void wait() const { check(pinfold_group_wait(get(), PINFOLD_FOREVER)); }

    /// Cancels those that have not ended; those that run are asked to end.
    void cancel() const { check(pinfold_group_cancel(get(), PINFOLD_FOREVER)); }

private:
    detail::owner<pinfold_group, pinfold_group_free> own_;
};

/// What another task waits for: any handle, which may be destroyed afterwards.
class dependency {
public:
    template <class R> dependency(const handle<R> &on) noexcept : raw_(on.get()) {}
    pinfold_handle *get() const noexcept { return raw_; }

private:
    pinfold_handle *raw_;
};

/// A function for the workers of a runtime, with its settings.
template <class R, class A> class task {
public:
    explicit task(pinfold_task *raw) noexcept : own_(raw) {}

    pinfold_task *get() const noexcept { return own_.get(); }

    /// Submits it: with its argument, unless it takes none.
    template <class... Argument> handle<R> submit(const Argument &...argument) const
    {
        return submit_after({}, argument...);
    }

    /// The same, to begin when others have ended: their outputs are its inputs, in that order.
    template <class... Argument>
    handle<R> submit_after(std::initializer_list<dependency> others, const Argument &...argument) const
    {
        return submit_after(span<const dependency>(others.begin(), others.size()), argument...);
    }

    /// The same, with as many as there are.
    template <class... Argument>
    handle<R> submit_after(span<const dependency> others, const Argument &...argument) const
    {
        std::vector<pinfold_handle *> after;
        after.reserve(others.size());
        for (const dependency &other : others)
            after.push_back(other.get());
        pinfold_submit_settings settings = PINFOLD_DEFAULTS(pinfold_submit_settings);
        settings.after = after.data();
        settings.after_count = after.size();
        return send(settings, argument...);
    }

    /// Submits it into a group: there is no handle.
    template <class... Argument> void submit_to(const group &into, const Argument &...argument) const
    {
        const auto send = [&](bytes all) {
            return pinfold_group_submit(into.get(), get(), all.data(), all.size(), nullptr);
        };
        check(with_bytes(send, argument...));
    }

    /// Submits it with buffers that are published, which it reads in place.
    template <class... Argument>
    handle<R> submit_with(std::initializer_list<std::reference_wrapper<const buffer>> buffers,
                          const Argument &...argument) const
    {
        std::vector<pinfold_buffer *> all;
        all.reserve(buffers.size());
        for (const buffer &one : buffers)
            all.push_back(one.get());
        pinfold_submit_settings settings = PINFOLD_DEFAULTS(pinfold_submit_settings);
        settings.buffers = all.data();
        settings.buffer_count = all.size();
        return send(settings, argument...);
    }

private:
    template <class... Argument>
    handle<R> send(const pinfold_submit_settings &settings, const Argument &...argument) const
    {
        return with_bytes([&](bytes all) { return send_bytes(settings, all); }, argument...);
    }

    /// Calls `then` with the bytes of the argument, which are there so long.
    template <class Then, class... Argument> static auto with_bytes(Then then, const Argument &...argument)
    {
        if constexpr (sizeof...(Argument) == 0) {
            static_assert(std::is_same_v<A, detail::nothing>, "the task takes an argument");
            return then(bytes());
        } else {
            static_assert(sizeof...(Argument) == 1 && !std::is_same_v<A, detail::nothing>,
                          "a task takes one argument; make a struct of several");
            const A &converted = (argument, ...);
            if constexpr (std::is_same_v<A, bytes>)
                return then(converted);
            else
                return then(detail::view(&converted, sizeof converted));
        }
    }

    handle<R> send_bytes(const pinfold_submit_settings &settings, bytes argument) const
    {
        pinfold_handle *raw = nullptr;
        const bool is_plain = settings.after_count == 0 && settings.buffer_count == 0;
        check(is_plain ? pinfold_task_submit(get(), argument.data(), argument.size(), &raw)
                       : pinfold_task_submit_with(get(), argument.data(), argument.size(), &settings, &raw));
        return handle<R>(raw);
    }

    detail::owner<pinfold_task, pinfold_task_free> own_;
};

/// A fold of worker processes. Destroyed, it ends them, as `pinfold_runtime_free` does.
class runtime {
public:
    /// All defaults.
    runtime() : runtime(PINFOLD_CONFIG_INIT) {}

    explicit runtime(const pinfold_config &config)
    {
        pinfold_runtime *raw = nullptr;
        check(pinfold_runtime_new(&config, &raw));
        own_.reset(raw);
    }

    pinfold_runtime *get() const noexcept { return own_.get(); }

    /// Shared memory of so many bytes, to be written and then published.
    pinfold::buffer buffer(std::size_t size) const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_buffer_new(get(), size, &raw));
        return pinfold::buffer(raw);
    }

    /// A task of a function that was registered.
    template <class R, class A>
    pinfold::task<R, A> task(const function<R, A> &of,
                             const pinfold_task_settings &settings = PINFOLD_TASK_SETTINGS_INIT) const
    {
        pinfold_task *raw = nullptr;
        check(pinfold_task_new(get(), of.name().c_str(), &settings, &raw));
        return pinfold::task<R, A>(raw);
    }

private:
    detail::owner<pinfold_runtime, pinfold_runtime_free> own_;
};

} // namespace pinfold

#endif // PINFOLD_HPP
