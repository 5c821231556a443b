// The engines that there are: what may go wrong with a real one goes wrong with one of these.
#include <cstdlib>

#include "descriptor.hpp"

bool is_set(const char* what) {
    const char* set = std::getenv("STAND_IN_CUDNN");
    return set && std::strcmp(set, what) == 0;
}

std::vector<EngineFacts> engines(int mode) {
    constexpr int FALLBACK = 2;
    if (mode == FALLBACK) return {{7, 1 << 20, true, true, is_set("all-wrong")}};
    bool fails = is_set("failing"), is_wrong = is_set("wrong") || is_set("all-wrong");
    return {{0, 64, true, !fails, is_wrong}, {1, 0, false, true}};
}

EngineFacts engine(int64_t index) {
    for (int mode : {3, 2}) {
        for (auto& own : engines(mode)) {
            if (own.index == index) return own;
        }
    }
    throw Refusal(NOT_SUPPORTED, "there is no engine " + std::to_string(index));
}
