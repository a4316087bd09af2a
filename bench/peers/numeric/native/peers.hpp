// What the parts of the program share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// Case is one thing to measure, with data that came over the pipe.
struct Case {
    virtual ~Case() = default;
    virtual void run(long calls) = 0;             // so many in a row, with nothing between them
    virtual std::vector<double> result() = 0;     // of the last call
    std::string code;                             // which code of the library runs
};

using Args = std::vector<std::string>;

// Payload hands out the bytes that follow an "open" line, aligned to 64.
class Payload {
  public:
    virtual void *take(std::size_t bytes) = 0;
    template <typename T> T *of(std::size_t n) { return static_cast<T *>(take(n * sizeof(T))); }
};

std::unique_ptr<Case> open_simsimd(Args const &args, Payload &data);
std::unique_ptr<Case> open_usearch(Args const &args, Payload &data);
std::unique_ptr<Case> open_onednn(Args const &args, Payload &data);
