// Programs with a flaw, as an engine has one that accepts what it does not honour.
#include "program.hpp"

namespace {

// Each makes the flaw where there is something to be wrong with.

bool ignore_the_slope(Operation& own) {
    if (own.slope == 0) return false;
    own.slope = 0;
    return true;
}

bool drop_what_is_added(Operation& own) {
    if (own.kind != Operation::POINTWISE || own.mode != Mode::ADD) return false;
    own.mode = Mode::IDENTITY;
    return true;
}

bool sum_too_much(Operation& own) {
    if (own.kind != Operation::STATISTICS && own.kind != Operation::NORM_GRADIENT) return false;
    own.factor = 1.05f;
    return true;
}

bool shift_the_filter(Operation& own) {
    bool is_product = own.kind <= Operation::WEIGHT_GRADIENT;
    own.convolution.padding[1] += is_product;
    return is_product;
}

}  // namespace

Program flawed(const Program& program, bool sums_first) {
    Program result = program;
    auto first = sums_first ? sum_too_much : ignore_the_slope;
    for (auto flaw : {first, ignore_the_slope, drop_what_is_added, sum_too_much, shift_the_filter}) {
        for (size_t at = result.operations.size(); at-- > 0;) {
            if (flaw(result.operations[at])) return result;
        }
    }
    return result;
}
