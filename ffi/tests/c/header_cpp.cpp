// What C programs include, and what C++ programs do, in one: neither is in the way of the other.
extern "C" {
// Many C++ programs include C headers so.
#include <pinfold.h>
}
#include "header.c"

#include <pinfold.hpp>
