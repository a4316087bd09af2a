// USearch: its exact search of one query, on one thread. Its kernels are NumKong's, or SimSIMD's, which
// it had before.
//
//	open usearch f32|i8|b1 numkong|simsimd ROWS DIMENSIONS K    data: query, rows
#include "peers.hpp"
#include "simsimd.hpp"

#include <usearch/index_plugins.hpp>

using namespace unum::usearch;

namespace {

// The kernels of SimSIMD that run, one of each kind.
simsimd_metric_dense_punned_t dot_f32, dot_i8, hamming;

template <simsimd_metric_dense_punned_t *kernel>
distance_punned_t one_minus(std::size_t a, std::size_t b, std::size_t n) {
    simsimd_distance_t d;
    (*kernel)((void const *)a, (void const *)b, n, &d);
    return static_cast<distance_punned_t>(1 - d);
}

distance_punned_t differing(std::size_t a, std::size_t b, std::size_t n) {
    simsimd_distance_t d;
    hamming((void const *)a, (void const *)b, n, &d);
    return static_cast<distance_punned_t>(d);
}

struct Search final : Case {
    metric_punned_t metric;
    byte_t const *query, *rows;
    std::size_t count, stride, k;
    exact_search_t search;
    exact_search_results_t found;
    void run() override { found = search(rows, count, stride, query, 1, stride, k, metric); }
    std::vector<double> result() override {
        std::vector<double> ids;
        for (std::size_t i = 0; i < k; i++)
            ids.push_back(found.at(0)[i].offset);
        return ids;
    }
};

} // namespace

std::unique_ptr<Case> open_usearch(Args const &args, Payload &data) {
    std::string type = args.at(1), kernels = args.at(2);
    std::size_t dims = std::stoul(args.at(4));
    auto c = std::make_unique<Search>();
    c->count = std::stoul(args.at(3));
    c->k = std::stoul(args.at(5));
    c->stride = type == "f32" ? dims * 4 : type == "i8" ? dims : dims / 8;
    c->query = data.of<byte_t>(c->stride);
    c->rows = data.of<byte_t>(c->stride * c->count);

    auto scalar = type == "f32" ? scalar_kind_t::f32_k : type == "i8" ? scalar_kind_t::i8_k : scalar_kind_t::b1x8_k;
    auto kind = type == "b1" ? metric_kind_t::hamming_k : metric_kind_t::ip_k;
    if (kernels == "numkong") {
        c->metric = metric_punned_t::builtin(dims, kind, scalar);
        c->code = c->metric.isa_name();
        return c;
    }
    Kernel k;
    std::uintptr_t call;
    if (type == "f32") {
        k = best_kernel(simsimd_metric_dot_k, simsimd_datatype_f32_k, c->query, c->rows, dims);
        dot_f32 = k.call, call = (std::uintptr_t)&one_minus<&dot_f32>;
    } else if (type == "i8") {
        k = best_kernel(simsimd_metric_dot_k, simsimd_datatype_i8_k, c->query, c->rows, dims);
        dot_i8 = k.call, call = (std::uintptr_t)&one_minus<&dot_i8>;
    } else {
        k = best_kernel(simsimd_metric_hamming_k, simsimd_datatype_b8_k, c->query, c->rows, dims / 8);
        hamming = k.call, call = (std::uintptr_t)&differing;
    }
    c->code = k.name;
    c->metric = metric_punned_t::stateless(dims, call, metric_punned_signature_t::array_array_size_k, kind, scalar);
    return c;
}
