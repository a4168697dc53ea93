/* Part of pinfold.hpp: what a task has while it runs. */
#ifndef PINFOLD_CALL_HPP
#define PINFOLD_CALL_HPP

#include "make.hpp"

namespace pinfold {

/// A function that is registered, with the types of its argument and its result: what `define` returns. It can
/// be named, too, where that is not at hand: in a task that submits others, in the host of a plugin.
///
///     const pinfold::function<long, int> fib("fib");
template <class R, class A = detail::nothing> class function {
public:
    explicit function(std::string name) : name_(std::move(name)) {}
    const std::string &name() const noexcept { return name_; }

private:
    std::string name_;
};

/// A task that a task has submitted. For the task and the thread that have it; destroyed, it lets the child run on
/// unheard, as part of the same task of the host.
template <class R> class child {
public:
    explicit child(pinfold_child *raw) noexcept : own_(raw) {}

    pinfold_child *get() const noexcept { return own_.get(); }

    /// Waits for the end, however it ends: runs it here if nobody has begun it, and other tasks meanwhile.
    void wait() const { check(pinfold_child_wait(get(), PINFOLD_FOREVER)); }

    /// The same, at most so long: whether it has ended. Zero only looks.
    bool wait_for(std::chrono::nanoseconds time) const
    {
        return detail::happened(pinfold_child_wait(get(), detail::nanoseconds(time)), PINFOLD_STATUS_TIMED_OUT);
    }

    /// Waits for the end, and returns the output in place: it may be read as long as this lives.
    bytes view() const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_child_result(get(), &data, &size));
        return detail::view(data, size);
    }

    /// Waits for the end, and returns the result; this is used up.
    R join()
    {
        const child self(own_.release());
        if constexpr (std::is_void_v<R>)
            self.view();
        else
            return detail::coded<R>::get(self.view(), "the result");
    }

    /// Waits for the end, and returns the output as a buffer, which stays when this goes.
    pinfold::buffer output_buffer() const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_child_output_buffer(get(), &raw));
        return pinfold::buffer(raw);
    }

    /// Cancels it, and all that it has submitted.
    void cancel() const { check(pinfold_child_cancel(get())); }

private:
    detail::owner<pinfold_child, pinfold_child_free> own_;
};

/// The task that runs, for other threads of its worker that work for it, which may use it at the same time. It stays
/// valid when the task has ended, and says so.
///
///     const auto context = call.context();
///     std::thread helper([&] { while (!context.is_cancelled()) step(); });
class context {
public:
    explicit context(pinfold_context *raw) noexcept : own_(raw) {}

    pinfold_context *get() const noexcept { return own_.get(); }

    /// Whether what works for the task is to end.
    bool is_cancelled() const
    {
        std::int32_t is_cancelled = 0;
        check(pinfold_context_is_cancelled(get(), &is_cancelled));
        return is_cancelled != 0;
    }

    /// What the task has left, by the earliest of its deadlines and limits; nothing if it has none.
    std::optional<std::chrono::nanoseconds> time_left() const
    {
        std::uint64_t left = 0;
        check(pinfold_context_time_left(get(), &left));
        return detail::time_left(left);
    }

    /// Tells whoever has the handle how far the task is: by custom 0 to 1, and up to 88 bytes of text.
    void report_progress(double fraction, const std::string &message = {}) const
    {
        check(pinfold_context_report_progress(get(), fraction, message.c_str()));
    }

private:
    detail::owner<pinfold_context, pinfold_context_free> own_;
};

/// The task that runs: what a task's function may take as its first parameter, by reference. For the thread that
/// the function was called on.
///
///     pinfold::define("sum", [](pinfold::call &call) {
///         double sum = 0;
///         for (std::size_t i = 0; i < call.buffer_count(); i++)
///             for (double number : pinfold::view_as<double>(call.buffer(i)))
///                 sum += number;
///         return sum;
///     });
class call : public detail::makes<call, pinfold_call> {
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
    std::size_t input_count() const { return number<std::size_t>(pinfold_call_input_count); }

