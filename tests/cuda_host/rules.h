// See rules.cpp and arrays.cpp.
#pragma once

#include <pybind11/pybind11.h>

namespace fastsciml {

void bind_rules(pybind11::module_& module);
void bind_arrays(pybind11::module_& module);

}  // namespace fastsciml
