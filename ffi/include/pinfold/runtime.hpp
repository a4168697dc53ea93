/* Part of pinfold.hpp: a fold of workers. */
#ifndef PINFOLD_RUNTIME_HPP
#define PINFOLD_RUNTIME_HPP

#include "make.hpp"
#include "task.hpp"

namespace pinfold {

/// A fold of worker processes. Destroyed, it ends them, as `pinfold_runtime_free` does.
///
///     pinfold_config config = PINFOLD_CONFIG_INIT;
///     config.workers = 4;
///     const pinfold::runtime runtime(config);
///     const auto squaring = runtime.task(square);
///
/// It makes locks and other objects: see make.hpp.
class runtime : public detail::makes<runtime, pinfold_runtime> {
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

    /// A channel that holds so many messages; of capacity 0, who sends waits until it is taken.
    channel_ends channel(std::size_t capacity, pinfold_overflow overflow = PINFOLD_OVERFLOW_BLOCK) const
    {
        return channel(capacity, detail::channel_settings(overflow));
    }
    /// The same, with all that can be said of it: messages that are acknowledged, a bound in bytes, compression.
    channel_ends channel(std::size_t capacity, const pinfold_channel_settings &settings) const
    {
        return detail::channel(pinfold_channel_new, get(), capacity, settings);
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

    /// The same.
    template <class R, class A>
    pinfold::task<R, A> task(const function<R, A> &of, const pinfold::settings &settings) const
    {
        return settings.with([&](const pinfold_task_settings &all) { return task(of, all); });
    }

    /// Takes no more tasks, and ends those in flight as `how` says; waits for it. Whether that was in order: no task was
    /// ended that this call would have let run.
    bool shutdown(pinfold_shutdown how = PINFOLD_SHUTDOWN_DRAIN, std::chrono::nanoseconds time = forever,
                  std::chrono::nanoseconds grace = forever) const
    {
        const pinfold_status status
            = pinfold_runtime_shutdown(get(), how, detail::nanoseconds(time), detail::nanoseconds(grace));
        return detail::happened(status, PINFOLD_STATUS_NOT_ORDERLY);
    }

    /// The same without waiting.
    void begin_shutdown(pinfold_shutdown how = PINFOLD_SHUTDOWN_DRAIN, std::chrono::nanoseconds time = forever,
                        std::chrono::nanoseconds grace = forever) const
    {
        check(pinfold_runtime_begin_shutdown(get(), how, detail::nanoseconds(time), detail::nanoseconds(grace)));
    }

    /// Cancels all tasks that nobody runs: how many.
    std::size_t cancel_pending() const
    {
        std::size_t count = 0;
        check(pinfold_runtime_cancel_pending(get(), &count));
        return count;
    }

    pinfold_stats stats() const
    {
        pinfold_stats stats = PINFOLD_STATS_INIT;
        check(pinfold_runtime_stats(get(), &stats));
        return stats;
    }

    pinfold_audit audit() const
    {
        pinfold_audit audit = PINFOLD_AUDIT_INIT;
        check(pinfold_runtime_audit(get(), &audit));
        return audit;
    }

    /// As JSON objects.
    std::string stats_json() const { return text(pinfold_runtime_stats_json); }
    std::string audit_json() const { return text(pinfold_runtime_audit_json); }
    std::string profile_json() const { return text(pinfold_runtime_profile_json); }

private:
    std::string text(pinfold_status (*ask)(pinfold_runtime *, pinfold_text **)) const
    {
        pinfold_text *raw = nullptr;
        check(ask(get(), &raw));
        const detail::owner<pinfold_text, pinfold_text_free> own(raw);
        const char *data = nullptr;
        std::size_t size = 0;
        check(pinfold_text_data(raw, &data, &size));
        return std::string(data, size);
    }

    detail::owner<pinfold_runtime, pinfold_runtime_free> own_;
};

} // namespace pinfold

#endif // PINFOLD_RUNTIME_HPP