    /// The output of one of them, in place, until the function returns.
    bytes input(std::size_t index) const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_call_input(raw_, index, &data, &size));
        return detail::view(data, size);
    }

    /// The same, as a value.
    template <class T> T input(std::size_t index) const { return detail::coded<T>::get(input(index), "the input"); }

    /// The same, to be kept or passed on.
    pinfold::buffer input_buffer(std::size_t index) const
    {
        pinfold_buffer *raw = nullptr;
        check(pinfold_call_input_buffer(raw_, index, &raw));
        return pinfold::buffer(raw);
    }

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
    std::size_t buffer_count() const { return number<std::size_t>(pinfold_call_buffer_count); }

    /// One of them, in place, until the function returns.
    bytes buffer(std::size_t index) const
    {
        const void *data = nullptr;
        std::size_t size = 0;
        check(pinfold_call_buffer(raw_, index, &data, &size));
        return detail::view(data, size);
    }

    /// The same, to be kept or passed on; one that was moved to the task can be written.
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

    /// How many sending ends of channels the task was submitted with.
    std::size_t sender_count() const { return number<std::size_t>(pinfold_call_sender_count); }

    /// One of them, to be kept.
    pinfold::sender sender(std::size_t index) const
    {
        pinfold_sender *raw = nullptr;
        check(pinfold_call_sender(raw_, index, &raw));
        return pinfold::sender(raw);
    }

    /// How many receiving ends of channels the task was submitted with.
    std::size_t receiver_count() const { return number<std::size_t>(pinfold_call_receiver_count); }

    /// One of them, to be kept.
    pinfold::receiver receiver(std::size_t index) const
    {
        pinfold_receiver *raw = nullptr;
        check(pinfold_call_receiver(raw_, index, &raw));
        return pinfold::receiver(raw);
    }

    /// How many other objects the task was submitted with.
    std::size_t object_count() const { return number<std::size_t>(pinfold_call_object_count); }

    /// One of them, to be kept; of the kind that it is, or its first use throws. What has one owner is had once.
    ///
    ///     const auto total = call.object<pinfold::mutex<long>>(0);
    template <class Object> Object object(std::size_t index) const
    {
        void *raw = nullptr;
        check(pinfold_call_object(raw_, index, &raw));
        return Object(static_cast<typename Object::raw_type *>(raw));
    }

    /// A new channel.
    channel_ends channel(std::size_t capacity, pinfold_overflow overflow = PINFOLD_OVERFLOW_BLOCK) const
    {
        return channel(capacity, detail::channel_settings(overflow));
    }
    /// The same, with all that can be said of it: messages that are acknowledged, a bound in bytes, compression.
    channel_ends channel(std::size_t capacity, const pinfold_channel_settings &settings) const
    {
        return detail::channel(pinfold_call_channel_new, raw_, capacity, settings);
    }

    /// Whether somebody has cancelled the task: it may end early then.
    bool is_cancelled() const { return number<std::int32_t>(pinfold_call_is_cancelled) != 0; }

    /// What the task has left, by the earliest of its deadlines and limits; nothing if it has none.
    std::optional<std::chrono::nanoseconds> time_left() const
    {
        return detail::time_left(number<std::uint64_t>(pinfold_call_time_left));
    }

    /// Tells whoever has the handle how far the task is: by custom 0 to 1, and up to 88 bytes of text.
    void report_progress(double fraction, const std::string &message = {}) const
    {
        check(pinfold_call_report_progress(raw_, fraction, message.c_str()));
    }

    /// The task, for other threads of this process that work for it.
    pinfold::context context() const
    {
        pinfold_context *raw = nullptr;
        check(pinfold_call_context(raw_, &raw));
        return pinfold::context(raw);
    }

    /// Submits another task, which any worker may run, as part of this one.
    ///
    ///     const pinfold::function<long, int> fib("fib");
    ///     auto first = call.submit(fib, n - 1);
    ///     auto second = call.submit(fib, n - 2);
    ///     return first.join() + second.join();
    template <class R, class A, class... Argument>
    child<R> submit(const function<R, A> &of, const Argument &...argument) const
    {
        return send<R, A>(of, nullptr, argument...);
    }

    /// The same with buffers that are published, which it reads in place.
    template <class R, class A, class... Argument>
    child<R> submit_with(buffers given, const function<R, A> &of, const Argument &...argument) const
    {
        const detail::submission with(given, false);
        return send<R, A>(of, &with.settings, argument...);
    }

    /// The same with ends of channels, too.
    template <class R, class A, class... Argument>
    child<R> submit_with(const cargo &given, const function<R, A> &of, const Argument &...argument) const
    {
        const pinfold_submit_settings settings = given.settings();
        return send<R, A>(of, &settings, argument...);
    }

    /// A number that no other task of its runtime has.
    std::uint64_t id() const { return number<std::uint64_t>(pinfold_call_id); }

    /// Its worker, its name and its tags; texts are there until the function returns.
    pinfold_task_info info() const
    {
        pinfold_task_info info = PINFOLD_TASK_INFO_INIT;
        check(pinfold_call_info(raw_, &info));
        return info;
    }

    /// What `pinfold_config.worker_state` has made in this worker, by `define_state<T>`. Tasks share it.
    template <class T> T &worker_state() const { return *static_cast<T *>(number<void *>(pinfold_call_worker_state)); }

    /// What `pinfold_config.executor_state` has made for this thread, by `define_state<T>`.
    template <class T> T &executor_state() const
    {
        return *static_cast<T *>(number<void *>(pinfold_call_executor_state));
    }

private:
    template <class T> T number(pinfold_status (*ask)(pinfold_call *, T *)) const
    {
        T number{};
        check(ask(raw_, &number));
        return number;
    }

    template <class R, class A, class... Argument>
    child<R> send(const function<R, A> &of, const pinfold_submit_settings *with, const Argument &...argument) const
    {
        const auto submit = [&](bytes all) {
            pinfold_child *raw = nullptr;
            check(pinfold_call_submit(raw_, of.name().c_str(), all.data(), all.size(), with, &raw));
            return child<R>(raw);
        };
        return detail::with_bytes<A>(submit, argument...);
    }

    pinfold_call *raw_;
};

} // namespace pinfold

#endif // PINFOLD_CALL_HPP
