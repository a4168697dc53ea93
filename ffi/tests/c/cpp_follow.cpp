// pinfold.hpp: hearing of tasks without waiting for each: callbacks, progress, events, any and all of several.
#include "check.h"

#include <pinfold.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include <poll.h>

using namespace std::chrono_literals;

namespace {

// What other threads have said.
class Heard {
public:
    void say(const std::string &what)
    {
        const std::lock_guard<std::mutex> guard(mutex_);
        all_.push_back(what);
        changed_.notify_all();
    }
    // Waits until it has been said.
    void wait_for(const std::string &what)
    {
        std::unique_lock<std::mutex> guard(mutex_);
        CHECK(changed_.wait_for(guard, 60s, [&] {
            for (const std::string &one : all_)
                if (one == what)
                    return true;
            return false;
        }));
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> all_;
};

// A callback owns one: says so when it is freed.
struct Says {
    Heard *heard;
    std::string what;
    Says(Heard &to, std::string text) : heard(&to), what(std::move(text)) {}
    ~Says() { heard->say(what); }
    Says(const Says &) = delete;
    Says &operator=(const Says &) = delete;
};

} // namespace

int main(int argc, char **argv)
try {
    const auto square = pinfold::define("square", [](int n) { return n * n; });
    const auto fails = pinfold::define("fails", [] { throw std::runtime_error("out of paper"); });
    const auto patient = pinfold::define("patient", [](pinfold::call &call) {
        call.report_progress(0.25, "a quarter");
        while (!call.is_cancelled())
            ;
    });
    pinfold::init(argc, argv);
    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    const pinfold::runtime runtime(config);
    const auto squaring = runtime.task(square);
    Heard heard;

    // Callbacks are called once, and what they have is freed; the handle may be gone.
    {
        const auto owned = std::make_shared<Says>(heard, "the first callback is freed");
        const auto handle = squaring.submit(7);
        handle.on_complete([&heard, owned](const pinfold::outcome<int> &ended) {
            CHECK(ended && ended.status() == PINFOLD_STATUS_OK && ended.view().size() == sizeof(int));
            heard.say(std::to_string(ended.value()));
        });
    }
    heard.wait_for("49");
    heard.wait_for("the first callback is freed");
    runtime.task(fails).submit().on_complete([&heard](const pinfold::outcome<void> &ended) {
        CHECK(!ended && ended.status() == PINFOLD_STATUS_TASK_FAILED);
        try {
            ended.value();
        } catch (const pinfold::error &failed) {
            CHECK(failed.ends_task() && failed.what() == ended.what());
            heard.say(failed.what());
        }
    });
    heard.wait_for("fails: the task returned 1: out of paper");

    // Progress: asked for, and told; what the callback has is freed when the task has ended.
    auto running = runtime.task(patient).submit();
    while (!running.progress())
        ;
    const auto far = running.progress();
    CHECK(far && far->fraction == 0.25 && far->message == "a quarter");
    running.cancel();
    running.join();
    CHECK(!running.get());
    auto followed = runtime.task(patient).submit();
    {
        const auto owned = std::make_shared<Says>(heard, "the progress callback is freed");
        followed.on_progress([&heard, owned](const pinfold::progress &now) { heard.say(now.message); });
    }
    heard.wait_for("a quarter");
    followed.cancel_within(1min);
    followed.wait();
    heard.wait_for("the progress callback is freed");
    CHECK(!followed.progress());
    // One that is not accepted frees it as well.
    try {
        const pinfold::handle<void> none(nullptr);
        const auto owned = std::make_shared<Says>(heard, "a refused callback is freed");
        none.on_progress([owned](const pinfold::progress &) {});
        CHECK(!"there is no such handle");
    } catch (const pinfold::error &failed) {
        CHECK_STATUS(failed.status(), PINFOLD_STATUS_NULL_ARGUMENT);
        CHECK(!failed.ends_task());
    }
    heard.wait_for("a refused callback is freed");

    // Events for a poll loop.
    const pinfold::events events;
    CHECK(!events.next());
    for (std::uint64_t token = 0; token < 20; token++)
        events.add(squaring.submit(static_cast<int>(token)), token);
    std::vector<bool> seen(20);
    for (std::size_t left = seen.size(); left > 0;) {
        pollfd wait = {events.fd(), POLLIN, 0};
        CHECK(poll(&wait, 1, 60000) == 1);
        while (const auto token = events.next()) {
            CHECK(!seen.at(*token));
            seen[*token] = true;
            left--;
        }
    }

    // Several.
    auto endless = runtime.task(patient).submit();
    auto quick = squaring.submit(3);
    quick.wait();
    CHECK(pinfold::wait_any({endless, quick}) == std::optional<std::size_t>(1));
    CHECK(!pinfold::wait_all({endless, quick}, 0s));
    CHECK(!endless.wait_for(0s) && !endless.is_finished());
    const auto only = std::vector<pinfold::handle_ref>{endless};
    CHECK(!pinfold::wait_any(only, 1ms));
    endless.abort_on_free();
    endless.cancel();
    CHECK(pinfold::wait_all(only));
    return 0;
} catch (const std::exception &thrown) {
    fprintf(stderr, "an exception: %s\n", thrown.what());
    return 1;
}
