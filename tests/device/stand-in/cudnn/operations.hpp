// The operations that graphs consist of, on values in NHWC.
#pragma once

#include "program.hpp"

using Values = std::vector<float>;

// Fills what the operation writes, which is zero before.
void compute(const Operation& operation, const std::vector<Tensor>& tensors, std::vector<Values>& values);
