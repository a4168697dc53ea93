// What C programs include, and what C++ programs do, in one: neither is in the way of the other.
extern "C" {
// Many C++ programs include C headers so.
#include <pinfold.h>
}
#include "header.c"

#include <pinfold.hpp>

// All that the C++ tests use of it, for each compiler and standard: they are run elsewhere.
#define main main_of_buffers
#include "cpp_buffers.cpp"
#undef main
#define main main_of_follow
#include "cpp_follow.cpp"
#undef main
#define main main_of_many
#include "cpp_many.cpp"
#undef main
#define main main_of_tasks
#include "cpp_tasks.cpp"
#undef main
#define main main_of_inside
#include "cpp_inside.cpp"
#undef main
#define main main_of_shared
#include "cpp_shared.cpp"
#undef main
