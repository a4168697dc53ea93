// pinfold.hpp: many tasks at once, settings and limits, submitting without waiting, shutdown.
#include "check.h"

#include <pinfold.hpp>

#include <numeric>

using namespace std::chrono_literals;

namespace {

template <class Body> pinfold_status thrown_by(Body body)
{
    try {
        body();
    } catch (const pinfold::error &failed) {
        return failed.status();
    }
    return PINFOLD_STATUS_OK;
}

} // namespace

int main(int argc, char **argv)
try {
    const auto square = pinfold::define("square", [](std::int64_t n) {
        if (n < 0)
            throw std::domain_error("negative");
        return n * n;
    });
    const auto is_even = pinfold::define("is_even", [](int n) { return n % 2 == 0; });
    const auto doubled = pinfold::define("doubled", [](const std::string &text) { return text + text; });
    const auto nothing = pinfold::define("nothing", [](int) {});
    const auto patient = pinfold::define("patient", [](pinfold::call &call) {
        while (!call.is_cancelled())
            ;
    });
    const auto named = pinfold::define("named", [](pinfold::call &call) {
        const pinfold_task_info info = call.info();
        return std::string(info.name) + " " + info.tags[0].key + "=" + info.tags[0].value;
    });
    const auto hangs = pinfold::define("hangs", [] {
        volatile int spin = 1;
        while (spin != 0)
            ;
    });
    const auto written = pinfold::define("written", [](pinfold::call &call) {
        const auto own = call.take_buffer(0);
        own.data()[0] = std::byte(42);
        call.output(own);
    });
    pinfold::init(argc, argv);
    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 1;
    config.queue_capacity = 16;
    const pinfold::runtime runtime(config);
    const auto squaring = runtime.task(square);

    // Far more than may be in flight.
    std::vector<std::int64_t> numbers(5000);
    std::iota(numbers.begin(), numbers.end(), 0);
    const auto squares = squaring.map(numbers);
    CHECK(squares.size() == 5000 && squares[4999] == std::int64_t{4999} * 4999);
    CHECK(squaring.map(std::vector<int>()).empty());
    auto everywhere = squaring.broadcast(7);
    CHECK(everywhere.size() == 1 && everywhere[0].join() == 49);
    CHECK((runtime.task(is_even).map(std::vector<int>{1, 2}) == std::vector<bool>{false, true}));
    CHECK((runtime.task(doubled).map(std::vector<const char *>{"a", "", "bc"})
           == std::vector<std::string>{"aa", "", "bcbc"}));
    runtime.task(nothing).map(std::vector<int>{1, 2, 3});
    CHECK_STATUS(thrown_by([&] { squaring.map(std::vector<int>{1, -1, 2}); }), PINFOLD_STATUS_TASK_FAILED);

    // Without waiting.
    const pinfold::limit one(1);
    CHECK(one.available() == 1);
    const auto alone = runtime.task(patient, pinfold::settings().limited(one));
    auto first = alone.try_submit();
    CHECK(first.has_value() && one.available() == 0);
    CHECK(!alone.try_submit() && !alone.try_submit_for(1ms));
    first->cancel();
    first->wait();
    auto next = alone.try_submit_for(1min);
    CHECK(next.has_value());
    next->cancel();
    next->wait();
    CHECK_STATUS(thrown_by([&] { runtime.task(patient, pinfold::settings().limited(one, 2)).try_submit(); }),
                 PINFOLD_STATUS_TOO_LARGE);

    // Settings that outlive the texts they were given.
    pinfold::settings with;
    with.name(std::string("import")).tag(std::string("user"), std::string("7")).priority(PINFOLD_PRIORITY_URGENT);
    const auto copy = with;
    CHECK(runtime.task(named, copy).submit().join() == "import user=7");
    const auto late = runtime.task(hangs, pinfold::settings().run_limit(20ms).safe_to_repeat(1));
    CHECK_STATUS(thrown_by([&] { late.submit().join(); }), PINFOLD_STATUS_DEADLINE_EXCEEDED);
    CHECK_STATUS(thrown_by([&] { runtime.task(square, pinfold::settings().traceparent("no trace")); }),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    const auto stubborn = runtime.task(square, pinfold::settings().retry_fixed(3, 0s).retry_jitter());
    const auto before = runtime.stats().repeated;
    CHECK_STATUS(thrown_by([&] { stubborn.submit(-1).join(); }), PINFOLD_STATUS_TASK_FAILED);
    CHECK(runtime.stats().repeated == before + 2);
    const pinfold::memo memo(10);
    const auto known = runtime.task(square, pinfold::settings().memoized(memo));
    CHECK(known.submit(5).join() == 25 && known.submit(5).join() == 25);
    CHECK(memo.hits() == 1 && memo.misses() == 1);

    // A buffer that is moved, written and returned.
    const auto given = runtime.buffer(1);
    const auto got = runtime.task(written).submit_moving({given}).output_buffer();
    CHECK(got.view()[0] == std::byte(42));
    CHECK_STATUS(thrown_by([&] { given.view(); }), PINFOLD_STATUS_MOVED);

    // Groups that are not waited for without end.
    const pinfold::group group;
    const auto waiting = runtime.task(patient);
    waiting.submit_to(group);
    CHECK(!group.wait_for(0s));
    while (runtime.audit().slots_running == 0)
        ;
    group.cancel(1min);
    group.wait();

    // The end; what comes after it is told.
    waiting.submit_to(group);
    std::vector<pinfold::handle<std::int64_t>> queued;
    queued.push_back(squaring.submit(1));
    while (runtime.audit().slots_running == 0)
        ;
    CHECK(runtime.cancel_pending() == 1);
    CHECK_STATUS(thrown_by([&] { pinfold::join_all(std::move(queued)); }), PINFOLD_STATUS_CANCELLED);
    CHECK(runtime.stats_json().front() == '{' && runtime.audit_json().front() == '{');
    CHECK(runtime.profile_json().front() == '{' && runtime.audit().orphans == 0);
    runtime.begin_shutdown(PINFOLD_SHUTDOWN_ABORT);
    CHECK(!runtime.shutdown());
    try {
        squaring.submit(1).join();
        CHECK(!"it is shut down");
    } catch (const pinfold::error &failed) {
        CHECK_STATUS(failed.status(), PINFOLD_STATUS_SHUTDOWN);
        CHECK(failed.ends_task());
    }
    CHECK_STATUS(thrown_by([&] { squaring.try_submit(1); }), PINFOLD_STATUS_SHUTDOWN);
    return 0;
} catch (const std::exception &thrown) {
    fprintf(stderr, "an exception: %s\n", thrown.what());
    return 1;
}
