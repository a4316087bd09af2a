// USearch: its exact search of one query, on one thread. Its kernels are NumKong's, or SimSIMD's, which
// it had before.
//
//	open usearch f32|i8|b1 ip|cos|hamming numkong|simsimd ROWS DIMENSIONS K    data: query, rows
#include "peers.hpp"
#include "simsimd.hpp"

#include <usearch/index_plugins.hpp>

using namespace unum::usearch;

namespace {

// distance calls a kernel of SimSIMD: of each type and metric one, which *kernel holds.
template <simsimd_metric_dense_punned_t *kernel, bool one_minus>
distance_punned_t distance(std::size_t a, std::size_t b, std::size_t n) {
    simsimd_distance_t d;
    (*kernel)((void const *)a, (void const *)b, n, &d);
    return static_cast<distance_punned_t>(one_minus ? 1 - d : d);
}

simsimd_metric_dense_punned_t dot_f32, dot_i8, cos_f32, cos_i8, hamming_b1;

struct Simsimd {
    char const *type, *metric;
    simsimd_metric_kind_t kind;
    simsimd_datatype_t data;
    simsimd_metric_dense_punned_t *kernel;
    distance_punned_t (*call)(std::size_t, std::size_t, std::size_t);
};

Simsimd const metrics[] = {
    {"f32", "ip", simsimd_metric_dot_k, simsimd_datatype_f32_k, &dot_f32, distance<&dot_f32, true>},
    {"i8", "ip", simsimd_metric_dot_k, simsimd_datatype_i8_k, &dot_i8, distance<&dot_i8, true>},
    {"f32", "cos", simsimd_metric_cos_k, simsimd_datatype_f32_k, &cos_f32, distance<&cos_f32, false>},
    {"i8", "cos", simsimd_metric_cos_k, simsimd_datatype_i8_k, &cos_i8, distance<&cos_i8, false>},
    {"b1", "hamming", simsimd_metric_hamming_k, simsimd_datatype_b8_k, &hamming_b1, distance<&hamming_b1, false>},
};

struct Search final : Case {
    metric_punned_t metric;
    byte_t const *query, *rows;
    std::size_t count, stride, k;
    exact_search_t search;
    exact_search_results_t found;
    void run(long calls) override {
        for (long i = 0; i < calls; i++)
            found = search(rows, count, stride, query, 1, stride, k, metric);
    }
    std::vector<double> result() override {
        std::vector<double> ids;
        for (std::size_t i = 0; i < k; i++)
            ids.push_back(found.at(0)[i].offset);
        return ids;
    }
};

} // namespace

std::unique_ptr<Case> open_usearch(Args const &args, Payload &data) {
    std::string type = args.at(1), name = args.at(2), kernels = args.at(3);
    std::size_t dims = std::stoul(args.at(5));
    auto c = std::make_unique<Search>();
    c->count = std::stoul(args.at(4));
    c->k = std::stoul(args.at(6));
    c->stride = type == "f32" ? dims * 4 : type == "i8" ? dims : dims / 8;
    c->query = data.of<byte_t>(c->stride);
    c->rows = data.of<byte_t>(c->stride * c->count);

    auto scalar = type == "f32" ? scalar_kind_t::f32_k : type == "i8" ? scalar_kind_t::i8_k : scalar_kind_t::b1x8_k;
    auto kind = name == "ip" ? metric_kind_t::ip_k : name == "cos" ? metric_kind_t::cos_k : metric_kind_t::hamming_k;
    if (kernels == "numkong") {
        c->metric = metric_punned_t::builtin(dims, kind, scalar);
        c->code = c->metric.isa_name();
        return c;
    }
    for (auto &m : metrics)
        if (type == m.type && name == m.metric) {
            Kernel k = best_kernel(m.kind, m.data, c->query, c->rows, type == "b1" ? dims / 8 : dims);
            *m.kernel = k.call;
            c->code = k.name;
            c->metric = metric_punned_t::stateless(dims, (std::uintptr_t)m.call, metric_punned_signature_t::array_array_size_k, kind, scalar);
            return c;
        }
    throw std::runtime_error("no metric " + name + " of " + type);
}
