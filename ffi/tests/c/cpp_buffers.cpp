// pinfold.hpp: buffers are read and written where they are, by views; groups are waited for and cancelled.
#include "check.h"

#include <pinfold.hpp>

#include <algorithm>
#include <optional>

int main(int argc, char **argv)
try {
    const auto sum = pinfold::define("sum", [](pinfold::call &call, int start) {
        for (std::size_t i = 0; i < call.buffer_count(); i++)
            for (const std::byte one : call.buffer(i))
                start += std::to_integer<int>(one);
        return start;
    });
    const auto doubled = pinfold::define("doubled", [](pinfold::call &call) {
        const auto from = call.take_buffer(0);
        const auto made = call.make_buffer(from.view().size());
        const auto to = made.data();
        for (std::size_t i = 0; i < to.size(); i++)
            to[i] = std::byte(2 * std::to_integer<int>(from.view()[i]));
        call.output(made);
    });
    const auto patient = pinfold::define("patient", [](pinfold::call &call) {
        while (!call.is_cancelled())
            ;
        throw std::runtime_error("was asked to end");
    });
    pinfold::init(argc, argv);

    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    const pinfold::runtime runtime(config);
    const std::size_t size = 1000000;

    const auto ones = runtime.buffer(size);
    std::fill(ones.data().begin(), ones.data().end(), std::byte(1));
    try {
        runtime.task(sum).submit_with({ones}, 0);
        CHECK(!"it is not published");
    } catch (const pinfold::error &thrown) {
        CHECK_STATUS(thrown.status(), PINFOLD_STATUS_NOT_PUBLISHED);
    }
    ones.publish();

    // The memory outlives the handle of the task that has made it.
    std::optional<pinfold::buffer> twos;
    {
        auto handle = runtime.task(doubled).submit_with({ones});
        twos = handle.output_buffer();
        CHECK(handle.is_finished());
    }
    CHECK(twos->view().size() == size && twos->view()[size - 1] == std::byte(2));
    const auto again = twos->share();
    twos.reset();
    CHECK(runtime.task(sum).submit_with({ones, again}, 5).join() == 3 * static_cast<int>(size) + 5);

    const auto part = again.range(10, 100);
    CHECK(part.view().data() == again.view().data() + 10);
    CHECK(runtime.task(sum).submit_with({part}, 1).join() == 201);
    try {
        again.range(1, size);
        CHECK(!"it is past the end");
    } catch (const pinfold::error &thrown) {
        CHECK_STATUS(thrown.status(), PINFOLD_STATUS_INVALID_ARGUMENT);
    }

    pinfold::group group;
    const auto summing = runtime.task(sum);
    for (int i = 0; i < 50; i++)
        summing.submit_to(group, i);
    group.wait();
    const auto endless = runtime.task(patient);
    endless.submit_to(group);
    group.cancel();
    try {
        group.wait();
        CHECK(!"one was cancelled");
    } catch (const pinfold::error &thrown) {
        CHECK_STATUS(thrown.status(), PINFOLD_STATUS_CANCELLED);
    }

    auto waiting = runtime.task(patient).submit();
    waiting.cancel();
    waiting.wait();
    try {
        waiting.join();
        CHECK(!"it was cancelled");
    } catch (const pinfold::error &thrown) {
        CHECK_STATUS(thrown.status(), PINFOLD_STATUS_CANCELLED);
    }
    return 0;
} catch (const std::exception &thrown) {
    fprintf(stderr, "an exception: %s\n", thrown.what());
    return 1;
}
