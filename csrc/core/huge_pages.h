// See huge_pages.cpp; schema in csrc/operators.cpp.
#pragma once

#include "core/tensor.h"

namespace fastsciml::core {

void advise_huge_pages(Tensor memory);

}  // namespace fastsciml::core
