// pinfold.hpp: in a task: others that it submits, threads that work for it, states, what it knows of itself.
#include "check.h"

#include <pinfold.hpp>

#include <atomic>
#include <numeric>
#include <thread>

namespace {

const pinfold::function<std::int64_t, std::int32_t> fib("fib");
const pinfold::function<double, pinfold::span<const double>> total("total");

struct Table {
    std::vector<double> factors;
    int made_by_worker;
};

} // namespace

int main(int argc, char **argv)
try {
    pinfold::define("fib", [](pinfold::call &call, std::int32_t n) -> std::int64_t {
        if (n < 2)
            return n;
        auto first = call.submit(fib, n - 1);
        auto second = call.submit(fib, n - 2);
        return second.join() + first.join();
    });
    pinfold::define("total", [](pinfold::span<const double> numbers) {
        return std::accumulate(numbers.begin(), numbers.end(), 0.0);
    });
    pinfold::define("fails", [](int) { throw std::runtime_error("no such row"); });
    const auto parent = pinfold::define("parent", [](pinfold::call &call, const std::string &what) {
        std::vector<double> numbers(1000, 0.5);
        if (what == "typed")
            return std::to_string(call.submit(total, numbers).join());
        if (what == "fails") {
            try {
                call.submit(pinfold::function<void, int>("fails"), 1).join();
            } catch (const pinfold::error &failed) {
                return std::string(failed.what());
            }
        }
        if (what == "buffers") {
            const auto made = call.make_buffer(8);
            pinfold::view_as<double>(made.data())[0] = 2.5;
            made.publish();
            auto child = call.submit_with({made}, pinfold::function<double>("first_of_buffer"));
            CHECK(child.wait_for(pinfold::forever));
            const auto kept = child.output_buffer();
            return std::to_string(pinfold::view_as<double>(kept.view())[0]);
        }
        if (what == "unheard") {
            const auto child = call.submit(fib, 3);
            child.cancel();
            return std::string("left");
        }
        throw std::invalid_argument(what);
    });
    pinfold::define("first_of_buffer", [](pinfold::call &call) {
        return pinfold::view_as<double>(call.buffer(0))[0];
    });
    const auto threads = pinfold::define("threads", [](pinfold::call &call) {
        const auto context = call.context();
        CHECK(!context.time_left() && !call.time_left());
        std::atomic<int> ended{0};
        std::vector<std::thread> helpers;
        for (int i = 0; i < 3; i++)
            helpers.emplace_back([&] {
                context.report_progress(0.5, "with others");
                while (!context.is_cancelled())
                    ;
                ended++;
            });
        for (auto &helper : helpers)
            helper.join();
        return ended.load();
    });
    const auto scaled = pinfold::define("scaled", [](pinfold::call &call, std::vector<double> numbers) {
        for (double &number : numbers)
            number *= call.worker_state<Table>().factors.at(1);
        call.executor_state<int>()++;
        CHECK(call.id() != 0 && call.info().worker < 2 && std::string(call.info().function) == "scaled");
        return numbers;
    });
    const auto words = pinfold::define("words", [](const std::string &text) { return text + ", " + text; });
    const auto empty = pinfold::define("empty", [](pinfold::call &) { return std::string(); });
    pinfold::define_state<Table>("table", [](pinfold::call &call) {
        auto made = std::make_unique<Table>();
        const auto given = pinfold::view_as<double>(call.argument());
        made->factors.assign(given.begin(), given.end());
        return made;
    });
    pinfold::define_state<int>("counter", [](pinfold::call &) { return std::make_unique<int>(0); });
    pinfold::init(argc, argv);

    const double factors[] = {1, 3};
    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    config.start_checked = PINFOLD_CHOICE_YES;
    config.worker_state = "table";
    config.executor_state = "counter";
    config.state_argument = factors;
    config.state_argument_len = sizeof factors;
    const pinfold::runtime runtime(config);

    CHECK(runtime.task(fib).submit(15).join() == 610);
    const auto asking = runtime.task(parent);
    CHECK(asking.submit("typed").join() == "500.000000");
    CHECK(asking.submit("fails").join() == "fails: the task returned 1: no such row");
    CHECK(asking.submit("buffers").join() == "2.500000");
    CHECK(asking.submit("unheard").join() == "left");

    auto helped = runtime.task(threads).submit();
    while (!helped.progress())
        ;
    helped.cancel();
    CHECK(helped.join() == 3);

    CHECK((runtime.task(scaled).submit(std::vector<double>{1, 2}).join() == std::vector<double>{3, 6}));
    CHECK(runtime.task(scaled).submit(std::vector<double>()).join().empty());
    CHECK(runtime.task(words).submit("a word").join() == "a word, a word");
    CHECK(runtime.task(empty).submit().join().empty());
    // Bytes that are no doubles are told.
    const auto as_text = runtime.task(pinfold::function<double, std::string>("total"));
    try {
        as_text.submit("abc").join();
        CHECK(!"three bytes are no doubles");
    } catch (const pinfold::error &failed) {
        CHECK(strstr(failed.what(), "no whole number") != nullptr);
    }
    return 0;
} catch (const std::exception &thrown) {
    fprintf(stderr, "an exception: %s\n", thrown.what());
    return 1;
}
