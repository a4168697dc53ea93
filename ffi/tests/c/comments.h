/* What the examples in the comments of pinfold.hpp talk of, for a test that compiles them all. */
#include <pinfold.hpp>

#include <iostream>
#include <numeric>
#include <thread>

#include <poll.h>

struct Model {
    explicit Model(pinfold::bytes weights);
};

extern const pinfold::function<int, int> square, resize, parse, fetch;
extern const pinfold::function<int> add;
extern const pinfold::runtime runtime;
extern const pinfold::task<int, int> squaring, task;
extern const pinfold::task<double, pinfold::detail::nothing> summing;
extern pinfold::handle<int> handle;
extern pinfold::call call;
extern std::vector<int> numbers;
extern pinfold::sender jobs, replies;
extern pinfold::receiver requests, results;
extern long sum;
extern int n;

void use(int result);
void step();
void done(std::uint64_t token);
