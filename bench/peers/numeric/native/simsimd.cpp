// SimSIMD: its C kernels, called through the pointer that its dispatch returns.
//
//	open simsimd dot_f32|cos_f32|dot_i8 N    data: a, b
#include "peers.hpp"
#include "simsimd.hpp"

#include <chrono>

namespace {

struct Pair final : Case {
    simsimd_metric_dense_punned_t kernel;
    void *a, *b;
    std::size_t n;
    simsimd_distance_t out;
    void run(long calls) override {
        for (long i = 0; i < calls; i++)
            kernel(a, b, n, &out);
    }
    std::vector<double> result() override { return {out}; }
};

} // namespace

Kernel best_kernel(simsimd_metric_kind_t kind, simsimd_datatype_t type, void const *a, void const *b, std::size_t n) {
    Kernel best{};
    double least = 0;
    for (auto &c : capabilities) {
        Kernel k{nullptr, c.name};
        simsimd_capability_t used;
        simsimd_find_kernel_punned(kind, type, simsimd_capabilities(), c.bit, (simsimd_kernel_punned_t *)&k.call, &used);
        if (!k.call || used != c.bit)
            continue;
        for (int round = 0; round < 20; round++) {
            simsimd_distance_t out;
            auto start = std::chrono::steady_clock::now();
            for (int i = 0; i < 1000; i++)
                k.call(a, b, n, &out);
            double t = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            if (!best.call || t < least)
                best = k, least = t;
        }
    }
    if (!best.call)
        throw std::runtime_error("SimSIMD has no kernel");
    return best;
}

std::unique_ptr<Case> open_simsimd(Args const &args, Payload &data) {
    std::string what = args.at(1);
    auto c = std::make_unique<Pair>();
    c->n = std::stoul(args.at(2));
    bool bytes = what == "dot_i8";
    c->a = data.take(c->n * (bytes ? 1 : 4));
    c->b = data.take(c->n * (bytes ? 1 : 4));
    auto kind = what == "cos_f32" ? simsimd_metric_cos_k : simsimd_metric_dot_k;
    Kernel k = best_kernel(kind, bytes ? simsimd_datatype_i8_k : simsimd_datatype_f32_k, c->a, c->b, c->n);
    c->kernel = k.call;
    c->code = k.name;
    return c;
}
