// See pages.cpp; schemas in csrc/operators.cpp.
#pragma once

#include "core/tensor.h"

namespace fastsciml::core {

void advise_huge_pages(Tensor memory);

void advise_spare(Tensor memory);

}  // namespace fastsciml::core
